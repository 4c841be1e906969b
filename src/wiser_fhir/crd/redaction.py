"""A hook call's body without the token in it: the token is for calling the EHR and kept nowhere."""

import re
from typing import Any

import orjson

from wiser_fhir import exact
from wiser_fhir.fhir.elements import Json
from wiser_fhir.web.body import BOM

_TOKEN = re.compile(rb'"access_token"\s*:\s*("(?:[^"\\]|\\.)*")')
_STARS = b'"access_token":"***"'
_STARRED = {"access_token": "***"}
# Source: CDS Hooks, "FHIR Resource Access".
_NO_SECRET = frozenset({"token_type", "expires_in", "scope", "subject", "patient", "extension"})


def without_token(body: bytes, parsed: Json) -> bytes:
    """The body as received but for every `access_token`, whose value is starred out.

    A body whose authorization is told in any other way is written anew, with all of it starred out
    that is not known to be no secret. Source: security design, I5.
    """
    starred = _TOKEN.sub(_STARS, body)
    authorization: Any = parsed.get("fhirAuthorization")
    if authorization is None or _secrets(starred) == _STARRED:
        return starred
    return _TOKEN.sub(_STARS, exact.dumps({**parsed, "fhirAuthorization": _shown(authorization)}))


def _secrets(body: bytes) -> Any:
    """What of the authorization may be secret, as a reader of the stored body would see it."""
    told = orjson.loads(body.removeprefix(BOM)).get("fhirAuthorization")
    return (
        {k: v for k, v in told.items() if k not in _NO_SECRET} if isinstance(told, dict) else told
    )


def _shown(authorization: Any) -> Any:
    if not isinstance(authorization, dict):
        return "***"
    return {key: each if key in _NO_SECRET else "***" for key, each in authorization.items()}
