"""The app in this process on a real Postgres, with a clock that stands still."""

from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.apps import sandbox_app
from tests.bundles import Line
from tests.clocks import StillClock
from tests.integration.pas.door import LINES, NOW, Client, MakeClient, Rows, caller, register
from tests.integration.pas.door import ORIGIN as OUR_ORIGIN
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
    async with sandbox_app(database.app, still_clock, folder, OUR_ORIGIN, **ENVIRONMENT) as app:
        yield app


@pytest.fixture(scope="session")
async def stranger(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """HTTP without a token."""
    async with caller(app) as http:
        yield http


@pytest.fixture
def make_client(
    superuser_engine: AsyncEngine, stranger: AsyncClient, clock: StillClock, clean_database: None
) -> MakeClient:
    """Registers a client and gives it a token; see `register`."""

    async def make(line: Line = "2.2", **fields: object) -> Client:
        client = await register(superuser_engine, stranger, **fields)  # type: ignore[arg-type]
        return client.at(line)

    return make


@pytest.fixture
async def client(make_client: MakeClient) -> Client:
    """A clearinghouse that may send for everybody."""
    return await make_client()


@pytest.fixture(params=LINES)
def line(request: pytest.FixtureRequest) -> Line:
    """Both lines, one after the other."""
    found: Line = request.param
    return found


@pytest.fixture
def rows(superuser_engine: AsyncEngine, clean_database: None) -> Rows:
    """What stands in the database."""
    return Rows(superuser_engine)
