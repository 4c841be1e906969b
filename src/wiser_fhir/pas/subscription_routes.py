"""Subscriptions on the wire: create, read, update, delete, search, `$status` and `$events`."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from wiser_fhir.auth.principal import Principal
from wiser_fhir.clock import Clock
from wiser_fhir.errors import Conflict, InvalidResource, NotFound, Problem
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.notify.subscriptions import Subscription
from wiser_fhir.pas.notices import Notices, sealed_elsewhere
from wiser_fhir.pas.subscription import PROFILES
from wiser_fhir.pas.subscription_query import (
    SEARCHED,
    EventsQuery,
    Query,
    StatusQuery,
    told_in,
)
from wiser_fhir.pas.subscription_service import SubscriptionService
from wiser_fhir.priorauth.service import Caller
from wiser_fhir.web.body import parse_json, read_body, read_form, read_json
from wiser_fhir.web.openapi import fhir_answer, fhir_form, fhir_query
from wiser_fhir.web.outcome import FHIR_JSON, FhirResponse
from wiser_fhir.web.principal import require

_KEEP = (400, 401, 403, 404, 406, 413, 415, 422, 500, 503)
_READ = (401, 403, 404, 406, 500, 503)
_ASK = (400, 401, 403, 404, 406, 413, 415, 500, 503)
_EVENTS = ("eventsSinceNumber", "eventsUntilNumber", "content")
# What is told of a case, only who may read the answer may be told.
_ANSWERS = "system/ClaimResponse.rs"
_Endpoint = Callable[..., Awaitable[FhirResponse]]


@dataclass(frozen=True, slots=True)
class SubscriptionDoor:
    """What one line's routes work with."""

    service: SubscriptionService
    notices: Notices
    clock: Clock

    @property
    def base(self) -> str:
        """The line's base URL."""
        return self.service.place.base_url


def router_for(line: Line) -> APIRouter:
    """The routes of one line, to be mounted at its base path."""
    router = APIRouter()
    door = Depends(_door_of(line))
    _add_acts(router, line, door)
    _add_operations(router, line, door)
    _add_searches(router, line, door)
    _add_reading(router, line, door)
    return router


def _add_acts(router: APIRouter, line: Line, door: Any) -> None:
    @router.post("/Subscription", name=f"subscription-create-{line}", **_kept(line, 201))
    async def create(
        request: Request,
        subscriptions: Annotated[SubscriptionDoor, door],
        caller: Annotated[Principal, Depends(require("system/Subscription.c", _ANSWERS))],
    ) -> FhirResponse:
        """Ask to be told of answers. Source: PAS 2.2.1 §spec-54 to §spec-62."""
        _, resource = await read_json(request)
        kept = await subscriptions.service.create(_caller(request, caller), resource)
        return _sent(subscriptions, kept, 201)

    @router.put("/Subscription/{own_id}", name=f"subscription-update-{line}", **_kept(line, 200))
    async def update(
        own_id: str,
        request: Request,
        subscriptions: Annotated[SubscriptionDoor, door],
        caller: Annotated[Principal, Depends(require("system/Subscription.u", _ANSWERS))],
    ) -> FhirResponse:
        """Change a Subscription, begin it anew (status `requested`) or end it (`off`)."""
        _, resource = await read_json(request)
        if resource.get("id") != own_id:
            text = "The id in the body is not the one in the address."
            raise InvalidResource(text, [Problem("error", "value", text, "Subscription.id")])
        who = _caller(request, caller)
        kept = await subscriptions.service.update(who, _uuid(own_id), resource)
        return _sent(subscriptions, kept, 200)

    @router.delete(
        "/Subscription/{own_id}",
        name=f"subscription-delete-{line}",
        **_without_a_body(),
    )
    async def delete(
        own_id: str,
        request: Request,
        subscriptions: Annotated[SubscriptionDoor, door],
        caller: Annotated[Principal, Depends(require("system/Subscription.d"))],
    ) -> Response:
        """Be told no more."""
        await subscriptions.service.delete(_caller(request, caller), _uuid(own_id))
        return Response(status_code=204)


