"""The app in this process, somebody who sends requests, and people who review them."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.apps import sandbox_app
from tests.bundles import request_bundle
from tests.clocks import StillClock
from tests.integration.pas.door import (
    CARE_UNMET,
    NOW,
    ORIGIN,
    Client,
    Rows,
    caller,
    claim_response,
    register,
)
from tests.integration.review.door import MakePerson, Person, arrive
from tests.vaults import ENVIRONMENT
from wiser_fhir.db.embedded import Urls


@pytest.fixture(scope="session")
def still_clock() -> StillClock:
    """The app's clock; `clock` sets it right again for each test."""
    return StillClock(NOW)


@pytest.fixture
def clock(still_clock: StillClock) -> StillClock:
    """The app's clock, at NOW."""
    still_clock.now = NOW
    return still_clock


@pytest.fixture(scope="session")
async def app(
    database: Urls, still_clock: StillClock, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FastAPI]:
    """The application as a sandbox serves it, on this worker's database."""
    folder = tmp_path_factory.mktemp("data")
    async with sandbox_app(database.app, still_clock, folder, ORIGIN, **ENVIRONMENT) as app:
        yield app


@pytest.fixture(scope="session")
async def stranger(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """HTTP without a token."""
    async with caller(app) as http:
        yield http


@pytest.fixture
async def sender(
    superuser_engine: AsyncEngine, stranger: AsyncClient, clock: StillClock, clean_database: None
) -> Client:
    """A clearinghouse that may send for everybody."""
    return await register(superuser_engine, stranger)


@pytest.fixture
def make_person(
    superuser_engine: AsyncEngine, stranger: AsyncClient, clock: StillClock, clean_database: None
) -> MakePerson:
    """Puts somebody on the list and gives them a token; see `arrive`."""

    async def make(**facts: object) -> Person:
        return await arrive(superuser_engine, stranger, **facts)

    return make


@pytest.fixture
async def clinician(make_person: MakePerson) -> Person:
    """A clinician who belongs to nobody."""
    return await make_person()


@pytest.fixture
async def coordinator(make_person: MakePerson) -> Person:
    """Somebody who arranges and asks."""
    return await make_person(roles=("coordinator",))


@pytest.fixture
async def auditor(make_person: MakePerson) -> Person:
    """Somebody who only looks."""
    return await make_person(roles=("auditor",))


@pytest.fixture
async def pended(sender: Client) -> str:
    """The id of a case that one unmet criterion keeps in review."""
    answer = await sender.submit(request_bundle("2.2", answers=CARE_UNMET))
    case_id: str = claim_response(answer)["id"]
    return case_id


@pytest.fixture
def rows(superuser_engine: AsyncEngine, clean_database: None) -> Rows:
    """What stands in the database."""
    return Rows(superuser_engine)
