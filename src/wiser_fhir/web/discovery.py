"""CapabilityStatements: files of `capability/`, sent as they stand with the address filled in."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from fastapi import APIRouter, Request

from wiser_fhir.resources import resource_path
from wiser_fhir.web.negotiation import check_accept
from wiser_fhir.web.openapi import fhir_answer
from wiser_fhir.web.outcome import FhirResponse

# Stands in the files where the deployment's own scheme, host and port go.
PLACEHOLDER = b"https://deployment.invalid"
# What clients look up before anything else, pages on other origins may read too.
OPEN_TO_BROWSERS: Final[Mapping[str, str]] = {"Access-Control-Allow-Origin": "*"}


def metadata_router(name: str) -> APIRouter:
    """A router with the `metadata` of one line, from `capability/{name}.json`.

    The address is `app.state.public_url`: a Host header decides nothing. Where tokens come from the
    SMART document alone says.
    """
    document = (resource_path("capability") / f"{name}.json").read_bytes()
    router = APIRouter(tags=["discovery"])
    described = fhir_answer("CapabilityStatement", [406])
    described.pop("openapi_extra")
    router.add_api_route("/metadata", _sender(document), name=name, methods=["GET"], **described)
    return router


def _sender(document: bytes) -> Callable[[Request], Awaitable[FhirResponse]]:
    async def metadata(request: Request) -> FhirResponse:
        """What this endpoint can do."""
        check_accept(request)
        filled = document.replace(PLACEHOLDER, request.app.state.public_url.encode())
        return FhirResponse(filled, headers=OPEN_TO_BROWSERS)

    return metadata
