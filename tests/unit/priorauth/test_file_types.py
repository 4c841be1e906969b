import pytest

from wiser_fhir.priorauth.file_types import declared_type, kinds_of

CDA = b'<?xml version="1.0"?>\n<!-- made up -->\n<ClinicalDocument xmlns="urn:hl7-org:v3"/>'


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        (b"%PDF-1.7\n1 0 obj", {"application/pdf"}),
        (b"\x89PNG\r\n\x1a\n\x00\x00", {"image/png"}),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", {"image/jpeg"}),
        (b"II*\x00\x08\x00", {"image/tiff"}),
        (b"MM\x00*\x00\x08", {"image/tiff"}),
        (b"Four weeks of care.\r\n", {"text/plain"}),
        ("Größe: 4 cm²".encode(), {"text/plain"}),
        (CDA, {"text/plain", "application/xml"}),
        (b"\xef\xbb\xbf" + CDA, {"text/plain", "application/xml"}),
        (b"<n1:ClinicalDocument/>", {"text/plain", "application/xml"}),
        (b'{"resourceType": "Observation"}', {"text/plain", "application/fhir+json"}),
        (b' {"resourceType": "Observation"}', {"text/plain", "application/fhir+json"}),
        (b'{"resourceType": 1}', {"text/plain"}),
        (b'{"resourceType": "Observation"', {"text/plain"}),
        (b"[1]", {"text/plain"}),
    ],
)
def test_a_file_is_what_its_bytes_say(content: bytes, kinds: set[str]) -> None:
    assert kinds_of(content) == kinds


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04\x14\x00",
        b"MZ\x90\x00",
        b"\x1f\x8b\x08\x00",
        b"{\\rtf1 made up}",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        b"a text\x00with a hole",
        b"\xe9t\xe9 in another encoding",
        b"GIF89a\x01\x00",
    ],
)
def test_what_no_reviewer_is_shown_is_of_no_kind(content: bytes) -> None:
    assert kinds_of(content) == frozenset()


@pytest.mark.parametrize(
    "content",
    [
        b"<html><body/></html>",
        b"<!-- a page --><HTML >",
        b"<svg onload='x'/>",
        b"<x:script xmlns:x='http://www.w3.org/1999/xhtml'/>",
        b'<!DOCTYPE x [<!ENTITY a "aa">]><x>&a;</x>',
        b"<?xml version='1.0'?><!DOCTYPE html><html/>",
        b"no < markup",
        b"<",
    ],
)
def test_a_page_or_a_document_type_makes_no_xml(content: bytes) -> None:
    assert kinds_of(content) == {"text/plain"}


def test_what_comes_before_the_real_beginning_of_a_pdf_makes_it_none() -> None:
    assert kinds_of(b"PK\x03\x04 %PDF-1.7") == frozenset()


@pytest.mark.parametrize(
    "content",
    [b" " * 20_000_000, b"<!--" * 5_000_000, b"<?" * 10_000_000, b"<!-- a -->" * 2_000_000],
)
def test_a_long_beginning_makes_no_xml(content: bytes) -> None:
    assert kinds_of(content) == {"text/plain"}


@pytest.mark.parametrize(
    ("named", "kind"),
    [
        ("application/pdf", "application/pdf"),
        ("IMAGE/JPG", "image/jpeg"),
        ("text/plain; charset=UTF-8", "text/plain"),
        ('text/plain; charset="us-ascii"', "text/plain"),
        ("text/plain; format=flowed", "text/plain"),
        ("application/hl7-cda+xml", "application/xml"),
        ("application/json", "application/fhir+json"),
        ("text/plain; charset=iso-8859-1", None),
        ("text/html", None),
        ("application/zip", None),
        ("", None),
    ],
)
def test_a_media_type_names_a_kind_or_none(named: str, kind: str | None) -> None:
    assert declared_type(named) == kind
