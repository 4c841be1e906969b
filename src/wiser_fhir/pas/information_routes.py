"""Asking for more, at the door: reading what is asked for, and `$submit-attachment`, both lines."""

import re
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request

from wiser_fhir.auth.principal import Principal
from wiser_fhir.clock import Clock
from wiser_fhir.errors import NotFound, Problem
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.pas.asking import SUBMIT_ATTACHMENT, one_communication_request, one_task
from wiser_fhir.pas.attachment import named_lines, read_delivery
from wiser_fhir.pas.request import RequestBundle, unwrapped
from wiser_fhir.priorauth.attached import AttachmentState
from wiser_fhir.priorauth.attachment_rows import PreparedDelivery, prepared
from wiser_fhir.priorauth.attachments import AttachmentService, Receipt, Standing
from wiser_fhir.priorauth.information_reading import InformationReader
from wiser_fhir.priorauth.service import Caller
from wiser_fhir.web.body import parse_json, read_json
from wiser_fhir.web.openapi import fhir_answer, parameters_operation
from wiser_fhir.web.outcome import FhirResponse, operation_outcome
from wiser_fhir.web.principal import require
from wiser_fhir.web.turns import beside

_OPERATION_STATUSES = (400, 401, 403, 406, 413, 415, 422, 500, 503)
_READ_STATUSES = (401, 403, 404, 406, 500, 503)
_DEFINITION = (
    "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-parameters-submit-attachment"
)
_ORDINARY = 32 * 1024  # a longer body is looked at beside the event loop
_PORTION = re.compile("([0-9a-f-]{36})-[0-9]{1,6}")

_STANDINGS = {
    Standing.HELD: "No request of yours has this number and member yet: held until it comes.",
    Standing.MATCHED: "It is with your request, which is in review; its deadline stays.",
    Standing.CLOSED: "It is kept with your request, which is decided or cancelled: nothing changes"
    " by it. Send an update or a new request instead.",
    Standing.FOR_CLAIM: "Kept for the review of the claim with this number.",
}
_STATES = {
    AttachmentState.QUARANTINED: "in quarantine until they have been checked for malware",
    AttachmentState.CLEAR: "checked and clear",
    AttachmentState.REFUSED: "refused by the check for malware and not kept",
}
_FINAL = {
    True: "Nothing more is expected.",
    False: "More is expected (Final is false).",
}


@dataclass(frozen=True, slots=True)
class InformationDoor:
    """What one line's routes work with. `base_url` is that line's own."""

    line: Line
    base_url: str
    validator: GuideValidator
    attachments: AttachmentService
    reader: InformationReader
    clock: Clock

    async def submit(self, caller: Caller, body: bytes, resource: Json) -> Json:
        """Take in a call, and the OperationOutcome that says what became of it.

        Raises TooLarge, InvalidResource, ProfileViolation, Unavailable.
        """
        if len(body) <= _ORDINARY:
            call = self._read(caller, body, resource)
        else:
            call = await beside(caller.organization_id, self._read, caller, body, resource)
        receipt = await self.attachments.receive(caller, call)
        return operation_outcome([*told(receipt), *unknown_lines(resource, receipt)])

    def _read(self, caller: Caller, body: bytes, resource: Json) -> PreparedDelivery:
        delivery = read_delivery(body, resource, self.validator)
        return prepared(caller, delivery, self.line, self.clock())

    async def task(self, caller: Caller, task_id: str) -> Json:
        """A Task of one of the caller's own cases. Raises NotFound, Unavailable."""
        asked = _uuid(task_id, "Task")
        stored = await self.reader.case_of(caller, asked, "Task")
        request = _request_of(stored.request_body)
        return _found(one_task(stored.case, request, self.base_url, self.line, asked), "Task")

    async def communication_request(self, caller: Caller, resource_id: str) -> Json:
        """A CommunicationRequest of one of the caller's own cases. Raises NotFound, Unavailable."""
        kind = "CommunicationRequest"
        named = _PORTION.fullmatch(resource_id)
        asked = _uuid(named[1] if named else "", kind)
        stored = await self.reader.case_of(caller, asked, kind)
        request = _request_of(stored.request_body)
        found = one_communication_request(
            stored.case, request, self.base_url, self.line, resource_id
        )
        return _found(found, kind)


