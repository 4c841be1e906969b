"""`organization add|list|change|close|reopen`, on the test's database."""

import asyncio
from pathlib import Path

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.cli.running import Run, audited, commands, rows
from wiser_fhir.auth import organizations
from wiser_fhir.auth.organizations import Organization
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.auth.tokens import Authenticator
from wiser_fhir.clock import utc_now
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import NotFound, Unauthenticated

NAME = "Hillside Pain Clinic"
NPI, OTHER_NPI = "1999000015", "1999000023"
TIN = "001234567"
ADD = ("organization", "add", NAME, "--kind", "provider", "--npi", NPI)
STORED = "select kind, acts_for, npis, tins, active from organization where name = :name"


@pytest.fixture
def command(database: Urls, clean_database: None, tmp_path: Path) -> Run:
    return commands(database, tmp_path)


async def test_a_provider_is_added_for_its_own_numbers_and_audited(
    command: Run, superuser_engine: AsyncEngine
) -> None:
    done = await command(*ADD, "--npi", OTHER_NPI, "--tin", "00-1234567", "--tin", TIN)
    assert (done.exit_code, done.stdout) == (0, "added\n")
    assert await rows(superuser_engine, STORED, name=NAME) == [
        ("provider", "own", [NPI, OTHER_NPI], [TIN], True)
    ]
    assert await audited(superuser_engine, "organization.add") == [
        {"kind": "provider", "acts_for": "own", "npis": 2, "tins": 1}
    ]


@pytest.mark.parametrize(
    ("arguments", "acts_for"),
    [
        (("--kind", "clearinghouse", "--npi", NPI), "named"),
        (("--kind", "clearinghouse", "--acts-for", "all"), "all"),
        (("--kind", "mac"), "own"),
    ],
)
async def test_others_are_added_for_whom_they_act(
    command: Run, superuser_engine: AsyncEngine, arguments: tuple[str, ...], acts_for: str
) -> None:
    assert (await command("organization", "add", NAME, *arguments)).exit_code == 0
    assert [row[1] for row in await rows(superuser_engine, STORED, name=NAME)] == [acts_for]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--kind", "king", "--npi", NPI), "a kind is one of"),
        (("--kind", "provider"), "names an NPI"),
        (("--kind", "provider", "--npi", "1999000016"), "an NPI has ten digits"),
        (("--kind", "provider", "--npi", NPI, "--tin", "12345678"), "a TIN has nine digits"),
        (("--kind", "provider", "--npi", NPI, "--acts-for", "all"), "a provider acts for own"),
        (("--kind", "clearinghouse"), "names an NPI"),
        (("--kind", "clearinghouse", "--acts-for", "all", "--npi", NPI), "names no provider"),
        (("--kind", "clearinghouse", "--acts-for", "own", "--npi", NPI), "acts for named or all"),
        (("--kind", "mac", "--npi", NPI), "names no provider"),
    ],
)
async def test_what_cannot_be_added(
    command: Run, superuser_engine: AsyncEngine, arguments: tuple[str, ...], said: str
) -> None:
    done = await command("organization", "add", NAME, *arguments)
    assert isinstance(done.exception, RegistrationRefused)
    assert said in str(done.exception)
    assert await rows(superuser_engine, STORED, name=NAME) == []


@pytest.mark.parametrize("name", ["", " ", "--", "x" * 201, "a\nb"])
async def test_a_name_can_be_read(command: Run, name: str) -> None:
    arguments = ("organization", "add", "--kind", "provider", "--npi", NPI, "--", name)
    assert isinstance((await command(*arguments)).exception, RegistrationRefused)


async def test_of_two_that_add_the_same_at_once_one_does(
    command: Run, owner_engine: AsyncEngine, superuser_engine: AsyncEngine
) -> None:
    async def added() -> bool:
        async with transaction(owner_engine) as db:
            try:
                await organizations.add(db, Organization(NAME, "provider", "own", (NPI,)))
            except RegistrationRefused:
                return False
            return True

    assert sorted(await asyncio.gather(added(), added())) == [False, True]
    assert len(await rows(superuser_engine, STORED, name=NAME)) == 1


