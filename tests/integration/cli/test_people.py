"""`person add`, `person list` and `token --person`, on the test's database."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from tests.vaults import ENVIRONMENT
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
        **ENVIRONMENT,
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
    at = "at urn:wiser-fhir:sandbox-issuer"
    assert f"Cora Coordinator  coordinator  cora-coordinator {at}" in lines
    (spencer,) = (line for line in lines if line.startswith("Spencer Spine"))
    told = "  NPI 1999000239  207XS0117X  Mockingham Spine Clinic  spencer-spine"
    assert spencer.endswith(f"{told} {at}")


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


ACCOUNT = ("--issuer", "https://login.example", "--subject", "dora-1")


async def test_an_account_is_given_with_the_person_or_later(
    command: Run, superuser_engine: AsyncEngine
) -> None:
    assert (await command(*CLINICIAN, *ACCOUNT)).exit_code == 0
    assert await people(superuser_engine, "issuer, subject") == [ACCOUNT[1::2]]
    other = ("--issuer", "https://other.example", "--subject", "dora-2")
    done = await command("person", "link", "Dora Doubtful", *other)
    assert (done.exit_code, done.stdout) == (0, "linked\n")
    assert await people(superuser_engine, "issuer, subject") == [other[1::2]]
    listed = (await command("person", "list")).stdout
    assert "dora-2 at https://other.example" in listed


async def test_an_account_is_one_persons(command: Run) -> None:
    assert (await command(*CLINICIAN, *ACCOUNT)).exit_code == 0
    refused = await command("person", "link", "Cora Coordinator", *ACCOUNT)
    assert isinstance(refused.exception, PersonRefused)
    assert "another person's" in str(refused.exception)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*CLINICIAN, "--issuer", "https://login.example"), "together"),
        (("person", "link", "Cora Coordinator", "--issuer", "", "--subject", "x"), "255"),
        (("person", "link", "Cora Coordinator", "--issuer", "x", "--subject", "a" * 256), "255"),
        (("person", "change", "Cora Coordinator"), "say what changes"),
        (("person", "change", "Cora Coordinator", "--role", "clinician"), "has a licence"),
        (("person", "change", "Paula Provider", "--role", "provider-admin", "--role", "auditor"),
         "among those who review"),
        (("person", "add", "Peter", "--role", "provider-admin"), "belongs to an organization"),
    ],
)  # fmt: skip
async def test_what_nobody_can_be(command: Run, arguments: tuple[str, ...], said: str) -> None:
    await command("person", "list")
    refused = await command(*arguments)
    assert isinstance(refused.exception, PersonRefused)
    assert said in str(refused.exception)


async def test_a_change_is_kept_and_audited(command: Run, superuser_engine: AsyncEngine) -> None:
    assert (await command(*CLINICIAN)).exit_code == 0
    done = await command(
        *("person", "change", "Dora Doubtful", "--role", "clinician", "--role", "operations"),
        *("--licence-state", "OK", "--licence-number", "OK-7", "--licence-expires", "2031-06-30"),
    )
    assert (done.exit_code, done.stdout) == (0, "changed\n")
    [(roles, expires, number)] = await people(
        superuser_engine, "roles, licence_expires, licence_number"
    )
    assert (roles, expires.isoformat(), number) == (
        ["clinician", "operations"],
        "2031-06-30",
        "OK-7",
    )
    async with superuser_engine.connect() as db:
        query = "select action from audit_event where action like 'person.%' order by id"
        actions = (await db.execute(text(query))).scalars().all()
    assert actions == ["person.add", "person.change"]


async def test_who_is_put_out_of_use_has_no_token_and_no_session_any_more(
    command: Run, superuser_engine: AsyncEngine
) -> None:
    assert (await command(*CLINICIAN)).exit_code == 0
    assert (await command("token", "--person", "Dora Doubtful")).exit_code == 0
    async with superuser_engine.begin() as db:
        await db.execute(
            text(
                "insert into person_session (session_hash, person_id, signed_in_at, begun_at,"
                " seen_at, expires_at) select decode(repeat('00', 32), 'hex'), id, now(), now(),"
                " now(), now() + interval '8 hours' from person where name = 'Dora Doubtful'"
            )
        )
    done = await command("person", "close", "Dora Doubtful")
    assert (done.exit_code, done.stdout) == (0, "closed\n")
    assert await people(superuser_engine, "active") == [(False,)]
    async with superuser_engine.connect() as db:
        for left in (
            "select count(*) from person_session where ended_at is null",
            "select count(*) from person_token where revoked_at is null",
        ):
            assert await db.scalar(text(left)) == 0


async def test_nobody_is_changed_who_is_not_there(command: Run) -> None:
    refused = await command("person", "close", "Nobody")
    assert isinstance(refused.exception, NotFound)
