"""What tests do to a database besides asking the fixtures for one."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.db.embedded import Embedded
from wiser_fhir.db.tables import metadata
from wiser_fhir.priorauth.models import PriorAuthorization
from wiser_fhir.priorauth.numbers import time_ordered_uuid

MakeOrganization = Callable[..., Awaitable[UUID]]
MakeCase = Callable[..., Awaitable[PriorAuthorization]]


def run_sql(server: Embedded, statement: str) -> None:
    """Run one statement as the superuser, outside any database of ours."""

    async def run() -> None:
        connection = await asyncpg.connect(server.urls("postgres").superuser)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run())


async def empty_tables(superuser_engine: AsyncEngine) -> None:
    """Delete all rows but the mode, past the triggers that forbid it.

    Keys stay too: servers that outlive a test go on with those of an organization that comes again.
    """
    async with superuser_engine.begin() as connection:
        await connection.execute(text("set local session_replication_role = replica"))
        for table in metadata.tables:
            if table not in {"deployment", "data_key"}:
                await connection.execute(text(f"delete from {table}"))  # noqa: S608


async def forget_starts(superuser_engine: AsyncEngine) -> None:
    """Delete what an application left on the audit trail by its start and its end."""
    async with superuser_engine.begin() as connection:
        await connection.execute(text("set local session_replication_role = replica"))
        await connection.execute(text("delete from audit_event where action = 'service.start'"))
        await connection.execute(text("delete from audit_seal"))


async def insert_organization(
    connection: AsyncConnection,
    name: str = "Test clearinghouse",
    kind: str = "clearinghouse",
    acts_for: str = "all",
    npis: tuple[str, ...] = (),
) -> UUID:
    """An organization in the connection's transaction; its id."""
    organization_id = time_ordered_uuid()
    await connection.execute(
        text(
            "insert into organization (id, name, kind, acts_for, npis)"
            " values (:id, :name, :kind, :acts_for, :npis)"
        ),
        {
            "id": organization_id,
            "name": name,
            "kind": kind,
            "acts_for": acts_for,
            "npis": list(npis),
        },
    )
    return organization_id


async def become_app(db: AsyncConnection, organization_id: UUID | None) -> None:
    """From here on the transaction is the application role's, for one organization."""
    await db.execute(text("set local role wiser_app"))
    if organization_id is not None:
        await db.execute(
            text("select set_config('app.organization', :id, true)"), {"id": str(organization_id)}
        )
