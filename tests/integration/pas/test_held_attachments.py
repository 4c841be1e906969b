"""What is attached to no request is held in bounds, and not for ever."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import MEMBERS, Json, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.attaching import Finds, Worker, attach, attachment, call, document, said
from tests.integration.pas.door import CARE_UNMET, Client, MakeClient, Rows, outcome_of

HELD = "No request of yours has this number and member yet: held until it comes."
FULL = (
    "No request of yours has this number and member yet, and no more is held: at most 100 calls"
    " and 256 MiB. Send the request first."
)


@pytest.fixture
def worker(app_engine: AsyncEngine, clock: StillClock) -> Worker:
    return Worker(app_engine, clock)


def unasked(number: int) -> Json:
    return call(f"no such number {number}", MEMBERS[0].mbi)


async def deliveries(rows: Rows) -> int:
    [row] = await rows.all("select count(*) as n from attachment_delivery")
    return int(row["n"])


async def test_a_hundred_calls_are_held_and_no_more(
    client: Client, make_client: MakeClient, rows: Rows
) -> None:
    for number in range(98):
        assert HELD in said(await attach(client, unasked(number)))
    answers = await asyncio.gather(*(attach(client, unasked(number)) for number in range(98, 106)))
    assert sorted(answer.status_code for answer in answers) == [200] * 2 + [422] * 6
    [issue] = outcome_of(await attach(client, unasked(106)), 422)
    assert (issue["code"], issue["details"]["text"]) == ("too-costly", FULL)
    assert HELD in said(await attach(client, unasked(0)))
    assert await deliveries(rows) == 100
    assert HELD in said(await attach(await make_client(client.line), unasked(0)))


async def filled(superuser: AsyncEngine) -> None:
    """As if the one attachment there is were as large as all may be together."""
    async with superuser.begin() as db:
        await db.execute(text("update attachment set size = 268435456"))


async def test_no_more_bytes_are_held_than_there_is_room_for(
    client: Client, superuser_engine: AsyncEngine, rows: Rows
) -> None:
    await attach(client, unasked(1))
    await filled(superuser_engine)
    outcome_of(await attach(client, unasked(2)), 422)
    assert await deliveries(rows) == 1


async def test_what_its_request_has_come_for_is_not_held(
    client: Client, superuser_engine: AsyncEngine, rows: Rows
) -> None:
    await attach(client, unasked(1))
    await filled(superuser_engine)
    await client.submit(request_bundle(client.line, answers=CARE_UNMET))
    (case,) = await rows.cases()
    assert "in review" in said(await attach(client, call(case["trace_value"], case["mbi"])))


async def test_what_was_refused_takes_no_room(
    client: Client, worker: Worker, superuser_engine: AsyncEngine
) -> None:
    await attach(client, unasked(1))
    await filled(superuser_engine)
    await worker.with_scanner(Finds()).run()
    assert HELD in said(await attach(client, call("2", MEMBERS[0].mbi, final=False)))


async def test_what_is_held_for_ninety_days_lapses_and_its_record_stays(
    client: Client, worker: Worker, rows: Rows, clock: StillClock
) -> None:
    await attach(client, unasked(1))
    await worker.run()
    clock.now += timedelta(days=89, hours=23)
    await worker.run()
    kept = "select state, content is null as gone from attachment"
    assert await rows.all(kept) == [{"state": "clear", "gone": False}]
    clock.now += timedelta(hours=1)
    await worker.run()
    assert await rows.all("select state, content, resource from attachment") == [
        {"state": "lapsed", "content": None, "resource": None}
    ]
    assert await rows.all("select lapsed_at from attachment_delivery") == [{"lapsed_at": clock.now}]
    assert (await rows.audit())[-1] == ("attachment.lapse", "lapsed")
    assert await worker.run() == 0


async def test_what_has_lapsed_is_matched_to_nothing_and_may_be_sent_anew(
    client: Client, worker: Worker, rows: Rows, clock: StillClock
) -> None:
    bundle = request_bundle(client.line, answers=CARE_UNMET)
    trace = bundle["entry"][0]["resource"]["identifier"][0]["value"]
    await attach(client, call(trace, MEMBERS[0].mbi))
    clock.now += timedelta(days=90)
    await worker.with_scanner(None).run()
    await client.submit(bundle)
    await worker.run()
    assert await rows.all("select case_id from attachment_delivery") == [{"case_id": None}]
    answer = said(await attach(client, call(trace, MEMBERS[0].mbi)))
    assert "in review" in answer
    assert "in quarantine until they have been checked for malware: 1" in answer
    states = await rows.all("select state from attachment order by id")
    assert [row["state"] for row in states] == ["lapsed", "quarantined"]


async def test_a_file_stays_as_long_as_a_later_call_brings_it_too(
    client: Client, worker: Worker, rows: Rows, clock: StillClock
) -> None:
    await attach(client, call("1", MEMBERS[0].mbi, final=False))
    clock.now += timedelta(days=60)
    await attach(client, call("1", MEMBERS[0].mbi, final=True))
    clock.now += timedelta(days=30)
    await worker.run()
    assert await rows.all("select state from attachment") == [{"state": "clear"}]
    clock.now += timedelta(days=60)
    await worker.run()
    assert await rows.all("select state from attachment") == [{"state": "lapsed"}]
    lapsed = "select count(*) as n from attachment_delivery where lapsed_at is not null"
    assert await rows.all(lapsed) == [{"n": 2}]


async def test_what_is_with_a_request_or_for_a_claim_never_lapses(
    client: Client, worker: Worker, rows: Rows, clock: StillClock
) -> None:
    await client.submit(request_bundle(client.line, answers=CARE_UNMET))
    (case,) = await rows.cases()
    await attach(client, call(case["trace_value"], case["mbi"]))
    other = attachment(document(b"%PDF-1.7 of a claim"))
    of_claim = call("D1", case["mbi"], other, attach_to="claim", service_date="2026-10-01")
    await attach(client, of_claim)
    clock.now += timedelta(days=900)
    await worker.run()
    lapsed = "select count(*) as n from attachment_delivery where lapsed_at is not null"
    assert await rows.all(lapsed) == [{"n": 0}]


@pytest.mark.parametrize(
    ("statement", "refused"),
    [
        ("update attachment_delivery set lapsed_at = now()", "stays there"),
        ("update attachment set state = 'clear', content = '\\x01'", "checked once"),
        ("update attachment set state = 'quarantined'", "checked once"),
    ],
)
async def test_what_has_lapsed_never_comes_back(
    client: Client,
    worker: Worker,
    clock: StillClock,
    superuser_engine: AsyncEngine,
    statement: str,
    refused: str,
) -> None:
    await attach(client, unasked(1))
    clock.now += timedelta(days=90)
    await worker.run()
    with pytest.raises(DBAPIError, match=refused):
        async with superuser_engine.begin() as db:
            await db.execute(text(statement))
