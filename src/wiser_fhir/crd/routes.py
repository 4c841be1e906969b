"""CDS Hooks over HTTP: which services there are, calling one, and feedback on its cards.

Source: CDS Hooks, "HTTP API"; CRD 2.2.1 §sec-2.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, cast

import orjson
from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from wiser_fhir import exact
from wiser_fhir.auth.cds_jwt import CdsAuthenticator, CdsCaller
from wiser_fhir.crd.door import CrdDoor
from wiser_fhir.crd.feedback import read_feedback
from wiser_fhir.crd.hook_request import Hook
from wiser_fhir.crd.record import Invocation
from wiser_fhir.errors import NotFound
from wiser_fhir.fhir.elements import Json
from wiser_fhir.resources import resource_path
from wiser_fhir.web.body import BOM, parse_json, read_json
from wiser_fhir.web.connection import peer_certificate
from wiser_fhir.web.discovery import OPEN_TO_BROWSERS
from wiser_fhir.web.limits import admit, unknown_yet
from wiser_fhir.web.negotiation import check_accept, check_content_type
from wiser_fhir.web.openapi import feedback_operation, hook_operation, json_answer

PATH = "/cds-services"
_STATUSES = (400, 401, 404, 406, 413, 415, 422, 500, 503)
_EXAMPLES = ("cds/order-sign-2.2.json", "cds/order-sign-2.0.json")


class JsonResponse(Response):
    """A CDS Hooks answer. Bytes are sent as they stand."""

    media_type = "application/json"


def router() -> APIRouter:
    """The routes of CDS Hooks; the services are those of `capability/cds-services.json`."""
    document = (resource_path("capability") / "cds-services.json").read_bytes()
    hooks = _hooks(document)
    routes = APIRouter(tags=["CDS Hooks"])
    compact = orjson.dumps(orjson.loads(document))

    @routes.get(PATH, name="cds-discovery", **json_answer("The services there are.", [406]))
    async def discovery(request: Request) -> JsonResponse:
        """Which hook services there are, and what each wants to know."""
        check_accept(request)
        return JsonResponse(compact, headers=OPEN_TO_BROWSERS)

    @routes.post(
        f"{PATH}/{{service_id}}", name="cds-service", **hook_operation(_STATUSES, _EXAMPLES)
    )
    async def invoke(
        service_id: str, request: Request, door: Annotated[CrdDoor, Depends(_door)]
    ) -> JsonResponse:
        """Answer a hook. Source: CRD 2.2.1 §hook-16, §resp-26, §resp-28."""
        received_at = door.clock()
        hook = _hook(hooks, service_id)
        caller = await _caller(request, f"{PATH}/{service_id}")
        body, parsed = await read_json(request, _parse)
        call = Invocation(
            service_id=service_id,
            hook=hook,
            body=body,
            parsed=parsed,
            caller=caller,
            request_id=request.state.request_id,
            received_at=received_at,
        )
        return JsonResponse(await door.answer(call))

    @routes.post(
        f"{PATH}/{{service_id}}/feedback", name="cds-feedback", **feedback_operation(_STATUSES)
    )
    async def feedback(
        service_id: str, request: Request, door: Annotated[CrdDoor, Depends(_door)]
    ) -> JsonResponse:
        """Keep what became of cards. Source: CDS Hooks, "Feedback"."""
        _hook(hooks, service_id)
        caller = await _caller(request, f"{PATH}/{service_id}/feedback", f"{PATH}/{service_id}")
        body, parsed = await read_json(request)
        entries = read_feedback(parsed)
        await door.keep_feedback(caller, request.state.request_id, service_id, body, entries)
        return JsonResponse(b"{}")

    return routes


def _hooks(document: bytes) -> Mapping[str, Hook]:
    services = orjson.loads(document)["services"]
    return MappingProxyType({service["id"]: service["hook"] for service in services})


def _hook(hooks: Mapping[str, Hook], service_id: str) -> Hook:
    if service_id not in hooks:
        raise NotFound("CDS service")
    return hooks[service_id]


async def _door(request: Request) -> CrdDoor:
    return cast(CrdDoor, request.app.state.crd)


async def _caller(request: Request, *paths: str) -> CdsCaller:
    """Whose JWT this is. It is made out to one of the paths, at our own public address.

    Raises Unauthenticated, HTTPException 406 and 415.
    """
    authenticator = cast(CdsAuthenticator, request.app.state.cds_authenticator)
    with unknown_yet(request):
        caller = await authenticator.caller(
            request.headers.getlist("authorization"),
            [f"{request.app.state.public_url}{path}" for path in paths],
            _certificate(request),
        )
    request.state.principal = caller.principal
    admit(request, caller.principal.organization_id)
    check_accept(request)
    check_content_type(request)
    return caller


def _certificate(request: Request) -> str | None:
    """Thumbprint of the client's certificate, where it showed one. Raises Unauthenticated."""
    shown = peer_certificate(request)
    return None if shown is None else shown.thumbprint


def _parse(body: bytes) -> Json:
    """The JSON object of a body with every number as it was written. Raises TooLarge, Malformed."""
    parsed = parse_json(body)
    if not exact.needs_care(body):
        return parsed
    del parsed  # of a large body there need not be two
    found: Json = exact.loads(body.removeprefix(BOM))
    return found
