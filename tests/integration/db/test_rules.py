"""What the database itself refuses, whatever the code above it does: direct SQL as wiser_app."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.cases import a_submission, an_item
from tests.database import MakeCase, MakeOrganization
from tests.vaults import A_SEALED
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.models import CaseStatus, PriorAuthorization
from wiser_fhir.priorauth.numbers import time_ordered_uuid

MakeClinician = Callable[..., Awaitable[UUID]]

DETERMINE = """
insert into determination (organization_id, case_id, sequence, revision, outcome, decided_at,
    decided_by, clinician_id, rationale, resubmission_steps, input_sha256, signed_in_at, mac)
values (:organization_id, :case_id, :sequence, 1, :outcome, :decided_at, :decided_by, :clinician_id,
    :rationale, :steps, decode(repeat('00', 32), 'hex'), :decided_at,
    decode(repeat('00', 32), 'hex'))
"""
DECIDE_ITEM = "update case_item set status = :outcome where case_id = :case_id and sequence = 1"
DECIDE_CASE = """
update prior_auth_case set status = :outcome, decided_at = :decided_at, valid_from = :valid_from,
    valid_until = :valid_from + cast(:days as int) where id = :case_id
"""
ASSIGN = """
insert into utn (utn, organization_id, case_id, revision, source, state, requested_at, assigned_at,
    valid_from, valid_until)
values (:utn, :organization_id, :case_id, :revision, 'local', 'assigned', :decided_at, :decided_at,
    :valid_from, :valid_from + cast(:days as int))
"""


@pytest.fixture
def make_clinician(superuser_engine: AsyncEngine, clean_database: None) -> MakeClinician:
    async def make(active: bool = True, expires: str = "2099-12-31") -> UUID:
        clinician_id = time_ordered_uuid()
        insert = text(
            "insert into person (id, name, licence_number, licence_state, licence_expires,"
            " active) values (:id, 'Dr. ' || :number, :number, 'NJ',"
            " cast(cast(:expires as text) as date),"
            " :active)"
        )
        async with superuser_engine.begin() as connection:
            await connection.execute(
                insert,
                {
                    "id": clinician_id,
                    "number": clinician_id.hex,
                    "expires": expires,
                    "active": active,
                },
            )
        return clinician_id

    return make


@pytest.fixture
async def pended(make_case: MakeCase, make_organization: MakeOrganization) -> PriorAuthorization:
    """A case in review with one item."""
    submission = a_submission(await make_organization(), items=(an_item(1, "62321"),))
    return await make_case(CaseStatus.IN_REVIEW, submission=submission)


def facts(case: PriorAuthorization, **changes: Any) -> dict[str, Any]:
    return {
        "organization_id": case.organization_id,
        "case_id": case.id,
        "sequence": 1,
        "outcome": "non-affirmed",
        "decided_at": case.received_at,
        "decided_by": "clinician",
        "clinician_id": None,
        "rationale": A_SEALED,
        "steps": A_SEALED,
        "valid_from": None,
        "days": 119,
        "revision": 1,
        "utn": "ZZB00000000001",
        **changes,
    }


async def run(engine: AsyncEngine, case: PriorAuthorization, *steps: str, **changes: Any) -> None:
    """Run statements as the application, in one transaction of the case's organization."""
    values = facts(case, **changes)
    async with transaction(engine, case.organization_id) as connection:
        for step in steps:
            statement = text(step.replace(":valid_from", "cast(:valid_from as date)"))
            used = {k: v for k, v in values.items() if k in statement.compile().params}
            await connection.execute(statement, used)


@asynccontextmanager
async def refused(by: str) -> AsyncIterator[None]:
    """The database refuses, naming this constraint (or saying this)."""
    with pytest.raises(DBAPIError) as error:
        yield
    cause = error.value.orig.__cause__ if error.value.orig else None
    assert by in (getattr(cause, "constraint_name", None), str(cause))


async def test_a_clinician_non_affirms_and_the_case_closes(
    app_engine: AsyncEngine, pended: PriorAuthorization, make_clinician: MakeClinician
) -> None:
    clinician = await make_clinician()
    steps = (DETERMINE, DECIDE_ITEM, DECIDE_CASE, ASSIGN)
    await run(app_engine, pended, *steps, clinician_id=clinician)


