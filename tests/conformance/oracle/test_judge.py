"""The judge itself: what it must refuse, and what it must not for want of a terminology server."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.oracle.guide_examples import Example, examples
from tests.oracle.judge import HERE, Judge, Line, Resource

pytestmark = [pytest.mark.oracle, pytest.mark.xdist_group("oracle")]

BUNDLE = "Bundle-ReferralAuthorizationBundleExample"
LINES: tuple[Line, ...] = ("2.2", "2.0")


def example(line: Line) -> Example:
    return next(found for found in examples() if (found.line, found.name) == (line, BUNDLE))


def changed(line: Line, change: Callable[[Resource], object]) -> Resource:
    bundle = copy.deepcopy(example(line).resource)
    change(bundle)
    return bundle


def claim(bundle: Resource) -> Resource:
    found: Resource = bundle["entry"][0]["resource"]
    return found


@pytest.mark.parametrize("line", LINES)
def test_it_accepts_every_example_of_pas(judge: Judge, line: Line) -> None:
    ours = [one for one in examples() if one.line == line and one.guide.endswith("pas")]
    assert len(ours) >= 39
    refused = [one.name for one in ours if not judge.is_valid(one.resource, line, one.profile)]
    assert refused == []


FAULTS: dict[str, tuple[Callable[[Resource], Any], str]] = {
    "a type": (lambda b: claim(b)["item"][0].update(sequence="1"), "number"),
    "a required element": (lambda b: claim(b).pop("insurer"), "insurer"),
    "an unknown element": (lambda b: claim(b).update(colour="blue"), "colour"),
    "a bound code": (lambda b: claim(b).update(use="other"), "use"),
    "an invariant": (lambda b: b["entry"].append(b["entry"][1]), "bdl-7"),
    "a target's type": (
        lambda b: claim(b)["insurance"][0]["coverage"].update(claim(b)["patient"]),
        "Coverage",
    ),
    "a system its value set does not name": (
        lambda b: claim(b)["diagnosis"][0].update(
            diagnosisCodeableConcept={"coding": [{"system": "http://loinc.org", "code": "1-8"}]}
        ),
        "X12278DiagnosisCodes",
    ),
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("fault", FAULTS)
def test_it_refuses_a_fault_of_each_kind(judge: Judge, line: Line, fault: str) -> None:
    change, word = FAULTS[fault]
    issues = judge.validate(changed(line, change), line, example(line).profile)
    errors = [f"{issue.expression} {issue.text}" for issue in issues if issue.is_error]
    assert any(word in error for error in errors), errors


@pytest.mark.parametrize("line", LINES)
def test_it_lets_pass_what_only_a_terminology_server_knows(judge: Judge, line: Line) -> None:
    def change(bundle: Resource) -> None:
        icd = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "X99.999"}
        claim(bundle)["diagnosis"][0]["diagnosisCodeableConcept"] = {"coding": [icd]}
        category = {"system": "https://codesystem.x12.org/005010/1365", "code": "none"}
        claim(bundle)["item"][0]["category"] = {"coding": [category]}

    assert judge.is_valid(changed(line, change), line, example(line).profile)


def test_one_fitting_coding_of_several_is_enough(judge: Judge) -> None:
    def change(bundle: Resource) -> None:
        coding = {"system": "http://example.org/local", "code": "L1"}
        claim(bundle)["type"]["coding"].append(coding)

    assert judge.is_valid(changed("2.2", change), "2.2", example("2.2").profile)


def test_without_a_profile_it_takes_the_one_that_the_resource_claims(judge: Judge) -> None:
    broken = changed("2.2", lambda bundle: bundle.pop("timestamp"))
    assert not judge.is_valid(broken, "2.2")
    del broken["meta"]
    assert judge.is_valid(broken, "2.2")
    assert not judge.is_valid(broken, "2.2", example("2.2").profile)


def test_each_suppressed_message_has_its_reason() -> None:
    table = (HERE / "src/main/resources/suppressions.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in table if line and not line.startswith("#")]
    assert rows
    assert all(len(row) == 2 and len(row[1]) > 10 for row in rows)
