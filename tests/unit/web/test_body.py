import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.exceptions import HTTPException
from starlette.requests import Request

from wiser_fhir.errors import Malformed, TooLarge
from wiser_fhir.web import body
from wiser_fhir.web.body import LARGE, MAX_BODY, MAX_DEPTH, parse_json, read_body, read_json


def nested(levels: int) -> bytes:
    return b'{"a":' * levels + b"1" + b"}" * levels


def test_an_object_is_parsed() -> None:
    assert parse_json(b'{"a": [1, 1.5, "x", null, true]}') == {"a": [1, 1.5, "x", None, True]}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b"1",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"a":1}{"b":2}',
        b'{"a":1,}',
        b"{'a':1}",
        b'\xff\xfe{\x00"\x00',
        b'{"a":"\x00"}',
    ],
)
def test_what_is_no_json_object_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'{"x":[{"y":{"a":1,"b":2,"a":3}}]}',
        b'{"a":"\\u0022\\u0022","a":"\\u0022"}',
        b'{"a":"\\"\\"","a":1}',
        b'{"":1,"":2}',
        b'{"\\u0022":1,"\\"":2}',
    ],
)
def test_a_key_twice_in_one_object_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        parse_json(text)


def test_every_double_key_is_named_if_it_can_be_an_element() -> None:
    with pytest.raises(Malformed) as caught:
        parse_json(b'{"id":1,"id":2,"x":{"code":1,"code":1,"Ada Lovelace":1,"Ada Lovelace":1}}')
    texts = " ".join(problem.text for problem in caught.value.problems)
    assert "key id" in texts
    assert "key code" in texts
    assert "Ada" not in texts


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":{"a":{"a":1}},"b":[{"a":1},{"a":1}]}',
        b'{"a":"\\u0022","b":"\\"","c":"\\\\u0022"}',
        b'{"a":"\\\\","b":"\\\\\\""}',
        b'{ "a" : "a" , "b" : "\\u00e9\\n" }',
    ],
)
def test_what_only_looks_like_a_double_key_passes(text: bytes) -> None:
    assert parse_json(text) == json.loads(text)


def test_the_guard_sees_what_is_fine_without_the_slow_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "_check_keys", pytest.fail)
    assert parse_json(b'{"a":"\\u0022 \\" b","c":{"a":1}}') == {"a": '" " b', "c": {"a": 1}}


def test_sixty_four_levels_pass_and_one_more_does_not() -> None:
    parse_json(nested(MAX_DEPTH))
    with pytest.raises(Malformed, match="64 levels"):
        parse_json(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize("levels", [200, 900, 5_000, 100_000])
def test_any_depth_is_a_refusal_and_no_crash(levels: int) -> None:
    for text in (nested(levels), b'{"a":' + b"[" * levels + b"]" * levels + b"}"):
        with pytest.raises(Malformed):
            parse_json(text)


def test_sixty_four_levels_of_lists_too() -> None:
    inner = MAX_DEPTH - 1
    parse_json(b'{"a":' + b"[" * inner + b"]" * inner + b"}")
    with pytest.raises(Malformed):
        parse_json(b'{"a":' + b"[" * (inner + 1) + b"]" * (inner + 1) + b"}")


def test_a_byte_order_mark_is_skipped() -> None:
    assert parse_json(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


def test_two_thousand_entries_pass_and_one_more_does_not() -> None:
    parse_json(orjson.dumps({"entry": [{}] * 2_000}))
    with pytest.raises(TooLarge):
        parse_json(orjson.dumps({"entry": [{}] * 2_001}))


def test_a_huge_integer_becomes_a_float_and_stays_writable() -> None:
    parsed = parse_json(b'{"a":123456789012345678901234567890}')
    assert isinstance(parsed["a"], float)
    orjson.dumps(parsed)


def test_a_large_body_of_structure_alone_is_refused() -> None:
    with pytest.raises(TooLarge):
        parse_json(b'{"a":[' + b"[]," * 600_000 + b"[]]}")


@pytest.mark.parametrize("before", [0, 2 * LARGE, LARGE - 40, LARGE - 1_000])
@pytest.mark.parametrize("number", [b"9", b"0.", b"-1.5"])
def test_a_large_body_with_an_endless_number_is_refused(before: int, number: bytes) -> None:
    text = b'{"text":"' + b"A" * before + b'","n": ' + number + b"1" * 2 * LARGE + b"}"
    with pytest.raises(Malformed, match="1,000 digits"):
        parse_json(text)


def test_digits_in_a_text_are_no_number() -> None:
    text = "7" * 2 * LARGE
    assert parse_json(orjson.dumps({"data": text, "n": 1.5}))["data"] == text


def test_a_large_attachment_passes() -> None:
    text = b'{"data":"' + b"QUJD" * 1_000_000 + b'"}'
    assert len(parse_json(text)["data"]) == 4_000_000


KEYS = st.sampled_from(["a", "b", '"', "\\", "é", "\u2028", "", "resourceType"])
# U+0000 is refused whatever stands around it; that has a test of its own.
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=5)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS | KEYS,
    lambda inner: st.lists(inner, max_size=3) | st.lists(st.tuples(KEYS, inner), max_size=4),
    max_leaves=20,
)