async def test_a_clinician_affirms_with_120_days(
    app_engine: AsyncEngine, pended: PriorAuthorization, make_clinician: MakeClinician
) -> None:
    await run(
        app_engine,
        pended,
        *(DETERMINE, DECIDE_ITEM, DECIDE_CASE, ASSIGN),
        outcome="affirmed",
        clinician_id=await make_clinician(),
        valid_from=pended.received_at.date(),
    )


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"decided_by": "software"}, "ck_determination_software_only_affirms"),
        ({"decided_by": "clinician"}, "determination_live_licence"),
        ({"decided_by": "robot"}, "ck_determination_decided_by"),
        ({"decided_by": "software", "outcome": "maybe"}, "ck_determination_outcome"),
    ],
)
async def test_software_cannot_non_affirm_and_nobody_decides_namelessly(
    app_engine: AsyncEngine, pended: PriorAuthorization, changes: dict[str, Any], constraint: str
) -> None:
    async with refused(constraint):
        await run(app_engine, pended, DETERMINE, **changes)


@pytest.mark.parametrize(
    "licence", [{"active": False}, {"expires": "2026-04-06"}, {"expires": "2026-04-07"}]
)
async def test_a_licence_must_be_live_on_the_day_and_now(
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    make_clinician: MakeClinician,
    licence: dict[str, Any],
) -> None:
    async with refused("determination_live_licence"):
        await run(app_engine, pended, DETERMINE, clinician_id=await make_clinician(**licence))


async def test_an_unknown_clinician_is_nobody(
    app_engine: AsyncEngine, pended: PriorAuthorization
) -> None:
    async with refused("determination_live_licence"):
        await run(app_engine, pended, DETERMINE, clinician_id=time_ordered_uuid())


@pytest.mark.parametrize(
    ("missing", "constraint"),
    [
        ({"rationale": None}, "ck_determination_reasons"),
        ({"rationale": b"Not documented."}, "ck_determination_rationale_sealed"),
        ({"steps": None}, "ck_determination_reasons"),
        ({"steps": b""}, "ck_determination_resubmission_steps_sealed"),
    ],
)
async def test_a_non_affirmation_says_why_and_what_to_do(
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    make_clinician: MakeClinician,
    missing: dict[str, Any],
    constraint: str,
) -> None:
    async with refused(constraint):
        clinician = await make_clinician()
        await run(app_engine, pended, DETERMINE, clinician_id=clinician, **missing)


@pytest.mark.parametrize("outcome", ["affirmed", "non-affirmed"])
async def test_an_item_is_decided_by_a_determination_only(
    app_engine: AsyncEngine, pended: PriorAuthorization, outcome: str
) -> None:
    async with refused("fk_case_item_determination"):
        await run(app_engine, pended, DECIDE_ITEM, outcome=outcome)


async def test_an_item_says_what_its_determination_says(
    app_engine: AsyncEngine, pended: PriorAuthorization, make_clinician: MakeClinician
) -> None:
    clinician = await make_clinician()
    other = DECIDE_ITEM.replace(":outcome", "'affirmed'")
    async with refused("fk_case_item_determination"):
        await run(app_engine, pended, DETERMINE, other, clinician_id=clinician)


async def test_a_determination_belongs_to_an_item_that_was_requested(
    app_engine: AsyncEngine, pended: PriorAuthorization, make_clinician: MakeClinician
) -> None:
    async with refused("fk_determination_case_item"):
        clinician = await make_clinician()
        await run(app_engine, pended, DETERMINE, clinician_id=clinician, sequence=2)


async def test_an_item_is_determined_once(
    app_engine: AsyncEngine, pended: PriorAuthorization, make_clinician: MakeClinician
) -> None:
    clinician = await make_clinician()
    async with refused("pk_determination"):
        await run(app_engine, pended, DETERMINE, DETERMINE, clinician_id=clinician)


@pytest.mark.parametrize(
    ("steps", "refusal"),
    [
        ((DETERMINE, DECIDE_ITEM), "case_agrees_with_its_items"),
        ((DETERMINE, DECIDE_CASE), "determination_of_a_decided_line"),
        ((DECIDE_CASE,), "case_agrees_with_its_items"),
    ],
)
async def test_a_case_says_what_its_items_say(
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    make_clinician: MakeClinician,
    steps: tuple[str, ...],
    refusal: str,
) -> None:
    async with refused(refusal):
        await run(app_engine, pended, *steps, clinician_id=await make_clinician())


async def test_a_case_is_decided_when_its_last_item_is(
    app_engine: AsyncEngine, pended: PriorAuthorization, make_clinician: MakeClinician
) -> None:
    later = DECIDE_CASE.replace(
        ":decided_at", "cast(:decided_at as timestamptz) + interval '1 hour'"
    )
    async with refused("case_agrees_with_its_items"):
        clinician = await make_clinician()
        await run(app_engine, pended, DETERMINE, DECIDE_ITEM, later, clinician_id=clinician)


