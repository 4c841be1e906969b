"""What keeping the list of those who may register by UDAP refuses."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.database import insert_organization
from tests.udap import COMMUNITY, URI
from wiser_fhir.auth import udap_registrants
from wiser_fhir.auth.cds_clients import RegistrationRefused
from wiser_fhir.auth.udap_registrants import Registrant
from wiser_fhir.errors import NotFound


async def test_a_name_that_several_organizations_have_names_none_of_them(
    db: AsyncConnection,
) -> None:
    another = [await insert_organization(db, name) for name in ("Clinic", "Clinic", "Another")][-1]
    with pytest.raises(RegistrationRefused, match="several"):
        await udap_registrants.organization_named(db, "Clinic")
    assert await udap_registrants.organization_named(db, "Another") == another
    with pytest.raises(NotFound):
        await udap_registrants.organization_named(db, "Nobody")


async def test_nobody_is_allowed_for_no_scope(db: AsyncConnection) -> None:
    clinic = await insert_organization(db, "Clinic")
    with pytest.raises(RegistrationRefused, match="a scope"):
        await udap_registrants.allow(db, Registrant(COMMUNITY, URI), clinic, ())
    assert await db.scalar(text("select count(*) from udap_registrant")) == 0
