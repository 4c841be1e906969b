"""What a client can do with its subscriptions, each act a transaction with its row in the trail."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Recorder, write
from wiser_fhir.clock import Clock
from wiser_fhir.db.base import client
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Problem, ProfileViolation
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.notify import subscriptions
from wiser_fhir.notify.subscriptions import (
    Event,
    OwnSubscriptions,
    Status,
    Subscription,
    Wanted,
)
from wiser_fhir.pas.subscription import Owner, Place, channel_of, wanted
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.repository import member_of
from wiser_fhir.priorauth.service import Caller

MOST_OF_A_CLIENT = 50
MOST_EVENTS = 20


@dataclass(frozen=True, slots=True)
class SubscriptionService:
    """Subscriptions of one line. `origins` are those that every client may be told at."""

    engine: AsyncEngine
    recorder: Recorder
    validator: GuideValidator
    place: Place
    clock: Clock
    origins: Sequence[str] = ()

    async def create(self, caller: Caller, resource: Json) -> Subscription:
        """Keep a Subscription; its handshake follows by itself.

        Raises InvalidResource, ProfileViolation, Unavailable.
        Source: PAS 2.2.1 §spec-54 to §spec-59.
        """
        asked = await self._wanted(caller, resource)
        if asked.status is Status.OFF:
            raise _refused("A new Subscription is sent with status requested.", "status")
        async with transaction(self.engine, caller.organization_id) as db:
            own = self._own(db, caller)
            await own.take_turn()
            if await own.count() >= MOST_OF_A_CLIENT:
                text = f"A client may have {MOST_OF_A_CLIENT} Subscriptions: delete one first."
                raise ProfileViolation(text, [Problem("error", "too-costly", text)])
            kept = await own.add(time_ordered_uuid(), asked, self.clock())
            await write(db, _audit(caller, "subscription.create", kept.id))
        return kept

    async def update(self, caller: Caller, own_id: UUID, resource: Json) -> Subscription:
        """Replace a Subscription. Status `requested` begins anew with a handshake, after which all
        that was not heard is sent; `off` ends it.

        Raises NotFound, InvalidResource, ProfileViolation, Unavailable.
        """
        asked = await self._wanted(caller, resource)
        async with transaction(self.engine, caller.organization_id) as db:
            own = self._own(db, caller)
            before = await own.one(own_id, hold=True)
            same = _same_channel(before, asked)
            kept = await own.change(before, asked, self.clock(), same_channel=same)
            await write(db, _audit(caller, "subscription.update", own_id))
        return kept

    async def delete(self, caller: Caller, own_id: UUID) -> None:
        """Forget a Subscription and its secrets. Raises NotFound, Unavailable."""
        async with transaction(self.engine, caller.organization_id) as db:
            own = self._own(db, caller)
            await own.one(own_id, hold=True)
            await own.delete(own_id, self.clock())
            await write(db, _audit(caller, "subscription.delete", own_id))

    async def read(
        self, caller: Caller, own_id: UUID, action: str = "subscription.read"
    ) -> Subscription:
        """One of the client's own. Raises NotFound, Unavailable."""
        async with transaction(self.engine, caller.organization_id) as db:
            found = await self._own(db, caller).one(own_id)
            await write(db, _audit(caller, action, own_id))
        return found

    async def all(self, caller: Caller, action: str) -> list[Subscription]:
        """All of the client's own. Raises Unavailable."""
        async with transaction(self.engine, caller.organization_id) as db:
            found = await self._own(db, caller).all()
            await write(db, _audit(caller, action))
        return found

    async def events(
        self, caller: Caller, own_id: UUID, first: int, last: int | None
    ) -> tuple[Subscription, list[Event]]:
        """A Subscription and its events numbered `first` to `last`, at most MOST_EVENTS of them.

        Raises NotFound, Unavailable.
        """
        async with transaction(self.engine, caller.organization_id) as db:
            told = await self._own(db, caller).one(own_id)
            found = await subscriptions.events(db, told, first, last, at_most=MOST_EVENTS)
            row = _audit(caller, "subscription.events", own_id)
            for patient in await self._patients(db, found):
                await write(db, replace(row, patient=patient))
        return told, found

    async def _patients(
        self, db: AsyncConnection, found: Sequence[Event]
    ) -> Sequence[bytes | None]:
        """Whom events are about, each once; somebody unknown where there are no events."""
        cases = dict.fromkeys(each.case_id for each in found)
        members = dict.fromkeys([await member_of(db, case_id) for case_id in cases])
        return [self.recorder.patient(member) for member in members] or [None]

    async def _wanted(self, caller: Caller, resource: Json) -> Wanted:
        async with transaction(self.engine) as db:
            query = select(client.c.notify_hosts).where(client.c.id == caller.principal.client_id)
            hosts = (await db.execute(query)).scalar_one()
        principal = caller.principal
        known = {principal.client_name, str(principal.organization_id)}
        owner = Owner(
            identifiers=None if principal.npis is None else principal.npis | known,
            origins=(*hosts, *self.origins),
        )
        return wanted(resource, self.place, owner, self.validator, self.clock())

    def _own(self, db: AsyncConnection, caller: Caller) -> OwnSubscriptions:
        client_id = caller.principal.client_id
        return OwnSubscriptions(db, caller.organization_id, client_id, self.place.line)


def _same_channel(before: Subscription, asked: Wanted) -> bool:
    """Whether an active one goes on as it is: it is told at the same place in the same way."""
    return (
        before.status is Status.ACTIVE
        and before.resource != b""
        and before.content is asked.content
        and channel_of(before.resource) == channel_of(asked.resource)
    )


def _refused(text: str, where: str) -> ProfileViolation:
    return ProfileViolation(
        text, [Problem("error", "business-rule", text, f"Subscription.{where}")]
    )


def _audit(caller: Caller, action: str, own_id: UUID | None = None) -> AuditRow:
    return AuditRow(
        request_id=caller.request_id,
        action=action,
        outcome="done",
        organization_id=caller.organization_id,
        client_id=caller.principal.client_id,
        object_kind="subscription" if own_id is not None else None,
        object_id=str(own_id) if own_id is not None else None,
    )
