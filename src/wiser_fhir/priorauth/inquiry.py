"""What somebody asks about authorizations that exist, as plain values."""

from dataclasses import dataclass
from datetime import date

from wiser_fhir.priorauth.models import ItemStatus


@dataclass(frozen=True, slots=True)
class ItemExample:
    """An item as the inquirer imagines it; what is empty or None filters nothing.

    `codes` are procedure codes whatever their system; with `last_code` the first of them begins a
    range that ends there, included. `starts` and `ends` are both included, too. An item without a
    date is within any dates. `modified` tells of affirmed items whether something else was granted
    than asked. `never`: it has an answer that is never given, so that nothing is like it.
    """

    codes: tuple[str, ...] = ()
    starts: date | None = None
    ends: date | None = None
    status: ItemStatus | None = None
    last_code: str | None = None
    modified: bool | None = None
    never: bool = False


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A query by example. Numbers, where given, name the authorizations; examples filter."""

    mbi: str | None
    provider_npis: tuple[str, ...]
    requester_npi: str | None
    references: tuple[str, ...] = ()
    utns: tuple[str, ...] = ()
    items: tuple[ItemExample, ...] = ()
