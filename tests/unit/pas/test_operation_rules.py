"""What `$submit` refuses in a Bundle that meets its profile."""

from copy import deepcopy

import pytest

from tests.bundles import Json, Line, request_bundle
from tests.unit.pas.reading import add, claim
from wiser_fhir.errors import Problem
from wiser_fhir.fhir import codes
from wiser_fhir.pas.operation_rules import (
    crowded_problems,
    dangling_problems,
    first_entry_problems,
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


def test_a_cancelled_part_makes_an_update_of_it() -> None:
    bundle = _with_a_second_claim()
    flag = {"url": codes.INFO_CANCELLED, "valueBoolean": True}
    claim(bundle)["item"][0]["modifierExtension"] = [flag]
    assert _problems(bundle) == []
