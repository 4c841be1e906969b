"""`wiser-fhir udap`: who may register; and the whole way through a sandbox."""

import asyncio
import csv
import io
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from tests.udap import COMMUNITY, URI, authority, keep_lists
from tests.udap_door import Books, UdapPlace
from tests.vaults import ENVIRONMENT
from wiser_fhir.app import create_app
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.auth.scopes import ScopeRefused
from wiser_fhir.cli import cli
from wiser_fhir.db.embedded import Urls
from wiser_fhir.errors import NotFound
from wiser_fhir.settings import Settings, SettingsError

Run = Callable[..., Awaitable[Result]]

CLINIC = "Mockingham Spine Clinic"
ALLOW = ("udap", "allow", URI, "--community", COMMUNITY)
NO_URI = ("udap", "allow", "no uri", "--community", COMMUNITY)
SCOPES = ("--scope", "system/Claim.cu", "--scope", "system/Task.rs")
GUESTS = "delete from udap_community"


@pytest.fixture
def environment(database: Urls, tmp_path: Path) -> dict[str, str]:
    """A sandbox that knows another community than its own."""
    (tmp_path / "root.pem").write_bytes(authority().certificate_pem)
    keep_lists(tmp_path / "crls")
    return {
        "WISER_MODE": "sandbox",
        "WISER_DATABASE_URL": database.app,
        "WISER_DATABASE_OWNER_URL": database.owner,
        "WISER_DATA_DIR": str(tmp_path),
        "WISER_PUBLIC_URL": "http://127.0.0.1:8473",
        "WISER_UDAP_ANCHORS": f"{COMMUNITY}={tmp_path}/root.pem",
        "WISER_UDAP_CRLS": f"{tmp_path}/crls",
        **ENVIRONMENT,
        "WISER_LOG_LEVEL": "error",
    }


@pytest.fixture
def command(environment: dict[str, str], clean_database: None) -> Run:
    """`await command("udap", "allow", ...)`."""

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=environment)

    return run


@pytest.fixture
def books(superuser_engine: AsyncEngine) -> Books:
    """What is stored."""
    return Books(superuser_engine)


async def trail(books: Books) -> list[tuple[str, str, bool]]:
    """What was done by command: action, outcome, and whether a client is named."""
    query = """
        select action, outcome, client_id is not null from audit_event
        where detail ->> 'by' = 'command' order by id
    """
    return await books.rows(query)


async def listed(command: Run, *more: str) -> str:
    done = await command("udap", "list", *more)
    assert done.exit_code == 0, done.output
    return done.stdout


async def test_who_is_allowed_may_register_and_is_listed(
    command: Run, app_engine: AsyncEngine, books: Books
) -> None:
    done = await command(*ALLOW, "--organization", CLINIC, *SCOPES)
    assert (done.exit_code, done.stdout) == (0, "allowed\n")
    await books.run(GUESTS)
    client_id = await UdapPlace(app_engine).client()
    [row] = csv.DictReader(io.StringIO(await listed(command)))
    assert (row["community"], row["iss"], row["organization"]) == (COMMUNITY, URI, CLINIC)
    assert (row["scopes"], row["active"]) == ("system/Claim.cu system/Task.rs", "True")
    assert (row["client"], row["client_name"]) == (client_id, "A test client")
    [line] = (await listed(command, "--format", "jsonl")).splitlines()
    assert json.loads(line)["scopes"] == ["system/Claim.cu", "system/Task.rs"]
    assert await trail(books) == [("udap.allow", "done", False)]


async def test_so_is_a_member_of_a_community_that_is_let_in_as_a_whole(
    command: Run, app_engine: AsyncEngine
) -> None:
    assert list(csv.DictReader(io.StringIO(await listed(command)))) == []
    client_id = await UdapPlace(app_engine).client()
    [row] = csv.DictReader(io.StringIO(await listed(command)))
    assert (row["community"], row["iss"], row["active"]) == (COMMUNITY, URI, "True")
    assert row["organization"]
    assert "system/Claim" in row["scopes"]
    assert (row["client"], row["client_name"]) == (client_id, "A test client")


async def test_what_is_no_longer_allowed_is_lost_at_once(
    command: Run, app_engine: AsyncEngine, books: Books
) -> None:
    place = UdapPlace(app_engine)
    await command(*ALLOW, "--organization", CLINIC, *SCOPES)
    client_id = await place.client(scope="system/Claim.cu system/Task.rs")
    assert (await place.ask(client_id)).status_code == 200
    live = "select count(*) from access_token where revoked_at is null"
    await command(*ALLOW, "--organization", CLINIC, *SCOPES, "--scope", "system/ValueSet.rs")
    assert await books.rows(live) == [(1,)]
    await command(*ALLOW, "--organization", CLINIC, "--scope", "system/Claim.c")
    assert await books.rows(live) == [(0,)]
    assert (await place.ask(client_id)).json()["scope"] == "system/Claim.c"
    await command(*ALLOW, "--organization", CLINIC, "--scope", "system/ValueSet.rs")
    assert (await place.ask(client_id)).status_code == 401
    assert await trail(books) == [
        ("udap.allow", "done", False),
        ("udap.allow", "done", False),
        ("udap.allow", "done", False),
        ("udap.allow", "done", False),
        ("udap.cancel", "done", True),
    ]


