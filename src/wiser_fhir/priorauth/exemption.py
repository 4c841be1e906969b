"""Who need not ask any more: quarters, what earns an exemption, and when one can end. Pure.

A provider is the NPI of the requester. What counts for it in a quarter, where no source says more:

- a request counts once, by its first determination, in the quarter of that determination (Eastern
  days). An update that is decided anew, or a cancel after the decision, changes nothing of it;
- a resubmission does not count, neither as a request nor as an affirmation: what a non-affirmation
  taught its sender says nothing of the requests that nobody will look at any more;
- a partial affirmation counts as a request and not as an affirmation;
- what was dismissed, or cancelled undecided, was not decided and does not count.

Source: WISeR Operational Guide 6.0, 5. The rate is not published: the operator sets it.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Self

from wiser_fhir.coverage.process import Exemption

_QUARTERS = 4
_MONTHS = 3


@dataclass(frozen=True, slots=True, order=True)
class Quarter:
    """A quarter of the calendar year; `number` is 1 to 4."""

    year: int
    number: int

    @classmethod
    def of(cls, day: date) -> Self:
        """The quarter a day lies in."""
        return cls(day.year, (day.month - 1) // _MONTHS + 1)

    @property
    def first_day(self) -> date:
        """Its first day; its last is the day before the first of the one after it."""
        return date(self.year, (self.number - 1) * _MONTHS + 1, 1)

    @property
    def before(self) -> "Quarter":
        """The one before it."""
        if self.number == 1:
            return Quarter(self.year - 1, _QUARTERS)
        return Quarter(self.year, self.number - 1)

    @property
    def after(self) -> "Quarter":
        """The one after it."""
        if self.number == _QUARTERS:
            return Quarter(self.year + 1, 1)
        return Quarter(self.year, self.number + 1)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many of a provider's requests were decided, and how many of those affirmed in full."""

    npi: str
    decided: int
    affirmed: int

    def plus(self, decided: int, affirmed: int) -> "Tally":
        """The same with further decisions: on requests, or on claims reviewed before payment."""
        return Tally(self.npi, self.decided + decided, self.affirmed + affirmed)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an exemption takes. `rate` is the least share of affirmations, above 0 and up to 1."""

    rate: Decimal
    min_requests: int
    minimum_days: int
    notice_days: int

    @classmethod
    def of(cls, rate: Decimal, process: Exemption) -> Self:
        """The program's terms with the operator's rate."""
        return cls(
            rate=rate,
            min_requests=process.min_requests,
            minimum_days=process.minimum_duration_days,
            notice_days=process.loss_notice_days,
        )

    def meets(self, tally: Tally) -> bool:
        """Whether the figures earn an exemption: enough requests, and the rate or more."""
        return tally.decided >= self.min_requests and not self._is_below(tally)

    def fails(self, tally: Tally) -> bool:
        """Whether the figures cost one. Too few to judge by cost nothing."""
        return tally.decided >= self.min_requests and self._is_below(tally)

    def _is_below(self, tally: Tally) -> bool:
        return tally.affirmed < self.rate * tally.decided


def first_day_lost(
    first_day: date, noticed_on: date, process: Exemption, wished: date | None = None
) -> date:
    """The first day without an exemption that began on `first_day`, if its loss is told that day.

    It is the first day of a quarter, so many days or more after the notice (the day after it is the
    first that counts), not before `wished`, and leaves the exemption the days it lasts at least.
    """
    earliest = max(
        noticed_on + timedelta(days=process.loss_notice_days),
        first_day + timedelta(days=process.minimum_duration_days),
        wished or date.min,
    )
    quarter = Quarter.of(earliest)
    return quarter.first_day if quarter.first_day == earliest else quarter.after.first_day


def check_is_due(checked_on: date, today: date, process: Exemption) -> bool:
    """Whether an exemption that was earned or checked on a day is to be checked again."""
    return today >= checked_on + timedelta(days=process.minimum_duration_days)
