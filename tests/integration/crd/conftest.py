"""The app in this process on a real Postgres, sandbox-ehr before it and a made-up EHR behind it."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import StillClock
from tests.integration.crd.door import Ehr, HookClient, change_door, register_ehr, seed_sandbox
from tests.integration.pas.conftest import (
    app,
    clock,
    line,
    make_client,
    rows,
    still_clock,
    stranger,
)
from tests.integration.pas.door import Client, register

__all__ = ["app", "clock", "line", "make_client", "rows", "still_clock", "stranger"]

AnotherEhr = Callable[..., Awaitable[HookClient]]


@pytest.fixture
async def ehr(app: FastAPI) -> AsyncIterator[Ehr]:
    """The EHR that we ask back. The door is the first one again when the test is over."""
    first, held = app.state.crd, Ehr()
    change_door(app, egress=held.egress())
    yield held
    app.state.crd = first


@pytest.fixture
async def hooks(
    superuser_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    stranger: AsyncClient,
    clean_database: None,
    clock: StillClock,
    ehr: Ehr,
) -> HookClient:
    """sandbox-ehr towards our hooks."""
    return await seed_sandbox(superuser_engine, owner_engine, stranger)


@pytest.fixture
async def pas(superuser_engine: AsyncEngine, stranger: AsyncClient, hooks: HookClient) -> Client:
    """The same organization towards PAS."""
    organization_id = hooks.organization_id
    return await register(superuser_engine, stranger, organization_id=organization_id)


@pytest.fixture
def another_ehr(
    superuser_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    stranger: AsyncClient,
    hooks: HookClient,
) -> AnotherEhr:
    """Registers another organization's EHR; see `register_ehr`."""

    async def make(npis: tuple[str, ...] | None = None) -> HookClient:
        return await register_ehr(superuser_engine, owner_engine, stranger, npis=npis)

    return make
