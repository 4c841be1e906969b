"""The documents by which clients find the authorization server: open to all, browsers included."""

from collections.abc import Awaitable, Callable, Sequence
from typing import cast

import orjson
from fastapi import APIRouter, Request, Response

from wiser_fhir.fhir.elements import Json
from wiser_fhir.oauth.endpoints import Endpoints
from wiser_fhir.oauth.server import AuthorizationServer
from wiser_fhir.web.discovery import OPEN_TO_BROWSERS
from wiser_fhir.web.openapi import json_answer


def smart_router(
    name: str, document: Callable[[Request], Awaitable[Response]], statuses: Sequence[int] = ()
) -> APIRouter:
    """A router with the SMART document of one base; `name` tells its route from another base's.

    `statuses` are those that `document` may refuse with.
    """
    router = APIRouter(tags=["discovery"])
    router.add_api_route(
        "/.well-known/smart-configuration",
        document,
        name=name,
        methods=["GET"],
        **json_answer("How to get a token.", statuses),
    )
    return router


def server_router() -> APIRouter:
    """A router with the document of RFC 8414, at the origin, which is the issuer."""
    router = APIRouter(tags=["discovery"])
    router.add_api_route(
        "/.well-known/oauth-authorization-server",
        server_metadata,
        methods=["GET"],
        **json_answer("How to get a token.", ()),
    )
    return router


async def smart_configuration(request: Request) -> Response:
    """How to get a token. Source: SMART App Launch 2.2.0, "Using .well-known"."""
    return sent(_endpoints(request).smart_configuration())


async def server_metadata(request: Request) -> Response:
    """How to get a token. Source: RFC 8414, 3."""
    return sent(_endpoints(request).server_metadata())


def sent(document: Json) -> Response:
    """A document of discovery, as it goes out."""
    body = orjson.dumps(document)
    return Response(body, media_type="application/json", headers=OPEN_TO_BROWSERS)


def _endpoints(request: Request) -> Endpoints:
    return cast(AuthorizationServer, request.app.state.oauth).endpoints
