"""A row of another organization can be neither seen nor written: direct SQL as wiser_app."""

import json
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.database import MakeCase, MakeOrganization, become_app
from tests.filling import fill, is_empty
from tests.ledger_values import (
    CALLED,
    SERVICE_ID,
    a_call,
    a_card,
    a_feedback,
    an_assertion,
    an_audit,
    insert_client,
)
from wiser_fhir.auth.principal import Principal
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.tables import OF_ORGANIZATIONS, metadata
from wiser_fhir.dtr.error_log import ErrorLog
from wiser_fhir.dtr.error_report import ReportedIssue
from wiser_fhir.priorauth.ledger import Ledger
from wiser_fhir.priorauth.models import CaseStatus

OWN = sorted(OF_ORGANIZATIONS)

# What is of no organization, or is asked before it is known whose it is, and what the application
# may do there: read, insert, update a column, delete.
SHARED = {
    "access_token": "riu",
    "audit_event": "i",
    "audit_seal": "",
    "cds_client": "r",
    "cds_jwt": "riu",
    "client": "r",
    "client_assertion": "ri",
    "client_key": "r",
    "deployment": "r",
    "exemption": "riu",
    "exemption_assessment": "ri",
    "exemption_notice": "ri",
    "exemption_tally": "ri",
    "external_client": "r",
    "organization": "r",
    "person": "r",
    "person_session": "riu",
    "person_token": "riu",
    "revoked_certificate": "r",
    "sign_in_begun": "rid",
    "udap_community": "",
    "udap_registrant": "",
    "udap_registration": "r",
}

# Refused before the policy is asked: by a rule that sees nothing of the other's, or because the
# application may write no such row for anybody.
REFUSED_BEFORE = {
    "peer_to_peer": "a conversation is about a resubmission",
    "subscription_event": "an event belongs to a subscription",
    "prepayment_document": "permission denied for table",
    "utn_use": "permission denied for table",
}


# What the database says by itself, whoever writes: when it was recorded, and by which transaction.
_GIVEN = {("audit_event", "at"), ("audit_event", "xact_id")}
_MAY = text("""
select has_any_column_privilege('wiser_app', :table, 'select'),
    has_any_column_privilege('wiser_app', :table, 'insert'),
    has_any_column_privilege('wiser_app', :table, 'update'),
    has_table_privilege('wiser_app', :table, 'delete')
""")
_CHANGEABLE = text("""
select attname from pg_attribute where attrelid = cast(:table as regclass) and attnum > 0
    and not attisdropped and has_column_privilege('wiser_app', attrelid, attnum, 'update')
""")


async def count(connection: AsyncConnection, table: str) -> int:
    found = await connection.scalar(text(f"select count(*) from {table}"))  # noqa: S608
    assert isinstance(found, int)
    return found


@pytest.fixture
async def theirs(
    make_case: MakeCase, app_engine: AsyncEngine, superuser_engine: AsyncEngine
) -> UUID:
    """Another organization that has a row in every table."""
    organization_id = (await make_case(CaseStatus.AFFIRMED)).organization_id
    client_id = await insert_client(superuser_engine, organization_id)
    ledger, audit, card = Ledger(app_engine), an_audit(organization_id), a_card()
    await ledger.record(organization_id, a_call(client_id), [an_assertion()], [card], audit)
    await ledger.feedback(organization_id, SERVICE_ID, b"{}", [a_feedback(card)], audit)
    reporter = Principal(client_id, "reporter", organization_id, {}, None)
    issue = ReportedIssue("skin-substitutes", None, "error", "value", (), (), ())
    await ErrorLog(app_engine).keep(reporter, "2.2", [issue], CALLED, audit)
    for table in OWN:
        if await is_empty(superuser_engine, metadata.tables[table]):
            await fill(superuser_engine, table, organization_id=organization_id)
    return organization_id


