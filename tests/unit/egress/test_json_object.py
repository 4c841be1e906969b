import pytest

from wiser_fhir import exact
from wiser_fhir.egress.json_object import MAX_DEPTH, MAX_VALUES, json_object


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_an_object_is_read() -> None:
    body = b'\xef\xbb\xbf{"a": [1, 1.5, "\xc3\xab", null, true, {"a": 1}, {"a": 1}]}'
    assert json_object(body) == {"a": [1, 1.5, "ë", None, True, {"a": 1}, {"a": 1}]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"x"',
        b'{"a":1}{"b":2}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":1}',
        b'{"x":[{"keys":[],"keys":[]}]}',
        b'{"a":"x\\u0000"}',
        b'{"a":"\\\\\\u0000"}',
        b'{"a\\u0000":1}',
        b'{"a":"\x00"}',
        '{"a":1}'.encode("utf-16"),
        b"<html>{}</html>",
        nested(MAX_DEPTH + 1),
        nested(100_000),
        b'{"a":' + b"[" * 60_000 + b"]" * 60_000 + b"}",
        b'{"a":[' + b"1," * MAX_VALUES + b"1]}",
    ],
)
def test_what_is_unsound_is_not(body: bytes) -> None:
    assert json_object(body) is None


def test_a_number_can_be_written_as_it_came() -> None:
    body = b'{"a":100.10,"b":[1e3,12345678901234567890]}'
    assert exact.dumps(json_object(body)) == body


def test_the_deepest_that_is_sound() -> None:
    assert json_object(nested(MAX_DEPTH)) is not None


def test_a_text_about_u0000_is_no_u0000() -> None:
    assert json_object(rb'{"a":"\\u0000"}') == {"a": r"\u0000"}
