"""The quarterly assessment: who earned an exemption, and who keeps one. A job of the worker.

It happens once for a quarter, after its end, whoever of several workers comes first: the row of the
quarter settles it, and all it leads to is in that row's transaction. A quarter over which no worker
ran at all is not made up for later.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID, uuid4

from sqlalchemy import insert, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Detail, write
from wiser_fhir.clock import EASTERN, Clock, business_date
from wiser_fhir.coverage.process import Exemption
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.exemptions import exemption_assessment, exemption_tally
from wiser_fhir.priorauth import exemption_store as store
from wiser_fhir.priorauth.exemption import (
    Quarter,
    Tally,
    Terms,
    check_is_due,
    first_day_lost,
)
from wiser_fhir.priorauth.exemption_store import LossReason, Standing

_TALLIES = text("select npi, decided, affirmed from gate.exemption_tallies(:starts, :ends, :id)")
_REVIEWS = text(
    "select npi, reviewed, payable from gate.exemption_reviews(:npis, :starts, :ends, :id)"
)
# Counted a week at a time, so that no statement takes longer than a request may: a request is first
# determined on one day, so weeks add up.
_WEEK = timedelta(days=7)
_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ExemptionAssessment:
    """The job. Without `terms` the operator named no rate, and nothing is assessed."""

    engine: AsyncEngine
    clock: Clock
    process: Exemption
    terms: Terms | None

    async def __call__(self) -> int:
        """How many exemptions were granted or their end announced. Raises Unavailable."""
        if self.terms is None:
            return 0
        now = self.clock()
        async with transaction(self.engine) as db:
            turn = _Turn(db, self.process, self.terms, now, uuid4())
            return await turn.assess() if await turn.is_first() else 0


@dataclass(frozen=True, slots=True)
class _Turn:
    """One assessment inside its transaction."""

    db: AsyncConnection
    process: Exemption
    terms: Terms
    now: datetime
    request_id: UUID

    @property
    def today(self) -> date:
        """The business date of the assessment."""
        return business_date(self.now)

    @property
    def quarter(self) -> Quarter:
        """The quarter that is assessed: the last one that is over."""
        return Quarter.of(self.today).before

    async def is_first(self) -> bool:
        """Whether nobody has assessed the quarter. Who comes at the same time waits here."""
        row = {
            "quarter": self.quarter.first_day,
            "rate": self.terms.rate,
            "min_requests": self.terms.min_requests,
            "assessed_at": self.now,
        }
        statement = upsert(exemption_assessment).values(row).on_conflict_do_nothing()
        taken = await self.db.execute(statement.returning(exemption_assessment.c.quarter))
        return taken.first() is not None

    async def assess(self) -> int:
        """Grant and withdraw; how many of both."""
        quarter = self.quarter
        tallies = await self._tallies(quarter.first_day, quarter.after.first_day)
        if tallies:
            rows = [self._row(each) for each in tallies.values()]
            await self.db.execute(insert(exemption_tally), rows)
        exempt = await store.exempt_npis(self.db, self.today)
        earned = [
            each.npi
            for each in tallies.values()
            if self.terms.meets(each) and each.npi not in exempt
        ]
        for npi in earned:
            await store.grant(self.db, npi, quarter.first_day, self.today)
        lost = await self._check()
        detail: Detail = {"quarter": str(quarter.first_day), "granted": len(earned), "lost": lost}
        row = AuditRow(self.request_id, "exemption.assess", "done", detail=detail)
        await write(self.db, row)
        return len(earned) + lost

    async def _check(self) -> int:
        """Look again at those whose year is over, by the year's requests and reviewed claims."""
        due = [
            each
            for each in await store.standing(self.db)
            if check_is_due(each.checked_on, self.today, self.process)
        ]
        if not due:
            return 0
        starts = self.today - timedelta(days=self.process.minimum_duration_days)
        year = await self._with_reviews(due, starts)
        lost = [each for each in due if self.terms.fails(year[each.npi])]
        for each in due:
            await store.checked(self.db, each, self.today)
        for each in lost:
            await withdraw(self.db, each, self.today, self.process, LossReason.RATE_BELOW)
        return len(lost)

    async def _with_reviews(self, due: list[Standing], starts: date) -> dict[str, Tally]:
        """The figures of a year, up to yesterday, of these providers."""
        tallies = await self._tallies(starts, self.today)
        found = {each.npi: tallies.get(each.npi, Tally(each.npi, 0, 0)) for each in due}
        span = {"npis": list(found), **self._span(starts, self.today)}
        for npi, reviewed, payable in (await self.db.execute(_REVIEWS, span)).all():
            found[npi] = found[npi].plus(reviewed, payable)
        return found

    async def _tallies(self, starts: date, ends: date) -> dict[str, Tally]:
        """The figures of every provider from one day up to another, which is not included."""
        found: dict[str, Tally] = {}
        while starts < ends:
            span = self._span(starts, min(starts + _WEEK, ends))
            for npi, decided, affirmed in (await self.db.execute(_TALLIES, span)).all():
                found[npi] = found.get(npi, Tally(npi, 0, 0)).plus(decided, affirmed)
            starts += _WEEK
        return found

    def _span(self, starts: date, ends: date) -> dict[str, object]:
        return {
            "starts": datetime.combine(starts, time(), EASTERN),
            "ends": datetime.combine(ends, time(), EASTERN),
            "id": self.request_id,
        }

    def _row(self, tally: Tally) -> dict[str, object]:
        return {
            "quarter": self.quarter.first_day,
            "npi": tally.npi,
            "decided": tally.decided,
            "affirmed": tally.affirmed,
        }


async def withdraw(
    db: AsyncConnection,
    of: Standing,
    today: date,
    process: Exemption,
    reason: LossReason,
    wished: date | None = None,
) -> date:
    """Announce today that an exemption ends; the first day without it."""
    lost_on = first_day_lost(of.first_day, today, process, wished)
    await store.end(db, of, lost_on - _ONE_DAY, lost_on, today, reason)
    return lost_on
