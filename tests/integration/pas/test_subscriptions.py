"""Subscriptions through the door of both lines: create, read, search, change, delete, ask."""

import asyncio
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Json, Line, as_bytes, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.door import (
    CARE_UNMET,
    ORIGIN,
    PATHS,
    Client,
    MakeClient,
    Rows,
    outcome_of,
    register,
)
from tests.integration.pas.subscribing import HOST, ask, may_be_told, subscribed, tell
from tests.subscriptions import (
    SECRET,
    TOPIC,
    a_filter,
    a_subscription,
    content,
    parameters,
    parameters_of,
)
from wiser_fhir.auth.scopes import ALL_SCOPES
from wiser_fhir.db.bodies import seal_body
from wiser_fhir.pas.subscription_service import MOST_EVENTS, MOST_OF_A_CLIENT


@pytest.fixture
async def subscriber(make_client: MakeClient, superuser_engine: AsyncEngine, line: Line) -> Client:
    """A clearinghouse that may be told at HOST."""
    client = await make_client(line)
    await may_be_told(superuser_engine, client, HOST)
    return client


async def pended(client: Client) -> None:
    body = request_bundle(client.line, answers=CARE_UNMET)
    answer = await client.submit(as_bytes(body))
    assert answer.status_code == 200, answer.text


async def test_a_new_one_is_requested_and_comes_back_whole(subscriber: Client) -> None:
    sent = a_subscription(subscriber.line)
    answer = await ask(subscriber, "POST", "Subscription", sent)
    assert answer.status_code == 201
    kept = answer.json()
    base = f"{ORIGIN}{PATHS[subscriber.line]}"
    assert answer.headers["location"] == f"{base}/Subscription/{kept['id']}"
    assert kept["meta"].pop("versionId") == "1"
    assert kept["meta"].pop("lastUpdated") == "2026-11-20T16:00:00.000Z"
    assert kept == sent | {"id": kept["id"], "meta": {}}
    read = await subscriber.get(f"Subscription/{kept['id']}")
    assert read.status_code == 200
    assert read.json()["channel"]["header"] == [SECRET]
    assert read.headers["etag"] == 'W/"1"'


async def test_secrets_lie_nowhere_readable(subscriber: Client, rows: Rows) -> None:
    await subscribed(subscriber, a_subscription(subscriber.line))
    [kept] = await rows.all("select s::text as whole, sealed from subscription s")
    assert "canary" not in kept["whole"]
    assert b"canary" not in kept["sealed"]
    trail = await rows.all("select string_agg(a::text, ' ') as whole from audit_event a")
    assert "canary" not in trail[0]["whole"]
    assert "ehr.example/told" not in trail[0]["whole"]


async def test_a_host_that_is_not_registered_is_refused(
    make_client: MakeClient, line: Line, rows: Rows
) -> None:
    client = await make_client(line)
    answer = await ask(client, "POST", "Subscription", a_subscription(line))
    issues = outcome_of(answer, 422)
    assert [issue["expression"] for issue in issues] == [["Subscription.channel.endpoint"]]
    assert await rows.all("select id from subscription") == []
    assert ("request.refused", "forbidden") in await rows.audit()


async def test_each_host_is_its_own_client_s(
    subscriber: Client, superuser_engine: AsyncEngine
) -> None:
    another = await register(
        superuser_engine, subscriber.http, organization_id=subscriber.organization_id
    )
    answer = await ask(
        another.at(subscriber.line), "POST", "Subscription", a_subscription(subscriber.line)
    )
    outcome_of(answer, 422)


async def test_2_0_keeps_what_it_cannot_heed_and_says_so(
    make_client: MakeClient, superuser_engine: AsyncEngine
) -> None:
    client = await make_client("2.0")
    await may_be_told(superuser_engine, client, HOST)
    sent = a_subscription("2.0") | {"end": "2020-12-31T12:00:00Z"}
    sent["_criteria"]["extension"] = [a_filter("Encounter.patient=Patient/123")]
    kept = await subscribed(client, sent)
    assert kept["status"] == "requested"
    assert "end" not in kept
    assert "_criteria" not in kept
    assert "end has passed" in kept["error"]
    assert "filter" in kept["error"]


