"""What `$submit` refuses in a Bundle that meets its profile."""

from copy import deepcopy
from dataclasses import replace

import pytest

from tests.bundles import Json, Line, request_bundle
from tests.unit.pas.reading import add, claim
from tests.update_bundles import cancel_of, update_of
from wiser_fhir.errors import Problem
from wiser_fhir.fhir import codes
from wiser_fhir.pas.operation_rules import (
    crowded_problems,
    dangling_problems,
    first_entry_problems,
    less_tolerated,
    submit_problems,
)
from wiser_fhir.pas.request import RequestBundle

LINES: tuple[Line, ...] = ("2.2", "2.0")


_DEVICE: Json = {"resourceType": "Device"}


def _problems(bundle: Json) -> list[tuple[str, str]]:
    """The code and the place of each problem."""
    return _named(submit_problems(RequestBundle.of(bundle)))


def _named(problems: list[Problem]) -> list[tuple[str, str]]:
    assert {problem.severity for problem in problems} <= {"error"}
    return [(problem.code, problem.expression or "") for problem in problems]


@pytest.mark.parametrize("line", LINES)
def test_nothing_is_wrong_with_an_ordinary_request(line: Line) -> None:
    bundle = request_bundle(line, answers={"esi-purpose": True}, codes=("64483", "64484"))
    assert _problems(bundle) == []
    assert first_entry_problems(RequestBundle.of(bundle)) == []
    assert crowded_problems(bundle) == []
    assert dangling_problems(bundle) == []


def _with_a_second_claim() -> Json:
    bundle = request_bundle()
    add(bundle, deepcopy(claim(bundle)), "urn:uuid:second")
    return bundle


def test_a_new_request_has_one_claim() -> None:
    bundle = _with_a_second_claim()
    last = len(bundle["entry"]) - 1
    assert _problems(bundle) == [("business-rule", f"Bundle.entry[{last}].resource")]


def test_an_update_brings_the_claim_it_changes() -> None:
    bundle = _with_a_second_claim()
    claim(bundle)["related"] = [{"claim": {"reference": "urn:uuid:second"}}]
    assert _problems(bundle) == []


def test_rules_that_change_the_meaning_are_not_known_in_any_entry() -> None:
    bundle = request_bundle(answers={"esi-purpose": True})
    for entry in bundle["entry"]:
        entry["resource"]["implicitRules"] = "https://rules.example/negated"
    assert _problems(bundle) == [
        ("not-supported", f"{entry['resource']['resourceType']}.implicitRules")
        for entry in bundle["entry"]
    ]


def test_nor_deeper_inside_nor_of_the_bundle_itself() -> None:
    rules = {"implicitRules": "https://rules.example/negated"}
    bundle = {**request_bundle(), **rules}
    claim(bundle)["contained"] = [{"resourceType": "Organization", "id": "us", **rules}]
    form = {"resourceType": "QuestionnaireResponse", "contained": [{**_DEVICE, **rules}], **rules}
    inner = [{"request": {"method": "GET", "url": "x"}}, {"resource": form}]
    add(bundle, {"resourceType": "Bundle", "type": "collection", "entry": inner})
    places = ("Bundle", "Organization", "QuestionnaireResponse", "Device")
    assert _problems(bundle) == [("not-supported", f"{each}.implicitRules") for each in places]


def test_an_identifier_has_a_value() -> None:
    bundle = request_bundle()
    bundle["identifier"] = {"system": "urn:x"}
    assert _problems(bundle) == [("required", "Bundle.identifier.value")]


@pytest.mark.parametrize("name", ["item", "supportingInfo", "careTeam", "diagnosis"])
def test_a_number_stands_once(name: str) -> None:
    bundle = request_bundle()
    elements = claim(bundle)[name]
    elements[:] = [elements[0], deepcopy(elements[0]), {**deepcopy(elements[0]), "sequence": 99}]
    claim_at = "Bundle.entry[0].resource"
    assert _problems(bundle) == [("duplicate", f"{claim_at}.{name}[{n}].sequence") for n in (0, 1)]


def test_what_the_claim_refers_to_is_in_the_bundle() -> None:
    bundle = request_bundle()
    claim(bundle)["supportingInfo"][0]["valueReference"] = {"reference": "urn:uuid:nowhere"}
    where = "Bundle.entry[0].resource.supportingInfo[0].valueReference.reference"
    assert _problems(bundle) == [("not-found", where)]
    assert _named(dangling_problems(bundle)) == [("not-found", where)]
    claim(bundle)["supportingInfo"][0]["valueReference"] = {"reference": "#inside"}
    assert _problems(bundle) == []


def test_an_earlier_claim_may_be_elsewhere() -> None:
    bundle = request_bundle()
    claim(bundle)["related"] = [{"claim": {"reference": "urn:uuid:elsewhere"}}]
    assert _problems(bundle) == []


@pytest.mark.parametrize("bundle", [{}, {"entry": []}, {"entry": [{"resource": 1}]}, {"entry": 1}])
def test_what_can_hardly_be_read_has_no_such_problems(bundle: Json) -> None:
    assert dangling_problems(bundle) == []
    assert crowded_problems(bundle) == []


