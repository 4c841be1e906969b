"""The one Coverage a call is about: the patient's, in force, of a payer answered for here."""

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date
from typing import Literal

from wiser_fhir.crd.chart import Chart
from wiser_fhir.crd.gather import Gathered
from wiser_fhir.crd.subjects import subjects_of
from wiser_fhir.crd.wanted import COVERAGE
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.values import day_of
from wiser_fhir.intake.coverage_kind import coverage_kind, payor_identifiers
from wiser_fhir.intake.member import medicare_numbers
from wiser_fhir.intake.references import is_id, name_of
from wiser_fhir.priorauth.models import CoverageKind

Cause = Literal["none", "several", "foreign-payer", "no-payer", "unreachable", "another-member"]

_NEVER = frozenset({"entered-in-error", "draft"})


@dataclass(frozen=True, slots=True)
class FocalCoverage:
    """The Coverage answered for. `resource` is a readable copy, `received` the very one that came.

    `ended` where it is in force on none of the days asked about: see `is_in_force`.
    """

    resource: Json
    received: Json
    reference: str
    kind: CoverageKind
    ended: bool


class NoCoverage(Exception):
    """There is no one Coverage to answer for.

    Source: CRD 2.2.1 §hook-13 (400, also for several, and for a payer that is not ours).
    """

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause: Cause = cause


def focal_coverage(chart: Chart, gathered: Gathered, on: date) -> FocalCoverage:
    """The one Coverage in force on a day of what is asked about, `on` where no day is told.

    Where none is, the one that ended last. A Coverage that does not say whose it is, is taken for
    the patient's; one of Medicaid is another payer's. Raises NoCoverage.
    """
    named = [c for c in chart.of_type("Coverage") if is_id(c.get("id"))]
    known = [coverage for coverage in named if not chart.is_about_another(coverage)]
    known = [coverage for coverage in known if coverage.get("status") not in _NEVER]
    if not known:
        raise NoCoverage("unreachable" if COVERAGE in gathered.failed else "none")
    days = _days(chart, gathered, on)
    live = [coverage for coverage in known if is_in_force(coverage, *days)]
    if len(live) > 1:
        raise NoCoverage("several")
    coverage = live[0] if live else max(known, key=_last_day)
    kind = coverage_kind(chart, coverage)
    if kind is CoverageKind.MEDICAID:
        raise NoCoverage("foreign-payer")
    if kind is CoverageKind.UNKNOWN or _lacks_a_payer(chart, coverage, gathered):
        raise NoCoverage(_why_unknown(chart, coverage, gathered))
    if _of_another_number(chart.patient, coverage):
        raise NoCoverage("another-member")
    received = chart.as_received(coverage) or coverage
    return FocalCoverage(coverage, received, f"Coverage/{coverage['id']}", kind, ended=not live)


def is_in_force(coverage: Json, *days: date) -> bool:
    """Whether a Coverage covers one of the days, which are in order; its first and last it does."""
    begins = day_of((coverage.get("period") or {}).get("start")) or date.min
    nearest = bisect_left(days, begins)
    covered = nearest < len(days) and days[nearest] <= _last_day(coverage)
    return covered and coverage.get("status") != "cancelled"


def _of_another_number(patient: Json, coverage: Json) -> bool:
    """Whether Patient and Coverage carry Medicare numbers, and none that is the same."""
    own, covered = medicare_numbers(patient), medicare_numbers(coverage)
    return bool(own and covered) and own.isdisjoint(covered)


def _days(chart: Chart, gathered: Gathered, on: date) -> list[date]:
    """The days of service asked about; the day of the call for what has none."""
    asked = [each for each in subjects_of(chart.request, chart, gathered) if each.in_scope]
    return sorted({each.facts.starts or on for each in asked if each.fault is None} or {on})


def _last_day(coverage: Json) -> date:
    return day_of((coverage.get("period") or {}).get("end")) or date.max


def _lacks_a_payer(chart: Chart, coverage: Json, gathered: Gathered) -> bool:
    """Whether the Coverage is refused for want of any identifier of its payer, whatever its type.

    A payer that could not be read may have one. Source: CRD 2.2.1 §hook-13; not in line 2.0.
    """
    if chart.request.line != "2.2" or payor_identifiers(chart, coverage):
        return False
    return _why_unknown(chart, coverage, gathered) == "no-payer"


def _why_unknown(chart: Chart, coverage: Json, gathered: Gathered) -> Cause:
    """A payer nobody knows here, none told, or one that could not be read."""
    if payor_identifiers(chart, coverage):
        return "foreign-payer"
    names = {name_of(payor.get("reference", "")) for payor in coverage.get("payor", ())}
    return "unreachable" if names & gathered.failed else "no-payer"