async def test_2_2_refuses_it_with_every_problem(
    make_client: MakeClient, superuser_engine: AsyncEngine
) -> None:
    client = await make_client("2.2")
    await may_be_told(superuser_engine, client, HOST)
    sent = a_subscription("2.2") | {"end": "2020-12-31T12:00:00Z"}
    sent["_criteria"]["extension"] = [a_filter("Encounter.patient=Patient/123")]
    issues = outcome_of(await ask(client, "POST", "Subscription", sent), 422)
    assert [issue["expression"] for issue in issues] == [
        ["Subscription.end"],
        ["Subscription.criteria.extension[0]"],
    ]


async def test_a_provider_can_name_nobody_but_itself(
    make_client: MakeClient, superuser_engine: AsyncEngine
) -> None:
    client = await make_client("2.2", npis=("1999000015",))
    await may_be_told(superuser_engine, client, HOST)
    await subscribed(client, a_subscription("2.2"))
    sent = a_subscription("2.2")
    sent["_criteria"]["extension"] = [a_filter("org-identifier=8189991234")]
    outcome_of(await ask(client, "POST", "Subscription", sent), 422)


async def test_what_is_no_subscription_is_refused(subscriber: Client) -> None:
    broken = a_subscription(subscriber.line) | {"channel": {"type": "rest-hook", "payload": 1}}
    outcome_of(await ask(subscriber, "POST", "Subscription", broken), 400)
    outcome_of(await ask(subscriber, "POST", "Subscription", {"resourceType": "Patient"}), 400)
    off = a_subscription(subscriber.line) | {"status": "off"}
    outcome_of(await ask(subscriber, "POST", "Subscription", off), 422)


async def test_another_s_looks_like_none(
    subscriber: Client, superuser_engine: AsyncEngine, line: Line
) -> None:
    kept = await subscribed(subscriber, a_subscription(line))
    path = f"Subscription/{kept['id']}"
    same_house = await register(
        superuser_engine, subscriber.http, organization_id=subscriber.organization_id
    )
    another = await register(superuser_engine, subscriber.http)
    other_line = subscriber.at("2.0" if line == "2.2" else "2.2")
    for client in (same_house.at(line), another.at(line), other_line):
        for method, rest in (
            *(("GET", ""), ("DELETE", "")),
            *((method, way) for method in ("GET", "POST") for way in ("/$status", "/$events")),
        ):
            outcome_of(await ask(client, method, path + rest), 404)
        await may_be_told(superuser_engine, client, HOST)
        change = a_subscription(client.line) | {"id": kept["id"]}
        outcome_of(await ask(client, "PUT", path, change), 404)
    await may_be_told(superuser_engine, subscriber, HOST)
    assert (await subscriber.get(path)).status_code == 200
    outcome_of(await subscriber.get("Subscription/not-a-uuid"), 404)
    outcome_of(await subscriber.get(f"Subscription/{uuid4()}"), 404)


@pytest.mark.parametrize(
    ("method", "path", "missing"),
    [
        ("POST", "Subscription", "system/Subscription.cruds"),
        ("POST", "Subscription", "system/ClaimResponse.rs"),
        ("PUT", "Subscription/x", "system/ClaimResponse.rs"),
        ("DELETE", "Subscription/x", "system/Subscription.cruds"),
        ("GET", "Subscription", "system/Subscription.cruds"),
        ("GET", "Subscription/x", "system/Subscription.cruds"),
        ("GET", "Subscription/x/$status", "system/Subscription.cruds"),
        ("GET", "Subscription/x/$events", "system/ClaimResponse.rs"),
    ],
)
async def test_each_asks_for_its_scope(
    make_client: MakeClient, method: str, path: str, missing: str
) -> None:
    client = await make_client(scopes=tuple(each for each in ALL_SCOPES if each != missing))
    body = a_subscription() if method in ("POST", "PUT") else None
    outcome_of(await ask(client, method, path, body), 403)


