"""From the bytes of a request to a JSON object, with a limit on everything a sender can choose."""

import json
import re
from collections.abc import AsyncIterator, Callable
from json import JSONDecodeError
from typing import Any
from urllib.parse import parse_qsl

import anyio
import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request

from wiser_fhir.errors import Malformed, Problem, TooLarge
from wiser_fhir.web.principal import known_caller
from wiser_fhir.web.turns import Turns

MAX_BODY = 32 * 1024 * 1024
MAX_FORM = 64 * 1024
MAX_DEPTH = 64
MAX_ENTRIES = 2_000
# A body this large is parsed off the event loop, and one at a time.
LARGE = 1024 * 1024
MAX_TOKENS = 500_000
# Large bodies are held by few at a time, one of each organization: a slow sender holds up its own.
_LARGE_BODIES = anyio.CapacityLimiter(4)
_PARSING = anyio.CapacityLimiter(1)
_turns = Turns()
_MOST_FIELDS = 200
_CHUNK = 1024 * 1024
# FHIR asks for 18 digits to be handled.
MAX_DIGITS = 1_000
_ENDLESS = re.compile(rb"[:,\[][ \t\r\n]*-?[0-9][0-9.]{%d}" % MAX_DIGITS)

# orjson writes 254 levels and no more. Wrapped in 190, what is deeper than 64 no longer fits.
_ORJSON_LEVELS = 254
_WRAPPING = range(_ORJSON_LEVELS - MAX_DEPTH)

_ELEMENT = re.compile("_?[a-z][A-Za-z]{1,39}|resourceType")
_SHOWN = 100
BOM = b"\xef\xbb\xbf"
_NUL = b"\\u0000"
_TOO_LARGE = f"The body is larger than {MAX_BODY // 1024 // 1024} MiB."
_TOO_DEEP = f"The body is nested deeper than {MAX_DEPTH} levels."


async def read_body(request: Request) -> bytes:
    """The body as received. Stops reading as soon as it is known to be too large.

    Raises TooLarge, and HTTPException 415 for a content encoding.
    """
    _check_headers(request)
    body = _Reading(request.stream())
    await body.read(MAX_BODY)
    return body.taken()


async def read_json(
    request: Request, parse: Callable[[bytes], dict[str, Any]] | None = None
) -> tuple[bytes, dict[str, Any]]:
    """The body as received, and the same parsed by `parse`, without one by `parse_json`.

    Only a few large bodies are in memory at a time, one of each organization; the next ones wait in
    their senders' sockets. Raises TooLarge, Malformed.
    """
    parse = parse or parse_json
    _check_headers(request)
    body = _Reading(request.stream())
    if await body.read(LARGE, refuse=False):
        received = body.taken()
        return received, parse(received)
    async with _turn(request), _LARGE_BODIES:
        await body.read(MAX_BODY)
        received = body.taken()
        return received, await anyio.to_thread.run_sync(parse, received, limiter=_PARSING)


