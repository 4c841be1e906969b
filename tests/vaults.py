"""The keys of the tests: fixed, so that whatever runs opens what others sealed."""

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.db import rotation
from wiser_fhir.db.blind import BlindIndex
from wiser_fhir.db.bodies import open_body, opened
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.db.envelope import KeyRing
from wiser_fhir.db.rotation import BODIES
from wiser_fhir.db.sealed import SEALED
from wiser_fhir.db.tables import metadata
from wiser_fhir.db.vault import Vault, data_key

SECRET = b"the secret of tests, of 32 bytes"
IN_BASE64 = b64encode(SECRET).decode()
# For a server or a command on a database that tests look into.
ENVIRONMENT = {"WISER_SECRETS_KEY": IN_BASE64, "WISER_INDEX_KEY": IN_BASE64}

VAULT = Vault(KeyRing(SECRET))
INDEX = BlindIndex(SECRET)
# Something in the place of a sealed value, for statements about everything but that. Opens nowhere.
A_SEALED = b"\x02" + bytes(40)
A_SEALED_SQL = f"decode('{A_SEALED.hex()}', 'hex')"


@asynccontextmanager
async def engine_of(url: str) -> AsyncIterator[AsyncEngine]:
    """Connections to a database of a test's own, whose organizations may be another's too."""
    engine = create_engine(url, pool_size=1, vault=Vault(KeyRing(SECRET)), index=INDEX)
    try:
        yield engine
    finally:
        await engine.dispose()


async def destroy(owner: AsyncEngine, organization_id: UUID) -> None:
    """What `keys erase --destroy-its-data` does: all keys of an organization go."""
    async with transaction(owner, organization_id) as db:
        numbers = [key.number for key in await rotation.keys_of(db, organization_id)]
        await rotation.erase(db, organization_id, numbers, "its contract ended")
    VAULT.forget()


async def opened_bodies(engine: AsyncEngine) -> AsyncIterator[tuple[str, bytes]]:
    """Every body that is stored, opened, and its `table.column`. As the superuser."""
    for kind in BODIES:
        table = metadata.tables[kind.table]
        async with engine.connect() as db:
            for row in (await db.execute(select(table))).mappings().all():
                key = await data_key(db, row["organization_id"])
                named = [row[name] for name in kind.key]
                for column in kind.columns:
                    if row[column] is not None:
                        body = await opened(key, row[column], kind.table, column, *named)
                        yield f"{kind.table}.{column}", body


async def opened_columns(engine: AsyncEngine) -> AsyncIterator[tuple[str, Any]]:
    """Every other sealed value that is stored, opened, and its `table.column`. As the superuser."""
    for sealed in SEALED:
        async with engine.connect() as db:
            for row in (await db.execute(select(metadata.tables[sealed.table]))).mappings().all():
                told = sealed.open(await data_key(db, row["organization_id"]), row)
                for column in sealed.columns:
                    if told[column] is not None:
                        yield f"{sealed.table}.{column}", told[column]


async def opened_call(db: AsyncEngine | AsyncConnection, row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row of `hook_call`, what was asked and answered opened."""
    bodies = {
        name: await open_body(db, row["organization_id"], row[name], "hook_call", name, row["id"])
        for name in ("request", "response")
    }
    return {**row, **bodies}
