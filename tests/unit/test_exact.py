"""Numbers go out as they came in."""

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wiser_fhir import exact

WRITTEN = (
    "100.10", "1.0", "-0.00", "1e3", "1E+10", "0.1000000000000000055511151231257827",
    "12345678901234567890123", "-9007199254740993", "0", "-1", "9223372036854775807", "1.5e-7",
)  # fmt: skip


@pytest.mark.parametrize("number", WRITTEN)
def test_a_number_stays_as_it_was_written(number: str) -> None:
    text = f'{{"a":[{number}],"b":{number}}}'.encode()
    assert exact.dumps(exact.loads(text)) == text


@pytest.mark.parametrize("number", ["100.10", "1e3", "2.5"])
def test_it_is_a_number_like_any_other(number: str) -> None:
    value = exact.loads(f"[{number}]".encode())[0]
    assert isinstance(value, float)
    assert value == float(number)


def test_plain_bodies_take_the_fast_reading() -> None:
    assert not exact.needs_care(b'{"id":"1.2.840","n":12,"day":"2026-01-15"}')
    assert exact.needs_care(b'{"n": 1.5}')
    assert exact.needs_care(b"[1,-2.0]")


@pytest.mark.parametrize(
    "text", [b"[1.5, NaN]", b"[1.5,-Infinity]", b"[1.0", b'{"a":01.5}', b'[1.0, "\\ud800"]']
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        exact.loads(text)


def test_only_json_is_written() -> None:
    with pytest.raises(TypeError):
        exact.dumps({"a": object()})


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**25), 10**25)
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False, places=4).map(
        lambda d: exact.Number(f"{d:f}")
    ),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(_VALUES)
def test_any_document_comes_back_byte_for_byte(value: object) -> None:
    text = _plain([value]).encode()
    assert exact.dumps(exact.loads(text)) == _plain_texts(text)


def _plain(value: object) -> str:
    match value:
        case exact.Number():
            return value.written
        case list():
            return f"[{','.join(map(_plain, value))}]"
        case dict():
            return "{" + ",".join(f"{json.dumps(k)}:{_plain(v)}" for k, v in value.items()) + "}"
    return json.dumps(value)


def _plain_texts(text: bytes) -> bytes:
    """The same document with its texts escaped as we escape them, its numbers untouched."""
    parts = []
    decoder = json.JSONDecoder()
    source, position = text.decode(), 0
    while position < len(source):
        if source[position] == '"':
            value, end = decoder.raw_decode(source, position)
            parts.append(orjson.dumps(value))
            position = end
        else:
            parts.append(source[position].encode())
            position += 1
    return b"".join(parts)
