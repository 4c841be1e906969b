"""Properties of the whole schema: keys, row-level security, grants, and that the mirror is true."""

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.db.tables import metadata

# Tables that could not move to a database distributed by organization, and why.
NOT_BY_ORGANIZATION = {
    "alembic_version": "one row about the schema",
    "deployment": "one row about the installation",
    "organization": "is the organization",
    "client": "looked up by its name before its organization is known",
    "access_token": "looked up by its hash before its organization is known",
    "cds_client": "looked up by its issuer before its organization is known",
    "cds_jwt": "counted before anything of the organization is touched",
    "client_key": "looked up by the client's name before its organization is known",
    "client_assertion": "used up before anything of the organization is touched",
    "external_client": "looked up by issuer and subject before its organization is known",
    "revoked_certificate": "of a certificate, whoever shows it",
    "udap_community": "looked up before the organization is known",
    "udap_registrant": "looked up by its URI before its organization is known",
    "udap_registration": "looked up by the client's name before its organization is known",
    "person": "reviews for all organizations",
    "person_session": "looked up by its hash, of somebody who reviews for all organizations",
    "sign_in_begun": "looked up by its hash, of somebody who is not known yet",
    "person_token": "looked up by its hash, of somebody who reviews for all organizations",
    "audit_event": "one sequence over all organizations; some events have none",
    "audit_seal": "one chain over all organizations",
    "exemption_assessment": "one row for a quarter, over all organizations",
    "exemption_tally": "of a provider, whoever sends for it",
    "exemption": "of a provider, whoever sends for it",
    "exemption_notice": "of a provider, whoever sends for it",
}
# Looked up to learn the organization, so not hidden by it.
VISIBLE_TO_ALL = set(NOT_BY_ORGANIZATION) - {"audit_event", "audit_seal"}

GRANTS = {
    "access_token": {"SELECT", "INSERT"},
    "alembic_version": {"SELECT"},
    "attachment": {"SELECT", "INSERT"},
    "attachment_delivery": {"SELECT", "INSERT"},
    "case_item": {"SELECT", "INSERT"},
    "card_feedback": {"SELECT", "INSERT"},
    "case_event": {"SELECT", "INSERT"},
    "case_party": {"SELECT", "INSERT"},
    "cds_client": {"SELECT"},
    "cds_jwt": {"SELECT", "INSERT"},
    "claim": {"SELECT", "INSERT"},
    "claim_line": {"SELECT", "INSERT"},
    "client": {"SELECT"},
    "client_assertion": {"SELECT", "INSERT"},
    "client_key": {"SELECT"},
    "coverage_assertion": {"SELECT", "INSERT"},
    "data_key": {"SELECT", "INSERT"},
    "deployment": {"SELECT"},
    "determination": {"SELECT", "INSERT"},
    "document": {"SELECT", "INSERT"},
    "document_check": {"SELECT", "INSERT"},
    "exemption": {"SELECT", "INSERT"},
    "exemption_assessment": {"SELECT", "INSERT"},
    "exemption_notice": {"SELECT", "INSERT"},
    "exemption_tally": {"SELECT", "INSERT"},
    "external_client": {"SELECT"},
    "hook_call": {"SELECT", "INSERT"},
    "hook_card": {"SELECT", "INSERT"},
    "information_request": {"SELECT", "INSERT"},
    "letter": {"SELECT", "INSERT"},
    "message": {"SELECT", "INSERT"},
    "organization": {"SELECT"},
    "peer_to_peer": {"SELECT", "INSERT"},
    "person": {"SELECT"},
    "person_session": {"SELECT", "INSERT"},
    "person_token": {"SELECT", "INSERT"},
    "prepayment_document": {"SELECT"},
    "prepayment_review": {"SELECT", "INSERT"},
    "prior_auth_case": {"SELECT", "INSERT"},
    "questionnaire_error": {"SELECT", "INSERT"},
    "revoked_certificate": {"SELECT"},
    "sign_in_begun": {"SELECT", "INSERT", "DELETE"},
    "submission": {"SELECT", "INSERT"},
    "subscription": {"SELECT", "INSERT"},
    "subscription_event": {"SELECT", "INSERT"},
    "udap_registration": {"SELECT"},
    "utn": {"SELECT", "INSERT"},
    "utn_use": {"SELECT"},
}
UPDATABLE = {
    "access_token": {"revoked_at"},
    "attachment": {
        *("state", "claimed_until", "checked_at", "scanner", "finding", "content", "resource"),
    },
    "attachment_delivery": {"case_id", "matched_at", "lapsed_at"},
    "case_item": {
        *("status", "revision", "note", "code_system", "code", "role", "service_date"),
        *("service_end", "quantity", "site_kind", "site_code"),
    },
    "cds_jwt": {"uses"},
    "exemption": {"last_day", "checked_on"},
    "information_request": {"state", "answered_at", "due_at"},
    "letter": {"state", "ended_at"},
    "peer_to_peer": {"clinician_id", "scheduled_at", "state", "outcome", "closed_at"},
    "person_session": {"seen_at", "ended_at"},
    "person_token": {"revoked_at"},
    "prepayment_review": {
        *("state", "due_at", "documents_at", "decide_by", "recommendation", "rationale"),
        *("reasons", "clinician_id", "ended_at", "reported_at"),
    },
    "prior_auth_case": {
        *("status", "revision", "decide_by", "expedited", "rules", "assessment"),
        *("dismissal_reason", "dismissal_detail", "decided_at", "valid_from", "valid_until"),
        *("answer_message_id", "assigned_to", "assigned_at", "escalation", "expedite_confirmed"),
        *("answer", "request_message_id", "trace_system", "trace_value", "service"),
        *("expedite_requested", "state", "line", "received_at", "with_form"),
    },
    "subscription": {
        *("status", "content", "sealed", "host", "base_url", "heartbeat", "ends_at", "warnings"),
        *("revision", "updated_at", "deleted_at", "last_number", "delivered_number", "attempts"),
        *("failing_since", "last_error", "last_sent_at", "due_at", "lease", "leased_until"),
    },
    "subscription_event": {"attempts", "last_error", "delivered_at"},
    "utn": {
        *("state", "ended_at", "utn", "assigned_at", "delivered_at", "resent_at", "attempts"),
        *("last_error", "tried_at"),
    },
}


