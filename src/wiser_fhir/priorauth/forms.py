"""Which form of a request counts, and which of its answers."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from wiser_fhir.clock import business_date
from wiser_fhir.coverage.canonical import is_adaptive, questionnaire_urls
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.completeness import AnswerFault, Fault, answer_faults
from wiser_fhir.coverage.evaluate import Value, fitting
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.questions import Question, QuestionType
from wiser_fhir.coverage.relevance import relevant
from wiser_fhir.priorauth.chart import Chart, Comparison, compared
from wiser_fhir.priorauth.form_shape import shape_faults
from wiser_fhir.priorauth.models import (
    Answer,
    AnswerOrigin,
    CompletedForm,
    Finding,
    FindingStatus,
    GivenAs,
    Origin,
    Submission,
)

_GIVEN_AS: Mapping[QuestionType, GivenAs] = {
    "boolean": GivenAs.BOOLEAN,
    "choice": GivenAs.OPTION,
    "multi_choice": GivenAs.OPTION,
    "integer": GivenAs.INTEGER,
    "decimal": GivenAs.DECIMAL,
    "date": GivenAs.DATE,
    "text": GivenAs.TEXT,
}
_DIFFERS = "The answer differs from the chart that came along."
_CHANGED = "Changed by hand; the chart that came along cannot be compared."


@dataclass(frozen=True, slots=True)
class FormReading:
    """What the forms of a request say. `rules` is the file the form was built from.

    `answers` are those that count. `by_software` are attestations that software filled and that
    therefore do not count, `by_others` those that somebody gave who is no clinician. `missing` are
    required questions that were asked and not answered, `spared` those an adaptive form had no need
    to ask. `doubted` are answers that do not go with the chart, with the reason. Every finding,
    missing question and doubt sends the request to a clinician.
    """

    rules: ServiceRules
    answers: Mapping[str, Value] = field(default_factory=dict)
    by_software: frozenset[str] = frozenset()
    by_others: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    spared: frozenset[str] = frozenset()
    doubted: Mapping[str, str] = field(default_factory=dict)
    origins: tuple[AnswerOrigin, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def undoubted(self) -> Mapping[str, Value]:
        """The answers that count and go with the chart."""
        return {name: value for name, value in self.answers.items() if name not in self.doubted}


def read_forms(rules: ServiceRules, submission: Submission, catalogue: Catalogue) -> FormReading:
    """The one form that counts for the service asked for, with the answers of it that count.

    `rules` is the file in force; a form of an earlier version that still counts is read by its own.
    """
    readings = [_source_of(form, rules, submission, catalogue) for form in submission.forms]
    counting = [
        (form, source)
        for form, source in zip(submission.forms, readings, strict=True)
        if isinstance(source, _Source)
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
    return _answers(form, source, submission, findings)


@dataclass(frozen=True, slots=True)
class _Source:
    """What a form was built from, and when it was filled."""

    rules: ServiceRules
    adaptive: bool
    authored: datetime


def _source_of(
    form: CompletedForm, rules: ServiceRules, submission: Submission, catalogue: Catalogue
) -> _Source | str:
    """What a form was built from, or the reason why the form does not count."""
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
    return _Source(source, is_adaptive(form.questionnaire), form.authored)


def _answers(
    form: CompletedForm, source: _Source, submission: Submission, findings: list[Finding]
) -> FormReading:
    """The answers of a form that counts, each as its question's type holds it."""
    rules = source.rules
    possible = dict(_possible(form, rules))
    by_software = frozenset(_attested_by_software(form, rules, possible))
    by_others = frozenset(_attested_by_others(form, rules, possible)) - by_software
    left_out = by_software | by_others
    counting = {name: value for name, value in possible.items() if name not in left_out}
    wanted = relevant(rules, possible, counting) if source.adaptive else frozenset(rules.by_id)
    faults = _faults(form, rules, wanted)
    missing = frozenset(fault.question for fault in faults if fault.fault is Fault.MISSING)
    wrong = [fault.text for fault in faults if fault.fault is not Fault.MISSING]
    if form.layout is not None:
        wrong += shape_faults(rules, form.layout, adaptive=source.adaptive)
    return FormReading(
        rules,
        counting,
        by_software,
        by_others,
        missing,
        spared=frozenset(rules.by_id) - wanted - form.answers.keys(),
        doubted=dict(_doubted(form, source, submission, counting)),
        origins=tuple(_origins(form, rules, counting)),
        findings=(*findings, *(_judge("form-answers", text) for text in wrong)),
    )


def _attested_by_software(
    form: CompletedForm, rules: ServiceRules, answered: Mapping[str, Value]
) -> Iterator[str]:
    for name in answered:
        if rules.by_id[name].is_attestation and form.answers[name].by_software:
            yield name


def _attested_by_others(
    form: CompletedForm, rules: ServiceRules, answered: Mapping[str, Value]
) -> Iterator[str]:
    for name in answered:
        if rules.by_id[name].is_attestation and not form.answers[name].by_clinician:
            yield name


def _origins(
    form: CompletedForm, rules: ServiceRules, counting: Mapping[str, Value]
) -> Iterator[AnswerOrigin]:
    """Who gave each answer, in the order of the form's questions."""
    for name in rules.by_id:
        if name in form.answers:
            yield AnswerOrigin(name, form.answers[name].origin, name in counting)


def _possible(form: CompletedForm, rules: ServiceRules) -> Iterator[tuple[str, Value]]:
    for name, answer in form.answers.items():
        question = rules.by_id.get(name)
        value = fitting(question, answer.value) if question else None
        if question is not None and value is not None and _is_of_its_type(question, answer):
            yield name, value


def _is_of_its_type(question: Question, answer: Answer) -> bool:
    return answer.given_as in (None, _GIVEN_AS[question.type])


def _faults(
    form: CompletedForm, rules: ServiceRules, expected: frozenset[str]
) -> tuple[AnswerFault, ...]:
    """What is wrong with the form; an answer of another type than its question's is unreadable."""
    of_another_type = {
        name
        for name, answer in form.answers.items()
        if name in rules.by_id and not _is_of_its_type(rules.by_id[name], answer)
    }
    answers = {n: a.value for n, a in form.answers.items() if n not in of_another_type}
    unreadable = form.unreadable | of_another_type
    return answer_faults(rules, answers, unreadable=unreadable, complete=True, expected=expected)


def _doubted(
    form: CompletedForm, source: _Source, submission: Submission, answers: Mapping[str, Value]
) -> Iterator[tuple[str, str]]:
    """The answers that contradict the chart, and those put in the place of what software filled
    that cannot be compared with it."""
    chart = Chart(
        submission.chart, submission.beneficiary.birth_date, business_date(source.authored)
    )
    for name, comparison in compared(source.rules, answers, chart).items():
        if comparison is Comparison.CONTRADICTS:
            yield name, _DIFFERS
        elif comparison is Comparison.UNCLEAR and form.answers[name].origin is Origin.OVERRIDE:
            yield name, _CHANGED


def _judge(criterion: str, text: str) -> Finding:
    return Finding(criterion, FindingStatus.NEEDS_JUDGEMENT, text)
