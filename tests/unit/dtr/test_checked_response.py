"""A response is checked whole, and everything wrong with it is told at once."""

import copy
from functools import cache
from typing import Any

import pytest

from tests.adaptive_walks import (
    NOW,
    filled,
    first_call,
    first_choice,
    form_of,
    forms,
    meeting,
    origin,
    walk,
)
from tests.bundle_values import Line
from wiser_fhir.dtr.checked_response import checked_response, without_form
from wiser_fhir.dtr.next_question import next_question
from wiser_fhir.errors import InvalidResource, Problem
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.intake.soundness import Soundness, soundness

Json = dict[str, Any]
FUSION, NERVE = "cervical-fusion", "hypoglossal-nerve-stimulation"
LINES: tuple[Line, ...] = ("2.2", "2.0")
OWN: Json = {"url": "http://ehr.example/own", "valueString": "kept"}
ROOT = "QuestionnaireResponse"


@cache
def sound(line: Line) -> Soundness:
    return soundness(GuideValidator.load(line))


def begun(slug: str = FUSION, line: Line = "2.2") -> Json:
    """What was asked first, not yet answered."""
    first, *_ = walk(form_of(slug, line), first_choice)
    return first


def answered(slug: str = FUSION, line: Line = "2.2") -> Json:
    return filled(begun(slug, line), form_of(slug, line).rules, first_choice)


def refusal(response: Json, line: Line = "2.2", place: str = ROOT) -> tuple[Problem, ...]:
    with pytest.raises(InvalidResource) as caught:
        checked_response(response, sound(line), forms(), line, NOW.date(), place)
    return caught.value.problems


def refused(response: Json, line: Line = "2.2") -> list[tuple[str, str | None]]:
    return [(problem.code, problem.expression) for problem in refusal(response, line)]


@pytest.mark.parametrize("line", LINES)
def test_what_goes_out_comes_back_in(line: Line) -> None:
    form = form_of(FUSION, line)
    response = first_call(form)
    for choose in (first_choice, meeting(form.rules)):
        for reply in walk(form, choose):
            if "item" in response:
                sent = filled(response, form.rules, choose)
                checked_response(sent, sound(line), forms(), line, NOW.date())
            response = reply


def test_what_a_client_adds_of_its_own_is_no_obstacle() -> None:
    response = answered() | {
        "extension": [OWN],
        "_status": {"extension": [OWN]},
        "language": "en",
        "author": {"reference": "#doctor"},
        "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">x</div>'},
    }
    response["contained"].append({"resourceType": "Practitioner", "id": "doctor"})
    read = checked_response(response, sound("2.2"), forms(), "2.2", NOW.date())
    assert next_question(read, NOW).response["extension"] == [OWN]


NARRATIVE: Json = {
    "status": "generated",
    "div": '<div xmlns="http://www.w3.org/1999/xhtml"><script>alert(1)</script></div>',
}
MODIFIER: Json = {"url": "http://ehr.example/negated", "valueBoolean": True}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"meta": 5}, ".meta"),
        ({"text": 5}, ".text"),
        ({"text": NARRATIVE}, ".text.div"),
        ({"extension": 7}, ".extension"),
        ({"extension": [7]}, ".extension[0]"),
        ({"extension": [OWN | {"url": "http://ehr.example/own|1"}]}, ".extension[0]"),
        ({"modifierExtension": [MODIFIER]}, ".modifierExtension[0]"),
        ({"implicitRules": "http://ehr.example/rules"}, ".implicitRules"),
        ({"_implicitRules": {"extension": [OWN]}}, ".implicitRules"),
        ({"extension": [OWN] * 101}, ".extension"),
        ({"authored": "yesterday"}, ".authored"),
    ],
)
def test_what_nobody_reads_is_checked_too(change: Json, place: str) -> None:
    found = refused(answered() | change)
    assert {expression for _, expression in found} == {f"{ROOT}{place}"}


def test_a_hundred_extensions_are_taken() -> None:
    response = answered() | {"extension": [OWN] * 100}
    assert checked_response(response, sound("2.2"), forms(), "2.2", NOW.date()).asked


def test_what_is_contained_beside_the_form_is_checked() -> None:
    response = answered()
    response["contained"] += [
        {"resourceType": "Practitioner", "id": "a", "active": "yes"},
        {"resourceType": "Practitioner", "id": "b", "implicitRules": "http://ehr.example/rules"},
        {"resourceType": "Practitioner", "id": "c", "modifierExtension": [MODIFIER]},
        {"resourceType": "Questionnaire", "id": "another", "item": 7},
    ]
    places = [place for _, place in refused(response)]
    for index, name in enumerate(("active", "implicitRules", "modifierExtension", "item"), start=1):
        assert any(str(e).startswith(f"{ROOT}.contained[{index}].{name}") for e in places), name


