"""When to try again, and when to give up. Pure.

Often at first, because a subscriber that restarts is back in seconds; then every minute for an
hour, because somebody may be working on it; then now and then.
"""

from dataclasses import dataclass
from datetime import timedelta

_FIRST = tuple(timedelta(seconds=s) for s in (2, 4, 8, 15, 30, 60))
_EVERY_MINUTE_UNTIL = timedelta(hours=1)
_LATER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long a handshake, and anything else, is tried before the status becomes `error`."""

    handshake: timedelta = timedelta(hours=1)
    others: timedelta = timedelta(hours=24)


def delay(attempts: int, failing_for: timedelta) -> timedelta:
    """How long to wait after so many failures in a row, the first of them so long ago."""
    if attempts <= len(_FIRST):
        return _FIRST[attempts - 1]
    return _FIRST[-1] if failing_for < _EVERY_MINUTE_UNTIL else _LATER
