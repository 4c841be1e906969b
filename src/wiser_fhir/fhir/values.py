"""FHIR's small values as plain ones. None for what names no day, instant or number."""

from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation

from wiser_fhir.fhir.elements import Json

_DAY = len("2026-01-15")


def full_date(text: str | None) -> date | None:
    """A whole FHIR date; None for a year or a month alone, which name no day."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def day_of(text: str | None) -> date | None:
    """The day a FHIR dateTime names, as it was written, whatever the hour and zone."""
    return full_date(text[:_DAY]) if text else None


def instant(text: str | None) -> datetime | None:
    """A FHIR dateTime with a time zone; a bare day is its first instant in UTC.

    None for less, and for one that UTC has no date for, at the edge of what a date can be.
    """
    try:
        moment = datetime.fromisoformat(text) if text else None
        if moment is None:
            return None
        if moment.tzinfo is None:
            return moment.replace(tzinfo=UTC)
        moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment


def decimal(number: int | float | str | None) -> Decimal | None:
    """A JSON number, or the text of one, as it was written, as far as the reader kept it."""
    try:
        return None if number is None else Decimal(str(number))
    except InvalidOperation:
        return None


def service_dates(item: Json) -> tuple[date | None, date | None]:
    """First and last day of service, both included; None where the item is silent."""
    if "servicedDate" in item:
        day = full_date(item["servicedDate"])
        return day, day
    period = item.get("servicedPeriod") or {}
    starts = day_of(period.get("start"))
    return starts, day_of(period.get("end")) or starts
