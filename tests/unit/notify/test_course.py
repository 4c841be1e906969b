"""What becomes of a subscription after each success and failure, and when something is due."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from wiser_fhir.notify.backoff import Patience, delay
from wiser_fhir.notify.course import at_rest, due, failed, heard
from wiser_fhir.notify.subscriptions import Content, Status, Subscription

NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)

ACTIVE = Subscription(
    organization_id=UUID(int=1),
    id=UUID(int=2),
    client_id=UUID(int=3),
    line="2.2",
    status=Status.ACTIVE,
    content=Content.FULL_RESOURCE,
    resource=b"{}",
    host="https://ehr.example:443",
    base_url="https://payer.example/fhir",
    heartbeat=None,
    ends_at=None,
    warnings=(),
    revision=1,
    created_at=NOW - HOUR,
    updated_at=NOW - HOUR,
    last_number=7,
    delivered_number=7,
    attempts=0,
    failing_since=None,
    last_error=None,
    last_sent_at=NOW - MINUTE,
    due_at=NOW,
)
REQUESTED = replace(ACTIVE, status=Status.REQUESTED, last_number=0, delivered_number=0)


def test_a_handshake_is_due_before_anything_else() -> None:
    assert due(replace(REQUESTED, last_number=3), NOW) == "handshake"
    assert due(replace(REQUESTED, due_at=NOW + MINUTE), NOW) is None


def test_an_active_one_is_told_what_it_has_not_heard() -> None:
    assert due(replace(ACTIVE, last_number=8), NOW) == "event-notification"
    assert due(ACTIVE, NOW) is None


@pytest.mark.parametrize("status", [Status.ERROR, Status.OFF])
def test_nothing_is_due_to_one_in_error_or_off(status: Status) -> None:
    assert due(replace(ACTIVE, status=status, last_number=8), NOW) is None


def test_nothing_is_due_once_it_has_ended() -> None:
    over = replace(ACTIVE, last_number=8, ends_at=NOW)
    assert due(over, NOW) is None
    assert at_rest(over, NOW) == {"status": Status.OFF, "due_at": None}


def test_a_heartbeat_is_due_only_where_one_was_asked_for_and_nothing_else_is_said() -> None:
    beating = replace(ACTIVE, heartbeat=60)
    assert due(beating, NOW) == "heartbeat"
    assert due(replace(beating, last_number=8), NOW) == "event-notification"
    assert due(replace(beating, last_sent_at=NOW), NOW) is None
    assert due(replace(beating, last_sent_at=None), NOW) == "heartbeat"
    assert due(replace(ACTIVE, last_sent_at=None), NOW) is None


def test_one_that_has_heard_all_is_looked_at_again_when_it_ends_or_at_its_next_heartbeat() -> None:
    assert at_rest(ACTIVE, NOW) == {"due_at": None}
    assert at_rest(replace(ACTIVE, ends_at=NOW + HOUR), NOW) == {"due_at": NOW + HOUR}
    both = replace(ACTIVE, ends_at=NOW + HOUR, heartbeat=300)
    assert at_rest(both, NOW) == {"due_at": NOW + 4 * MINUTE}
    silent = replace(both, status=Status.ERROR)
    assert at_rest(silent, NOW) == {"due_at": NOW + HOUR}


def test_one_that_is_to_be_tried_later_stays_as_it_is() -> None:
    assert at_rest(replace(ACTIVE, due_at=NOW + MINUTE), NOW) == {}


def test_success_forgets_the_failures_and_a_handshake_makes_active() -> None:
    fine = {"attempts": 0, "failing_since": None, "last_error": None, "due_at": NOW}
    assert heard("event-notification", NOW) == fine
    assert heard("handshake", NOW) == fine | {"status": Status.ACTIVE}


def test_the_first_failure_is_tried_again_in_two_seconds() -> None:
    assert failed(ACTIVE, "event-notification", "away", NOW, Patience()) == {
        "attempts": 1,
        "failing_since": NOW,
        "last_error": "away",
        "due_at": NOW + timedelta(seconds=2),
    }


@pytest.mark.parametrize(
    ("attempts", "failing_for", "seconds"),
    [
        (1, timedelta(), 2),
        (2, timedelta(seconds=2), 4),
        (3, timedelta(seconds=6), 8),
        (4, timedelta(seconds=14), 15),
        (5, timedelta(seconds=29), 30),
        (6, MINUTE, 60),
        (7, 2 * MINUTE, 60),
        (40, 59 * MINUTE, 60),
        (62, HOUR, 300),
        (200, 20 * HOUR, 300),
    ],
)
def test_tries_come_often_at_first_then_every_minute_then_now_and_then(
    attempts: int, failing_for: timedelta, seconds: int
) -> None:
    assert delay(attempts, failing_for) == timedelta(seconds=seconds)


def test_events_are_tried_for_a_day_and_a_handshake_for_an_hour() -> None:
    failing = replace(ACTIVE, attempts=90, failing_since=NOW - 24 * HOUR, ends_at=NOW + HOUR)
    assert failed(failing, "event-notification", "status 500", NOW, Patience()) == {
        "attempts": 91,
        "failing_since": NOW - 24 * HOUR,
        "last_error": "status 500",
        "status": Status.ERROR,
        "due_at": NOW + HOUR,
    }
    not_yet = replace(failing, failing_since=NOW - 24 * HOUR + MINUTE)
    assert "status" not in failed(not_yet, "event-notification", "slow", NOW, Patience())
    unheard = replace(REQUESTED, attempts=62, failing_since=NOW - HOUR)
    assert failed(unheard, "handshake", "slow", NOW, Patience())["status"] is Status.ERROR
