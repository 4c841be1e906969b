"""Around every request: its id, the one catch-all, headers, figures and a line in the log."""

import logging
import re
from time import perf_counter
from typing import Any
from uuid import UUID, uuid4

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wiser_fhir.db.engine import is_away
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
        if "//" in scope["path"]:
            scope = {**scope, "path": _SLASHES.sub("/", scope["path"])}
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
            await send(message)

        try:
            await self.app(scope, receive, answer)
        except ClientDisconnect:
            status = _CLIENT_GONE
        except Exception as error:
            facts = {"request": str(request_id), **described(error)}
            log.error("request failed", extra=facts)  # no traceback: it ends in the text
            if status:
                raise  # half an answer is out: let the server cut the connection
            await unavailable(503 if is_away(error) else 500)(scope, receive, answer)
        finally:
            self._note(scope, request_id, status, perf_counter() - started)

    def _note(self, scope: Scope, request_id: UUID, status: int, seconds: float) -> None:
        route = self._routes.template(scope)
        self._metrics.observe(scope["method"], route, status, seconds)
        caller: Any = scope["state"].get("principal")
        person: Any = scope["state"].get("person")
        self._access.info(
            "request",
            request=str(request_id),
            method=scope["method"],
            route=route,
            status=status,
            ms=round(seconds * 1000, 2),
            **({"client": str(caller.client_id)} if caller else {}),
            **({"person": str(person.person_id)} if person else {}),
        )


def _request_id(scope: Scope) -> UUID:
    """The caller's X-Request-Id if it is a UUID, else a new one: other text might say anything."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _UUID.fullmatch(value):
            return UUID(value.decode())
    return uuid4()
