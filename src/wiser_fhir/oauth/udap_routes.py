"""Registration by software statement over HTTP.

A statement is refused by 400 with the JSON of RFC 7591. Where nobody registers by UDAP (404), and
for who was refused too often (429), the answer is an OperationOutcome, as everywhere else.

Source: UDAP Security 2.0.0, "Request Body"; RFC 7591, 3.2.2.
"""

from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from wiser_fhir.audit.recorder import AuditRow, Recorder
from wiser_fhir.auth.udap_statement import Error, StatementRefused
from wiser_fhir.errors import Malformed, TooLarge
from wiser_fhir.oauth.endpoints import NOT_STORED, REGISTER
from wiser_fhir.oauth.udap_door import door_of
from wiser_fhir.web.body import parse_json
from wiser_fhir.web.limits import strange

MAX_BODY: Final = 128 * 1024

_JSON = "application/json"
_BODY: dict[str, Any] = {
    "type": "object",
    "required": ["software_statement", "udap"],
    "properties": {
        "software_statement": {"type": "string"},
        "certifications": {"type": "array", "items": {"type": "string"}},
        "udap": {"const": "1"},
    },
}
_ANSWER: dict[str, Any] = {
    "type": "object",
    "required": ["client_id", "software_statement", "grant_types"],
    "properties": {
        "client_id": {"type": "string"},
        "software_statement": {"type": "string"},
        "grant_types": {"type": "array", "items": {"type": "string"}},
        "token_endpoint_auth_method": {"const": "private_key_jwt"},
        "scope": {"type": "string"},
        "client_name": {"type": "string"},
    },
}
_REFUSAL: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}


def _described(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {_JSON: {"schema": schema}}}


router = APIRouter(tags=["authorization"])


@router.post(
    REGISTER,
    name="register",
    response_model=None,
    status_code=201,
    responses={
        200: _described("The registration was changed, or cancelled.", _ANSWER),
        201: _described("Registered.", _ANSWER),
        400: _described("Refused.", _REFUSAL),
        404: {"description": "Nobody registers here by UDAP."},
        429: {"description": "Too many in vain; Retry-After tells how long to wait."},
        503: {"description": "Away for a moment; empty, with Retry-After."},
    },
    openapi_extra={"requestBody": {"required": True, "content": {_JSON: {"schema": _BODY}}}},
)
async def register(request: Request) -> Response:
    """Register a client by the software statement that it signed, change it, or cancel it."""
    door = door_of(request)
    statement = None
    try:
        statement = await _statement(request)
        registered = await door.registration.register(statement, request.state.request_id)
    except StatementRefused as refused:
        strange(request)
        if statement is not None:
            await _record(request, door.recorder, refused)
        body = {"error": refused.error, "error_description": str(refused)}
        return JSONResponse(body, 400, NOT_STORED)
    return JSONResponse(registered.answer, 201 if registered.new else 200, NOT_STORED)


async def _statement(request: Request) -> str:
    """The software statement of a request. What else is in it, certifications too, is not read.

    Raises StatementRefused.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise _refused("The body is too large.")
    try:
        sent = parse_json(bytes(body))
    except (Malformed, TooLarge):
        raise _refused("The body must be one JSON object.") from None
    if sent.get("udap") != "1":
        raise _refused('udap must be "1".')
    statement = sent.get("software_statement")
    if not isinstance(statement, str):
        raise _refused("software_statement is missing.", "invalid_software_statement")
    return statement


def _refused(text: str, error: Error = "invalid_client_metadata") -> StatementRefused:
    return StatementRefused(error, "body", text)


async def _record(request: Request, recorder: Recorder, refused: StatementRefused) -> None:
    """Before the answer leaves. What a refused statement says of itself is not repeated."""
    await recorder.record(
        AuditRow(
            request_id=request.state.request_id,
            action="udap.register",
            outcome="refused",
            detail={"error": refused.error, "reason": refused.reason},
        )
    )
