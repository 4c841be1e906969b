"""Clocks that stand still until a test moves them."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass
class StillClock:
    """A clock that shows one instant."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def wait(self, **span: float) -> None:
        """Move it ahead."""
        self.now += timedelta(**span)


@dataclass
class Time:
    """A clock and a monotonic one, that go together."""

    start: datetime
    passed: float = 0.0

    def now(self) -> datetime:
        """The present instant."""
        return self.start + timedelta(seconds=self.passed)

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self.passed