async def test_numbers_come_and_go_one_by_one(command: Run, superuser_engine: AsyncEngine) -> None:
    await command(*ADD, "--tin", TIN)
    change = ("organization", "change", NAME)
    added = await command(*change, "--npi", OTHER_NPI, "--tin", "00-7654321", "--drop-npi", NPI)
    assert (added.exit_code, added.stdout) == (0, "changed\n")
    assert await rows(superuser_engine, STORED, name=NAME) == [
        ("provider", "own", [OTHER_NPI], [TIN, "007654321"], True)
    ]
    assert await audited(superuser_engine, "organization.change") == [
        {"add_npis": 1, "add_tins": 1, "drop_npis": 1}
    ]
    for refused in (
        ("--drop-npi", NPI),
        ("--drop-npi", OTHER_NPI),
        ("--drop-tin", "009999999"),
        ("--acts-for", "all"),
        ("--rename", "Sandbox Clearinghouse"),
        (),
    ):
        done = await command(*change, *refused)
        assert isinstance(done.exception, RegistrationRefused), refused
    assert (await command(*change, "--rename", "Valley Pain Clinic")).exit_code == 0
    assert isinstance((await command(*change, "--npi", NPI)).exception, NotFound)


async def test_a_closed_one_lets_nobody_in_until_it_is_open_again(
    command: Run, superuser_engine: AsyncEngine, app_engine: AsyncEngine
) -> None:
    await command(*ADD)
    scopes = ("--scope", "system/Claim.c")
    await command("client", "add", "hillside", "--organization", NAME, *scopes)
    token = [f"Bearer {(await command('token', '--client', 'hillside')).stdout.strip()}"]
    assert (await Authenticator(app_engine, utc_now).principal(token)).client_name == "hillside"
    assert (await command("organization", "close", NAME)).stdout == "closed\n"
    with pytest.raises(Unauthenticated):
        await Authenticator(app_engine, utc_now).principal(token)
    assert await audited(superuser_engine, "organization.close") == [{"tokens": 1}]
    assert isinstance((await command("organization", "close", NAME)).exception, RegistrationRefused)
    more = await command("client", "add", "second", "--organization", NAME, *scopes)
    assert isinstance(more.exception, RegistrationRefused)
    assert (await command("organization", "reopen", NAME)).exit_code == 0
    with pytest.raises(Unauthenticated):  # what ended stays so
        await Authenticator(app_engine, utc_now).principal(token)
    fresh = [f"Bearer {(await command('token', '--client', 'hillside')).stdout.strip()}"]
    assert (await Authenticator(app_engine, utc_now).principal(fresh)).client_name == "hillside"
    assert isinstance(
        (await command("organization", "reopen", NAME)).exception, RegistrationRefused
    )


async def test_the_list_shows_each_with_its_clients(command: Run) -> None:
    await command(*ADD, "--npi", OTHER_NPI, "--tin", TIN)
    table = (await command("organization", "list")).stdout.splitlines()
    assert table[0] == "name,kind,acts_for,npis,tins,active,clients"
    assert f"{NAME},provider,own,{NPI} {OTHER_NPI},{TIN},True," in table
    lines = (await command("organization", "list", "--format", "jsonl")).stdout.splitlines()
    (clinic,) = (each for each in map(orjson.loads, lines) if each["name"].startswith("Mocking"))
    assert clinic["clients"] == ["sandbox-clinic", "sandbox-clinic-reader"]


async def test_a_name_that_is_nobodys_is_not_found(command: Run) -> None:
    for act in ("change", "close", "reopen"):
        done = await command("organization", act, "Nowhere")
        assert isinstance(done.exception, NotFound | RegistrationRefused)
        assert "Nowhere" in str(done.exception)
