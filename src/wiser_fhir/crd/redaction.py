"""A hook call's body without the token in it: the token is for calling the EHR and kept nowhere."""

import re
from typing import Any

import orjson

from wiser_fhir import exact
from wiser_fhir.fhir.elements import Json

_TOKEN = re.compile(rb'"access_token"\s*:\s*("(?:[^"\\]|\\.)*")')
_STARS = b'"access_token":"***"'


def without_token(body: bytes, parsed: Json) -> bytes:
    """The body as received but for every `access_token`, whose value is starred out.

    A body that spells that name in another way is written anew. Source: security design, I5.
    """
    authorization: Any = parsed.get("fhirAuthorization")
    token = authorization.get("access_token") if isinstance(authorization, dict) else None
    if token is None:
        return _TOKEN.sub(_STARS, body)
    if any(_value(found[1]) == token for found in _TOKEN.finditer(body)):
        return _TOKEN.sub(_STARS, body)
    return exact.dumps({**parsed, "fhirAuthorization": {**authorization, "access_token": "***"}})


def _value(written: bytes) -> Any:
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError:
        return None
