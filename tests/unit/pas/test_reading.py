"""Documents read out of a request as it was kept."""

from base64 import b64encode
from typing import Any

import orjson
import pytest

from tests.bundles import Json, request_bundle
from wiser_fhir.pas.reading import PasReading

PLAIN = "text/plain; charset=utf-8"
UNKNOWN = "application/octet-stream"


def with_data(data: str, content_type: str = "application/pdf") -> bytes:
    """A request whose one document has this data."""
    bundle = request_bundle("2.2")
    attachment = document(bundle)["content"][0]["attachment"]
    attachment |= {"data": data, "contentType": content_type}
    return orjson.dumps(bundle)


def document(bundle: Json) -> Any:
    resources = (entry["resource"] for entry in bundle["entry"])
    return next(each for each in resources if each["resourceType"] == "DocumentReference")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"%PDF-1.7 ...", "application/pdf"),
        (b"\x89PNG\r\n\x1a\n...", "image/png"),
        (b"Plain words.", PLAIN),
        (b"<html><script>alert(1)</script></html>", PLAIN),
        (b"<ClinicalDocument xmlns='urn:hl7-org:v3'/>", PLAIN),
        (b"PK\x03\x04...", UNKNOWN),
        (b"\x00\x01", UNKNOWN),
    ],
)
def test_a_document_is_named_for_what_its_bytes_are(content: bytes, expected: str) -> None:
    body = with_data(b64encode(content).decode(), "text/html")
    found = PasReading().document(body, 1)
    assert found is not None
    assert (found.media_type, found.body) == (expected, content)


def test_data_that_cannot_be_decoded_is_shown_as_it_came() -> None:
    found = PasReading().document(with_data("QQ=A"), 1)
    assert found is not None
    assert (found.media_type, found.body) == (PLAIN, b"QQ=A")


def test_a_result_is_read_as_its_resource() -> None:
    bundle = request_bundle("2.2")
    paper = document(bundle)
    result = {"resourceType": "Observation", "status": "final", "subject": paper["subject"]}
    paper.clear()
    paper.update(result)
    found = PasReading().document(orjson.dumps(bundle), 1)
    assert found is not None
    assert found.media_type == "application/fhir+json"
    assert orjson.loads(found.body) == result


@pytest.mark.parametrize("number", [0, 2, -1])
def test_there_is_no_document_of_another_number(number: int) -> None:
    assert PasReading().document(orjson.dumps(request_bundle("2.2")), number) is None


def test_a_request_inside_parameters_is_read_as_well() -> None:
    inside = {"name": "resource", "resource": request_bundle("2.2")}
    body = orjson.dumps({"resourceType": "Parameters", "parameter": [inside]})
    assert PasReading().document(body, 1) is not None
