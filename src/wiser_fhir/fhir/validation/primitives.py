"""What a primitive value must look like, as HL7's engine reads R4.

`fault` says what is wrong in our words, never with the value itself.
"""

import re
from calendar import monthrange
from collections.abc import Callable
from typing import Any

_YEAR = r"(?:[0-9](?:[0-9](?:[0-9][1-9]|[1-9]0)|[1-9]00)|[1-9]000)"
_MONTH = r"(?:0[1-9]|1[0-2])"
_DAY = r"(?:0[1-9]|[1-2][0-9]|3[0-1])"
_CLOCK = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = r"(?:Z|(?:\+|-)(?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"

DATE = rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY})?)?"
DATE_TIME = rf"{_YEAR}(?:-{_MONTH}(?:-{_DAY}(?:T{_CLOCK}{_ZONE})?)?)?"
INSTANT = rf"{_YEAR}-{_MONTH}-{_DAY}T{_CLOCK}{_ZONE}"
TIME = _CLOCK.replace(r"(?:\.[0-9]+)?", r"(?:\.[0-9]+)?")
ID = r"[A-Za-z0-9\-\.]{1,64}"
OID = r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+"
UUID = r"urn:uuid:[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
CODE = r"[^\s]+(?:\s[^\s]+)*"
URI = r"\S*"
BASE64 = r"(?:\s*(?:[0-9a-zA-Z+/=]){4}\s*)+"

_MAX_INTEGER = 2_147_483_647
_STRING_LIMIT = 1_048_576

_SPACE = re.compile(r"\s")
_DATE = re.compile(DATE)
_DATE_TIME = re.compile(DATE_TIME)
_INSTANT = re.compile(INSTANT)
_TIME = re.compile(TIME)
_ID = re.compile(ID)
_OID = re.compile(OID)
_UUID = re.compile(UUID)
_CODE = re.compile(CODE)
_BASE64 = re.compile(r"(?:[0-9a-zA-Z+/]{4})*(?:[0-9a-zA-Z+/]{2}==|[0-9a-zA-Z+/]{3}=)?")

STRINGS = frozenset({"base64Binary", "date", "dateTime", "id", "instant", "time", "xhtml"}) | {
    *("canonical", "code", "markdown", "oid", "string", "uri", "url", "uuid"),
}
NUMBERS = frozenset({"integer", "positiveInt", "unsignedInt", "decimal"})
# HL7's engine lets these be nothing but spaces; dates and the like we never do.
MAY_BE_BLANK = frozenset({"string", "markdown", "code", "uri", "url", "canonical"})
PRIMITIVES = STRINGS | NUMBERS | {"boolean"}


def fault(code: str, value: Any) -> str | None:
    """What is wrong with a value of a primitive type; None when nothing is."""
    if code == "boolean":
        return None if type(value) is bool else f"true or false expected, {kind(value)} found"
    if code == "decimal":
        good = type(value) in (int, float)
        return None if good else f"a number expected, {kind(value)} found"
    if code in NUMBERS:
        return _integer_fault(code, value)
    if type(value) is not str:
        return f"a string ({code}) expected, {kind(value)} found"
    if value == "":
        return "empty: a value may be left out, not be the empty string"
    return _text_fault(code, value)


def kind(value: Any) -> str:
    """A JSON value's kind, for messages."""
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "an array" if type(value) is list else "an object")


def _integer_fault(code: str, value: Any) -> str | None:
    low = {"integer": -_MAX_INTEGER - 1, "unsignedInt": 0, "positiveInt": 1}[code]
    if type(value) is not int:
        return f"a whole number ({code}) expected, {kind(value)} found"
    if not low <= value <= _MAX_INTEGER:
        return f"a whole number from {low} to {_MAX_INTEGER} ({code}) expected"
    return None


def _text_fault(code: str, value: str) -> str | None:
    test = _TESTS.get(code)
    return None if test is None or test(value) else _SHAPES[code]


def _is_day(value: str) -> bool:
    """Whether the calendar has the day that a date or time begins with."""
    if len(value) < 10:
        return True
    return int(value[8:10]) <= monthrange(int(value[:4]), int(value[5:7]))[1]


def _is_uri(value: str) -> bool:
    if _SPACE.search(value) or value.startswith(("oid:", "uuid:")):
        return False
    if value.startswith("urn:uuid:"):
        return _UUID.fullmatch(value.partition("|")[0].partition("#")[0]) is not None
    if value.startswith("urn:oid:"):
        return _OID.fullmatch(value.partition("|")[0]) is not None
    return True


def _is_base64(value: str) -> bool:
    return _BASE64.fullmatch(re.sub(r"\s", "", value)) is not None


_TESTS: dict[str, Callable[[str], bool]] = {
    "date": lambda v: _DATE.fullmatch(v) is not None and _is_day(v),
    "dateTime": lambda v: _DATE_TIME.fullmatch(v) is not None and _is_day(v),
    "instant": lambda v: _INSTANT.fullmatch(v) is not None and _is_day(v),
    "time": lambda v: _TIME.fullmatch(v) is not None,
    "id": lambda v: _ID.fullmatch(v) is not None,
    "oid": lambda v: _OID.fullmatch(v) is not None,
    "uuid": lambda v: _UUID.fullmatch(v) is not None,
    "code": lambda v: _CODE.fullmatch(v) is not None,
    "base64Binary": _is_base64,
    "string": lambda v: len(v) <= _STRING_LIMIT,
    "markdown": lambda v: len(v) <= _STRING_LIMIT,
    "uri": _is_uri,
    "url": _is_uri,
    "canonical": _is_uri,
}
_SHAPES = {
    "date": "not a date: YYYY, YYYY-MM or YYYY-MM-DD of the calendar expected",
    "dateTime": "not a dateTime: a date, or a date with time and zone, expected",
    "instant": "not an instant: date, time to the second and zone expected",
    "time": "not a time: hh:mm:ss expected",
    "id": "not an id: 1 to 64 letters, digits, '-' or '.' expected",
    "oid": "not an OID: urn:oid: and numbers with dots expected",
    "uuid": "not a UUID: urn:uuid: and 32 hexadecimal digits in five groups expected",
    "code": "not a code: no space at the ends and no two together expected",
    "base64Binary": "not base64",
    "string": f"longer than {_STRING_LIMIT} characters",
    "markdown": f"longer than {_STRING_LIMIT} characters",
    "uri": "not a URI",
    "url": "not a URL",
    "canonical": "not a canonical URL",
}
