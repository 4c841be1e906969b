"""Which form of a request counts, and which of its answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from wiser_fhir.clock import business_date
from wiser_fhir.coverage.canonical import questionnaire_urls
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.evaluate import Value, fitting
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.priorauth.models import CompletedForm, Finding, FindingStatus, Submission


@dataclass(frozen=True, slots=True)
class FormReading:
    """What the forms of a request say. `rules` is the file the form was built from.

    `answers` are those that count. `by_software` are attestations that software filled and that
    therefore do not count. Every finding sends the request to a clinician.
    """

    rules: ServiceRules
    answers: Mapping[str, Value] = field(default_factory=dict)
    by_software: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()


def read_forms(rules: ServiceRules, submission: Submission, catalogue: Catalogue) -> FormReading:
    """The one form that counts for the service asked for, with the answers of it that count.

    `rules` is the file in force; a form of an earlier version that still counts is read by its own.
    """
    readings = [_source_of(form, rules, submission, catalogue) for form in submission.forms]
    counting = [
        (form, source)
        for form, source in zip(submission.forms, readings, strict=True)
        if isinstance(source, ServiceRules)
    ]
    findings = [_judge("form", reason) for reason in readings if isinstance(reason, str)]
    if not submission.forms:
        missing = "No completed form of this service came with the request."
        return FormReading(rules, findings=(Finding("form", FindingStatus.UNANSWERED, missing),))
    if len(counting) > 1:
        findings.append(_judge("form", "More than one completed form of this service came."))
    if len(counting) != 1:
        return FormReading(rules, findings=tuple(findings))
    form, source = counting[0]
    return _answers(form, source, findings)


def _source_of(
    form: CompletedForm, rules: ServiceRules, submission: Submission, catalogue: Catalogue
) -> ServiceRules | str:
    """The rule file a form was built from, or the reason why the form does not count."""
    if form.questionnaire not in questionnaire_urls(rules.slug):
        return "A form is not the one of the service asked for."
    if form.version is None:
        return "A form does not name its version."
    source = catalogue.form(form.questionnaire, form.version, business_date(submission.received_at))
    if source is None:
        return "A form's version is not known here, or counts no longer."
    if not form.completed:
        return "A form is not completed."
    if not form.about_the_patient:
        return "A form is not about the patient of the request."
    if form.authored is None or form.authored.tzinfo is None:
        return "A form does not say at what instant it was written."
    if form.authored > submission.received_at:
        return "A form was written after the request was received."
    if business_date(form.authored) < source.opens_on:
        return "A form was written before its version was in force."
    return source


def _answers(form: CompletedForm, rules: ServiceRules, findings: list[Finding]) -> FormReading:
    """The answers of a form that counts, each as its question's type holds it."""
    answers: dict[str, Value] = {}
    by_software: set[str] = set()
    for name, answer in form.answers.items():
        question = rules.by_id.get(name)
        value = fitting(question, answer.value) if question else None
        if question is None:
            findings.append(_judge("form-answers", "The form answers a question it does not have."))
        elif value is None:
            findings.append(_judge("form-answers", f"No possible answer: {question.text}"))
        elif question.is_attestation and answer.by_software:
            by_software.add(name)
        else:
            answers[name] = value
    return FormReading(rules, answers, frozenset(by_software), tuple(findings))


def _judge(criterion: str, text: str) -> Finding:
    return Finding(criterion, FindingStatus.NEEDS_JUDGEMENT, text)
