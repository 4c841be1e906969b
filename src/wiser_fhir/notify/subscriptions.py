"""Subscriptions as stored: who is told of answers, where, and how far each has heard.

A subscription is its client's alone: another client's, of the same organization too, looks absent.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, Select, func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.db.base import message
from wiser_fhir.db.bodies import opened, sealed
from wiser_fhir.db.subscriptions import subscription, subscription_event
from wiser_fhir.db.vault import CannotOpen, DataKey, data_key
from wiser_fhir.errors import NotFound

# A handshake must not overtake the answer that announces the subscription.
HANDSHAKE_AFTER = timedelta(seconds=2)
_TURN = text("select pg_advisory_xact_lock(1937072749, hashtext(:client_id))")


class Status(StrEnum):
    """How a subscription stands. In `error` events are still numbered and kept, and none is sent.

    Source: FHIR R4, Subscription.status; Subscriptions R5 Backport 1.1.0, "Subscription Lifecycle".
    """

    REQUESTED = "requested"
    ACTIVE = "active"
    ERROR = "error"
    OFF = "off"


class Content(StrEnum):
    """How much of an answer a notification carries."""

    ID_ONLY = "id-only"
    FULL_RESOURCE = "full-resource"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A subscription as asked for and found good.

    `resource` is the Subscription as it is kept, JSON with its secrets. `status` is REQUESTED,
    ACTIVE (as it was) or OFF. `host` names the endpoint for an operator. `base_url` is the FHIR
    base that it was sent to: what is told names it. `warnings` say what of it is not heeded.
    """

    resource: bytes = field(repr=False)
    status: Status
    content: Content
    host: str
    base_url: str
    heartbeat: int | None = None
    ends_at: datetime | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as stored. `resource` is the JSON as kept, with its secrets; empty where
    it cannot be opened, and nobody can be told by it.

    Every event has a number, without a gap; those up to `delivered_number` have been heard.
    `heartbeat` is in seconds. `attempts` are failures in a row, the first at `failing_since`.
    """

    organization_id: UUID
    id: UUID
    client_id: UUID
    line: str
    status: Status
    content: Content
    resource: bytes = field(repr=False)
    host: str
    base_url: str
    heartbeat: int | None
    ends_at: datetime | None
    warnings: tuple[str, ...]
    revision: int
    created_at: datetime
    updated_at: datetime
    last_number: int
    delivered_number: int
    attempts: int
    failing_since: datetime | None
    last_error: str | None
    last_sent_at: datetime | None
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Event:
    """One answer that a subscriber is told of. `body` is it, byte for byte."""

    number: int
    case_id: UUID
    message_id: UUID
    at: datetime
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class OwnSubscriptions:
    """What a client has in a line, in a transaction of its organization. Never commits."""

    db: AsyncConnection
    organization_id: UUID
    client_id: UUID
    line: str

    async def add(self, subscription_id: UUID, wanted: Wanted, now: datetime) -> Subscription:
        """Keep a new subscription; its handshake is due soon."""
        row = {
            "organization_id": self.organization_id,
            "id": subscription_id,
            "client_id": self.client_id,
            "line": self.line,
            "created_at": now,
            **await self._values(subscription_id, wanted, now),
        }
        await self.db.execute(insert(subscription).values(row))
        return await self.one(subscription_id)

    async def change(
        self, before: Subscription, wanted: Wanted, now: datetime, *, same_channel: bool
    ) -> Subscription:
        """Replace a subscription. One that asks for it, or is told elsewhere from now on, begins
        with a handshake again; its numbers go on, and what it has not heard is sent afterwards.
        """
        values = await self._values(before.id, wanted, now) | {"revision": before.revision + 1}
        if wanted.status is Status.ACTIVE and same_channel:
            values |= {"status": before.status, "due_at": before.due_at if before.attempts else now}
        else:
            values |= {"attempts": 0, "failing_since": None, "last_error": None}
        await self._update(before.id, values)
        return await self.one(before.id)

    async def delete(self, subscription_id: UUID, now: datetime) -> None:
        """Tell nobody any more and forget the secrets; what was told stays on record."""
        gone = {"status": Status.OFF, "sealed": None, "due_at": None}
        await self._update(subscription_id, gone | {"deleted_at": now, "updated_at": now})

    async def one(self, subscription_id: UUID, *, hold: bool = False) -> Subscription:
        """One of them, its row held until the transaction ends if told to. Raises NotFound."""
        query = self._mine().where(subscription.c.id == subscription_id)
        row = (await self.db.execute(query.with_for_update() if hold else query)).mappings().first()
        if row is None:
            raise NotFound("Subscription")
        return await self._told(row)

    async def all(self) -> list[Subscription]:
        """All of them, the oldest first."""
        query = self._mine().order_by(subscription.c.id)
        return [await self._told(row) for row in (await self.db.execute(query)).mappings()]

    async def take_turn(self) -> None:
        """Until the transaction ends nobody else who asks adds one for the client, in any line."""
        await self.db.execute(_TURN, {"client_id": str(self.client_id)})

    async def count(self) -> int:
        """How many the client has, in both lines."""
        query = (
            select(func.count())
            .select_from(subscription)
            .where(
                subscription.c.organization_id == self.organization_id,
                subscription.c.client_id == self.client_id,
                subscription.c.deleted_at.is_(None),
            )
        )
        return int((await self.db.execute(query)).scalar_one())

    def _mine(self) -> Select[Any]:
        return select(subscription).where(
            subscription.c.organization_id == self.organization_id,
            subscription.c.client_id == self.client_id,
            subscription.c.line == self.line,
            subscription.c.deleted_at.is_(None),
        )

    async def _told(self, row: RowMapping) -> Subscription:
        """Also one that does not open: its client can send it again, or delete it."""
        key = await data_key(self.db, self.organization_id)
        try:
            return await told(row, key)
        except CannotOpen:
            return _subscription(row, b"")

    async def _update(self, subscription_id: UUID, values: dict[str, Any]) -> None:
        this = (subscription.c.organization_id == self.organization_id) & (
            subscription.c.id == subscription_id
        )
        await self.db.execute(update(subscription).where(this).values(values))

    async def _values(self, subscription_id: UUID, wanted: Wanted, now: datetime) -> dict[str, Any]:
        starts = wanted.status is not Status.OFF
        key = await data_key(self.db, self.organization_id)
        return {
            "status": Status.REQUESTED if starts else Status.OFF,
            "content": wanted.content,
            "sealed": await sealed(key, wanted.resource, *_place(subscription_id)),
            "host": wanted.host,
            "base_url": wanted.base_url,
            "heartbeat": wanted.heartbeat,
            "ends_at": wanted.ends_at,
            "warnings": list(wanted.warnings),
            "updated_at": now,
            "due_at": now + HANDSHAKE_AFTER if starts else None,
        }


async def events(
    db: AsyncConnection, told: Subscription, first: int, last: int | None, at_most: int
) -> list[Event]:
    """A subscription's events numbered `first` to `last`, both included, in their order."""
    e = subscription_event.c
    same = (message.c.organization_id == e.organization_id) & (message.c.id == e.message_id)
    query = (
        select(subscription_event, message.c.body)
        .join(message, same)
        .where(
            e.organization_id == told.organization_id,
            e.subscription_id == told.id,
            e.number >= first,
        )
        .order_by(e.number)
        .limit(at_most)
    )
    if last is not None:
        query = query.where(e.number <= last)
    key = await data_key(db, told.organization_id)
    return [await _event(row, key) for row in (await db.execute(query)).mappings()]


async def told(row: RowMapping, key: DataKey) -> Subscription:
    """A row as a value. Raises CannotOpen where its secrets are another's, or their key is gone."""
    return _subscription(row, await opened(key, row["sealed"], *_place(row["id"])))


def _subscription(row: RowMapping, resource: bytes) -> Subscription:
    kept: dict[str, Any] = {name: row[name] for name in _KEPT}
    return Subscription(
        **kept,
        status=Status(row["status"]),
        content=Content(row["content"]),
        resource=resource,
        warnings=tuple(row["warnings"]),
    )


_KEPT = (
    *("organization_id", "id", "client_id", "line", "host", "base_url", "heartbeat", "ends_at"),
    *("revision", "created_at", "updated_at", "last_number", "delivered_number", "attempts"),
    *("failing_since", "last_error", "last_sent_at", "due_at"),
)


def _place(subscription_id: UUID) -> tuple[object, ...]:
    return ("subscription", "sealed", subscription_id)


async def _event(row: RowMapping, key: DataKey) -> Event:
    message_id = row["message_id"]
    return Event(
        number=row["number"],
        case_id=row["case_id"],
        message_id=message_id,
        at=row["at"],
        body=await opened(key, row["body"], "message", "body", message_id),
    )
