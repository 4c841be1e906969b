"""Beneficiaries found by another key: whose rows they are stays as it was."""

from uuid import UUID

import pytest
from sqlalchemy import Table, select, text, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import a_submission, an_mbi
from tests.database import MakeCase, MakeOrganization
from tests.filling import fill
from tests.vaults import INDEX, VAULT
from wiser_fhir.db.attachments import attachment_delivery
from wiser_fhir.db.base import prior_auth_case
from wiser_fhir.db.blind import BlindIndex, MemberIndex
from wiser_fhir.db.claims import claim
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.reindexing import reindex
from wiser_fhir.db.sealed import CLAIM, DELIVERY
from wiser_fhir.priorauth.models import Beneficiary
from wiser_fhir.priorauth.numbers import time_ordered_uuid

ANOTHER = BlindIndex(bytes(32))


async def indexes(engine: AsyncEngine, table: Table, column: str) -> list[MemberIndex | None]:
    async with engine.connect() as db:
        return list((await db.execute(select(table.c[column]))).scalars())


@pytest.fixture
async def number() -> str:
    return an_mbi()


@pytest.fixture
async def sender(
    make_organization: MakeOrganization,
    make_case: MakeCase,
    superuser_engine: AsyncEngine,
    number: str,
) -> UUID:
    """An organization with a decided case, a claim and a delivery about one beneficiary."""
    organization = await make_organization()
    person = Beneficiary(number, "Doe", None, None)
    await make_case(submission=a_submission(organization, beneficiary=person))
    key = await VAULT.key(superuser_engine, organization)
    for kind, column in ((CLAIM, "mbi"), (DELIVERY, "member")):
        row = kind.seal(key, {"id": time_ordered_uuid(), "sealed_member": number})
        row |= {column: INDEX.of(number), "organization_id": organization}
        await fill(superuser_engine, kind.table, **row)
    return organization


async def test_every_index_is_made_anew_once(
    sender: UUID, number: str, owner_engine: AsyncEngine, superuser_engine: AsyncEngine
) -> None:
    assert await reindex(owner_engine, sender, INDEX) == 0
    assert await reindex(owner_engine, sender, ANOTHER) == 3
    assert await reindex(owner_engine, sender, ANOTHER) == 0
    for table, column in (
        (prior_auth_case, "mbi"),
        (claim, "mbi"),
        (attachment_delivery, "member"),
    ):
        assert await indexes(superuser_engine, table, column) == [ANOTHER.of(number)]


async def test_who_told_no_number_has_no_index(
    make_organization: MakeOrganization,
    make_case: MakeCase,
    owner_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
) -> None:
    organization = await make_organization()
    nobody = Beneficiary(None, None, None, None)
    await make_case(submission=a_submission(organization, beneficiary=nobody))
    assert await reindex(owner_engine, organization, ANOTHER) == 0
    assert await indexes(superuser_engine, prior_auth_case, "mbi") == [None]


async def test_nothing_else_of_a_claim_is_changed_on_the_way(
    sender: UUID, owner_engine: AsyncEngine
) -> None:
    async with transaction(owner_engine, sender) as db:
        await db.execute(text("set local app.resealing = 'on'"))
        with pytest.raises(DBAPIError, match="changes nothing else"):
            await db.execute(update(claim).values(provider_npi="1234567893"))


async def test_a_number_is_stored_nowhere_as_it_is(
    sender: UUID, superuser_engine: AsyncEngine, number: str
) -> None:
    statements = (
        f"update prior_auth_case set mbi = '{number}'",  # noqa: S608
        f"update claim set mbi = '{number}'",  # noqa: S608
        f"update attachment_delivery set member = '{number}'",  # noqa: S608
        "update prior_auth_case set sealed_member = 'Doe, Jane'",
    )
    for statement in statements:
        async with superuser_engine.connect() as db:
            await db.execute(text("set local session_replication_role = replica"))
            with pytest.raises(DBAPIError, match="violates check constraint"):
                await db.execute(text(statement))
