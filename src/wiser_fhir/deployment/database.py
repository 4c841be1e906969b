"""The database of a deployment: reached by role, and what a sandbox puts in it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.auth.udap_communities import by_community
from wiser_fhir.db import migrate
from wiser_fhir.db.blind import BlindIndex
from wiser_fhir.db.embedded import Embedded
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.db.vault import Vault
from wiser_fhir.deployment.keys import ehr_key, index, vault
from wiser_fhir.sandbox import ehr
from wiser_fhir.sandbox import udap as sandbox_udap
from wiser_fhir.sandbox.tenant import Tenant
from wiser_fhir.settings import Settings


@dataclass(frozen=True, slots=True)
class Database:
    """How to reach the database, by role, and what opens what is sealed in it.

    The owner's URL only where it is known. Without a `vault` nothing can be sealed or opened,
    without an `index` no beneficiary found.
    """

    app: str
    owner: str | None
    vault: Vault | None
    index: BlindIndex | None

    def engine(self, *, pool_size: int) -> AsyncEngine:
        """A pool of connections as the application's role."""
        return create_engine(self.app, pool_size=pool_size, vault=self.vault, index=self.index)

    def owner_engine(self) -> AsyncEngine | None:
        """A connection as the owner role, where its URL is known."""
        if self.owner is None:
            return None
        return create_engine(self.owner, pool_size=1, vault=self.vault, index=self.index)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """The database of these settings. A sandbox starts its own, migrates it and seeds the tenant.

    Raises NotReady, EmbeddedError, Unavailable.
    """
    if settings.database_url is not None:
        app = settings.database_url.get_secret_value()
        database = Database(app, owner_url(settings), vault(settings), index(settings))
        if settings.sandbox and database.owner is not None:
            await _prepare_sandbox(database.owner, settings)
        yield database
        return
    server = await asyncio.to_thread(Embedded.start, settings.data_dir)
    try:
        urls = server.urls()
        await _prepare_sandbox(urls.owner, settings)
        yield Database(urls.app, urls.owner, vault(settings), index(settings))
    finally:
        await asyncio.to_thread(server.stop)


def owner_url(settings: Settings) -> str | None:
    """The owner role's URL, if it was given."""
    url = settings.database_owner_url
    return None if url is None else url.get_secret_value()


async def _prepare_sandbox(url: str, settings: Settings) -> None:
    tenant = Tenant.load()
    jwks = ehr.public_keys(ehr_key(settings))
    await migrate.upgrade(url, "sandbox")
    engine = create_engine(url, pool_size=1)
    try:
        async with transaction(engine) as db:
            await tenant.seed(db)
            await tenant.seed_client_keys(db, jwks)
            await tenant.seed_cds_clients(db, jwks, settings.sandbox_hosts)
            guests = (sandbox_udap.COMMUNITY, *by_community(settings.udap_anchors))
            await tenant.seed_udap_guests(db, guests)
    finally:
        await engine.dispose()
