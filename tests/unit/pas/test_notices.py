"""Notification Bundles, `$status` and `$events` as they are put on the wire."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest

from tests.bundle_values import Json
from tests.subscriptions import SECRET, TOPIC, a_subscription, parameters, parameters_of
from wiser_fhir.notify.subscriptions import Content, Event, Status, Subscription
from wiser_fhir.pas.notices import Notices

AT = datetime(2026, 11, 20, 16, 0, 5, tzinfo=UTC)
BASE = "https://payer.example/fhir"
BUNDLE = {
    "resourceType": "Bundle",
    "id": "6a1f5d2e-9d55-5f6f-8d7e-0b5f3f3b9c11",
    "type": "collection",
}
TOLD = Subscription(
    organization_id=UUID(int=1),
    id=UUID(int=2),
    client_id=UUID(int=3),
    line="2.2",
    status=Status.ACTIVE,
    content=Content.FULL_RESOURCE,
    resource=orjson.dumps(a_subscription() | {"meta": {"profile": ["p"]}}),
    host="https://ehr.example:443",
    base_url=BASE,
    heartbeat=None,
    ends_at=None,
    warnings=(),
    revision=3,
    created_at=AT,
    updated_at=AT,
    last_number=9,
    delivered_number=6,
    attempts=0,
    failing_since=None,
    last_error=None,
    last_sent_at=None,
    due_at=None,
)
ID_ONLY = replace(
    TOLD, content=Content.ID_ONLY, line="2.0", base_url="https://payer.example/v2.0/fhir"
)
EVENT = Event(7, UUID(int=70), UUID(int=71), AT, orjson.dumps(BUNDLE))
SUBSCRIPTION = f"{BASE}/Subscription/00000000-0000-0000-0000-000000000002"
CASE = "ClaimResponse/00000000-0000-0000-0000-000000000046"


def loaded(body: bytes) -> Json:
    found: Json = orjson.loads(body)
    return found


@pytest.mark.parametrize(
    ("sent", "kind", "status"),
    [
        (Notices().handshake(replace(TOLD, status=Status.REQUESTED), AT), "handshake", "requested"),
        (Notices().heartbeat(TOLD, AT), "heartbeat", "active"),
    ],
    ids=["handshake", "heartbeat"],
)
def test_what_tells_of_nothing_is_the_status_alone(sent: bytes, kind: str, status: str) -> None:
    bundle = loaded(sent)
    assert (bundle["type"], bundle["timestamp"]) == ("history", "2026-11-20T16:00:05.000Z")
    [entry] = bundle["entry"]
    assert entry["request"] == {"method": "GET", "url": f"{SUBSCRIPTION}/$status"}
    assert entry["response"] == {"status": "200"}
    assert parameters(bundle) == {
        "subscription": SUBSCRIPTION,
        "topic": TOPIC,
        "status": status,
        "type": kind,
        "events-since-subscription-start": "9",
        "notification-event": [],
    }


def test_an_event_by_its_id_is_the_status_alone_with_the_claim_response_as_focus() -> None:
    bundle = loaded(Notices().event(ID_ONLY, EVENT, AT))
    assert len(bundle["entry"]) == 1
    told = parameters(bundle)
    assert (told["status"], told["type"]) == ("active", "event-notification")
    assert told["events-since-subscription-start"] == "7"
    assert told["notification-event"] == [
        {
            "event-number": "7",
            "timestamp": "2026-11-20T16:00:05.000Z",
            "focus": f"https://payer.example/v2.0/fhir/{CASE}",
        }
    ]


def test_an_event_in_full_has_the_response_bundle_as_the_entry_that_its_focus_names() -> None:
    bundle = loaded(Notices().event(TOLD, EVENT, AT))
    [event] = parameters(bundle)["notification-event"]
    assert event["focus"] == "urn:uuid:6a1f5d2e-9d55-5f6f-8d7e-0b5f3f3b9c11"
    assert bundle["entry"][1:] == [
        {
            "fullUrl": event["focus"],
            "resource": BUNDLE,
            "request": {"method": "GET", "url": f"{BASE}/{CASE}"},
            "response": {"status": "200"},
        }
    ]


@pytest.mark.parametrize("name", ["not-a-uuid", None])
def test_a_bundle_without_an_id_of_that_kind_goes_by_its_message(name: str | None) -> None:
    body = orjson.dumps(BUNDLE | {"id": name} if name else {"resourceType": "Bundle"})
    bundle = loaded(Notices().event(TOLD, replace(EVENT, body=body), AT))
    [event] = parameters(bundle)["notification-event"]
    assert event["focus"] == bundle["entry"][1]["fullUrl"] == f"urn:uuid:{UUID(int=71)}"


@pytest.mark.parametrize(
    ("content", "focus", "entries"),
    [
        (None, "urn:uuid:6a1f5d2e-9d55-5f6f-8d7e-0b5f3f3b9c11", 3),
        ("full-resource", "urn:uuid:6a1f5d2e-9d55-5f6f-8d7e-0b5f3f3b9c11", 3),
        ("id-only", f"{BASE}/{CASE}", 1),
        ("empty", None, 1),
    ],
)
def test_events_asked_for_may_be_had_with_less(
    content: str | None, focus: str | None, entries: int
) -> None:
    two = [EVENT, replace(EVENT, number=8)]
    bundle = loaded(Notices().events(TOLD, two, content, AT))
    assert len(bundle["entry"]) == entries
    told = parameters(bundle)
    assert (told["type"], told["events-since-subscription-start"]) == ("query-event", "9")
    assert [each["event-number"] for each in told["notification-event"]] == ["7", "8"]
    assert [each.get("focus") for each in told["notification-event"]] == [focus, focus]


def test_and_never_with_more_than_was_subscribed_to() -> None:
    bundle = loaded(Notices().events(ID_ONLY, [EVENT], "full-resource", AT))
    assert len(bundle["entry"]) == 1


@pytest.mark.parametrize(
    ("last_error", "code"),
    [("status 500", "error-response"), ("slow", "no-response"), (None, None)],
)
def test_a_status_says_what_went_wrong(last_error: str | None, code: str | None) -> None:
    failing = replace(
        TOLD, status=Status.ERROR, attempts=3, failing_since=AT, last_error=last_error
    )
    url = f"{SUBSCRIPTION}/$status"
    bundle = loaded(Notices().status([failing], url, AT))
    assert (bundle["type"], bundle["total"], bundle["link"][0]["url"]) == ("searchset", 1, url)
    [entry] = bundle["entry"]
    assert entry["search"] == {"mode": "match"}
    told = parameters_of(entry["resource"])
    assert (told["type"], told["status"]) == ("query-status", "error")
    errors = [p for p in entry["resource"]["parameter"] if p["name"] == "error"]
    assert [e["valueCodeableConcept"]["coding"][0]["code"] for e in errors] == (
        [code] if code else []
    )


def test_a_subscription_is_sent_to_its_owner_whole_with_how_it_stands() -> None:
    sent = Notices().resource(TOLD)
    assert sent["id"] == str(UUID(int=2))
    assert sent["meta"] == {
        "profile": ["p"],
        "versionId": "3",
        "lastUpdated": "2026-11-20T16:00:05.000Z",
    }
    assert sent["status"] == "active"
    assert sent["channel"]["header"] == [SECRET]
    assert "error" not in sent


def test_its_error_says_what_is_not_heeded_and_what_fails() -> None:
    unheeded = replace(TOLD, warnings=("The end has passed.",))
    assert Notices().resource(unheeded)["error"] == "The end has passed."
    failing = replace(unheeded, attempts=2, failing_since=AT, last_error="slow")
    assert Notices().resource(failing)["error"] == (
        "The end has passed. Not heard, 2 times in a row, the last: slow."
    )
    given_up = replace(failing, status=Status.ERROR)
    assert Notices().resource(given_up)["error"].endswith("send it again with status requested.")
