"""Routes of the authorization server as an application, who calls it, and what it stored."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.limits import wide
from tests.pki import showing
from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.sandbox.authority import Issued
from wiser_fhir.web.application import Look, application
from wiser_fhir.web.connection import Trust
from wiser_fhir.web.session_cookie import Cookies


@dataclass
class NoneRevoked:
    """A list of revoked certificates, made by the test."""

    thumbprints: set[str] = field(default_factory=set)

    def names(self, thumbprint: str) -> bool:
        return thumbprint in self.thumbprints


def authorization_app(
    origin: str,
    engine: AsyncEngine,
    routers: Iterable[tuple[str, APIRouter]],
    revoked: NoneRevoked,
) -> FastAPI:
    """An application with what all routes work with; whom it knows by their tokens is not in it."""
    app = application(_nothing, routers, Look(protected=("/fhir/", "/v2.0/fhir/")))
    state = app.state
    state.public_url = origin
    state.trust = Trust(revoked)
    state.cookies = Cookies(origin)
    state.limits = wide()
    state.recorder = Recorder(engine, b"k" * 32)
    return app


@asynccontextmanager
async def _nothing(_app: FastAPI) -> AsyncIterator[None]:
    yield


def calling(app: FastAPI, shown: Issued | None = None) -> AsyncClient:
    """Somebody who calls, showing a certificate or none."""
    return AsyncClient(transport=ASGITransport(showing(app, shown)), base_url="http://wrong.host")


@dataclass(frozen=True)
class Stored:
    """The database, past the server and the commands."""

    engine: AsyncEngine

    async def run(self, statement: str, **values: Any) -> None:
        """Change something behind the server's back."""
        async with self.engine.begin() as db:
            await db.execute(text(statement), values)

    async def rows(self, query: str) -> list[Any]:
        """What is stored."""
        async with self.engine.connect() as db:
            return [tuple(row) for row in await db.execute(text(query))]

    async def audited(self) -> list[tuple[str, str, str | None]]:
        """Action, outcome and reason of each row of the trail, in order."""
        query = "select action, outcome, detail ->> 'reason' from audit_event order by id"
        return await self.rows(query)