@pytest.mark.parametrize(
    "changes",
    [
        {"days": 120},
        {"days": 118},
        {"first": "2026-04-08"},
        {"first": "2026-04-06"},
        {"first": None},
    ],
)
async def test_an_affirmation_is_valid_from_its_day_for_120_days(
    app_engine: AsyncEngine,
    pended: PriorAuthorization,
    make_clinician: MakeClinician,
    changes: dict[str, Any],
) -> None:
    step = DECIDE_CASE.replace(":valid_from", f"date '{changes.get('first', '2026-04-07')}'")
    if changes.get("first", "") is None:
        step = DECIDE_CASE.replace(":valid_from + cast(:days as int)", "null")
        step = step.replace(":valid_from", "null")
    async with refused("ck_prior_auth_case_validity"):
        await run(
            app_engine,
            pended,
            *(DETERMINE, DECIDE_ITEM, step),
            outcome="affirmed",
            clinician_id=await make_clinician(),
            days=changes.get("days", 119),
        )


async def test_the_day_of_a_decision_is_the_eastern_one(
    app_engine: AsyncEngine, pended: PriorAuthorization, make_clinician: MakeClinician
) -> None:
    late_evening = pended.received_at.replace(month=4, day=9, hour=2)  # 10 p.m. of the 8th
    values = {
        "outcome": "affirmed",
        "clinician_id": await make_clinician(),
        "decided_at": late_evening,
    }
    steps = (DETERMINE, DECIDE_ITEM, DECIDE_CASE, ASSIGN)
    async with refused("ck_prior_auth_case_validity"):
        await run(app_engine, pended, *steps, **values, valid_from=late_evening.date())
    eastern = late_evening.date().replace(day=8)
    await run(app_engine, pended, *steps, **values, valid_from=eastern)


async def test_a_non_affirmation_has_no_days(
    app_engine: AsyncEngine, pended: PriorAuthorization, make_clinician: MakeClinician
) -> None:
    async with refused("ck_prior_auth_case_validity"):
        await run(
            app_engine,
            pended,
            *(DETERMINE, DECIDE_ITEM, DECIDE_CASE),
            clinician_id=await make_clinician(),
            valid_from=pended.received_at.date(),
        )


UTN = "update utn set {} where case_id = :case_id"


@pytest.mark.parametrize(
    ("number", "constraint"),
    [
        ("ZZC00000000001", "ck_utn_format"),
        ("zzB00000000001", "ck_utn_format"),
        ("ZZB0000000001", "ck_utn_format"),
        ("ZZB00000000001\n", "ck_utn_format"),
        ("ZZB0000000000A", "ck_utn_format"),
    ],
)
async def test_a_utn_has_its_format(
    app_engine: AsyncEngine, pended: PriorAuthorization, number: str, constraint: str
) -> None:
    async with refused(constraint):
        await run(app_engine, pended, ASSIGN, utn=number)


async def test_an_undecided_case_gets_no_utn(
    app_engine: AsyncEngine, pended: PriorAuthorization
) -> None:
    async with refused("utn_agrees_with_its_case"):
        await run(app_engine, pended, ASSIGN)


async def test_a_utn_carries_the_days_of_its_case(
    app_engine: AsyncEngine, pended: PriorAuthorization, make_clinician: MakeClinician
) -> None:
    values = {
        "outcome": "affirmed",
        "clinician_id": await make_clinician(),
        "valid_from": pended.received_at.date(),
    }
    shifted = ASSIGN.replace(":valid_from", ":valid_from + 1")
    async with refused("utn_agrees_with_its_case"):
        await run(app_engine, pended, DETERMINE, DECIDE_ITEM, DECIDE_CASE, shifted, **values)


async def test_a_case_has_one_live_utn_and_a_number_is_given_once(
    app_engine: AsyncEngine, make_case: MakeCase
) -> None:
    case = await make_case(CaseStatus.AFFIRMED)
    other = await make_case(CaseStatus.AFFIRMED)
    days = {"valid_from": case.valid_from}
    async with refused("uq_utn_live"):
        await run(app_engine, case, ASSIGN, **days, revision=2)
    async with refused("pk_utn"):
        await run(app_engine, case, ASSIGN, **days)
    supersede = UTN.format("state = 'superseded', ended_at = now()")
    async with refused("uq_utn_utn"):
        await run(app_engine, case, supersede, ASSIGN, **days, utn=other.utn, revision=2)


async def test_an_ended_utn_stays_ended(app_engine: AsyncEngine, make_case: MakeCase) -> None:
    case = await make_case(CaseStatus.AFFIRMED)
    over = UTN.format("state = 'expired', ended_at = valid_until + interval '2 days'")
    await run(app_engine, case, over)
    async with refused("utn_given_once"):
        await run(app_engine, case, UTN.format("state = 'assigned', ended_at = null"))


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ("utn = 'ZZB99999999999'", "utn_given_once"),
        ("assigned_at = assigned_at - interval '1 day'", "utn_given_once"),
        ("state = 'pending', utn = null, assigned_at = null", "utn_given_once"),
        ("valid_until = valid_until + 1", "permission denied for table utn"),
        ("revision = 2", "permission denied for table utn"),
    ],
)
async def test_the_application_may_end_a_utn_and_not_change_it(
    app_engine: AsyncEngine, make_case: MakeCase, change: str, refusal: str
) -> None:
    case = await make_case(CaseStatus.AFFIRMED)
    async with refused(refusal):
        await run(app_engine, case, UTN.format(change))


