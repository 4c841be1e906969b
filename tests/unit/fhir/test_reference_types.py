"""Which type of resource a Reference leads to."""

import pytest

from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.reference_types import reference_types


@pytest.mark.parametrize(
    ("reference", "types"),
    [
        ({"reference": "Device/1"}, {"Device"}),
        ({"reference": "https://ehr.example/fhir/Device/a-1.2"}, {"Device"}),
        ({"reference": "https://ehr.example/fhir/Device/1/_history/3"}, {"Device"}),
        ({"reference": "https://ehr.example/Patient/api/Practitioner/1"}, {"Practitioner"}),
        ({"reference": " Device/1/ "}, {"Device"}),
        ({"reference": "Device?identifier=urn:x|a/b"}, {"Device"}),
        ({"reference": "urn:uuid:44444444-4444-4444-8444-444444444444"}, set()),
        ({"reference": "#device"}, set()),
        ({"type": "Device", "identifier": {"value": "1"}}, {"Device"}),
        ({"type": "http://hl7.org/fhir/StructureDefinition/Device"}, {"Device"}),
        ({"type": "Practitioner", "reference": "Device/1"}, {"Practitioner", "Device"}),
        ({"display": "Device/1"}, set()),
        ({"type": 1, "reference": ["Device/1"]}, set()),
        ({}, set()),
    ],
)
def test_what_a_reference_tells_of_its_type(reference: Json, types: set[str]) -> None:
    assert reference_types(reference, None) == types
    found = {"resourceType": "Organization"}
    assert reference_types(reference, found) == types | {"Organization"}
