"""The whole application over ASGI, on the test run's own database."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.vaults import SECRET
from wiser_fhir.app import create_app
from wiser_fhir.auth import tokens
from wiser_fhir.clock import utc_now
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import transaction
from wiser_fhir.sandbox.tenant import Tenant
from wiser_fhir.settings import Settings

PUBLIC_URL = "https://payer.example"


@pytest.fixture
async def app(
    database: Urls, owner_engine: AsyncEngine, clean_database: None, tmp_path: Path
) -> AsyncIterator[FastAPI]:
    """The sandbox's application, its tenant seeded, started and stopped."""
    async with transaction(owner_engine) as db:
        await Tenant.load().seed(db)
    settings = Settings.model_validate(
        {
            "mode": "sandbox",
            "database_url": database.app,
            "data_dir": tmp_path,
            "public_url": PUBLIC_URL,
            "secrets_key": SECRET,
        }
    )
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def anonymous(app: FastAPI) -> AsyncIterator[AsyncClient]:
    """Somebody without a token."""
    async with AsyncClient(transport=ASGITransport(app), base_url="http://wrong.host") as client:
        yield client


@pytest.fixture
async def http(app: FastAPI, anonymous: AsyncClient) -> AsyncClient:
    """The sandbox's EHR, with every scope."""
    async with transaction(app.state.engine) as db:
        issued = await tokens.issue(db, "sandbox-ehr", (), timedelta(hours=1), utc_now())
    anonymous.headers["Authorization"] = f"Bearer {issued.token}"
    return anonymous
