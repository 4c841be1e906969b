"""What is decided of a case: the words a determination is made in, before it is kept."""

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from wiser_fhir.coverage.requested import Code
from wiser_fhir.priorauth.answer import CaseAnswer, ItemAnswer


class Outcome(StrEnum):
    """What can be decided of one line."""

    AFFIRMED = "affirmed"
    NON_AFFIRMED = "non-affirmed"


class DecidedBy(StrEnum):
    """Who decided. Software only ever affirms. Source: WISeR Operational Guide 6.0, 4.1.2."""

    SOFTWARE = "software"
    CLINICIAN = "clinician"


@dataclass(frozen=True, slots=True)
class Grant:
    """Where what is affirmed differs from what was asked; None: as asked.

    `first_day` and `last_day` are both included and lie within the 120 days.
    """

    code: Code | None = None
    quantity: Decimal | None = None
    first_day: date | None = None
    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class ItemDetermination:
    """A decision about one line. `reasons` are X12 886 codes.

    A non-affirmation says why and how to ask again. Source: WISeR Operational Guide 6.0, 4.1.2.
    """

    sequence: int
    outcome: Outcome
    rationale: str | None = None
    resubmission_steps: str | None = None
    reasons: tuple[str, ...] = ()
    grant: Grant = Grant()
    answer: ItemAnswer = field(default_factory=ItemAnswer)


@dataclass(frozen=True, slots=True)
class Determination:
    """A decision about every undecided line of a case. `note` is for the provider."""

    items: tuple[ItemDetermination, ...]
    note: str | None = None
    answer: CaseAnswer = field(default_factory=CaseAnswer)


@dataclass(frozen=True, slots=True)
class ItemDecision:
    """A line's decision as kept. `code` to `last_day` are what is authorized, days included."""

    outcome: Outcome
    decided_by: DecidedBy
    decided_at: datetime
    code: Code | None
    quantity: Decimal | None
    first_day: date | None
    last_day: date | None
    rationale: str | None = None
    resubmission_steps: str | None = None
    reasons: tuple[str, ...] = ()
    answer: ItemAnswer = field(default_factory=ItemAnswer)


@dataclass(frozen=True, slots=True)
class DecidingClinician:
    """Who decided, as far as an answer tells. `specialty` is of the NUCC provider taxonomy."""

    npi: str | None
    specialty: str | None
