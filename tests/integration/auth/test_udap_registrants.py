"""What keeping the list of those who may register by UDAP refuses."""

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.database import insert_organization
from tests.udap import COMMUNITY, URI
from wiser_fhir.auth import udap_registrants
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.auth.udap_registrants import Registrant


async def test_nobody_is_allowed_for_no_scope(db: AsyncConnection) -> None:
    clinic = await insert_organization(db, "Clinic")
    with pytest.raises(RegistrationRefused, match="a scope"):
        await udap_registrants.allow(db, Registrant(COMMUNITY, URI), clinic, ())
    assert await db.scalar(text("select count(*) from udap_registrant")) == 0
