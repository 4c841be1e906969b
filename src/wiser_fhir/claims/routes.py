"""Claims over HTTP: asking what would be said of one, recording one that arrived, and reviews.

Scopes are those of the FHIR doors: to ask and to read takes `system/ClaimResponse.rs`, to record
takes `system/Claim.c`. Recording and reviews are for MACs.
"""

from dataclasses import dataclass
from typing import Annotated, Any, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from wiser_fhir.auth.principal import Principal
from wiser_fhir.claims.schemas import ClaimOut, ReviewOut, ReviewsOut, read_check, read_claim
from wiser_fhir.priorauth.claim import LineStatus
from wiser_fhir.priorauth.claims import ArrivedClaim, Asking, ClaimAnswer, ClaimService
from wiser_fhir.priorauth.prepayment import ReviewState
from wiser_fhir.priorauth.prepayment_reviews import PrepaymentReviews
from wiser_fhir.web.body import read_json
from wiser_fhir.web.limits import limits_of
from wiser_fhir.web.openapi import person_operation
from wiser_fhir.web.principal import require

PATH = "/claims"
_MOST = 100

_JSON = "application/json"
_DAY = {"type": "string", "format": "date"}
_TEXT = {"type": "string"}
_TEXTS = {"type": "array", "items": _TEXT}
_PLACED = {"place_of_service": _TEXT, "bill_type": _TEXT, "utn": _TEXT}
_LINE = {
    "type": "object",
    "required": ["line", "code", "units", "service_date"],
    "properties": {
        "line": {"type": "integer", "minimum": 1},
        "code": _TEXT,
        "modifiers": _TEXTS,
        "units": {"type": "number", "exclusiveMinimum": 0},
        "service_date": _DAY,
        "service_end": _DAY,
        "revenue_code": _TEXT,
        **_PLACED,
    },
}
_CHECK: dict[str, Any] = {
    "type": "object",
    "required": ["mbi", "provider_npi", "lines"],
    "properties": {
        "mbi": _TEXT,
        "provider_npi": _TEXT,
        "state": _TEXT,
        "diagnoses": _TEXTS,
        "lines": {"type": "array", "minItems": 1, "items": _LINE},
        **_PLACED,
    },
}
_CLAIM: dict[str, Any] = {
    **_CHECK,
    "required": ["claim_number", *_CHECK["required"]],
    "properties": {"claim_number": _TEXT, **_CHECK["properties"]},
}
_REFUSALS = {
    400: "Not readable.",
    401: "No live bearer token.",
    403: "The token's scopes do not cover this, or the caller is no MAC.",
    404: "No such review, or another MAC's.",
    406: "Only JSON is sent.",
    409: "A claim of this number came before with other content.",
    413: "Too large.",
    415: "Only JSON is read.",
    422: "A value that cannot be; all of them are told.",
    429: "Too many requests, or too many numbers that there are not, in a short time.",
    503: "Away for a moment; empty, with Retry-After.",
}


def _described(
    answer: str, statuses: tuple[int, ...], body: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Arguments for a route that reads its body raw: what it takes, sends and refuses."""
    told = person_operation({status: _REFUSALS[status] for status in statuses})
    sent = {"description": answer, "content": {_JSON: {"schema": {"type": "object"}}}}
    told["responses"] = {200: sent, **told["responses"]}
    if body is not None:
        content = {"required": True, "content": {_JSON: {"schema": body}}}
        told["openapi_extra"] |= {"requestBody": content}
    return {"response_model": None, **told}


router = APIRouter(prefix=PATH, tags=["claims"])


@dataclass(frozen=True, slots=True)
class ClaimDoor:
    """The services behind the door."""

    claims: ClaimService
    reviews: PrepaymentReviews


class JsonResponse(Response):
    """A JSON answer. Bytes are sent as they stand."""

    media_type = _JSON


async def _door(request: Request) -> ClaimDoor:
    return cast(ClaimDoor, request.app.state.claims)


Door = Annotated[ClaimDoor, Depends(_door)]
Reader = Annotated[Principal, Depends(require("system/ClaimResponse.rs"))]
Sender = Annotated[Principal, Depends(require("system/Claim.c"))]


@router.post(
    "/check",
    **_described(
        "What is said of each line.", (400, 401, 403, 406, 413, 415, 422, 429, 503), _CHECK
    ),
)
async def check(request: Request, caller: Reader, door: Door) -> JsonResponse:
    """What would be said of a claim, line by line. Nothing is recorded but that it was asked.

    Who asks for too many numbers that there are not is guessing, and waits.
    """
    _, parsed = await read_json(request)
    asked = read_check(parsed)
    misses = limits_of(request).misses
    misses.check(caller.organization_id)
    answer = await door.claims.check(_asking(request, caller), asked.claim())
    unknown = {line.utn for line in answer.lines if line.status is LineStatus.UTN_UNKNOWN}
    misses.note(caller.organization_id, len(unknown))
    return JsonResponse(_rendered(answer))


@router.post(
    "",
    **_described(
        "What is said of each line.", (400, 401, 403, 406, 409, 413, 415, 422, 503), _CLAIM
    ),
)
async def record(request: Request, caller: Sender, door: Door) -> JsonResponse:
    """Record a claim that arrived at a MAC: it uses up units, and opens reviews before payment."""
    body, parsed = await read_json(request)
    sent = read_claim(parsed)
    arrived = ArrivedClaim(sent.claim_number, body, sent.claim())
    return JsonResponse(await door.claims.record(_asking(request, caller), arrived, _rendered))


@router.get("/reviews", **_described("A page of reviews.", (401, 403, 406, 422, 503)))
async def reviews(
    request: Request,
    caller: Reader,
    door: Door,
    state: ReviewState | None = None,
    after: UUID | None = None,
    size: Annotated[int, Query(ge=1, le=_MOST)] = _MOST,
) -> JsonResponse:
    """A MAC's reviews before payment, the oldest first. Reading one that ended is its report."""
    found = await door.reviews.of_mac(_asking(request, caller), state, after, size)
    page = ReviewsOut(
        reviews=tuple(map(ReviewOut.model_validate, found)),
        next=found[-1].id if len(found) == size else None,
    )
    return JsonResponse(page.model_dump_json())


@router.get("/reviews/{review_id}", **_described("A review.", (401, 403, 404, 406, 422, 503)))
async def review(review_id: UUID, request: Request, caller: Reader, door: Door) -> JsonResponse:
    """One of a MAC's reviews before payment."""
    found = await door.reviews.of_mac_by_id(_asking(request, caller), review_id)
    return JsonResponse(ReviewOut.model_validate(found).model_dump_json())


def _asking(request: Request, caller: Principal) -> Asking:
    return Asking(caller, request.state.request_id)


def _rendered(answer: ClaimAnswer) -> bytes:
    return ClaimOut.of(answer).model_dump_json().encode()
