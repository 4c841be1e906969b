"""The input pack for the public suite: as built, valid, and what a client would really send."""

import json
from collections.abc import Iterator
from datetime import date
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from tests.bundle_values import Json, Line
from tests.conformance.dtr.shape import INPUT, PARAMETERS_IN, RESPONSE_IN, RESPONSE_OUT
from tests.conformance.dtr.suite_judge import SuiteJudge
from tests.conformance.inferno.dtr.build import FOLDER, LINES, files
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.fhir.validation.validator import GuideValidator

DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
BASE = "http://hl7.org/fhir/StructureDefinition/"
STATIC = "initial_static_questionnaire_request"
ADAPTIVE = "initial_adaptive_questionnaire_request"
BARE = "next_question_requests"
WRAPPED = "next_question_requests_as_parameters"


@cache
def content(line: Line, name: str) -> list[Json]:
    """What stands in a file: its bodies."""
    found = json.loads((FOLDER / line / f"{name}.json").read_text("utf-8"))
    return found if isinstance(found, list) else [found]


@cache
def our_validator(line: Line) -> GuideValidator:
    return GuideValidator.load(line)


def our_errors(resource: Json, line: Line, profile: str) -> list[str]:
    problems = our_validator(line).problems(resource, profile)
    return [f"{each.expression}: {each.text}" for each in problems if each.severity == "error"]


def test_the_files_are_what_build_writes() -> None:
    found = sorted(FOLDER.rglob("*.json"))
    assert {file: file.read_text("utf-8") for file in found} == files()


def test_every_file_is_json_of_the_shape_its_field_takes() -> None:
    for file in FOLDER.rglob("*.json"):
        found = json.loads(Path(file).read_text("utf-8"))
        assert isinstance(found, list if file.stem.startswith("next") else dict)


@pytest.mark.oracle
@pytest.mark.xdist_group("suite-judge")
@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", [STATIC, ADAPTIVE])
def test_a_package_request_is_valid_for_both(
    name: str, line: Line, suite_judge: SuiteJudge
) -> None:
    [body] = content(line, name)
    assert our_errors(body, line, INPUT) == []
    assert suite_judge.errors(body, line, INPUT) == []


@pytest.mark.oracle
@pytest.mark.xdist_group("suite-judge")
@pytest.mark.parametrize("line", LINES)
def test_a_next_question_is_valid_for_both(line: Line, suite_judge: SuiteJudge) -> None:
    ours = {"2.2": DTR + "dtr-questionnaireresponse-adapt", "2.0": BASE + "QuestionnaireResponse"}
    for body in content(line, BARE):
        assert our_errors(body, line, ours[line]) == []
        assert suite_judge.errors(body, line, RESPONSE_IN) == []
        assert suite_judge.errors(body, line, RESPONSE_OUT) == []
    for body in content(line, WRAPPED):
        assert our_errors(body, line, BASE + "Parameters") == []
        assert suite_judge.errors(body, line, PARAMETERS_IN) == []


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("name", [STATIC, ADAPTIVE])
def test_a_package_request_is_for_an_order_of_the_catalogue(name: str, line: Line) -> None:
    [body] = content(line, name)
    held = {given["name"]: given for given in body["parameter"]}
    [code] = held["order"]["resource"]["code"]["coding"]
    services = {
        entry.code: service.slug
        for service in Catalogue.load().services_on(date(2027, 1, 12))
        for entry in service.codes
    }
    assert code["code"] in services
    form = held.get("questionnaire", {}).get("valueCanonical")
    base = {"2.2": "https://wiser-fhir.example/fhir", "2.0": "https://wiser-fhir.example/v2.0/fhir"}
    expected = f"{base[line]}/Questionnaire/{services[code['code']]}-adaptive"
    assert form == (expected if name == ADAPTIVE else None)


@pytest.mark.parametrize("line", LINES)
def test_a_package_request_has_nothing_that_the_suite_need_not_take(line: Line) -> None:
    for name in (STATIC, ADAPTIVE):
        [body] = content(line, name)
        told = [given["name"] for given in body["parameter"]]
        assert told == ["coverage", "order", "questionnaire"][: len(told)]


@pytest.mark.parametrize("line", LINES)
def test_the_next_questions_go_on_from_no_item_to_the_last_answer(line: Line) -> None:
    steps = content(line, BARE)
    assert "item" not in steps[0]
    assert len(steps) == 3
    for before, after in pairwise(steps):
        kept, answered = before.get("item", []), after["item"]
        assert answered[: len(kept)] == kept
        assert len(answered) > len(kept)
        assert all("answer" in item for item in answered)
    # The last answer but one leads to a question of its own.
    assert [item["linkId"] for item in steps[-1]["item"]][-1] == "hgns-sdm"


@pytest.mark.parametrize("line", LINES)
def test_every_step_holds_the_form_it_names(line: Line) -> None:
    for step in content(line, BARE):
        [form] = [each for each in step["contained"] if each["resourceType"] == "Questionnaire"]
        assert step["questionnaire"] == f"#{form['id']}"
        [origin] = form["derivedFrom"]
        [request] = content(line, ADAPTIVE)
        named = request["parameter"][-1]["valueCanonical"]
        assert origin.partition("|")[0] == named


@pytest.mark.parametrize("line", LINES)
def test_the_wrapped_list_is_the_bare_one(line: Line) -> None:
    held = [body["parameter"] for body in content(line, WRAPPED)]
    expected = [
        [{"name": "questionnaire-response", "resource": step}] for step in content(line, BARE)
    ]
    assert held == expected


def test_no_number_or_wording_of_somebody_else_s_is_in_the_pack() -> None:
    """CPT codes stand without their wording, members and providers are the sandbox's."""
    for file in FOLDER.rglob("*.json"):
        for coding in _codings(json.loads(file.read_text("utf-8"))):
            if coding.get("system") == "http://www.ama-assn.org/go/cpt":
                assert "display" not in coding


def _codings(value: object) -> Iterator[Json]:
    if isinstance(value, dict):
        if "system" in value and "code" in value:
            yield value
        for each in value.values():
            yield from _codings(each)
    elif isinstance(value, list):
        for each in value:
            yield from _codings(each)
