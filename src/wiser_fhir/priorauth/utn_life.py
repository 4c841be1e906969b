"""The life of a tracking number after its case was decided: ordered, given, sent again, ended.

    pending ── assigned ── expired (the day after its last day)
       └─ failed ─┘   └──── superseded (a later decision, or the request was cancelled)

Where numbers come from somewhere else, a decision only orders one. The worker asks for it outside
of any transaction, holding the order by a count of attempts: of two that ask at once, one writes.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID, uuid4

from sqlalchemy import RowMapping, Update, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.clock import Clock, business_date
from wiser_fhir.coverage.process import Utn
from wiser_fhir.db.base import utn
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Conflict, NotFound
from wiser_fhir.notify import outbox
from wiser_fhir.priorauth.answers import Answers
from wiser_fhir.priorauth.in_turn import in_turn
from wiser_fhir.priorauth.keeping import Actor, CaseChange, keep, locked, note
from wiser_fhir.priorauth.models import Site, SiteKind, UtnState
from wiser_fhir.priorauth.numbers import UtnSource
from wiser_fhir.priorauth.retelling import organizations
from wiser_fhir.priorauth.rules import may_issue

MOST_AT_ONCE = 50
# A first retry after a minute, then twice as long each time; an order nobody answers is asked for
# again no later than every six hours. The order's own attempt holds it as long.
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=6)
_DOUBLINGS = 10


@dataclass(frozen=True, slots=True)
class UtnOrder:
    """A number that is wanted for one decided case. `attempts` counts this one too."""

    organization_id: UUID
    case_id: UUID
    revision: int
    site: Site | None
    attempts: int


class UtnFailed(Exception):
    """The number could not be had now. `reason` is a word for the operator: no data of anybody."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UtnExchange(Protocol):
    """Who is asked for numbers that were not there at the decision."""

    async def number(self, order: UtnOrder) -> str | None:
        """The number, or None where it is still to come. Asking again is the same order.

        Raises UtnFailed.
        """
        ...


@dataclass(frozen=True, slots=True)
class SourceExchange:
    """Asks a source that makes numbers itself, or does not yet."""

    source: UtnSource

    async def number(self, order: UtnOrder) -> str | None:
        """A new number of the source."""
        return self.source.new(order.site)


def pause(attempts: int) -> timedelta:
    """How long an order rests after so many attempts, at least one."""
    return min(_FIRST_PAUSE * (1 << min(attempts - 1, _DOUBLINGS)), _LONGEST_PAUSE)


_TAKE = text("""
with waiting as (
    select u.case_id, u.revision from utn u
    where u.organization_id = :organization_id and u.state in ('pending', 'failed')
        and (u.tried_at is null or u.tried_at + least(
            cast(:first as interval) * power(2, least(u.attempts - 1, cast(:doublings as integer))),
            cast(:longest as interval)) <= :now)
    order by u.requested_at
    limit :at_most for update skip locked
)
update utn u set attempts = u.attempts + 1, tried_at = :now
from waiting w
where u.organization_id = :organization_id and u.case_id = w.case_id and u.revision = w.revision
returning u.case_id, u.revision, u.attempts,
    (select i.site_kind from case_item i where i.organization_id = u.organization_id
        and i.case_id = u.case_id order by i.sequence limit 1) as site_kind,
    (select i.site_code from case_item i where i.organization_id = u.organization_id
        and i.case_id = u.case_id order by i.sequence limit 1) as site_code
""")

_EXPIRE = text("""
with ended as (
    update utn set state = 'expired', ended_at = :now
    where organization_id = :organization_id and state = 'assigned' and valid_until < :today
    returning case_id, revision
)
insert into case_event (organization_id, id, case_id, revision, at, kind)
select :organization_id, gen_random_uuid(), e.case_id, e.revision, :now, 'utn-expired' from ended e
""")

_BY_NUMBER = text("""
select u.case_id, u.revision, u.state, u.delivered_at, c.answer_message_id
from utn u join prior_auth_case c
    on c.organization_id = u.organization_id and c.id = u.case_id
where u.organization_id = :organization_id and u.utn = :number
for update of u
""")

_HEARING = text("""
select count(*) from subscription_event
where organization_id = :organization_id and message_id = :message_id and at = :at
""")


