"""`wiser-fhir metrics` on a database of its own settings."""

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from tests.database import MakeCase
from tests.vaults import ENVIRONMENT
from wiser_fhir.cli import cli
from wiser_fhir.db.embedded import Urls

APRIL = ("--from", "2026-04-07", "--to", "2026-04-07")
Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(database: Urls, tmp_path: Path, clean_database: None) -> Run:
    """A command in a sandbox on this worker's database."""
    environment = {
        "WISER_MODE": "sandbox",
        "WISER_DATABASE_URL": database.app,
        "WISER_DATABASE_OWNER_URL": database.owner,
        "WISER_DATA_DIR": str(tmp_path),
        **ENVIRONMENT,
        "WISER_PUBLIC_URL": "https://payer.example",
    }

    async def invoke(*arguments: str) -> Result:
        runner, given = CliRunner(), ["metrics", *arguments]
        return await asyncio.to_thread(runner.invoke, cli, given, env=environment)

    return invoke


async def test_records_are_one_object_a_line(run: Run, make_case: MakeCase) -> None:
    await make_case()
    await make_case()
    done = await run("pas", *APRIL)
    assert done.exit_code == 0, done.output
    told = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert [each["payerId"]["value"] for each in told] == ["https://payer.example"] * 2


async def test_a_table_has_the_elements_as_its_columns(run: Run, make_case: MakeCase) -> None:
    await make_case()
    done = await run("pas", *APRIL, "--format", "csv")
    assert done.exit_code == 0, done.output
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert row["source"] == "payer-src"
    assert orjson.loads(row["itemDetail"])[0]["result"] == "approved"


@pytest.mark.parametrize("kind", ["crd", "dtr"])
async def test_where_nothing_was_asked_there_is_nothing(run: Run, kind: str) -> None:
    done = await run(kind, *APRIL)
    assert (done.exit_code, done.stdout) == (0, "")


async def test_figures_are_one_object(run: Run, make_case: MakeCase) -> None:
    await make_case()
    done = await run("summary", *APRIL)
    assert done.exit_code == 0, done.output
    told = orjson.loads(done.stdout)
    assert (told["from"], told["to"], told["requests"]) == ("2026-04-07", "2026-04-07", 1)
    assert told["standard"]["approved"] == 1.0


async def test_that_they_were_read_is_audited(
    run: Run, make_case: MakeCase, superuser_engine: AsyncEngine
) -> None:
    await make_case()
    await run("pas", *APRIL)
    async with superuser_engine.connect() as db:
        trail = await db.execute(
            text(
                "select outcome, detail ->> 'count' from audit_event"
                " where action = 'metrics.pas' order by id"
            )
        )
    assert [tuple(row) for row in trail] == [("begun", None), ("done", "1")]


async def test_days_in_the_wrong_order_are_refused(run: Run) -> None:
    done = await run("crd", "--from", "2026-04-07", "--to", "2026-04-06")
    assert done.exit_code == 2
