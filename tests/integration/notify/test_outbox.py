"""Which subscriptions an answer is queued for, and that their numbers have no gap."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from tests.clocks import StillClock
from tests.integration.notify.listening import Listener
from tests.integration.notify.subscribers import MakeSubscriber, Subscriber
from wiser_fhir.db.engine import transaction
from wiser_fhir.notify import outbox

NUMBERS = """
select subscription_id, array_agg(number order by number) as numbers from subscription_event
group by 1 order by 1
"""


async def queued(subscriber: Subscriber) -> list[list[int]]:
    return [row["numbers"] for row in await subscriber.rows(NUMBERS)]


async def test_every_live_subscription_of_the_organization_counts_by_itself(
    make_subscriber: MakeSubscriber, listener: Listener
) -> None:
    one, other = await make_subscriber(listener.origin), await make_subscriber(listener.origin)
    await one.subscribe(listener.origin)
    await one.tell()
    await one.subscribe(listener.origin)
    await other.subscribe(listener.origin)
    await one.tell()
    assert await queued(one) == [[1, 2], [1]]


async def test_whole_answers_are_for_their_own_line_and_ids_for_both(
    subscriber: Subscriber, listener: Listener
) -> None:
    for line in ("2.2", "2.0"):
        await subscriber.subscribe(listener.origin, line)
    async with subscriber.superuser.begin() as db:
        await db.execute(text("update prior_auth_case set line = '2.0'"))
    await subscriber.tell()
    [row] = await subscriber.rows("select subscription_id from subscription_event")
    assert row["subscription_id"] == subscriber.ids[1]


@pytest.mark.parametrize(
    ("status", "told"), [("requested", 1), ("active", 1), ("error", 1), ("off", 0)]
)
async def test_one_in_error_counts_on_and_one_that_is_off_does_not(
    subscriber: Subscriber, listener: Listener, status: str, told: int
) -> None:
    await subscriber.subscribe(listener.origin)
    async with subscriber.superuser.begin() as db:
        await db.execute(text("update subscription set status = :status"), {"status": status})
    await subscriber.tell()
    assert (await subscriber.state())["last_number"] == told


async def test_one_that_has_ended_is_told_of_nothing(
    subscriber: Subscriber, listener: Listener, clock: StillClock
) -> None:
    await subscriber.subscribe(listener.origin, wanted={"ends_at": clock() + timedelta(hours=1)})
    await subscriber.tell()
    clock.wait(hours=1)
    await subscriber.tell()
    assert await queued(subscriber) == [[1]]


async def test_an_answer_may_be_queued_again_for_one_of_them(
    subscriber: Subscriber, listener: Listener, clock: StillClock
) -> None:
    first = await subscriber.subscribe(listener.origin)
    await subscriber.tell()
    second = await subscriber.subscribe(listener.origin)
    async with transaction(subscriber.engine, subscriber.organization_id) as db:
        query = text("select answer_message_id from prior_auth_case")
        message_id = (await db.execute(query)).scalar_one()
        since = await outbox.unheard(
            db, subscriber.organization_id, subscriber.case_id, message_id, clock()
        )
    assert since == [second]
    await subscriber.tell(only=second)
    await subscriber.tell(only=first)
    await subscriber.tell(only=uuid4())
    assert await queued(subscriber) == [[1, 2], [1]]


async def test_what_is_rolled_back_leaves_no_gap(
    subscriber: Subscriber, listener: Listener
) -> None:
    await subscriber.subscribe(listener.origin)
    await subscriber.tell()
    for _ in range(3):
        with pytest.raises(RuntimeError):
            async with transaction(subscriber.engine, subscriber.organization_id) as db:
                await db.execute(*event_of(subscriber))
                raise RuntimeError
    await subscriber.tell()
    assert await queued(subscriber) == [[1, 2]]


async def test_many_acts_at_once_leave_neither_gap_nor_twin(
    subscriber: Subscriber, listener: Listener
) -> None:
    for _ in range(3):
        await subscriber.subscribe(listener.origin)
    await asyncio.gather(*(subscriber.tell() for _ in range(40)))
    assert await queued(subscriber) == [list(range(1, 41))] * 3


def event_of(subscriber: Subscriber, index: int = 0) -> tuple[Any, dict[str, Any]]:
    """An event by hand."""
    statement = text("""
        insert into subscription_event
            (organization_id, subscription_id, number, case_id, message_id, at)
        select organization_id, :subscription_id, 99, id, answer_message_id, received_at
        from prior_auth_case
    """)
    return statement, {"subscription_id": subscriber.ids[index]}


async def test_nobody_chooses_a_number(subscriber: Subscriber, listener: Listener) -> None:
    await subscriber.subscribe(listener.origin)
    async with transaction(subscriber.engine, subscriber.organization_id) as db:
        await db.execute(*event_of(subscriber))
    assert await queued(subscriber) == [[1]]


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("update subscription set last_number = 5", "only counts on"),
        ("update subscription set last_number = 2", "is given with its event"),
        ("update subscription set last_number = 0", "only counts on"),
        ("update subscription set delivered_number = 2", "only counts on"),
        ("update subscription set sealed = null", "ck_subscription_deleted"),
        ("update subscription set attempts = 1", "ck_subscription_failing"),
        ("update subscription set lease = gen_random_uuid()", "ck_subscription_lease"),
        ("update subscription set last_error = 'Doe, Jane'", "ck_subscription_last_error"),
        ("update subscription set client_id = gen_random_uuid()", "permission denied"),
        ("update subscription_event set number = 2", "permission denied"),
        ("update subscription_event set message_id = null", "permission denied"),
        ("delete from subscription_event", "permission denied"),
        ("delete from subscription", "permission denied"),
    ],
)
async def test_the_database_refuses_what_would_lose_an_event(
    subscriber: Subscriber, listener: Listener, statement: str, refused: str
) -> None:
    await subscriber.subscribe(listener.origin)
    await subscriber.tell()
    with pytest.raises(DBAPIError, match=refused):
        async with transaction(subscriber.engine, subscriber.organization_id) as db:
            await db.execute(text(statement))


async def test_a_deleted_one_gets_no_event_and_never_comes_back(
    subscriber: Subscriber, listener: Listener, clock: StillClock
) -> None:
    own_id = await subscriber.subscribe(listener.origin)
    async with transaction(subscriber.engine, subscriber.organization_id) as db:
        await subscriber.own(db).delete(own_id, clock())
    with pytest.raises(DBAPIError, match="that is not deleted"):
        async with transaction(subscriber.engine, subscriber.organization_id) as db:
            await db.execute(*event_of(subscriber))
    with pytest.raises(DBAPIError, match="only counts on"):
        async with transaction(subscriber.engine, subscriber.organization_id) as db:
            revived = "update subscription set deleted_at = null, sealed = '\\x01'"
            await db.execute(text(revived))


async def test_another_organization_sees_and_changes_nothing(
    make_subscriber: MakeSubscriber, listener: Listener
) -> None:
    one, other = await make_subscriber(listener.origin), await make_subscriber(listener.origin)
    await one.subscribe(listener.origin)
    await one.tell()
    async with transaction(other.engine, other.organization_id) as db:
        for table in ("subscription", "subscription_event"):
            found = await db.execute(text(f"select count(*) from {table}"))  # noqa: S608
            assert found.scalar_one() == 0
        changed = await db.execute(text("update subscription set due_at = now()"))
        assert changed.rowcount == 0


async def test_the_gate_lends_what_is_due_to_one_at_a_time_and_leaves_a_row(
    subscriber: Subscriber, listener: Listener, clock: StillClock
) -> None:
    for _ in range(3):
        await subscriber.subscribe(listener.origin)
    clock.wait(seconds=2)
    claim = text("""
        select subscription_id from gate.claim_subscriptions(
            :now, gen_random_uuid(), 30, :at_most, 5, gen_random_uuid())
    """)

    async def lent(at_most: int) -> int:
        async with transaction(subscriber.engine) as db:
            found = await db.execute(claim, {"now": clock(), "at_most": at_most})
            return len(found.all())

    assert [await lent(2), await lent(2), await lent(2)] == [2, 1, 0]
    rows = "select detail from audit_event where action = 'gate.claim-subscriptions' order by id"
    assert [row["detail"] for row in await subscriber.rows(rows)] == [{"found": 2}, {"found": 1}]


CLAIM = text("""
    select organization_id from gate.claim_subscriptions(
        :now, gen_random_uuid(), 30, :at_most, :of_one, gen_random_uuid())
