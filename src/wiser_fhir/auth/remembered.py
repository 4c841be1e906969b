"""What was found out a moment ago, so that it need not be found out again at once."""

import time
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Remembered(Generic[Value]):
    """Values by name, each for some seconds. Of too many the oldest is forgotten."""

    def __init__(self, size: int, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._size = size
        self._monotonic = monotonic
        self._known: dict[bytes, tuple[float, Value]] = {}

    def __len__(self) -> int:
        """How many are held, ended ones included."""
        return len(self._known)

    def get(self, name: bytes) -> Value | None:
        """The value, None if it is not held or its seconds are over."""
        until, value = self._known.get(name, (0.0, None))
        if value is None or until > self._monotonic():
            return value
        del self._known[name]
        return None

    def put(self, name: bytes, value: Value, seconds: float) -> None:
        """Hold a value."""
        self._known.pop(name, None)
        while len(self._known) >= self._size:
            del self._known[next(iter(self._known))]
        self._known[name] = (self._monotonic() + seconds, value)
