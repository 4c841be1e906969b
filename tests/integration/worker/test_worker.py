from datetime import UTC, datetime, time, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeCase
from wiser_fhir.clock import EASTERN
from wiser_fhir.priorauth.models import PriorAuthorization
from wiser_fhir.worker import Worker

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def worker(engine: AsyncEngine, owner: AsyncEngine | None, now: datetime) -> Worker:
    return Worker(engine, owner, lambda: now)


def end_of_last_day(case: PriorAuthorization) -> datetime:
    assert case.valid_until is not None
    return datetime.combine(case.valid_until + timedelta(days=1), time(), EASTERN)


async def states(engine: AsyncEngine) -> dict[str, int]:
    async with engine.connect() as db:
        rows = await db.execute(text("select state, count(*) as number from utn group by state"))
        return {str(row.state): int(row.number) for row in rows}


async def test_a_utn_ends_after_its_last_day_and_not_on_it(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, make_case: MakeCase
) -> None:
    end = end_of_last_day(await make_case())
    assert await worker(app_engine, None, end - timedelta(seconds=1)).expire_utns() == 0
    assert await states(superuser_engine) == {"assigned": 1}
    assert await worker(app_engine, None, end).expire_utns() == 1
    assert await states(superuser_engine) == {"expired": 1}
    assert await worker(app_engine, None, end).expire_utns() == 0


async def test_every_organization_gets_its_turn_and_its_row_in_the_trail(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, make_case: MakeCase
) -> None:
    cases = [await make_case(), await make_case()]
    late = max(end_of_last_day(case) for case in cases)
    assert await worker(app_engine, None, late).expire_utns() == 2
    async with superuser_engine.connect() as db:
        rows = "select organization_id from audit_event where action = 'utn.expire'"
        recorded = set((await db.execute(text(rows))).scalars())
    assert recorded == {case.organization_id for case in cases}


async def test_ended_tokens_are_forgotten_after_a_day(
    app_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    make_case: MakeCase,
) -> None:
    case = await make_case()
    async with superuser_engine.begin() as db:
        client = uuid4()
        await db.execute(
            text(
                "insert into client (id, organization_id, name, scopes) values (:c, :o, 'c', '{}')"
            ),
            {"c": client, "o": case.organization_id},
        )
        await db.execute(
            text("insert into access_token values (:h, :c, :o, '{}', :i, :e)"),
            {
                "h": bytes(32),
                "c": client,
                "o": case.organization_id,
                "i": LONG_AGO,
                "e": LONG_AGO + timedelta(hours=1),
            },
        )
    early = LONG_AGO + timedelta(hours=24)
    assert await worker(app_engine, owner_engine, early).purge_tokens() == 0
    late = LONG_AGO + timedelta(hours=26)
    assert await worker(app_engine, None, late).purge_tokens() == 0
    assert await worker(app_engine, owner_engine, late).purge_tokens() == 1


async def test_ended_hook_jwts_are_forgotten_after_an_hour(
    app_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    clean_database: None,
) -> None:
    async with superuser_engine.begin() as db:
        await db.execute(
            text("insert into cds_jwt values ('iss', 'jti', 'aud', 'key', null, :end, 1)"),
            {"end": LONG_AGO},
        )
    early = LONG_AGO + timedelta(hours=1)
    assert await worker(app_engine, owner_engine, early).purge_tokens() == 0
    late = early + timedelta(seconds=1)
    assert await worker(app_engine, None, late).purge_tokens() == 0
    assert await worker(app_engine, owner_engine, late).purge_tokens() == 1


async def test_a_job_that_fails_keeps_none_from_its_turn(
    app_engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    ran = []

    async def broken(self: Worker) -> int:
        raise RuntimeError("Ada Canary")

    async def works(self: Worker) -> int:
        ran.append("purge")
        return 0

    monkeypatch.setattr(Worker, "expire_utns", broken)
    monkeypatch.setattr(Worker, "purge_tokens", works)
    await worker(app_engine, None, LONG_AGO).once()
    assert ran == ["purge"]
    assert "job failed" in caplog.text
    assert "Canary" not in caplog.text
