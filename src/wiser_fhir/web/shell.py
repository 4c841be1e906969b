"""Around every request: its id, the one catch-all, headers, figures and a line in the log."""

import logging
import re
from time import perf_counter
from typing import Any, cast
from uuid import UUID, uuid4

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wiser_fhir.audit.recorder import AuditRow, Recorder
from wiser_fhir.db.engine import is_away
from wiser_fhir.errors import Unavailable
from wiser_fhir.web.errors import unavailable
from wiser_fhir.web.logs import described
from wiser_fhir.web.metrics import Metrics
from wiser_fhir.web.routes import RouteTable

log = logging.getLogger(__name__)

_UUID = re.compile(rb"[0-9A-Fa-f]{8}(-?)(?:[0-9A-Fa-f]{4}\1){3}[0-9A-Fa-f]{12}")

# A base URL that is written with a slash at its end makes two of them.
_SLASHES = re.compile("/{2,}")
_CLIENT_GONE = 499

_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
)
_HSTS = (b"strict-transport-security", b"max-age=31536000")


class Shell:
    """ASGI middleware; the outermost of ours."""

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        routes: RouteTable,
        access: structlog.typing.FilteringBoundLogger,
        https: bool,
    ) -> None:
        self.app = app
        self._metrics = metrics
        self._routes = routes
        self._access = access
        self._headers = (*_HEADERS, _HSTS) if https else _HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Nothing that fails inside gets past."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        method = scope["method"]
        scope = _as_routed(scope)
        started = perf_counter()
        request_id = _request_id(scope)
        state = scope.setdefault("state", {})
        state["request_id"], state["started"] = request_id, started
        headers = [*self._headers, (b"x-request-id", str(request_id).encode())]
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(each for each in headers if each[0] not in sent),
                ]
            elif method == "HEAD":
                message = {**message, "body": b""}
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except ClientDisconnect:
            status = _CLIENT_GONE
        except Exception as error:
            facts = {"request": str(request_id), **described(error)}
            log.error("request failed", extra=facts)  # no traceback: it ends in the text
            away = isinstance(error, Unavailable) or is_away(error)
            if not away:
                await self._record_failure(scope, request_id)
            if status:
                raise  # half an answer is out: let the server cut the connection
            await unavailable(503 if away else 500)(scope, receive, answer)
        finally:
            leave = state.pop("leave", None)
            if leave is not None:
                leave()
            self._note(scope, method, request_id, status, perf_counter() - started)

    async def _record_failure(self, scope: Scope, request_id: UUID) -> None:
        """Audit that a known caller got no answer. Nothing was disclosed: if the row cannot be
        written either, the log says so, and the answer is the same.
        """
        caller: Any = scope["state"].get("principal")
        person: Any = scope["state"].get("person")
        if caller is None and person is None:
            return
        row = AuditRow(
            request_id=request_id,
            action="request.failed",
            outcome="exception",
            organization_id=caller.organization_id if caller else None,
            client_id=caller.client_id if caller else None,
            person_id=person.person_id if person else None,
            detail={"method": scope["method"], "route": self._routes.template(scope)},
        )
        try:
            await cast(Recorder, scope["app"].state.recorder).record(row)
        except Exception as error:
            facts = {"request": str(request_id), **described(error)}
            log.error("failure not recorded", extra=facts)

    def _note(
        self, scope: Scope, method: str, request_id: UUID, status: int, seconds: float
    ) -> None:
        route = self._routes.template(scope)
        self._metrics.observe(method, route, status, seconds)
        caller: Any = scope["state"].get("principal")
        person: Any = scope["state"].get("person")
        self._access.info(
            "request",
            request=str(request_id),
            method=method,
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            **({"client": str(caller.client_id)} if caller else {}),
            **({"person": str(person.person_id)} if person else {}),
        )


def _as_routed(scope: Scope) -> Scope:
    """What routes are asked: a HEAD is a GET whose body stays here, many slashes are one.

    Source: RFC 9110, 9.3.2.
    """
    if scope["method"] == "HEAD":
        scope = {**scope, "method": "GET"}
    if "//" in scope["path"]:
        scope = {**scope, "path": _SLASHES.sub("/", scope["path"])}
    return scope


def _request_id(scope: Scope) -> UUID:
    """The caller's X-Request-Id if it is a UUID, else a new one: other text might say anything."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _UUID.fullmatch(value):
            return UUID(value.decode())
    return uuid4()
