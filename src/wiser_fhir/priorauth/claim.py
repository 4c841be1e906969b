"""A claim as understood, what a tracking number stands for, and what is answered for each line."""

from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from wiser_fhir.coverage.requested import UNITS_UNTOLD
from wiser_fhir.priorauth.models import CaseStatus, ItemStatus, Party, Site, UtnState


class LineStatus(StrEnum):
    """What is said of one line of a claim."""

    COVERED = "covered"
    WRONG_CODE = "wrong-code"
    ADD_ON_NOT_REQUESTED = "add-on-not-requested"
    WRONG_SITE = "wrong-site"
    WRONG_PROVIDER = "wrong-provider"
    UNITS_EXCEEDED = "units-exceeded"
    OUT_OF_PERIOD = "out-of-period"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    NON_AFFIRMED = "non-affirmed"
    CANCELLED = "cancelled"
    UTN_PENDING = "utn-pending"
    UTN_UNKNOWN = "utn-unknown"
    UTN_MALFORMED = "utn-malformed"
    UTN_MISSING = "utn-missing"
    FOLLOWS_PRIMARY = "follows-primary"
    NOT_WISER = "not-wiser"
    OUTSIDE_THE_MODEL = "outside-the-model"
    EXEMPT_PROVIDER = "exempt-provider"
    EMERGENCY = "emergency"
    PROFESSIONAL_CLAIM = "professional-claim"


NO_UTN_NEEDED = frozenset(
    {
        LineStatus.NOT_WISER,
        LineStatus.OUTSIDE_THE_MODEL,
        LineStatus.EXEMPT_PROVIDER,
        LineStatus.EMERGENCY,
        LineStatus.PROFESSIONAL_CLAIM,
    }
)
"""Lines that are paid without anybody having asked before."""

UNDECIDED = frozenset(
    {
        LineStatus.UTN_MISSING,
        LineStatus.UTN_UNKNOWN,
        LineStatus.UTN_MALFORMED,
        LineStatus.ADD_ON_NOT_REQUESTED,
    }
)
"""Lines for a service of the model on which there is no decision: they are reviewed before payment.

Source: WISeR Operational Guide 6.0, 7.2; of an add-on that was not requested, CGS, WISeR tips.
"""


@dataclass(frozen=True, slots=True)
class ClaimLine:
    """One line as billed. `first_day` and `last_day` of the service are both included."""

    number: int
    code: str
    units: Decimal
    first_day: date
    last_day: date
    site: Site
    utn: str | None = None
    modifiers: tuple[str, ...] = ()
    revenue_code: str | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim, or what is to become one. `mbi` is upper-case without dashes.

    `provider_npi` is who bills. `state` is where the service was delivered, None where that is not
    told; without `diagnoses` none is told.
    """

    mbi: str
    provider_npi: str
    lines: tuple[ClaimLine, ...]
    state: str | None = None
    diagnoses: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[str, ...]:
        """Every tracking number on it, each once, sorted."""
        return tuple(sorted({line.utn for line in self.lines if line.utn is not None}))


@dataclass(frozen=True, slots=True)
class AuthorizedItem:
    """One line of the case as its number's own revision decided it.

    `quantity` is what was authorized, None where no number of units was named. `used` are the units
    that claims have used up. `affirmed` is None where that revision decided nothing about it.
    """

    sequence: int
    code: str
    status: ItemStatus
    affirmed: bool | None
    quantity: Decimal | None
    first_day: date | None
    last_day: date | None
    site: Site | None
    used: Decimal = Decimal(0)

    @property
    def authorized(self) -> Decimal:
        """Units in all. Source: FHIR R4, Claim.item.net: a quantity not supplied is 1."""
        return UNITS_UNTOLD if self.quantity is None else self.quantity


@dataclass(frozen=True, slots=True)
class Authorization:
    """What a tracking number stands for. `number` is None while it is still to come.

    `newer` is the number that took its place, None also while that one is still to come.
    """

    organization_id: UUID
    case_id: UUID
    revision: int
    number: str | None
    state: UtnState
    case_status: CaseStatus
    service: str | None
    valid_from: date | None
    valid_until: date | None
    parties: tuple[Party, ...]
    items: tuple[AuthorizedItem, ...]
    newer: str | None = None


@dataclass(frozen=True, slots=True)
class UnitUse:
    """Units that a line uses up of one authorized item."""

    number: str
    sequence: int
    units: Decimal


@dataclass(frozen=True, slots=True)
class LineAnswer:
    """What is said of one line. `text` is for people, `status` for software.

    `remaining` are the units still open before this line, where the number counts any. `uses` is
    what the line takes of them once the claim is recorded; empty unless it is covered. `primary` is
    the line that an associated code follows.
    """

    line: int
    status: LineStatus
    text: str
    utn: str | None = None
    service: str | None = None
    newer: str | None = None
    remaining: Decimal | None = None
    primary: int | None = None
    uses: tuple[UnitUse, ...] = field(default=())