async def test_one_s_own_are_found(subscriber: Client, line: Line) -> None:
    first = await subscribed(subscriber, a_subscription(line))
    second = await subscribed(subscriber, a_subscription(line, f"{HOST}/other"))
    answer = (await subscriber.get("Subscription")).json()
    assert (answer["type"], answer["total"]) == ("searchset", 2)
    assert [entry["resource"]["id"] for entry in answer["entry"]] == [first["id"], second["id"]]
    by_url = (await subscriber.get(f"Subscription?url={HOST}/other&status=requested")).json()
    assert [entry["resource"]["id"] for entry in by_url["entry"]] == [second["id"]]
    assert by_url["entry"][0]["fullUrl"].endswith(f"{PATHS[line]}/Subscription/{second['id']}")
    form = await subscriber.http.post(
        f"{PATHS[line]}/Subscription/_search",
        data={"status": "off"},
        headers={"authorization": f"Bearer {subscriber.token}"},
    )
    assert (form.status_code, form.json()["total"]) == (200, 0)
    strict = await subscriber.get("Subscription?colour=blue", Prefer="handling=strict")
    outcome_of(strict, 400)
    assert (await subscriber.get("Subscription?colour=blue")).json()["total"] == 2


async def test_a_client_has_fifty_and_no_more(subscriber: Client, line: Line) -> None:
    for _ in range(MOST_OF_A_CLIENT):
        last = await subscribed(subscriber, a_subscription(line))
    outcome_of(await ask(subscriber, "POST", "Subscription", a_subscription(line)), 422)
    assert (await ask(subscriber, "DELETE", f"Subscription/{last['id']}")).status_code == 204
    await subscribed(subscriber, a_subscription(line))


async def test_a_client_that_asks_all_at_once_has_fifty_and_no_more(
    subscriber: Client, line: Line, rows: Rows
) -> None:
    for _ in range(MOST_OF_A_CLIENT - 2):
        await subscribed(subscriber, a_subscription(line))
    wanted = (ask(subscriber, "POST", "Subscription", a_subscription(line)) for _ in range(12))
    answers = await asyncio.gather(*wanted)
    assert sorted(answer.status_code for answer in answers) == [201] * 2 + [422] * 10
    assert await rows.all("select count(*) as n from subscription") == [{"n": 50}]


@pytest.fixture
async def unreadable(subscriber: Client, line: Line, superuser_engine: AsyncEngine) -> Json:
    """A Subscription whose secrets were sealed for another."""
    kept = await subscribed(subscriber, a_subscription(line))
    async with superuser_engine.begin() as db:
        place = ("subscription", "sealed", UUID(int=0))
        sealed = await seal_body(db, subscriber.organization_id, b"{}", *place)
        await db.execute(text("update subscription set sealed = :sealed"), {"sealed": sealed})
    return kept


async def test_one_that_does_not_open_says_so_and_tells_how_it_stands(
    subscriber: Client, unreadable: Json
) -> None:
    path = f"Subscription/{unreadable['id']}"
    [issue] = outcome_of(await subscriber.get(path), 409)
    assert issue["code"] == "conflict"
    assert "send it again by PUT, or delete it" in issue["details"]["text"]
    told = (await subscriber.get(f"{path}/$status")).json()
    assert parameters_of(told["entry"][0]["resource"])["status"] == "requested"
    assert (await subscriber.get(f"{path}/$events")).status_code == 200


async def test_one_that_does_not_open_hides_no_other(
    subscriber: Client, unreadable: Json, line: Line
) -> None:
    sound = await subscribed(subscriber, a_subscription(line))
    found = (await subscriber.get("Subscription")).json()
    assert found["total"] == 1
    assert [(e["search"]["mode"], e["resource"].get("id")) for e in found["entry"]] == [
        ("match", sound["id"]),
        ("outcome", None),
    ]
    [issue] = found["entry"][1]["resource"]["issue"]
    assert (issue["severity"], issue["code"]) == ("warning", "conflict")
    assert unreadable["id"] in issue["details"]["text"]
    by_url = (await subscriber.get(f"Subscription?url={HOST}/told")).json()
    assert [entry["resource"]["id"] for entry in by_url["entry"]] == [sound["id"]]
    assert (await subscriber.get("Subscription/$status")).json()["total"] == 2


async def test_one_that_another_key_sealed_can_be_sent_again(
    subscriber: Client, unreadable: Json, line: Line
) -> None:
    path = f"Subscription/{unreadable['id']}"
    sent = a_subscription(line) | {"id": unreadable["id"]}
    assert (await ask(subscriber, "PUT", path, sent)).status_code == 200
    read = (await subscriber.get(path)).json()
    assert (read["status"], read["channel"]["header"]) == ("requested", [SECRET])


