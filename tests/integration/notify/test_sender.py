"""Subscribers are told all, in order, by however many senders; failures cost time and no event."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import StillClock
from tests.integration.notify.listening import (
    TAKEN,
    Answer,
    Listener,
    endless,
    hanging_up,
    listening,
    silent,
    status,
)
from tests.integration.notify.subscribers import (
    BASE,
    MakeSender,
    MakeSubscriber,
    Subscriber,
    activated,
    deliver,
)
from tests.subscriptions import SECRET, parameters
from wiser_fhir.db.bodies import seal_body
from wiser_fhir.db.engine import transaction
from wiser_fhir.notify.sender import Sender
from wiser_fhir.priorauth.numbers import time_ordered_uuid


async def test_a_handshake_waits_two_seconds_and_makes_active(
    subscriber: Subscriber, sender: Sender, listener: Listener, clock: StillClock
) -> None:
    own_id = await subscriber.subscribe(listener.origin)
    clock.wait(seconds=1.9)
    assert await deliver(sender) == 0
    assert listener.heard == []
    clock.wait(seconds=0.1)
    assert await deliver(sender) == 1
    told = parameters(listener.heard[0].notification)
    assert (told["type"], told["status"]) == ("handshake", "requested")
    assert told["subscription"] == f"{BASE}/Subscription/{own_id}"
    state = await subscriber.state()
    assert (state["status"], state["due_at"], state["lease"]) == ("active", None, None)


async def test_what_is_sent_says_its_type_and_carries_the_subscriber_s_headers(
    subscriber: Subscriber, sender: Sender, listener: Listener
) -> None:
    await activated(subscriber, sender, listener.origin)
    head = listener.heard[0].head.split("\r\n")
    assert head[0] == "POST /told HTTP/1.1"
    assert SECRET in head
    assert "Content-Type: application/fhir+json" in head


async def test_events_come_one_by_one_in_their_order(
    subscriber: Subscriber, sender: Sender, listener: Listener
) -> None:
    await activated(subscriber, sender, listener.origin)
    for _ in range(30):
        await subscriber.tell()
    assert await deliver(sender) == 30
    assert listener.numbers == list(range(1, 31))
    assert listener.kinds == ["handshake"] + ["event-notification"] * 30
    state = await subscriber.state()
    assert (state["last_number"], state["delivered_number"], state["due_at"]) == (30, 30, None)
    assert await deliver(sender) == 0


async def test_what_happens_before_the_handshake_is_told_after_it(
    subscriber: Subscriber, sender: Sender, listener: Listener, clock: StillClock
) -> None:
    await subscriber.subscribe(listener.origin)
    await subscriber.tell()
    assert await deliver(sender) == 0
    clock.wait(seconds=2)
    assert await deliver(sender) == 2
    assert listener.kinds == ["handshake", "event-notification"]


async def test_the_lines_carry_as_much_as_each_asks_for(
    subscriber: Subscriber, sender: Sender, listener: Listener
) -> None:
    await activated(subscriber, sender, listener.origin, "2.2")
    await activated(subscriber, sender, listener.origin, "2.0")
    listener.heard.clear()
    await subscriber.tell()
    assert await deliver(sender) == 2
    whole, by_id = sorted(listener.heard, key=lambda each: -len(each.notification["entry"]))
    assert [len(each.notification["entry"]) for each in (whole, by_id)] == [2, 1]
    [event] = parameters(by_id.notification)["notification-event"]
    assert event["focus"] == f"{BASE}/ClaimResponse/{subscriber.case_id}"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status("500 Internal Server Error"), "status 500"),
        (status("302 Found", "Location: https://evil.example/\r\n"), "status 302"),
        (status("401 Unauthorized"), "status 401"),
        (status("304 Not Modified"), "status 304"),
        (hanging_up, "away"),
        (silent, "slow"),
    ],
    ids=["500", "redirect", "401", "304", "hangs-up", "silent"],
)
async def test_a_subscriber_that_fails_for_a_while_misses_nothing_and_keeps_its_order(
    subscriber: Subscriber,
    make_sender: MakeSender,
    listener: Listener,
    clock: StillClock,
    answer: Answer,
    said: str,
) -> None:
    sender = make_sender(seconds=0.3)
    await activated(subscriber, sender, listener.origin)
    listener.answer = answer
    for _ in range(3):
        await subscriber.tell()
    assert await deliver(sender) == 0
    state = await subscriber.state()
    assert (state["status"], state["attempts"], state["last_error"]) == ("active", 1, said)
    assert state["due_at"] == clock.now + timedelta(seconds=2)
    clock.wait(seconds=1)
    await subscriber.tell()
    assert await deliver(sender) == 0
    assert listener.numbers == [1]
    listener.answer = TAKEN
    clock.wait(seconds=1)
    assert await deliver(sender) == 4
    assert listener.numbers == [1, 1, 2, 3, 4]
    state = await subscriber.state()
    assert (state["attempts"], state["last_error"], state["failing_since"]) == (0, None, None)
    tries = await subscriber.rows("select attempts from subscription_event order by number")
    assert [row["attempts"] for row in tries] == [2, 1, 1, 1]


async def test_an_answer_without_end_says_all_by_its_status(
    subscriber: Subscriber, sender: Sender, listener: Listener
) -> None:
    listener.answer = endless
    await activated(subscriber, sender, listener.origin)
    assert (await subscriber.state())["status"] == "active"


async def test_a_handshake_is_tried_again(
    subscriber: Subscriber, sender: Sender, listener: Listener, clock: StillClock
) -> None:
    listener.answer = status("500 Not Yet")
    await subscriber.subscribe(listener.origin)
    for seconds in (2, 2, 4, 8, 15, 30, 60, 60):
        clock.wait(seconds=seconds)
        assert await deliver(sender) == 0
    assert listener.kinds == ["handshake"] * 8
    listener.answer = TAKEN
    clock.wait(seconds=60)
    assert await deliver(sender) == 1
    assert (await subscriber.state())["status"] == "active"


async def test_who_fails_for_a_day_is_in_error_until_it_asks_again_and_then_hears_all(
    subscriber: Subscriber, sender: Sender, listener: Listener, clock: StillClock
) -> None:
    own_id = await activated(subscriber, sender, listener.origin)
    listener.answer = status("503 Service Unavailable")
    await subscriber.tell()
    await deliver(sender)
    clock.wait(hours=24)
    await deliver(sender)
    state = await subscriber.state()
    assert (state["status"], state["due_at"]) == ("error", None)
    await subscriber.tell()
    listener.answer = TAKEN
    clock.wait(hours=1)
    assert await deliver(sender) == 0
    assert (await subscriber.state())["last_number"] == 2
    listener.heard.clear()
    await subscriber.ask_again(own_id)
    clock.wait(seconds=2)
    assert await deliver(sender) == 3
    assert listener.kinds == ["handshake", "event-notification", "event-notification"]
    assert listener.numbers == [1, 2]
    outcomes = "select action, outcome from audit_event where action like 'notify.%' order by id"
    assert [tuple(row.values()) for row in await subscriber.rows(outcomes)] == [
        ("notify.handshake", "heard"),
        ("notify.event-notification", "gave-up"),
        ("notify.handshake", "heard"),
        ("notify.event-notification", "heard"),
        ("notify.event-notification", "heard"),
    ]
    about = "select distinct action, octet_length(patient) from audit_event where patient"
    about += " is not null and action like 'notify.%'"
    assert [tuple(row.values()) for row in await subscriber.rows(about)] == [
        ("notify.event-notification", 32),
    ]


async def test_what_a_client_changes_while_it_is_told_stands_and_what_it_heard_counts(
    subscriber: Subscriber, sender: Sender, listener: Listener, clock: StillClock
) -> None:
    own_id = await activated(subscriber, sender, listener.origin)
    await subscriber.tell()

    async def changing(writer: asyncio.StreamWriter) -> None:
        await subscriber.ask_again(own_id)
        await TAKEN(writer)

    listener.answer = changing
    assert await deliver(sender) == 1
    listener.answer = TAKEN
    state = await subscriber.state()
    assert (state["status"], state["delivered_number"]) == ("requested", 1)
    clock.wait(seconds=2)
    assert await deliver(sender) == 1
    assert listener.numbers == [1]
    assert listener.kinds == ["handshake", "event-notification", "handshake"]


async def test_two_senders_share_the_work_and_nothing_is_told_twice(
    subscriber: Subscriber, make_sender: MakeSender, listener: Listener
) -> None:
    first, second = make_sender(), make_sender()
    for _ in range(4):
        await subscriber.subscribe(listener.origin)
    subscriber.clock.wait(seconds=2)
    for _ in range(25):
        await subscriber.tell()
    heard = await asyncio.gather(deliver(first), deliver(second))
    assert sum(heard) == 4 * 26
    assert len(listener.heard) == 4 * 26
    by_one: dict[str, list[int]] = {}
    for each in listener.heard:
        by_one.setdefault(parameters(each.notification)["subscription"], []).extend(each.numbers)
    assert list(by_one.values()) == [list(range(1, 26))] * 4


async def claimed(engine: AsyncEngine, clock: StillClock, seconds: float) -> None:
    """What a sender does that is killed right afterwards."""
    async with transaction(engine) as db:
        await db.execute(
            text(
                "select gate.claim_subscriptions("
                ":now, gen_random_uuid(), :seconds, 10, 5, gen_random_uuid())"
            ),
            {"now": clock(), "seconds": seconds},
        )


async def test_what_a_dead_sender_had_is_sent_when_its_time_is_up(
    subscriber: Subscriber,
    sender: Sender,
    listener: Listener,
    clock: StillClock,
    app_engine: AsyncEngine,
) -> None:
    await activated(subscriber, sender, listener.origin)
    await subscriber.tell()
    await claimed(app_engine, clock, 0.5)
    assert await deliver(sender) == 0
    await asyncio.sleep(0.5)
    assert await deliver(sender) == 1


async def test_a_sender_whose_time_is_up_writes_nothing(
    subscriber: Subscriber, make_sender: MakeSender, listener: Listener
) -> None:
    slow, other = make_sender(lease_seconds=0.2), make_sender()
    await activated(subscriber, other, listener.origin)
    await subscriber.tell()

    async def late(writer: asyncio.StreamWriter) -> None:
        listener.answer = TAKEN
        await asyncio.sleep(0.4)
        assert await deliver(other) == 1
        await TAKEN(writer)

    listener.answer = late
    assert await deliver(slow) == 0
    assert listener.numbers == [1, 1]
    [row] = await subscriber.rows("select attempts from subscription_event")
    assert row["attempts"] == 1


async def test_a_slow_subscriber_holds_up_nobody_else(
    make_subscriber: MakeSubscriber, make_sender: MakeSender, listener: Listener, clock: StillClock
) -> None:
    async with listening(silent) as other:
        sender = make_sender(other.origin, seconds=3.0)
        slow, quick = await make_subscriber(other.origin), await make_subscriber(listener.origin)
        await slow.subscribe(other.origin)
        await quick.subscribe(listener.origin)
        clock.wait(seconds=2)
        assert await sender.deliver_due() == 1
        await quick.tell()
        assert await sender.deliver_due() == 1
        assert sender.is_busy
        assert (listener.kinds, other.kinds) == (["handshake", "event-notification"], ["handshake"])
        await sender.aclose()


async def test_however_many_are_slow_of_one_organization_the_others_are_told_at_once(
    make_subscriber: MakeSubscriber, make_sender: MakeSender, listener: Listener, clock: StillClock
) -> None:
    async with listening(silent) as other:
        sender = make_sender(other.origin, seconds=3.0)
        slow, quick = await make_subscriber(other.origin), await make_subscriber(listener.origin)
        for _ in range(20):
            await slow.subscribe(other.origin)
        clock.wait(seconds=1)
        await quick.subscribe(listener.origin)
        clock.wait(seconds=2)
        assert await sender.deliver_due() == 1
        assert await sender.deliver_due() == 0
        assert (len(other.heard), listener.kinds) == (5, ["handshake"])
        await sender.aclose()


async def test_a_slow_subscriber_gives_its_place_to_another_of_its_organization(
    subscriber: Subscriber, sender: Sender, listener: Listener, clock: StillClock
) -> None:
    await activated(subscriber, sender, listener.origin)
    for _ in range(3):
        await subscriber.tell()

    async def slow(writer: asyncio.StreamWriter) -> None:
        clock.wait(seconds=3)
        await TAKEN(writer)

    listener.answer = slow
    assert await sender.deliver_due() == 2
    assert listener.numbers == [1, 2]
    state = await subscriber.state()
    assert (state["delivered_number"], state["lease"]) == (2, None)
    assert await sender.deliver_due() == 1


async def test_one_that_has_ended_is_off_and_hears_nothing_more(
    subscriber: Subscriber, sender: Sender, listener: Listener, clock: StillClock
) -> None:
    ends = {"ends_at": clock() + timedelta(hours=1)}
    await subscriber.subscribe(listener.origin, wanted=ends)
    clock.wait(seconds=2)
    await deliver(sender)
    clock.wait(hours=1)
    await subscriber.tell()
    assert await deliver(sender) == 0
    state = await subscriber.state()
    assert (state["status"], state["due_at"], state["last_number"]) == ("off", None, 0)


async def test_a_heartbeat_comes_only_to_who_asked_for_it(
    subscriber: Subscriber, sender: Sender, listener: Listener, clock: StillClock
) -> None:
    await subscriber.subscribe(listener.origin, wanted={"heartbeat": 60})
    clock.wait(seconds=2)
    await deliver(sender)
    clock.wait(seconds=59)
    assert await deliver(sender) == 0
    clock.wait(seconds=1)
    assert await deliver(sender) == 1
    assert listener.kinds == ["handshake", "heartbeat"]
    assert parameters(listener.heard[1].notification)["status"] == "active"
    clock.wait(seconds=30)
    await subscriber.tell()
    await deliver(sender)
    clock.wait(seconds=59)
    assert await deliver(sender) == 0
    clock.wait(seconds=1)
    await deliver(sender)
    assert listener.kinds[2:] == ["event-notification", "heartbeat"]


async def test_nothing_follows_an_event_where_no_heartbeat_was_asked_for(
    subscriber: Subscriber, sender: Sender, listener: Listener, clock: StillClock
) -> None:
    await activated(subscriber, sender, listener.origin)
    await subscriber.tell()
    await deliver(sender)
    clock.wait(days=30)
    assert await deliver(sender) == 0
    assert listener.kinds == ["handshake", "event-notification"]


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("update client set notify_hosts = '{}'", "refused"),
        ("update client set active = false", "client not active"),
        ("update organization set active = false", "client not active"),
    ],
)
async def test_who_may_no_longer_be_told_is_not(
    subscriber: Subscriber, sender: Sender, listener: Listener, statement: str, said: str
) -> None:
    await activated(subscriber, sender, listener.origin)
    async with subscriber.superuser.begin() as db:
        await db.execute(text(statement))
    await subscriber.tell()
    assert await deliver(sender) == 0
    assert listener.kinds == ["handshake"]
    assert (await subscriber.state())["last_error"] == said


async def test_the_sandbox_s_own_origins_are_for_every_client(
    make_subscriber: MakeSubscriber, make_sender: MakeSender, listener: Listener
) -> None:
    subscriber = await make_subscriber()
    sender = make_sender(origins=(listener.origin,))
    await activated(subscriber, sender, listener.origin)


async def test_what_does_not_open_is_in_error_and_said_to_be(
    subscriber: Subscriber, sender: Sender, listener: Listener, clock: StillClock
) -> None:
    await subscriber.subscribe(listener.origin)
    clock.wait(seconds=2)
    async with subscriber.superuser.begin() as db:
        place = ("subscription", "sealed", time_ordered_uuid())
        sealed = await seal_body(db, subscriber.organization_id, b"{}", *place)
        await db.execute(text("update subscription set sealed = :sealed"), {"sealed": sealed})
    assert await deliver(sender) == 0
    state = await subscriber.state()
    assert (state["status"], state["last_error"]) == ("error", "cannot be opened")
    assert listener.heard == []


async def test_one_that_is_deleted_while_it_is_told_stays_deleted(
    subscriber: Subscriber, sender: Sender, listener: Listener, clock: StillClock
) -> None:
    own_id = await activated(subscriber, sender, listener.origin)
    await subscriber.tell()

    async def deleting(writer: asyncio.StreamWriter) -> None:
        async with transaction(subscriber.engine, subscriber.organization_id) as db:
            await subscriber.own(db).delete(own_id, clock())
        await TAKEN(writer)

    listener.answer = deleting
    assert await deliver(sender) == 0
    [row] = await subscriber.rows("select status, delivered_number from subscription")
    assert row == {"status": "off", "delivered_number": 0}


async def test_a_sender_that_is_closed_ends_what_it_has_begun_and_begins_nothing(
    subscriber: Subscriber, sender: Sender, listener: Listener
) -> None:
    await activated(subscriber, sender, listener.origin)
    for _ in range(3):
        await subscriber.tell()
    started = asyncio.Event()

    async def signalling(writer: asyncio.StreamWriter) -> None:
        started.set()
        await asyncio.sleep(0.1)
        await TAKEN(writer)

    listener.answer = signalling
    taking = asyncio.create_task(sender.deliver_due())
    await started.wait()
    await sender.aclose()
    await taking
    state = await subscriber.state()
    assert (state["delivered_number"], state["lease"]) == (1, None)
