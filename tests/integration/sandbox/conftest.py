"""The same app and clients as in the integration tests of the PAS door, and the scripts."""

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.pas.conftest import (
    app,
    client,
    clock,
    line,
    make_client,
    rows,
    still_clock,
    stranger,
)
from tests.integration.sandbox.staging import set_the_stage
from wiser_fhir.sandbox.scripted import Stage

__all__ = ["app", "client", "clock", "line", "make_client", "rows", "still_clock", "stranger"]


@pytest.fixture
async def stage(
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
    superuser_engine: AsyncEngine,
    clean_database: None,
) -> Stage:
    """The scripted clinician at work behind both lines."""
    return await set_the_stage(app, monkeypatch, superuser_engine)
