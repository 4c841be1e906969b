"""What the rules say of a request that is in scope. Software may affirm; it never non-affirms."""

from collections.abc import Iterator, Sequence

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.evaluate import Evaluation, Outcome, evaluate
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.priorauth.forms import FormReading, read_forms
from wiser_fhir.priorauth.models import (
    Assessment,
    Finding,
    FindingStatus,
    Recommendation,
    Submission,
)

_STATUS = {
    Outcome.MET: FindingStatus.MET,
    Outcome.UNMET: FindingStatus.UNMET,
    Outcome.OUT_OF_SCOPE: FindingStatus.UNMET,
    Outcome.REVIEW: FindingStatus.NEEDS_JUDGEMENT,
    Outcome.UNANSWERED: FindingStatus.UNANSWERED,
}


def assess(
    rules: ServiceRules,
    submission: Submission,
    catalogue: Catalogue,
    *,
    findings: Sequence[Finding] = (),
    auto_affirm: bool,
    require_reviewed: bool,
) -> Assessment:
    """AFFIRM where the decision tree holds and nothing is left for a person, else REVIEW.

    `rules` is the file in force for the one service asked for; `findings` are those of the gates.
    `auto_affirm` false keeps every decision with a clinician; `require_reviewed` does so while no
    clinician has put a name to the rule file.

    Source: WISeR Operational Guide 6.0, 4.1.2.
    """
    reading = read_forms(rules, submission, catalogue)
    evaluation = evaluate(reading.rules, reading.answers)
    for_a_person = [*findings, *reading.findings]
    if submission.evidence < 1:
        for_a_person.append(_evidence())
    reviewed = rules.is_reviewed and reading.rules.is_reviewed
    if require_reviewed and not reviewed:
        for_a_person.append(_ours("rules-reviewed", "No clinician has reviewed the rules yet."))
    if not auto_affirm:
        for_a_person.append(_ours("auto-affirm", "Affirming by software is switched off."))
    out_of_scope = evaluation.with_outcome(Outcome.OUT_OF_SCOPE)
    doubtful = for_a_person or reading.missing or reading.doubted
    affirms = evaluation.holds and not out_of_scope and not doubtful
    return Assessment(
        Recommendation.AFFIRM if affirms else Recommendation.REVIEW,
        (*for_a_person, *_criteria(reading, evaluation)),
        reading.origins,
    )


def _criteria(reading: FormReading, evaluation: Evaluation) -> Iterator[Finding]:
    """One finding for each question asked, in the order of the form."""
    for name, outcome in evaluation.outcomes.items():
        text = reading.rules.by_id[name].text
        if name in reading.by_software:
            yield _judge(name, f"{text} (Answered by software; a person must.)")
        elif name in reading.by_others:
            yield _judge(name, f"{text} (Answered by somebody else; a clinician must.)")
        elif name in reading.doubted:
            yield _judge(name, f"{text} ({reading.doubted[name]})")
        elif name not in reading.spared:
            yield Finding(name, _STATUS[outcome], text)


def _evidence() -> Finding:
    text = "The request carries no clinical document or result."
    return Finding("evidence", FindingStatus.UNANSWERED, text)


def _judge(criterion: str, text: str) -> Finding:
    return Finding(criterion, FindingStatus.NEEDS_JUDGEMENT, text)


def _ours(criterion: str, text: str) -> Finding:
    """What is for a person because of how the payer works, whatever the request says."""
    return Finding(criterion, FindingStatus.NEEDS_JUDGEMENT, text, internal=True)
