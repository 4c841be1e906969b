"""Whether a request is WISeR's and ours: an administrative look, not a medical one."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.process import GateName
from wiser_fhir.priorauth import people_gates, service_gates
from wiser_fhir.priorauth.items import classify
from wiser_fhir.priorauth.line_doubts import line_doubts
from wiser_fhir.priorauth.models import (
    ClassifiedItem,
    Dismissal,
    DismissalReason,
    Finding,
    Submission,
)
from wiser_fhir.priorauth.registry import Registry
from wiser_fhir.priorauth.visit import Verdict, Visit, doubtful

GATES: Mapping[GateName, Callable[[Visit], Iterator[Verdict]]] = {
    "participant": service_gates.participant,
    "date": service_gates.service_date,
    "site": service_gates.site,
    "code": service_gates.code,
    "diagnosis": service_gates.diagnosis,
    "state": service_gates.state,
    "exclusion": service_gates.exclusion,
    "railroad": people_gates.railroad,
    "delayed": service_gates.delayed,
    "answers": service_gates.answers,
    "coverage": people_gates.coverage,
    "beneficiary": people_gates.beneficiary,
    "billing": people_gates.billing,
    "exemption": people_gates.exemption,
    "enrolment": people_gates.enrolment,
    "resubmission": people_gates.resubmission,
}


@dataclass(frozen=True, slots=True)
class ScopeResult:
    """A request that is in scope, as far as anybody told.

    `rules` is the file in force for the one service asked for. Each finding sends the request to a
    clinician.
    """

    rules: ServiceRules
    items: tuple[ClassifiedItem, ...]
    findings: tuple[Finding, ...]


def scope(
    submission: Submission,
    catalogue: Catalogue,
    registry: Registry,
    *,
    served_states: frozenset[str],
    on: date,
) -> Dismissal | ScopeResult:
    """The first reason to dismiss a request, in the order of the gates; else what is in scope.

    `on` is the business date of receipt, `served_states` the states whose requests are ours. What
    the request does not tell never dismisses, it becomes a finding. The gate for duplicates needs
    the stored cases and stands elsewhere; see `duplicate_of`.

    Source: WISeR Operational Guide 6.0, 4.1.
    """
    found = classify(submission, catalogue, on)
    visit = Visit(submission, found, catalogue, registry, served_states, on)
    return through_gates(visit, catalogue.process.gates)


def through_gates(visit: Visit, gates: Iterable[GateName]) -> Dismissal | ScopeResult:
    """The first reason to dismiss, with its gate, else what is in scope.

    In another order another reason may come first; whether there is one does not hang on it.
    """
    findings: dict[Finding, None] = {}
    for name in gates:
        for verdict in GATES[name](visit):
            if isinstance(verdict, Dismissal):
                return replace(verdict, gate=name)
            findings[verdict] = None
    if visit.rules is None:
        return replace(service_gates.no_service(visit), gate="code")
    told = (doubtful("request", text) for text in visit.submission.doubts)
    findings |= dict.fromkeys((*told, *line_doubts(visit)))
    return ScopeResult(visit.rules, visit.found.items, tuple(findings))


def duplicate_of() -> Dismissal:
    """The dismissal of a request whose like is undecided.

    It does not name that request: another organization may have sent it.
    """
    return Dismissal(
        DismissalReason.DUPLICATE,
        "A request of the same provider for this service and beneficiary is not decided yet."
        " Wait for its decision.",
    )
