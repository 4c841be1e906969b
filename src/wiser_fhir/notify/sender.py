"""Tells subscribers: handshakes, events in their order, heartbeats where they were asked for.

A subscription is lent to one sender for some seconds, and again before each thing it sends; no
connection is opened inside a transaction. So several senders share the work and send nothing twice,
and what a killed one had in hand is sent again when its time is up: every event at least once, and
never one before the one before it was heard.

Source: Subscriptions R5 Backport 1.1.0, "Channels" (rest-hook).
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.clock import Clock
from wiser_fhir.db.base import client, organization
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.subscriptions import subscription, subscription_event
from wiser_fhir.db.vault import CannotOpen, data_key
from wiser_fhir.egress.client import Egress, EgressError
from wiser_fhir.errors import Unavailable
from wiser_fhir.notify import course, subscriptions
from wiser_fhir.notify.backoff import Patience
from wiser_fhir.notify.subscriptions import Content, Event, Status, Subscription
from wiser_fhir.notify.telling import Kind, Record, Told, Wording

log = logging.getLogger(__name__)

AT_ONCE = 16
# Of them for one organization, fewer than half, so that its slow subscribers leave room for the
# others'. No more than the turns that egress gives a tenant: what is begun is sent at once.
AT_ONCE_OF_ONE = 5
# What one subscriber gets in a row before another has its turn, and how long.
_IN_A_ROW = 20
_TURN = timedelta(seconds=5)
# A lease is longer than anything is waited for: it ends only under a sender that is dead.
SECONDS = 10.0
LEASE_SECONDS = 20.0
_MOMENT = 0.5

_CLAIM = text("""
select organization_id, subscription_id
from gate.claim_subscriptions(:due, :lease, :seconds, :at_most, :of_one, :request_id)
""")


@dataclass(frozen=True, slots=True)
class _Loan:
    """A subscription that this sender has for some seconds."""

    organization_id: UUID
    subscription_id: UUID
    lease: UUID


@dataclass(frozen=True, slots=True)
class _Task:
    """The next thing to send. `hosts` is where its client may be told, None for one put out of use.

    `event` is set for one that tells of an event.
    """

    told: Subscription
    kind: Kind
    hosts: Sequence[str] | None
    event: Event | None


@dataclass(frozen=True)
class Sender:
    """Sends what is due, whosever it is. `origins` are those that every client may be told at."""

    engine: AsyncEngine
    egress: Egress
    wording: Wording
    record: Record
    clock: Clock
    origins: Sequence[str] = ()
    patience: Patience = field(default_factory=Patience)
    seconds: float = SECONDS
    lease_seconds: float = LEASE_SECONDS
    _busy: set[asyncio.Task[int]] = field(default_factory=set, init=False, repr=False)
    _closing: asyncio.Event = field(default_factory=asyncio.Event, init=False, repr=False)

    async def deliver_due(self) -> int:
        """Begin with all that is due and wait a moment for it: how many notifications were heard.

        A subscriber that is slow is waited for beside the others, from call to call.
        Raises Unavailable.
        """
        free = AT_ONCE - len(self._busy)
        for loan in await self._claim(free) if free else []:
            self._busy.add(asyncio.create_task(self._safely(loan)))
        if not self._busy:
            return 0
        done, _ = await asyncio.wait(self._busy, timeout=_MOMENT)
        self._busy.difference_update(done)
        return sum(task.result() for task in done)

    @property
    def is_busy(self) -> bool:
        """Whether something begun has not ended."""
        return bool(self._busy)

    async def aclose(self) -> None:
        """End what is under way, and begin nothing more."""
        self._closing.set()
        if self._busy:
            await asyncio.wait(self._busy)

    async def _claim(self, at_most: int) -> list[_Loan]:
        lease = uuid4()
        values = {
            "due": self.clock(),
            "lease": lease,
            "seconds": self.lease_seconds,
            "at_most": at_most,
            "of_one": AT_ONCE_OF_ONE,
            "request_id": uuid4(),
        }
        async with transaction(self.engine) as db:
            rows = (await db.execute(_CLAIM, values)).all()
        return [_Loan(organization_id, own_id, lease) for organization_id, own_id in rows]

    async def _safely(self, loan: _Loan) -> int:
        """What fails here is tried again when the loan has ended."""
        try:
            return await self._serve(loan)
        except Unavailable:
            log.warning("database away", extra={"job": "notify"})
        except Exception as error:  # its text may hold what was sent
            log.error("job failed", extra={"job": "notify", "error": type(error).__name__})
        return 0

    async def _serve(self, loan: _Loan) -> int:
        heard, ends = 0, self.clock() + _TURN
        for _ in range(_IN_A_ROW):
            task = await self._next(loan)
            if task is None:
                return heard
            failure = await self._send(task)
            if not await self._settle(loan, task, failure):
                return heard
            heard += failure is None
            if self._closing.is_set() or self.clock() >= ends:
                break
        await self._give_back(loan)
        return heard

    async def _next(self, loan: _Loan) -> _Task | None:
        """What to send now, the loan renewed; None, the subscription given back, if nothing."""
        async with transaction(self.engine, loan.organization_id) as db:
            told = await self._held(db, loan)
            if told is None:
                return None
            kind = course.due(told, self.clock())
            if kind is None:
                rest = course.at_rest(told, self.clock())
                await _change(db, loan, rest | {"lease": None, "leased_until": None})
                return None
            ends = func.clock_timestamp() + timedelta(seconds=self.lease_seconds)
            await _change(db, loan, {"leased_until": ends})
            event = None
            if kind == "event-notification":
                number = told.delivered_number + 1
                [event] = await subscriptions.events(db, told, number, number, at_most=1)
            return _Task(told, kind, await self._hosts(db, told), event)

    async def _send(self, task: _Task) -> str | None:
        """Why it was not heard, in a word or two of ours; None if it was."""
        if task.hosts is None:
            return "client not active"
        channel = self.wording.channel(task.told)
        try:
            await self.egress.post(
                channel.endpoint,
                self._worded(task),
                headers=[("Content-Type", channel.media_type), *channel.headers],
                within=task.hosts,
                tenant=task.told.organization_id,
                seconds=min(channel.seconds or self.seconds, self.seconds),
            )
        except EgressError as error:
            return str(error)
        return None

    def _worded(self, task: _Task) -> bytes:
        now = self.clock()
        if task.event is not None:
            return self.wording.event(task.told, task.event, now)
        if task.kind == "handshake":
            return self.wording.handshake(task.told, now)
        return self.wording.heartbeat(task.told, now)

    async def _settle(self, loan: _Loan, task: _Task, failure: str | None) -> bool:
        """Write down what came of it. False where the loan had ended, and nothing is written."""
        async with transaction(self.engine, loan.organization_id) as db:
            told = await self._held(db, loan)
            if told is None:
                return False
            now = self.clock()
            changes = self._outcome(told, task, failure, now)
            await _change(db, loan, changes)
            if task.event is not None:
                await _mark(db, loan, task.event, failure, now)
            gave_up = changes.get("status") is Status.ERROR
            if failure is None or gave_up:
                await self.record(db, _told(task, now, gave_up=gave_up))
        return True

    def _outcome(
        self, told: Subscription, task: _Task, failure: str | None, now: datetime
    ) -> course.Changes:
        """What changes. Of one that its client changed meanwhile only that an event was heard."""
        changes: course.Changes = {}
        if told.revision == task.told.revision:
            if failure is None:
                changes = course.heard(task.kind, now)
            else:
                changes = course.failed(told, task.kind, failure, now, self.patience)
        if failure is None:
            changes["last_sent_at"] = now
            if task.event is not None:
                changes["delivered_number"] = task.event.number
        return changes

    async def _give_back(self, loan: _Loan) -> None:
        async with transaction(self.engine, loan.organization_id) as db:
            if await self._held(db, loan) is not None:
                await _change(db, loan, {"lease": None, "leased_until": None})

    async def _held(self, db: AsyncConnection, loan: _Loan) -> Subscription | None:
        """The subscription, its row locked; None if it is deleted or no longer lent to us."""
        s = subscription.c
        query = select(subscription).where(
            _of(loan),
            s.lease == loan.lease,
            s.leased_until > func.clock_timestamp(),
            s.deleted_at.is_(None),
        )
        row = (await db.execute(query.with_for_update())).mappings().first()
        if row is None:
            return None
        key = await data_key(db, loan.organization_id)
        try:
            return await subscriptions.told(row, key)
        except CannotOpen:
            stuck = {"status": Status.ERROR, "due_at": None, "last_error": "cannot be opened"}
            await _change(db, loan, stuck)
            log.error("subscription cannot be opened", extra={"job": "notify"})
            return None

    async def _hosts(self, db: AsyncConnection, told: Subscription) -> Sequence[str] | None:
        query = (
            select(client.c.notify_hosts)
            .join(organization, organization.c.id == client.c.organization_id)
            .where(client.c.id == told.client_id, client.c.active, organization.c.active)
        )
        registered = (await db.execute(query)).scalar_one_or_none()
        return None if registered is None else [*registered, *self.origins]


def _of(loan: _Loan) -> Any:
    s = subscription.c
    return (s.organization_id == loan.organization_id) & (s.id == loan.subscription_id)


async def _change(db: AsyncConnection, loan: _Loan, changes: course.Changes) -> None:
    if changes:
        await db.execute(update(subscription).where(_of(loan)).values(changes))


async def _mark(
    db: AsyncConnection, loan: _Loan, event: Event, failure: str | None, now: datetime
) -> None:
    e = subscription_event.c
    of_event = (
        (e.organization_id == loan.organization_id)
        & (e.subscription_id == loan.subscription_id)
        & (e.number == event.number)
    )
    tried = {"attempts": e.attempts + 1, "last_error": failure}
    heard = {"delivered_at": now} if failure is None else {}
    await db.execute(update(subscription_event).where(of_event).values(tried | heard))


def _told(task: _Task, now: datetime, *, gave_up: bool) -> Told:
    told, event = task.told, task.event
    whole = event is not None and told.content is Content.FULL_RESOURCE
    return Told(
        at=now,
        organization_id=told.organization_id,
        client_id=told.client_id,
        subscription_id=told.id,
        kind=task.kind,
        outcome="gave-up" if gave_up else "heard",
        number=event.number if event else None,
        case_id=event.case_id if event else None,
        carried=event.at if event and whole else None,
    )
