"""A command in this process, on the test's database."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from wiser_fhir.cli import cli
from wiser_fhir.db.embedded import Urls

Run = Callable[..., Awaitable[Result]]


def commands(database: Urls, folder: Path, **changes: str) -> Run:
    """`await run("organization", "add", ...)`, in a sandbox unless `changes` say otherwise."""
    environment = {
        "WISER_MODE": "sandbox",
        "WISER_DATABASE_URL": database.app,
        "WISER_DATABASE_OWNER_URL": database.owner,
        "WISER_DATA_DIR": str(folder),
        "WISER_LOG_LEVEL": "error",
        **changes,
    }

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=environment)

    return run


async def rows(engine: AsyncEngine, query: str, **values: Any) -> list[tuple[Any, ...]]:
    """What a query finds."""
    async with engine.connect() as db:
        return [tuple(row) for row in await db.execute(text(query), values)]


async def audited(engine: AsyncEngine, action: str) -> list[dict[str, Any]]:
    """The details of what was recorded of an action that was done, oldest first."""
    query = (
        "select detail from audit_event where action = :action and outcome = 'done' order by at, id"
    )
    return [detail for (detail,) in await rows(engine, query, action=action)]
