"""What holds of every request: what is not told never dismisses, software never attests."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.priorauth.wiser_requests import (
    CATALOGUE,
    EVERYWHERE,
    FIRST_INJECTION,
    ON,
    OUTPATIENT,
    REGISTRY,
    facility,
    form,
    line,
    practitioner,
    request,
)
from wiser_fhir.priorauth.assess import assess
from wiser_fhir.priorauth.models import (
    Answer,
    Assessment,
    CoverageKind,
    Origin,
    Party,
    PartyRole,
    Recommendation,
    Submission,
)
from wiser_fhir.priorauth.registry import InMemoryRegistry, Registry
from wiser_fhir.priorauth.scope import ScopeResult, scope

CALM = settings(deadline=None, max_examples=60)
WHOLE = request(items=(line("64483", site=OUTPATIENT),), parties=(practitioner(), facility()))


def decided(submission: Submission, registry: Registry = REGISTRY) -> Assessment:
    """The assessment of a request that must be in scope."""
    found = scope(submission, CATALOGUE, registry, served_states=EVERYWHERE, on=ON)
    assert isinstance(found, ScopeResult), found
    return assess(
        found.rules,
        submission,
        CATALOGUE,
        findings=found.findings,
        auto_affirm=True,
        require_reviewed=False,
    )


def of_line(**changes: Any) -> Callable[[Submission], Submission]:
    """A request whose line does not tell something."""

    def without(submission: Submission) -> Submission:
        [item] = submission.items
        own = {name: value for name, value in changes.items() if name == "site"}
        service = {name: value for name, value in changes.items() if name != "site"}
        changed = replace(item, service=replace(item.service, **service), **own)
        return replace(submission, items=(changed,))

    return without


def of_party(role: PartyRole, **changes: Any) -> Callable[[Submission], Submission]:
    """A request whose practitioner or facility does not tell something."""

    def changed(party: Party) -> Party:
        return replace(party, **changes) if party.role is role else party

    return lambda submission: replace(submission, parties=tuple(map(changed, submission.parties)))


SILENCES: dict[str, Callable[[Submission], Submission]] = {
    "state": of_line(state=None),
    "date": of_line(date_of_service=None),
    "site": of_line(site=None),
    "npi": of_party(PartyRole.RENDERING, npi=None),
    "ptan": of_party(PartyRole.RENDERING, ptan=None),
    "ccn": of_party(PartyRole.FACILITY, ccn=None),
    "facility npi": of_party(PartyRole.FACILITY, npi=None),
    "diagnosis": lambda submission: replace(submission, diagnoses=()),
    "form": lambda submission: replace(submission, forms=()),
    "evidence": lambda submission: replace(submission, evidence=0),
    "birth date": lambda s: replace(s, beneficiary=replace(s.beneficiary, birth_date=None)),
}


def test_the_whole_request_is_affirmed() -> None:
    assert decided(WHOLE).recommendation is Recommendation.AFFIRM


@CALM
@given(st.sets(st.sampled_from(sorted(SILENCES)), min_size=1))
def test_what_is_not_told_never_dismisses_and_never_affirms(silent: set[str]) -> None:
    submission = WHOLE
    for name in sorted(silent):
        submission = SILENCES[name](submission)
    assert decided(submission).recommendation is Recommendation.REVIEW


@CALM
@given(st.booleans(), st.sets(st.sampled_from(sorted(SILENCES))))
def test_a_registry_that_knows_nothing_never_dismisses(known: bool, silent: set[str]) -> None:
    submission = WHOLE if known else replace(WHOLE, coverage=CoverageKind.UNKNOWN)
    for name in sorted(silent):
        submission = SILENCES[name](submission)
    assert decided(submission, InMemoryRegistry()).recommendation is Recommendation.REVIEW


RULES = CATALOGUE.service("epidural-steroid-injection", ON)
assert RULES is not None
ATTESTATIONS = {question.id for question in RULES.questions if question.is_attestation}


@CALM
@given(st.sets(st.sampled_from(sorted(FIRST_INJECTION))))
def test_software_fills_facts_and_never_attests(filled: set[str]) -> None:
    answers = {
        name: Answer(value, Origin.AUTO if name in filled else None)
        for name, value in FIRST_INJECTION.items()
    }
    told = decided(replace(WHOLE, forms=(form(answers),)))
    silent = {name: a for name, a in answers.items() if name not in filled & ATTESTATIONS}
    without = decided(replace(WHOLE, forms=(form(silent),)))
    assert told.recommendation is without.recommendation
    affirms = told.recommendation is Recommendation.AFFIRM
    assert affirms == (not filled & ATTESTATIONS)


@CALM
@given(st.sets(st.sampled_from(sorted(FIRST_INJECTION)), min_size=1))
def test_an_answer_missing_is_a_finding_and_no_affirmation(blank: set[str]) -> None:
    rest = {name: value for name, value in FIRST_INJECTION.items() if name not in blank}
    assessment = decided(replace(WHOLE, forms=(form(rest),)))
    assert assessment.recommendation is Recommendation.REVIEW
    unanswered = {f.criterion for f in assessment.findings if f.status == "unanswered"}
    assert unanswered <= blank
    assert unanswered | {"esi-bilateral"} >= blank
