"""How subscribers are told: the Subscription as it stands, notification Bundles, `$status`,
`$events`.

Source: Subscriptions R5 Backport 1.1.0, backport-subscription-notification-r4 and -status-r4; PAS
2.2.1 §spec-61 and example PASSubscriptionNotification (the focus is the PAS response Bundle).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import orjson
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.audit.recorder import AuditRow, Recorder, write
from wiser_fhir.errors import Conflict, Problem
from wiser_fhir.fhir.elements import Json
from wiser_fhir.notify.subscriptions import Content, Event, Status, Subscription
from wiser_fhir.notify.telling import Channel, Told
from wiser_fhir.pas.building import fhir_instant
from wiser_fhir.pas.subscription import BACKPORT, TOPIC, channel_of
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.repository import member_of
from wiser_fhir.priorauth.utn_life import delivered
from wiser_fhir.web.outcome import operation_outcome

NOTIFICATION = BACKPORT + "backport-subscription-notification-r4"
STATUS = BACKPORT + "backport-subscription-status-r4"
_ERRORS = "http://terminology.hl7.org/CodeSystem/subscription-error"


@dataclass(frozen=True, slots=True)
class Notices:
    """Puts notifications into FHIR."""

    def channel(self, told: Subscription) -> Channel:
        """Where and how to tell it."""
        return channel_of(told.resource)

    def handshake(self, told: Subscription, at: datetime) -> bytes:
        """Asks whether anybody listens."""
        return self._notification(told, "handshake", at, (), told.last_number)

    def heartbeat(self, told: Subscription, at: datetime) -> bytes:
        """Says that there is nothing to tell."""
        return self._notification(told, "heartbeat", at, (), told.last_number)

    def event(self, told: Subscription, event: Event, at: datetime) -> bytes:
        """Tells of one event, and counts as far as this one."""
        return self._notification(told, "event-notification", at, (event,), event.number)

    def events(
        self, told: Subscription, events: Sequence[Event], content: str | None, at: datetime
    ) -> bytes:
        """The answer to `$events`. `content` may ask for less than the subscription's own."""
        return self._notification(told, "query-event", at, events, told.last_number, content)

    def status(self, told: Sequence[Subscription], url: str, at: datetime) -> bytes:
        """The answer to `$status` at `url`: a searchset with a status for each."""
        statuses = [self._parameters(each, "query-status", (), each.last_number) for each in told]
        entries = [
            {"fullUrl": f"urn:uuid:{each['id']}", "resource": each, "search": _MATCH}
            for each in statuses
        ]
        return _searchset(url, entries, at)

    def found(self, told: Sequence[Subscription], url: str, at: datetime) -> bytes:
        """The answer to a search; `url` is what was asked as it was understood.

        One that another key sealed cannot be shown; a warning stands in its place.
        """
        entries = [
            {"fullUrl": self.url(each), "resource": self.resource(each), "search": _MATCH}
            for each in told
            if each.resource
        ]
        hidden = [
            Problem("warning", Conflict.issue_code, sealed_elsewhere(each))
            for each in told
            if not each.resource
        ]
        return _searchset(url, entries, at, hidden)

    def resource(self, told: Subscription) -> Json:
        """The Subscription as it stands, headers and all: it is sent to its owner alone."""
        kept: Json = orjson.loads(told.resource)
        ours: Json = {
            "resourceType": "Subscription",
            "id": str(told.id),
            "meta": kept.pop("meta", {})
            | {"versionId": str(told.revision), "lastUpdated": fhir_instant(told.updated_at)},
        }
        error = _in_words(told)
        return ours | kept | {"status": told.status} | ({"error": error} if error else {})

    def url(self, told: Subscription) -> str:
        """Where a Subscription is read."""
        return f"{told.base_url}/Subscription/{told.id}"

    def _notification(
        self,
        told: Subscription,
        kind: str,
        at: datetime,
        events: Sequence[Event],
        count: int,
        content: str | None = None,
    ) -> bytes:
        narrow = content in ("empty", Content.ID_ONLY) or told.content is Content.ID_ONLY
        if narrow:
            focus = [None if content == "empty" else self._case(told, each) for each in events]
            entries: list[Json] = []
        else:
            bundles = [orjson.loads(each.body) for each in events]
            focus = [_bundle_url(b, e) for b, e in zip(bundles, events, strict=True)]
            entries = [
                {
                    "fullUrl": url,
                    "resource": bundle,
                    "request": {"method": "GET", "url": self._case(told, each)},
                    "response": {"status": "200"},
                }
                for url, bundle, each in zip(focus, bundles, events, strict=True)
            ]
        parameters = self._parameters(told, kind, list(zip(events, focus, strict=True)), count)
        first = {
            "fullUrl": f"urn:uuid:{parameters['id']}",
            "resource": parameters,
            "request": {"method": "GET", "url": f"{self.url(told)}/$status"},
            "response": {"status": "200"},
        }
        return orjson.dumps(
            {
                "resourceType": "Bundle",
                "id": str(time_ordered_uuid()),
                "meta": {"profile": [NOTIFICATION]},
                "type": "history",
                "timestamp": fhir_instant(at),
                "entry": [first, *entries],
            }
        )

    def _case(self, told: Subscription, event: Event) -> str:
        return f"{told.base_url}/ClaimResponse/{event.case_id}"

    def _parameters(
        self,
        told: Subscription,
        kind: str,
        events: Sequence[tuple[Event, str | None]],
        count: int,
    ) -> Json:
        handshake = kind == "handshake"
        parameters: list[Json] = [
            {"name": "subscription", "valueReference": {"reference": self.url(told)}},
            {"name": "topic", "valueCanonical": TOPIC},
            {"name": "status", "valueCode": Status.REQUESTED if handshake else told.status},
            {"name": "type", "valueCode": kind},
            {"name": "events-since-subscription-start", "valueString": str(count)},
            *(_event(event, focus) for event, focus in events),
        ]
        if kind == "query-status" and told.last_error is not None:
            parameters.append({"name": "error", "valueCodeableConcept": _error(told.last_error)})
        return {
            "resourceType": "Parameters",
            "id": str(time_ordered_uuid()),
            "meta": {"profile": [STATUS]},
            "parameter": parameters,
        }


