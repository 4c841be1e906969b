"""HL7's engine as judge of what subscribers are sent and of what they are answered."""

from dataclasses import replace
from uuid import UUID

import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Json, Line, as_bytes, request_bundle
from tests.integration.pas.door import CARE_UNMET, NOW, Client, MakeClient, Rows
from tests.integration.pas.subscribing import HOST, ask, may_be_told, subscribed, tell
from tests.oracle.judge import Judge
from tests.subscriptions import a_subscription
from wiser_fhir.db.engine import transaction
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.notify import subscriptions
from wiser_fhir.notify.subscriptions import Event, OwnSubscriptions, Status, Subscription
from wiser_fhir.pas.notices import NOTIFICATION, STATUS, Notices
from wiser_fhir.pas.subscription import PROFILES

pytestmark = [pytest.mark.oracle, pytest.mark.xdist_group("oracle")]


@pytest.fixture
async def subscriber(make_client: MakeClient, superuser_engine: AsyncEngine, line: Line) -> Client:
    client = await make_client(line)
    await may_be_told(superuser_engine, client, HOST)
    return client


async def told(
    app: FastAPI, engine: AsyncEngine, rows: Rows, client: Client
) -> tuple[Subscription, Event]:
    """A subscription and the one event it has, of a case that is pended."""
    kept = await subscribed(client, a_subscription(client.line))
    await client.submit(as_bytes(request_bundle(client.line, answers=CARE_UNMET)))
    await tell(engine, rows, client)
    async with transaction(engine, client.organization_id) as db:
        own = OwnSubscriptions(db, client.organization_id, client.client_id, client.line)
        found = await own.one(UUID(kept["id"]))
        [event] = await subscriptions.events(db, found, 1, 1, at_most=1)
    return replace(found, status=Status.ACTIVE), event


def errors(judge: Judge, resource: Json, line: Line, profile: str) -> list[str]:
    return [
        f"{issue.id}: {issue.expression}: {issue.text}"
        for issue in judge.validate(resource, line, profile)
        if issue.is_error
    ]


async def test_every_notification_is_valid(
    app: FastAPI, app_engine: AsyncEngine, rows: Rows, subscriber: Client, line: Line, judge: Judge
) -> None:
    found, event = await told(app, app_engine, rows, subscriber)
    failing = replace(found, status=Status.ERROR, attempts=1, failing_since=NOW, last_error="slow")
    notices = Notices()
    sent = {
        "handshake": notices.handshake(replace(found, status=Status.REQUESTED), NOW),
        "heartbeat": notices.heartbeat(found, NOW),
        "event": notices.event(found, event, NOW),
        "events": notices.events(found, [event], None, NOW),
        "events-by-id": notices.events(found, [event], "id-only", NOW),
        "events-empty": notices.events(failing, [event], "empty", NOW),
    }
    ours = GuideValidator.load(line)
    for name, body in sent.items():
        bundle = orjson.loads(body)
        assert (name, errors(judge, bundle, line, NOTIFICATION)) == (name, [])
        assert ours.accepts(bundle, NOTIFICATION), name
        assert errors(judge, bundle["entry"][0]["resource"], line, STATUS) == []


async def test_what_is_answered_about_subscriptions_is_valid(
    subscriber: Client, line: Line, judge: Judge
) -> None:
    kept = await subscribed(subscriber, a_subscription(line))
    assert errors(judge, kept, line, PROFILES[line]) == []
    path = f"Subscription/{kept['id']}"
    off = a_subscription(line) | {"id": kept["id"], "status": "off"}
    changed = await ask(subscriber, "PUT", path, off)
    assert errors(judge, changed.json(), line, PROFILES[line]) == []
    bundle = "http://hl7.org/fhir/StructureDefinition/Bundle"
    for asked in ("Subscription", f"{path}/$status", "Subscription/$status", f"{path}/$events"):
        answer = await subscriber.get(asked)
        assert answer.status_code == 200
        assert (asked, errors(judge, answer.json(), line, bundle)) == (asked, [])


async def test_what_2_0_keeps_altered_is_valid(
    make_client: MakeClient, superuser_engine: AsyncEngine, judge: Judge
) -> None:
    client = await make_client("2.0")
    await may_be_told(superuser_engine, client, HOST)
    sent = a_subscription("2.0") | {"end": "2020-12-31T12:00:00Z"}
    sent["_criteria"]["extension"][0]["valueString"] = "Encounter.patient=Patient/123"
    kept = await subscribed(client, sent)
    assert errors(judge, kept, "2.0", PROFILES["2.0"]) == []


@pytest.mark.parametrize("line", ["2.2", "2.0"])
async def test_the_capability_statement_is_valid(client: Client, line: Line, judge: Judge) -> None:
    answer = await client.at(line).get("metadata")
    profile = "http://hl7.org/fhir/StructureDefinition/CapabilityStatement"
    assert errors(judge, answer.json(), line, profile) == []