def test_what_nothing_refers_to_is_not_contained() -> None:
    response = answered()
    response["contained"].append({"resourceType": "Practitioner", "id": "doctor"})
    assert refused(response) == [("invariant", ROOT)]
    assert refused(answered() | {"extension": {"a": 1}})


def test_how_the_form_inside_came_is_of_no_importance() -> None:
    response = answered()
    response["contained"][0] |= {"status": 7, "title": [], "modifierExtension": 7}
    checked_response(response, sound("2.2"), forms(), "2.2", NOW.date())
    assert without_form(response)["contained"] == [
        {"resourceType": "Basic", "id": response["contained"][0]["id"], "code": {"text": "a form"}}
    ]


@pytest.mark.parametrize("contained", [7, [7], [{"resourceType": "Questionnaire"}], []])
def test_without_its_form_nothing_stands_in(contained: Any) -> None:
    response = {"resourceType": ROOT, "questionnaire": "#None", "contained": contained}
    assert without_form(response) == response
    assert refused(response)


def test_an_answer_by_hand_names_its_author() -> None:
    response = answered()
    by_hand = {"url": origin()["url"], "extension": [{"url": "source", "valueCode": "manual"}]}
    response["item"][0]["answer"][0]["extension"] = [by_hand]
    alone = refused(response)
    assert alone == [("invariant", f"{ROOT}.item[0].answer[0].extension[0]")]
    assert refused(response | {"status": "busy"}) == [*alone, ("code-invalid", f"{ROOT}.status")]


def test_faults_of_fhir_hide_no_faults_of_the_form() -> None:
    response = answered(NERVE)
    response["status"] = "busy"
    response["author"] = 7
    response["item"][0]["answer"] = [{"valueInteger": "forty"}]
    response["item"][1].pop("answer")
    response["item"][2]["answer"] = [{"valueString": "x", "extension": 7}]
    response["item"] += [7, {"answer": []}, {"linkId": "elsewhere"}]
    last = len(response["item"])
    places = [place for _, place in refused(response)]
    for expected in (
        f"{ROOT}.status",
        f"{ROOT}.author",
        f"{ROOT}.item[0].answer[0].value.ofType(integer)",
        f"{ROOT}.item[1]",
        f"{ROOT}.item[2].answer[0].extension",
        f"{ROOT}.item[2].answer[0].value",
        f"{ROOT}.item[{last - 3}]",
        f"{ROOT}.item[{last - 2}].linkId",
        f"{ROOT}.item[{last - 1}]",
    ):
        assert expected in places
    assert len(places) == len(set(places))


@pytest.mark.parametrize(
    "change",
    [{"item": 7}, {"contained": 7}, {"questionnaire": 7}, {"item": [7]}, {"contained": [7]}],
)
def test_what_cannot_be_read_at_all_is_refused(change: Json) -> None:
    assert refused(answered() | change)


def test_a_fault_of_an_item_is_the_only_one_told_of_it() -> None:
    response = answered(NERVE)
    response["item"][0]["answer"] = [{"valueBoolean": "yes"}]
    assert refused(response) == [("value", f"{ROOT}.item[0].answer[0].value.ofType(boolean)")]


def test_of_very_many_faults_the_first_are_told_and_how_many_more_there_are() -> None:
    response = answered()
    response["item"] += [{"linkId": f"z{number}"} for number in range(5_000)]
    found = refusal(response)
    assert len(found) == 101
    assert {problem.severity for problem in found[:-1]} == {"error"}
    last = found[-1]
    assert (last.severity, last.code, last.text) == (
        "information",
        "informational",
        "And 4900 more.",
    )
    broken = copy.deepcopy(response)
    broken["item"][0]["answer"] = [{"valueBoolean": "yes"}] * 300
    assert len(refusal(broken)) == 101


def test_every_fault_stands_where_the_response_stood() -> None:
    place = "Parameters.parameter[0].resource"
    response = answered() | {"status": "busy"}
    response["item"].append({"linkId": "elsewhere"})
    assert [problem.expression for problem in refusal(response, place=place)] == [
        f"{place}.status",
        f"{place}.item[2]",
    ]
    response["status"] = "in-progress"
    assert [p.expression for p in refusal(response, place=place)] == [f"{place}.item[2]"]
