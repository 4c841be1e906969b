"""The one way in which a stored case changes, whoever changes it.

Everything a change leaves behind is written here, in the caller's transaction: determinations, the
case and its lines, the order for a number, the answer and who is to hear of it, letter, history and
audit.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, bindparam, func, insert, select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.audit.decision_mac import decision_mac
from wiser_fhir.audit.decisions import DETERMINATIONS
from wiser_fhir.audit.recorder import AuditRow, Detail, write
from wiser_fhir.db.base import (
    case_item,
    case_party,
    determination,
    document,
    message,
    prior_auth_case,
    submission,
    utn,
)
from wiser_fhir.db.bodies import seal_body
from wiser_fhir.db.life import case_event, information_request, letter
from wiser_fhir.db.sealed import CASE, DETERMINATION, EVENT, INFORMATION_REQUEST
from wiser_fhir.db.vault import data_key
from wiser_fhir.notify import outbox
from wiser_fhir.priorauth.answers import Answers
from wiser_fhir.priorauth.determination import DecidedBy, ItemDecision
from wiser_fhir.priorauth.information import InformationRequest, RequestState
from wiser_fhir.priorauth.models import (
    CaseItem,
    CaseStatus,
    Party,
    PriorAuthorization,
    Submission,
    UtnState,
)
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.repository import Cases, StoredCase
from wiser_fhir.priorauth.rows import (
    DocumentFacts,
    assessment_value,
    findings_value,
    identifier_key,
    is_of_a_form,
)

_LIVE = (UtnState.PENDING, UtnState.ASSIGNED, UtnState.FAILED)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who changes a case, and the id the act is known by in log and audit: a person or a client."""

    request_id: UUID
    person_id: UUID | None = None
    client_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class NewRequest:
    """The update that changes a case: what was understood of it, and its bytes.

    `operation` is `update` or `cancel`.
    """

    submission: Submission
    line: str
    body: bytes
    operation: str
    documents: tuple[DocumentFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseChange:
    """What happened. `event` is the history's word for it, `action` the audit trail's.

    `text` is for those who review. `told` is False where the provider's answer stays as it is.
    `delivered`: the new answer leaves with the call that made the change. `clinician_id` is set
    where a clinician decided, `signed_in_at` is then when it last signed in. No determination is
    kept without a `decision_key`, by which it bears a MAC. `patient` is the audit trail's word for
    the beneficiary.
    """

    at: datetime
    actor: Actor
    event: str
    action: str
    outcome: str
    text: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    told: bool = True
    delivered: bool = False
    clinician_id: UUID | None = None
    signed_in_at: datetime | None = None
    decision_key: bytes | None = field(default=None, repr=False)
    request: NewRequest | None = None
    patient: bytes | None = None


async def locked(db: AsyncConnection, case_id: UUID) -> StoredCase:
    """One of the organization's own cases, its row held until the transaction ends.

    Raises NotFound.
    """
    await db.execute(
        select(prior_auth_case.c.id).where(prior_auth_case.c.id == case_id).with_for_update()
    )
    return await Cases(db).by_id(case_id)


async def keep(
    db: AsyncConnection,
    before: StoredCase,
    after: PriorAuthorization,
    change: CaseChange,
    answers: Answers,
) -> bytes | None:
    """Write a change of a case whose row is held. Returns the new answer, None where none is told.

    Determinations are written for the lines that `after` shows decided in its revision and `before`
    does not.
    """
    request_id, request_body, line = await _keep_request(db, before, after, change)
    answer_id, answer = None, None
    if change.told:
        answer = answers.response(after, line, request_body, change.at)
        answer_id = await _keep_message(db, after, "out", "claim-response", answer, change.at)
    await _change_case(db, before.case, after, change, request_id, answer_id)
    await _keep_lines(db, before.case, after, change, request_body)
    await _keep_number(db, before.case, after, change)
    await _keep_requests(db, before.case, after, change)
    if change.request is not None and answer_id is not None:
        await _keep_submission(db, after, change.request, answer_id)
    await _tell(db, before.case, after, change, answer_id, answer)
    return answer


async def note(
    db: AsyncConnection,
    case: PriorAuthorization,
    change: CaseChange,
    answer: bytes | None = None,
    decided: int = 0,
) -> None:
    """Add to a case's history and to the audit trail, which tells the hash of a new answer and how
    many determinations were made.
    """
    row = {
        "organization_id": case.organization_id,
        "id": time_ordered_uuid(),
        "case_id": case.id,
        "revision": case.revision,
        "at": change.at,
        "kind": change.event,
        "person_id": change.actor.person_id,
        "text": change.text,
        "detail": dict(change.detail),
    }
    key = await data_key(db, case.organization_id)
    await db.execute(insert(case_event).values(EVENT.seal(key, row)))
    await write(db, _audit(case, change, answer, decided))


def _audit(
    case: PriorAuthorization, change: CaseChange, answer: bytes | None, decided: int
) -> AuditRow:
    """What stands in the row is sealed with it: which rules held, and the hashes of what came and
    of what was answered, so that neither can be another afterwards; how many determinations were
    made, so that none can be gone.
    """
    request = change.request
    told = {
        "rules": case.rules,
        "request-sha256": None if request is None else sha256(request.body).hexdigest(),
        "answer-sha256": None if answer is None else sha256(answer).hexdigest(),
        DETERMINATIONS: decided or None,
    }
    known = {name: value for name, value in told.items() if value is not None}
    detail: Detail = {"revision": case.revision, **known}
    return AuditRow(
        request_id=change.actor.request_id,
        action=change.action,
        outcome=change.outcome,
        organization_id=case.organization_id,
        client_id=change.actor.client_id,
        person_id=change.actor.person_id,
        object_kind="prior-auth-case",
        object_id=str(case.id),
        patient=change.patient,
        detail=detail,
    )


async def _keep_request(
    db: AsyncConnection, before: StoredCase, after: PriorAuthorization, change: CaseChange
) -> tuple[UUID | None, bytes, str]:
    """The request that the case now stands by: an update's, or the one it had."""
    request = change.request
    if request is None:
        return None, before.request_body, before.line
    kind = f"claim-{request.operation}"
    kept = await _keep_message(db, after, "in", kind, request.body, change.at)
    return kept, request.body, request.line


async def _keep_message(
    db: AsyncConnection,
    case: PriorAuthorization,
    direction: str,
    kind: str,
    body: bytes,
    at: datetime,
) -> UUID:
    message_id = time_ordered_uuid()
    stored = await seal_body(db, case.organization_id, body, "message", "body", message_id)
    await db.execute(
        insert(message).values(
            organization_id=case.organization_id,
            id=message_id,
            case_id=case.id,
            direction=direction,
            kind=kind,
            media_type="application/fhir+json",
            body=stored,
            sha256=sha256(body).digest(),
            length=len(body),
            at=at,
        )
    )
    return message_id


async def _change_case(
    db: AsyncConnection,
    before: PriorAuthorization,
    after: PriorAuthorization,
    change: CaseChange,
    request_id: UUID | None,
    answer_id: UUID | None,
) -> None:
    values: dict[str, Any] = {
        "status": after.status,
        "revision": after.revision,
        "decide_by": after.decide_by,
        "expedited": after.expedited,
        "expedite_confirmed": after.expedite_confirmed,
        "service": after.service,
        "rules": after.rules,
        "decided_at": after.decided_at,
        "valid_from": after.valid_from,
        "valid_until": after.valid_until,
        "answer": after.answer.as_json() or None,
    }
    if after.decide_by != before.decide_by:
        values["escalation"] = None  # it was about the other deadline
    if answer_id is not None:
        values["answer_message_id"] = answer_id
    if change.request is not None:
        values |= _of_request(after, change.request) | {"request_message_id": request_id}
    sealed = CASE.seal(await data_key(db, after.organization_id), values | {"id": after.id})
    changed = update(prior_auth_case).where(prior_auth_case.c.id == after.id)
    await db.execute(changed.values({name: sealed[name] for name in values}))


def _of_request(after: PriorAuthorization, request: NewRequest) -> dict[str, Any]:
    asked = request.submission
    state = next((item.service.state for item in asked.items if item.service.state), None)
    return ({"state": state} if state is not None else {}) | {
        "line": request.line,
        "trace_system": asked.trace.system,
        "trace_value": asked.trace.value,
        "received_at": after.received_at,
        "expedite_requested": asked.expedite_requested,
        "assessment": assessment_value(after.assessment),
        "with_form": is_of_a_form(after.assessment),
    }


async def _keep_lines(
    db: AsyncConnection,
    before: PriorAuthorization,
    after: PriorAuthorization,
    change: CaseChange,
    request_body: bytes,
) -> None:
    """Lines that are new, then determinations, then what became of every line: the order in which
    the foreign keys want them."""
    known = {item.sequence for item in before.items}
    added = [_line(after, item) for item in after.items if item.sequence not in known]
    if added:
        await db.execute(insert(case_item), [row | {"status": "pended"} for row in added])
    if change.request is not None:
        await _keep_papers(db, after, change.request)
    digest = sha256(request_body).digest()
    fresh = _freshly_decided(before, after)
    if fresh:
        rows = [
            _determination(after, item.sequence, item.decision, change, digest)
            for item in fresh
            if item.decision is not None
        ]
        key = await data_key(db, after.organization_id)
        await db.execute(insert(determination), [DETERMINATION.seal(key, row) for row in rows])
    await db.execute(_CHANGE_LINE, [_line_values(after, item) for item in after.items])


_CHANGE_LINE = (
    update(case_item)
    .where(
        case_item.c.organization_id == bindparam("of_organization"),
        case_item.c.case_id == bindparam("of_case"),
        case_item.c.sequence == bindparam("of_sequence"),
    )
    .values(
        {
            name: bindparam(f"new_{name}")
            for name in (
                *("status", "revision", "note", "code_system", "code", "role"),
                *("service_date", "service_end", "quantity", "site_kind", "site_code"),
            )
        }
    )
)


def _freshly_decided(before: PriorAuthorization, after: PriorAuthorization) -> list[CaseItem]:
    if not after.decided or (before.decided and before.revision == after.revision):
        return []
    return [item for item in after.items if item.decision is not None]


def _line(case: PriorAuthorization, item: CaseItem) -> dict[str, Any]:
    return {
        "organization_id": case.organization_id,
        "case_id": case.id,
        "sequence": item.sequence,
        "revision": case.revision,
        "code_system": item.code.system,
        "code": item.code.code,
        "role": item.role,
        "status": item.status,
        "service_date": item.date_of_service,
        "service_end": item.service_end,
        "quantity": item.quantity,
        "note": item.note,
        "site_kind": item.site.kind if item.site else None,
        "site_code": item.site.code if item.site else None,
    }


def _line_values(case: PriorAuthorization, item: CaseItem) -> dict[str, Any]:
    keys = {"organization_id": "organization", "case_id": "case", "sequence": "sequence"}
    row = _line(case, item)
    return {f"of_{keys[n]}" if n in keys else f"new_{n}": value for n, value in row.items()}


def _determination(
    case: PriorAuthorization,
    sequence: int,
    decision: ItemDecision,
    change: CaseChange,
    digest: bytes,
) -> dict[str, Any]:
    by_software = decision.decided_by is DecidedBy.SOFTWARE
    answer = decision.answer.as_json()
    row = {
        "organization_id": case.organization_id,
        "case_id": case.id,
        "sequence": sequence,
        "revision": case.revision,
        "outcome": decision.outcome,
        "decided_at": decision.decided_at,
        "decided_by": decision.decided_by,
        "clinician_id": None if by_software else change.clinician_id,
        "signed_in_at": None if by_software else change.signed_in_at,
        "rationale": decision.rationale,
        "resubmission_steps": decision.resubmission_steps,
        "rules": case.rules,
        "findings": findings_value(case.assessment),
        "input_sha256": digest,
        "code_system": decision.code.system if decision.code else None,
        "code": decision.code.code if decision.code else None,
        "quantity": decision.quantity,
        "first_day": decision.first_day,
        "last_day": decision.last_day,
        "reasons": list(decision.reasons),
        "answer": answer or None,
        "with_detail": "detail" in answer,
    }
    mac = None if change.decision_key is None else decision_mac(change.decision_key, row)
    return {**row, "mac": mac}


async def _keep_papers(db: AsyncConnection, case: PriorAuthorization, request: NewRequest) -> None:
    """The parties and documents of an update, after those of the requests before it."""
    keys = {"organization_id": case.organization_id, "case_id": case.id}
    there = (await db.execute(select(case_party).where(case_party.c.case_id == case.id))).mappings()
    known = [Party(**{name: row[name] for name in _PARTY}) for row in there]
    fresh = [party for party in request.submission.parties if party not in known]
    parties = [
        keys | {"position": position} | {name: getattr(party, name) for name in _PARTY}
        for position, party in enumerate(fresh, start=len(known) + 1)
    ]
    if parties:
        await db.execute(insert(case_party), parties)
    count = select(func.count()).select_from(document).where(document.c.case_id == case.id)
    papers = [
        keys | asdict(facts) | {"position": position, "revision": case.revision}
        for position, facts in enumerate(
            request.documents, start=(await db.execute(count)).scalar_one() + 1
        )
    ]
    if papers:
        await db.execute(insert(document), papers)


_PARTY = ("role", "npi", "tin", "ccn", "ptan", "name", "state")


async def _keep_number(
    db: AsyncConnection, before: PriorAuthorization, after: PriorAuthorization, change: CaseChange
) -> None:
    """A decision orders a number and supersedes the one before; a cancelled case has none."""
    decided = bool(_freshly_decided(before, after))
    if not decided and after.status is not CaseStatus.CANCELLED:
        return
    live = utn.c.case_id == after.id, utn.c.state.in_(_LIVE)
    ended = {"state": UtnState.SUPERSEDED, "ended_at": change.at}
    await db.execute(update(utn).where(*live).values(ended))
    if not decided:
        return
    given = after.utn is not None
    row = {
        "organization_id": after.organization_id,
        "case_id": after.id,
        "revision": after.revision,
        "utn": after.utn,
        "source": "local",
        "state": UtnState.ASSIGNED if given else UtnState.PENDING,
        "requested_at": after.decided_at,
        "assigned_at": change.at if given else None,
        "delivered_at": change.at if given and change.delivered else None,
        "valid_from": after.valid_from,
        "valid_until": after.valid_until,
    }
    await db.execute(insert(utn).values(row))


async def _keep_requests(
    db: AsyncConnection, before: PriorAuthorization, after: PriorAuthorization, change: CaseChange
) -> None:
    """What is asked for. An update answers what was open; an ended case needs nothing more."""
    known = {request.id: request for request in before.requests}
    fresh = [_request_row(after, each, change) for each in after.requests if each.id not in known]
    if fresh:
        key = await data_key(db, after.organization_id)
        rows = [INFORMATION_REQUEST.seal(key, row) for row in fresh]
        await db.execute(insert(information_request), rows)
    for each in after.requests:
        if each.id in known and each != known[each.id]:
            await _set_state(db, after, each.state, change, information_request.c.id == each.id)
    if after.revision != before.revision and after.status is not CaseStatus.CANCELLED:
        earlier = information_request.c.revision < after.revision
        await _set_state(db, after, RequestState.ANSWERED, change, earlier)
    if after.status is not CaseStatus.IN_REVIEW:
        await _set_state(db, after, RequestState.LAPSED, change)


async def _set_state(
    db: AsyncConnection,
    case: PriorAuthorization,
    state: RequestState,
    change: CaseChange,
    *which: ColumnElement[bool],
) -> None:
    answered_at = change.at if state is RequestState.ANSWERED else None
    open_ones = (
        information_request.c.case_id == case.id,
        information_request.c.state == RequestState.OPEN,
    )
    await db.execute(
        update(information_request)
        .where(*open_ones, *which)
        .values(state=state, answered_at=answered_at)
    )


def _request_row(
    case: PriorAuthorization, asked: InformationRequest, change: CaseChange
) -> dict[str, Any]:
    return {
        "organization_id": case.organization_id,
        "id": asked.id,
        "case_id": case.id,
        "revision": case.revision,
        "kind": asked.kind,
        "asked_at": asked.asked_at,
        "asked_by": change.actor.person_id,
        "due_at": asked.due_at,
        "wanted": [each.as_json() for each in asked.wanted],
        "note": asked.note,
        "state": asked.state,
        "answered_at": asked.answered_at,
    }


async def _keep_submission(
    db: AsyncConnection, case: PriorAuthorization, request: NewRequest, answer_id: UUID
) -> None:
    """By its identifier an update that is sent again is recognised, by its trace the next finds it.

    Raises IntegrityError where the identifier is known: the caller asks first, under the lock.
    """
    asked = request.submission
    await db.execute(
        insert(submission).values(
            organization_id=case.organization_id,
            identifier_system=identifier_key(asked.identifier.system),
            identifier_value=identifier_key(asked.identifier.value),
            request_sha256=sha256(request.body).digest(),
            line=request.line,
            operation=request.operation,
            case_id=case.id,
            answer_message_id=answer_id,
            received_at=asked.received_at,
            trace_system=asked.trace.system,
            trace_value=identifier_key(asked.trace.value),
            revision=case.revision,
        )
    )


async def _tell(
    db: AsyncConnection,
    before: PriorAuthorization,
    after: PriorAuthorization,
    change: CaseChange,
    answer_id: UUID | None,
    answer: bytes | None,
) -> None:
    """Who is to hear of it: subscribers of the answer, the beneficiary of a decision, history."""
    if answer_id is not None:
        await outbox.put(db, after.organization_id, after.id, answer_id, change.at)
    decided = len(_freshly_decided(before, after))
    if decided:
        await post(db, after, "determination-copy", "beneficiary", change.at)
    await note(db, after, change, answer, decided)


async def post(
    db: AsyncConnection, case: PriorAuthorization, kind: str, recipient: str, at: datetime
) -> None:
    """Queue a letter about the present revision; the same one is queued once."""
    row = {
        "organization_id": case.organization_id,
        "id": time_ordered_uuid(),
        "case_id": case.id,
        "revision": case.revision,
        "kind": kind,
        "recipient": recipient,
        "created_at": at,
    }
    await db.execute(postgresql.insert(letter).values(row).on_conflict_do_nothing())
