"""The plain values of the core: a request as understood, and the case it becomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from wiser_fhir.coverage.process import GateName
from wiser_fhir.coverage.requested import Code, RequestedService
from wiser_fhir.priorauth.answer import CaseAnswer
from wiser_fhir.priorauth.determination import DecidingClinician, ItemDecision
from wiser_fhir.priorauth.form_items import FormLayout
from wiser_fhir.priorauth.information import InformationRequest

AnswerValue = bool | int | Decimal | str | date | tuple[str, ...]


class PartyRole(StrEnum):
    """What somebody is to a request."""

    REQUESTER = "requester"
    ORDERING = "ordering"
    RENDERING = "rendering"
    FACILITY = "facility"


class CoverageKind(StrEnum):
    """Whose insurance the focal Coverage is, as far as the request says."""

    ORIGINAL_MEDICARE = "original-medicare"
    MEDICARE_ADVANTAGE = "medicare-advantage"
    MEDICAID = "medicaid"
    RAILROAD = "railroad"
    UNKNOWN = "unknown"


class RequestKind(StrEnum):
    """What a submission asks for."""

    INITIAL = "initial"
    RESUBMISSION = "resubmission"


class SiteKind(StrEnum):
    """Which code set names a place of service."""

    PLACE_OF_SERVICE = "place-of-service"
    BILL_TYPE = "bill-type"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Identifier:
    """A business identifier."""

    system: str | None
    value: str


@dataclass(frozen=True, slots=True)
class Party:
    """A provider in its role. Identifiers as sent, unchecked; None where the request is silent."""

    role: PartyRole
    name: str | None = None
    npi: str | None = None
    tin: str | None = None
    ccn: str | None = None
    ptan: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Beneficiary:
    """The person the service is for. `mbi` as sent, trimmed and upper-cased, dashes removed.

    `name_expected` is False where an answer is due before anybody has to tell the name.
    """

    mbi: str | None
    family: str | None
    given: str | None
    birth_date: date | None
    name_expected: bool = True


@dataclass(frozen=True, slots=True)
class Site:
    """Where a service is delivered: a place of service (`11`) or a type of bill (`13X`)."""

    kind: SiteKind
    code: str


class ItemChange(StrEnum):
    """How an update says that a line differs from the request before it."""

    ADDED = "added"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Change:
    """What makes a submission an update: it replaces an earlier request.

    `earlier` are the trace numbers by which it names that request. `whole` cancels all of it.
    `materials` are the sequences of its supporting information, cancelled ones included; `retold`
    says that some of it is marked as added or changed.
    Source: PAS 2.2.1 §spec-65 to §spec-72.
    """

    earlier: tuple[Identifier, ...]
    whole: bool = False
    materials: frozenset[int] = frozenset()
    retold: bool = False


@dataclass(frozen=True, slots=True)
class RequestedItem:
    """One line of a request. `sequence` traces it through every answer.

    In an update `change` says how it differs from before, and `cancelled` that it is wanted no
    more.
    """

    sequence: int
    service: RequestedService
    service_end: date | None = None
    modifiers: tuple[str, ...] = ()
    revenue_code: str | None = None
    site: Site | None = None
    change: ItemChange | None = None
    cancelled: bool = False


class Origin(StrEnum):
    """Who gave an answer: software, a person over what software had filled, or a person alone.

    Source: DTR 2.2.0 and 2.0.1, information-origin.
    """

    AUTO = "auto"
    OVERRIDE = "override"
    MANUAL = "manual"


class GivenAs(StrEnum):
    """The type in which a form gave an answer."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    DECIMAL = "decimal"
    DATE = "date"
    INSTANT = "instant"
    TEXT = "text"
    OPTION = "option"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of a form. `origin` is None where the form does not say who gave it.

    `given_as` is None where the door it came in by knows of no types but ours. `by_clinician` is
    False where the form names somebody for it who is none: the patient, an organization, a device.
    """

    value: AnswerValue
    origin: Origin | None = None
    given_as: GivenAs | None = field(default=None, compare=False)
    by_clinician: bool = field(default=True, compare=False)

    @property
    def by_software(self) -> bool:
        """Whether software filled it, also where a person changed it afterwards."""
        return self.origin in (Origin.AUTO, Origin.OVERRIDE)


@dataclass(frozen=True, slots=True)
class CompletedForm:
    """A QuestionnaireResponse as read. `answers` by question id (linkId).

    `questionnaire` is the canonical without its version, `version` what stood behind the bar.
    `unreadable` are the questions with something under them that is no answer we can read.
    `layout` is None where the door it came in by shows our own form.
    """

    questionnaire: str | None
    version: str | None
    completed: bool
    about_the_patient: bool
    authored: datetime | None
    answers: Mapping[str, Answer]
    unreadable: frozenset[str] = frozenset()
    layout: FormLayout | None = None


@dataclass(frozen=True, slots=True)
class ChartRecord:
    """What one record of the patient's chart says that came with a request.

    `days` are those by which its time may be told, `moment` the instant where it tells one. `value`
    is in `unit`, a UCUM code. `negative` when it says that what it names is not so, `planned` when
    it is an order only. A record of which only the codes are known can be compared with nothing.
    `settled` is False where a record does not stand (yet), as one that is preliminary.
    """

    codes: frozenset[Code]
    days: tuple[date, ...] = ()
    moment: datetime | None = None
    value: Decimal | None = None
    unit: str | None = None
    negative: bool = False
    planned: bool = False
    settled: bool = True


@dataclass(frozen=True, slots=True)
class Document:
    """A clinical document or result that came with a request; its bytes are in the request's.

    `kind` is the FHIR resource type, `reference` its fullUrl, `size` the decoded bytes of its data.
    """

    kind: str
    reference: str
    content_type: str | None
    size: int


class Previous(StrEnum):
    """What the number that a resubmission names turns out to be."""

    NON_AFFIRMED = "non-affirmed"
    AFFIRMED = "affirmed"
    ANOTHERS = "anothers"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Submission:
    """A prior-authorization request, whichever door it came in by.

    `evidence` counts what the request carries of clinical documents and results: DocumentReferences
    with data, DiagnosticReports, Observations, Procedures. `doubts` are contradictions in the
    request that a person has to look at, in plain words. `chart` is what came along of the
    patient's chart. `previous_utn` is set on a resubmission, `change` on an update. `previous` is
    what that number is, None where nobody has looked.
    """

    organization_id: UUID
    identifier: Identifier
    trace: Identifier
    kind: RequestKind
    received_at: datetime
    expedite_requested: bool
    beneficiary: Beneficiary
    coverage: CoverageKind
    parties: tuple[Party, ...]
    diagnoses: tuple[str, ...]
    items: tuple[RequestedItem, ...]
    forms: tuple[CompletedForm, ...]
    evidence: int
    doubts: tuple[str, ...] = ()
    documents: tuple[Document, ...] = ()
    chart: tuple[ChartRecord, ...] = ()
    previous_utn: str | None = None
    change: Change | None = None
    previous: Previous | None = None


class DismissalReason(StrEnum):
    """Why a request is closed without medical review. Source: WISeR Operational Guide 6.0, 4.1."""

    WRONG_PARTICIPANT_OR_MAC = "wrong-participant-or-mac"
    NON_WISER_SERVICE = "non-wiser-service"
    MEDICARE_ADVANTAGE_OR_MEDICAID = "medicare-advantage-or-medicaid"
    INVALID_BENEFICIARY = "invalid-missing-or-deceased-mbi-or-name"
    INVALID_BILLING_INFORMATION = "invalid-or-missing-billing-information"
    INELIGIBLE_PROVIDER = "ineligible-provider"
    EXEMPT_PROVIDER = "exempt-provider"
    DUPLICATE = "duplicate-before-determination"


@dataclass(frozen=True, slots=True)
class Dismissal:
    """An administrative end, not a denial. `detail` tells the provider what to do, in our words.

    `gate` is where it ended; None for a duplicate, and for what is read back: a case keeps none.
    """

    reason: DismissalReason
    detail: str
    gate: GateName | None = field(default=None, compare=False)


class FindingStatus(StrEnum):
    """How one criterion stands."""

    MET = "met"
    UNMET = "unmet"
    UNANSWERED = "unanswered"
    NEEDS_JUDGEMENT = "needs-judgement"


@dataclass(frozen=True, slots=True)
class Finding:
    """One criterion and how it stands. `criterion` is a question id, or the name of a gate.

    `internal` is what is about the payer and not about the request: for its own people alone.
    """

    criterion: str
    status: FindingStatus
    text: str
    internal: bool = False


class Recommendation(StrEnum):
    """All that software may conclude. There is no third value: only a clinician non-affirms.

    Source: WISeR Operational Guide 6.0, 4.1.2.
    """

    AFFIRM = "affirm"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class AnswerOrigin:
    """Who gave the answer of a question, and whether it was held against the rules."""

    question: str
    origin: Origin | None
    counted: bool


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the rules say of a request, with a finding for every criterion looked at.

    `answers` says of each question answered who did, for those who look at the case later.
    """

    recommendation: Recommendation
    findings: tuple[Finding, ...]
    answers: tuple[AnswerOrigin, ...] = ()


class ItemRole(StrEnum):
    """What a requested line is to WISeR."""

    PRIMARY = "primary"
    ADD_ON = "add-on"
    ASSOCIATED = "associated"
    NOT_WISER = "not-wiser"


class ItemStatus(StrEnum):
    """Where one line of a case stands."""

    PENDED = "pended"
    AFFIRMED = "affirmed"
    NON_AFFIRMED = "non-affirmed"
    NOT_APPLICABLE = "not-applicable"
    CANCELLED = "cancelled"


class CaseStatus(StrEnum):
    """Where a case stands."""

    DISMISSED = "dismissed"
    IN_REVIEW = "in-review"
    AFFIRMED = "affirmed"
    PARTIALLY_AFFIRMED = "partially-affirmed"
    NON_AFFIRMED = "non-affirmed"
    CANCELLED = "cancelled"


_DETERMINED = frozenset(
    {CaseStatus.AFFIRMED, CaseStatus.PARTIALLY_AFFIRMED, CaseStatus.NON_AFFIRMED}
)


@dataclass(frozen=True, slots=True)
class ClassifiedItem:
    """A requested line and what it is to the service asked for. `code` is the coding that told."""

    item: RequestedItem
    role: ItemRole
    code: Code


@dataclass(frozen=True, slots=True)
class CaseItem:
    """One line of a case. `former_utn` is the last number of the case, before that of its present
    revision, under which this line was decided."""

    sequence: int
    code: Code
    role: ItemRole
    status: ItemStatus
    date_of_service: date | None
    note: str | None = None
    service_end: date | None = None
    quantity: Decimal | None = None
    decision: ItemDecision | None = field(default=None, compare=False)
    site: Site | None = None
    former_utn: str | None = None


