"""How near a pended case is to its deadline, and the job that says so once.

Nothing stops the clock of a prior authorization: neither a request for documents nor an assignment.
What a deadline sets off is attention, never a decision: at it a clinician decides on what is there.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import RowMapping, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.life import case_event
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.retelling import organizations

MOST_AT_ONCE = 500


class Nearness(StrEnum):
    """Where an undecided case stands towards its deadline, once that matters."""

    NEAR = "near"
    PAST = "past"


@dataclass(frozen=True, slots=True)
class LeadTimes:
    """How long before its deadline a case counts as near it. The operator's choice; no source.

    Elapsed time: twelve hours before a deadline are twelve hours, whatever the clocks on the wall
    do in between.
    """

    standard: timedelta = timedelta(hours=24)
    expedited: timedelta = timedelta(hours=12)

    def of(self, *, expedited: bool) -> timedelta:
        """The lead of one kind of case."""
        return self.expedited if expedited else self.standard


def nearness(
    decide_by: datetime, now: datetime, leads: LeadTimes, *, expedited: bool
) -> Nearness | None:
    """Whether a case that is due at `decide_by` is near that or past it. None while it is neither.

    A decision at the very instant is in time, so past begins after it; near begins at its instant.
    """
    if now > decide_by:
        return Nearness.PAST
    return Nearness.NEAR if now >= decide_by - leads.of(expedited=expedited) else None


# A case whose row is held is being worked on this moment: it gets its turn the next time. Without
# skipping it, one long transaction would hold up every case behind it. The horizons are the latest
# deadlines that are near by now; the greater of them is what an index on deadlines can be read to.
_ESCALATE = text("""
with due as (
    select id, case when decide_by < :now then 'past' else 'near' end as escalation
    from prior_auth_case
    where organization_id = :organization_id and status = 'in-review'
        and decide_by <= greatest(cast(:standard as timestamptz), cast(:expedited as timestamptz))
        and decide_by <= case when expedited then cast(:expedited as timestamptz)
            else cast(:standard as timestamptz) end
        and (escalation is null or escalation = 'near' and decide_by < :now)
    order by decide_by
    limit :at_most
    for update skip locked
)
update prior_auth_case c set escalation = due.escalation
from due where c.organization_id = :organization_id and c.id = due.id
returning c.id, c.revision, c.escalation, c.decide_by
""")


async def escalate(engine: AsyncEngine, clock: Clock, leads: LeadTimes) -> int:
    """Mark each undecided case that came near its deadline, or past it; how many were marked.

    Each mark is made once for a clock and stands in the case's history. A case found past that was
    never marked near is past only. Several workers may do this at once. Raises Unavailable.
    """
    everybody = await organizations(engine)
    return sum([await _escalate_of(engine, clock(), leads, each) for each in everybody])


async def _escalate_of(
    engine: AsyncEngine, now: datetime, leads: LeadTimes, organization_id: UUID
) -> int:
    bounds = {
        "organization_id": organization_id,
        "now": now,
        "standard": now + leads.standard,
        "expedited": now + leads.expedited,
        "at_most": MOST_AT_ONCE,
    }
    async with transaction(engine, organization_id) as db:
        marked = (await db.execute(_ESCALATE, bounds)).mappings().all()
        if marked:
            events = [_event(organization_id, row, now) for row in marked]
            await db.execute(insert(case_event), events)
            await write(db, _audit(organization_id, len(marked)))
    return len(marked)


def _event(organization_id: UUID, marked: RowMapping, now: datetime) -> dict[str, Any]:
    return {
        "organization_id": organization_id,
        "id": time_ordered_uuid(),
        "case_id": marked["id"],
        "revision": marked["revision"],
        "at": now,
        "kind": f"deadline-{marked['escalation']}",
        "detail": {"decide_by": marked["decide_by"].isoformat()},
    }


def _audit(organization_id: UUID, count: int) -> AuditRow:
    return AuditRow(
        request_id=uuid4(),
        action="case.escalate",
        outcome="done",
        organization_id=organization_id,
        detail={"count": count},
    )
