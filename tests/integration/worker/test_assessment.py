"""The worker assesses providers where the operator named a rate, and only there."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.vaults import INDEX, VAULT
from wiser_fhir.db.embedded import Urls
from wiser_fhir.deployment.database import Database
from wiser_fhir.settings import Settings
from wiser_fhir.work import work_of

JULY = datetime(2026, 7, 1, 14, 0, tzinfo=UTC)


@pytest.mark.parametrize(("rate", "assessed"), [({}, 0), ({"WISER_EXEMPTION_RATE": "0.9"}, 1)])
async def test_a_quarter_is_assessed_where_there_is_a_rate(
    database: Urls,
    tmp_path: Path,
    app_engine: AsyncEngine,
    clean_database: None,
    rate: dict[str, str],
    assessed: int,
) -> None:
    settings = Settings.from_env({"WISER_MODE": "sandbox", "WISER_DATA_DIR": str(tmp_path), **rate})
    urls = Database(database.app, None, VAULT, INDEX)
    async with work_of(settings, urls, lambda: JULY) as jobs:
        (job,) = (each for each in jobs if each.name == "assess-exemptions")
        assert await job.once() == 0
    async with app_engine.connect() as db:
        assert await db.scalar(text("select count(*) from exemption_assessment")) == assessed
