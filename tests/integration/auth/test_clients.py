"""What keeping the list of clients refuses, whichever command asks for it."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.database import insert_organization
from wiser_fhir.auth import clients, organizations
from wiser_fhir.auth.clients import NewClient
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.clock import utc_now
from wiser_fhir.errors import NotFound

CLINIC = "Clinic"


@pytest.fixture(autouse=True)
async def clinic(db: AsyncConnection) -> None:
    await insert_organization(db, CLINIC)


async def test_a_client_without_a_scope_is_not_registered(db: AsyncConnection) -> None:
    with pytest.raises(RegistrationRefused, match="a scope at least"):
        await clients.add(db, NewClient("an-ehr", CLINIC, ()), utc_now())


async def test_a_client_is_found_by_its_name_with_its_organization(db: AsyncConnection) -> None:
    new = NewClient("an-ehr", CLINIC, ("system/Claim.c",))
    made = await clients.add(db, new, utc_now())
    assert await clients.client_named(db, "an-ehr") == (made.id, made.organization_id)
    with pytest.raises(NotFound):
        await clients.client_named(db, "nobody")


async def test_a_closed_organization_has_no_new_client(db: AsyncConnection) -> None:
    await organizations.close(db, CLINIC, utc_now())
    with pytest.raises(RegistrationRefused, match="Clinic is closed"):
        await clients.add(db, NewClient("an-ehr", CLINIC, ("system/Claim.c",)), utc_now())


async def test_only_a_name_that_is_taken_is_called_so(db: AsyncConnection) -> None:
    """Whatever else the database refuses is a fault of ours, and is not explained away."""
    await db.execute(text("alter table client add constraint ck_odd check (name <> 'odd')"))
    with pytest.raises(IntegrityError, match="ck_odd"):
        async with db.begin_nested():
            await clients.add(db, NewClient("odd", CLINIC, ("system/Claim.c",)), utc_now())
    new = NewClient("even", CLINIC, ("system/Claim.c",))
    await clients.add(db, new, utc_now())
    with pytest.raises(RegistrationRefused, match="of this name"):
        async with db.begin_nested():
            await clients.add(db, new, utc_now())
