"""The app in this process as its own identity provider, and people who come by browser."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.apps import sandbox_app, sign_in_here
from tests.clocks import StillClock
from tests.integration.sign_in.browsing import ORIGIN, Browser, a_browser
from tests.reviewing import NOW, insert_person
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.db.embedded import Urls
from wiser_fhir.sandbox.issuer import KNOWN_AS

Audit = Callable[[], Awaitable[list[tuple[object, ...]]]]
Enlist = Callable[..., Awaitable[Reviewer]]


@pytest.fixture(scope="session")
def one_clock() -> StillClock:
    """The app's clock; `clock` sets it right again for each test."""
    return StillClock(NOW)


@pytest.fixture
def clock(one_clock: StillClock) -> StillClock:
    """The app's clock, at NOW."""
    one_clock.now = NOW
    return one_clock


@pytest.fixture(scope="session")
async def app(
    database: Urls, one_clock: StillClock, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FastAPI]:
    """A sandbox that browsers find by https. Its calls to its own provider stay in the process."""
    folder = tmp_path_factory.mktemp("data")
    async with sandbox_app(database.app, one_clock, folder, ORIGIN) as app:
        sign_in_here(app, ORIGIN)
        yield app


@pytest.fixture
async def browser(app: FastAPI, clock: StillClock, clean_database: None) -> AsyncIterator[Browser]:
    """A browser that nobody has used yet."""
    async with a_browser(app) as http:
        yield Browser(http)


@pytest.fixture
async def other_browser(app: FastAPI) -> AsyncIterator[Browser]:
    """Another browser, of somebody else."""
    async with a_browser(app) as http:
        yield Browser(http)


@pytest.fixture
def enlist(superuser_engine: AsyncEngine, clean_database: None) -> Enlist:
    """Puts somebody on the list, whom the sandbox's provider knows by a name it has."""

    async def put(subject: str = "rhoda-reviewer", **facts: object) -> Reviewer:
        async with superuser_engine.begin() as db:
            return await insert_person(db, **{"issuer": KNOWN_AS, "subject": subject, **facts})

    return put


@pytest.fixture
async def rhoda(enlist: Enlist) -> Reviewer:
    """A clinician whom the provider knows."""
    return await enlist()


@pytest.fixture
def audit(superuser_engine: AsyncEngine) -> Audit:
    """What the trail says of signing in and of refusals, oldest first."""

    async def rows() -> list[tuple[object, ...]]:
        query = text(
            "select action, outcome, person_id, detail ->> 'reason' from audit_event"
            " where action like 'person.%' or action = 'request.refused' order by id"
        )
        async with superuser_engine.connect() as db:
            return [tuple(row) for row in (await db.execute(query)).all()]

    return rows