def _add_operations(router: APIRouter, line: Line, door: Any) -> None:
    may_read = Depends(require("system/Subscription.r"))
    may_hear = Depends(require("system/Subscription.r", _ANSWERS))

    @_asked(router, "/Subscription/$status", f"subscriptions-status-{line}", ("id", "status"))
    async def status_of_all(
        request: Request,
        subscriptions: Annotated[SubscriptionDoor, door],
        caller: Annotated[Principal, may_read],
    ) -> FhirResponse:
        """How the caller's Subscriptions stand, or those of some ids or statuses."""
        query = StatusQuery.of(await _pairs(request))
        who = _caller(request, caller)
        own = await subscriptions.service.all(who, "subscription.status")
        found = [each for each in own if query.finds(each)]
        url = f"{subscriptions.base}/Subscription/$status"
        return FhirResponse(subscriptions.notices.status(found, url, subscriptions.clock()))

    @_asked(router, "/Subscription/{own_id}/$status", f"subscription-status-{line}", ())
    async def status(
        own_id: str,
        request: Request,
        subscriptions: Annotated[SubscriptionDoor, door],
        caller: Annotated[Principal, may_read],
    ) -> FhirResponse:
        """How a Subscription stands; also while it is in error."""
        await _pairs(request)
        who = _caller(request, caller)
        told = await subscriptions.service.read(who, _uuid(own_id), "subscription.status")
        url = f"{subscriptions.notices.url(told)}/$status"
        return FhirResponse(subscriptions.notices.status([told], url, subscriptions.clock()))

    @_asked(router, "/Subscription/{own_id}/$events", f"subscription-events-{line}", _EVENTS)
    async def events(
        own_id: str,
        request: Request,
        subscriptions: Annotated[SubscriptionDoor, door],
        caller: Annotated[Principal, may_hear],
    ) -> FhirResponse:
        """What was or is to be told, by number, the first twenty of what is asked for."""
        query = EventsQuery.of(await _pairs(request))
        who = _caller(request, caller)
        told, found = await subscriptions.service.events(
            who, _uuid(own_id), query.first, query.last
        )
        now = subscriptions.clock()
        return FhirResponse(subscriptions.notices.events(told, found, query.content, now))


def _add_searches(router: APIRouter, line: Line, door: Any) -> None:
    may_search = require("system/Subscription.s")
    may_search_by_form = require("system/Subscription.s", form=True)

    @router.get(
        "/Subscription",
        name=f"subscription-search-{line}",
        **fhir_query("Bundle", (400, 401, 403, 406, 500, 503), SEARCHED),
    )
    async def search(
        request: Request,
        subscriptions: Annotated[SubscriptionDoor, door],
        caller: Annotated[Principal, Depends(may_search)],
    ) -> FhirResponse:
        """The caller's own Subscriptions."""
        pairs = request.query_params.multi_items()
        return await _found(request, subscriptions, caller, pairs)

    @router.post(
        "/Subscription/_search",
        name=f"subscription-search-by-form-{line}",
        **fhir_form("Bundle", (400, 401, 403, 406, 413, 415, 500, 503), SEARCHED),
    )
    async def search_by_form(
        request: Request,
        subscriptions: Annotated[SubscriptionDoor, door],
        caller: Annotated[Principal, Depends(may_search_by_form)],
    ) -> FhirResponse:
        """The caller's own Subscriptions, asked for by a form."""
        pairs = [*request.query_params.multi_items(), *await read_form(request)]
        return await _found(request, subscriptions, caller, pairs)


