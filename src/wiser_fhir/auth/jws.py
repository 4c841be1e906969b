"""JSON Web Tokens in compact form: read without trusting them, then verified with one key.

joserfc checks signatures. What it lets pass is settled here: it takes a JSON name that stands twice
and NaN, raises RecursionError for deep nesting, and reads no header of more than 512 bytes and no
signature of an RSA key beyond 6144 bits.
"""

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64decode

from wiser_fhir.fhir.elements import Json

# SMART and CDS Hooks both name these two. Neither an HMAC nor `none` is ever in this list.
ALGORITHMS: Final = ("ES384", "RS384")
MAX_TOKEN: Final = 8 * 1024

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
# What a reader must understand, or must not meet in a JWT: we understand none of it.
# Source: RFC 7515, 4.1.11; RFC 7797, 7.
_NOT_UNDERSTOOD = frozenset({"crit", "b64"})


class _Registry(jws.JWSRegistry):
    max_header_length = MAX_TOKEN
    max_payload_length = MAX_TOKEN
    max_signature_length = MAX_TOKEN


# Parameters nobody registered are ignored, as RFC 7515, 4 wants; so are keys that a header brings.
REGISTRY: Final = _Registry(algorithms=ALGORITHMS, strict_check_header=False)


class JwtRefused(Exception):
    """A JWT that is not taken. `reason` is a word of ours, for the log and nobody else."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class UnverifiedJwt:
    """What a JWT says of itself. Nothing of it is true before `verify`."""

    token: str = field(repr=False)
    header: Json = field(repr=False)
    claims: Json = field(repr=False)


def read_jwt(token: str) -> UnverifiedJwt:
    """The two JSON objects of a JWT of an allowed algorithm. Raises JwtRefused."""
    if len(token) > MAX_TOKEN:
        raise JwtRefused("size")
    match = _COMPACT.fullmatch(token)
    if match is None:
        raise JwtRefused("form")
    try:
        header, claims = _json_object(match[1]), _json_object(match[2])
    except (ValueError, RecursionError):
        raise JwtRefused("form") from None
    if header.get("alg") not in ALGORITHMS:
        raise JwtRefused("algorithm")
    kind = header.get("typ", "JWT")
    if not (isinstance(kind, str) and kind.upper() == "JWT" and _NOT_UNDERSTOOD.isdisjoint(header)):
        raise JwtRefused("header")
    return UnverifiedJwt(token, header, claims)


def verify(jwt: UnverifiedJwt, key: ECKey | RSAKey) -> None:
    """Whether this key signed it by the algorithm it names. Raises JwtRefused."""
    try:
        jws.deserialize_compact(jwt.token, key, registry=REGISTRY)
    except (JoseError, ValueError, TypeError, RecursionError):
        raise JwtRefused("signature") from None


def strict_json(text: str) -> Any:
    """The value of a JSON text. Raises ValueError, also for a name that stands twice and for NaN,
    and RecursionError for what is too deep.
    """
    return json.loads(text, object_pairs_hook=_each_name_once, parse_constant=_no_number)


def _json_object(segment: str) -> Json:
    value = strict_json(urlsafe_b64decode(segment.encode()).decode())
    if type(value) is not dict:
        raise ValueError("not an object")
    return value


def _each_name_once(pairs: list[tuple[str, Any]]) -> Json:
    read = dict(pairs)
    if len(read) < len(pairs):
        raise ValueError("a name stands twice")
    return read


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number")
