"""Values of the core with every field filled; a test names only the fields it is about."""

import secrets
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from wiser_fhir.audit.recorder import AuditRow
from wiser_fhir.clock import business_date
from wiser_fhir.coverage.requested import CPT, Code, RequestedService
from wiser_fhir.priorauth.models import (
    AnswerOrigin,
    Assessment,
    Beneficiary,
    CaseItem,
    CaseStatus,
    CoverageKind,
    Dismissal,
    DismissalReason,
    Finding,
    FindingStatus,
    Identifier,
    ItemRole,
    ItemStatus,
    Origin,
    Party,
    PartyRole,
    PriorAuthorization,
    Recommendation,
    RequestedItem,
    RequestKind,
    Submission,
    UtnState,
)
from wiser_fhir.priorauth.numbers import LocalUtnSource, new_reference, time_ordered_uuid
from wiser_fhir.priorauth.rows import DocumentFacts, SubmissionWrite, submission_write

RECEIVED = datetime(2026, 4, 7, 15, 30, tzinfo=UTC)
REQUESTER_NPI = "1234567893"
RENDERING_NPI = "1987654329"
ORDERING_NPI = "1112223338"

_MBI_LETTERS = "ACDEFGHJKMNPQRTUVWXY"


def an_mbi() -> str:
    """A well-formed member number that no other test uses."""
    letters = [secrets.choice(_MBI_LETTERS) for _ in range(4)]
    digits = f"{secrets.randbelow(10**6):06d}"
    return (
        f"{1 + secrets.randbelow(9)}{letters[0]}{digits[0]}{digits[1]}{letters[1]}{digits[2]}"
        f"{digits[3]}{letters[2]}{letters[3]}{digits[4:]}"
    )


def a_submission(organization_id: UUID, **changes: Any) -> Submission:
    """An initial request for one primary code and its add-on."""
    submission = Submission(
        organization_id=organization_id,
        identifier=Identifier("https://ehr.example/bundles", str(time_ordered_uuid())),
        trace=Identifier("https://ehr.example/traces", "trace-1"),
        kind=RequestKind.INITIAL,
        received_at=RECEIVED,
        expedite_requested=False,
        beneficiary=Beneficiary(an_mbi(), "Doe", "Jane", date(1950, 2, 3)),
        coverage=CoverageKind.ORIGINAL_MEDICARE,
        parties=(
            Party(PartyRole.REQUESTER, "Clinic", REQUESTER_NPI, "121234567", None, "PT1", "NJ"),
            Party(PartyRole.RENDERING, "Dr. A", RENDERING_NPI),
            Party(PartyRole.ORDERING, "Dr. B", ORDERING_NPI),
        ),
        diagnoses=("M54.16",),
        items=(an_item(1, "62321"), an_item(2, "77003")),
        forms=(),
        evidence=1,
    )
    return replace(submission, **changes)


def following(earlier: Submission, case: PriorAuthorization, by: UUID) -> Submission:
    """A resubmission of the same beneficiary's, sent by an organization; parties as usual."""
    return a_submission(
        by,
        beneficiary=earlier.beneficiary,
        kind=RequestKind.RESUBMISSION,
        previous_utn=case.utn,
    )


def an_item(sequence: int, code: str, day: date | None = date(2026, 4, 20)) -> RequestedItem:
    """A requested line of one unit."""
    return RequestedItem(
        sequence, RequestedService((Code(CPT, code),), day, "NJ", Decimal("1.5")), service_end=day
    )


def a_case(submission: Submission, status: CaseStatus, **changes: Any) -> PriorAuthorization:
    """The case a submission becomes when software affirms, pends or dismisses all of it."""
    item_status, note = {
        CaseStatus.AFFIRMED: (ItemStatus.AFFIRMED, None),
        CaseStatus.IN_REVIEW: (ItemStatus.PENDED, "in review"),
    }.get(status, (ItemStatus.NOT_APPLICABLE, "dismissed"))
    decided = status is CaseStatus.AFFIRMED
    first_day = business_date(submission.received_at)
    case = PriorAuthorization(
        id=time_ordered_uuid(),
        organization_id=submission.organization_id,
        status=status,
        reference=new_reference(),
        received_at=submission.received_at,
        decide_by=None
        if status is CaseStatus.DISMISSED
        else submission.received_at + timedelta(days=3),
        expedited=False,
        items=tuple(
            CaseItem(
                sequence=item.sequence,
                code=item.service.codes[0],
                role=ItemRole.PRIMARY if item.sequence == 1 else ItemRole.ADD_ON,
                status=item_status,
                date_of_service=item.service.date_of_service,
                note=note,
                service_end=item.service_end,
                quantity=item.service.quantity,
            )
            for item in submission.items
        ),
        service="epidural-steroid-injections",
        rules="epidural-steroid-injections/2026-01-15",
        assessment=Assessment(
            Recommendation.AFFIRM if decided else Recommendation.REVIEW,
            (Finding("pain-weeks", FindingStatus.MET, "At least four weeks."),),
            (
                AnswerOrigin("pain-weeks", Origin.AUTO, True),
                AnswerOrigin("agreed", Origin.OVERRIDE, False),
                AnswerOrigin("score", None, True),
            ),
        ),
        dismissal=Dismissal(DismissalReason.NON_WISER_SERVICE, "Send it elsewhere.")
        if status is CaseStatus.DISMISSED
        else None,
        decided_at=submission.received_at if decided else None,
        utn=LocalUtnSource().new(None) if decided else None,
        valid_from=first_day if decided else None,
        valid_until=first_day + timedelta(days=119) if decided else None,
        kind=submission.kind,
        utn_state=UtnState.ASSIGNED if decided else None,
        previous_utn=submission.previous_utn,
    )
    return replace(case, **changes)


def a_write(
    submission: Submission,
    case: PriorAuthorization,
    request_body: bytes = b'{"resourceType": "Bundle", "id": 100.10}',
    answer: bytes = b'{"resourceType": "Bundle"}',
) -> SubmissionWrite:
    """The rows of a case."""
    return submission_write(
        case,
        submission,
        line="2.2",
        request_body=request_body,
        answer=answer,
        answered_at=submission.received_at,
        audit=an_act(case),
        decision_key=bytes(32),
        documents=(DocumentFacts("DocumentReference", None, "application/pdf", 1200, b"\1" * 32),),
    )


def an_act(case: PriorAuthorization) -> AuditRow:
    """The audit row of a submission."""
    return AuditRow(
        request_id=time_ordered_uuid(),
        action="claim.submit",
        outcome=case.status,
        organization_id=case.organization_id,
        object_kind="prior-auth-case",
        object_id=str(case.id),
        patient=b"\0" * 32,
        detail={"reference": case.reference},
    )
