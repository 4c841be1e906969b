"""What a file is by its own bytes, whatever its sender calls it. Pure: nothing is unpacked.

Only kinds that a reviewer can be shown safely are known. Archives, office files and web pages are
none of them.
"""

import re
from typing import Final

import orjson

PDF: Final = "application/pdf"
PNG: Final = "image/png"
JPEG: Final = "image/jpeg"
TIFF: Final = "image/tiff"
XML: Final = "application/xml"
TEXT: Final = "text/plain"
FHIR_JSON: Final = "application/fhir+json"

_BEGINNINGS = (
    (b"%PDF-", PDF),
    (b"\x89PNG\r\n\x1a\n", PNG),
    (b"\xff\xd8\xff", JPEG),
    (b"II*\x00", TIFF),
    (b"MM\x00*", TIFF),
)
# Names by which a type goes, and the bytes it stands for. A CDA document is XML.
_NAMES = {
    **{kind: kind for kind in (PDF, PNG, JPEG, TIFF, XML, TEXT, FHIR_JSON)},
    "image/jpg": JPEG,
    "image/tif": TIFF,
    "text/xml": XML,
    "application/hl7-cda+xml": XML,
    "application/hl7-sda+xml": XML,
    "application/json": FHIR_JSON,
}
ACCEPTED: Final = tuple(sorted(_NAMES))

_UTF8 = frozenset({"utf-8", "utf8", "us-ascii", "ascii"})
_BOM = b"\xef\xbb\xbf"
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
# What may stand before the root of an XML document. A document type could call for more than is
# there, and has no use in a clinical document.
_PROLOGUE = re.compile(rb"(?:\s|<\?[^<>]{0,1000}\?>|<!--(?:(?!--).){0,1000}-->)*", re.DOTALL)
_ROOT = re.compile(rb"<(?:[A-Za-z_][\w.-]{0,100}:)?([A-Za-z_][\w.-]{0,100})[\s/>]")
_PAGES = frozenset({b"html", b"svg", b"script", b"body", b"head", b"math"})
_MOST_PROLOGUE = 16 * 1024


def declared_type(content_type: str) -> str | None:
    """The kind that a media type names; None for one that is not taken, or not in UTF-8."""
    name, *parameters = (part.strip().lower() for part in content_type.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "charset" and value.strip().strip('"') not in _UTF8:
            return None
    return _NAMES.get(name)


def kinds_of(content: bytes) -> frozenset[str]:
    """Every kind the bytes can be taken for: one for a binary format, plain text and perhaps more
    for text, none for anything else.
    """
    for beginning, kind in _BEGINNINGS:
        if content.startswith(beginning):
            return frozenset({kind})
    if not content or not _is_text(content):
        return frozenset()
    plain = content.removeprefix(_BOM)
    kinds = {TEXT}
    if _is_xml(plain):
        kinds.add(XML)
    if _is_fhir_json(plain):
        kinds.add(FHIR_JSON)
    return frozenset(kinds)


def _is_text(content: bytes) -> bool:
    if _CONTROL.search(content):
        return False
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return not content.startswith(b"{\\rtf")


def _is_xml(content: bytes) -> bool:
    prologue = _PROLOGUE.match(content[:_MOST_PROLOGUE])
    root = _ROOT.match(content, prologue.end() if prologue else 0)
    return root is not None and root[1].lower() not in _PAGES


def _is_fhir_json(content: bytes) -> bool:
    if not content.lstrip().startswith(b"{"):
        return False
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError:
        return False
    return isinstance(parsed, dict) and isinstance(parsed.get("resourceType"), str)