""")


async def test_the_gate_lends_no_more_of_one_organization_than_it_may_have_at_a_time(
    make_subscriber: MakeSubscriber, listener: Listener, clock: StillClock
) -> None:
    many, few = await make_subscriber(listener.origin), await make_subscriber(listener.origin)
    for _ in range(9):
        await many.subscribe(listener.origin)
    clock.wait(seconds=1)
    for _ in range(2):
        await few.subscribe(listener.origin)
    clock.wait(seconds=2)

    async def lent(at_most: int) -> tuple[int, int]:
        """How many of the one that has many, and of the other."""
        async with transaction(many.engine) as db:
            values = {"now": clock(), "at_most": at_most, "of_one": 3}
            found = list((await db.execute(CLAIM, values)).scalars())
        return found.count(many.organization_id), found.count(few.organization_id)

    assert [await lent(2), await lent(9), await lent(9)] == [(1, 1), (2, 1), (0, 0)]


async def test_senders_who_ask_at_once_are_lent_no_more_of_one_together(
    subscriber: Subscriber, listener: Listener, clock: StillClock
) -> None:
    for _ in range(12):
        await subscriber.subscribe(listener.origin)
    clock.wait(seconds=2)

    async def lent() -> int:
        async with transaction(subscriber.engine) as db:
            values = {"now": clock(), "at_most": 9, "of_one": 3}
            return len((await db.execute(CLAIM, values)).all())

    assert sum(await asyncio.gather(*(lent() for _ in range(6)))) == 3
