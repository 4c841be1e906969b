"""The one Coverage a call is about: the patient's, in force, of a payer answered for here."""

from dataclasses import dataclass
from datetime import date
from typing import Literal

from wiser_fhir.crd.chart import Chart
from wiser_fhir.crd.gather import Gathered
from wiser_fhir.crd.references import name_of
from wiser_fhir.crd.wanted import COVERAGE
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.values import day_of
from wiser_fhir.intake.coverage_kind import coverage_kind, payor_identifiers
from wiser_fhir.priorauth.models import CoverageKind

Cause = Literal["none", "several", "foreign-payer", "no-payer", "unreachable"]

_NEVER = frozenset({"entered-in-error", "draft"})


@dataclass(frozen=True, slots=True)
class FocalCoverage:
    """The Coverage answered for. `resource` is a readable copy, `received` the very one that came.

    `ended` where it is cancelled, or its period is over on the day of the call.
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
    """The one Coverage in force; where none is, the one that ended last. Raises NoCoverage.

    A Coverage that does not say whose it is, is taken for the patient's.
    """
    known = [c for c in chart.of_type("Coverage") if "id" in c and not chart.is_about_another(c)]
    known = [coverage for coverage in known if coverage.get("status") not in _NEVER]
    live = [coverage for coverage in known if not _is_over(coverage, on)]
    if len(live) > 1:
        raise NoCoverage("several")
    if not known:
        raise NoCoverage("unreachable" if COVERAGE in gathered.failed else "none")
    coverage = live[0] if live else max(known, key=_last_day)
    kind = coverage_kind(chart, coverage)
    if kind is CoverageKind.UNKNOWN:
        raise NoCoverage(_why_unknown(chart, coverage, gathered))
    received = chart.as_received(coverage) or coverage
    return FocalCoverage(coverage, received, f"Coverage/{coverage['id']}", kind, ended=not live)


def _is_over(coverage: Json, on: date) -> bool:
    return coverage.get("status") == "cancelled" or _last_day(coverage) < on


def _last_day(coverage: Json) -> date:
    return day_of((coverage.get("period") or {}).get("end")) or date.max


def _why_unknown(chart: Chart, coverage: Json, gathered: Gathered) -> Cause:
    """A payer nobody knows here, none told, or one that could not be read."""
    if payor_identifiers(chart, coverage):
        return "foreign-payer"
    names = {name_of(payor.get("reference", "")) for payor in coverage.get("payor", ())}
    return "unreachable" if names & gathered.failed else "no-payer"
