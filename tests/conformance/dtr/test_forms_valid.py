"""Every form we publish, with its libraries and value sets: valid for our validator and HL7's."""

import re
from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

from tests.oracle.judge import Judge
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.dtr.forms import Form, Forms, contained_questionnaire
from wiser_fhir.errors import Problem
from wiser_fhir.fhir.codes import LINES, Line
from wiser_fhir.fhir.validation.validator import GuideValidator

Json = dict[str, Any]
DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
LIBRARY = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-library"
VALUE_SET = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-valueset"
INITIAL_EXPRESSION = (
    "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-initialExpression"
)
RETRIEVE = re.compile(r'\[([A-Z]\w+)(?:\s*:\s*(?:(\w+) in )?"([^"]+)")?\]')
# R4's list of languages is extensible, and older than the two that DTR asks for.
LANGUAGES = ("'application/elm+json' is not in", "'text/cql-identifier' is not in")
# DTR 2.0.1 names the extension; the guide that defines it is none of its packages.
ALTERNATIVE = "an extension that is not known here"

CATALOGUE = Catalogue.load()
FORMS = Forms.load(
    CATALOGUE, {"2.2": "https://payer.example/fhir", "2.0": "https://payer.example/v2.0/fhir"}
)
ACTIVE = [
    rules for slug in CATALOGUE.slugs for rules in CATALOGUE.versions(slug) if rules.is_active
]


def forms(*, adaptive: bool) -> Iterator[Form]:
    for line in LINES:
        for rules in ACTIVE:
            form = FORMS.of(line, rules, adaptive=adaptive)
            if form is not None:
                yield form


def named(form: Form) -> str:
    return f"{form.line}-{form.rules.slug}"


STANDARD = list(forms(adaptive=False))
ADAPTIVE = list(forms(adaptive=True))


@cache
def validator(line: Line) -> GuideValidator:
    return GuideValidator.load(line)


def is_expected(problem: Problem) -> bool:
    about_a_language = problem.text.startswith(LANGUAGES) and problem.severity == "warning"
    return about_a_language or (problem.text == ALTERNATIVE and problem.severity == "information")


def ours(resource: Json, line: Line, profile: str) -> list[Problem]:
    found = validator(line).problems(resource, profile)
    return [problem for problem in found if not is_expected(problem)]


def hl7s(judge: Judge, resource: Json, line: Line, profile: str | None = None) -> list[str]:
    issues = judge.validate(resource, line, profile)
    return [f"{each.expression}: {each.text}" for each in issues if each.is_error]


def inside(form: Form) -> Json:
    """The form of an adaptive response that every question was asked in."""
    asked = [question.id for question in form.rules.questions]
    return contained_questionnaire(form, asked, clinical_complete=True)


def response(questionnaire: Json) -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "contained": [questionnaire],
        "questionnaire": f"#{questionnaire['id']}",
        "status": "in-progress",
        "subject": {"reference": "Patient/1"},
    }


def test_every_active_service_has_a_form_on_each_line() -> None:
    assert len(STANDARD) == 26
    # Each of the 13 has a question that hangs on another.
    assert {form.rules.slug for form in ADAPTIVE} == {form.rules.slug for form in STANDARD}
    assert len(ADAPTIVE) == 26


@pytest.mark.parametrize("form", STANDARD, ids=named)
def test_a_standard_form_by_our_validator(form: Form) -> None:
    assert ours(form.questionnaire, form.line, DTR + "dtr-std-questionnaire") == []


@pytest.mark.parametrize("form", ADAPTIVE, ids=named)
def test_an_adaptive_form_by_our_validator(form: Form) -> None:
    packaged = form.questionnaire
    assert ours(packaged, form.line, DTR + "dtr-questionnaire-adapt-search") == []
    assert ours(inside(form), form.line, DTR + "dtr-questionnaire-adapt") == []
    if form.line == "2.2":
        # DTR-QPackageBundle holds every Questionnaire to this one.
        assert ours(packaged, form.line, DTR + "dtr-base-questionnaire") == []


@pytest.mark.parametrize("line", LINES)
def test_what_a_form_needs_by_our_validator(line: Line) -> None:
    for library in FORMS.libraries():
        assert ours(library, line, LIBRARY) == [], library["id"]
    for value_set in FORMS.value_sets():
        assert ours(value_set, line, VALUE_SET) == [], value_set["id"]


@pytest.mark.oracle
@pytest.mark.parametrize("form", STANDARD, ids=named)
def test_a_standard_form_by_hl7s_engine(judge: Judge, form: Form) -> None:
    assert hl7s(judge, form.questionnaire, form.line) == []


@pytest.mark.oracle
@pytest.mark.parametrize("form", ADAPTIVE, ids=named)
def test_an_adaptive_form_by_hl7s_engine(judge: Judge, form: Form) -> None:
    assert hl7s(judge, form.questionnaire, form.line) == []
    assert hl7s(judge, response(inside(form)), form.line) == []
    if form.line == "2.2":
        base = DTR + "dtr-base-questionnaire"
        assert hl7s(judge, form.questionnaire, form.line, base) == []


@pytest.mark.oracle
@pytest.mark.parametrize("line", LINES)
def test_what_a_form_needs_by_hl7s_engine(judge: Judge, line: Line) -> None:
    asked = {each["id"]: judge.submit(each, line) for each in FORMS.libraries()}
    asked |= {
        each["id"]: judge.submit(each, line, VALUE_SET)
        for form in STANDARD
        if form.line == line
        for each in form.value_sets
    }
    for name, answer in asked.items():
        assert [issue.text for issue in answer.result() if issue.is_error] == [], name


@pytest.mark.parametrize("form", STANDARD, ids=named)
def test_what_fills_a_form_is_defined_and_judges_nothing(form: Form) -> None:
    filled = {
        item["linkId"]
        for item in form.questionnaire["item"]
        if any(each["url"] == INITIAL_EXPRESSION for each in item.get("extension", ()))
    }
    questions = form.rules.questions
    assert filled == {question.id for question in questions if question.chart is not None}
    assert not filled & {question.id for question in questions if question.is_attestation}


@pytest.mark.parametrize("form", STANDARD, ids=named)
def test_a_form_comes_with_all_that_it_names(form: Form) -> None:
    shipped = {f"{each['url']}|{each['version']}" for each in (*form.libraries, *form.value_sets)}
    names = [each["name"] for each in form.libraries]
    assert len(names) == len(set(names))
    for library in form.libraries:
        # In 2.2 too, where 40 codes or more would be left to $expand: who cannot do that would get
        # no answer out of the logic at all. A value set that grows so far has to be split.
        assert {each["resource"] for each in library.get("relatedArtifact", ())} <= shipped


def read_by_its_source(library: Json) -> set[tuple[str, str]]:
    """What the CQL text retrieves: the type, and the canonical of the value set."""
    text = b64decode(library["content"][0]["data"]).decode()
    sets = dict(re.findall(r'^valueset "([^"]+)": (.+)$', text, re.MULTILINE))
    canonicals = {name: "|".join(re.findall("'([^']+)'", told)) for name, told in sets.items()}
    return {(kind, canonicals.get(name, "")) for kind, _, name in RETRIEVE.findall(text)}


@pytest.mark.parametrize("form", STANDARD[:13], ids=named)
def test_a_library_tells_all_that_its_source_retrieves(form: Form) -> None:
    library = form.libraries[0]
    told = {
        (each["type"], each["codeFilter"][0]["valueSet"] if "codeFilter" in each else "")
        for each in library["dataRequirement"]
    }
    assert told - {("Patient", "")} == read_by_its_source(library)
