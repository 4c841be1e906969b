"""The register of tracking numbers, for who has to account for them. It names no beneficiary."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, fields
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Detail, write
from wiser_fhir.clock import EASTERN
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.retelling import organizations

# Rows read at once: a page is a transaction of its own, so a reader may take its time.
PAGE = 500


@dataclass(frozen=True, slots=True)
class RegisterEntry:
    """One order for a number and what became of it. Days are both included, instants in UTC."""

    number: str | None
    state: str
    source: str
    organization_id: UUID
    organization: str
    case_id: UUID
    revision: int
    reference: str
    service: str | None
    decision: str | None
    requested_at: datetime
    assigned_at: datetime | None
    delivered_at: datetime | None
    resent_at: datetime | None
    ended_at: datetime | None
    valid_from: date | None
    valid_until: date | None
    attempts: int
    last_error: str | None
    units_used: str


COLUMNS = tuple(field.name for field in fields(RegisterEntry))

_PAGE = text("""
select u.utn as number, u.state, u.source, u.organization_id, o.name as organization, u.case_id,
    u.revision, c.reference, c.service,
    (select case count(distinct d.outcome) when 2 then 'partially-affirmed' else min(d.outcome) end
        from determination d where d.organization_id = u.organization_id
            and d.case_id = u.case_id and d.revision = u.revision) as decision,
    u.requested_at, u.assigned_at, u.delivered_at, u.resent_at, u.ended_at, u.valid_from,
    u.valid_until, u.attempts, u.last_error,
    (select cast(coalesce(sum(x.units), 0) as text) from utn_use x
        where x.organization_id = u.organization_id and x.case_id = u.case_id
            and x.revision = u.revision) as units_used
from utn u
join prior_auth_case c on c.organization_id = u.organization_id and c.id = u.case_id
join organization o on o.id = u.organization_id
where u.organization_id = :organization_id
    and u.requested_at >= :starts and u.requested_at < :ends
    and (u.requested_at, u.case_id, u.revision) > (:after_at, :after_case, :after_revision)
order by u.requested_at, u.case_id, u.revision
limit :page
""")


async def entries(
    engine: AsyncEngine, first: date, last: date, page: int = PAGE
) -> AsyncIterator[RegisterEntry]:
    """Every number ordered on these Eastern days, both included, one organization after another.

    Never more than a page is held. That the register was read, and how far, is on the audit trail.
    Raises Unavailable.
    """
    span = {"from": first.isoformat(), "to": last.isoformat()}
    await _record(engine, "begun", span)
    count = 0
    for organization_id in await organizations(engine):
        async for entry in _of_organization(engine, organization_id, first, last, page):
            count += 1
            yield entry
    await _record(engine, "done", {**span, "count": count})


async def _of_organization(
    engine: AsyncEngine, organization_id: UUID, first: date, last: date, page: int
) -> AsyncIterator[RegisterEntry]:
    starts = datetime.combine(first, time(), EASTERN)
    values: dict[str, Any] = {
        "organization_id": organization_id,
        "starts": starts,
        "ends": datetime.combine(last + timedelta(days=1), time(), EASTERN),
        "after_at": starts,
        "after_case": UUID(int=0),
        "after_revision": 0,
        "page": page,
    }
    while True:
        async with transaction(engine, organization_id) as db:
            rows = (await db.execute(_PAGE, values)).mappings().all()
        found = [RegisterEntry(**row) for row in rows]
        for entry in found:
            yield entry
        if len(found) < page:
            return
        end = found[-1]
        values |= {
            "after_at": end.requested_at,
            "after_case": end.case_id,
            "after_revision": end.revision,
        }


async def _record(engine: AsyncEngine, outcome: str, detail: Detail) -> None:
    async with transaction(engine) as db:
        await write(db, AuditRow(uuid4(), action="utn.register", outcome=outcome, detail=detail))
