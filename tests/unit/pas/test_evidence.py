"""Clinical documents and results: which of them count."""

from base64 import b64encode
from typing import Any

import pytest

from tests.bundles import Json, request_bundle
from tests.unit.pas.reading import add, claim, link, of_kind, read
from wiser_fhir.priorauth.models import Document

RESULTS = ("DiagnosticReport", "Observation", "Procedure")


def _evidence(*resources: Json, linked: bool = True) -> tuple[int, tuple[Document, ...]]:
    """What counts of these, each about the Claim's patient unless it says otherwise."""
    bundle = request_bundle(evidence=False)
    add(bundle, {"resourceType": "Patient"}, "urn:uuid:somebody-else")
    for number, resource in enumerate(resources):
        about = {"subject": claim(bundle)["patient"], **resource}
        (link if linked else add)(bundle, about, f"urn:uuid:{number}")
    found = read(bundle)
    return found.evidence, found.documents


def _document(*attachments: Json, **elements: Any) -> Json:
    return {
        "resourceType": "DocumentReference",
        "content": [{"attachment": attachment} for attachment in attachments],
        **elements,
    }


@pytest.mark.parametrize("size", [1, 2, 3, 4, 100])
def test_a_document_with_data_counts_by_its_decoded_size(size: int) -> None:
    data = b64encode(b"x" * size).decode()
    count, documents = _evidence(_document({"contentType": "text/plain", "data": data}))
    assert count == 1
    assert documents == (Document("DocumentReference", "urn:uuid:0", "text/plain", size),)


def test_each_content_of_a_document_counts() -> None:
    assert _evidence(_document({"data": "AAAA"}, {"data": "AAAA"}))[0] == 2


def test_the_document_of_an_ordinary_request_counts() -> None:
    assert read(request_bundle()).evidence == 1


@pytest.mark.parametrize(
    "resource",
    [
        _document({"url": "https://ehr.example/1"}),
        _document({"data": ""}),
        _document({"data": "  \n "}),
        _document(),
        {"resourceType": "DocumentReference"},
        {"resourceType": "Condition"},
        {"resourceType": "QuestionnaireResponse"},
    ],
)
def test_what_shows_nothing_does_not_count(resource: Json) -> None:
    assert _evidence(resource) == (0, ())


@pytest.mark.parametrize("kind", RESULTS)
def test_a_result_counts(kind: str) -> None:
    assert _evidence({"resourceType": kind}) == (1, (Document(kind, "urn:uuid:0", None, 0),))


EACH = [_document({"data": "AAAA"}), *({"resourceType": kind} for kind in RESULTS)]


@pytest.mark.parametrize("resource", EACH, ids=lambda each: each["resourceType"])
def test_what_the_claim_does_not_point_at_does_not_count(resource: Json) -> None:
    assert _evidence(resource, linked=False) == (0, ())


@pytest.mark.parametrize("resource", EACH, ids=lambda each: each["resourceType"])
@pytest.mark.parametrize(
    "subject",
    [
        None,
        {},
        {"display": "Ada"},
        {"reference": "urn:uuid:nobody"},
        {"reference": "urn:uuid:somebody-else"},
        {"identifier": {"value": "1EG4TE5MK73"}},
    ],
)
def test_what_is_not_about_the_patient_does_not_count(resource: Json, subject: Json | None) -> None:
    assert _evidence({**resource, "subject": subject}) == (0, ())


@pytest.mark.parametrize("resource", EACH, ids=lambda each: each["resourceType"])
@pytest.mark.parametrize(
    "status", ["entered-in-error", "superseded", "revoked", "cancelled", "not-done"]
)
def test_what_was_withdrawn_or_not_done_does_not_count(resource: Json, status: str) -> None:
    assert _evidence({**resource, "status": status}) == (0, ())
    assert _evidence({**resource, "docStatus": status}) == (0, ())


@pytest.mark.parametrize("status", ["current", "final", "preliminary", "completed"])
def test_what_stands_counts(status: str) -> None:
    assert _evidence({"resourceType": "Observation", "status": status})[0] == 1


def test_a_copy_of_the_patient_is_not_the_patient() -> None:
    bundle = request_bundle(evidence=False)
    copy = add(bundle, dict(of_kind(bundle, "Patient")), "urn:uuid:copy")
    link(bundle, {"resourceType": "Observation", "subject": copy})
    assert read(bundle).evidence == 0


def test_without_a_patient_nothing_counts() -> None:
    bundle = request_bundle(evidence=False)
    link(bundle, {"resourceType": "Observation", "subject": {"reference": "urn:uuid:nobody"}})
    claim(bundle)["patient"] = {"reference": "urn:uuid:nobody"}
    assert read(bundle).evidence == 0
