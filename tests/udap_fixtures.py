"""UDAP on the test run's own database, and one system that may register: for conftest files."""

from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeOrganization
from tests.udap import COMMUNITY, URI
from tests.udap_door import SCOPES, Books, UdapPlace
from wiser_fhir.auth import udap_registrants
from wiser_fhir.auth.udap_registrants import Registrant
from wiser_fhir.db.engine import transaction


@pytest.fixture
def udap(app_engine: AsyncEngine) -> UdapPlace:
    """One process."""
    return UdapPlace(app_engine)


@pytest.fixture
def books(superuser_engine: AsyncEngine) -> Books:
    """What is stored."""
    return Books(superuser_engine)


@pytest.fixture
async def registrant(owner_engine: AsyncEngine, make_organization: MakeOrganization) -> UUID:
    """The organization for which the system may register."""
    organization: UUID = await make_organization("Of the registrant")
    async with transaction(owner_engine) as db:
        await udap_registrants.allow(db, Registrant(COMMUNITY, URI), organization, SCOPES)
    return organization
