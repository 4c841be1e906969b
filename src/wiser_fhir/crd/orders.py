"""What each order of a hook call asks of us, as the core understands a request."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from wiser_fhir.clock import business_date
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.crd.chart import Chart
from wiser_fhir.crd.coverage_information import carried
from wiser_fhir.crd.focal_coverage import (
    FocalCoverage,
    NoCoverage,
    focal_coverage,
    is_in_force,
)
from wiser_fhir.crd.gather import Gathered
from wiser_fhir.crd.hook_request import HookRequest
from wiser_fhir.crd.order_reading import OrderReading, Surroundings, read_order
from wiser_fhir.crd.subjects import Subject, subjects_of
from wiser_fhir.errors import Problem
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.member import beneficiary
from wiser_fhir.intake.soundness import Soundness
from wiser_fhir.priorauth.models import Beneficiary, Identifier, RequestKind, Submission
from wiser_fhir.priorauth.rules import is_mbi

__all__ = ["Ask", "FocalCoverage", "NoCoverage", "Unusable", "asks", "focal_coverage"]

MOST_COMPANIONS = 40
"""Other orders of the same call that a line is looked at beside."""


# Problems of what is not at hand, is over, or asks that something be not done.
_NO_FAULT = frozenset({"informational", "not-found", "transient"})
# Of orders and appointments. A visit that is finished is asked about when the patient leaves.
_OVER = frozenset(
    {"cancelled", "completed", "entered-in-error", "fulfilled", "noshow", "revoked", "stopped"}
)


@dataclass(frozen=True, slots=True)
class Ask:
    """One resource asked about. `resource` is the very one that came: it gets the extension.

    `submission.items[0]` is what is asked for, the others are `companions`: other orders of the
    call, by name and in the same order; a line's sequence is its place in the call. `carried` is
    what we answered earlier, as it came back. `assumptions` were made in reading and are to be
    told. `technical`: a fact is lacking that may stand in what could not be fetched.
    `coverage_ended`: the Coverage is not in force on the day of service, or of the call where that
    is not told.
    """

    resource: Json
    reference: str
    submission: Submission
    excluded: bool
    carried: Json | None
    assumptions: tuple[str, ...]
    technical: bool
    companions: tuple[str, ...] = ()
    coverage_ended: bool = False


@dataclass(frozen=True, slots=True)
class Unusable:
    """What is asked about and cannot be answered for. `reference` is None where it has no name."""

    reference: str | None
    problems: tuple[Problem, ...]

    @property
    def is_invalid(self) -> bool:
        """Whether the fault is in what was sent. What could not be had is nobody's fault."""
        return any(problem.code not in _NO_FAULT for problem in self.problems)


@dataclass(frozen=True, slots=True)
class _Usable:
    subject: Subject
    resource: Json
    reference: str
    reading: OrderReading


def asks(
    request: HookRequest,
    chart: Chart,
    coverage: FocalCoverage,
    catalogue: Catalogue,
    *,
    organization_id: UUID,
    received_at: datetime,
    gathered: Gathered,
    base_problems: Soundness,
) -> tuple[tuple[Ask, ...], tuple[Unusable, ...]]:
    """What is asked about, and what of it cannot be answered for: one spoils nothing for another.

    Source: CRD 2.2.1 §resp-29 (one answer for each resource in scope), §hook-30, §hook-34.
    """
    around = Surroundings(request, chart, gathered, catalogue, business_date(received_at))
    usable, unusable = _sorted(subjects_of(request, chart, gathered), around, base_problems)
    known = [u for u in usable if _is_companion(u, around)][: MOST_COMPANIONS + 1]
    person = _person(chart, coverage)
    late = f"Patient/{request.patient_id}" in gathered.failed and not is_mbi(person.mbi or "")
    found = []
    for each in (one for one in usable if one.subject.in_scope):
        others = tuple(other for other in known if other is not each)[:MOST_COMPANIONS]
        submission = Submission(
            organization_id=organization_id,
            received_at=received_at,
            identifier=Identifier(None, each.reference),
            trace=Identifier(None, each.reference),
            kind=RequestKind.INITIAL,
            expedite_requested=each.subject.facts.stat,
            beneficiary=person,
            coverage=coverage.kind,
            parties=each.reading.parties,
            diagnoses=each.reading.diagnoses,
            items=tuple(line.reading.item for line in (each, *others)),
            forms=(),
            evidence=0,
        )
        found.append(_ask(each, others, submission, coverage, around, late=late))
    return tuple(found), unusable


def _person(chart: Chart, coverage: FocalCoverage) -> Beneficiary:
    """The beneficiary. Nobody has to tell the name yet: one without is no unknown member."""
    return replace(beneficiary(chart.patient, coverage.resource), name_expected=False)


def _ask(
    each: _Usable,
    others: Sequence[_Usable],
    submission: Submission,
    coverage: FocalCoverage,
    around: Surroundings,
    *,
    late: bool,
) -> Ask:
    own = carried(each.resource, coverage.reference)
    day = each.subject.facts.starts or around.on
    return Ask(
        resource=each.resource,
        reference=each.reference,
        submission=submission,
        excluded=each.reading.excluded,
        carried=own[-1] if own else None,
        assumptions=each.reading.assumptions,
        technical=each.reading.technical or late,
        companions=tuple(other.reference for other in others),
        coverage_ended=not is_in_force(coverage.resource, day),
    )


def _is_companion(each: _Usable, around: Surroundings) -> bool:
    """Whether another order can matter beside one: it carries a code some service lists."""
    codes = each.reading.item.service.codes
    return any(around.catalogue.recognised(code, around.on) is not None for code in codes)


def _sorted(
    subjects: Iterator[Subject], around: Surroundings, base_problems: Soundness
) -> tuple[list[_Usable], tuple[Unusable, ...]]:
    """Those that can be read, and those asked about that cannot."""
    usable: dict[str, _Usable] = {}
    unusable: list[Unusable] = []
    for subject in subjects:
        problems = tuple(_problems(subject, around, base_problems))
        name, resource = subject.reference, subject.resource
        if name in usable:
            problems = (*problems, _problem(subject, "a second resource of the same id"))
        if problems or name is None or not isinstance(resource, dict):
            if subject.in_scope:
                unusable.append(Unusable(name, problems))
            continue
        reading = read_order(subject.facts, around, sequence=len(usable) + 1)
        usable[name] = _Usable(subject, resource, name, reading)
    return list(usable.values()), tuple(unusable)


def _problems(
    subject: Subject, around: Surroundings, base_problems: Soundness
) -> Iterator[Problem]:
    """What keeps a resource from an answer. What nobody knows in it does not.

    Source: CRD 2.2.1 §found-33, §found-36 (an id), §hook-13 (base FHIR).
    """
    if subject.fault is not None:
        yield _problem(subject, subject.fault)
        return
    for problem in base_problems(subject.resource or {}):
        if problem.severity == "error" and not problem.text.endswith("is not known here"):
            yield problem
    if subject.view is not None and around.chart.is_about_another(subject.view):
        yield _problem(subject, "about another patient than the one of the call")
    if subject.facts.negative:
        yield _remark(subject, "asks that something be not done, which needs no coverage")
    if (subject.view or {}).get("status") in _OVER:
        yield _remark(subject, "is over, or never was: nothing is asked for")


def _remark(subject: Subject, text: str) -> Problem:
    return Problem("information", "informational", f"{subject.place}: {text}", subject.place)


def _problem(subject: Subject, text: str) -> Problem:
    return Problem("error", subject.code, f"{subject.place}: {text}", subject.place)