async def rows(db: AsyncConnection, query: str) -> list[Any]:
    return list((await db.execute(text(query))).all())


async def test_the_mirror_says_what_the_migrations_made(owner_engine: AsyncEngine) -> None:
    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, metadata))

    async with owner_engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_keys_begin_with_the_organization(db: AsyncConnection) -> None:
    first_columns = await rows(
        db,
        """
        select c.conrelid::regclass::text, a.attname from pg_constraint c
        join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
        where c.contype = 'p' and c.connamespace = 'public'::regnamespace
        """,
    )
    assert {table for table, column in first_columns if column != "organization_id"} == set(
        NOT_BY_ORGANIZATION
    )
    assert {table for table, _ in first_columns} == {*metadata.tables, "alembic_version"}


async def test_row_level_security_binds_everybody(db: AsyncConnection) -> None:
    tables = await rows(
        db,
        """
        select relname, relrowsecurity and relforcerowsecurity from pg_class
        where relkind = 'r' and relnamespace = 'public'::regnamespace
        """,
    )
    assert {table for table, protected in tables if not protected} == VISIBLE_TO_ALL


async def test_the_application_may_do_this_and_no_more(db: AsyncConnection) -> None:
    granted: dict[str, set[str]] = {}
    for table, privilege in await rows(
        db,
        """
        select table_name, privilege_type from information_schema.role_table_grants
        where grantee in ('wiser_app', 'PUBLIC') and table_schema = 'public'
        """,
    ):
        granted.setdefault(table, set()).add(privilege)
    assert granted == GRANTS
    columns: dict[str, set[str]] = {}
    for table, column in await rows(
        db,
        """
        select table_name, column_name from information_schema.column_privileges
        where grantee in ('wiser_app', 'PUBLIC') and privilege_type = 'UPDATE'
            and table_schema = 'public'
        """,
    ):
        columns.setdefault(table, set()).add(column)
    assert columns == UPDATABLE


async def test_nobody_says_when_or_where_in_the_trail_a_row_stands(db: AsyncConnection) -> None:
    written = await rows(
        db,
        """
        select grantee, string_agg(column_name, ' ' order by column_name)
        from information_schema.column_privileges
        where table_name = 'audit_event' and privilege_type = 'INSERT'
            and grantee in ('wiser_app', 'wiser_gate', 'PUBLIC')
        group by grantee order by grantee
        """,
    )
    columns = set(metadata.tables["audit_event"].columns.keys()) - {"id", "at", "xact_id"}
    assert written == [(role, " ".join(sorted(columns))) for role in ("wiser_app", "wiser_gate")]


