"""Every reply of a walk through every adaptive form: valid for our validator and HL7's."""

import json
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from tests.adaptive_walks import (
    Choose,
    catalogue,
    first_call,
    first_choice,
    forms,
    inside,
    last_choice,
    meeting,
    walk,
)
from tests.conformance.dtr.test_forms_valid import ours
from tests.ledger_values import an_assertion
from tests.oracle.judge import Judge
from tests.unit.crd.answering import an_assertion as an_assertion_of_crd
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.questions import Question
from wiser_fhir.crd.coverage_information import extension
from wiser_fhir.dtr.coverage_answer import with_coverage_answers
from wiser_fhir.dtr.forms import Form
from wiser_fhir.fhir.codes import LINES, Line
from wiser_fhir.priorauth.foresee import Situation

Json = dict[str, Any]
DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
# What a reply is held to. The public suite for 2.0 asks for the second.
PROFILES: dict[Line, tuple[str, ...]] = {
    "2.2": (DTR + "dtr-questionnaireresponse-adapt",),
    "2.0": (DTR + "dtr-questionnaireresponse", SDC + "sdc-questionnaireresponse"),
}
# SDC slices by an extension of R5 that no package of this line has; the engine says so of each one.
_NOT_OF_R4 = "extension-QuestionnaireResponse.source"
CRD: Json = {
    "covered": "covered",
    "pa-needed": "auth-needed",
    "doc-needed": ["clinical"],
    "info-needed": [],
    "reasons": [{"text": "Reviewed under the WISeR model.", "code": None}],
    "satisfied-pa-id": None,
}


def middle_choice(question: Question) -> Any:
    """The second option, or one of several, and every yes."""
    if question.type == "multi_choice":
        return [option.code for option in question.options[:2]]
    return question.options[1].code if question.options else first_choice(question)


def paths(rules: ServiceRules) -> tuple[Choose, ...]:
    """Ways through a form: all yes, all no, the middle, the criteria met, and one with gaps."""

    def with_gaps(question: Question) -> Any:
        return last_choice(question) if question.required else None

    return (first_choice, middle_choice, meeting(rules), with_gaps)


def adaptive(line: Line) -> Iterator[Form]:
    for slug in catalogue().slugs:
        for rules in catalogue().versions(slug):
            form = forms().of(line, rules, adaptive=True) if rules.is_active else None
            if form is not None:
                yield form


def replies(form: Form) -> Iterator[Json]:
    """Every different reply of every path; completed ones with and without what CRD asserted."""
    told = set()
    for choose in paths(form.rules):
        for response in walk(form, choose):
            text = json.dumps(response, sort_keys=True)
            if text not in told:
                told.add(text)
                yield response
    asked: Json = {
        "doc-purpose": ["withpa"],
        "questionnaires": [f"{form.url.removesuffix('-adaptive')}|{form.version}"],
    }
    yield with_coverage(form, response, CRD | asked)
    yield with_coverage(form, response, CRD | {"line": form.line, "extension": sent(form.line)})


def sent(line: Line) -> Json:
    """What CRD puts on an order that needs authorization."""
    return extension(an_assertion_of_crd(Situation.NEEDS_AUTHORIZATION, line), line)


def with_coverage(form: Form, response: Json, answer: Json) -> Json:
    """The same as an order that CRD was asked about brings it."""
    named = {"url": "coverage-assertion-id", "valueString": "A-1"}
    begun = {"url": INFORMATION, "extension": [named]}
    record = an_assertion(
        id="A-1",
        service=form.rules.slug,
        coverage="Coverage/coverage-1",
        answer=answer,
        expires_on=None,
    )
    told = with_coverage_answers(
        response | {"extension": [*response["extension"], begun]},
        {"A-1": record},
        form=form,
        on=date(2026, 11, 20),
    )
    assert len(told["extension"][-1]["extension"]) > 5
    return told


@pytest.mark.oracle
@pytest.mark.parametrize("line", LINES)
def test_every_reply_of_every_walk_is_valid_for_both(line: Line, judge: Judge) -> None:
    every = [(form, reply) for form in adaptive(line) for reply in replies(form)]
    assert len(every) > 60
    asked = [
        (form.rules.slug, judge.submit(reply, line, profile))
        for form, reply in every
        for profile in PROFILES[line]
    ]
    for form, reply in every:
        for profile in PROFILES[line]:
            errors = [each for each in ours(reply, line, profile) if each.severity == "error"]
            assert errors == [], form.rules.slug
    wrong = {
        f"{slug}: {each.expression}: {each.text}"
        for slug, answer in asked
        for each in answer.result()
        if each.is_error and _NOT_OF_R4 not in each.text
    }
    assert wrong == set()


@pytest.mark.parametrize("line", LINES)
def test_every_form_inside_meets_its_profile(line: Line) -> None:
    for form in adaptive(line):
        for reply in walk(form, meeting(form.rules)):
            found = inside(reply)
            assert found["meta"]["profile"] == [DTR + "dtr-questionnaire-adapt"]
            told = ours(found, line, DTR + "dtr-questionnaire-adapt")
            assert [each for each in told if each.severity == "error"] == []


@pytest.mark.parametrize("line", LINES)
def test_a_first_call_is_what_a_package_brings(line: Line) -> None:
    for form in adaptive(line):
        draft = first_call(form)
        assert inside(draft).get("item") is None
        assert draft["status"] == "in-progress"
