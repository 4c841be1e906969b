"""A submission and its case as the rows they become, and a case read back from its rows."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

from wiser_fhir.audit.decision_mac import decision_mac
from wiser_fhir.audit.decisions import DETERMINATIONS
from wiser_fhir.audit.recorder import AuditRow
from wiser_fhir.coverage.requested import Code
from wiser_fhir.priorauth.answer import CaseAnswer, ItemAnswer
from wiser_fhir.priorauth.deciding import countable
from wiser_fhir.priorauth.determination import (
    DecidedBy,
    DecidingClinician,
    ItemDecision,
    Outcome,
)
from wiser_fhir.priorauth.information import (
    InformationRequest,
    Material,
    RequestState,
    Wanted,
)
from wiser_fhir.priorauth.models import (
    AnswerOrigin,
    Assessment,
    Beneficiary,
    CaseItem,
    CaseStatus,
    Dismissal,
    DismissalReason,
    Finding,
    FindingStatus,
    ItemRole,
    ItemStatus,
    Origin,
    Party,
    PartyRole,
    PriorAuthorization,
    Recommendation,
    RequestKind,
    Site,
    SiteKind,
    Submission,
    UtnState,
)
from wiser_fhir.priorauth.numbers import time_ordered_uuid

_DECIDED = (ItemStatus.AFFIRMED, ItemStatus.NON_AFFIRMED)
_LONGEST_KEY = 500  # characters of at most four bytes; a b-tree entry has room for 2,700 bytes


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """What came with a request, described; the document itself is in the stored body."""

    kind: str
    title: str | None = None
    content_type: str | None = None
    size: int | None = None
    sha256: bytes | None = None


@dataclass(frozen=True, slots=True)
class SubmissionWrite:
    """All the rows of one new submission: its fields become the parameters of `sql/submit.sql`.

    Nothing is sealed yet: the repository does that.

    `item_*`, `party_*`, `decided_*` and `document_*` are columns: one entry per row.
    """

    organization_id: UUID
    case_id: UUID
    identifier_system: str
    identifier_value: str
    line: str
    received_at: datetime
    answered_at: datetime
    check_twin: bool
    twin_npis: list[str]
    request_message_id: UUID
    request_body: bytes
    request_sha256: bytes
    request_length: int
    answer_id: UUID
    answer_body: bytes
    answer_sha256: bytes
    answer_length: int
    kind: str
    status: str
    reference: str
    service: str | None
    rules: str | None
    decide_by: datetime | None
    expedite_requested: bool
    expedited: bool
    beneficiary: Beneficiary
    state: str | None
    coverage: str
    trace_system: str | None
    trace_value: str
    trace_key: str
    previous_utn: str | None
    assessment: dict[str, Any] | None
    with_form: bool
    findings: list[list[str]] | None
    dismissal_reason: str | None
    dismissal_detail: str | None
    decided_at: datetime | None
    valid_from: date | None
    valid_until: date | None
    assertions: list[str]
    remarks: list[str]
    utn: str | None
    utn_source: str
    orders_utn: bool
    item_sequence: list[int]
    item_system: list[str]
    item_code: list[str]
    item_role: list[str]
    item_status: list[str]
    item_date: list[date | None]
    item_end: list[date | None]
    item_quantity: list[Decimal | None]
    item_note: list[str | None]
    item_site_kind: list[str | None]
    item_site_code: list[str | None]
    party_role: list[str]
    party_npi: list[str | None]
    party_tin: list[str | None]
    party_ccn: list[str | None]
    party_ptan: list[str | None]
    party_name: list[str | None]
    party_state: list[str | None]
    decided_sequence: list[int]
    decided_outcome: list[str]
    decided_system: list[str]
    decided_code: list[str]
    decided_quantity: list[Decimal | None]
    decided_mac: list[bytes | None]
    document_kind: list[str]
    document_title: list[str | None]
    document_content_type: list[str | None]
    document_size: list[int | None]
    document_sha256: list[bytes | None]
    letter_id: UUID
    request_id: UUID
    client_id: UUID | None
    patient: bytes | None
    audit_action: str
    audit_outcome: str
    audit_object_kind: str | None
    audit_object_id: str | None
    audit_detail: str


def submission_write(
    case: PriorAuthorization,
    submission: Submission,
    *,
    line: str,
    request_body: bytes,
    answer: bytes,
    answered_at: datetime,
    audit: AuditRow,
    decision_key: bytes,
    documents: Sequence[DocumentFacts] = (),
    utn_source: str = "local",
) -> SubmissionWrite:
    """The rows of a case as decided by software. `request_body` and `answer` are the wire's bytes.

    A resubmission is no duplicate, and a dismissed request is not asked again. Determinations bear
    a MAC by `decision_key`, and the audit row tells how many there are.
    """
    dismissed = case.dismissal
    hashes = {"request-sha256": sha256(request_body), "answer-sha256": sha256(answer)}
    sealed = {name: digest.hexdigest() for name, digest in hashes.items()}
    rules = {} if case.rules is None else {"rules": case.rules}
    lines = _item_columns(case, submission)
    decided = {DETERMINATIONS: len(lines["decided_sequence"])}
    audited = replace(audit, detail={**audit.detail, **rules, **sealed, **decided}).values()
    return SubmissionWrite(
        organization_id=case.organization_id,
        case_id=case.id,
        identifier_system=identifier_key(submission.identifier.system),
        identifier_value=identifier_key(submission.identifier.value),
        line=line,
        received_at=case.received_at,
        answered_at=answered_at,
        check_twin=dismissed is None and submission.kind is RequestKind.INITIAL,
        twin_npis=_npis(submission.parties),
        request_message_id=time_ordered_uuid(),
        request_body=request_body,
        request_sha256=sha256(request_body).digest(),
        request_length=len(request_body),
        answer_id=time_ordered_uuid(),
        answer_body=answer,
        answer_sha256=sha256(answer).digest(),
        answer_length=len(answer),
        kind=submission.kind,
        status=case.status,
        reference=case.reference,
        service=case.service,
        rules=case.rules,
        decide_by=case.decide_by,
        expedite_requested=submission.expedite_requested,
        expedited=case.expedited,
        beneficiary=submission.beneficiary,
        state=next((i.service.state for i in submission.items if i.service.state), None),
        coverage=submission.coverage,
        trace_system=submission.trace.system,
        trace_value=submission.trace.value,
        trace_key=identifier_key(submission.trace.value),
        previous_utn=submission.previous_utn,
        assessment=assessment_value(case.assessment),
        with_form=is_of_a_form(case.assessment),
        findings=findings_value(case.assessment),
        dismissal_reason=dismissed.reason if dismissed else None,
        dismissal_detail=dismissed.detail if dismissed else None,
        decided_at=case.decided_at,
        valid_from=case.valid_from,
        valid_until=case.valid_until,
        assertions=list(case.assertions),
        remarks=list(case.remarks),
        utn=case.utn,
        utn_source=utn_source,
        orders_utn=case.decided,
        **lines,
        decided_mac=[*_macs(case, lines, hashes["request-sha256"].digest(), decision_key)],
        **_party_columns(submission.parties),
        **_document_columns(documents),
        letter_id=time_ordered_uuid(),
        request_id=audit.request_id,
        client_id=audit.client_id,
        patient=audit.patient,
        audit_action=audit.action,
        audit_outcome=audit.outcome,
        audit_object_kind=audit.object_kind,
        audit_object_id=audit.object_id,
        audit_detail=audited["detail"],
    )


def identifier_key(part: str | None) -> str:
    """A part of an identifier as the database keys it: itself, or its hash where it is very long.

    FHIR lets a string be a megabyte long, an index does not.
    """
    text = part or ""
    if len(text) <= _LONGEST_KEY:
        return text
    return f"sha256:{sha256(text.encode()).hexdigest()}"


Row = Mapping[Any, Any]
"""A row that was read, with what is sealed in it opened."""


def case_from(case: Row, items: Iterable[Row], requests: Iterable[Row] = ()) -> PriorAuthorization:
    """A case from its row, with its UTN and whether a person decided, its items with their
    determinations in order, and what is asked for."""
    reason = case["dismissal_reason"]
    state = case["utn_state"]
    return PriorAuthorization(
        id=case["id"],
        organization_id=case["organization_id"],
        status=CaseStatus(case["status"]),
        reference=case["reference"],
        received_at=case["received_at"],
        decide_by=case["decide_by"],
        expedited=case["expedited"],
        items=tuple(map(_item, items)),
        service=case["service"],
        rules=case["rules"],
        assessment=_assessment(case["assessment"]),
        dismissal=Dismissal(DismissalReason(reason), case["dismissal_detail"]) if reason else None,
        decided_at=case["decided_at"],
        utn=case["utn"],
        valid_from=case["valid_from"],
        valid_until=case["valid_until"],
        reviewed_by_person=case["reviewed_by_person"],
        assertions=tuple(case["assertions"]),
        remarks=tuple(case["remarks"]),
        kind=RequestKind(case["kind"]),
        revision=case["revision"],
        answer=CaseAnswer.of_json(case["answer"]),
        requests=tuple(map(information_request_from, requests)),
        clinician=_clinician(case),
        utn_state=UtnState(state) if state else None,
        superseded_utn=case["superseded_utn"],
        superseded_until=case["superseded_until"],
        previous_utn=case["previous_utn"],
        expedite_confirmed=case["expedite_confirmed"],
    )


def _clinician(row: Row) -> DecidingClinician | None:
    if not row["reviewed_by_person"]:
        return None
    return DecidingClinician(row["clinician_npi"], row["clinician_specialty"])


def information_request_from(row: Row) -> InformationRequest:
    """A request for information from its row."""
    return InformationRequest(
        id=row["id"],
        kind=Material(row["kind"]),
        asked_at=row["asked_at"],
        due_at=row["due_at"],
        wanted=tuple(map(Wanted.of_json, row["wanted"])),
        note=row["note"],
        state=RequestState(row["state"]),
        answered_at=row["answered_at"],
    )


def _decision(row: Row) -> ItemDecision | None:
    if row["decision_outcome"] is None:
        return None
    code = row["decision_code"]
    return ItemDecision(
        outcome=Outcome(row["decision_outcome"]),
        decided_by=DecidedBy(row["decision_decided_by"]),
        decided_at=row["decision_decided_at"],
        code=Code(row["decision_code_system"], code) if code is not None else None,
        quantity=row["decision_quantity"],
        first_day=row["decision_first_day"],
        last_day=row["decision_last_day"],
        rationale=row["decision_rationale"],
        resubmission_steps=row["decision_resubmission_steps"],
        reasons=tuple(row["decision_reasons"]),
        answer=ItemAnswer.of_json(row["decision_answer"]),
    )


def _item(row: Row) -> CaseItem:
    return CaseItem(
        sequence=row["sequence"],
        code=Code(row["code_system"], row["code"]),
        role=ItemRole(row["role"]),
        status=ItemStatus(row["status"]),
        date_of_service=row["service_date"],
        note=row["note"],
        service_end=row["service_end"],
        quantity=row["quantity"],
        decision=_decision(row),
        site=_site(row),
        former_utn=row["former_utn"],
    )


def _site(row: Row) -> Site | None:
    kind = row["site_kind"]
    return None if kind is None else Site(SiteKind(kind), row["site_code"])


def _npis(parties: Iterable[Party]) -> list[str]:
    """Whose request it is, for the duplicate gate: the requester, whom the token vouches for."""
    requester = PartyRole.REQUESTER
    return sorted({party.npi for party in parties if party.npi and party.role is requester})


def _item_columns(case: PriorAuthorization, submission: Submission) -> dict[str, Any]:
    requested = {item.sequence: item for item in submission.items}
    asked = [requested[item.sequence] for item in case.items]
    decided = [item for item in case.items if item.status in _DECIDED]
    return {
        "item_sequence": [item.sequence for item in case.items],
        "item_system": [item.code.system for item in case.items],
        "item_code": [item.code.code for item in case.items],
        "item_role": [item.role for item in case.items],
        "item_status": [item.status for item in case.items],
        "item_date": [item.date_of_service for item in case.items],
        "item_end": [item.service_end for item in asked],
        "item_quantity": [item.service.quantity for item in asked],
        "item_note": [item.note for item in case.items],
        "item_site_kind": [item.site.kind if item.site else None for item in asked],
        "item_site_code": [item.site.code if item.site else None for item in asked],
        "decided_sequence": [item.sequence for item in decided],
        "decided_outcome": [item.status for item in decided],
        "decided_system": [item.code.system for item in decided],
        "decided_code": [item.code.code for item in decided],
        "decided_quantity": [countable(requested[i.sequence].service.quantity) for i in decided],
    }


def _macs(
    case: PriorAuthorization, lines: Mapping[str, Any], digest: bytes, key: bytes
) -> Iterator[bytes]:
    """What binds each of software's determinations, as `sql/submit.sql` writes them."""
    shared = {
        "organization_id": case.organization_id,
        "case_id": case.id,
        "revision": 1,
        "decided_at": case.decided_at,
        "decided_by": DecidedBy.SOFTWARE,
        "clinician_id": None,
        "signed_in_at": None,
        "rules": case.rules,
        "input_sha256": digest,
        "first_day": case.valid_from,
        "last_day": case.valid_until,
        "reasons": [],
    }
    names = ("sequence", "outcome", "code_system", "code", "quantity")
    columns = ("sequence", "outcome", "system", "code", "quantity")
    told = zip(*(lines[f"decided_{column}"] for column in columns), strict=True)
    for values in told:
        row = {**shared, **dict(zip(names, values, strict=True))}
        yield decision_mac(key, row)


