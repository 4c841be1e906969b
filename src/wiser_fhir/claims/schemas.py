"""Claims on the wire: what is asked and what is answered, in plain JSON."""

import re
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Self, TypeVar, cast
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    ValidationError,
    model_validator,
)

from wiser_fhir.errors import Problem, ProfileViolation
from wiser_fhir.priorauth.claim import NO_UTN_NEEDED, Claim, ClaimLine, LineAnswer, LineStatus
from wiser_fhir.priorauth.claims import ClaimAnswer
from wiser_fhir.priorauth.models import Site, SiteKind
from wiser_fhir.priorauth.prepayment import OpenedReview, Recommendation, ReviewState
from wiser_fhir.priorauth.rules import facility_type, is_mbi, is_npi

_DAY = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
_KEY = re.compile("[a-z_]{1,20}")
_MOST_LINES = 999  # X12 837, loop 2400


def _capitals(value: object) -> object:
    """Letters of other alphabets stay as they are: some have capitals that are ASCII."""
    return value.strip().upper() if isinstance(value, str) and value.isascii() else value


def _mbi(value: str) -> str:
    if not is_mbi(value):
        raise ValueError("this is no Medicare number")
    return value


def _npi(value: str) -> str:
    if not is_npi(value):
        raise ValueError("this is no NPI")
    return value


def _bill_type(value: str) -> str:
    if facility_type(value) is None:
        raise ValueError("this is no type of bill")
    return value


def _written(value: object) -> object:
    if not isinstance(value, str) or not _DAY.fullmatch(value):
        raise ValueError("a day is written as 2026-05-20")
    return value


def _some(lines: tuple["LineIn", ...]) -> tuple["LineIn", ...]:
    """As `min_length`, which also complains where the one line there is has a fault."""
    if not lines:
        raise ValueError("a claim has at least one line")
    return lines


