"""Routes for people: who calls is settled before anything of a body is read."""

from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError

from wiser_fhir.errors import TooLarge
from wiser_fhir.priorauth.desk import Reviewing
from wiser_fhir.web.body import read_json
from wiser_fhir.web.negotiation import check_accept, check_content_type
from wiser_fhir.web.openapi import person_operation
from wiser_fhir.web.people import authenticate_person, require_person

LARGEST_BODY = 256 * 1024

# What a browser may do with a file that somebody sent us: keep it.
AS_A_FILE = {
    "Content-Disposition": "attachment",
    "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
}

_WITH_BODY = frozenset({"POST", "PUT"})
_REFUSALS: Mapping[int, str] = {
    401: "No live bearer token of a person.",
    403: "The person may not do this.",
    404: "No such case, or one of an organization the person belongs to.",
    406: "Only JSON is sent.",
    409: "The case has changed, or is past this.",
    413: "Too large.",
    415: "Only JSON is read.",
    422: "A value, or what is asked for as a whole, cannot be.",
    503: "Away for a moment; empty, with Retry-After.",
}


class PersonRoute(APIRoute):
    """A route of the review door.

    FastAPI reads a body, without a limit, before it asks any dependency: a stranger would be told
    what is wrong with it. So the caller is asked for first, and the body read with our limits; who
    has the role has it read as it stands: FastAPI takes "1" and 1.0 for 1, a number for a day.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        answer = super().get_route_handler()
        strictly = self._body_read_strictly()

        async def answer_person(request: Request) -> Response:
            await authenticate_person(request)
            check_accept(request)
            if request.method in _WITH_BODY and strictly is not None:
                request.state.check_body = partial(
                    _check_strictly, strictly, await _hold_body(request)
                )
            return await answer(request)

        return answer_person

    def _body_read_strictly(self) -> TypeAdapter[Any] | None:
        if self.body_field is None:
            return None
        field = self.body_field.field_info
        annotated: Any = Annotated[field.annotation, field]
        return TypeAdapter(annotated)


def _check_strictly(body_type: TypeAdapter[Any], body: bytes) -> None:
    try:
        body_type.validate_json(body, strict=True)
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        raise RequestValidationError(
            [{**each, "loc": ("body", *each["loc"])} for each in faults]
        ) from error


def _nothing_sent() -> None:
    pass


async def _hold_body(request: Request) -> bytes:
    """Read the body once; whoever asks the request for it afterwards gets the same bytes."""
    check_content_type(request)
    body, _ = await read_json(request)
    if len(body) > LARGEST_BODY:
        raise TooLarge(f"The body is larger than {LARGEST_BODY // 1024} KiB.")
    request._body = body
    return body


def reviewing(*roles: str) -> Any:
    """A dependency: who reviews, with one of these roles, and the id of the request.

    Use as `by: Annotated[Reviewing, reviewing(CLINICIAN)]`.
    """
    person = require_person(*roles)

    async def who(request: Request) -> Reviewing:
        found = Reviewing(await person(request), request.state.request_id)
        getattr(request.state, "check_body", _nothing_sent)()
        return found

    return Depends(who)


def for_people(*statuses: int) -> dict[str, Any]:
    """Arguments for a route of the review door: how it refuses, besides what every route does."""
    refused = sorted({401, 403, 406, 503, *statuses})
    return person_operation({status: _REFUSALS[status] for status in refused})
