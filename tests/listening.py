"""A server in a thread of its own on free ports, and an application that says who is there."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread
from typing import Any

import uvloop
from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse, Response

from wiser_fhir import server
from wiser_fhir.errors import Unauthenticated
from wiser_fhir.server import Limits, Listener
from wiser_fhir.web.connection import Trust, peer_certificate
from wiser_fhir.web.tls import TlsFiles

PATIENCE = 5.0
Address = tuple[str, int]


class Listed:
    """A list of revoked certificates, as a test writes it."""

    def __init__(self) -> None:
        self.thumbprints: set[str] = set()

    def names(self, thumbprint: str) -> bool:
        """Whether it is on the list."""
        return thumbprint in self.thumbprints


def telling(*proxies: str, revoked: Listed | None = None) -> FastAPI:
    """An application whose `/who` tells which certificate a client has shown.

    `state.asked` counts what reached it.
    """
    app = FastAPI()
    app.state.trust = Trust(revoked or Listed(), frozenset(proxies))
    app.state.asked = 0

    @app.get("/who")
    async def who(request: Request) -> dict[str, Any]:
        app.state.asked += 1
        shown = peer_certificate(request)
        return {"thumbprint": shown and shown.thumbprint, "uris": shown and shown.uris}

    @app.exception_handler(Unauthenticated)
    async def refused(_request: Request, error: Exception) -> Response:
        return PlainTextResponse(str(error), 401)

    return app


@contextmanager
def listening(
    app: FastAPI,
    *tls: TlsFiles | None,
    limits: Limits | None = None,
    run: Callable[..., Any] = uvloop.run,
) -> Iterator[list[Address]]:
    """The application served on a listener for each `tls` (None is plain), until the block ends."""
    with ExitStack() as held:
        bound = [held.enter_context(server.bind("127.0.0.1", 0)) for _ in tls]
        listeners = [
            Listener(each, files.context() if files else None)
            for each, files in zip(bound, tls, strict=True)
        ]
        ready, stop = Event(), list[Callable[[], None]]()

        async def serve() -> None:
            one = server.build(app, listeners, ready.set, limits or Limits())
            stop.append(lambda: setattr(one, "should_exit", True))
            await one.serve(bound)

        thread = Thread(target=lambda: run(serve()), daemon=True)
        thread.start()
        assert ready.wait(PATIENCE)
        try:
            yield [each.getsockname() for each in bound]
        finally:
            stop[0]()
            thread.join(PATIENCE)
    assert not thread.is_alive()
