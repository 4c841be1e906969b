"""The numbers that a request's sender traces its lines by, in the request as it came."""

import orjson

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import Json, extensions

_BOM = b"\xef\xbb\xbf"
# Other spellings of a character in JSON than the one that a serializer writes.
_OTHER_SPELLINGS = (b"\\u", b"\\/")


def names_item(body: bytes, trace: str) -> bool:
    """Whether a line of the request with these bytes is traced by this number (X12 TRN).

    A long request without the number anywhere is not parsed for it.
    Source: PAS 2.2.1 and 2.0.1, extension-itemTraceNumber.
    """
    written = orjson.dumps(trace)[1:-1]
    if written not in body and not any(other in body for other in _OTHER_SPELLINGS):
        return False
    lines = _claim(orjson.loads(body.removeprefix(_BOM))).get("item", ())
    return trace in {number for line in lines for number in _numbers(line)}


def _claim(request: Json) -> Json:
    """The newest Claim of a request, which is its first entry."""
    bundle = request
    if request["resourceType"] == "Parameters":
        bundle = request["parameter"][0]["resource"]
    claim: Json = bundle["entry"][0]["resource"]
    return claim


def _numbers(line: Json) -> list[str]:
    found = extensions(line, codes.ITEM_TRACE_NUMBER)
    return [each.get("valueIdentifier", {}).get("value", "").strip() for each in found]