def told(receipt: Receipt) -> list[Problem]:
    """What a sender is told. Source: CDex 2.1.0, submit-attachment (an OperationOutcome with 200
    for what is held).
    """
    texts = [_STANDINGS[receipt.standing], _FINAL[receipt.final]]
    for state in AttachmentState:
        count = receipt.states.count(state)
        if count:
            texts.append(f"Attachments {_STATES[state]}: {count}.")
    return [Problem("information", "informational", text) for text in texts]


def unknown_lines(resource: Json, receipt: Receipt) -> Iterator[Problem]:
    """A warning for each line that a call names and the request it is with does not have."""
    if receipt.lines is None:
        return
    for line, where in named_lines(resource):
        if line not in receipt.lines:
            text = f"The request has no line {line}: the attachment counts for the whole request."
            yield Problem("warning", "not-found", text, where)


def router_for(line: Line) -> APIRouter:
    """The routes of one line, to be mounted at its base path."""
    router = APIRouter(tags=["PAS"])
    door = Depends(_door_of(line))
    described = parameters_operation(
        "OperationOutcome", _OPERATION_STATUSES, _DEFINITION, {"a-document": _EXAMPLE}
    )

    @router.post(f"/{SUBMIT_ATTACHMENT}", name=f"submit-attachment-{line}", **described)
    async def submit_attachment(
        request: Request,
        information: Annotated[InformationDoor, door],
        caller: Annotated[Principal, Depends(require("system/Claim.u"))],
    ) -> FhirResponse:
        """Take documents or the answers of a form for a request or a claim.

        Source: CDex 2.1.0, submit-attachment.
        """
        body, resource = await read_json(request)
        return FhirResponse(await information.submit(_caller(request, caller), body, resource))

    @router.get("/Task/{task_id}", name=f"task-{line}", **fhir_answer("Task", _READ_STATUSES))
    async def read_task(
        task_id: str,
        request: Request,
        information: Annotated[InformationDoor, door],
        caller: Annotated[Principal, Depends(require("system/Task.rs"))],
    ) -> FhirResponse:
        """What was asked for in one of the caller's own cases, and what has become of it."""
        return FhirResponse(await information.task(_caller(request, caller), task_id))

    @router.get(
        "/CommunicationRequest/{communication_request_id}",
        name=f"communication-request-{line}",
        **fhir_answer("CommunicationRequest", _READ_STATUSES),
    )
    async def read_communication_request(
        communication_request_id: str,
        request: Request,
        information: Annotated[InformationDoor, door],
        caller: Annotated[Principal, Depends(require("system/CommunicationRequest.rs"))],
    ) -> FhirResponse:
        """One thing asked for in one of the caller's own cases."""
        who = _caller(request, caller)
        found = await information.communication_request(who, communication_request_id)
        return FhirResponse(found)

    return router


def _door_of(line: Line) -> Callable[[Request], Awaitable[InformationDoor]]:
    async def door(request: Request) -> InformationDoor:
        found: InformationDoor = request.app.state.information[line]
        return found

    return door


def _caller(request: Request, principal: Principal) -> Caller:
    return Caller(principal=principal, request_id=request.state.request_id)


def _uuid(text: str, kind: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound(kind) from None


def _found(resource: Json | None, kind: str) -> Json:
    if resource is None:
        raise NotFound(kind)
    return resource


def _request_of(body: bytes) -> RequestBundle:
    return RequestBundle.of(unwrapped(parse_json(body)))


def _identifier(name: str, system: str, value: str) -> Json:
    return {"name": name, "valueIdentifier": {"system": system, "value": value}}


_DOCUMENT: dict[str, Any] = {
    "resourceType": "DocumentReference",
    "status": "current",
    "content": [{"attachment": {"contentType": "text/plain", "data": "TWFkZSB1cC4="}}],
}
_EXAMPLE: dict[str, Any] = {
    "resourceType": "Parameters",
    "parameter": [
        _identifier("TrackingId", "https://ehr.example/traces", "trace-1"),
        {"name": "AttachTo", "valueCode": "preauthorization"},
        _identifier("OrganizationId", "http://hl7.org/fhir/sid/us-npi", "1234567893"),
        _identifier("MemberId", "http://hl7.org/fhir/sid/us-mbi", "1EG4TE5MK73"),
        {
            "name": "Attachment",
            "part": [
                {"name": "LineItem", "valueString": "1"},
                {"name": "Content", "resource": _DOCUMENT},
            ],
        },
        {"name": "Final", "valueBoolean": True},
    ],
}
