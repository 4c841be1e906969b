"""Subscribers hear of every change of an answer, whoever made it and whatever is still open."""

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Line, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.attaching import Worker, attach, call
from tests.integration.pas.door import CARE_UNMET, Client, Rows, claim_response
from tests.integration.pas.subscribing import HOST, may_be_told, subscribed
from tests.subscriptions import a_subscription, parameters
from tests.update_bundles import cancel_of, update_of


async def _numbers(client: Client, subscription: str) -> list[str]:
    events = (await client.get(f"Subscription/{subscription}/$events")).json()
    return [each["event-number"] for each in parameters(events)["notification-event"]]


async def test_updates_and_cancels_are_events(
    client: Client, superuser_engine: AsyncEngine, line: Line
) -> None:
    """Source: PAS 2.2.1 §spec-60."""
    sender = client.at(line)
    await may_be_told(superuser_engine, sender, HOST)
    kept = (await subscribed(sender, a_subscription(line)))["id"]
    first = request_bundle(line, answers=CARE_UNMET, codes=("64483", "64484"))
    second = update_of(first, line, cancel=(2,))
    await sender.submit(first)
    assert await _numbers(sender, kept) == []
    await sender.submit(second)
    assert await _numbers(sender, kept) == ["1"]
    await sender.submit(cancel_of(second, line))
    assert await _numbers(sender, kept) == ["1", "2"]


async def test_what_is_asked_for_and_what_comes_are_events(
    client: Client,
    superuser_engine: AsyncEngine,
    app_engine: AsyncEngine,
    line: Line,
    rows: Rows,
    clock: StillClock,
) -> None:
    """The request is pended before and after."""
    sender, worker = client.at(line), Worker(app_engine, clock)
    await may_be_told(superuser_engine, sender, HOST)
    kept = (await subscribed(sender, a_subscription(line)))["id"]
    claim_response(await sender.submit(request_bundle(line, answers=CARE_UNMET)))
    (case,) = await rows.cases()
    await worker.ask(sender, case["id"])
    assert await _numbers(sender, kept) == ["1"]
    await attach(sender, call(case["trace_value"], case["mbi"]))
    await worker.run()
    assert await _numbers(sender, kept) == ["1", "2"]
