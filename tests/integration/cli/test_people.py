"""`person add`, `person list` and `token --person`, on the test's database."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from wiser_fhir.auth.people import PersonAuthenticator
from wiser_fhir.auth.staff import PersonRefused
from wiser_fhir.cli import cli
from wiser_fhir.clock import utc_now
from wiser_fhir.db.embedded import Urls
from wiser_fhir.errors import NotFound
from wiser_fhir.settings import SettingsError

Run = Callable[..., Awaitable[Result]]

LICENCE = ("--licence-state", "OK", "--licence-number", "OK-7", "--licence-expires", "2030-06-30")
CLINICIAN = ("person", "add", "Dora Doubtful", "--role", "clinician", *LICENCE)


@pytest.fixture
def command(database: Urls, clean_database: None, tmp_path: Path) -> Run:
    """`await command("person", "add", ...)`."""
    environment = {
        "WISER_MODE": "sandbox",
        "WISER_DATABASE_URL": database.app,
        "WISER_DATABASE_OWNER_URL": database.owner,
        "WISER_DATA_DIR": str(tmp_path),
        "WISER_LOG_LEVEL": "error",
    }

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=environment)

    return run


async def people(engine: AsyncEngine, columns: str) -> list[Any]:
    query = f"select {columns} from person where name = 'Dora Doubtful'"  # noqa: S608
    async with engine.connect() as db:
        return [tuple(row) for row in await db.execute(text(query))]


async def test_a_clinician_is_added_with_everything_and_audited(
    command: Run, superuser_engine: AsyncEngine
) -> None:
    done = await command(
        *CLINICIAN,
        *("--role", "coordinator", "--npi", "1999000254", "--specialty", "208VP0014X"),
        *("--organization", "Mockingham Spine Clinic"),
    )
    assert (done.exit_code, done.stdout) == (0, "added\n")
    assert await people(
        superuser_engine,
        "roles, licence_state, licence_number, licence_expires::text, npi, specialty,"
        " (select array_agg(o.name) from organization o where o.id = any (organizations))",
    ) == [
        (
            ["clinician", "coordinator"],
            *("OK", "OK-7", "2030-06-30", "1999000254", "208VP0014X"),
            ["Mockingham Spine Clinic"],
        )
    ]
    async with superuser_engine.connect() as db:
        query = (
            "select a.outcome, a.object_kind, a.detail from audit_event a"
            " join person p on p.id::text = a.object_id where a.action = 'person.add'"
        )
        rows = [tuple(row) for row in await db.execute(text(query))]
    assert rows == [("done", "person", {"roles": "clinician|coordinator"})]


async def test_the_list_shows_everybody(command: Run) -> None:
    assert (await command(*CLINICIAN)).exit_code == 0
    lines = (await command("person", "list")).stdout.splitlines()
    assert "Dora Doubtful  clinician  licence OK OK-7 to 2030-06-30" in lines
    assert "Cora Coordinator  coordinator" in lines
    (spencer,) = (line for line in lines if line.startswith("Spencer Spine"))
    assert spencer.endswith("  NPI 1999000239  207XS0117X  Mockingham Spine Clinic")


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("--role", "clinician"), PersonRefused, "a clinician has a licence"),
        (("--role", "king"), PersonRefused, "a role is one of"),
        (("--role", "auditor", *LICENCE[:4]), PersonRefused, "together"),
        (
            ("--role", "clinician", "--licence-state", "Okla", *LICENCE[2:]),
            PersonRefused,
            "two letters",
        ),
        (("--role", "auditor", "--npi", "1999000255"), PersonRefused, "an NPI has ten digits"),
        (("--role", "auditor", "--organization", "Nowhere"), NotFound, "Nowhere"),
    ],
)
async def test_who_cannot_be_added(
    command: Run,
    superuser_engine: AsyncEngine,
    arguments: tuple[str, ...],
    error: type[Exception],
    said: str,
) -> None:
    done = await command("person", "add", "Dora Doubtful", *arguments)
    assert isinstance(done.exception, error)
    assert said in str(done.exception)
    assert await people(superuser_engine, "id") == []


async def test_a_person_gets_a_token_that_opens_the_door(
    command: Run, app_engine: AsyncEngine, superuser_engine: AsyncEngine
) -> None:
    done = await command("token", "--person", "Rhoda Reviewer", "--ttl", "30m")
    token = done.stdout.strip()
    caller = await PersonAuthenticator(app_engine, utc_now).reviewer([f"Bearer {token}"])
    assert caller.name == "Rhoda Reviewer"
    async with superuser_engine.connect() as db:
        query = "select person_id, detail from audit_event where action = 'token.issue'"
        rows = [tuple(row) for row in await db.execute(text(query))]
    assert rows == [(caller.person_id, {"by": "command", "seconds": 1800})]


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--client", "sandbox-ehr", "--person", "Rhoda Reviewer"),
        ("--person", "Rhoda Reviewer", "--scope", "system/Claim.c"),
    ],
)
async def test_a_token_is_for_a_client_or_for_a_person(
    command: Run, arguments: tuple[str, ...]
) -> None:
    done = await command("token", *arguments)
    assert isinstance(done.exception, SettingsError)
    assert "name a --client" in str(done.exception)


async def test_nobody_gets_a_token_by_an_unknown_name(command: Run) -> None:
    assert isinstance((await command("token", "--person", "Nobody")).exception, NotFound)
