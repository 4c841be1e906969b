"""What is kept of a hook call: the call itself, its answer, and each assertion in it.

Source: CRD 2.2.1 §found-37, §found-38, §sec-6.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from wiser_fhir.auth.cds_jwt import CdsCaller
from wiser_fhir.crd.assertion import Assertion
from wiser_fhir.crd.coverage_information import extension
from wiser_fhir.crd.gather import Gathered
from wiser_fhir.crd.hook_request import Hook, HookRequest
from wiser_fhir.crd.redaction import without_token
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.priorauth.honour import facts_of
from wiser_fhir.priorauth.ledger import AssertionRecord, HookCall
from wiser_fhir.priorauth.models import Submission
from wiser_fhir.priorauth.numbers import time_ordered_uuid


@dataclass(frozen=True, slots=True)
class Invocation:
    """A hook call as it came: which service, over what, from whom, when."""

    service_id: str
    hook: Hook
    body: bytes
    parsed: Json
    caller: CdsCaller
    request_id: UUID
    received_at: datetime

    @property
    def organization_id(self) -> UUID:
        """Whose call it is."""
        return self.caller.principal.organization_id


def answered_call(
    call: Invocation,
    request: HookRequest,
    gathered: Gathered,
    response: bytes,
    answered_at: datetime,
) -> HookCall:
    """A call that was answered, without the token it brought."""
    return _call(
        call,
        line=request.line,
        hook_instance=request.hook_instance,
        status=200,
        response=response,
        answered_at=answered_at,
        gathered=gathered,
    )


def refused_call(
    call: Invocation, line: Line, status: int, response: bytes, answered_at: datetime
) -> HookCall:
    """A call that was refused."""
    return _call(
        call,
        line=line,
        hook_instance=_uuid(call.parsed.get("hookInstance")),
        status=status,
        response=response,
        answered_at=answered_at,
        gathered=Gathered(),
    )


def _call(
    call: Invocation,
    *,
    line: Line,
    hook_instance: UUID | None,
    status: int,
    response: bytes,
    answered_at: datetime,
    gathered: Gathered,
) -> HookCall:
    return HookCall(
        id=time_ordered_uuid(),
        client_id=call.caller.principal.client_id,
        request_id=call.request_id,
        service_id=call.service_id,
        hook=call.hook,
        hook_instance=hook_instance,
        line=line,
        received_at=call.received_at,
        answered_at=max(answered_at, call.received_at),
        status=status,
        request=without_token(call.body, call.parsed),
        request_sha256=sha256(call.body).digest(),
        response=response,
        fetched=gathered.fetched,
        token_use=gathered.token_use,
    )


def assertion_record(
    said: Assertion, asked: Submission, made_at: datetime, *, line: Line, patient: str
) -> AssertionRecord:
    """An assertion with the facts it rests on, for DTR and PAS to find again by its id.

    `patient` is the reference on the EHR's side. With the answer is kept how it was told on its
    line, for DTR to tell it again: without a number, which a form has no use for.

    Source: CRD 2.2.1 §resp-32, §resp-46.
    """
    rules = said.foreseen.rules
    return AssertionRecord(
        id=said.id,
        order=said.order,
        coverage=said.coverage,
        mbi=asked.beneficiary.mbi,
        situation=said.situation,
        service=rules.slug if rules else None,
        rules=rules.version if rules else None,
        codes=tuple(dict.fromkeys(code.code for code in asked.items[0].service.codes)),
        asked=facts_of(asked, asked.items[0]),
        answer={
            "covered": said.covered,
            "pa-needed": said.pa_needed,
            "doc-needed": list(said.doc_needed),
            "doc-purpose": list(said.doc_purpose),
            "info-needed": list(said.info_needed),
            "missing": [str(each) for each in said.foreseen.missing],
            "reasons": [{"text": reason.text, "code": reason.code} for reason in said.reasons],
            "questionnaires": list(said.questionnaires),
            "satisfied-pa-id": said.satisfied_pa_id,
            "line": line,
            "patient": patient,
            "extension": extension(_without_number(said), line),
        },
        made_at=made_at,
        expires_on=said.expiry_date,
    )


def _without_number(said: Assertion) -> Assertion:
    """The same without the number of a case, and without the details that tell one."""
    standing = said.foreseen.standing
    numbers = [n for n in (standing.utn, standing.reference) if n] if standing else []
    details = tuple(each for each in said.details if not any(n in str(each.value) for n in numbers))
    return replace(said, details=details, satisfied_pa_id=None)


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None
