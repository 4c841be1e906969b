"""How long a token may live, and whose it may be: direct SQL as wiser_app.

Whoever takes the server over can put tokens down; in production none that outlives the hour, none
without a certificate but by the operator's word, and none of a person.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.database import become_app, insert_organization
from wiser_fhir.db import migrate
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import create_engine
from wiser_fhir.priorauth.numbers import time_ordered_uuid

CLIENT = """
insert into client (id, organization_id, name, scopes, unbound_until, unbound_because)
values (:client, :organization, 'x', '{}', :until, case when :until is not null then 'a test' end)
""".replace(":until", "cast(:until as timestamptz)")
PERSON = "insert into person (id, name, roles) values (:person, 'A Person', '{auditor}')"
TOKEN = """
insert into access_token (token_hash, client_id, organization_id, scopes, issued_at, expires_at,
    certificate)
values (decode(repeat('00', 32), 'hex'), :client, :organization, '{}', now() + :ahead,
    now() + :ahead + :life, :certificate)
"""
PERSON_TOKEN = """
insert into person_token (token_hash, person_id, issued_at, expires_at)
values (decode(repeat('00', 32), 'hex'), :person, now(), now() + interval '1 minute')
"""
BOUND = "A" * 43
FIVE_MINUTES = timedelta(minutes=5)
HOUR = timedelta(hours=1)
TOMORROW = datetime.now(UTC) + timedelta(days=1)
YESTERDAY = TOMORROW - timedelta(days=2)


async def a_client(db: AsyncConnection, until: datetime | None = None) -> dict[str, UUID]:
    """A client, in the transaction of the test. Of the operator's, so not written by wiser_app."""
    organization = await insert_organization(db, "An organization", "clearinghouse", "all", ())
    ids = {"organization": organization, "client": time_ordered_uuid()}
    await db.execute(text(CLIENT), {**ids, "until": until})
    return ids


async def put(
    db: AsyncConnection,
    ids: dict[str, UUID],
    life: timedelta,
    certificate: str | None = BOUND,
    ahead: timedelta = timedelta(),
) -> None:
    """Put a token of the client down, as the application."""
    await become_app(db, None)
    values: dict[str, Any] = {"life": life, "certificate": certificate, "ahead": ahead}
    await db.execute(text(TOKEN), {**ids, **values})


async def in_production(db: AsyncConnection) -> None:
    """The database of a production deployment, until the test is over."""
    await db.execute(text("update deployment set mode = 'production'"))


@pytest.mark.parametrize("life", [FIVE_MINUTES, HOUR])
async def test_in_production_a_token_lives_for_an_hour_at_most(
    db: AsyncConnection, life: timedelta
) -> None:
    await in_production(db)
    await put(db, await a_client(db), life)


@pytest.mark.parametrize(
    ("life", "ahead"),
    [
        (HOUR + timedelta(microseconds=1), timedelta()),
        (timedelta(days=36_500), timedelta()),
        (HOUR + timedelta(minutes=1), timedelta(minutes=-30)),
        (FIVE_MINUTES, timedelta(days=365)),
    ],
)
async def test_in_production_none_lives_longer_or_later(
    db: AsyncConnection, life: timedelta, ahead: timedelta
) -> None:
    await in_production(db)
    with pytest.raises(DBAPIError, match="lives for an hour"):
        await put(db, await a_client(db), life, ahead=ahead)


async def test_in_production_a_token_without_a_certificate_is_by_the_operator_s_word(
    db: AsyncConnection,
) -> None:
    await in_production(db)
    await put(db, await a_client(db, TOMORROW), FIVE_MINUTES, None)


@pytest.mark.parametrize("until", [None, YESTERDAY])
async def test_in_production_no_other_token_is_without_a_certificate(
    db: AsyncConnection, until: datetime | None
) -> None:
    await in_production(db)
    with pytest.raises(DBAPIError, match="bound to a certificate"):
        await put(db, await a_client(db, until), FIVE_MINUTES, None)


async def test_in_a_sandbox_a_token_lives_as_long_as_a_test_needs(db: AsyncConnection) -> None:
    await put(db, await a_client(db), timedelta(days=365), None)


@pytest.mark.parametrize("production", [True, False])
async def test_a_token_of_a_person_is_a_sandbox_s(db: AsyncConnection, production: bool) -> None:
    person = {"person": time_ordered_uuid()}
    await db.execute(text(PERSON), person)
    if not production:
        await become_app(db, None)
        await db.execute(text(PERSON_TOKEN), person)
        return
    await in_production(db)
    await become_app(db, None)
    with pytest.raises(DBAPIError, match="only a sandbox"):
        await db.execute(text(PERSON_TOKEN), person)


async def test_the_mode_is_not_the_application_s_to_change(db: AsyncConnection) -> None:
    await become_app(db, None)
    with pytest.raises(DBAPIError, match="permission denied"):
        await in_production(db)


async def test_what_could_be_put_down_before_the_rule_ends_with_it(empty_database: Urls) -> None:
    await migrate.upgrade(empty_database.owner, "production")
    await migrate.downgrade(empty_database.owner, "0017")
    engine = create_engine(empty_database.superuser, pool_size=1)
    async with engine.begin() as db:
        ids = {**await a_client(db), "person": time_ordered_uuid()}
        await db.execute(text(PERSON), ids)
        await db.execute(text(PERSON_TOKEN), ids)
        await put(db, ids, timedelta(days=36_500))
    await migrate.upgrade(empty_database.owner, "production")
    left = "select (select count(*) from access_token) + (select count(*) from person_token)"
    async with engine.connect() as db:
        assert await db.scalar(text(left)) == 0
    await engine.dispose()
