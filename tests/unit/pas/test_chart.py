"""What of the chart comes with a request."""

from copy import deepcopy
from typing import Any

import pytest

from tests.bundles import Json, request_bundle
from tests.unit.pas.reading import add, claim, link, of_kind, read
from wiser_fhir.coverage.requested import Code
from wiser_fhir.priorauth.models import ChartRecord

LOINC = "http://loinc.org"
BASE = "https://ehr.sandbox.example/fhir"


def observation(subject: Json | None, code: str = "1-1", **elements: Any) -> Json:
    """A final measurement."""
    about = {} if subject is None else {"subject": subject}
    coded = {"coding": [{"system": LOINC, "code": code}]}
    day = {"effectiveDateTime": "2026-05-04"}
    return {"resourceType": "Observation", "status": "final", "code": coded, **day, **about,
            **elements}  # fmt: skip


def found(bundle: Json, code: str = "1-1") -> list[ChartRecord]:
    """The records with a code that a Bundle brings."""
    return [each for each in read(bundle).chart if Code(LOINC, code) in each.codes]


def days(bundle: Json) -> list[int]:
    """How many days each of them has: none when only its codes are taken."""
    return [len(each.days) for each in found(bundle)]


def test_a_record_in_any_entry_counts() -> None:
    bundle = request_bundle()
    add(bundle, observation(claim(bundle)["patient"]))
    assert days(bundle) == [1]
    link(bundle, observation(claim(bundle)["patient"]))
    assert days(bundle) == [1, 1]


def test_the_document_of_a_request_is_a_record() -> None:
    assert len(found(request_bundle(), "11506-3")) == 1
    assert found(request_bundle(evidence=False), "11506-3") == []


def test_a_device_is_its_patients() -> None:
    bundle = request_bundle()
    coded = {"coding": [{"system": LOINC, "code": "1-1"}]}
    device = {"resourceType": "Device", "status": "active", "type": coded}
    add(bundle, {**device, "patient": claim(bundle)["patient"]})
    assert len(found(bundle)) == 1


def test_a_withdrawn_record_is_none() -> None:
    bundle = request_bundle()
    add(bundle, observation(claim(bundle)["patient"], status="entered-in-error"))
    assert found(bundle) == []


@pytest.mark.parametrize("status", ["preliminary", "registered", "unknown"])
def test_of_a_record_that_is_not_final_it_is_taken_that_it_is_there(status: str) -> None:
    bundle = request_bundle()
    add(bundle, observation(claim(bundle)["patient"], status=status))
    assert found(bundle) == [ChartRecord(frozenset({Code(LOINC, "1-1")}), settled=False)]


def test_a_record_about_another_person_is_none() -> None:
    bundle = request_bundle()
    other = add(bundle, {"resourceType": "Patient"}, "urn:uuid:other")
    add(bundle, observation(other), "urn:uuid:measure")
    assert found(bundle) == []


@pytest.mark.parametrize(
    "subject", [None, {"reference": "urn:uuid:nobody"}, {"identifier": {"value": "1"}}]
)
def test_of_a_record_about_nobody_we_find_the_codes_alone_are_taken(subject: Json | None) -> None:
    bundle = request_bundle()
    add(bundle, observation(subject))
    assert found(bundle) == [ChartRecord(frozenset({Code(LOINC, "1-1")}))]


def test_without_a_patient_no_record_is_the_patients() -> None:
    bundle = request_bundle()
    add(bundle, observation(claim(bundle)["patient"]))
    claim(bundle)["patient"] = {"reference": "urn:uuid:nobody"}
    assert found(bundle) == []


def test_records_contained_in_another_resource_count() -> None:
    bundle = request_bundle()
    patient = claim(bundle)["patient"]
    report = {"resourceType": "DiagnosticReport", "status": "final", "subject": patient,
              "contained": [observation(patient, id="inside")]}  # fmt: skip
    add(bundle, report)
    assert days(bundle) == [1]


def forms_bundle(*entries: Json) -> Json:
    return {"resourceType": "Bundle", "type": "collection", "entry": list(entries)}


def test_records_beside_a_form_in_a_dtr_bundle_count() -> None:
    bundle = request_bundle()
    patient = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")
    named = {"reference": patient["fullUrl"]}
    entry = {"fullUrl": "urn:uuid:measure", "resource": observation(named)}
    link(bundle, forms_bundle(entry, {"request": {"method": "DELETE", "url": "Patient/1"}}))
    assert days(bundle) == [1]


def test_an_equal_copy_of_the_patient_inside_is_the_patient() -> None:
    bundle = request_bundle()
    patient = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "Patient")
    named = {"reference": patient["fullUrl"]}
    entry = {"fullUrl": "urn:uuid:measure", "resource": observation(named)}
    link(bundle, forms_bundle(entry, deepcopy(patient)))
    assert days(bundle) == [1]
    claim(bundle)["supportingInfo"].clear()
    other = deepcopy(patient)
    other["fullUrl"] = named["reference"] = "urn:uuid:copied"
    bundle["entry"][-1]["resource"] = forms_bundle(entry, other)
    link(bundle, bundle["entry"].pop()["resource"])
    assert days(bundle) == [1]
    claim(bundle)["supportingInfo"].clear()
    other["resource"]["birthDate"] = "1950-01-01"
    bundle["entry"][-1]["resource"] = forms_bundle(entry, other)
    assert days(bundle) == []


def test_a_reference_inside_is_followed_from_its_own_place() -> None:
    """The patient stands outside, under the address that the reference means inside."""
    bundle = request_bundle()
    patient = of_kind(bundle, "Patient")
    for entry in bundle["entry"]:
        if entry["resource"] is patient:
            entry["fullUrl"] = f"{BASE}/Patient/1"
    claim(bundle)["patient"] = {"reference": f"{BASE}/Patient/1"}
    measure = observation({"reference": "Patient/1"})
    link(bundle, forms_bundle({"fullUrl": f"{BASE}/Observation/1", "resource": measure}))
    assert days(bundle) == [1]


def test_a_drug_may_stand_inside_its_order() -> None:
    bundle = request_bundle()
    drug = {"coding": [{"system": LOINC, "code": "1-1"}]}
    ordered = {
        "resourceType": "MedicationRequest",
        "status": "active",
        "intent": "order",
        "subject": claim(bundle)["patient"],
        "medicationReference": {"reference": "#drug"},
        "contained": [{"resourceType": "Medication", "id": "drug", "code": drug}],
    }
    add(bundle, ordered)
    assert len(found(bundle)) == 1