async def read_form(request: Request) -> list[tuple[str, str]]:
    """The pairs of a form, in their order. Raises TooLarge, Malformed."""
    _check_headers(request)
    body = _Reading(request.stream())
    if not await body.read(MAX_FORM, refuse=False):
        raise TooLarge(f"The form is larger than {MAX_FORM // 1024} KiB.")
    try:
        return parse_qsl(body.taken().decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except UnicodeDecodeError:
        raise Malformed("The form is not UTF-8.") from None
    except ValueError:
        raise TooLarge(f"The form has more than {_MOST_FIELDS} fields.") from None


def _turn(request: Request) -> anyio.CapacityLimiter:
    """The turn of the caller's organization; strangers share one."""
    caller = known_caller(request)
    return _turns.of(caller.organization_id if caller is not None else None)


def _check_headers(request: Request) -> None:
    encoding = request.headers.get("content-encoding")
    if encoding is not None and encoding.strip().lower() != "identity":
        raise HTTPException(415, "Send the body as it is, without a content encoding.")
    declared = request.headers.get("content-length")
    if declared is not None and declared.isdecimal() and int(declared) > MAX_BODY:
        raise TooLarge(_TOO_LARGE)


class _Reading:
    """A body being read, in as many goes as one likes."""

    def __init__(self, stream: AsyncIterator[bytes]) -> None:
        self._stream = stream
        self._chunks: list[bytes] = []
        self._size = 0

    async def read(self, limit: int, *, refuse: bool = True) -> bool:
        """Read to the end, True, or past `limit`: raises TooLarge, or False without `refuse`."""
        async for chunk in self._stream:
            self._chunks.append(chunk)
            self._size += len(chunk)
            if self._size > limit:
                if refuse:
                    raise TooLarge(_TOO_LARGE)
                return False
        return True

    def taken(self) -> bytes:
        """What was read."""
        chunks, self._chunks = self._chunks, []
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def parse_json(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`, safe to walk by recursion. Numbers are int, or float.

    Refused: a key twice in one object (no two readers agree on its meaning), NaN and infinities,
    more than 64 levels or 2,000 Bundle entries, text that is not UTF-8 or holds U+0000. A byte
    order mark is skipped. Integers beyond 64 bits come out as float. Raises Malformed, TooLarge.
    """
    if body.startswith(BOM):
        body = body[len(BOM) :]
    if len(body) > LARGE:
        _check_token_count(body)
        _check_numbers(body)
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Malformed(_unreadable(error)) from None
    if type(parsed) is not dict:
        raise Malformed("The body is JSON, but not an object: a FHIR resource is one.")
    if not _plainly_sound(body, parsed):
        _check_depth(parsed)
        _check_keys(body)
    if _NUL in body and _holds_nul(parsed):
        raise Malformed("A text holds the character U+0000, which FHIR does not allow.")
    entries = parsed.get("entry")
    if type(entries) is list and len(entries) > MAX_ENTRIES:
        raise TooLarge(f"The Bundle has more than {MAX_ENTRIES:,} entries.")
    return parsed


def _plainly_sound(body: bytes, parsed: dict[str, Any]) -> bool:
    """Whether no key stands twice and nothing is too deep; False when not sure.

    Written out again, a document has as many quotation marks as before: orjson writes each that
    stands in a string as one, however it was escaped. A key that stood twice is written once, and
    two are missing. Counting costs a tenth of collecting the keys. The same writing fails on what
    is too deep, because of the wrapping.
    """
    wrapped: Any = parsed
    for _ in _WRAPPING:
        wrapped = [wrapped]
    try:
        written = orjson.dumps(wrapped)
    except orjson.JSONEncodeError:
        return False
    return body.count(b'"') + body.count(b"\\u0022") == written.count(b'"')


def _check_token_count(body: bytes) -> None:
    """Refuse a large body that is all structure: parsed, it would be fifty times its size."""
    view = memoryview(body)
    tokens = 0
    for start in range(0, len(body), _CHUNK):
        chunk = bytes(view[start : start + _CHUNK])
        tokens += chunk.count(b",") + chunk.count(b"[") + chunk.count(b"{")
        if tokens > MAX_TOKENS:
            raise TooLarge(f"The body holds more than {MAX_TOKENS:,} values.")


def _check_numbers(body: bytes) -> None:
    """Refuse a large body with an endless number: each reading of it is another large text."""
    view = memoryview(body)
    for start in range(0, len(body), _CHUNK):
        # A number that begins at the end of a piece is whole in what follows it.
        if _ENDLESS.search(view[start : start + _CHUNK + 2 * MAX_DIGITS]):
            raise Malformed(f"A number has more than {MAX_DIGITS:,} digits.")


def _check_depth(parsed: dict[str, Any]) -> None:
    level: list[Any] = [parsed]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return
    raise Malformed(_TOO_DEEP)


def _children(node: Any) -> list[Any]:
    values = node.values() if type(node) is dict else node
    return [value for value in values if type(value) is dict or type(value) is list]


def _holds_nul(node: Any) -> bool:
    """Whether any text or key has the character that Postgres cannot keep."""
    if type(node) is str:
        return "\0" in node
    if type(node) is dict:
        return any("\0" in key or _holds_nul(value) for key, value in node.items())
    return type(node) is list and any(map(_holds_nul, node))


def _check_keys(body: bytes) -> None:
    """Raises Malformed with every key that stands twice in one object. Exact and slow."""
    twice: set[str] = set()

    def collect(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                twice.add(key)
            seen.add(key)

    json.loads(body.decode(), object_pairs_hook=collect)
    if twice:
        problems = [Problem("error", "structure", _twice(key)) for key in sorted(twice)]
        raise Malformed("A key stands twice in one object.", problems[:_SHOWN])


def _twice(key: str) -> str:
    """A key is named only if it can be an element's name: it might be a person's."""
    shown = f"The key {key}" if _ELEMENT.fullmatch(key) else "A key"
    return f"{shown} stands twice in one object: no two readers agree on its meaning."


def _unreadable(error: JSONDecodeError) -> str:
    return f"The body is not JSON: line {error.lineno}, column {error.colno}."