@pytest.mark.parametrize("table", OWN)
@pytest.mark.parametrize("role", ["wiser_app", "wiser_owner"])
async def test_rows_are_seen_by_their_organization_only(
    db: AsyncConnection,
    theirs: UUID,
    make_organization: MakeOrganization,
    table: str,
    role: str,
) -> None:
    assert await count(db, table) > 0
    await db.execute(text(f"set local role {role}"))
    seen = {}
    for who in (str(theirs), str(await make_organization()), ""):
        await db.execute(text(f"set local app.organization = '{who}'"))
        seen[who] = await count(db, table)
    assert seen.pop(str(theirs)) > 0
    assert set(seen.values()) == {0}


async def test_a_connection_that_names_nobody_sees_nothing(
    app_engine: AsyncEngine, theirs: UUID
) -> None:
    async with transaction(app_engine, theirs) as connection:
        assert await count(connection, "prior_auth_case") == 1
    async with transaction(app_engine) as connection:
        assert await count(connection, "prior_auth_case") == 0


@pytest.mark.parametrize("table", [*OWN, "audit_event"])
async def test_rows_are_written_for_one_s_own_organization_only(
    db: AsyncConnection, theirs: UUID, make_organization: MakeOrganization, table: str
) -> None:
    row = await db.scalar(
        text(f"select to_jsonb(t) from {table} t where organization_id = :o limit 1"),  # noqa: S608
        {"o": theirs},
    )
    assert row is not None
    names = [
        column.name
        for column in metadata.tables[table].c
        if column.computed is None
        and column.identity is None
        and (table, column.name) not in _GIVEN
    ]
    columns = ", ".join(names)
    forged = text(
        f"insert into {table} ({columns}) select {columns}"  # noqa: S608
        f" from jsonb_populate_record(null::{table}, cast(:row as jsonb))"
    )
    await become_app(db, await make_organization())
    refusal = REFUSED_BEFORE.get(table, "violates row-level security policy")
    with pytest.raises(DBAPIError, match=refusal):
        await db.execute(forged.bindparams(row=json.dumps(row)))


@pytest.mark.parametrize("table", OWN)
async def test_nobody_changes_what_is_another_s(
    db: AsyncConnection, theirs: UUID, make_organization: MakeOrganization, table: str
) -> None:
    columns = await db.scalars(_CHANGEABLE, {"table": table})
    changes = [f"update {table} set {column} = {column}" for column in columns]  # noqa: S608
    for organization_id in (await make_organization(), None):
        await become_app(db, organization_id)
        for change in changes:
            assert (await db.execute(text(change))).rowcount == 0
        await db.execute(text("reset role"))


@pytest.mark.parametrize("table", OWN)
async def test_nobody_deletes_anything(
    db: AsyncConnection, make_organization: MakeOrganization, table: str
) -> None:
    await become_app(db, await make_organization())
    with pytest.raises(DBAPIError, match="permission denied"):
        await db.execute(text(f"delete from {table}"))  # noqa: S608


def test_every_table_is_of_organizations_or_is_shared_by_intent() -> None:
    assert set(OWN) | set(SHARED) == set(metadata.tables)
    assert set(OWN) & set(SHARED) == set()


@pytest.mark.parametrize("table", OWN)
async def test_the_policy_binds_the_owner_too(db: AsyncConnection, table: str) -> None:
    query = text("select relrowsecurity and relforcerowsecurity from pg_class where oid = :t")
    found = await db.scalar(text("select cast(:t as regclass)::oid"), {"t": table})
    assert await db.scalar(query, {"t": found}) is True


@pytest.mark.parametrize(("table", "allowed"), SHARED.items())
async def test_of_what_is_shared_the_application_may_do_what_it_needs(
    db: AsyncConnection, table: str, allowed: str
) -> None:
    may = (await db.execute(_MAY, {"table": table})).one()
    assert "".join(letter for letter, each in zip("riud", may, strict=True) if each) == allowed


async def test_an_audit_row_may_name_no_organization(db: AsyncConnection) -> None:
    await become_app(db, None)
    await db.execute(
        text(
            "insert into audit_event (request_id, action, outcome)"
            " values (gen_random_uuid(), 'token', 'refused')"
        )
    )


async def test_the_application_cannot_read_the_audit(app_engine: AsyncEngine) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with transaction(app_engine) as connection:
            await count(connection, "audit_event")
