"""CRD's profiles as compiled: the guides' examples and resources with faults, by both judges."""

import copy
import json
import tarfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.conformance.crd.profiles import (
    COVERAGE_INFORMATION,
    Json,
    engine_errors,
    errors,
    our_errors,
    profile,
)
from tests.oracle.judge import Judge, Line, packages_folder

pytestmark = pytest.mark.oracle

PACKAGES: dict[Line, str] = {
    "2.2": "hl7.fhir.us.davinci-crd#2.2.1.tgz",
    "2.0": "hl7.fhir.us.davinci-crd#2.0.1.tgz",
}
LINES: tuple[Line, ...] = ("2.2", "2.0")
ORDERS = (
    "CommunicationRequest",
    "DeviceRequest",
    "Encounter",
    "MedicationRequest",
    "NutritionOrder",
    "ServiceRequest",
    "VisionPrescription",
)


@cache
def examples(line: Line) -> dict[str, Json]:
    """The guide's examples by file name."""
    found = {}
    with tarfile.open(packages_folder() / PACKAGES[line]) as package:
        for member in package:
            path = Path(member.name)
            if path.parts[:2] == ("package", "example") and path.suffix == ".json":
                held = package.extractfile(member)
                assert held is not None
                found[path.stem] = json.load(held)
    return found


def example(line: Line, kind: str) -> Json:
    """A copy of the guide's first example of a type."""
    return copy.deepcopy(next(e for e in examples(line).values() if e["resourceType"] == kind))


def information(**parts: Json) -> Json:
    """A coverage-information extension that says "covered, nothing to ask for"; parts replaced."""
    usual: dict[str, Json | None] = {
        "coverage": {"valueReference": {"reference": "Coverage/example"}},
        "covered": {"valueCode": "covered"},
        "pa-needed": {"valueCode": "no-auth"},
        "date": {"valueDate": "2026-05-06"},
        "coverage-assertion-id": {"valueString": "A-1"},
    }
    chosen = usual | {name.replace("_", "-"): value for name, value in parts.items()}
    inner = [{"url": name, **value} for name, value in chosen.items() if value]
    return {"url": COVERAGE_INFORMATION, "extension": inner}


def with_information(line: Line, kind: str, **parts: Json) -> Json:
    """An example that carries the extension and none of its own."""
    resource = example(line, kind)
    kept = [e for e in resource.get("extension", ()) if e["url"] != COVERAGE_INFORMATION]
    resource["extension"] = [*kept, information(**parts)]
    resource.pop("contained", None)  # a form's answers, which only the old extension led to
    return resource


@pytest.mark.parametrize("line", LINES)
def test_every_example_of_the_guide_is_valid_for_both_judges(line: Line, judge: Judge) -> None:
    found = examples(line)
    assert len(found) == {"2.2": 18, "2.0": 16}[line]
    wrong: list[str] = []
    for name, resource in found.items():
        at_hand = list(found.values()) if resource["resourceType"] == "Appointment" else []
        assert profile(resource, line) is not None
        wrong += [f"{name}: {error}" for error in errors(judge, resource, line, at_hand)]
    assert wrong == []


def test_alone_the_appointments_of_2_2_show_neither_patient_nor_performer(judge: Judge) -> None:
    resource = example("2.2", "Appointment")
    for found in (our_errors(resource, "2.2"), engine_errors(judge, resource, "2.2")):
        assert len(found) == 2
        assert "Patient" in found[0]
        assert "PrimaryPerformer" in found[1]


@pytest.mark.parametrize("kind", ORDERS)
@pytest.mark.parametrize("line", LINES)
def test_coverage_information_may_stand_on_every_order(line: Line, kind: str, judge: Judge) -> None:
    assert errors(judge, with_information(line, kind), line) == []


@pytest.mark.parametrize("line", LINES)
def test_coverage_information_may_stand_on_an_appointment(line: Line, judge: Judge) -> None:
    resource = with_information(line, "Appointment")
    assert errors(judge, resource, line, list(examples(line).values())) == []


@pytest.mark.parametrize("kind", ["Appointment", "VisionPrescription"])
def test_the_engine_still_says_what_2_0_forgot(kind: str, judge: Judge) -> None:
    issues = judge.validate(
        with_information("2.0", kind), "2.0", profile(example("2.0", kind), "2.0")
    )
    assert [i.id for i in issues if i.is_error] == ["Extension_EXTP_Context_Wrong"]


def test_it_may_stand_nowhere_else(judge: Judge) -> None:
    for line in LINES:
        resource = example(line, "Patient")
        resource["extension"] = [*resource.get("extension", ()), information()]
        assert our_errors(resource, line)
        assert engine_errors(judge, resource, line)


NONE: Json = {}
FAULTS: dict[str, tuple[Line, dict[str, Json]]] = {
    "no coverage": ("2.0", {"coverage": NONE}),
    "no date": ("2.2", {"date": NONE}),
    "no assertion id": ("2.2", {"coverage_assertion_id": NONE}),
    "not covered, and yet an authorization": ("2.2", {"covered": {"valueCode": "not-covered"}}),
    "satisfied without its number": ("2.0", {"pa_needed": {"valueCode": "satisfied"}}),
    "a number without satisfied": ("2.2", {"satisfied_pa_id": {"valueString": "UTN"}}),
    "a code of the other line": ("2.0", {"pa_needed": {"valueCode": "indeterminate"}}),
    "a questionnaire for nothing": (
        "2.2",
        {"questionnaire": {"valueCanonical": "https://x.example/Questionnaire/q|1"}},
    ),
    "a part of the other line": ("2.0", {"expiry_date": {"valueDate": "2026-06-01"}}),
    "a code of its own": ("2.2", {"doc_needed": {"valueCode": "both"}}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_assertion_is_found_by_both(fault: str, judge: Judge) -> None:
    line, parts = FAULTS[fault]
    resource = with_information(line, "ServiceRequest", **parts)
    assert our_errors(resource, line), "ours"
    assert engine_errors(judge, resource, line), "HL7's"


RESOURCE_FAULTS: dict[str, tuple[str, Callable[[Json], object]]] = {
    "an order without a subject": ("ServiceRequest", lambda r: r.pop("subject")),
    "a coverage without a payer": ("Coverage", lambda r: r.pop("payor")),
    "an encounter without a class": ("Encounter", lambda r: r.pop("class")),
    "a form task that is done": ("Task", lambda r: r.update(status="completed")),
    "an order with a status of its own": ("DeviceRequest", lambda r: r.update(status="wanted")),
}


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("fault", RESOURCE_FAULTS)
def test_a_faulty_resource_is_found_by_both(fault: str, line: Line, judge: Judge) -> None:
    kind, change = RESOURCE_FAULTS[fault]
    resource = example(line, kind)
    change(resource)
    assert our_errors(resource, line), "ours"
    assert engine_errors(judge, resource, line), "HL7's"


def test_a_code_that_its_system_has_not_is_found_on_both_our_paths(judge: Judge) -> None:
    resource = example("2.2", "Patient")
    race = next(e for e in resource["extension"] if e["url"].endswith("us-core-race"))
    race["extension"][0]["valueCoding"]["code"] = "bogus"
    assert our_errors(resource, "2.2")
    assert engine_errors(judge, resource, "2.2")
