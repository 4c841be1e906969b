"""What UDAP clients read before they register: open to all, below each base URL.

Source: UDAP Security 2.0.0, "Discovery".
"""

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, JSONResponse, Response

from wiser_fhir.errors import NotFound
from wiser_fhir.oauth.udap_door import door_of
from wiser_fhir.web.discovery import OPEN_TO_BROWSERS

CRL_PATH = "/udap/crl"
_CRL = "application/pkix-crl"

_ABSENT: dict[int | str, dict[str, Any]] = {
    404: {"description": "UDAP is not offered here, or not in this community."}
}
_COMMUNITY = {
    "name": "community",
    "in": "query",
    "description": "URI of a trust community.",
    "schema": {"type": "string"},
}


def router_for(path: str) -> APIRouter:
    """A router with the metadata of the base URL at `path`."""
    router = APIRouter(tags=["discovery"])

    async def udap(request: Request) -> Response:
        """How to register and to ask for tokens by UDAP."""
        door = door_of(request)
        named = request.query_params.getlist("community")
        base = f"{request.app.state.public_url}{path}"
        community = named[0] if named else None
        document = door.metadata.document(base, community, door.clock())
        if document is None or len(named) > 1:
            raise NotFound("UDAP community here")
        return JSONResponse(document, headers=OPEN_TO_BROWSERS)

    router.add_api_route(
        "/.well-known/udap",
        udap,
        name=f"udap-{path}",
        methods=["GET"],
        response_model=None,
        responses=_ABSENT,
        openapi_extra={"parameters": [_COMMUNITY]},
    )
    return router


def crl_router() -> APIRouter:
    """A router with the list of what the sandbox's own authority has revoked."""
    router = APIRouter(tags=["discovery"])

    async def crl(request: Request) -> Response:
        """The list of revoked certificates of the sandbox's own community."""
        file = door_of(request).crl
        if file is None:
            raise NotFound("list")
        return FileResponse(file, media_type=_CRL)

    binary = {"schema": {"type": "string", "format": "binary"}}
    sent = {"description": "The list, in DER.", "content": {_CRL: binary}}
    router.add_api_route(
        CRL_PATH,
        crl,
        name="udap-crl",
        methods=["GET"],
        response_model=None,
        response_class=FileResponse,
        responses={200: sent, **_ABSENT},
    )
    return router
