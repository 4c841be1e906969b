"""An organization is found by its name, and only where the name leaves no doubt."""

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.database import insert_organization
from wiser_fhir.auth import organizations
from wiser_fhir.auth.cds_clients import RegistrationRefused
from wiser_fhir.errors import NotFound


async def test_a_name_that_several_have_names_none_of_them(db: AsyncConnection) -> None:
    for name in ("Clinic", "Clinic", "Another"):
        await insert_organization(db, name)
    with pytest.raises(RegistrationRefused, match="more than one"):
        await organizations.named(db, "Clinic")
    assert (await organizations.named(db, "Another"))[1].name == "Another"
    with pytest.raises(NotFound):
        await organizations.named(db, "clinic")
