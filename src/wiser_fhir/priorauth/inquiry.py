"""What somebody asks about authorizations that exist, as plain values."""

from dataclasses import dataclass
from datetime import date

from wiser_fhir.priorauth.models import ItemStatus


@dataclass(frozen=True, slots=True)
class ItemExample:
    """An item as the inquirer imagines it; what is empty or None filters nothing.

    `codes` are procedure codes whatever their system, `starts` and `ends` both included. An item
    without a date is within any dates.
    """

    codes: tuple[str, ...] = ()
    starts: date | None = None
    ends: date | None = None
    status: ItemStatus | None = None


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A query by example. Numbers, where given, name the authorizations; examples filter."""

    mbi: str | None
    provider_npis: tuple[str, ...]
    requester_npi: str | None
    references: tuple[str, ...] = ()
    utns: tuple[str, ...] = ()
    items: tuple[ItemExample, ...] = ()
