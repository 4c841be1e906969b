"""From the bytes of an answer to a JSON object that is safe to walk."""

import json
import re
from typing import Any

import orjson

from wiser_fhir import exact

MAX_DEPTH = 64
MAX_VALUES = 500_000
_BOM = b"\xef\xbb\xbf"
# As an escape, so after an even number of backslashes; bare it is no JSON.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def json_object(body: bytes) -> dict[str, Any] | None:
    """The JSON object in `body`, its numbers as `exact` reads them; None if there is no sound one.

    Unsound as in a request's body: a key twice in one object, NaN and infinities, more than 64
    levels, U+0000, what is not UTF-8, and a multitude of values, which would be fifty times its
    size in memory. Raises nothing: a parser's error holds the document.
    """
    body = body.removeprefix(_BOM)
    if sum(map(body.count, (b",", b"[", b"{"))) > MAX_VALUES or _NUL.search(body):
        return None
    try:
        parsed = orjson.loads(body)
        if type(parsed) is not dict or _too_deep(parsed):
            return None
        json.loads(body.decode(), object_pairs_hook=_each_key_once)
    except ValueError:
        return None
    return exact.loads(body) if exact.needs_care(body) else parsed


def _too_deep(parsed: dict[str, Any]) -> bool:
    level: list[Any] = [parsed]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in _children(node)]
        if not level:
            return False
    return True


def _children(node: Any) -> list[Any]:
    values = node.values() if type(node) is dict else node
    return [value for value in values if type(value) is dict or type(value) is list]


def _each_key_once(pairs: list[tuple[str, Any]]) -> None:
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError
