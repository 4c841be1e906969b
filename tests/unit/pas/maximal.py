"""Answers that between them say everything an answer can, about one request that says as much."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests.bundles import Line, valid_npi
from tests.conformance.inferno.pas.build import everything
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.fhir import codes
from wiser_fhir.pas.claim_response import Renderer
from wiser_fhir.pas.reject_reasons import RejectReasons
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.answer import (
    AddedItem,
    AuthorizedProvider,
    CaseAnswer,
    GrantedDetail,
    ItemAnswer,
    Money,
    StatedError,
    Stay,
)
from wiser_fhir.priorauth.determination import (
    DecidedBy,
    DecidingClinician,
    ItemDecision,
    Outcome,
)
from wiser_fhir.priorauth.information import InformationRequest, Material, Wanted
from wiser_fhir.priorauth.models import (
    CaseItem,
    CaseStatus,
    Dismissal,
    DismissalReason,
    ItemRole,
    ItemStatus,
    PriorAuthorization,
    RequestKind,
    UtnState,
)

BASES: dict[Line, str] = {"2.2": "https://payer.test/fhir", "2.0": "https://payer.test/v2.0/fhir"}
RECEIVED = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
DECIDED = datetime(2026, 11, 22, 14, 30, tzinfo=UTC)
UTN, EARLIER_UTN = "ZZB00000000002", "ZZB00000000001"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
PAIN_MEDICINE = "208VP0000X"
RENDERING = valid_npi("199999020")
ELSEWHERE = valid_npi("199999077")
_RANGE_END = codes.PRODUCT_OR_SERVICE_CODE_END
FIRST, LAST = date(2026, 11, 22), date(2027, 3, 21)

PROVIDERS = (
    AuthorizedProvider(
        npi=RENDERING, entity="SJ", role="primary", qualification=PAIN_MEDICINE, name="Dr. T."
    ),
    AuthorizedProvider(npi=ELSEWHERE, name="Made-up Surgical Center elsewhere", entity="FA"),
)
SAID = ItemAnswer(
    providers=PROVIDERS,
    admission=Stay(date(2026, 12, 15), date(2026, 12, 16)),
    discharge=date(2026, 12, 16),
    diagnoses=(Code(ICD_10_CM, "M54.16"), Code(ICD_10_CM, "M48.061")),
    notes=("Affirmed for the level asked for.",),
    second_opinion=False,
)
DETAIL = GrantedDetail(
    modifiers=("50", "RT"),
    code_end=Code(CPT, "64484"),
    unit_price=Money(Decimal("250.50")),
    epsdt=False,
    care_level="1",
    residential_status="2",
    revenue_code="0360",
    rate_limit=Decimal("100.25"),
    request_type="HS",
    certification_type="I",
    place_of_service="22",
)
ADDED = AddedItem(
    sequence=9,
    code=Code(CPT, "77003"),
    quantity=Decimal(2),
    first_day=date(2026, 12, 15),
    last_day=date(2026, 12, 20),
    answer=replace(SAID, detail=DETAIL, notes=("Guidance goes with it.",)),
)
ERROR = StatedError(
    code="33",
    followup="C",
    path="Bundle.entry[0].resource.item[1].quantity",
    element="2000F SV107",
    sequence=2,
    note="More units were asked for than one visit takes.",
)
ANSWER = CaseAnswer(
    added=(ADDED,),
    errors=(ERROR,),
    notes=("Keep the imaging report with the chart.",),
    providers=PROVIDERS,
    overall=True,
    second_opinion=False,
)


def decision(outcome: Outcome, **fields: Any) -> ItemDecision:
    """A clinician's, as asked where nothing else is said."""
    affirmed = outcome is Outcome.AFFIRMED
    usual: dict[str, Any] = {
        "outcome": outcome,
        "decided_by": DecidedBy.CLINICIAN,
        "decided_at": DECIDED,
        "code": None,
        "quantity": None,
        "first_day": FIRST if affirmed else None,
        "last_day": LAST if affirmed else None,
    }
    return ItemDecision(**usual | fields)


def item(sequence: int, status: ItemStatus, **fields: Any) -> CaseItem:
    """A line of the request."""
    usual: dict[str, Any] = {
        "code": Code(CPT, "64483" if sequence == 1 else "64484"),
        "role": ItemRole.PRIMARY if sequence == 1 else ItemRole.ADD_ON,
        "date_of_service": date(2026, 12, 15),
        "service_end": date(2026, 12, 15),
        "quantity": Decimal(1),
        "former_utn": EARLIER_UTN,
    }
    return CaseItem(sequence=sequence, status=status, **usual | fields)


def case(status: CaseStatus, *items: CaseItem, **fields: Any) -> PriorAuthorization:
    """A resubmission that has been updated once."""
    usual: dict[str, Any] = {
        "id": UUID("0197d6a4-0000-7000-8000-000000000001"),
        "organization_id": UUID(int=1),
        "reference": "R00000000000001",
        "received_at": RECEIVED,
        "decide_by": datetime(2026, 11, 23, 16, 0, tzinfo=UTC),
        "expedited": False,
        "kind": RequestKind.RESUBMISSION,
        "revision": 2,
        "superseded_utn": EARLIER_UTN,
        "previous_utn": "ZZB00000000000",
    }
    return PriorAuthorization(status=status, items=items, **usual | fields)


DETERMINED: dict[str, Any] = {
    "decided_at": DECIDED,
    "utn": UTN,
    "utn_state": UtnState.ASSIGNED,
    "valid_from": FIRST,
    "valid_until": LAST,
    "reviewed_by_person": True,
    "clinician": DecidingClinician(valid_npi("199999066"), PAIN_MEDICINE),
    "answer": ANSWER,
}
AFFIRMED = case(
    CaseStatus.AFFIRMED,
    item(
        1,
        ItemStatus.AFFIRMED,
        decision=decision(
            Outcome.AFFIRMED,
            code=Code(CPT, "64479"),
            quantity=Decimal(1),
            rationale="One level of another region.",
            answer=replace(SAID, detail=DETAIL),
        ),
    ),
    item(2, ItemStatus.AFFIRMED, decision=decision(Outcome.AFFIRMED, answer=SAID)),
    **DETERMINED,
)
PARTIAL = case(
    CaseStatus.PARTIALLY_AFFIRMED,
    item(1, ItemStatus.AFFIRMED, decision=decision(Outcome.AFFIRMED)),
    item(
        2,
        ItemStatus.NON_AFFIRMED,
        decision=decision(
            Outcome.NON_AFFIRMED,
            rationale="No imaging report shows a second level.",
            resubmission_steps="Send the report of the MRI.",
            reasons=("documentation-missing", "not-considered", "T1"),
            answer=SAID,
        ),
    ),
    **DETERMINED | {"answer": CaseAnswer(overall=True)},
)
PENDED = case(
    CaseStatus.IN_REVIEW,
    item(1, ItemStatus.PENDED),
    item(2, ItemStatus.CANCELLED),
    answer=CaseAnswer(notes=("Two documents are needed.",), overall=True),
    requests=(
        InformationRequest(
            id=UUID("0197d6a4-0000-7000-8000-00000000000a"),
            kind=Material.DOCUMENTS,
            asked_at=datetime(2026, 11, 21, 15, 0, tzinfo=UTC),
            due_at=datetime(2026, 11, 23, 16, 0, tzinfo=UTC),
            wanted=(
                Wanted(code="11506-3", lines=(1,), diagnosis="M54.16", modifier="18805-2"),
                Wanted(code="18748-4"),
            ),
            note="The notes of the last visit.",
        ),
        InformationRequest(
            id=UUID("0197d6a4-0000-7000-8000-00000000000b"),
            kind=Material.QUESTIONNAIRE,
            asked_at=datetime(2026, 11, 21, 15, 0, tzinfo=UTC),
            due_at=datetime(2026, 11, 23, 16, 0, tzinfo=UTC),
            wanted=(
                Wanted(
                    questionnaire="https://wiser-fhir.example/fhir/Questionnaire/"
                    "epidural-steroid-injection|2026-01-15"
                ),
            ),
        ),
    ),
)
CANCELLED = case(
    CaseStatus.CANCELLED,
    item(1, ItemStatus.CANCELLED),
    item(2, ItemStatus.CANCELLED),
    decided_at=DECIDED,
)
DISMISSED = case(
    CaseStatus.DISMISSED,
    item(1, ItemStatus.NOT_APPLICABLE),
    item(2, ItemStatus.NOT_APPLICABLE),
    decided_at=DECIDED,
    dismissal=Dismissal(DismissalReason.EXEMPT_PROVIDER, "Bill it."),
)
BY_FAX = replace(AFFIRMED, answer=replace(ANSWER, claim_absent=True))
WAITING = replace(AFFIRMED, utn=None, utn_state=UtnState.PENDING)

CASES = {
    "affirmed": AFFIRMED,
    "partially affirmed": PARTIAL,
    "pended": PENDED,
    "cancelled": CANCELLED,
    "dismissed": DISMISSED,
    "without a Claim": BY_FAX,
    "waiting for its number": WAITING,
}


def request(line: Line) -> RequestBundle:
    """A request that says all that a request may, but for one thing: an order with the end of a
    range of codes, which the order's own profile asks for and the extension does not allow."""
    bundle = everything(line)
    for entry in bundle["entry"]:
        order = entry["resource"]
        if order["resourceType"] == "ServiceRequest":
            others = (e for e in order.get("extension", ()) if e["url"] != _RANGE_END)
            order["extension"] = list(others)
    return RequestBundle.of(bundle)


def renderer(line: Line) -> Renderer:
    """What writes the answers of a line."""
    return Renderer(line, BASES[line], RejectReasons.load())
