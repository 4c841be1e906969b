"""`assertion`: what a client of the sandbox is known by at the token endpoint."""

from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.hand_made_jwt import ec_pair
from tests.integration.cli.running import Run, audited, commands, rows
from tests.integration.cli.test_clients import key_file
from wiser_fhir.auth.assertion import Assertion, ClientAssertions, OAuthRefused
from wiser_fhir.auth.keys import JwksCache
from wiser_fhir.clock import utc_now
from wiser_fhir.db.embedded import Urls
from wiser_fhir.egress.client import Egress
from wiser_fhir.errors import NotFound
from wiser_fhir.settings import SettingsError

TOKEN_URL = "http://127.0.0.1:8000/oauth/token"


@pytest.fixture
def command(database: Urls, clean_database: None, tmp_path: Path) -> Run:
    return commands(database, tmp_path / "one")


async def read(engine: AsyncEngine, printed: str, url: str = TOKEN_URL) -> Assertion:
    form = {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": printed.strip(),
    }
    assertions = ClientAssertions(engine, utc_now, JwksCache(Egress()))
    return await assertions.read(form, [url])


@pytest.mark.parametrize("client", ["sandbox-ehr", "sandbox-clinic", "sandbox-mac"])
async def test_every_client_of_the_sandbox_can_prove_who_it_is(
    command: Run, app_engine: AsyncEngine, superuser_engine: AsyncEngine, client: str
) -> None:
    done = await command("assertion", "--client", client)
    assert done.exit_code == 0, done.exception
    assert (await read(app_engine, done.stdout)).client.name == client
    assert await audited(superuser_engine, "assertion.issue") == [{"by": "command"}]


async def test_an_assertion_is_for_the_audience_that_was_named(
    command: Run, app_engine: AsyncEngine
) -> None:
    url = "https://payer.example/oauth/token"
    done = await command("assertion", "--client", "sandbox-ehr", "--audience", url)
    assert (await read(app_engine, done.stdout, url)).client.name == "sandbox-ehr"
    with pytest.raises(OAuthRefused):
        await read(app_engine, done.stdout)


async def test_a_data_directory_of_its_own_brings_a_new_key_and_each_is_taken(
    command: Run, database: Urls, app_engine: AsyncEngine, tmp_path: Path
) -> None:
    first = await command("assertion", "--client", "sandbox-ehr")
    for folder in ("two", "three"):
        other = commands(database, tmp_path / folder)
        done = await other("assertion", "--client", "sandbox-ehr")
        assert (await read(app_engine, done.stdout)).client.name == "sandbox-ehr"
    with pytest.raises(OAuthRefused):
        await read(app_engine, first.stdout)


async def test_what_an_operator_registered_is_left_as_it_is(
    command: Run, superuser_engine: AsyncEngine, tmp_path: Path
) -> None:
    await command("client", "list")
    file = key_file(tmp_path, ec_pair("own"))
    assert (await command("client", "rotate", "sandbox-ehr", "--jwks", file)).exit_code == 0
    await command("client", "list")
    query = (
        "select k.jwks #>> '{keys,0,kid}', k.revision from client_key k"
        " join client c on c.id = k.client_id where c.name = 'sandbox-ehr'"
    )
    assert await rows(superuser_engine, query) == [("own", 2)]


async def test_it_is_the_sandbox_s_alone(command: Run, database: Urls, tmp_path: Path) -> None:
    production = commands(database, tmp_path, WISER_MODE="production")
    done = await production("assertion", "--client", "sandbox-ehr")
    assert isinstance(done.exception, SettingsError)
    unknown = await command("assertion", "--client", "nobody")
    assert isinstance(unknown.exception, NotFound)
