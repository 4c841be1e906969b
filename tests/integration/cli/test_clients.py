"""`client add|list|rotate|scopes|unbound|external|revoke`, on the test's database."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.hand_made_jwt import Pair, ec_pair, rsa_pair
from tests.integration.cli.running import Run, audited, commands, rows
from wiser_fhir.auth import client_keys, clients
from wiser_fhir.auth.keys import KeysRefused
from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.registration import Keys, RegistrationRefused
from wiser_fhir.auth.scopes import ScopeRefused
from wiser_fhir.auth.tokens import Authenticator
from wiser_fhir.clock import utc_now
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import NotFound, Unauthenticated

NAME, ORGANIZATION = "valley-ehr", "Mockingham Spine Clinic"
URL = "https://ehr.example/jwks.json"
URI = "https://ehr.example/system"
ISSUER = "https://sso.example/realms/payer"
ADD = ("client", "add", NAME, "--organization", ORGANIZATION, "--scope", "system/Claim.c")
STORED = (
    "select c.scopes, c.certificate_uri, c.unbound_because, c.active, k.jwks_url, k.jwks,"
    " k.active, k.revision from client c left join client_key k on k.client_id = c.id"
    " where c.name = :name"
)


@pytest.fixture
def command(database: Urls, clean_database: None, tmp_path: Path) -> Run:
    return commands(database, tmp_path)


def key_file(folder: Path, *pairs: Pair, **changes: Any) -> str:
    file = folder / "keys.json"
    file.write_bytes(orjson.dumps({"keys": [pair.jwk(**changes) for pair in pairs]}))
    return str(file)


def in_days(days: int) -> str:
    return (utc_now() + timedelta(days=days)).date().isoformat()


async def stored(engine: AsyncEngine) -> list[tuple[Any, ...]]:
    return await rows(engine, STORED, name=NAME)


async def kids(engine: AsyncEngine) -> list[str]:
    [(*_, jwks, _, _)] = await stored(engine)
    return [key["kid"] for key in jwks["keys"]]


async def a_token(command: Run) -> list[str]:
    done = await command("token", "--client", NAME)
    return [f"Bearer {done.stdout.strip()}"]


async def holder(engine: AsyncEngine, token: list[str]) -> Principal | None:
    try:
        return await Authenticator(engine, utc_now).principal(token)
    except Unauthenticated:
        return None


async def test_a_client_is_added_with_all_that_it_proves_itself_by(
    command: Run, superuser_engine: AsyncEngine, tmp_path: Path
) -> None:
    done = await command(
        *ADD,
        *("--scope", "system/claimresponse.read", "--jwks", key_file(tmp_path, ec_pair())),
        *("--certificate-uri", URI, "--external", ISSUER, "valley"),
        *("--unbound-until", in_days(300), "--because", "its proxy drops certificates"),
    )
    assert (done.exit_code, done.stdout) == (0, "added\n")
    assert await stored(superuser_engine) == [
        (
            ["system/Claim.c", "system/ClaimResponse.rs"],
            *(URI, "its proxy drops certificates", True),
            *(None, {"keys": [{**ec_pair().jwk(), "use": "sig"}]}, True, 1),
        )
    ]
    elsewhere = "select issuer, subject, active from external_client"
    assert await rows(superuser_engine, elsewhere) == [(ISSUER, "valley", True)]
    [detail] = await audited(superuser_engine, "client.add")
    assert detail["keys"] == "value"
    assert detail["scopes"] == "system/Claim.c|system/ClaimResponse.rs"
    assert "proxy" not in str(detail)


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("--jwks-url", "http://ehr.example/jwks"), RegistrationRefused, "https"),
        (("--jwks-url", "https://ehr.example/../x"), RegistrationRefused, "one way only"),
        (("--certificate-uri", "ehr.example"), RegistrationRefused, "is a URI"),
        (("--certificate-uri", "https://ehr example"), RegistrationRefused, "is a URI"),
        (("--unbound-until", in_days(30)), RegistrationRefused, "go together"),
        (("--because", "why"), RegistrationRefused, "go together"),
        (("--unbound-until", in_days(368), "--because", "why"), RegistrationRefused, "a year"),
        (("--unbound-until", in_days(-2), "--because", "why"), RegistrationRefused, "a year"),
        (("--unbound-until", in_days(30), "--because", "- "), RegistrationRefused, "say why"),
        (("--external", "sso.example", "valley"), RegistrationRefused, "http or https URL"),
        (("--external", ISSUER, "val ley"), RegistrationRefused, "a subject"),
        (("--scope", "system/*.rs"), ScopeRefused, "no such scope"),
        (("--scope", "patient/Claim.c"), ScopeRefused, "no such scope"),
        (("--scope", "system/Claim.d"), ScopeRefused, "nobody is granted"),
    ],
)
async def test_what_cannot_be_added(
    command: Run,
    superuser_engine: AsyncEngine,
    arguments: tuple[str, ...],
    error: type[Exception],
    said: str,
) -> None:
    done = await command(*ADD, *arguments)
    assert isinstance(done.exception, error), done.exception
    assert said in str(done.exception)
    assert await stored(superuser_engine) == []


@pytest.mark.parametrize(
    ("pair", "changes", "said"),
    [
        (ec_pair("p256", "P-256"), {}, "needs P-384"),
        (ec_pair(), ec_pair().secret(), "private"),
        (rsa_pair("small", 1024), {}, "size"),
        (ec_pair(), {"kid": ""}, "no `kid`"),
    ],
)
async def test_a_key_that_proves_nothing_is_refused(
    command: Run, superuser_engine: AsyncEngine, tmp_path: Path, pair: Pair, changes: Any, said: str
) -> None:
    done = await command(*ADD, "--jwks", key_file(tmp_path, pair, **changes))
    assert isinstance(done.exception, KeysRefused)
    assert said in str(done.exception)
    assert await stored(superuser_engine) == []


async def test_keys_are_by_url_or_by_file(command: Run, tmp_path: Path) -> None:
    done = await command(*ADD, "--jwks", key_file(tmp_path, ec_pair()), "--jwks-url", URL)
    assert isinstance(done.exception, RegistrationRefused)
    assert "one of the two" in str(done.exception)


@pytest.mark.parametrize(
    "change", [("name", "val ley"), ("name", "-x"), ("name", ""), ("--organization", "Nowhere")]
)
async def test_a_name_is_one_word_of_an_organization_that_there_is(
    command: Run, superuser_engine: AsyncEngine, change: tuple[str, str]
) -> None:
    what, value = change
    name = value if what == "name" else NAME
    organization = value if what != "name" else ORGANIZATION
    done = await command(
        *("client", "add", "--organization", organization, "--scope", "system/Claim.c"),
        *("--", name),
    )
    assert isinstance(done.exception, NotFound | RegistrationRefused)
    query = "select name from client where name not like 'sandbox-%'"
    assert await rows(superuser_engine, query) == []


async def test_names_and_certificates_are_one_client_s(
    command: Run, superuser_engine: AsyncEngine
) -> None:
    assert (await command(*ADD, "--certificate-uri", URI)).exit_code == 0
    twice = await command(*ADD)
    assert isinstance(twice.exception, RegistrationRefused)
    assert "of this name" in str(twice.exception)
    other = ("client", "add", "other", *ADD[3:])
    same = await command(*other, "--certificate-uri", URI)
    assert isinstance(same.exception, RegistrationRefused)
    assert "another client's" in str(same.exception)
    assert (await command(*other)).exit_code == 0
    renamed = await command("client", "rotate", "other", "--certificate-uri", URI)
    assert isinstance(renamed.exception, RegistrationRefused)


async def test_in_production_a_client_shows_a_certificate_or_it_is_written_down_why_not(
    empty_database: Urls, tmp_path: Path, superuser_engine: AsyncEngine
) -> None:
    run = commands(empty_database, tmp_path, WISER_MODE="production")
    assert (await run("migrate")).exit_code == 0
    added = await run(
        *("organization", "add", ORGANIZATION, "--kind", "provider", "--npi", "1999000015")
    )
    assert added.exit_code == 0, added.exception
    done = await run(*ADD, "--jwks-url", URL)
    assert isinstance(done.exception, RegistrationRefused)
    assert "--certificate-uri" in str(done.exception)
    assert isinstance((await run(*ADD, "--external", ISSUER, NAME)).exception, RegistrationRefused)
    assert (await run(*ADD, "--jwks-url", URL, "--certificate-uri", URI)).exit_code == 0


async def test_new_keys_end_the_old_ones_and_what_they_brought(
    command: Run, superuser_engine: AsyncEngine, app_engine: AsyncEngine, tmp_path: Path
) -> None:
    await command(*ADD, "--jwks", key_file(tmp_path, ec_pair("old")))
    token = await a_token(command)
    assert await holder(app_engine, token)
    done = await command("client", "rotate", NAME, "--jwks", key_file(tmp_path, rsa_pair("new")))
    assert (done.exit_code, done.stdout) == (0, "rotated\n")
    assert await kids(superuser_engine) == ["new"]
    assert await holder(app_engine, token) is None
    assert await audited(superuser_engine, "client.rotate") == [
        {"keys": "value", "overlap": False, "revision": 2, "tokens": 1}
    ]


async def test_with_overlap_both_are_good_until_the_next_rotation(
    command: Run, superuser_engine: AsyncEngine, app_engine: AsyncEngine, tmp_path: Path
) -> None:
    await command(*ADD, "--jwks", key_file(tmp_path, ec_pair("old")))
    token = await a_token(command)
    rotate = ("client", "rotate", NAME)
    new = key_file(tmp_path, ec_pair("new"))
    assert (await command(*rotate, "--jwks", new, "--overlap")).exit_code == 0
    assert await kids(superuser_engine) == ["old", "new"]
    assert await holder(app_engine, token)
    assert (await command(*rotate, "--jwks", new, "--overlap")).exit_code == 0
    assert await kids(superuser_engine) == ["old", "new"]
    stolen_name = key_file(tmp_path, ec_pair("other"), kid="old")
    taken = await command(*rotate, "--jwks", stolen_name, "--overlap")
    assert isinstance(taken.exception, KeysRefused)
    assert (await command(*rotate, "--jwks", key_file(tmp_path, ec_pair("new")))).exit_code == 0
    assert await kids(superuser_engine) == ["new"]
    assert await holder(app_engine, token) is None


async def test_two_rotations_at_once_with_overlap_lose_neither_key(
    command: Run, owner_engine: AsyncEngine, superuser_engine: AsyncEngine, tmp_path: Path
) -> None:
    await command(*ADD, "--jwks", key_file(tmp_path, ec_pair("old")))

    async def rotated(kid: str) -> None:
        async with transaction(owner_engine) as db:
            client = await clients.in_use(db, NAME)
            new = Keys(jwks={"keys": [ec_pair(kid).jwk()]})
            both = await client_keys.beside_old(db, client.id, new)
            await client_keys.register(db, client.id, client.organization_id, both)

    await asyncio.gather(rotated("first"), rotated("second"))
    assert sorted(await kids(superuser_engine)) == ["first", "old", "second"]


async def test_keys_move_to_a_url_and_a_certificate_gets_another_name(
    command: Run, superuser_engine: AsyncEngine, tmp_path: Path
) -> None:
    await command(*ADD, "--jwks", key_file(tmp_path, ec_pair()), "--certificate-uri", URI)
    rotate = ("client", "rotate", NAME)
    assert (await command(*rotate, "--jwks-url", URL)).exit_code == 0
    renamed = await command(*rotate, "--certificate-uri", "urn:uuid:5a5d0b0c")
    assert renamed.exit_code == 0
    [(_, uri, _, _, url, jwks, active, revision)] = await stored(superuser_engine)
    assert (uri, url, jwks, active, revision) == ("urn:uuid:5a5d0b0c", URL, None, True, 2)
    by_url = await command(*rotate, "--jwks", key_file(tmp_path, ec_pair()), "--overlap")
    assert isinstance(by_url.exception, RegistrationRefused)
    for nothing in ((), ("--overlap",), ("--overlap", "--certificate-uri", URI)):
        assert isinstance((await command(*rotate, *nothing)).exception, RegistrationRefused)


async def test_scopes_taken_away_end_tokens_and_more_scopes_do_not(
    command: Run, superuser_engine: AsyncEngine, app_engine: AsyncEngine
) -> None:
    await command(*ADD)
    token = await a_token(command)
    scopes = ("client", "scopes", NAME, "--scope", "system/ClaimResponse.rs")
    assert (await command(*scopes, "--scope", "system/Claim.c")).stdout == "changed\n"
    assert await holder(app_engine, token)
    assert (await command(*scopes)).exit_code == 0
    assert await holder(app_engine, token) is None
    assert (await stored(superuser_engine))[0][0] == ["system/ClaimResponse.rs"]
    assert [each["tokens"] for each in await audited(superuser_engine, "client.scopes")] == [0, 1]
    assert isinstance((await command(*scopes, "--scope", "all")).exception, ScopeRefused)


async def test_a_client_goes_without_a_certificate_until_it_ends(
    command: Run, superuser_engine: AsyncEngine, app_engine: AsyncEngine
) -> None:
    await command(*ADD)
    token = await a_token(command)
    unbound = ("client", "unbound", NAME)
    done = await command(*unbound, "--until", in_days(10), "--because", "new proxy in June")
    assert (done.exit_code, done.stdout) == (0, "accepted\n")
    query = (
        "select unbound_until > now() + interval '9 days',"
        " unbound_until < now() + interval '12 days' from client where name = :name"
    )
    assert await rows(superuser_engine, query, name=NAME) == [(True, True)]
    assert await holder(app_engine, token)
    assert (await command(*unbound, "--end")).stdout == "ended\n"
    assert (await stored(superuser_engine))[0][2] is None
    assert await holder(app_engine, token) is None
    both = ("--end", "--until", in_days(10), "--because", "both")
    for wrong in ((), both, ("--until", in_days(400), "--because", "long")):
        assert isinstance((await command(*unbound, *wrong)).exception, RegistrationRefused)


async def test_another_issuer_s_name_is_one_client_s(
    command: Run, superuser_engine: AsyncEngine
) -> None:
    await command(*ADD)
    known = ("client", "external", NAME, ISSUER, "valley")
    assert (await command(*known)).stdout == "registered\n"
    assert (await command(*known)).exit_code == 0
    assert (await command(*known, "--revoke")).stdout == "revoked\n"
    assert isinstance((await command(*known, "--revoke")).exception, NotFound)
    foreign = await command("client", "external", "sandbox-ehr", ISSUER, "valley")
    assert isinstance(foreign.exception, RegistrationRefused)
    assert (await command(*known)).exit_code == 0
    query = "select subject, active from external_client"
    assert await rows(superuser_engine, query) == [("valley", True)]


async def test_a_revoked_client_is_out_for_good_and_its_tokens_with_it(
    command: Run, superuser_engine: AsyncEngine, app_engine: AsyncEngine, tmp_path: Path
) -> None:
    await command(*ADD, "--jwks", key_file(tmp_path, ec_pair()))
    tokens = [await a_token(command) for _ in range(2)]
    other = (await command("token", "--client", "sandbox-clinic")).stdout.strip()
    assert (await command("client", "revoke", NAME)).stdout == "revoked\n"
    assert [await holder(app_engine, each) for each in tokens] == [None, None]
    assert await holder(app_engine, [f"Bearer {other}"])
    [(_, _, _, client, _, _, keys, revision)] = await stored(superuser_engine)
    assert (client, keys, revision) == (False, False, 2)
    assert await audited(superuser_engine, "client.revoke") == [{"tokens": 2}]
    for act in (
        ("revoke", NAME),
        ("rotate", NAME, "--jwks-url", URL),
        ("scopes", NAME, "--scope", "system/Claim.c"),
        ("unbound", NAME, "--end"),
        ("external", NAME, ISSUER, "valley"),
    ):
        done = await command("client", *act)
        assert isinstance(done.exception, RegistrationRefused), act
    assert isinstance((await command(*ADD)).exception, RegistrationRefused)
    assert isinstance((await command("token", "--client", NAME)).exception, NotFound)


async def test_the_list_shows_where_keys_are_and_no_key(command: Run, tmp_path: Path) -> None:
    await command(*ADD, "--jwks", key_file(tmp_path, ec_pair("a"), rsa_pair("b")))
    await command("notify-host", "--client", NAME, "--host", "https://ehr.example")
    await command("cds-client", "--client", NAME, "--iss", "https://ehr.example", "--jwks-url", URL)
    await command("client", "external", NAME, ISSUER, "valley")
    table = (await command("client", "list")).stdout
    assert ec_pair("a").jwk()["x"] not in table
    assert table.splitlines()[0].startswith("name,organization,active,scopes,keys,")
    lines = (await command("client", "list", "--format", "jsonl")).stdout.splitlines()
    (ours,) = (each for each in map(orjson.loads, lines) if each["name"] == NAME)
    assert {name: ours[name] for name in ours if name not in ("scopes", "unbound_because")} == {
        "name": NAME,
        "organization": ORGANIZATION,
        "active": True,
        "keys": "a b",
        "revision": 1,
        "certificate_uri": None,
        "unbound_until": None,
        "external": [f"{ISSUER} valley"],
        "cds_issuer": "https://ehr.example",
        "notify_hosts": ["https://ehr.example"],
    }


async def test_nobody_is_found_under_an_unknown_name(command: Run) -> None:
    for act in (
        ("revoke",),
        ("rotate", "--jwks-url", URL),
        ("scopes", "--scope", "system/Claim.c"),
    ):
        assert isinstance((await command("client", *act, "nobody")).exception, NotFound)
