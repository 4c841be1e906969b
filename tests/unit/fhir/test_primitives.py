"""The form of primitive values."""

from typing import Any

import pytest

from wiser_fhir.fhir.validation.primitives import fault

GOOD: list[tuple[str, Any]] = [
    ("date", "2024"),
    ("date", "2024-02-29"),
    ("dateTime", "2024-05"),
    ("dateTime", "2024-05-06T07:08:09.123-05:00"),
    ("instant", "2024-05-06T07:08:09Z"),
    ("time", "23:59:59"),
    ("id", "a.B-9"),
    ("code", "two words"),
    ("positiveInt", 1),
    ("unsignedInt", 0),
    ("integer", -2147483648),
    ("decimal", 1.5),
    ("decimal", 2),
    ("boolean", False),
    ("uri", "urn:oid:2.16.840.1"),
    ("uri", "urn:uuid:0f5d1a7e-5a43-4a4e-8f0c-2f6f7f4b9d01"),
    ("uri", "relative/path"),
    ("base64Binary", "TWFu\nTWE="),
    ("string", " x "),
]
BAD: list[tuple[str, Any]] = [
    ("date", "2023-02-29"),
    ("date", "2024-13-01"),
    ("date", "2024-05-06T07:08:09Z"),
    ("dateTime", "2024-05-06T07:08:09"),
    ("dateTime", "2024-05-06T24:08:09Z"),
    ("dateTime", "0000"),
    ("instant", "2024-05-06"),
    ("time", "24:00:00"),
    ("id", "x" * 65),
    ("id", "a_b"),
    ("code", " a"),
    ("code", "a  b"),
    ("positiveInt", 0),
    ("positiveInt", "1"),
    ("positiveInt", True),
    ("unsignedInt", -1),
    ("integer", 2147483648),
    ("integer", 1.0),
    ("decimal", "1.5"),
    ("decimal", True),
    ("boolean", "true"),
    ("boolean", 1),
    ("uri", "a b"),
    ("uri", "uuid:0f5d1a7e"),
    ("uri", "urn:uuid:0f5d"),
    ("uri", "urn:oid:2.a"),
    ("base64Binary", "TWF"),
    ("string", ""),
    ("string", 7),
    ("string", None),
]


@pytest.mark.parametrize(("code", "value"), GOOD)
def test_good_values(code: str, value: Any) -> None:
    assert fault(code, value) is None


@pytest.mark.parametrize(("code", "value"), BAD)
def test_bad_values(code: str, value: Any) -> None:
    assert fault(code, value)


def test_a_fault_never_repeats_the_value() -> None:
    for code, value in BAD:
        if isinstance(value, str) and len(value) > 3 and value not in ("true",):
            assert value not in str(fault(code, value))