@dataclass(frozen=True, slots=True)
class UtnLife:
    """The jobs of tracking numbers. `answers` writes what a number's coming changes."""

    engine: AsyncEngine
    clock: Clock
    exchange: UtnExchange
    answers: Answers
    shape: Utn

    async def assign(self) -> int:
        """Ask for every number that is due to be asked for. How many were given.

        Raises Unavailable.
        """
        return await in_turn(self.engine, self._assign)

    async def expire(self) -> int:
        """End each number the day after its last day. Source: WISeR Operational Guide 6.0, 4.3."""
        return sum([await self._expire(each) for each in await organizations(self.engine)])

    async def _assign(self, organization_id: UUID) -> int:
        return sum([await self._ask(order) for order in await self._take(organization_id)])

    async def _take(self, organization_id: UUID) -> list[UtnOrder]:
        """The orders that are due, each taken by one worker alone until its pause is over."""
        values = {
            "organization_id": organization_id,
            "now": self.clock(),
            "first": _FIRST_PAUSE,
            "longest": _LONGEST_PAUSE,
            "doublings": _DOUBLINGS,
            "at_most": MOST_AT_ONCE,
        }
        async with transaction(self.engine, organization_id) as db:
            rows = (await db.execute(_TAKE, values)).mappings().all()
        return [_order(organization_id, row) for row in rows]

    async def _ask(self, order: UtnOrder) -> int:
        try:
            number = await self.exchange.number(order)
            if number is None:
                return 0
            if not may_issue(number, self.shape):
                raise UtnFailed("malformed")
            return await self._give(order, number)
        except UtnFailed as failed:
            await self._fail(order, failed.reason)
            return 0

    async def _give(self, order: UtnOrder, number: str) -> int:
        """Write the number and tell of it. Raises UtnFailed for one that is another case's."""
        try:
            async with transaction(self.engine, order.organization_id) as db:
                return await self._write(db, order, number)
        except IntegrityError:
            raise UtnFailed("taken") from None

    async def _write(self, db: AsyncConnection, order: UtnOrder, number: str) -> int:
        """The case is held first, as whoever changes it does; an update in between ends the order.

        A number that comes while an update is reviewed is the one before it: nobody is told.
        """
        stored = await locked(db, order.case_id)
        now = self.clock()
        given = {"utn": number, "state": UtnState.ASSIGNED, "assigned_at": now, "last_error": None}
        if not (await db.execute(_of(order).values(given))).rowcount:
            return 0
        change = CaseChange(
            at=now,
            actor=Actor(uuid4()),
            event="utn-assigned",
            action="utn.assign",
            outcome="done",
        )
        if stored.case.revision == order.revision:
            after = replace(stored.case, utn=number, utn_state=UtnState.ASSIGNED)
            await keep(db, stored, after, change, self.answers)
        else:
            await note(db, stored.case, change)
        return 1

    async def _fail(self, order: UtnOrder, reason: str) -> None:
        async with transaction(self.engine, order.organization_id) as db:
            failed = {"state": UtnState.FAILED, "last_error": reason}
            if (await db.execute(_of(order).values(failed))).rowcount:
                row = AuditRow(
                    request_id=uuid4(),
                    action="utn.assign",
                    outcome="failed",
                    organization_id=order.organization_id,
                    object_kind="prior-auth-case",
                    object_id=str(order.case_id),
                    detail={"reason": reason, "attempts": order.attempts},
                )
                await write(db, row)

    async def _expire(self, organization_id: UUID) -> int:
        now = self.clock()
        values = {"organization_id": organization_id, "now": now, "today": business_date(now)}
        async with transaction(self.engine, organization_id) as db:
            expired = (await db.execute(_EXPIRE, values)).rowcount
            if expired:
                row = AuditRow(
                    request_id=uuid4(),
                    action="utn.expire",
                    outcome="done",
                    organization_id=organization_id,
                    detail={"count": expired},
                )
                await write(db, row)
        return expired


def _order(organization_id: UUID, row: RowMapping) -> UtnOrder:
    kind = row["site_kind"]
    site = None if kind is None else Site(SiteKind(kind), row["site_code"])
    return UtnOrder(organization_id, row["case_id"], row["revision"], site, row["attempts"])


def _of(order: UtnOrder) -> Update:
    """An update of the order's row, as long as nobody has asked for it since."""
    return update(utn).where(
        utn.c.organization_id == order.organization_id,
        utn.c.case_id == order.case_id,
        utn.c.revision == order.revision,
        utn.c.state.in_((UtnState.PENDING, UtnState.FAILED)),
        utn.c.attempts == order.attempts,
    )


async def delivered(
    db: AsyncConnection,
    organization_id: UUID,
    case_ids: Iterable[UUID],
    at: datetime,
    given_by: datetime | None = None,
) -> None:
    """An answer or an event that carried the numbers of these cases has reached the submitter.

    It carried those that were given by then: None for one that tells of the present. Only the first
    time counts. In the transaction of the organization.
    """
    reached = (
        update(utn)
        .where(
            utn.c.organization_id == organization_id,
            utn.c.case_id.in_(list(case_ids)),
            utn.c.state == UtnState.ASSIGNED,
            utn.c.delivered_at.is_(None),
            utn.c.assigned_at <= (given_by or at),
        )
        .values(delivered_at=at)
    )
    await db.execute(reached)


async def resend(engine: AsyncEngine, number: str, now: datetime) -> int:
    """Tell the submitter of a number again: its latest answer goes to every live subscription.

    Returns how many subscriptions will hear. Raises NotFound, and Conflict for a number that ended.
    """
    for organization_id in await organizations(engine):
        values = {"organization_id": organization_id, "number": number}
        async with transaction(engine, organization_id) as db:
            row = (await db.execute(_BY_NUMBER, values)).mappings().one_or_none()
            if row is None:
                continue
            if row["state"] != UtnState.ASSIGNED:
                raise Conflict(f"The number is {row['state']}: there is nothing to send again.")
            return await _send_again(db, organization_id, number, row, now)
    raise NotFound("tracking number")


async def _send_again(
    db: AsyncConnection, organization_id: UUID, number: str, row: RowMapping, now: datetime
) -> int:
    """A number that was never delivered is still to be sent, not sent again."""
    message_id = row["answer_message_id"]
    await outbox.put(db, organization_id, row["case_id"], message_id, now)
    if row["delivered_at"] is not None:
        sent = update(utn).where(utn.c.organization_id == organization_id, utn.c.utn == number)
        await db.execute(sent.values(resent_at=now))
    values = {"organization_id": organization_id, "message_id": message_id, "at": now}
    hearing: int = (await db.execute(_HEARING, values)).scalar_one()
    audit = AuditRow(
        request_id=uuid4(),
        action="utn.resend",
        outcome="done",
        organization_id=organization_id,
        object_kind="utn",
        object_id=number,
        detail={"subscriptions": hearing},
    )
    await write(db, audit)
    return hearing
