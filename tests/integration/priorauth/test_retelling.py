"""What was said can be looked up: by the call, by an assertion in it, by a card of it."""

from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeOrganization
from tests.ledger_values import (
    REQUEST,
    RESPONSE,
    SERVICE_ID,
    a_call,
    a_card,
    a_feedback,
    an_assertion,
    an_audit,
    insert_client,
)
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.ledger import Ledger
from wiser_fhir.priorauth.retelling import organizations, retold

CARD, ASSERTION = a_card(), an_assertion()


@pytest.fixture
async def organization(
    make_organization: MakeOrganization, superuser_engine: AsyncEngine, app_engine: AsyncEngine
) -> tuple[UUID, UUID]:
    """An organization with one call on record, and that call's id."""
    organization_id = await make_organization()
    call = a_call(await insert_client(superuser_engine, organization_id))
    ledger, audit = Ledger(app_engine), an_audit(organization_id)
    await ledger.record(organization_id, call, [ASSERTION], [CARD], audit)
    await ledger.feedback(organization_id, SERVICE_ID, b"{}", [a_feedback(CARD)], audit)
    return organization_id, call.id


async def test_by_each_of_its_names(
    organization: tuple[UUID, UUID], app_engine: AsyncEngine
) -> None:
    organization_id, call_id = organization
    async with transaction(app_engine, organization_id) as connection:
        for name in (str(call_id), ASSERTION.id, str(CARD.uuid)):
            found = await retold(connection, name)
            assert found is not None
            printed = orjson.loads(orjson.dumps(found, default=str))
            assert printed["id"] == str(call_id)
            assert printed["request"] == orjson.loads(REQUEST)
            assert printed["response"] == orjson.loads(RESPONSE)
            assert [each["id"] for each in printed["assertions"]] == [ASSERTION.id]
            assert [each["outcome"] for each in printed["feedback"]] == ["accepted"]


async def test_every_organization_can_be_looked_through(
    organization: tuple[UUID, UUID], app_engine: AsyncEngine
) -> None:
    assert organization[0] in await organizations(app_engine)


async def test_nothing_by_a_name_of_nothing(
    organization: tuple[UUID, UUID], app_engine: AsyncEngine
) -> None:
    async with transaction(app_engine, organization[0]) as connection:
        assert await retold(connection, str(uuid4())) is None
        assert await retold(connection, "no-uuid-at-all") is None


async def test_nothing_of_another_organization(
    organization: tuple[UUID, UUID], make_organization: MakeOrganization, app_engine: AsyncEngine
) -> None:
    async with transaction(app_engine, await make_organization()) as connection:
        for name in (str(organization[1]), ASSERTION.id, str(CARD.uuid)):
            assert await retold(connection, name) is None


async def test_a_body_that_is_no_json_is_text(
    make_organization: MakeOrganization, superuser_engine: AsyncEngine, app_engine: AsyncEngine
) -> None:
    organization_id = await make_organization()
    client_id = await insert_client(superuser_engine, organization_id)
    call = a_call(client_id, status=400, request=b"{broken \xff", response=b"")
    await Ledger(app_engine).record(organization_id, call, [], [], an_audit(organization_id))
    async with transaction(app_engine, organization_id) as connection:
        found = await retold(connection, str(call.id))
    assert found is not None
    assert found["request"].startswith("{broken")
    assert found["response"] == ""
