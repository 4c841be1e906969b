"""Which resources can be read, whoever made them."""

from typing import Any

import pytest

from wiser_fhir import exact
from wiser_fhir.fhir.codes import LINES
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.intake.soundness import Soundness, soundness

PATIENT = {
    "resourceType": "Patient",
    "id": "p",
    "meta": {"profile": ["http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"]},
    "text": {"status": "generated", "div": "no markup at all"},
    "extension": [{"url": "https://ehr.example/mood", "valueString": "good"}],
    "name": [{"family": "Sample", "given": ["Sam"]}],
    "birthDate": "1950-02-28",
}


@pytest.fixture(scope="module", params=LINES)
def problems(request: pytest.FixtureRequest) -> Soundness:
    return soundness(GuideValidator.load(request.param))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"extension": [{"url": "https://ehr.example/broken"}]},
        {"_birthDate": {"extension": [{"url": "https://ehr.example/x", "valueInteger": 1}]}},
        {"birthDate": None, "_birthDate": {"extension": [{"url": "https://e.example/x",
                                                          "valueCode": "unknown"}]}},
        {"maritalStatus": {"extension": [{"url": "https://e.example/x", "valueBoolean": True}]}},
        {"managingOrganization": {"reference": "Organization/1"}},
    ],
)  # fmt: skip
def test_what_a_client_adds_is_no_obstacle(problems: Soundness, changes: dict[str, Any]) -> None:
    resource = {key: value for key, value in {**PATIENT, **changes}.items() if value is not None}
    assert problems(resource) == []


def test_numbers_as_written_are_numbers(problems: Soundness) -> None:
    request = {
        "resourceType": "ServiceRequest",
        "status": "draft",
        "intent": "order",
        "subject": {"reference": "Patient/p"},
        "quantityQuantity": {"value": exact.Number("1.00")},
    }
    assert problems(request) == []
    assert str(request["quantityQuantity"]) == "{'value': 1.0}"
    assert problems({**request, "status": exact.Number("1.0")})


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ({**PATIENT, "name": "Sam"}, "Patient.name"),
        ({**PATIENT, "birthDate": "yesterday"}, "Patient.birthDate"),
        ({**PATIENT, "deceasedBoolean": "no"}, "Patient.deceased"),
        ({"resourceType": "ServiceRequest"}, "ServiceRequest.status"),
        ({**PATIENT, "name": [None]}, "Patient.name[0]"),
    ],
)
def test_what_cannot_be_read_is_named(
    problems: Soundness, resource: dict[str, Any], place: str
) -> None:
    found = problems(resource)
    assert any((each.expression or "").startswith(place) for each in found)
    assert all(each.severity == "error" for each in found)


@pytest.mark.parametrize(
    "resource",
    [
        {},
        {"resourceType": "Nothing"},
        {"resourceType": ["Patient"]},
        {"resourceType": "../Patient"},
    ],
)
def test_what_is_no_resource(problems: Soundness, resource: dict[str, Any]) -> None:
    assert problems(resource)


COVERAGE: dict[str, Any] = {
    "resourceType": "Coverage",
    "status": "active",
    "beneficiary": {"reference": "#p"},
    "payor": [{"reference": "#o"}],
    "contained": [
        {"resourceType": "Patient", "id": "p", "managingOrganization": {"reference": "#o"}},
        {"resourceType": "Organization", "id": "o", "name": "A payer"},
    ],
}


def test_what_is_contained_is_looked_at_as_well(problems: Soundness) -> None:
    assert problems(COVERAGE) == []
    patient, payer = COVERAGE["contained"]
    faulty = COVERAGE | {"contained": [patient, payer | {"active": "yes"}]}
    [problem] = problems(faulty)
    assert (problem.expression or "").startswith("Coverage.contained[1].active")


@pytest.mark.parametrize(
    "contained",
    [
        [],
        {},
        "o",
        ["o"],
        [{"id": "o"}],
        [{"resourceType": "Organization", "name": "without an id"}],
        [{"resourceType": "Patient", "id": "p", "contained": [{"resourceType": "Basic"}]}],
    ],
)
def test_what_cannot_be_contained(problems: Soundness, contained: Any) -> None:
    assert problems(COVERAGE | {"contained": contained})
