"""What becomes of a subscription: what is due, what a success and a failure change. Pure.

Changes are columns of the row with their new values.
"""

from datetime import datetime, timedelta
from typing import Any

from wiser_fhir.notify.backoff import Patience, delay
from wiser_fhir.notify.subscriptions import Status, Subscription
from wiser_fhir.notify.telling import Kind

Changes = dict[str, Any]


def due(told: Subscription, now: datetime) -> Kind | None:
    """What is to be sent now, if anything."""
    if told.due_at is None or told.due_at > now or is_over(told, now):
        return None
    if told.status is Status.REQUESTED:
        return "handshake"
    if told.status is not Status.ACTIVE:
        return None
    if told.delivered_number < told.last_number:
        return "event-notification"
    beat = _next_beat(told)
    return "heartbeat" if beat is not None and beat <= now else None


def is_over(told: Subscription, now: datetime) -> bool:
    """Whether its end has come."""
    return told.ends_at is not None and told.ends_at <= now


def at_rest(told: Subscription, now: datetime) -> Changes:
    """When to look again at one that has nothing due; one that has ended is off."""
    if is_over(told, now):
        return {"status": Status.OFF, "due_at": None}
    if told.due_at is not None and told.due_at > now:
        return {}
    beat = _next_beat(told) if told.status is Status.ACTIVE else None
    return {"due_at": min((m for m in (told.ends_at, beat) if m is not None), default=None)}


def heard(kind: Kind, now: datetime) -> Changes:
    """It answered as it should: what failed before is forgotten, and the next may follow."""
    status = {"status": Status.ACTIVE} if kind == "handshake" else {}
    return {"attempts": 0, "failing_since": None, "last_error": None, "due_at": now} | status


def failed(
    told: Subscription, kind: Kind, failure: str, now: datetime, patience: Patience
) -> Changes:
    """It did not: try again later, or no more. Events are numbered and kept either way.

    Source: Subscriptions R5 Backport 1.1.0, "Errors and Recovery" (re-activation is the client's).
    """
    since = told.failing_since or now
    attempts = told.attempts + 1
    changes = {"attempts": attempts, "failing_since": since, "last_error": failure}
    longest = patience.handshake if kind == "handshake" else patience.others
    if now - since >= longest:
        return changes | {"status": Status.ERROR, "due_at": told.ends_at}
    return changes | {"due_at": now + delay(attempts, now - since)}


def _next_beat(told: Subscription) -> datetime | None:
    if told.heartbeat is None:
        return None
    return (told.last_sent_at or told.updated_at) + timedelta(seconds=told.heartbeat)
