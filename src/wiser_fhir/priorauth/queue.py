"""The reviewers' queue: cases of all organizations, a page at a time.

A page begins behind the last case of the page before, not at a count, so that nothing is shown
twice or left out because cases came and went in between. Which cases a person sees, and that they
were shown, is the database's to settle: see `gate.review_queue`.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import UTC, datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import DateTime, bindparam, text
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.auth.people import Reviewer
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import NotFound, Problem, ProfileViolation
from wiser_fhir.priorauth.clocks import Nearness
from wiser_fhir.priorauth.models import CaseStatus, RequestKind

LARGEST_PAGE: Final = 200
_DIGEST_BYTES = 6

_instant = DateTime(timezone=True)

_PAGE = text("""
select * from gate.review_queue(:person_id, :request_id, :status, :service, :state, :expedited,
    :escalation, :assignee, :unassigned, :received_from, :received_before, :decide_before, :sort,
    :after_urgency, :after_at, :after_id, :at_most)
""").bindparams(
    *(
        bindparam(name, type_=_instant)
        for name in ("received_from", "received_before", "decide_before", "after_at")
    )
)

_ORGANIZATION = text("select gate.case_organization(:person_id, :request_id, :case_id)")


class QueueOrder(StrEnum):
    """What comes first: the next deadline, expedited requests, the oldest, or the newest."""

    DEADLINE = "deadline"
    PRIORITY = "priority"
    AGE = "age"
    NEWEST = "newest"


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which cases; None asks for none in particular. Instants named `before` are not included.

    Who a case is assigned to, its priority, how near its deadline is, and the orders by deadline
    and by priority are for cases in review: nothing of it matters any more for those that ended.
    """

    status: CaseStatus = CaseStatus.IN_REVIEW
    service: str | None = None
    state: str | None = None
    expedited: bool | None = None
    escalation: Nearness | None = None
    assignee: UUID | None = None
    unassigned: bool = False
    received_from: datetime | None = None
    received_before: datetime | None = None
    decide_before: datetime | None = None

    @property
    def is_of_review(self) -> bool:
        """Whether it asks for what only a case in review has."""
        asked = (self.expedited, self.escalation, self.assignee, self.decide_before)
        return self.unassigned or any(each is not None for each in asked)


@dataclass(frozen=True, slots=True)
class QueuedCase:
    """A line of the queue. `asked`: something was asked for and has not come yet."""

    id: UUID
    reference: str
    revision: int
    kind: RequestKind
    status: CaseStatus
    service: str | None
    state: str | None
    received_at: datetime
    decide_by: datetime | None
    expedite_requested: bool
    expedited: bool
    expedite_confirmed: bool | None
    escalation: Nearness | None
    assigned_to: UUID | None
    assigned_name: str | None
    assigned_at: datetime | None
    codes: tuple[str, ...]
    asked: bool


