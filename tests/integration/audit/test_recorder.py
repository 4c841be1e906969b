from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeOrganization
from wiser_fhir.audit.recorder import AuditRow, Recorder, write
from wiser_fhir.db.engine import transaction

KEY = bytes(range(32))


@pytest.fixture
def recorder(app_engine: AsyncEngine) -> Recorder:
    return Recorder(app_engine, KEY)


def row(organization_id: UUID | None = None) -> AuditRow:
    return AuditRow(
        request_id=uuid4(),
        action="request.refused",
        outcome="not-found",
        organization_id=organization_id,
        detail={"route": "/fhir/ClaimResponse/{id}/$what", "status": 404, "name": "Ada Lovelace"},
    )


async def stored(engine: AsyncEngine) -> list[dict[str, object]]:
    async with engine.connect() as db:
        found = await db.execute(text("select * from audit_event order by id"))
        return [dict(each) for each in found.mappings()]


async def test_a_refusal_is_kept_by_itself(
    recorder: Recorder, superuser_engine: AsyncEngine, make_organization: MakeOrganization
) -> None:
    organization = await make_organization()
    await recorder.record(row(organization))
    await recorder.record(row(None))
    first, second = await stored(superuser_engine)
    assert first["organization_id"] == organization
    assert second["organization_id"] is None
    assert first["outcome"] == "not-found"


async def test_no_sentence_gets_into_the_trail(
    recorder: Recorder, superuser_engine: AsyncEngine, clean_database: None
) -> None:
    await recorder.record(row())
    [kept] = await stored(superuser_engine)
    assert kept["detail"] == {
        "route": "/fhir/ClaimResponse/-id-/-what",
        "status": 404,
        "name": "Ada-Lovelace",
    }


async def test_an_acts_row_goes_with_the_act(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, make_organization: MakeOrganization
) -> None:
    organization = await make_organization()
    with pytest.raises(ZeroDivisionError):
        async with transaction(app_engine, organization) as db:
            await write(db, row(organization))
            raise ZeroDivisionError
    assert await stored(superuser_engine) == []


async def test_nobody_writes_into_anothers_trail(
    app_engine: AsyncEngine, make_organization: MakeOrganization
) -> None:
    mine, theirs = await make_organization(name="a"), await make_organization(name="b")
    with pytest.raises(DBAPIError):
        async with transaction(app_engine, mine) as db:
            await write(db, row(theirs))
