"""What a start leaves on the trail: a digest by which a change of settings shows."""

import re
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.audit.chained import Chained
from wiser_fhir.app import create_app
from wiser_fhir.db.embedded import Urls
from wiser_fhir.deployment.keys import settings_digest
from wiser_fhir.settings import Settings

KEY = "YTM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM="
OTHER = "YjM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM="


def settings(database: Urls, folder: Path, **changes: str) -> Settings:
    return Settings.from_env(
        {
            "WISER_MODE": "sandbox",
            "WISER_DATABASE_URL": database.app,
            "WISER_DATA_DIR": str(folder),
            "WISER_PUBLIC_URL": "https://payer.example",
            "WISER_AUDIT_KEY": KEY,
            **{f"WISER_{name.upper()}": value for name, value in changes.items()},
        }
    )


async def test_a_start_tells_what_is_set_and_nothing_secret(
    database: Urls, tmp_path: Path, chained: Chained, app_engine: AsyncEngine
) -> None:
    first = settings(database, tmp_path)
    for each in (first, first, settings(database, tmp_path, audit_key=OTHER)):
        app = create_app(each)
        async with app.router.lifespan_context(app):
            pass
    query = "select outcome, detail from audit_event where action = 'service.start' order by id"
    starts = await chained.rows(query)
    one, same, other = (each["detail"] for each in starts)
    assert one["process"] == "server"
    assert re.fullmatch("[0-9a-f]{64}", one["settings"])
    assert one == same != other


def test_a_digest_is_of_all_that_is_set_and_no_secret(database: Urls, tmp_path: Path) -> None:
    def digest(**changes: str) -> str:
        return settings_digest(settings(database, tmp_path, **changes))

    assert digest() == digest()
    assert digest() != digest(states="NJ")
    assert digest() != digest(audit_key=OTHER)
    assert digest(secrets_key=KEY) == digest(secrets_key=OTHER)
    assert digest() == digest(database_url=database.app.replace("wiser_app", "wiser_other"))
