"""An organization is found by its name, and only where the name leaves no doubt."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.database import insert_organization
from wiser_fhir.auth import organizations
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.clock import utc_now
from wiser_fhir.errors import NotFound


async def test_a_name_that_several_have_names_none_of_them(db: AsyncConnection) -> None:
    for name in ("Clinic", "Clinic", "Another"):
        await insert_organization(db, name)
    with pytest.raises(RegistrationRefused, match="more than one"):
        await organizations.named(db, "Clinic")
    assert (await organizations.named(db, "Another"))[1].name == "Another"
    with pytest.raises(NotFound):
        await organizations.named(db, "clinic")


async def test_an_organization_that_is_closed_is_not_open(db: AsyncConnection) -> None:
    clinic = await insert_organization(db, "Clinic")
    assert await organizations.open_named(db, "Clinic") == clinic
    await organizations.close(db, "Clinic", utc_now())
    with pytest.raises(RegistrationRefused, match="Clinic is closed"):
        await organizations.open_named(db, "Clinic")


async def test_several_are_found_at_once_and_each_name_leaves_no_doubt(db: AsyncConnection) -> None:
    made = [await insert_organization(db, name) for name in ("Clinic", "Another", "Twice", "Twice")]
    assert set(await organizations.ids(db, ["Another", "Clinic", "Clinic"])) == set(made[:2])
    assert await organizations.ids(db, []) == []
    with pytest.raises(RegistrationRefused, match="more than one organization is called Twice"):
        await organizations.ids(db, ["Clinic", "Twice"])
    with pytest.raises(NotFound, match="Nobody"):
        await organizations.ids(db, ["Clinic", "Nobody"])
