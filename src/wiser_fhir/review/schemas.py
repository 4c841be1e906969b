"""What people send to the review door."""

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from wiser_fhir.coverage.requested import LEAST_UNITS, MOST_UNITS, Code
from wiser_fhir.priorauth.answer import CaseAnswer, ItemAnswer, can_be_seen
from wiser_fhir.priorauth.asked import Asked
from wiser_fhir.priorauth.determination import Determination, Grant, ItemDetermination, Outcome
from wiser_fhir.priorauth.information import Material, Wanted
from wiser_fhir.priorauth.peer_to_peer import PeerRequest, PeerState
from wiser_fhir.review.queue_schemas import Instant

_MOST_LINES = 500
_MOST_ASKED = 50
_NUMBER = re.compile(r"[0-9]+(\.[0-9]+)?")


def _plain_number(value: object) -> object:
    """In quotes, where a float would not be exact, it is digits of ASCII and nothing else."""
    if isinstance(value, bool) or not _NUMBER.fullmatch(str(value)):
        raise ValueError("a quantity is a number such as 2.5")
    return Decimal(str(value))


def _seen(text: str) -> str:
    if not can_be_seen(text):
        raise ValueError("there is nothing to be seen in this text")
    return text


Seen = AfterValidator(_seen)
Revision = Annotated[int, Field(ge=1, lt=2**31, description="The one that was looked at.")]
Sequence = Annotated[int, Field(ge=1, lt=2**31)]
Prose = Annotated[str, Field(min_length=1, max_length=10_000), Seen]
Short = Annotated[str, Field(min_length=1, max_length=500), Seen]
CodeText = Annotated[str, Field(pattern="^[!-~]{1,200}$")]
Quantity = Annotated[
    Decimal,
    BeforeValidator(_plain_number),
    Field(ge=LEAST_UNITS, le=MOST_UNITS, decimal_places=3),
]
Day = Annotated[date, Field(ge=date(2000, 1, 1), lt=date(2200, 1, 1))]


class Sent(BaseModel):
    """A body: what it does not know, it refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CodeIn(Sent):
    """A code of a code system."""

    system: CodeText
    code: CodeText


class GrantIn(Sent):
    """Where what is affirmed differs from what was asked; null: as asked. Days are included."""

    code: CodeIn | None = None
    quantity: Quantity | None = None
    first_day: Day | None = None
    last_day: Day | None = None

    def plain(self) -> Grant:
        """As the core has it."""
        code = None if self.code is None else Code(self.code.system, self.code.code)
        return Grant(code, self.quantity, self.first_day, self.last_day)


class ItemDeterminationIn(Sent):
    """A decision about one line. A non-affirmation says why, and how to ask again."""

    sequence: Sequence
    outcome: Outcome
    rationale: Prose | None = None
    resubmission_steps: Prose | None = None
    reasons: Annotated[tuple[CodeText, ...], Field(max_length=_MOST_ASKED)] = ()
    grant: GrantIn = GrantIn()
    answer: ItemAnswer = ItemAnswer()

    def plain(self) -> ItemDetermination:
        """As the core has it."""
        return ItemDetermination(
            sequence=self.sequence,
            outcome=self.outcome,
            rationale=self.rationale,
            resubmission_steps=self.resubmission_steps,
            reasons=self.reasons,
            grant=self.grant.plain(),
            answer=self.answer,
        )


class DeterminationIn(Sent):
    """A decision about every undecided line of a case. `note` is for the provider."""

    revision: Revision
    items: Annotated[tuple[ItemDeterminationIn, ...], Field(min_length=1, max_length=_MOST_LINES)]
    note: Prose | None = None
    answer: CaseAnswer = CaseAnswer()

    def plain(self) -> Determination:
        """As the core has it."""
        items = tuple(item.plain() for item in self.items)
        return Determination(items=items, note=self.note, answer=self.answer)


class WantedIn(Sent):
    """A document by its LOINC code, or a form by its canonical with its version."""

    code: CodeText | None = None
    questionnaire: CodeText | None = None
    lines: Annotated[tuple[Sequence, ...], Field(max_length=_MOST_LINES)] = ()
    diagnosis: CodeText | None = None
    modifier: CodeText | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if (self.code is None) == (self.questionnaire is None):
            raise ValueError("either a document by its code or a form is asked for")
        return self

    def plain(self) -> Wanted:
        """As the core has it."""
        return Wanted(**self.model_dump())


class AskedIn(Sent):
    """Material of one kind. `note` is for the provider; without `due_at` due by the deadline."""

    kind: Material
    wanted: Annotated[tuple[WantedIn, ...], Field(min_length=1, max_length=_MOST_ASKED)]
    note: Prose | None = None
    due_at: Instant | None = None

    def plain(self) -> Asked:
        """As the core has it."""
        wanted = tuple(each.plain() for each in self.wanted)
        return Asked(kind=self.kind, wanted=wanted, note=self.note, due_at=self.due_at)


class RequestsIn(Sent):
    """What is asked for before deciding, one request for each kind of material."""

    revision: Revision
    requests: Annotated[tuple[AskedIn, ...], Field(min_length=1, max_length=len(Material))]


class NoteIn(Sent):
    """A note for those who review."""

    text: Prose


class AssignmentIn(Sent):
    """Whom a case is given to; without `person_id` the caller takes it."""

    person_id: UUID | None = None


class ExpediteIn(Sent):
    """Whether the risk is seen. A `reason` goes with false, and to the provider with the notice."""

    revision: Revision
    confirmed: bool
    reason: Prose | None = None

    @model_validator(mode="after")
    def _says_why_not(self) -> Self:
        if self.confirmed == (self.reason is not None):
            raise ValueError("a reason goes with what is not confirmed, and only with that")
        return self


class PeerRequestIn(Sent):
    """Three times the provider offers, how to reach it, and the NUCC specialty it asks for."""

    revision: Revision
    slots: Annotated[tuple[Instant, ...], Field(min_length=3, max_length=3)]
    contact: Short
    specialty: CodeText

    def plain(self) -> PeerRequest:
        """As the core has it."""
        return PeerRequest(slots=self.slots, contact=self.contact, specialty=self.specialty)


class ScheduleIn(Sent):
    """Which of the times it is, and who talks; without `clinician_id` the caller."""

    state: Literal[PeerState.SCHEDULED]
    slot: Instant
    clinician_id: UUID | None = None


class PeerEndIn(Sent):
    """What became of a conversation. Held: `outcome` tells what came of it."""

    state: Literal[PeerState.HELD, PeerState.DECLINED, PeerState.MISSED]
    outcome: Prose | None = None


PeerChangeIn = Annotated[ScheduleIn | PeerEndIn, Field(discriminator="state")]


class MeOut(BaseModel):
    """Who calls. `licensed` tells whether the licence is in force today."""

    model_config = ConfigDict(frozen=True)

    id: UUID
    name: str
    roles: tuple[str, ...]
    npi: str | None
    specialty: str | None
    licence_expires: date | None
    licensed: bool