def _counted(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError("units are a number")
    return value


def _number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


Capitals = BeforeValidator(_capitals)
Mbi = Annotated[
    str,
    BeforeValidator(lambda value: value.replace("-", "") if isinstance(value, str) else value),
    Capitals,
    AfterValidator(_mbi),
]
Npi = Annotated[str, AfterValidator(_npi)]
ProcedureCode = Annotated[str, Capitals, StringConstraints(pattern="^[A-Z0-9]{5}$")]
Modifier = Annotated[str, Capitals, StringConstraints(pattern="^[A-Z0-9]{2}$")]
StateCode = Annotated[str, Capitals, StringConstraints(pattern="^[A-Z]{2}$")]
Diagnosis = Annotated[str, Capitals, StringConstraints(pattern=r"^[A-Z][0-9A-Z.]{2,8}$")]
PlaceOfService = Annotated[str, StringConstraints(pattern="^[0-9]{2}$")]
BillType = Annotated[str, Capitals, AfterValidator(_bill_type)]
RevenueCode = Annotated[str, StringConstraints(pattern="^[0-9]{3,4}$")]
Number = Annotated[str, Capitals, StringConstraints(pattern="^[ -~]{1,50}$")]
Units = Annotated[Decimal, BeforeValidator(_counted), Field(gt=0, max_digits=8, decimal_places=3)]
Day = Annotated[date, BeforeValidator(_written)]
Count = Annotated[Decimal, PlainSerializer(_number)]


class Received(BaseModel):
    """Something that is sent to us. What it does not know it refuses."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class _Placed(Received):
    """Something with a place of service, on a professional claim, or a type of bill."""

    place_of_service: PlaceOfService | None = None
    bill_type: BillType | None = None

    @property
    def site(self) -> Site | None:
        """The place as the core has it."""
        if self.bill_type is not None:
            return Site(SiteKind.BILL_TYPE, self.bill_type)
        if self.place_of_service is not None:
            return Site(SiteKind.PLACE_OF_SERVICE, self.place_of_service)
        return None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if self.place_of_service is not None and self.bill_type is not None:
            raise ValueError("place_of_service or bill_type, not both")
        return self


class LineIn(_Placed):
    """One line as billed. `service_end` is the last day where there is more than one.

    A line's own place and UTN stand before the claim's (X12 837, loop 2400 before loop 2300).
    """

    line: Annotated[int, Field(ge=1, le=9_999, strict=True)]
    code: ProcedureCode
    modifiers: Annotated[tuple[Modifier, ...], Field(max_length=4)] = ()
    units: Units
    service_date: Day
    service_end: Day | None = None
    revenue_code: RevenueCode | None = None
    utn: Number | None = None

    @model_validator(mode="after")
    def _days_in_order(self) -> Self:
        if self.service_end is not None and self.service_end < self.service_date:
            raise ValueError("service_end lies before service_date")
        return self


class CheckIn(_Placed):
    """A claim, or what is to become one. `state` is where the service was delivered."""

    mbi: Mbi
    provider_npi: Npi
    state: StateCode | None = None
    diagnoses: Annotated[tuple[Diagnosis, ...], Field(max_length=25)] = ()
    utn: Number | None = None
    lines: Annotated[tuple[LineIn, ...], AfterValidator(_some), Field(max_length=_MOST_LINES)]

    @model_validator(mode="after")
    def _lines_told(self) -> Self:
        numbers = [line.line for line in self.lines]
        if len(set(numbers)) < len(numbers):
            raise ValueError("a line number stands twice")
        silent = [str(each.line) for each in self.lines if (each.site or self.site) is None]
        if silent:
            raise ValueError(f"neither a place nor a type of bill for line {', '.join(silent)}")
        return self

    def claim(self) -> Claim:
        """The claim as the core has it."""
        return Claim(
            mbi=self.mbi,
            provider_npi=self.provider_npi,
            lines=tuple(self._line(line) for line in self.lines),
            state=self.state,
            diagnoses=self.diagnoses,
        )

    def _line(self, line: LineIn) -> ClaimLine:
        return ClaimLine(
            number=line.line,
            code=line.code,
            units=line.units,
            first_day=line.service_date,
            last_day=line.service_end or line.service_date,
            site=cast(Site, line.site or self.site),  # `_lines_told` saw to it
            utn=line.utn or self.utn,
            modifiers=line.modifiers,
            revenue_code=line.revenue_code,
        )


class ClaimIn(CheckIn):
    """A claim that arrived at a MAC. `claim_number` is the MAC's own."""

    claim_number: Annotated[str, StringConstraints(pattern="^[!-~]{1,40}$")]


class Told(BaseModel):
    """Something that is sent by us."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class LineOut(Told):
    """What is said of a line. `status` is for software, `text` for people.

    `remaining` are the units open before the line, `newer` the number that took this one's place,
    `primary` the line that an associated code follows.
    """

    line: int
    status: LineStatus
    covered: bool
    utn_needed: bool
    text: str
    utn: str | None
    service: str | None
    newer: str | None
    remaining: Count | None
    primary: int | None

    @classmethod
    def of(cls, said: LineAnswer) -> Self:
        """The line as it is sent."""
        return cls(
            line=said.line,
            status=said.status,
            covered=said.status is LineStatus.COVERED,
            utn_needed=said.status not in (*NO_UTN_NEEDED, LineStatus.FOLLOWS_PRIMARY),
            text=said.text,
            utn=said.utn,
            service=said.service,
            newer=said.newer,
            remaining=said.remaining,
            primary=said.primary,
        )


class OpenedOut(Told):
    """A review before payment that the claim opened, and the number its documents go by."""

    id: UUID
    adr_number: str
    service: str
    lines: tuple[int, ...]
    documents_due: date

    @classmethod
    def of(cls, review: OpenedReview) -> Self:
        """The review as it is sent."""
        return cls.model_validate(review)


class ClaimOut(Told):
    """What is said of a claim. `id` is null of one that was only asked about."""

    id: UUID | None
    lines: tuple[LineOut, ...]
    reviews: tuple[OpenedOut, ...]

    @classmethod
    def of(cls, answer: ClaimAnswer) -> Self:
        """The answer as it is sent."""
        return cls(
            id=answer.id,
            lines=tuple(map(LineOut.of, answer.lines)),
            reviews=tuple(map(OpenedOut.of, answer.reviews)),
        )


class ReviewOut(Told):
    """A review before payment as its MAC reads it."""

    id: UUID
    claim_id: UUID
    claim_number: str
    service: str
    adr_number: str
    state: ReviewState
    asked_at: datetime
    documents_due: date
    documents_at: datetime | None
    due_at: datetime
    recommendation: Recommendation | None
    rationale: str | None
    reasons: tuple[str, ...]
    ended_at: datetime | None
    reported_at: datetime | None


class ReviewsOut(Told):
    """A page of reviews, the oldest first. `next` is where the page after it begins, or null."""

    reviews: tuple[ReviewOut, ...]
    next: UUID | None


Body = TypeVar("Body", bound=Received)


def read_check(parsed: dict[str, Any]) -> CheckIn:
    """The body of a check. Raises ProfileViolation with everything that is wrong."""
    return _read(CheckIn, parsed)


def read_claim(parsed: dict[str, Any]) -> ClaimIn:
    """The body of a claim that arrived. Raises ProfileViolation with everything that is wrong."""
    return _read(ClaimIn, parsed)


def _read(model: type[Body], parsed: dict[str, Any]) -> Body:
    try:
        return model.model_validate(parsed)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        problems = [Problem("error", "value", each["msg"], _path(each["loc"])) for each in faults]
    raise ProfileViolation("The claim cannot be read.", problems)


def _path(steps: tuple[int | str, ...]) -> str | None:
    """Where it stands: `lines[0].units`. None for the body as a whole.

    A key is repeated only if it can be one of ours: it might be a person's.
    """
    path = ""
    for step in steps:
        if isinstance(step, str) and not _KEY.fullmatch(step):
            break
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.removeprefix(".") or None
