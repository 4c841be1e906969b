"""What the database refuses of exemptions: direct SQL as wiser_app."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.database import become_app
from tests.exempting import assessed, exempted
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.numbers import time_ordered_uuid

NPI = "1999000122"
JULY_1 = date(2026, 7, 1)
EXEMPT = """
insert into exemption (id, npi, quarter, first_day, last_day, checked_on)
values (:id, :npi, :quarter, :first_day, :last_day, :first_day)
"""
ASSESS = """
insert into exemption_assessment (quarter, rate, min_requests, assessed_at)
values (:quarter, :rate, 10, :at)
"""
TELL = """
insert into exemption_notice (exemption_id, kind, noticed_on, effective_on, reason)
select id, 'loss', :noticed_on, :effective_on, 'operator' from exemption
"""
END = "update exemption set last_day = :last_day"


async def refused(db: AsyncConnection, statement: str, **values: Any) -> str:
    """The constraint that forbids a statement, at once or at the commit."""
    with pytest.raises(DBAPIError) as caught:
        async with db.begin_nested():
            await db.execute(text(statement), values)
            await db.execute(text("set constraints all immediate"))
    fault: Any = caught.value.orig
    return str(fault.__cause__.constraint_name or fault.__cause__)


async def begun(db: AsyncConnection, **changes: Any) -> dict[str, Any]:
    """A row of an exemption that was earned, as it would be inserted."""
    quarter = await assessed(db, changes.get("npi", NPI), JULY_1, affirmed=9)
    row = {
        "id": time_ordered_uuid(),
        "npi": NPI,
        "quarter": quarter,
        "first_day": JULY_1,
        "last_day": None,
    }
    return row | changes


async def test_an_exemption_is_earned_by_the_figures_of_a_quarter(db: AsyncConnection) -> None:
    await become_app(db, None)
    quarter = await assessed(db, NPI, JULY_1, affirmed=8)
    row = {"id": time_ordered_uuid(), "quarter": quarter, "first_day": JULY_1, "last_day": None}
    assert await refused(db, EXEMPT, **row, npi=NPI) == "exemption_is_earned"
    assert await refused(db, EXEMPT, **row, npi="1999000114") == "exemption_is_earned"


@pytest.mark.parametrize(("decided", "affirmed"), [(0, 0), (9, 10), (10, -1)])
async def test_figures_make_sense(db: AsyncConnection, decided: int, affirmed: int) -> None:
    with pytest.raises(DBAPIError, match="ck_exemption_tally_counts"):
        await assessed(db, NPI, JULY_1, decided, affirmed)


@pytest.mark.parametrize(
    ("quarter", "rate", "assessed_at", "constraint"),
    [
        (date(2026, 4, 2), "0.9", "2026-08-01 12:00+00", "ck_exemption_assessment_quarter"),
        (date(2026, 5, 1), "0.9", "2026-08-01 12:00+00", "ck_exemption_assessment_quarter"),
        (date(2026, 4, 1), "0.9", "2026-07-01 03:59+00", "ck_exemption_assessment_over"),
        (date(2026, 4, 1), "0", "2026-07-01 12:00+00", "ck_exemption_assessment_rate"),
        (date(2026, 4, 1), "1.01", "2026-07-01 12:00+00", "ck_exemption_assessment_rate"),
    ],
)
async def test_a_quarter_is_assessed_when_it_is_over(
    db: AsyncConnection, quarter: date, rate: str, assessed_at: str, constraint: str
) -> None:
    row = {"quarter": quarter, "rate": Decimal(rate), "at": datetime.fromisoformat(assessed_at)}
    assert await refused(db, ASSESS, **row) == constraint


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({}, "exemption_agrees_with_its_notices"),  # nobody was told
        ({"last_day": date(2027, 6, 29)}, "ck_exemption_lasts_a_year"),
        ({"first_day": date(2026, 6, 30)}, "ck_exemption_after_its_quarter"),
    ],
)
async def test_an_exemption_begins_after_its_quarter_with_a_notice_and_lasts_a_year(
    db: AsyncConnection, changes: dict[str, Any], constraint: str
) -> None:
    await become_app(db, None)
    row = await begun(db)
    assert await refused(db, EXEMPT, **row | changes) == constraint


async def test_no_provider_is_exempt_twice_on_a_day(
    superuser_engine: AsyncEngine, app_engine: AsyncEngine, clean_database: None
) -> None:
    await exempted(app_engine, NPI, JULY_1)
    async with superuser_engine.connect() as db:
        row = {"id": time_ordered_uuid(), "npi": NPI, "quarter": date(2026, 4, 1)}
        for first_day in (JULY_1, date(2030, 1, 1)):
            taken = await refused(db, EXEMPT, **row, first_day=first_day, last_day=None)
            assert taken == "ex_exemption_days"
        await db.rollback()


@pytest.mark.parametrize(
    ("noticed_on", "effective_on", "last_day", "constraint"),
    [
        # 59 days of notice; not with a quarter; the end on another day than was told.
        (date(2027, 5, 3), date(2027, 7, 1), date(2027, 6, 30), "ck_exemption_notice_in_time"),
        (date(2027, 4, 1), date(2027, 7, 2), date(2027, 7, 1), "ck_exemption_notice_in_time"),
        (
            date(2027, 5, 2),
            date(2027, 10, 1),
            date(2027, 8, 31),
            "exemption_agrees_with_its_notices",
        ),
    ],
)
async def test_an_end_is_told_in_time_and_then_kept(
    app_engine: AsyncEngine,
    clean_database: None,
    noticed_on: date,
    effective_on: date,
    last_day: date,
    constraint: str,
) -> None:
    await exempted(app_engine, NPI, JULY_1)
    told = f"with told as ({TELL}) update exemption set last_day = :last_day"  # noqa: S608
    days = {"noticed_on": noticed_on, "effective_on": effective_on, "last_day": last_day}
    async with app_engine.connect() as db:
        assert await refused(db, told, **days) == constraint
        silently = await refused(db, END, last_day=date(2027, 9, 30))
        assert silently == "exemption_agrees_with_its_notices"
        await db.rollback()


async def test_what_was_announced_is_never_changed(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, clean_database: None
) -> None:
    await exempted(app_engine, NPI, JULY_1)
    async with transaction(app_engine) as db:
        days = {"noticed_on": date(2027, 5, 2), "effective_on": date(2027, 7, 1)}
        await db.execute(text(TELL), days)
        await db.execute(text(END), {"last_day": date(2027, 6, 30)})
    async with superuser_engine.connect() as db:
        for statement in (
            "update exemption set last_day = null",
            "update exemption set last_day = '2027-09-30'",
            "update exemption set first_day = '2026-06-30'",
            "update exemption set npi = '1999000114'",
            "update exemption set checked_on = '2026-06-30'",
        ):
            assert await refused(db, statement) in {"exemption_stands", "ck_exemption_checked"}
        for statement in (
            "delete from exemption",
            "delete from exemption_notice",
            "update exemption_notice set noticed_on = '2026-01-01'",
            "update exemption_tally set affirmed = 10",
            "delete from exemption_tally",
            "update exemption_assessment set rate = 0.1",
        ):
            assert "never changed" in await refused(db, statement)
        await db.rollback()
