"""One application on a database of its own, and a world in it that all tests of a module share."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.apps import sandbox_app, sign_in_here
from tests.clocks import StillClock
from tests.database import run_sql
from tests.integration.isolation.world import World, built
from tests.integration.pas.door import NOW, ORIGIN, caller
from tests.limits import wide
from tests.vaults import ENVIRONMENT, INDEX, VAULT
from wiser_fhir.db import migrate
from wiser_fhir.db.embedded import Embedded, Urls
from wiser_fhir.db.engine import create_engine


@pytest.fixture(scope="module")
def own_database(postgres: Embedded, template: str) -> Iterator[Urls]:
    """A database that no other test empties."""
    name = f"isolation_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    run_sql(postgres, f"drop database if exists {name} with (force)")
    run_sql(postgres, f"create database {name} owner wiser_owner template {template}")
    asyncio.run(migrate.upgrade(postgres.urls(name).owner, "sandbox"))
    yield postgres.urls(name)
    run_sql(postgres, f"drop database {name} with (force)")


@pytest.fixture(scope="module")
async def app(
    own_database: Urls, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[FastAPI]:
    """The application as a sandbox serves it, everything on, with bounds that nobody meets."""
    folder, clock = tmp_path_factory.mktemp("data"), StillClock(NOW)
    async with sandbox_app(own_database.app, clock, folder, ORIGIN, **ENVIRONMENT) as app:
        app.state.limits = wide()
        sign_in_here(app, ORIGIN)
        yield app


@pytest.fixture(scope="module")
async def http(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """HTTP without a token."""
    async with caller(app) as http:
        yield http


@pytest.fixture(scope="module")
async def all_seeing(own_database: Urls) -> AsyncIterator[AsyncEngine]:
    """The superuser's way into the database."""
    engine = create_engine(own_database.superuser, pool_size=3, vault=VAULT, index=INDEX)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="module")
async def owning(own_database: Urls) -> AsyncIterator[AsyncEngine]:
    """The owner's."""
    engine = create_engine(own_database.owner, pool_size=2, vault=VAULT, index=INDEX)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="module")
async def world(
    app: FastAPI, http: AsyncClient, all_seeing: AsyncEngine, owning: AsyncEngine
) -> World:
    """Two organizations with the same things."""
    return await built(app, http, all_seeing, owning)