def _add_reading(router: APIRouter, line: Line, door: Any) -> None:
    @router.get(
        "/Subscription/{own_id}",
        name=f"subscription-read-{line}",
        **fhir_answer("Subscription", (*_READ, 409)),
    )
    async def read(
        own_id: str,
        request: Request,
        subscriptions: Annotated[SubscriptionDoor, door],
        caller: Annotated[Principal, Depends(require("system/Subscription.r"))],
    ) -> FhirResponse:
        """One of the caller's own, as it was sent, with how it stands."""
        told = await subscriptions.service.read(_caller(request, caller), _uuid(own_id))
        if not told.resource:
            raise Conflict(sealed_elsewhere(told))
        return _sent(subscriptions, told, 200)


def _asked(
    router: APIRouter, path: str, name: str, parameters: Sequence[str]
) -> Callable[[_Endpoint], _Endpoint]:
    """An operation that changes nothing, so that it may be asked by GET as well as by POST."""

    def decorate(endpoint: _Endpoint) -> _Endpoint:
        described = fhir_query("Bundle", _ASK, parameters)
        router.add_api_route(path, endpoint, methods=["GET"], name=name, **described)
        described = fhir_answer("Bundle", _ASK)
        content = {FHIR_JSON: {"schema": {"type": "object"}}}
        described["openapi_extra"]["requestBody"] = {"content": content}
        router.add_api_route(path, endpoint, methods=["POST"], name=f"{name}-post", **described)
        return endpoint

    return decorate


async def _found(
    request: Request,
    subscriptions: SubscriptionDoor,
    caller: Principal,
    pairs: Sequence[tuple[str, str]],
) -> FhirResponse:
    strict = "handling=strict" in ",".join(request.headers.getlist("prefer")).lower()
    query = Query.of(pairs, strict=strict)
    own = await subscriptions.service.all(_caller(request, caller), "subscription.search")
    found = [each for each in own if query.finds(each)]
    url = query.url(subscriptions.base)
    return FhirResponse(subscriptions.notices.found(found, url, subscriptions.clock()))


async def _pairs(request: Request) -> list[tuple[str, str]]:
    """The parameters of an operation, from the address and from a Parameters resource."""
    pairs = list(request.query_params.multi_items())
    body = await read_body(request) if request.method == "POST" else b""
    return [*pairs, *(told_in(parse_json(body)) if body else [])]


def _sent(subscriptions: SubscriptionDoor, told: Subscription, status: int) -> FhirResponse:
    headers = {"ETag": f'W/"{told.revision}"'}
    if status == 201:
        headers["Location"] = subscriptions.notices.url(told)
    return FhirResponse(subscriptions.notices.resource(told), status, headers)


def _kept(line: Line, status: int) -> dict[str, Any]:
    """What OpenAPI says of a request that brings a Subscription."""
    described = fhir_answer("Subscription", _KEEP)
    described["responses"][status] = described["responses"].pop(200)
    schema: Json = {
        "type": "object",
        "required": ["resourceType", "status", "reason", "criteria", "channel"],
        "properties": {"resourceType": {"const": "Subscription"}, "channel": {"type": "object"}},
    }
    described["openapi_extra"]["requestBody"] = {
        "required": True,
        "content": {FHIR_JSON: {"schema": schema}},
    }
    described["openapi_extra"]["externalDocs"] = {
        "url": PROFILES[line],
        "description": "Profile of the request",
    }
    return {**described, "status_code": status}


def _without_a_body() -> dict[str, Any]:
    """What OpenAPI says of a deletion."""
    described = fhir_answer("Subscription", _READ)
    del described["responses"][200]
    described["responses"][204] = {"description": "Gone."}
    return {**described, "status_code": 204}


def _door_of(line: Line) -> Callable[[Request], Awaitable[SubscriptionDoor]]:
    async def door(request: Request) -> SubscriptionDoor:
        found: SubscriptionDoor = request.app.state.subscriptions[line]
        return found

    return door


def _caller(request: Request, principal: Principal) -> Caller:
    return Caller(principal=principal, request_id=request.state.request_id)


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("Subscription") from None