def quoted(text: str, escaped: bool) -> str:
    """A JSON string; `escaped` writes a quotation mark the long way."""
    mark = "\\u0022" if escaped else '\\"'
    return '"' + mark.join(json.dumps(part)[1:-1] for part in text.split('"')) + '"'


def written(value: Any, escaped: bool) -> str:
    """JSON of nested lists, where a list of pairs is an object that may repeat a key."""
    match value:
        case [tuple(), *_]:
            members = (f"{quoted(k, escaped)}:{written(v, escaped)}" for k, v in value)
            return "{" + ",".join(members) + "}"
        case list():
            return "[" + ", ".join(written(each, escaped) for each in value) + "]"
        case str():
            return quoted(value, escaped)
    return json.dumps(value)


@given(VALUES, st.booleans())
def test_the_guard_agrees_with_collecting_every_key(value: Any, escaped: bool) -> None:
    text = ('{"root":' + written(value, escaped) + "}").encode()
    repeated = []

    def collect(pairs: list[tuple[str, Any]]) -> None:
        repeated.append(len(pairs) != len({key for key, _ in pairs}))

    json.loads(text, object_pairs_hook=collect)
    if any(repeated):
        with pytest.raises(Malformed):
            parse_json(text)
    else:
        assert parse_json(text) == json.loads(text)


def request(
    chunks: list[bytes], headers: dict[str, str] | None = None
) -> tuple[Request, list[int]]:
    read: list[int] = []
    stream = iter(chunks)

    async def receive() -> dict[str, Any]:
        chunk = next(stream, None)
        if chunk is not None:
            read.append(len(chunk))
        return {"type": "http.request", "body": chunk or b"", "more_body": chunk is not None}

    raw = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    return Request({"type": "http", "method": "POST", "headers": raw}, receive), read


async def test_a_body_is_read_whole() -> None:
    asked, _ = request([b"abc", b"", b"def"])
    assert await read_body(asked) == b"abcdef"


async def test_a_body_said_to_be_too_large_is_not_read() -> None:
    asked, read = request([b"x"], {"content-length": str(MAX_BODY + 1)})
    with pytest.raises(TooLarge):
        await read_body(asked)
    assert read == []


async def test_a_body_that_grows_too_large_is_read_no_further() -> None:
    asked, read = request([bytes(LARGE)] * 100)
    with pytest.raises(TooLarge):
        await read_json(asked)
    assert sum(read) == MAX_BODY + LARGE


async def test_a_large_body_is_parsed_too() -> None:
    text = b'{"data":"' + b"A" * (2 * LARGE) + b'"}'
    asked, _ = request([text[:LARGE], text[LARGE:]])
    received, parsed = await read_json(asked)
    assert received == text
    assert len(parsed["data"]) == 2 * LARGE


async def test_a_compressed_body_is_refused_unread() -> None:
    asked, read = request([b"x"], {"content-encoding": "gzip"})
    with pytest.raises(HTTPException) as caught:
        await read_body(asked)
    assert caught.value.status_code == 415
    assert read == []
