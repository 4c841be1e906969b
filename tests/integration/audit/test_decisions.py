"""Determinations that are not as they were made are named, whoever changed them."""

from collections.abc import AsyncIterator

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
)
from wiser_fhir.audit.decision_mac import decision_key
from wiser_fhir.audit.decisions import all_changed
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.models import CaseStatus, PriorAuthorization
from wiser_fhir.priorauth.review import ReviewService

AUDIT_KEY = b"a key of thirty-two bytes, all ours"
KEYS = [decision_key(AUDIT_KEY)]


@pytest.fixture
async def decided(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    make_case: MakeCase,
    make_organization: MakeOrganization,
) -> PriorAuthorization:
    """A case of two lines, of which a clinician affirms one."""
    items = (an_item(1, "62321"), an_item(2, "64483"))
    asked = a_submission(await make_organization(), items=items)
    case = await make_case(CaseStatus.IN_REVIEW, submission=asked, **SERVICE)
    async with superuser_engine.begin() as db:
        clinician = await insert_person(db)
    desk = a_desk(app_engine, StillClock(NOW))
    said = determination(affirm(1), non_affirm(2))
    await ReviewService(desk).determine(by(clinician), case.id, 1, said)
    return case


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
