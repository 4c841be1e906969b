"""Reaching the embedded database past all its rules: to count, to clone, to measure floors."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import asyncpg

from wiser_fhir.db.embedded import Embedded

T = TypeVar("T")

# What a submission leaves behind. The order is that of the rows' making.
TABLES = (
    "message", "prior_auth_case", "submission", "case_item", "case_party", "determination", "utn",
    "document", "letter", "audit_event",
)  # fmt: skip


def superuser_url(data_dir: Path) -> str:
    """The superuser's way in. The server has to be running."""
    return Embedded(data_dir.absolute()).urls().superuser


def run(data_dir: Path, work: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
    """Do some work on a superuser's connection of its own."""

    async def connected() -> T:
        connection = await asyncpg.connect(superuser_url(data_dir), command_timeout=600)
        try:
            return await work(connection)
        finally:
            await connection.close()

    return asyncio.run(connected())


def execute(data_dir: Path, *statements: str) -> None:
    """Run statements, each in a transaction of its own."""

    async def work(db: asyncpg.Connection) -> None:
        for statement in statements:
            await db.execute(statement)

    run(data_dir, work)


def value(data_dir: Path, query: str, *arguments: object) -> Any:
    """The one value that a query has."""

    async def work(db: asyncpg.Connection) -> Any:
        return await db.fetchval(query, *arguments)

    return run(data_dir, work)


def cases_by_status(data_dir: Path) -> Mapping[str, int]:
    """How many cases there are of each status."""

    async def work(db: asyncpg.Connection) -> Mapping[str, int]:
        rows = await db.fetch("select status, count(*) as n from prior_auth_case group by status")
        return {row["status"]: row["n"] for row in rows}

    return run(data_dir, work)


def rows_of(case_id: UUID) -> dict[str, str]:
    """For each table of TABLES the condition that picks the rows of one case, as SQL."""
    asked = f"select request_id from audit_event where object_id = '{case_id}' limit 1"  # noqa: S608
    return {
        **dict.fromkeys(TABLES, f"case_id = '{case_id}'"),
        "prior_auth_case": f"id = '{case_id}'",
        "audit_event": f"request_id = ({asked})",
    }
