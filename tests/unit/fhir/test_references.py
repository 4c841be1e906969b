"""Which entry of a Bundle a reference leads to."""

from typing import Any

from wiser_fhir.fhir.bundle import References

REST = "https://ehr.example/fhir/"
UUID = "urn:uuid:0f5d1a7e-5a43-4a4e-8f0c-2f6f7f4b9d01"


def bundle(*urls: str) -> dict[str, Any]:
    entries = [
        {"fullUrl": u, "resource": {"resourceType": "Patient", "id": str(i)}}
        for i, u in enumerate(urls)
    ]
    return {"resourceType": "Bundle", "entry": entries}


def test_an_absolute_reference_is_a_full_url() -> None:
    found = bundle(UUID, REST + "Patient/1")
    references = References.of(found)
    assert references.resolve(UUID) is found["entry"][0]["resource"]
    assert references.resolve(REST + "Patient/1") is found["entry"][1]["resource"]
    assert references.resolve(REST + "Patient/2") is None


def test_a_relative_reference_is_read_from_where_it_stands() -> None:
    found = bundle(REST + "Patient/1", "https://other.example/Patient/1")
    references = References.of(found)
    assert references.resolve("Patient/1", REST + "Claim/9") is found["entry"][0]["resource"]
    assert (
        references.resolve("Patient/1", "https://other.example/Claim/9")
        is found["entry"][1]["resource"]
    )
    assert references.resolve("Patient/1") is None


def test_a_relative_reference_from_a_urn_names_the_urn_of_that_id() -> None:
    found = bundle("urn:uuid:a", "urn:uuid:b")
    assert References.of(found).resolve("Patient/b", "urn:uuid:a") is found["entry"][1]["resource"]


def test_a_version_must_be_the_one_that_is_there() -> None:
    found = bundle(REST + "Patient/1")
    found["entry"][0]["resource"]["meta"] = {"versionId": "3"}
    references = References.of(found)
    assert references.resolve(REST + "Patient/1/_history/3") is not None
    assert references.resolve(REST + "Patient/1/_history/2") is None


def test_a_resource_knows_its_full_url() -> None:
    found = bundle(UUID)
    references = References.of(found)
    assert references.full_url(found["entry"][0]["resource"]) == UUID
    assert references.full_url({"resourceType": "Patient", "id": "0"}) is None


def test_entries_of_no_use_are_passed_over() -> None:
    odd: dict[str, Any] = {
        "resourceType": "Bundle",
        "entry": [None, {}, {"fullUrl": 3}, {"resource": []}],
    }
    assert References.of(odd).resolve("3") is None
    assert References.of({"resourceType": "Bundle", "entry": None}).resolve(UUID) is None