@pytest.mark.parametrize(
    "table",
    [
        *("determination", "message", "audit_event", "questionnaire_error", "case_event"),
        "document_check",
    ],
)
@pytest.mark.parametrize("verb", ["update {} set organization_id = null", "delete from {}"])
async def test_what_is_append_only_the_application_cannot_change(
    app_engine: AsyncEngine, make_case: MakeCase, table: str, verb: str
) -> None:
    case = await make_case(CaseStatus.AFFIRMED)
    for statement in (verb.format(table), f"truncate {table} cascade"):
        async with refused(f"permission denied for table {table}"):
            await run(app_engine, case, statement)


@pytest.mark.parametrize(
    "table",
    [
        *("determination", "message", "audit_event", "questionnaire_error", "case_event"),
        "document_check",
    ],
)
@pytest.mark.parametrize(
    "verb",
    ["update {} set organization_id = null", "delete from {}", "truncate {} cascade"],
)
async def test_nor_can_its_owner(
    owner_engine: AsyncEngine, make_case: MakeCase, table: str, verb: str
) -> None:
    case = await make_case(CaseStatus.AFFIRMED)
    async with refused(f"{table} rows are never changed, deleted or truncated"):
        await run(owner_engine, case, verb.format(table))


@pytest.mark.parametrize("verb", ["delete from utn", "truncate utn"])
async def test_no_utn_is_ever_forgotten(
    owner_engine: AsyncEngine, make_case: MakeCase, verb: str
) -> None:
    async with refused("utn rows are never changed, deleted or truncated"):
        await run(owner_engine, await make_case(CaseStatus.AFFIRMED), verb)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("status = 'in-review', decide_by = null", "ck_prior_auth_case_in_review"),
        ("status = 'dismissed'", "case_moves_forward"),
        ("dismissal_reason = 'exempt-provider'", "ck_prior_auth_case_dismissal"),
        ("status = 'affirmed'", "ck_prior_auth_case_decided"),
        ("status = 'denied'", "ck_prior_auth_case_status"),
        ("status = 'cancelled'", "case_moves_forward"),
        ("status = 'cancelled', revision = 2", "case_agrees_with_its_items"),
        ("revision = 3", "case_moves_forward"),
    ],
)
async def test_a_case_keeps_to_its_states(
    app_engine: AsyncEngine, pended: PriorAuthorization, change: str, constraint: str
) -> None:
    async with refused(constraint):
        step = f"update prior_auth_case set {change} where id = :case_id"  # noqa: S608
        await run(app_engine, pended, step)


@pytest.mark.parametrize(
    ("column", "value", "constraint"),
    [
        ("detail", '{"note": "Jane Doe called"}', "ck_audit_event_detail"),
        ("detail", '{"deep": [{"note": "a b"}]}', "ck_audit_event_detail"),
        ("detail", '["a"]', "ck_audit_event_detail"),
        ("action", "Claim submit", "ck_audit_event_words"),
        ("outcome", "it was refused", "ck_audit_event_words"),
    ],
)
async def test_an_audit_row_holds_words_of_ours_only(
    app_engine: AsyncEngine, pended: PriorAuthorization, column: str, value: str, constraint: str
) -> None:
    row = {"action": "'a'", "outcome": "'b'", "detail": "'{}'", column: f"'{value}'"}
    words = f"{row['action']}, {row['outcome']}, {row['detail']}"
    insert = (
        "insert into audit_event (request_id, action, outcome, detail)"  # noqa: S608
        f" values (gen_random_uuid(), {words})"
    )
    async with refused(constraint):
        await run(app_engine, pended, insert.replace(":", "\\:"))


async def test_a_client_s_token_names_the_client_s_organization(
    db: AsyncConnection, make_organization: MakeOrganization
) -> None:
    mine, other, client = await make_organization(), await make_organization(), time_ordered_uuid()
    await db.execute(
        text("insert into client (id, organization_id, name, scopes) values (:c, :o, 'x', '{}')"),
        {"c": client, "o": mine},
    )
    issue = text(
        "insert into access_token (token_hash, client_id, organization_id, scopes, issued_at,"
        " expires_at) values (decode(repeat('00', 32), 'hex'), :c, :o, '{}', now(),"
        " now() + interval '1 minute')"
    )
    with pytest.raises(IntegrityError, match="fk_access_token_client"):
        await db.execute(issue, {"c": client, "o": other})
