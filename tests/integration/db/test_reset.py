import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeCase
from wiser_fhir.db import migrate
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.reset import empty_sandbox
from wiser_fhir.priorauth.models import CaseStatus


async def test_a_reset_forgets_cases_and_keeps_the_rest(
    database: Urls, superuser_engine: AsyncEngine, make_case: MakeCase
) -> None:
    case = await make_case(CaseStatus.AFFIRMED)
    await empty_sandbox(database.owner)
    left = {}
    async with superuser_engine.connect() as connection:
        for table in ("prior_auth_case", "utn", "message", "organization", "audit_event"):
            left[table] = await connection.scalar(text(f"select count(*) from {table}"))  # noqa: S608
    assert left == {
        "prior_auth_case": 0,
        "utn": 0,
        "message": 0,
        "organization": 1,
        "audit_event": 2,
    }
    await make_case(CaseStatus.AFFIRMED, organization_id=case.organization_id)
    with pytest.raises(DBAPIError, match="never changed"):
        async with superuser_engine.begin() as connection:
            await connection.execute(text("delete from determination"))


async def test_a_production_database_is_not_reset(empty_database: Urls) -> None:
    await migrate.upgrade(empty_database.owner, "production")
    with pytest.raises(migrate.ModeMismatch):
        await empty_sandbox(empty_database.owner)


async def test_the_application_cannot_reset(database: Urls, make_case: MakeCase) -> None:
    await make_case(CaseStatus.AFFIRMED)
    with pytest.raises(DBAPIError, match="must be owner"):
        await empty_sandbox(database.app)
