"""The exempt providers, held in memory by every process that has to know them at once."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from sqlalchemy import Text, cast, func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.db.engine import transaction
from wiser_fhir.db.exemptions import exemption
from wiser_fhir.priorauth.registry import Enrolment, Membership, Registry, Span

# What changes with whatever happens to the list: rows are added, and each comes to its end once.
_STATE = select(
    func.count(), func.count(exemption.c.last_day), func.max(cast(exemption.c.id, Text))
).select_from(exemption)
_SPANS = select(exemption.c.npi, exemption.c.first_day, exemption.c.last_day)


@dataclass
class ExemptionList:
    """The list of the database. Empty until it is first refreshed.

    A process refreshes it every second: a poll that costs the database a fraction of a millisecond
    cannot go silently deaf, as a connection that listens can.
    """

    engine: AsyncEngine
    _state: tuple[int, int, str | None] = (0, 0, None)
    _spans: Mapping[str, tuple[Span, ...]] = field(default_factory=dict)

    async def refresh(self) -> int:
        """Read the list if it has changed; 1 if it had. Raises Unavailable: the last one stays."""
        async with transaction(self.engine) as db:
            found, ended, latest = (await db.execute(_STATE)).one()
            state = (found, ended, latest)
            if state == self._state:
                return 0
            rows = (await db.execute(_SPANS)).all()
        spans: dict[str, list[Span]] = defaultdict(list)
        for npi, first, last in rows:
            spans[npi].append(Span(first=first, last=last))
        self._spans = {npi: tuple(each) for npi, each in spans.items()}
        self._state = state
        return 1

    def names(self, npi: str, on: date) -> bool:
        """Whether a provider is on the list on a day."""
        return any(span.covers(on) for span in self._spans.get(npi, ()))


@dataclass(frozen=True)
class ListedRegistry:
    """A registry over which lies the list of exempt providers, for every service alike."""

    base: Registry
    listed: ExemptionList

    def beneficiary(self, mbi: str) -> Membership:
        """Whether a Medicare number is somebody's, and whether that person lives."""
        return self.base.beneficiary(mbi)

    def medicare_advantage(self, mbi: str, on: date) -> bool | None:
        """Whether the beneficiary is in a Medicare Advantage plan on a day."""
        return self.base.medicare_advantage(mbi, on)

    def provider(self, npi: str) -> Enrolment:
        """Whether a provider may bill Medicare."""
        return self.base.provider(npi)

    def exempt(self, npi: str, service: str, on: date) -> bool | None:
        """Whether a provider needs no request for a service on a day."""
        return self.listed.names(npi, on) or self.base.exempt(npi, service, on)
