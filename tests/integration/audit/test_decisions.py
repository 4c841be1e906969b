"""Determinations that are not as they were made, or are gone, are named, whoever did it."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import a_submission, an_item
from tests.clocks import StillClock
from tests.database import MakeCase, MakeOrganization, empty_tables
from tests.reviewing import (
    NOW,
    SERVICE,
    a_desk,
    affirm,
    by,
    determination,
    insert_person,
    non_affirm,
    sent_again,
)
from wiser_fhir.audit import decisions
from wiser_fhir.audit.decision_mac import decision_key
from wiser_fhir.audit.decisions import all_changed
from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.models import CaseStatus, PriorAuthorization
from wiser_fhir.priorauth.review import ReviewService
from wiser_fhir.sandbox import tenant

AUDIT_KEY = b"a key of thirty-two bytes, all ours"
SOFTWARE_KEY = bytes(32)  # of `make_case`
KEYS = [decision_key(AUDIT_KEY)]


async def determine(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    case: PriorAuthorization,
    revision: int = 1,
) -> None:
    """A clinician affirms the first of two lines."""
    async with superuser_engine.begin() as db:
        clinician = await insert_person(db)
    desk = a_desk(app_engine, StillClock(NOW))
    said = determination(affirm(1), non_affirm(2))
    await ReviewService(desk).determine(by(clinician), case.id, revision, said)


@pytest.fixture
async def in_review(make_case: MakeCase, make_organization: MakeOrganization) -> PriorAuthorization:
    """A case of two lines."""
    items = (an_item(1, "62321"), an_item(2, "64483"))
    asked = a_submission(await make_organization(), items=items)
    return await make_case(CaseStatus.IN_REVIEW, submission=asked, **SERVICE)


@pytest.fixture
async def decided(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, in_review: PriorAuthorization
) -> PriorAuthorization:
    """A case of two lines, of which a clinician affirms one."""
    await determine(app_engine, superuser_engine, in_review)
    return in_review


async def tamper(engine: AsyncEngine, statement: str) -> None:
    """What somebody does who is above every trigger."""
    async with engine.begin() as db:
        await db.execute(text("set local session_replication_role = replica"))
        await db.execute(text(statement))


async def test_what_was_decided_stands(
    owner_engine: AsyncEngine, decided: PriorAuthorization
) -> None:
    assert await all_changed(owner_engine, KEYS) == []


async def test_a_key_of_before_still_vouches(
    owner_engine: AsyncEngine, decided: PriorAuthorization
) -> None:
    later = decision_key(b"the audit key that came after it")
    assert await all_changed(owner_engine, [later, *KEYS]) == []
    assert len(await all_changed(owner_engine, [later])) == 2


@pytest.mark.parametrize(
    "change",
    [
        "update determination set outcome = 'affirmed' where sequence = 2",
        "update determination set clinician_id = gen_random_uuid() where sequence = 2",
        "update determination set decided_at = decided_at + interval '1 us' where sequence = 2",
        "update determination set signed_in_at = decided_at - interval '1 s' where sequence = 2",
        "update determination set input_sha256 = sha256('x') where sequence = 2",
        "update determination set reasons = '{}' where sequence = 2",
        "update determination set mac = (select mac from determination where sequence = 1)"
        " where sequence = 2",
    ],
)
async def test_what_was_changed_is_named(
    owner_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    decided: PriorAuthorization,
    change: str,
) -> None:
    await tamper(superuser_engine, change)
    assert await all_changed(owner_engine, KEYS) == [f"{decided.id} 2 1"]


@pytest.fixture
async def unbound(superuser_engine: AsyncEngine, clean_database: None) -> AsyncIterator[None]:
    """A database whose administrator has taken away that a determination has a MAC."""
    async with superuser_engine.begin() as db:
        await db.execute(text("alter table determination alter mac drop not null"))
    yield
    await empty_tables(superuser_engine)
    async with superuser_engine.begin() as db:
        await db.execute(text("alter table determination alter mac set not null"))


@pytest.mark.parametrize(("which", "lines"), [("sequence = 1", [1]), ("true", [1, 2])])
async def test_one_without_a_mac_is_named_however_old_it_says_it_is(
    owner_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    unbound: None,
    decided: PriorAuthorization,
    which: str,
    lines: list[int],
) -> None:
    older = "update determination set mac = null, decided_at = decided_at - interval '1 minute'"
    await tamper(superuser_engine, f"{older} where {which}")
    assert await all_changed(owner_engine, KEYS) == [f"{decided.id} {line} 1" for line in lines]


async def test_the_application_puts_none_down_without_a_mac(
    app_engine: AsyncEngine, decided: PriorAuthorization
) -> None:
    backdated = text(
        "insert into determination (organization_id, case_id, sequence, revision, outcome,"
        " decided_at, decided_by, clinician_id, input_sha256, signed_in_at)"
        " select organization_id, case_id, sequence, 2, outcome, decided_at - interval '1 minute',"
        " decided_by, clinician_id, input_sha256, signed_in_at"
        " from determination where case_id = :case and sequence = 1"
    )
    with pytest.raises(DBAPIError, match='null value in column "mac"'):
        async with transaction(app_engine, decided.organization_id) as db:
            await db.execute(backdated, {"case": decided.id})


@pytest.mark.parametrize(("which", "left"), [("sequence = 2", 1), ("true", 0)])
async def test_what_is_gone_is_told_of(
    owner_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    decided: PriorAuthorization,
    make_case: MakeCase,
    which: str,
    left: int,
) -> None:
    await make_case(CaseStatus.IN_REVIEW)
    await tamper(
        superuser_engine,
        f"delete from determination where {which}",  # noqa: S608
    )
    assert await all_changed(owner_engine, KEYS) == [f"case {decided.id}: {left} decisions of 2"]


async def test_an_older_decision_does_not_come_back_unseen(
    app_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    make_case: MakeCase,
    make_organization: MakeOrganization,
) -> None:
    items = (an_item(1, "62321"), an_item(2, "64483"))
    asked = a_submission(await make_organization(), items=items)
    case = await make_case(submission=asked, **SERVICE)
    untouched = await make_case(organization_id=case.organization_id)
    await sent_again(app_engine, case)
    await determine(app_engine, superuser_engine, case, revision=2)
    keys = [*KEYS, SOFTWARE_KEY]
    assert await all_changed(owner_engine, keys) == []
    await tamper(superuser_engine, "delete from determination where revision = 2")
    assert untouched.id != case.id
    assert await all_changed(owner_engine, keys) == [f"case {case.id}: 2 decisions of 4"]


async def test_one_too_many_is_told_of(
    owner_engine: AsyncEngine, superuser_engine: AsyncEngine, decided: PriorAuthorization
) -> None:
    columns = "organization_id, case_id, sequence, outcome, decided_at, decided_by, clinician_id,"
    columns += " signed_in_at, rules, input_sha256, code_system, code, quantity, first_day,"
    columns += " last_day, reasons, mac"
    await tamper(
        superuser_engine,
        f"insert into determination (revision, {columns})"  # noqa: S608
        f" select 2, {columns} from determination where sequence = 1",
    )
    assert await all_changed(owner_engine, KEYS) == [
        f"{decided.id} 1 2",
        f"case {decided.id}: 3 decisions of 2",
    ]


async def test_decisions_that_nothing_tells_of_are_told_of(
    owner_engine: AsyncEngine, superuser_engine: AsyncEngine, decided: PriorAuthorization
) -> None:
    """As where the end of the trail was cut, and what it told of is there."""
    await tamper(superuser_engine, "delete from audit_event where detail ? 'determinations'")
    assert await all_changed(owner_engine, KEYS) == [f"case {decided.id}: 2 decisions of 0"]


@pytest.mark.parametrize(
    "facts",
    [
        {"detail": {"determinations": -1}},
        {"detail": {"determinations": "-1"}},
        {"action": "sandbox.reset", "object_id": None, "detail": {}},
        {"object_id": None},
        {"organization_id": None},
    ],
)
async def test_no_row_on_the_trail_takes_a_decision_away(
    owner_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    decided: PriorAuthorization,
    facts: dict[str, Any],
) -> None:
    row: dict[str, Any] = {
        "request_id": uuid4(),
        "action": "case.determined",
        "outcome": "affirmed",
        "organization_id": decided.organization_id,
        "object_id": str(decided.id),
        "detail": {"determinations": 1},
    }
    await tamper(superuser_engine, "delete from determination where sequence = 2")
    async with superuser_engine.begin() as db:
        await write(db, AuditRow(**(row | facts)))
    assert await all_changed(owner_engine, KEYS) == [f"case {decided.id}: 1 decisions of 2"]


async def test_a_decision_made_between_the_two_readings_is_in_neither(
    app_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    in_review: PriorAuthorization,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = decisions._there

    async def later(connection: Any) -> AsyncIterator[Any]:
        await determine(app_engine, superuser_engine, in_review)
        async for each in there(connection):
            yield each

    monkeypatch.setattr(decisions, "_there", later)
    assert await all_changed(owner_engine, KEYS) == []
    monkeypatch.undo()
    assert await all_changed(owner_engine, KEYS) == []


async def test_in_a_sandbox_that_was_emptied_nothing_is_missing(
    app_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    decided: PriorAuthorization,
    make_case: MakeCase,
) -> None:
    async with transaction(owner_engine) as db:
        await tenant.empty(db)
        await write(db, AuditRow(uuid4(), "sandbox.reset", "done"))
    await make_case()
    keys = [*KEYS, SOFTWARE_KEY]
    assert await all_changed(owner_engine, keys, True) == []
    assert await all_changed(owner_engine, keys) == [f"case {decided.id}: 0 decisions of 2"]
