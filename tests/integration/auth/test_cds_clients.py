"""Registering EHRs in the real database."""

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeOrganization
from tests.hand_made_jwt import ec_pair
from wiser_fhir.auth import cds_clients
from wiser_fhir.auth.cds_clients import Registration
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import NotFound
from wiser_fhir.priorauth.numbers import time_ordered_uuid

ISS = "https://ehr.example"
BY_VALUE = Registration(ISS, jwks={"keys": [ec_pair().jwk()]}, fhir_servers=(f"{ISS}/fhir",))
BY_URL = Registration(ISS, jwks_url=f"{ISS}/jwks")

Client = tuple[UUID, UUID]


async def make_client(engine: AsyncEngine, organization: UUID, name: str) -> Client:
    client = time_ordered_uuid()
    async with engine.begin() as db:
        await db.execute(
            text(
                "insert into client (id, organization_id, name, scopes) values (:c, :o, :n, '{}')"
            ),
            {"c": client, "o": organization, "n": name},
        )
    return client, organization


@pytest.fixture
async def client(superuser_engine: AsyncEngine, make_organization: MakeOrganization) -> Client:
    return await make_client(superuser_engine, await make_organization(), "an-ehr")


async def stored(engine: AsyncEngine) -> list[Any]:
    query = "select iss, jwks_url, jwks, fhir_servers, active, revision from cds_client"
    async with engine.connect() as db:
        return [tuple(row) for row in await db.execute(text(query))]


async def register(engine: AsyncEngine, client: Client, registration: Registration) -> None:
    async with transaction(engine) as db:
        await cds_clients.register(db, *client, registration)


async def test_a_registration_is_changed_as_a_whole(
    owner_engine: AsyncEngine, client: Client
) -> None:
    await register(owner_engine, client, BY_VALUE)
    assert await stored(owner_engine) == [
        (ISS, None, {"keys": [ec_pair().jwk()]}, [f"{ISS}/fhir"], True, 1)
    ]
    await register(owner_engine, client, BY_URL)
    assert await stored(owner_engine) == [(ISS, f"{ISS}/jwks", None, [], True, 2)]


async def test_one_that_was_revoked_is_back_when_registered_again(
    owner_engine: AsyncEngine, client: Client
) -> None:
    await register(owner_engine, client, BY_URL)
    async with transaction(owner_engine) as db:
        await cds_clients.revoke(db, client[0])
    assert (await stored(owner_engine))[0][-2:] == (False, 2)
    await register(owner_engine, client, BY_URL)
    assert (await stored(owner_engine))[0][-2:] == (True, 3)


async def test_what_is_not_there_is_not_revoked(owner_engine: AsyncEngine, client: Client) -> None:
    with pytest.raises(NotFound):
        async with transaction(owner_engine) as db:
            await cds_clients.revoke(db, client[0])


async def test_an_issuer_is_one_client_s(
    owner_engine: AsyncEngine, superuser_engine: AsyncEngine, client: Client
) -> None:
    other = await make_client(superuser_engine, client[1], "another-ehr")
    await register(owner_engine, client, BY_URL)
    with pytest.raises(RegistrationRefused, match="another client"):
        await register(owner_engine, other, BY_VALUE)
    assert len(await stored(owner_engine)) == 1


async def test_seeding_renews_keys_and_leaves_what_an_operator_changed(
    owner_engine: AsyncEngine, superuser_engine: AsyncEngine, client: Client
) -> None:
    async def seed(registration: Registration) -> list[Any]:
        async with transaction(owner_engine) as db:
            await cds_clients.seed(db, *client, registration)
        return [row[-1] for row in await stored(owner_engine)]

    assert await seed(BY_VALUE) == [1]
    assert await seed(BY_VALUE) == [1]
    renewed = Registration(ISS, jwks={"keys": [ec_pair("new").jwk()]})
    assert await seed(renewed) == [2]
    async with transaction(owner_engine) as db:
        await cds_clients.revoke(db, client[0])
    await seed(BY_VALUE)
    assert (await stored(owner_engine))[0][4] is False
    elsewhere = Registration("https://other.example", jwks_url="https://other.example/jwks")
    await register(owner_engine, client, elsewhere)
    before = await stored(owner_engine)
    await seed(BY_VALUE)
    assert await stored(owner_engine) == before


async def test_seeding_yields_to_another_client_with_its_issuer(
    owner_engine: AsyncEngine, superuser_engine: AsyncEngine, client: Client
) -> None:
    other = await make_client(superuser_engine, client[1], "another-ehr")
    await register(owner_engine, other, BY_URL)
    before = await stored(owner_engine)
    async with transaction(owner_engine) as db:
        await cds_clients.seed(db, *client, BY_VALUE)
    assert await stored(owner_engine) == before


@pytest.mark.parametrize(
    "change",
    [
        "update cds_client set active = true",
        "delete from cds_client",
        "insert into cds_client (client_id, organization_id, iss, jwks_url) select id,"
        " organization_id, 'x', 'y' from client",
        "delete from cds_jwt",
        "update cds_jwt set aud = 'x'",
        "update cds_jwt set expires_at = now()",
    ],
)
async def test_the_application_registers_nobody_and_forgets_no_use(
    app_engine: AsyncEngine, client: Client, change: str
) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with transaction(app_engine) as db:
            await db.execute(text(change))


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ("'', 'u', null", "ck_cds_client_iss"),
        ("'a b', 'u', null", "ck_cds_client_iss"),
        ("repeat('x', 2049), 'u', null", "ck_cds_client_iss"),
        ("'é', 'u', null", "ck_cds_client_iss"),
        ("'x', null, null", "ck_cds_client_keys"),
        ("'x', 'u', '{\"keys\": []}'", "ck_cds_client_keys"),
        ("'x', null, '{}'", "ck_cds_client_jwks"),
        ("'x', null, '[]'", "ck_cds_client_jwks"),
        ("'x', null, '{\"keys\": {}}'", "ck_cds_client_jwks"),
    ],
)
async def test_the_database_holds_no_half_registration(
    superuser_engine: AsyncEngine, client: Client, columns: str, constraint: str
) -> None:
    insert = "insert into cds_client (client_id, organization_id, iss, jwks_url, jwks)"
    with pytest.raises(IntegrityError, match=constraint):
        async with superuser_engine.begin() as db:
            await db.execute(
                text(f"{insert} select cast(:c as uuid), cast(:o as uuid), {columns}"),
                {"c": client[0], "o": client[1]},
            )
