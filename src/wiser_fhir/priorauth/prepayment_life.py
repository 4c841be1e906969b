"""What moves reviews before payment on by itself: documents that came, and days that ended.

Each job is safe to do twice and by two workers at once: a review's row is held while it changes.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import RowMapping, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.clock import Clock, business_date
from wiser_fhir.coverage.process import Timeframes
from wiser_fhir.db.claims import prepayment_review
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.prepayment import (
    ReviewState,
    end_of,
    recommend_by,
)

MOST_AT_ONCE = 200

_MACS = text("select id from organization where kind = 'mac' order by id")

_MATCH = text("select gate.match_claim_documents(:request_id)")

# Documents of the last day are in time; those that came later change nothing.
_WAITING = text("""
select r.id, r.documents_due, max(d.received_at) as last_at,
    coalesce(bool_or(d.final), false) as whole
from prepayment_review r left join prepayment_document d
    on d.organization_id = r.organization_id and d.review_id = r.id
    and (d.received_at at time zone 'America/New_York')::date <= r.documents_due
where r.organization_id = :organization_id and r.state = 'documents-asked'
group by r.organization_id, r.id
having r.documents_due < :today or bool_or(d.final)
order by r.id
limit :at_most
""")

_HOLD = text("""
select id from prepayment_review where id = :id and state = 'documents-asked'
for update skip locked
""")


@dataclass(frozen=True, slots=True)
class PrepaymentLife:
    """The jobs of reviews before payment."""

    engine: AsyncEngine
    clock: Clock
    timeframes: Timeframes

    async def match_documents(self) -> int:
        """Tie documents that answered a documentation request to its review. How many came."""
        async with transaction(self.engine) as db:
            matched: int = (await db.execute(_MATCH, {"request_id": uuid4()})).scalar_one()
        return matched

    async def move_on(self) -> int:
        """Begin reviews whose documents are all there, end those that nobody answered.

        Whoever marks none of its documents as the last is waited for until the last day; what is
        there then is what is reviewed. Source: WISeR Operational Guide 6.0, 7.2.
        """
        async with transaction(self.engine) as db:
            macs = (await db.execute(_MACS)).scalars().all()
        return sum([await self._move_on(mac) for mac in macs])

    async def _move_on(self, organization_id: UUID) -> int:
        now = self.clock()
        today = business_date(now)
        moved = 0
        values = {"organization_id": organization_id, "today": today, "at_most": MOST_AT_ONCE}
        async with transaction(self.engine, organization_id) as db:
            for row in (await db.execute(_WAITING, values)).mappings().all():
                if (await db.execute(_HOLD, {"id": row["id"]})).first() is None:
                    continue  # another worker's
                await _change(db, organization_id, row["id"], self._after(row, now))
                moved += 1
        return moved

    def _after(self, row: RowMapping, now: datetime) -> dict[str, object]:
        """What becomes of a review that has all its documents, or whose last day has ended."""
        if row["last_at"] is None:
            return {"state": ReviewState.NO_RESPONSE, "ended_at": now}
        return self._begun(row["last_at"] if row["whole"] else end_of(row["documents_due"]))

    def _begun(self, documents_at: datetime) -> dict[str, object]:
        due = recommend_by(documents_at, self.timeframes)
        return {
            "state": ReviewState.IN_REVIEW,
            "documents_at": documents_at,
            "decide_by": due,
            "due_at": due,
        }


async def _change(
    db: AsyncConnection, organization_id: UUID, review_id: UUID, after: dict[str, object]
) -> None:
    changed = update(prepayment_review).where(prepayment_review.c.id == review_id).values(after)
    await db.execute(changed)
    row = AuditRow(
        request_id=uuid4(),
        action="prepayment.move-on",
        outcome=str(after["state"]),
        organization_id=organization_id,
        object_kind="prepayment-review",
        object_id=str(review_id),
    )
    await write(db, row)