def _party_columns(parties: Sequence[Party]) -> dict[str, Any]:
    names = ("role", "npi", "tin", "ccn", "ptan", "name", "state")
    return {f"party_{name}": [getattr(party, name) for party in parties] for name in names}


def _document_columns(documents: Sequence[DocumentFacts]) -> dict[str, Any]:
    names = ("kind", "title", "content_type", "size", "sha256")
    return {f"document_{name}": [getattr(each, name) for each in documents] for name in names}


def assessment_value(assessment: Assessment | None) -> dict[str, Any] | None:
    """An assessment as the database keeps it."""
    if assessment is None:
        return None
    findings = [
        {"criterion": finding.criterion, "status": finding.status, "text": finding.text}
        | ({"internal": True} if finding.internal else {})
        for finding in assessment.findings
    ]
    answers = [
        {"question": answer.question, "origin": answer.origin, "counted": answer.counted}
        for answer in assessment.answers
    ]
    return {
        "recommendation": assessment.recommendation,
        "findings": findings,
        "answers": answers,
    }


def _assessment(stored: dict[str, Any] | None) -> Assessment | None:
    if stored is None:
        return None
    return Assessment(
        Recommendation(stored["recommendation"]),
        tuple(
            Finding(
                finding["criterion"],
                FindingStatus(finding["status"]),
                finding["text"],
                finding.get("internal", False),
            )
            for finding in stored["findings"]
        ),
        tuple(_answer_origin(answer) for answer in stored.get("answers", ())),
    )


def _answer_origin(stored: dict[str, Any]) -> AnswerOrigin:
    origin = stored["origin"]
    return AnswerOrigin(stored["question"], Origin(origin) if origin else None, stored["counted"])


def is_of_a_form(assessment: Assessment | None) -> bool:
    """Whether answers of a form were looked at."""
    return assessment is not None and bool(assessment.answers)


def findings_value(assessment: Assessment | None) -> list[list[str]] | None:
    """What a determination keeps of the findings: their criteria and how they stood."""
    if assessment is None:
        return None
    return [[f.criterion, f.status] for f in assessment.findings]