async def test_one_that_another_key_sealed_can_be_deleted(
    subscriber: Client, unreadable: Json
) -> None:
    path = f"Subscription/{unreadable['id']}"
    assert (await ask(subscriber, "DELETE", path)).status_code == 204
    outcome_of(await subscriber.get(path), 404)


async def test_a_deleted_one_is_gone_with_its_secrets_and_its_record_stays(
    subscriber: Client, line: Line, rows: Rows
) -> None:
    kept = await subscribed(subscriber, a_subscription(line))
    path = f"Subscription/{kept['id']}"
    answer = await ask(subscriber, "DELETE", path)
    assert (answer.status_code, answer.content) == (204, b"")
    outcome_of(await subscriber.get(path), 404)
    outcome_of(await ask(subscriber, "DELETE", path), 404)
    [row] = await rows.all("select status, sealed, due_at from subscription")
    assert row == {"status": "off", "sealed": None, "due_at": None}


async def test_a_changed_one_begins_with_a_handshake_and_counts_on(
    subscriber: Client, line: Line, rows: Rows, app_engine: AsyncEngine, clock: StillClock
) -> None:
    kept = await subscribed(subscriber, a_subscription(line))
    await pended(subscriber)
    await tell(app_engine, rows, subscriber)
    clock.now += timedelta(hours=1)
    changed = a_subscription(line, f"{HOST}/elsewhere") | {"id": kept["id"]}
    answer = await ask(subscriber, "PUT", f"Subscription/{kept['id']}", changed)
    assert answer.status_code == 200
    assert answer.json()["channel"]["endpoint"] == f"{HOST}/elsewhere"
    assert answer.json()["meta"]["versionId"] == "2"
    [row] = await rows.all("select status, last_number, due_at from subscription")
    assert row == {
        "status": "requested",
        "last_number": 1,
        "due_at": clock.now + timedelta(seconds=2),
    }


async def test_the_id_in_the_body_is_the_one_in_the_address(subscriber: Client) -> None:
    kept = await subscribed(subscriber, a_subscription(subscriber.line))
    path = f"Subscription/{kept['id']}"
    body = a_subscription(subscriber.line)
    outcome_of(await ask(subscriber, "PUT", path, body), 400)
    outcome_of(await ask(subscriber, "PUT", path, body | {"id": str(uuid4())}), 400)


async def test_one_put_off_is_told_of_nothing(
    subscriber: Client, line: Line, rows: Rows, app_engine: AsyncEngine
) -> None:
    kept = await subscribed(subscriber, a_subscription(line))
    off = a_subscription(line) | {"id": kept["id"], "status": "off"}
    answer = await ask(subscriber, "PUT", f"Subscription/{kept['id']}", off)
    assert (answer.status_code, answer.json()["status"]) == (200, "off")
    await pended(subscriber)
    await tell(app_engine, rows, subscriber)
    assert await rows.all("select number from subscription_event") == []
    again = off | {"status": "requested"}
    answer = await ask(subscriber, "PUT", f"Subscription/{kept['id']}", again)
    assert answer.json()["status"] == "requested"


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_status_is_told_by_itself_and_of_all(
    subscriber: Client, line: Line, method: str
) -> None:
    first = await subscribed(subscriber, a_subscription(line))
    await subscribed(subscriber, a_subscription(line))
    body = {"resourceType": "Parameters"} if method == "POST" else None
    one = (await ask(subscriber, method, f"Subscription/{first['id']}/$status", body)).json()
    assert (one["type"], one["total"]) == ("searchset", 1)
    told = parameters_of(one["entry"][0]["resource"])
    assert told["subscription"].endswith(f"Subscription/{first['id']}")
    assert (told["type"], told["status"], told["topic"]) == ("query-status", "requested", TOPIC)
    assert told["events-since-subscription-start"] == "0"
    every = (await ask(subscriber, method, "Subscription/$status", body)).json()
    assert every["total"] == 2
    named = await ask(subscriber, method, f"Subscription/$status?id={first['id']}", body)
    assert named.json()["total"] == 1
    none = await ask(subscriber, method, "Subscription/$status?status=error", body)
    assert none.json()["total"] == 0
    outcome_of(await ask(subscriber, method, "Subscription/$status?status=x", body), 400)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_events_are_had_by_number_in_bounds(
    subscriber: Client, line: Line, rows: Rows, app_engine: AsyncEngine, method: str
) -> None:
    kept = await subscribed(subscriber, a_subscription(line))
    await pended(subscriber)
    for _ in range(MOST_EVENTS + 2):
        case = await tell(app_engine, rows, subscriber)
    path = f"Subscription/{kept['id']}/$events"

    async def numbers(**asked: str) -> list[str]:
        query = "&".join(f"{name}={value}" for name, value in asked.items())
        body = {"resourceType": "Parameters"} if method == "POST" else None
        answer = await ask(subscriber, method, f"{path}?{query}", body)
        assert answer.status_code == 200, answer.text
        told = parameters(answer.json())
        assert told["type"] == "query-event"
        assert told["events-since-subscription-start"] == "22"
        return [event["event-number"] for event in told["notification-event"]]

    assert await numbers() == [str(n) for n in range(1, 21)]
    assert await numbers(eventsSinceNumber="20") == ["20", "21", "22"]
    assert await numbers(eventsSinceNumber="3", eventsUntilNumber="4") == ["3", "4"]
    assert await numbers(eventsSinceNumber="23") == []
    answer = await ask(subscriber, "GET", f"{path}?eventsSinceNumber=22&content=id-only")
    [event] = parameters(answer.json())["notification-event"]
    assert event["focus"].endswith(f"{PATHS[line]}/ClaimResponse/{case['id']}")
    outcome_of(await ask(subscriber, "GET", f"{path}?eventsSinceNumber=x"), 400)


