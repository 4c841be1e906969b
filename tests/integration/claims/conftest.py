"""The claims door and the review door beside it on a real Postgres, with a clock that stands."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import StillClock
from tests.integration.claims.door import NOW, ORIGIN, Door, MakeDoor, registered
from tests.limits import wide
from tests.unit.priorauth.wiser_requests import CATALOGUE
from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.auth.authenticators import Authenticators
from wiser_fhir.auth.people import PersonAuthenticator
from wiser_fhir.auth.tokens import Authenticator
from wiser_fhir.claims import routes
from wiser_fhir.claims.routes import ClaimDoor
from wiser_fhir.priorauth.claims import ClaimService
from wiser_fhir.priorauth.prepayment_reviews import PrepaymentReviews
from wiser_fhir.priorauth.registry import InMemoryRegistry
from wiser_fhir.review import prepayment_routes
from wiser_fhir.web.application import Look, application
from wiser_fhir.web.session_cookie import Cookies


@pytest.fixture
def clock() -> StillClock:
    """The time, until a test sets it."""
    return StillClock(NOW)


@pytest.fixture
def claims(app_engine: AsyncEngine, clock: StillClock) -> ClaimService:
    """The service behind the door."""
    recorder = Recorder(app_engine, b"k" * 32)
    return ClaimService(app_engine, CATALOGUE, InMemoryRegistry(), recorder, clock)


@pytest.fixture
def reviews(app_engine: AsyncEngine, clock: StillClock, claims: ClaimService) -> PrepaymentReviews:
    """What the MAC reads and people do."""
    return PrepaymentReviews(app_engine, claims.recorder, clock)


@pytest.fixture
async def http(
    app_engine: AsyncEngine, clock: StillClock, claims: ClaimService, reviews: PrepaymentReviews
) -> AsyncIterator[AsyncClient]:
    """HTTP to the two doors."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield

    routers = [("", routes.router), ("", prepayment_routes.router)]
    app = application(lifespan, routers, Look(protected=("/claims", "/review")))
    app.state.limits = wide()
    app.state.authenticator = Authenticators(Authenticator(app_engine, clock), None)
    app.state.people = PersonAuthenticator(app_engine, clock)
    app.state.cookies = Cookies("http://test")
    app.state.recorder = claims.recorder
    app.state.claims = ClaimDoor(claims, reviews)
    app.state.prepayment = reviews
    async with AsyncClient(transport=ASGITransport(app), base_url=ORIGIN, timeout=60) as client:
        yield client


@pytest.fixture
def make_door(superuser_engine: AsyncEngine, http: AsyncClient, clean_database: None) -> MakeDoor:
    """Registers a client, of a MAC unless told otherwise, and gives it a token."""

    async def make(**fields: object) -> Door:
        return await registered(superuser_engine, http, **fields)  # type: ignore[arg-type]

    return make


@pytest.fixture
async def mac(make_door: MakeDoor) -> Door:
    """A Medicare administrative contractor."""
    return await make_door()