_MATCH = {"mode": "match"}


def _event(event: Event, focus: str | None) -> Json:
    part: list[Json] = [
        {"name": "event-number", "valueString": str(event.number)},
        {"name": "timestamp", "valueInstant": fhir_instant(event.at)},
    ]
    if focus is not None:
        part.append({"name": "focus", "valueReference": {"reference": focus}})
    return {"name": "notification-event", "part": part}


def _bundle_url(bundle: Json, event: Event) -> str:
    """A name for the Bundle that says no address, for it can be had at none.

    It is its own id where that is one that a `urn:uuid` can be made of.
    """
    try:
        return f"urn:uuid:{UUID(bundle['id'])}"
    except (KeyError, ValueError):
        return f"urn:uuid:{event.message_id}"


def sealed_elsewhere(told: Subscription) -> str:
    """What the owner is told of one that does not open."""
    return (
        f"The Subscription {told.id} cannot be opened: the key it was encrypted with is no longer"
        " here. Nothing is sent for it: send it again by PUT, or delete it."
    )


def _searchset(
    url: str, entries: list[Json], at: datetime, warnings: Sequence[Problem] = ()
) -> bytes:
    bundle: Json = {
        "resourceType": "Bundle",
        "id": str(time_ordered_uuid()),
        "type": "searchset",
        "timestamp": fhir_instant(at),
        "total": len(entries),
        "link": [{"relation": "self", "url": url}],
    }
    found = list(entries)
    if warnings:
        found.append({"resource": operation_outcome(warnings), "search": {"mode": "outcome"}})
    return orjson.dumps(bundle | ({"entry": found} if found else {}))


def _error(last_error: str) -> Json:
    answered = last_error.startswith("status ")
    code = "error-response" if answered else "no-response"
    return {"coding": [{"system": _ERRORS, "code": code}], "text": last_error}


def _in_words(told: Subscription) -> str:
    """What `Subscription.error` says: what is not heeded, and what went wrong of late."""
    words = list(told.warnings)
    if told.last_error is not None:
        words.append(f"Not heard, {told.attempts} times in a row, the last: {told.last_error}.")
    if told.status is Status.ERROR:
        words.append("Nothing is sent any more: send it again with status requested.")
    return " ".join(words)


@dataclass(frozen=True, slots=True)
class Trail:
    """Puts on the audit trail that somebody was told, or that it was given up."""

    recorder: Recorder

    async def __call__(self, db: AsyncConnection, told: Told) -> None:
        """Write it down. A number that was told has reached its submitter."""
        case_id, member = told.case_id, None
        if case_id is not None:
            member = await member_of(db, case_id)
            if told.carried is not None and told.outcome == "heard":
                await delivered(db, told.organization_id, [case_id], told.at, told.carried)
        row = AuditRow(
            request_id=time_ordered_uuid(),
            action=f"notify.{told.kind}",
            outcome=told.outcome,
            organization_id=told.organization_id,
            client_id=told.client_id,
            object_kind="subscription",
            object_id=str(told.subscription_id),
            patient=self.recorder.patient(member),
            detail={"number": told.number, "case": None if case_id is None else str(case_id)},
        )
        await write(db, row)
