"""What was found out a moment ago, so that it need not be found out again at once."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

Name = TypeVar("Name")
Value = TypeVar("Value")


class Remembered(Generic[Name, Value]):
    """Values by name, each until some instant. Of too many the oldest is forgotten."""

    def __init__(self, size: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._monotonic = monotonic
        self._known: dict[Name, tuple[float, Value]] = {}

    def __len__(self) -> int:
        """How many are held, ended ones included."""
        return len(self._known)

    def now(self) -> float:
        """The instant by which values end. Read it before a value is looked up: it is as old as the
        question.
        """
        return self._monotonic()

    def get(self, name: Name) -> Value | None:
        """The value, None if it is not held or has ended."""
        until, value = self._known.get(name, (0.0, None))
        if value is None or until > self._monotonic():
            return value
        del self._known[name]
        return None

    def put(self, name: Name, value: Value, until: float) -> None:
        """Hold a value."""
        self.forget(name)
        while len(self._known) >= self._size:
            del self._known[next(iter(self._known))]
        self._known[name] = (until, value)

    def forget(self, name: Name) -> None:
        """Hold nothing by this name."""
        self._known.pop(name, None)
