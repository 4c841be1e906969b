"""`wiser-fhir exemption` on a database of its own settings."""

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime
from pathlib import Path

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from tests.exempting import exempted
from tests.vaults import ENVIRONMENT
from wiser_fhir.cli import cli
from wiser_fhir.commands import exemptions
from wiser_fhir.db.embedded import Urls
from wiser_fhir.errors import Conflict, NotFound

NPI = "1999000122"
BEGUN = date(2026, 4, 2)

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(
    database: Urls, tmp_path: Path, clean_database: None, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """A command in a sandbox on this worker's database, on the second day of May 2027."""
    environment = {
        "WISER_MODE": "sandbox",
        "WISER_DATABASE_URL": database.app,
        "WISER_DATABASE_OWNER_URL": database.owner,
        "WISER_DATA_DIR": str(tmp_path),
        **ENVIRONMENT,
    }
    monkeypatch.setattr(exemptions, "utc_now", lambda: datetime(2027, 5, 2, 12, tzinfo=UTC))

    async def invoke(*arguments: str) -> Result:
        runner, given = CliRunner(), ["exemption", *arguments]
        return await asyncio.to_thread(runner.invoke, cli, given, env=environment)

    return invoke


async def test_the_list_names_who_is_exempt_on_a_day(run: Run, app_engine: AsyncEngine) -> None:
    await exempted(app_engine, NPI, BEGUN)
    done = await run("list", "--on", "2026-04-02")
    assert done.exit_code == 0, done.output
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert (row["npi"], row["first_day"], row["last_day"]) == (NPI, "2026-04-02", "")
    assert (row["quarter"], row["decided"], row["affirmed"]) == ("2026-01-01", "10", "10")
    before = await run("list", "--on", "2026-04-01", "--format", "jsonl")
    assert before.stdout == ""


async def test_an_end_is_announced_and_kept(
    run: Run, app_engine: AsyncEngine, superuser_engine: AsyncEngine
) -> None:
    await exempted(app_engine, NPI, BEGUN)
    done = await run("revoke", "--npi", NPI, "--from", "2027-05-02")
    assert done.stdout == "exempt until the day before 2027-07-01\n"
    asked = ("notices", "--from", "2026-01-01", "--to", "2027-05-02", "--format", "jsonl")
    told = [orjson.loads(line) for line in (await run(*asked)).stdout.splitlines()]
    assert [(each["kind"], each["noticed_on"], each["effective_on"]) for each in told] == [
        ("grant", "2026-04-02", "2026-04-02"),
        ("loss", "2027-05-02", "2027-07-01"),
    ]
    async with superuser_engine.connect() as db:
        trail = await db.execute(
            text("select action from audit_event where action like 'exemption.%' order by id")
        )
    assert list(trail.scalars()) == ["exemption.revoke", "exemption.notices"]
    again = await run("revoke", "--npi", NPI, "--from", "2027-07-01")
    assert isinstance(again.exception, Conflict)


async def test_who_is_not_exempt_loses_nothing(run: Run) -> None:
    done = await run("revoke", "--npi", NPI, "--from", "2027-07-01")
    assert isinstance(done.exception, NotFound)


@pytest.mark.parametrize(
    "arguments",
    [
        ("revoke", "--npi", "1234567890", "--from", "2027-07-01"),
        ("notices", "--from", "2027-07-02", "--to", "2027-07-01"),
    ],
)
async def test_what_cannot_be_meant_is_refused(run: Run, arguments: tuple[str, ...]) -> None:
    assert (await run(*arguments)).exit_code == 2
