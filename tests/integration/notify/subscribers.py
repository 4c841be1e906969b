"""Somebody who subscribes, seen from behind, and what a test has senders do."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import StillClock
from tests.subscriptions import a_subscription
from wiser_fhir.db.engine import transaction
from wiser_fhir.notify import outbox
from wiser_fhir.notify.sender import Sender
from wiser_fhir.notify.subscriptions import Content, OwnSubscriptions, Status, Wanted
from wiser_fhir.priorauth.numbers import time_ordered_uuid

START = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
BASE = "https://payer.example/fhir"


@dataclass
class Subscriber:
    """A client with one pended case, whose answer can be told again and again."""

    engine: AsyncEngine
    superuser: AsyncEngine
    clock: StillClock
    organization_id: UUID
    client_id: UUID
    case_id: UUID
    ids: list[UUID] = field(default_factory=list)

    async def subscribe(
        self, origin: str, line: str = "2.2", wanted: dict[str, Any] | None = None
    ) -> UUID:
        """A subscription told at `origin`; `wanted` changes what was asked for."""
        resource = a_subscription("2.2" if line == "2.2" else "2.0", f"{origin}/told")
        asked = Wanted(
            **{
                "resource": orjson.dumps(resource),
                "status": Status.REQUESTED,
                "content": Content.FULL_RESOURCE if line == "2.2" else Content.ID_ONLY,
                "host": origin,
                "base_url": BASE,
                **(wanted or {}),
            }
        )
        own_id = time_ordered_uuid()
        async with transaction(self.engine, self.organization_id) as db:
            await self.own(db, line).add(own_id, asked, self.clock())
        self.ids.append(own_id)
        return own_id

    def own(self, db: Any, line: str = "2.2") -> OwnSubscriptions:
        return OwnSubscriptions(db, self.organization_id, self.client_id, line)

    async def tell(self, only: UUID | None = None) -> None:
        """Queue the case's answer once more."""
        async with transaction(self.engine, self.organization_id) as db:
            query = text("select answer_message_id from prior_auth_case where id = :id")
            message_id = (await db.execute(query, {"id": self.case_id})).scalar_one()
            await outbox.put(
                db, self.organization_id, self.case_id, message_id, self.clock(), only=only
            )

    async def ask_again(self, own_id: UUID) -> None:
        """Send a subscription of the 2.2 line again as it is, with status requested."""
        async with transaction(self.engine, self.organization_id) as db:
            before = await self.own(db).one(own_id, hold=True)
            asked = Wanted(
                resource=before.resource,
                status=Status.REQUESTED,
                content=before.content,
                host=before.host,
                base_url=before.base_url,
            )
            await self.own(db).change(before, asked, self.clock(), same_channel=True)

    async def rows(self, query: str) -> list[dict[str, Any]]:
        """The rows of a query, seen by the superuser."""
        async with self.superuser.connect() as db:
            return [dict(row) for row in (await db.execute(text(query))).mappings()]

    async def state(self) -> dict[str, Any]:
        """How its one subscription stands."""
        [row] = await self.rows("select * from subscription where deleted_at is null")
        return row


MakeSubscriber = Callable[..., Awaitable[Subscriber]]
MakeSender = Callable[..., Sender]


async def deliver(sender: Sender) -> int:
    """All that is due, and all that becomes due by it."""
    heard = 0
    while (taken := await sender.deliver_due()) or sender.is_busy:
        heard += taken
    return heard


async def activated(subscriber: Subscriber, sender: Sender, origin: str, line: str = "2.2") -> UUID:
    """A subscription whose handshake was answered."""
    own_id = await subscriber.subscribe(origin, line)
    subscriber.clock.wait(seconds=2)
    assert await deliver(sender) == 1
    return own_id