async def test_events_in_full_carry_the_answer_as_it_was_given(
    make_client: MakeClient, superuser_engine: AsyncEngine, rows: Rows, app_engine: AsyncEngine
) -> None:
    client = await make_client("2.2")
    await may_be_told(superuser_engine, client, HOST)
    kept = await subscribed(client, a_subscription("2.2"))
    answer = await client.submit(as_bytes(request_bundle("2.2", answers=CARE_UNMET)))
    await tell(app_engine, rows, client)
    events = (await client.get(f"Subscription/{kept['id']}/$events")).json()
    [event] = parameters(events)["notification-event"]
    [entry] = events["entry"][1:]
    assert entry["fullUrl"] == event["focus"]
    assert entry["resource"] == answer.json()


async def test_content_is_one_of_three(subscriber: Client, line: Line) -> None:
    sent = a_subscription(line)
    sent["channel"]["_payload"]["extension"] = [content("empty")]
    outcome_of(await ask(subscriber, "POST", "Subscription", sent), 422)


async def test_every_act_is_on_the_trail(subscriber: Client, line: Line, rows: Rows) -> None:
    kept = await subscribed(subscriber, a_subscription(line))
    path = f"Subscription/{kept['id']}"
    await subscriber.get(path)
    await subscriber.get(f"{path}/$status")
    await subscriber.get(f"{path}/$events")
    await subscriber.get("Subscription")
    await ask(subscriber, "PUT", path, a_subscription(line) | {"id": kept["id"]})
    await ask(subscriber, "DELETE", path)
    assert [action for action, outcome in await rows.audit() if outcome == "done"] == [
        "subscription.create",
        "subscription.read",
        "subscription.status",
        "subscription.events",
        "subscription.search",
        "subscription.update",
        "subscription.delete",
    ]


async def test_who_reads_events_is_on_the_trail_with_each_beneficiary(
    subscriber: Client, line: Line, rows: Rows, app_engine: AsyncEngine
) -> None:
    kept = await subscribed(subscriber, a_subscription(line))
    await pended(subscriber)
    await tell(app_engine, rows, subscriber)
    await subscriber.get(f"Subscription/{kept['id']}/$events")
    await subscriber.get(f"Subscription/{kept['id']}/$events?eventsSinceNumber=9")
    trail = "select action, patient from audit_event where action in (%s) order by id"
    [submitted] = await rows.all(trail % "'claim.submit'")
    read = await rows.all(trail % "'subscription.events'")
    assert submitted["patient"] is not None
    assert [row["patient"] for row in read] == [submitted["patient"], None]
