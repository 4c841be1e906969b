"""The authorization server on the test run's own database, and one client that it knows."""

from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import Time
from tests.database import MakeOrganization
from tests.oauth_door import NOW, Place, Registry, Servers


@pytest.fixture
def time() -> Time:
    """A clock that stands until it is moved."""
    return Time(NOW)


@pytest.fixture
def servers() -> Servers:
    """Other servers; none answers unless told to."""
    return Servers()


@pytest.fixture
def place(app_engine: AsyncEngine, time: Time, servers: Servers) -> Place:
    """One process of the authorization server, of a sandbox."""
    return Place(app_engine, time, servers)


@pytest.fixture
def registry(superuser_engine: AsyncEngine, make_organization: MakeOrganization) -> Registry:
    """Where clients are registered."""
    return Registry(superuser_engine, make_organization)


@pytest.fixture
async def client(registry: Registry) -> UUID:
    """A client with one key and every scope."""
    return await registry.client()