@dataclass(frozen=True, slots=True)
class QueuePage:
    """Some cases, and the cursor of the page behind them where there is one."""

    cases: tuple[QueuedCase, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in an order a case stands. `urgency` is 0 for an expedited one."""

    urgency: int
    at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class ReviewQueue:
    """The queue, as each person may see it."""

    engine: AsyncEngine

    async def page(
        self,
        reviewer: Reviewer,
        request_id: UUID,
        wanted: QueueFilter,
        order: QueueOrder = QueueOrder.DEADLINE,
        size: int = 50,
        cursor: str | None = None,
    ) -> QueuePage:
        """The first `size` cases, at most LARGEST_PAGE, or those behind a cursor.

        Raises ProfileViolation, Unavailable.
        """
        check(wanted, order)
        after = None if cursor is None else _place(cursor, wanted, order)
        values = {
            **_values(wanted),
            "person_id": reviewer.person_id,
            "request_id": request_id,
            "sort": order,
            "after_urgency": after.urgency if after else None,
            "after_at": after.at if after else None,
            "after_id": after.id if after else None,
            "at_most": size + 1,
        }
        async with transaction(self.engine) as db:
            rows = (await db.execute(_PAGE, values)).all()
        cases = tuple(_case(row) for row in rows)
        if len(cases) <= size:
            return QueuePage(cases, None)
        return QueuePage(cases[:size], _cursor(cases[size - 1], wanted, order))


def check(wanted: QueueFilter, order: QueueOrder) -> None:
    """Raises ProfileViolation for what asks of ended cases what only those in review have."""
    of_review = order in (QueueOrder.DEADLINE, QueueOrder.PRIORITY) or wanted.is_of_review
    if of_review and wanted.status is not CaseStatus.IN_REVIEW:
        raise ProfileViolation(
            "Cases that ended are listed by age or newest first, whoever they were assigned to,"
            " whatever their priority and their deadline were."
        )


async def organization_of(
    engine: AsyncEngine, reviewer: Reviewer, case_id: UUID, request_id: UUID
) -> UUID:
    """Whose case it is. One of the person's own organizations, or with one as a party, is absent to
    them. The look is a transaction of its own, so that its audit row stays whatever comes of it.

    Raises NotFound, Unavailable.
    """
    values = {"person_id": reviewer.person_id, "request_id": request_id, "case_id": case_id}
    async with transaction(engine) as db:
        found: UUID | None = await db.scalar(_ORGANIZATION, values)
    if found is None:
        raise NotFound("case")
    return found


def _values(wanted: QueueFilter) -> Mapping[str, Any]:
    return {
        "status": wanted.status,
        "service": wanted.service,
        "state": wanted.state,
        "expedited": wanted.expedited,
        "escalation": wanted.escalation,
        "assignee": wanted.assignee,
        "unassigned": wanted.unassigned,
        "received_from": wanted.received_from,
        "received_before": wanted.received_before,
        "decide_before": wanted.decide_before,
    }


def _case(row: Any) -> QueuedCase:
    (case_id, reference, revision, kind, status, service, state, received_at, decide_by) = row[:9]
    (requested, expedited, confirmed, escalation, *assigned, codes, asked) = row[9:]
    return QueuedCase(
        id=case_id,
        reference=reference,
        revision=revision,
        kind=RequestKind(kind),
        status=CaseStatus(status),
        service=service,
        state=state,
        received_at=received_at,
        decide_by=decide_by,
        expedite_requested=requested,
        expedited=expedited,
        expedite_confirmed=confirmed,
        escalation=Nearness(escalation) if escalation else None,
        assigned_to=assigned[0],
        assigned_name=assigned[1],
        assigned_at=assigned[2],
        codes=tuple(codes),
        asked=asked,
    )


def _cursor(last: QueuedCase, wanted: QueueFilter, order: QueueOrder) -> str:
    by_deadline = order in (QueueOrder.DEADLINE, QueueOrder.PRIORITY)
    at = last.decide_by if by_deadline and last.decide_by else last.received_at
    said = [_digest(wanted, order), 0 if last.expedited else 1, at.isoformat(), str(last.id)]
    return urlsafe_b64encode(orjson.dumps(said)).rstrip(b"=").decode()


def _place(cursor: str, wanted: QueueFilter, order: QueueOrder) -> _Place:
    """What a cursor says. It only goes with the question it came with. Raises ProfileViolation."""
    try:
        said = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        digest, urgency, at, case_id = said
        instant = datetime.fromisoformat(at).astimezone(UTC)
        place = _Place((0, 1).index(urgency), instant, UUID(case_id))
    except (ValueError, TypeError, AttributeError, OverflowError):
        digest, place = None, None
    if place is None or digest != _digest(wanted, order):
        text = "A cursor goes with the filters and the order of the page that it came with."
        raise ProfileViolation(text, [Problem("error", "value", text)])
    return place


def _digest(wanted: QueueFilter, order: QueueOrder) -> str:
    asked = "|".join(map(str, (*astuple(wanted), order)))
    return sha256(asked.encode()).hexdigest()[: 2 * _DIGEST_BYTES]