async def test_who_is_removed_has_no_client_and_no_token_any_more(
    command: Run, app_engine: AsyncEngine, books: Books
) -> None:
    place = UdapPlace(app_engine)
    await command(*ALLOW, "--organization", CLINIC, *SCOPES)
    client_id = await place.client()
    assert (await place.ask(client_id)).status_code == 200
    done = await command("udap", "remove", URI, "--community", COMMUNITY)
    assert (done.exit_code, done.stdout) == (0, "removed\n")
    assert (await place.ask(client_id)).status_code == 401
    assert (await place.register()).json()["error"] == "unapproved_software_statement"
    assert await books.rows("select count(*) from access_token where revoked_at is null") == [(0,)]
    [row] = csv.DictReader(io.StringIO(await listed(command)))
    assert (row["active"], row["client"]) == ("False", "")
    again = await command("udap", "remove", URI, "--community", COMMUNITY)
    assert isinstance(again.exception, NotFound)
    await command(*ALLOW, "--organization", CLINIC, *SCOPES)
    assert (await place.register()).status_code == 201


async def test_for_another_organization_there_is_another_client(
    command: Run, app_engine: AsyncEngine, books: Books
) -> None:
    place = UdapPlace(app_engine)
    await command(*ALLOW, "--organization", CLINIC, *SCOPES)
    first = await place.client()
    await command(*ALLOW, "--organization", "Sandbox Clearinghouse", *SCOPES)
    assert (await place.ask(first)).status_code == 401
    assert await place.client() != first


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("udap", "allow", URI, "--organization", CLINIC, *SCOPES), RegistrationRefused),
        ((*ALLOW, "--organization", "Nobody", *SCOPES), NotFound),
        ((*ALLOW, "--organization", CLINIC, "--scope", "system/*.rs"), ScopeRefused),
        (
            (
                "udap",
                "allow",
                "no uri",
                "--community",
                COMMUNITY,
                "--organization",
                CLINIC,
                *SCOPES,
            ),
            RegistrationRefused,
        ),
        (("udap", "certificate", "no uri", "--out", "."), RegistrationRefused),
        (("udap", "statement", "--folder", "/nonexistent"), OSError),
    ],
)
async def test_what_cannot_be_is_said(
    command: Run, books: Books, arguments: tuple[str, ...], error: type[Exception]
) -> None:
    done = await command(*arguments)
    assert isinstance(done.exception, error)
    assert await books.rows("select count(*) from udap_registrant") == [(0,)]


async def test_nobody_registers_for_a_closed_organization(command: Run, books: Books) -> None:
    await command("organization", "close", CLINIC)
    done = await command(*ALLOW, "--organization", CLINIC, *SCOPES)
    assert isinstance(done.exception, RegistrationRefused)
    assert str(done.exception) == f"{CLINIC} is closed"
    assert await books.rows("select count(*) from udap_registrant") == [(0,)]
    assert await trail(books) == []


async def test_certificates_are_made_in_a_sandbox_alone(
    environment: dict[str, str], tmp_path: Path
) -> None:
    production = {**environment, "WISER_MODE": "production"}
    for arguments in (
        ("udap", "certificate", URI, "--out", str(tmp_path / "out")),
        ("udap", "statement", "--folder", str(tmp_path)),
        ("udap", "assertion", "--folder", str(tmp_path), "--client-id", "x"),
    ):
        done = await asyncio.to_thread(CliRunner().invoke, cli, arguments, env=production)
        assert isinstance(done.exception, SettingsError)


async def test_the_whole_way_through_a_sandbox(
    command: Run, environment: dict[str, str], tmp_path: Path, superuser_engine: AsyncEngine
) -> None:
    """As docs/udap.md has it: a certificate, a registration, a token, a call, an end."""
    folder = str(tmp_path / "my-app")
    assert (await command("udap", "certificate", URI, "--out", folder)).exit_code == 0
    app = create_app(Settings.from_env(environment))
    async with (
        app.router.lifespan_context(app),
        AsyncClient(transport=ASGITransport(app), base_url="http://wrong.host") as http,
    ):

        async def register(*more: str) -> Any:
            made = await command("udap", "statement", "--folder", folder, *more)
            sent = {"software_statement": made.stdout.strip(), "udap": "1"}
            return await http.post("/oauth/register", json=sent)

        document = (await http.get("/fhir/.well-known/udap")).json()
        assert document["registration_endpoint"] == "http://127.0.0.1:8473/oauth/register"
        assert (await http.get("/udap/crl")).headers["content-type"] == "application/pkix-crl"
        registered = await register()
        assert registered.status_code == 201, registered.text
        client_id = registered.json()["client_id"]
        made = await command("udap", "assertion", "--folder", folder, "--client-id", client_id)
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": made.stdout.strip(),
            "udap": "1",
        }
        token = (await http.post("/oauth/token", data=form)).json()["access_token"]
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await http.get("/fhir/Questionnaire", headers=bearer)).status_code != 401
        assert (await register("--cancel")).json()["grant_types"] == []
    query = """
        select o.name from client c join organization o on o.id = c.organization_id
        where c.name = :client
    """
    async with superuser_engine.connect() as db:
        assert await db.scalar(text(query), {"client": client_id}) == "Sandbox UDAP guests"
