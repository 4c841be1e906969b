"""Tracking numbers after the decision: asked for, given once, told of, sent again, ended."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import StillClock
from tests.database import MakeCase, MakeOrganization
from tests.integration.claims.door import a_request, rows
from tests.unit.priorauth.wiser_requests import CATALOGUE
from wiser_fhir.clock import EASTERN
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Conflict, NotFound
from wiser_fhir.priorauth.models import PriorAuthorization, UtnState
from wiser_fhir.priorauth.numbers import LocalUtnSource
from wiser_fhir.priorauth.utn_life import (
    SourceExchange,
    UtnFailed,
    UtnLife,
    UtnOrder,
    delivered,
    pause,
    resend,
)

DECIDED = datetime(2026, 4, 7, 15, 30, tzinfo=UTC)
SOON = DECIDED + timedelta(minutes=5)
NUMBER = "ZZB00000000042"

REOPENED = (
    "update prior_auth_case set revision = 2, status = 'in-review', decided_at = null,"
    " valid_from = null, valid_until = null"
)


@dataclass(frozen=True)
class Told:
    """An answer that says which case and which number it is about."""

    def response(
        self, case: PriorAuthorization, line: str, request_body: bytes, at: datetime
    ) -> bytes:
        return f"{case.id} {case.utn}".encode()


@dataclass
class Exchange:
    """Gives what a test tells it to, one after the other, and remembers who asked for what."""

    answers: list[str | Exception | None] = field(default_factory=list)
    asked: list[UtnOrder] = field(default_factory=list)
    before: Callable[[], Awaitable[None]] | None = None

    async def number(self, order: UtnOrder) -> str | None:
        self.asked.append(order)
        await asyncio.sleep(0.01)
        if self.before is not None:
            await self.before()
        answer = self.answers.pop(0) if self.answers else NUMBER
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def clock() -> StillClock:
    """The time, until a test sets it."""
    return StillClock(SOON)


@pytest.fixture
def exchange() -> Exchange:
    """Who is asked for numbers."""
    return Exchange()


@pytest.fixture
def life(app_engine: AsyncEngine, clock: StillClock, exchange: Exchange) -> UtnLife:
    """The jobs."""
    return UtnLife(app_engine, clock, exchange, Told(), CATALOGUE.process.utn)


@pytest.fixture
async def waiting(make_case: MakeCase, make_organization: MakeOrganization) -> PriorAuthorization:
    """A decided case whose number is to come."""
    request = a_request(await make_organization())
    return await make_case(submission=request, utn=None, utn_state=UtnState.PENDING)


async def number_of(superuser: AsyncEngine, case: PriorAuthorization) -> Any:
    ((row),) = await rows(superuser, "select * from utn where case_id = :case", case=case.id)
    return row


async def test_a_number_that_comes_later_is_written_and_told(
    life: UtnLife,
    exchange: Exchange,
    waiting: PriorAuthorization,
    superuser_engine: AsyncEngine,
) -> None:
    assert (await number_of(superuser_engine, waiting)).state == "pending"
    assert await life.assign() == 1
    row = await number_of(superuser_engine, waiting)
    assert (row.utn, row.state, row.assigned_at, row.attempts) == (NUMBER, "assigned", SOON, 1)
    assert row.delivered_at is None
    (order,) = exchange.asked
    assert (order.case_id, order.revision, order.attempts) == (waiting.id, 1, 1)
    assert order.site is not None
    assert order.site.code == "11"
    ((told),) = await rows(
        superuser_engine,
        "select m.length, c.id from prior_auth_case c join message m on m.id = c.answer_message_id",
    )
    assert told.length == len(f"{waiting.id} {NUMBER}")
    events = await rows(superuser_engine, "select kind from case_event")
    assert [row.kind for row in events] == ["utn-assigned"]
    assert await life.assign() == 0


async def test_a_number_still_to_come_is_asked_for_again_after_a_pause(
    life: UtnLife,
    exchange: Exchange,
    clock: StillClock,
    waiting: PriorAuthorization,
    superuser_engine: AsyncEngine,
) -> None:
    exchange.answers = [None, None]
    assert await life.assign() == 0
    assert await life.assign() == 0
    assert len(exchange.asked) == 1
    clock.now = SOON + timedelta(seconds=59)
    await life.assign()
    assert len(exchange.asked) == 1
    clock.now = SOON + timedelta(seconds=60)
    await life.assign()
    assert len(exchange.asked) == 2
    assert (await number_of(superuser_engine, waiting)).state == "pending"
    clock.now += timedelta(seconds=119)
    assert await life.assign() == 0
    clock.now += timedelta(seconds=1)
    assert await life.assign() == 1


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 60), (2, 120), (5, 960), (9, 15_360), (10, 21_600), (99, 21_600)]
)
def test_pauses_double_up_to_six_hours(attempts: int, seconds: int) -> None:
    assert pause(attempts) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(UtnFailed("unreachable"), "unreachable"), ("not a number", "malformed")],
)
async def test_what_fails_is_seen_and_tried_again(
    life: UtnLife,
    exchange: Exchange,
    clock: StillClock,
    waiting: PriorAuthorization,
    superuser_engine: AsyncEngine,
    answer: Any,
    reason: str,
) -> None:
    exchange.answers = [answer]
    assert await life.assign() == 0
    row = await number_of(superuser_engine, waiting)
    assert (row.state, row.last_error, row.utn) == ("failed", reason, None)
    trail = await rows(
        superuser_engine, "select outcome, detail from audit_event where action = 'utn.assign'"
    )
    assert [tuple(row) for row in trail] == [("failed", {"reason": reason, "attempts": 1})]
    clock.now = SOON + timedelta(minutes=1)
    assert await life.assign() == 1
    row = await number_of(superuser_engine, waiting)
    assert (row.state, row.last_error, row.attempts) == ("assigned", None, 2)


async def test_a_number_that_is_another_cases_is_a_failure(
    life: UtnLife,
    exchange: Exchange,
    waiting: PriorAuthorization,
    make_case: MakeCase,
    superuser_engine: AsyncEngine,
) -> None:
    other = await make_case()
    exchange.answers = [other.utn]
    assert await life.assign() == 0
    row = await number_of(superuser_engine, waiting)
    assert (row.state, row.last_error) == ("failed", "taken")


async def test_several_workers_ask_once(
    life: UtnLife, exchange: Exchange, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    organization = await make_organization()
    for _ in range(5):
        request = a_request(organization)
        await make_case(submission=request, utn=None, utn_state=UtnState.PENDING)
    exchange.answers = [f"ZZB0000000010{n}" for n in range(5)]
    assert sum(await asyncio.gather(*(life.assign() for _ in range(4)))) == 5
    assert len({order.case_id for order in exchange.asked}) == len(exchange.asked) == 5


async def test_who_was_slower_than_the_pause_writes_nothing(
    life: UtnLife,
    exchange: Exchange,
    clock: StillClock,
    waiting: PriorAuthorization,
    superuser_engine: AsyncEngine,
) -> None:
    async def another_worker() -> None:
        exchange.before = None
        clock.now = SOON + timedelta(minutes=2)
        assert await life.assign() == 1

    exchange.before = another_worker
    exchange.answers = [NUMBER, "ZZB00000000043"]
    assert await life.assign() == 0
    assert (await number_of(superuser_engine, waiting)).utn == NUMBER


async def test_a_failure_that_comes_too_late_is_none(
    life: UtnLife,
    exchange: Exchange,
    clock: StillClock,
    waiting: PriorAuthorization,
    superuser_engine: AsyncEngine,
) -> None:
    async def another_worker() -> None:
        exchange.before = None
        clock.now = SOON + timedelta(minutes=2)
        assert await life.assign() == 1

    exchange.before = another_worker
    exchange.answers = [NUMBER, UtnFailed("unreachable")]
    assert await life.assign() == 0
    assert (await number_of(superuser_engine, waiting)).state == "assigned"


async def test_a_source_that_makes_numbers_itself_is_asked_the_same_way(
    life: UtnLife,
    waiting: PriorAuthorization,
    app_engine: AsyncEngine,
    clock: StillClock,
    superuser_engine: AsyncEngine,
) -> None:
    local = SourceExchange(LocalUtnSource("ZZ"))
    itself = UtnLife(app_engine, clock, local, Told(), CATALOGUE.process.utn)
    assert await itself.assign() == 1
    assert (await number_of(superuser_engine, waiting)).utn.startswith("ZZB")


async def test_a_number_that_comes_during_an_update_is_kept_and_not_told(
    life: UtnLife, waiting: PriorAuthorization, superuser_engine: AsyncEngine
) -> None:
    async with superuser_engine.begin() as db:
        await db.exec_driver_sql("set local session_replication_role = replica")
        await db.exec_driver_sql(REOPENED)
        await db.exec_driver_sql("update case_item set revision = 2, status = 'pended'")
    messages = await rows(superuser_engine, "select id from message")
    assert await life.assign() == 1
    assert (await number_of(superuser_engine, waiting)).state == "assigned"
    assert await rows(superuser_engine, "select id from message") == messages


async def test_a_number_ends_the_day_after_its_last_and_history_says_so(
    life: UtnLife, clock: StillClock, make_case: MakeCase, superuser_engine: AsyncEngine
) -> None:
    case = await make_case()
    assert case.valid_until is not None
    end = datetime.combine(case.valid_until + timedelta(days=1), time(), EASTERN)
    clock.now = end - timedelta(seconds=1)
    assert await life.expire() == 0
    clock.now = end
    assert await life.expire() == 1
    row = await number_of(superuser_engine, case)
    assert (row.state, row.ended_at) == ("expired", end)
    events = await rows(superuser_engine, "select kind from case_event")
    assert [row.kind for row in events] == ["utn-expired"]
    assert await life.expire() == 0


async def test_only_the_first_delivery_counts(
    app_engine: AsyncEngine,
    life: UtnLife,
    waiting: PriorAuthorization,
    superuser_engine: AsyncEngine,
) -> None:
    for at in (SOON, SOON + timedelta(hours=1)):
        async with transaction(app_engine, waiting.organization_id) as db:
            await delivered(db, waiting.organization_id, [waiting.id], at)
        await life.assign()
    assert (await number_of(superuser_engine, waiting)).delivered_at == SOON + timedelta(hours=1)
    async with transaction(app_engine, waiting.organization_id) as db:
        await delivered(db, waiting.organization_id, [waiting.id], SOON + timedelta(hours=2))
    assert (await number_of(superuser_engine, waiting)).delivered_at == SOON + timedelta(hours=1)


async def test_a_number_is_sent_again_on_demand(
    owner_engine: AsyncEngine, make_case: MakeCase, superuser_engine: AsyncEngine
) -> None:
    case = await make_case()
    assert case.utn is not None
    assert await resend(owner_engine, case.utn, SOON) == 0
    row = await number_of(superuser_engine, case)
    assert (row.resent_at, row.state) == (SOON, "assigned")
    trail = await rows(
        superuser_engine, "select outcome from audit_event where object_kind = 'utn'"
    )
    assert [row.outcome for row in trail] == ["done"]


async def test_a_number_never_delivered_is_not_sent_again_but_sent(
    owner_engine: AsyncEngine,
    life: UtnLife,
    waiting: PriorAuthorization,
    superuser_engine: AsyncEngine,
) -> None:
    await life.assign()
    await resend(owner_engine, NUMBER, SOON)
    assert (await number_of(superuser_engine, waiting)).resent_at is None


async def test_a_number_that_ended_or_is_unknown_is_not_sent_again(
    owner_engine: AsyncEngine, make_case: MakeCase, superuser_engine: AsyncEngine
) -> None:
    case = await make_case()
    async with superuser_engine.begin() as db:
        await db.execute(text("update utn set state = 'expired', ended_at = now()"))
    assert case.utn is not None
    with pytest.raises(Conflict, match="expired"):
        await resend(owner_engine, case.utn, SOON)
    with pytest.raises(NotFound):
        await resend(owner_engine, "ZZB99999999999", SOON)
