"""Exemptions as stored: granting one, announcing the end of one, and what there is.

The database holds every rule here too: who earned one, no two on a day, an end once announced.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.db.exemptions import exemption, exemption_notice
from wiser_fhir.errors import Conflict, NotFound
from wiser_fhir.priorauth.numbers import time_ordered_uuid


class LossReason(StrEnum):
    """Why an exemption ends."""

    RATE_BELOW = "rate-below"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Standing:
    """An exemption whose end is not announced, and when it was last checked."""

    id: UUID
    npi: str
    first_day: date
    checked_on: date


@dataclass(frozen=True, slots=True)
class ExemptProvider:
    """One line of the list. Days are both included; without a last day no end is announced."""

    npi: str
    first_day: date
    last_day: date | None
    noticed_on: date
    quarter: date
    decided: int
    affirmed: int
    rate: str
    loss_noticed_on: date | None
    loss_reason: str | None


_LIST = text("""
select e.npi, e.first_day, e.last_day, g.noticed_on, e.quarter, t.decided, t.affirmed,
    cast(a.rate as text) as rate, l.noticed_on as loss_noticed_on, l.reason as loss_reason
from exemption e
join exemption_notice g on g.exemption_id = e.id and g.kind = 'grant'
join exemption_tally t on t.quarter = e.quarter and t.npi = e.npi
join exemption_assessment a on a.quarter = e.quarter
left join exemption_notice l on l.exemption_id = e.id and l.kind = 'loss'
where e.first_day <= :day and coalesce(e.last_day >= :day, true)
order by e.npi
""")

_NOTICES = text("""
select e.npi, n.kind, n.noticed_on, n.effective_on, n.reason
from exemption_notice n join exemption e on e.id = n.exemption_id
where n.noticed_on between :first and :last
order by n.noticed_on, e.npi, n.kind
""")


@dataclass(frozen=True, slots=True)
class Notice:
    """What a provider is told, and the day from which it holds."""

    npi: str
    kind: str
    noticed_on: date
    effective_on: date
    reason: str


async def exempt_on(db: AsyncConnection, day: date) -> list[ExemptProvider]:
    """Who is exempt on a day, by NPI."""
    found = await db.execute(_LIST, {"day": day})
    return [ExemptProvider(**row) for row in found.mappings()]


async def notices(db: AsyncConnection, first: date, last: date) -> list[Notice]:
    """What providers were told on these days, both included."""
    found = await db.execute(_NOTICES, {"first": first, "last": last})
    return [Notice(**row) for row in found.mappings()]


async def exempt_npis(db: AsyncConnection, day: date) -> set[str]:
    """Who is exempt on a day or later."""
    ends_later = func.coalesce(exemption.c.last_day >= day, True)
    return set((await db.execute(select(exemption.c.npi).where(ends_later))).scalars())


async def standing(db: AsyncConnection) -> list[Standing]:
    """Every exemption whose end is not announced, held until the transaction ends."""
    columns = (exemption.c.id, exemption.c.npi, exemption.c.first_day, exemption.c.checked_on)
    query = select(*columns).where(exemption.c.last_day.is_(None)).order_by(exemption.c.id)
    found = await db.execute(query.with_for_update())
    return [Standing(**row) for row in found.mappings()]


async def held(db: AsyncConnection, npi: str) -> Standing:
    """A provider's exemption, held until the transaction ends.

    Raises NotFound without one, Conflict where its end was announced.
    """
    for each in await standing(db):
        if each.npi == npi:
            return each
    known = await db.scalar(select(func.count()).where(exemption.c.npi == npi))
    if known:
        raise Conflict("The end of this provider's exemption was announced before.")
    raise NotFound("exemption")


async def grant(db: AsyncConnection, npi: str, quarter: date, noticed_on: date) -> None:
    """Exempt a provider from the day of the notice on."""
    exemption_id = time_ordered_uuid()
    row = {
        "id": exemption_id,
        "npi": npi,
        "quarter": quarter,
        "first_day": noticed_on,
        "checked_on": noticed_on,
    }
    await db.execute(insert(exemption).values(row))
    await _tell(db, exemption_id, "grant", noticed_on, noticed_on, "rate-met")


async def end(
    db: AsyncConnection, of: Standing, last_day: date, effective_on: date, noticed_on: date,
    reason: LossReason,
) -> None:  # fmt: skip
    """Announce that an exemption ends: `last_day` is its last, `effective_on` the day after."""
    change = update(exemption).where(exemption.c.id == of.id)
    await db.execute(change.values(last_day=last_day))
    await _tell(db, of.id, "loss", noticed_on, effective_on, reason)


async def checked(db: AsyncConnection, of: Standing, today: date) -> None:
    """Note that an exemption was checked."""
    await db.execute(update(exemption).where(exemption.c.id == of.id).values(checked_on=today))


async def _tell(
    db: AsyncConnection,
    exemption_id: UUID,
    kind: str,
    noticed_on: date,
    effective_on: date,
    reason: str,
) -> None:
    row = {
        "exemption_id": exemption_id,
        "kind": kind,
        "noticed_on": noticed_on,
        "effective_on": effective_on,
        "reason": reason,
    }
    await db.execute(insert(exemption_notice).values(row))