class UtnState(StrEnum):
    """Where the number of a decided case stands."""

    PENDING = "pending"
    ASSIGNED = "assigned"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class PriorAuthorization:
    """A case. `reference` is our number while it is pended; `utn` None until one is assigned.

    `valid_from` and `valid_until` are both included. `rules` names the rule file that decided.
    `assertions` are the ids of earlier CRD answers that came with the request and are the
    organization's own; `remarks` say in plain words where the decision departs from one.

    `revision` counts the requests that made the case what it is: every update is one more.
    `requests` are what was asked for since the present one came. `superseded_utn` is the number
    that the case had before this revision, `superseded_until` its last valid day while it still
    stands, `previous_utn` the number of the case a resubmission follows.
    """

    id: UUID
    organization_id: UUID
    status: CaseStatus
    reference: str
    received_at: datetime
    decide_by: datetime | None
    expedited: bool
    items: tuple[CaseItem, ...]
    service: str | None = None
    rules: str | None = None
    assessment: Assessment | None = None
    dismissal: Dismissal | None = None
    decided_at: datetime | None = None
    utn: str | None = None
    valid_from: date | None = None
    valid_until: date | None = None
    reviewed_by_person: bool = False
    assertions: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    kind: RequestKind = RequestKind.INITIAL
    revision: int = 1
    answer: CaseAnswer = field(default_factory=CaseAnswer)
    requests: tuple[InformationRequest, ...] = ()
    clinician: DecidingClinician | None = None
    utn_state: UtnState | None = None
    superseded_utn: str | None = None
    superseded_until: date | None = None
    previous_utn: str | None = None
    expedite_confirmed: bool | None = None

    @property
    def decided(self) -> bool:
        """Whether there is a determination, which an update may still supersede."""
        return self.status in _DETERMINED
