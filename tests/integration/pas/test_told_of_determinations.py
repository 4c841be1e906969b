"""A subscriber hears of what a clinician decides, with the very answer that was kept."""

import orjson
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Line, as_bytes, request_bundle
from tests.integration.pas.door import CARE_UNMET, Client, MakeClient, Rows, actions, claim_response
from tests.integration.pas.reviewing import a_clinician, determine
from tests.integration.pas.subscribing import HOST, may_be_told, subscribed
from tests.subscriptions import a_subscription, parameters


async def test_a_determination_is_an_event_and_the_first_answer_is_none(
    app: FastAPI, client: Client, superuser_engine: AsyncEngine, rows: Rows, line: Line
) -> None:
    subscriber = client.at(line)
    await may_be_told(superuser_engine, subscriber, HOST)
    kept = await subscribed(subscriber, a_subscription(line))
    path = f"Subscription/{kept['id']}/$events"
    answer = await subscriber.submit(as_bytes(request_bundle(line, answers=CARE_UNMET)))
    case_id = claim_response(answer)["id"]
    assert parameters((await subscriber.get(path)).json())["notification-event"] == []
    await determine(app, await a_clinician(superuser_engine), case_id)
    told = (await subscriber.get(path)).json()
    [event] = parameters(told)["notification-event"]
    assert event["event-number"] == "1"
    if line == "2.0":
        assert event["focus"].endswith(f"/v2.0/fhir/ClaimResponse/{case_id}")
        read = await subscriber.get(f"ClaimResponse/{case_id}")
        assert "A1" in actions(read.json()).values()
        return
    [entry] = told["entry"][1:]
    [message] = await rows.messages(
        "select m.* from message m join prior_auth_case c on c.answer_message_id = m.id"
    )
    assert entry["resource"] == orjson.loads(message)
    assert "A1" in actions(claim_response(entry["resource"])).values()


async def test_another_organization_hears_nothing(
    app: FastAPI, make_client: MakeClient, client: Client, superuser_engine: AsyncEngine
) -> None:
    other = await make_client("2.2")
    await may_be_told(superuser_engine, other, HOST)
    kept = await subscribed(other, a_subscription("2.2"))
    answer = await client.submit(as_bytes(request_bundle("2.2", answers=CARE_UNMET)))
    await determine(app, await a_clinician(superuser_engine), claim_response(answer)["id"])
    told = await other.get(f"Subscription/{kept['id']}/$events")
    assert parameters(told.json())["notification-event"] == []