def test_the_claim_comes_first() -> None:
    bundle = request_bundle()
    bundle["entry"].reverse()
    found = first_entry_problems(RequestBundle.of(bundle))
    assert _named(found) == [("business-rule", "Bundle.entry[0].resource")]


def test_a_resource_that_contains_a_crowd_is_too_much() -> None:
    bundle = request_bundle()
    crowd = [{"resourceType": "Organization", "id": str(n)} for n in range(100)]
    bundle["entry"][2]["resource"]["contained"] = crowd
    assert crowded_problems(bundle) == []
    bundle["entry"][2]["resource"]["contained"] = [*crowd, crowd[0]]
    where = "Bundle.entry[2].resource.contained"
    assert _named(crowded_problems(bundle)) == [("too-costly", where)]


def test_a_request_has_so_many_lines_and_no_more() -> None:
    bundle = request_bundle()
    (line,) = claim(bundle)["item"]
    lines = [{**line, "sequence": n} for n in range(1, 202)]
    claim(bundle)["item"] = lines[:200]
    assert _problems(bundle) == []
    claim(bundle)["item"] = lines
    assert _problems(bundle) == [("too-costly", "Bundle.entry[0].resource.item")]


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("value", [0, -1, 0.0009, 9_999.5, 10_000, 1e12, 1e300])
def test_what_nobody_can_count_is_no_quantity(line: Line, value: float) -> None:
    bundle = request_bundle(line, codes=("64483", "64484"))
    claim(bundle)["item"][1]["quantity"]["value"] = value
    assert _problems(bundle) == [
        ("business-rule", "Bundle.entry[0].resource.item[1].quantity.value")
    ]


@pytest.mark.parametrize("quantity", [None, {}, {"value": 0.001}, {"value": 9_999}])
def test_a_quantity_may_be_small_or_large_or_untold(quantity: Json | None) -> None:
    bundle = request_bundle()
    claim(bundle)["item"][0].pop("quantity")
    if quantity is not None:
        claim(bundle)["item"][0]["quantity"] = quantity
    assert _problems(bundle) == []


def test_a_cancelled_part_makes_an_update_of_it() -> None:
    bundle = _with_a_second_claim()
    flag = {"url": codes.INFO_CANCELLED, "valueBoolean": True}
    claim(bundle)["item"][0]["modifierExtension"] = [flag]
    assert _problems(bundle) == []


# Where the text of a guide asks for less than its profile

_CLAIM_AT = "Bundle.entry[0].resource"
_RELATIONSHIP = Problem("error", "code-invalid", "...", f"{_CLAIM_AT}.related[1].relationship")
_NO_LINES = Problem("error", "required", "...", f"{_CLAIM_AT}.item")
_UNFIT = Problem("error", "structure", "...", _CLAIM_AT)
_ELSE = Problem("error", "required", "...", f"{_CLAIM_AT}.priority")
_WARNING = Problem("warning", "code-invalid", "...", f"{_CLAIM_AT}.priority")


def test_the_text_knows_a_relationship_that_the_code_system_does_not() -> None:
    assert less_tolerated({}, [_RELATIONSHIP, _ELSE]) == [_ELSE]


@pytest.mark.parametrize(
    "problem",
    [
        replace(_RELATIONSHIP, code="required"),
        replace(_RELATIONSHIP, expression=f"{_CLAIM_AT}.related[1].relationship.text"),
        replace(_RELATIONSHIP, expression="Bundle.entry[1].resource.related[0].relationship"),
        replace(_RELATIONSHIP, expression=None),
    ],
)
def test_other_faults_of_a_relationship_stay(problem: Problem) -> None:
    assert less_tolerated({}, [problem]) == [problem]


@pytest.mark.parametrize(
    ("found", "left"),
    [
        ([_UNFIT, _NO_LINES], []),
        ([_NO_LINES], []),
        ([_UNFIT, _NO_LINES, _WARNING], [_WARNING]),
        ([_UNFIT, _NO_LINES, _ELSE], [_UNFIT, _ELSE]),
        ([_ELSE], [_ELSE]),
    ],
)
def test_a_request_cancelled_as_a_whole_may_leave_its_lines_away(
    found: list[Problem], left: list[Problem]
) -> None:
    assert less_tolerated(cancel_of(request_bundle(), with_items=False), found) == left


def _nowhere_cancelled() -> Json:
    bundle = update_of(request_bundle())
    del claim(bundle)["item"]
    return bundle


@pytest.mark.parametrize(
    "bundle",
    [
        _nowhere_cancelled(),
        cancel_of(request_bundle()),
        {"entry": [{"resource": {"resourceType": "Claim", "extension": [1, {"url": 2}]}}]},
        {"entry": [{"resource": {"resourceType": "Claim", "extension": "none"}}]},
        {"entry": 1},
        {},
    ],
)
def test_any_other_may_not(bundle: Json) -> None:
    assert less_tolerated(bundle, [_UNFIT, _NO_LINES]) == [_UNFIT, _NO_LINES]
