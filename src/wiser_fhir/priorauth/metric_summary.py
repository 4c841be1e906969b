"""Figures over the requests of a span of days, in the manner that CMS-0057-F has payers publish.

Standard and expedited requests stand apart. A decision takes as long as its clock ran: from the
receipt that started it to the determination. What a request comes to is its state now. Requests
that were dismissed or cancelled are in no share of decisions. A non-affirmation cannot be appealed,
so there are no figures of appeals; no decision is extended, so there are none of extensions.

Source: 45 CFR 156.223(c) and its likes (what is published); PAS 2.2.1, Metrics page.
"""

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from statistics import fmean, median
from typing import Any

from wiser_fhir.priorauth.metric_rows import MetricRows

_DECIDED = ("affirmed", "partially-affirmed", "non-affirmed")
_HOUR = timedelta(hours=1)
_REFUSED = "request.refused"
_ACTIONS = ("claim.inquire", _REFUSED)
_ROUTES = ("%/Claim/-submit", "%/Claim/-inquire")


def _hours() -> "array[float]":
    return array("d")


@dataclass(slots=True)
class Decisions:
    """Decided requests of one kind, and the hours that each decision took."""

    outcomes: Counter[str] = field(default_factory=Counter)
    hours: "array[float]" = field(default_factory=_hours)

    def add(self, case: Mapping[str, Any]) -> None:
        """Count a decided request."""
        self.outcomes[case["status"]] += 1
        self.hours.append((case["decided_at"] - case["received_at"]) / _HOUR)

    def figures(self) -> dict[str, Any]:
        """The figures; no share and no time where nothing was decided."""
        decided = self.outcomes.total()
        return {
            "decided": decided,
            "approved": share(self.outcomes["affirmed"], decided),
            "partially_approved": share(self.outcomes["partially-affirmed"], decided),
            "denied": share(self.outcomes["non-affirmed"], decided),
            "average_hours": _rounded(fmean(self.hours)) if decided else None,
            "median_hours": _rounded(median(self.hours)) if decided else None,
        }


@dataclass(slots=True)
class Summary:
    """All figures of the days. `now` is when pended requests are looked at."""

    now: datetime
    standard: Decisions = field(default_factory=Decisions)
    expedited: Decisions = field(default_factory=Decisions)
    statuses: Counter[str] = field(default_factory=Counter)
    exchanges: Counter[str] = field(default_factory=Counter)
    final_at_once: int = 0
    pended: "array[float]" = field(default_factory=_hours)

    async def read(self, rows: MetricRows) -> None:
        """Take in every request and every call of the days. Raises Unavailable."""
        async for case in rows.cases():
            self.add(case)
        async for event in rows.trail(_ACTIONS, _ROUTES):
            self.exchanges["refused" if event["action"] == _REFUSED else "query"] += 1

    def add(self, case: Mapping[str, Any]) -> None:
        """Take in one request."""
        status = case["status"]
        self.statuses[status] += 1
        self.exchanges.update(each["operation"] for each in case["exchanges"])
        if status == "in-review":
            self.pended.append((self.now - case["received_at"]) / _HOUR)
        elif status in _DECIDED:
            (self.expedited if case["expedited"] else self.standard).add(case)
        self.final_at_once += status != "in-review" and len(case["answered_at"] or ()) == 1

    def figures(self) -> dict[str, Any]:
        """The figures as JSON. Shares are between 0 and 1."""
        requests, calls = self.statuses.total(), self.exchanges.total()
        return {
            "requests": requests,
            "standard": self.standard.figures(),
            "expedited": self.expedited.figures(),
            "dismissed": self.statuses["dismissed"],
            "cancelled": self.statuses["cancelled"],
            "final_at_first_answer": share(self.final_at_once, requests),
            "pended": {
                "count": len(self.pended),
                "median_hours": _rounded(median(self.pended)) if self.pended else None,
                "oldest_hours": _rounded(max(self.pended)) if self.pended else None,
            },
            "exchanges": {
                "initial": self.exchanges["submit"],
                "update": self.exchanges["update"],
                "cancel": self.exchanges["cancel"],
                "query": self.exchanges["query"],
                "refused": self.exchanges["refused"],
                "refused_share": share(self.exchanges["refused"], calls),
            },
        }


def share(part: int, whole: int) -> float | None:
    """A part of a whole, to four decimals; nothing of nothing."""
    return round(part / whole, 4) if whole else None


def _rounded(hours: float) -> float:
    return round(hours, 2)