async def test_the_application_is_nobody_special(db: AsyncConnection) -> None:
    assert await rows(
        db,
        """
        select rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin
        from pg_roles where rolname like 'wiser%' order by 1
        """,
    ) == [
        ("wiser_app", False, False, False, False, True),
        ("wiser_gate", False, False, False, False, False),
        ("wiser_owner", False, False, False, False, True),
    ]
    owned = "select count(*) from pg_class where relowner = 'wiser_app'::regrole"
    assert await rows(db, owned) == [(0,)]
    creates = """
        select has_schema_privilege('wiser_app', 'public', 'create'),
            has_schema_privilege('wiser_app', 'gate', 'create'),
            has_schema_privilege('wiser_gate', 'gate', 'create'),
            has_database_privilege('wiser_app', current_database(), 'create')
    """
    assert await rows(db, creates) == [(False, False, False, False)]


async def test_what_runs_with_other_rights_is_the_gate_only(db: AsyncConnection) -> None:
    functions = await rows(
        db,
        """
        select p.oid::regproc::text, p.proowner::regrole::text, p.proconfig::text,
            has_function_privilege('wiser_app', p.oid, 'execute'),
            p.proacl::text like '{=%' or p.proacl::text like '%,=%'
        from pg_proc p where p.prosecdef and pronamespace::regnamespace::text in ('public', 'gate')
        order by 1
        """,
    )
    path = '{"search_path=pg_catalog, pg_temp"}'
    assert functions == [
        ("gate.audit_head", "wiser_gate", path, True, False),
        ("gate.audit_seal", "wiser_gate", path, True, False),
        ("gate.audit_trail", "wiser_gate", path, True, False),
        ("gate.audit_unsealed", "wiser_gate", path, True, False),
        ("gate.case_organization", "wiser_gate", path, True, False),
        ("gate.claim_authorizations", "wiser_gate", path, True, False),
        ("gate.claim_subscriptions", "wiser_gate", path, True, False),
        ("gate.determination_is_an_outsiders", "wiser_gate", path, False, False),
        ("gate.exemption_reviews", "wiser_gate", path, True, False),
        ("gate.exemption_tallies", "wiser_gate", path, True, False),
        ("gate.has_a_part", "wiser_gate", path, False, False),
        ("gate.inquire_by_others", "wiser_gate", path, True, False),
        ("gate.match_claim_documents", "wiser_gate", path, True, False),
        ("gate.open_twin", "wiser_gate", path, True, False),
        ("gate.prepayment_organization", "wiser_gate", path, True, False),
        ("gate.prepayment_queue", "wiser_gate", path, True, False),
        ("gate.review_queue", "wiser_gate", path, True, False),
        ("gate.standing_by_others", "wiser_gate", path, True, False),
        ("gate.udap_cancel", "wiser_gate", path, True, False),
        ("gate.udap_register", "wiser_gate", path, True, False),
        ("gate.use_units", "wiser_gate", path, True, False),
    ]


@pytest.mark.parametrize("table", sorted(metadata.tables))
async def test_constraints_follow_the_naming_convention(db: AsyncConnection, table: str) -> None:
    names = await rows(
        db,
        f"select conname, contype::text from pg_constraint where conrelid = '{table}'::regclass",  # noqa: S608
    )
    prefixes = {"p": "pk", "f": "fk", "u": "uq", "c": "ck"}
    for name, kind in names:
        if kind in prefixes:
            expected = f"{prefixes[kind]}_{table}"
            assert name == expected or name.startswith(f"{expected}_")


async def test_bodies_are_stored_as_they_are(db: AsyncConnection) -> None:
    storage = """
        select attstorage::text from pg_attribute
        where attrelid = 'message'::regclass and attname = 'body'
    """
    assert await rows(db, storage) == [("e",)]


@pytest.mark.parametrize("role", ["wiser_owner", "wiser_gate", "postgres"])
async def test_the_application_cannot_become_somebody_else(
    app_engine: AsyncEngine, role: str
) -> None:
    with pytest.raises(DBAPIError, match="permission denied to set role"):
        async with app_engine.begin() as connection:
            await connection.execute(text(f"set role {role}"))


async def test_nothing_can_be_put_in_front_of_our_tables(app_engine: AsyncEngine) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with app_engine.begin() as connection:
            await connection.execute(text("create temporary table clinician (id uuid)"))
