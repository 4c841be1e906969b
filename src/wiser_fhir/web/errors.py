"""From an error to an answer: the one table of statuses, and the handlers.

Every 4xx is one OperationOutcome, the framework's own included; every 5xx has an empty body, for it
is worth sending again as it was. A refusal of a known caller, or of a bad token, is on the audit
trail before it leaves.

Source: PAS 2.2.1 §spec-35, §spec-39.
"""

from collections.abc import Mapping
from http import HTTPStatus
from time import perf_counter
from typing import Any, cast

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from wiser_fhir.audit.recorder import AuditRow, Recorder
from wiser_fhir.errors import Forbidden, OutOfScope, Problem, Throttled, Unauthenticated, WiserError
from wiser_fhir.web.outcome import FhirResponse, operation_outcome
from wiser_fhir.web.people import authenticate_person, known_person
from wiser_fhir.web.principal import authenticate, known_caller
from wiser_fhir.web.routes import RouteTable
from wiser_fhir.web.session_cookie import session_of

# From FHIR issue code to HTTP status, for every error of ours.
STATUS: Mapping[str, int] = {
    "structure": 400,
    "invalid": 400,
    "login": 401,
    "forbidden": 403,
    "not-found": 404,
    "conflict": 409,
    "too-long": 413,
    "business-rule": 422,
    "not-supported": 422,
    "throttled": 429,
    "exception": 500,
    "transient": 503,
}

# From HTTP status to FHIR issue code, for what HTTP itself or the framework refuses.
_CODES: Mapping[int, str] = {
    400: "structure",
    401: "login",
    403: "forbidden",
    404: "not-found",
    409: "conflict",
    413: "too-long",
    429: "throttled",
}
_TEXTS: Mapping[int, str] = {
    404: "There is no such resource, interaction or operation.",
    405: "This path does not answer to that method.",
}
_SERVER_ERROR = 500
RETRY_AFTER = "2"


def install(app: FastAPI, protected: tuple[str, ...], people: tuple[str, ...] = ()) -> None:
    """Give the application its handlers.

    Below a `protected` path strangers are told nothing; nor are, below one of `people`, clients.
    """

    async def on_our_error(request: Request, error: Exception) -> Response:
        return await _refuse(request, cast(WiserError, error))

    async def on_http_error(request: Request, error: Exception) -> Response:
        refused = cast(HTTPException, error)
        path = request.scope["path"]
        if refused.status_code in {404, 405} and path.startswith((*protected, *people)):
            known = authenticate_person if path.startswith(people) else authenticate
            try:
                await known(request)
            except (Unauthenticated, Throttled, Forbidden) as refusal:
                return await _refuse(request, refusal)
        return await _http_refusal(request, refused)

    async def on_parameters(request: Request, error: Exception) -> Response:
        problems = [_parameter(each) for each in cast(RequestValidationError, error).errors()]
        return await _answer(request, 422, problems)

    app.add_exception_handler(WiserError, on_our_error)
    app.add_exception_handler(HTTPException, on_http_error)
    app.add_exception_handler(RequestValidationError, on_parameters)


def unavailable(status: int) -> Response:
    """A 5xx: nothing said, worth repeating."""
    headers = {"Retry-After": RETRY_AFTER} if status == HTTPStatus.SERVICE_UNAVAILABLE else None
    return Response(status_code=status, headers=headers)


async def _refuse(request: Request, error: WiserError) -> Response:
    status = STATUS[error.issue_code]
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error  # the shell tells the log and the trail, as of any other fault
    if status >= _SERVER_ERROR:
        return unavailable(status)
    headers = {}
    if isinstance(error, Unauthenticated | OutOfScope):
        headers["WWW-Authenticate"] = _challenge(request, error.challenge)
    if isinstance(error, Throttled):
        headers["Retry-After"] = str(error.retry_after)
        if not error.guessing:
            # A row for each would let a flood through to the database; logs and figures tell of it.
            return FhirResponse(operation_outcome(error.problems), status, headers)
    return await _answer(request, status, error.problems, headers)


def _challenge(request: Request, challenge: str) -> str:
    """What is needed; only whoever showed a token is told that it was none.

    Source: RFC 6750, 3.1.
    """
    if challenge == Unauthenticated.challenge and request.headers.get("authorization"):
        return f'{challenge} error="invalid_token"'
    return challenge


async def _http_refusal(request: Request, error: HTTPException) -> Response:
    status = error.status_code
    if status >= _SERVER_ERROR:
        return unavailable(status)
    headers = dict(error.headers or {})
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        headers["Allow"] = ", ".join(_routes(request).allowed(request.scope["path"]))
    text = _TEXTS.get(status, str(error.detail))
    problem = Problem("error", _CODES.get(status, "not-supported"), text)
    return await _answer(request, status, [problem], headers)


async def _answer(
    request: Request,
    status: int,
    problems: list[Problem] | tuple[Problem, ...],
    headers: Mapping[str, str] | None = None,
) -> Response:
    await _record(request, status, [each.code for each in problems])
    return FhirResponse(operation_outcome(problems), status, headers)


async def _record(request: Request, status: int, codes: list[str]) -> None:
    """Audit the refusal of a caller, and of whoever came with a token that is none.

    How long it took and what kinds of problems there were tell the measures of the guides.
    Source: PAS 2.2.1 PASMetricData, DTR 2.2.0 DTRMetricData.
    """
    caller, person = known_caller(request), known_person(request)
    if caller is None and person is None and not _showed_something(request):
        return
    route = _routes(request).template(request.scope)
    row = AuditRow(
        request_id=request.state.request_id,
        action="request.refused",
        outcome=codes[0],
        organization_id=caller.organization_id if caller else None,
        client_id=caller.client_id if caller else None,
        detail={
            "status": status,
            "method": request.method,
            "route": route,
            "issues": "|".join(dict.fromkeys(codes)),
            "ms": round((perf_counter() - request.state.started) * 1000),
        },
        person_id=person.person_id if person else None,
    )
    await cast(Recorder, request.app.state.recorder).record(row)


def _showed_something(request: Request) -> bool:
    """Whether there is a token, or the cookie of a session, that turned out to be none."""
    return "authorization" in request.headers or session_of(request) is not None


def _routes(request: Request) -> RouteTable:
    return cast(RouteTable, request.app.state.routes)


def _parameter(error: Mapping[str, Any]) -> Problem:
    where, *name = (str(part) for part in error["loc"])
    return Problem("error", "value", f"{where} parameter {'.'.join(name)}: {error['msg']}")
