"""`wiser-fhir utn` on a database of its own settings."""

import asyncio
import csv
import io
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from tests.database import MakeCase, MakeOrganization
from tests.vaults import ENVIRONMENT
from wiser_fhir.cli import cli
from wiser_fhir.db.embedded import Urls
from wiser_fhir.errors import Conflict, NotFound

Run = Callable[..., Awaitable[Result]]


@pytest.fixture
def run(database: Urls, tmp_path: Path) -> Run:
    """A command in a sandbox on this worker's database."""
    environment = {
        "WISER_MODE": "sandbox",
        "WISER_DATABASE_URL": database.app,
        "WISER_DATABASE_OWNER_URL": database.owner,
        "WISER_DATA_DIR": str(tmp_path),
        **ENVIRONMENT,
    }

    async def invoke(*arguments: str) -> Result:
        runner = CliRunner()
        return await asyncio.to_thread(runner.invoke, cli, ["utn", *arguments], env=environment)

    return invoke


async def test_the_register_is_a_table(
    run: Run, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    case = await make_case(organization_id=await make_organization("=1+1"))
    done = await run("register", "--from", "2026-04-07", "--to", "2026-04-07")
    assert done.exit_code == 0, done.output
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert (row["number"], row["state"]) == (case.utn, "assigned")
    assert row["requested_at"] == "2026-04-07T15:30:00+00:00"
    assert row["organization"] == "'=1+1"


async def test_the_register_is_one_object_a_line(run: Run, make_case: MakeCase) -> None:
    cases = [await make_case(), await make_case()]
    asked = ("register", "--from", "2026-04-01", "--to", "2026-04-30", "--format", "jsonl")
    done = await run(*asked)
    assert done.exit_code == 0, done.output
    listed = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert {row["number"] for row in listed} == {case.utn for case in cases}
    assert {row["valid_until"] for row in listed} == {"2026-08-04"}


async def test_days_in_the_wrong_order_are_refused(run: Run) -> None:
    done = await run("register", "--from", "2026-04-07", "--to", "2026-04-06")
    assert done.exit_code == 2


async def test_a_number_is_sent_again(run: Run, make_case: MakeCase) -> None:
    case = await make_case()
    assert case.utn is not None
    done = await run("resend", case.utn.lower())
    assert done.stdout == "queued for 0 subscriptions\n"


async def test_a_number_there_is_not_cannot_be_sent_again(run: Run, make_case: MakeCase) -> None:
    await make_case()
    done = await run("resend", "ZZB99999999999")
    assert isinstance(done.exception, NotFound)
    assert not isinstance(done.exception, Conflict)
