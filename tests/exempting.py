"""Exemptions put in place without a quarter of requests."""

from datetime import date, datetime, time
from decimal import Decimal

from sqlalchemy import insert
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.clock import EASTERN
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.exemptions import exemption_assessment, exemption_tally
from wiser_fhir.priorauth import exemption_store
from wiser_fhir.priorauth.exemption import Quarter


async def assessed(
    db: AsyncConnection, npi: str, first_day: date, decided: int = 10, affirmed: int = 10
) -> date:
    """A provider's figures in the quarter before a day, and that quarter's first day."""
    quarter = Quarter.of(first_day).before.first_day
    row = {
        "quarter": quarter,
        "rate": Decimal("0.9"),
        "min_requests": 10,
        "assessed_at": datetime.combine(first_day, time(12), EASTERN),
    }
    await db.execute(upsert(exemption_assessment).values(row).on_conflict_do_nothing())
    figures = {"quarter": quarter, "npi": npi, "decided": decided, "affirmed": affirmed}
    await db.execute(insert(exemption_tally).values(figures))
    return quarter


async def exempted(engine: AsyncEngine, npi: str, first_day: date) -> None:
    """Exempt a provider from a day on, of which it was told that day."""
    async with transaction(engine) as db:
        quarter = await assessed(db, npi, first_day)
        await exemption_store.grant(db, npi, quarter, first_day)
