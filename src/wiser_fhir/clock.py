"""The time, handed in: only `app` and `cli` name `utc_now`."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]

EASTERN = ZoneInfo("America/New_York")


def utc_now() -> datetime:
    """The present instant, aware, in UTC."""
    return datetime.now(UTC)


def business_date(instant: datetime) -> date:
    """The Eastern calendar day of an aware instant, the zone every WISeR day count uses.

    An instant at the edge of what a date can be, which a request may name, stays on that edge.
    Raises ValueError for a naive datetime.
    """
    if instant.tzinfo is None:
        raise ValueError("a business date needs an aware instant")
    try:
        return instant.astimezone(EASTERN).date()
    except OverflowError:
        return date.min if instant.year == date.min.year else date.max
