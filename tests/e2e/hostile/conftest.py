"""One server for all attacks of a run; all of them are in one group, so none disturbs another."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.e2e.hostile.key_server import KeyServer, key_server
from tests.e2e.hostile.town import ORIGIN, Town, neighbour
from tests.e2e.server.test_command import sandbox
from tests.e2e.serving import serving
from wiser_fhir.auth import client_keys, clients, tokens
from wiser_fhir.auth.clients import NewClient
from wiser_fhir.auth.registration import Keys
from wiser_fhir.clock import utc_now
from wiser_fhir.db.embedded import Embedded, Urls
from wiser_fhir.db.engine import create_engine, transaction

CLEARINGHOUSE = "Sandbox Clearinghouse"


@pytest.fixture(scope="session")
def keys_elsewhere() -> Iterator[KeyServer]:
    """Where the keys of some clients are."""
    with key_server() as found:
        yield found


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory, keys_elsewhere: KeyServer) -> Iterator[Town]:
    """The server, rested."""
    folder = tmp_path_factory.mktemp("town")
    data_dir = folder / "data"
    environment = {
        **sandbox(data_dir),
        "WISER_PUBLIC_URL": ORIGIN,
        "WISER_SANDBOX_HOSTS": keys_elsewhere.origin,
        "WISER_LOG_LEVEL": "error",
    }
    with serving(environment) as server:
        mine, theirs = asyncio.run(_known(Embedded(data_dir).urls(), keys_elsewhere))
        with neighbour(server.url, theirs, folder) as journal:
            found = Town(server, environment, mine, journal)
            found.rest()
            yield found


async def _known(urls: Urls, keys: KeyServer) -> tuple[str, str]:
    """Register clients whose keys are elsewhere; a token of the attacker's and the neighbour's."""
    owner, app = create_engine(urls.owner, pool_size=1), create_engine(urls.app, pool_size=1)
    try:
        async with transaction(owner) as db:
            for name in ("elsewhere", "giant"):
                new = NewClient(name, CLEARINGHOUSE, ("system/Claim.c",), None, None)
                held = await clients.add(db, new, utc_now())
                at = Keys(jwks_url=f"{keys.origin}/{name}")
                await client_keys.register(db, held.id, held.organization_id, at)
        async with transaction(app) as db:
            life = timedelta(hours=1)
            mine, theirs = [
                await tokens.issue(db, name, (), life, utc_now())
                for name in ("sandbox-ehr", "sandbox-clinic")
            ]
        return mine.token, theirs.token
    finally:
        await owner.dispose()
        await app.dispose()
