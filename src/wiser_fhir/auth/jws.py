"""JSON Web Tokens in compact form: read without trusting them, then verified with one key.

joserfc checks signatures. What it lets pass is settled here: it takes a JSON name that stands twice
and NaN, raises RecursionError for deep nesting, and reads no header of more than 512 bytes and no
signature of an RSA key beyond 6144 bits.
"""

import json
import re
import secrets
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode

from wiser_fhir.fhir.elements import Json

# SMART and CDS Hooks both name these two. Neither an HMAC nor `none` is ever in this list.
ALGORITHMS: Final = ("ES384", "RS384")
MAX_TOKEN: Final = 8 * 1024
# With `x5c` in the header, and so a chain of certificates, which makes a JWT long. RS256 SHALL,
# ES256 SHOULD, the other two MAY be taken. Source: UDAP Security 2.0.0, "JSON Web Token
# Requirements".
X5C_ALGORITHMS: Final = ("RS256", "ES256", "RS384", "ES384")
MAX_X5C_TOKEN: Final = 16 * 1024
# How many seconds a JWT may live that a system signs to be let in.
MAX_LIFE: Final = 300
# How many seconds the sender's clock may be ahead of ours; none for what is over.
SKEW: Final = 60

_COMPACT = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")
_DECOY_BITS = 2048
_LAST_INSTANT = 2**37  # the year 6325: before what a datetime can be ends
# What a reader must understand, or must not meet in a JWT: we understand none of it.
# Source: RFC 7515, 4.1.11; RFC 7797, 7.
_NOT_UNDERSTOOD = frozenset({"crit", "b64"})


@lru_cache(maxsize=16)
def registry(algorithms: Sequence[str] = ALGORITHMS, limit: int = MAX_TOKEN) -> jws.JWSRegistry:
    """What joserfc is told to take: these algorithms, each part of at most `limit` characters.

    Parameters nobody registered are ignored, as RFC 7515, 4 wants; so are keys a header brings.
    """
    made = jws.JWSRegistry(algorithms=list(algorithms), strict_check_header=False)
    made.max_header_length = made.max_payload_length = made.max_signature_length = limit
    return made


REGISTRY: Final = registry()


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


def read_jwt(
    token: str,
    algorithms: Sequence[str] = ALGORITHMS,
    limit: int = MAX_TOKEN,
    kinds: Sequence[str] = ("JWT",),
) -> UnverifiedJwt:
    """The two JSON objects of a JWT of an allowed algorithm and of one of these kinds (`typ`), the
    first where it names none. Raises JwtRefused.
    """
    if len(token) > limit:
        raise JwtRefused("size")
    match = _COMPACT.fullmatch(token)
    if match is None:
        raise JwtRefused("form")
    try:
        header, claims = _json_object(match[1]), _json_object(match[2])
    except (ValueError, RecursionError):
        raise JwtRefused("form") from None
    if header.get("alg") not in algorithms:
        raise JwtRefused("algorithm")
    kind = header.get("typ", kinds[0])
    named = isinstance(kind, str) and kind.upper() in {each.upper() for each in kinds}
    if not (named and _NOT_UNDERSTOOD.isdisjoint(header)):
        raise JwtRefused("header")
    return UnverifiedJwt(token, header, claims)


def verify(
    jwt: UnverifiedJwt,
    key: ECKey | RSAKey,
    algorithms: Sequence[str] = ALGORITHMS,
    limit: int = MAX_TOKEN,
) -> None:
    """Whether this key signed it by the algorithm it names. Raises JwtRefused."""
    try:
        jws.deserialize_compact(jwt.token, key, registry=registry(tuple(algorithms), limit))
    except (JoseError, ValueError, TypeError, RecursionError):
        raise JwtRefused("signature") from None


def spend_as_much(
    jwt: UnverifiedJwt, algorithms: Collection[str] = ALGORITHMS, limit: int = MAX_TOKEN
) -> None:
    """Look at a signature for nothing: of whom no client or key is known is refused no sooner."""
    with suppress(JwtRefused):
        verify(jwt, _decoy(str(jwt.header["alg"])), tuple(algorithms), limit)


@lru_cache(maxsize=4)
def _decoy(algorithm: str) -> ECKey | RSAKey:
    """A public key that nobody holds the other half of. For RSA any number of its size will do."""
    if algorithm.startswith("RS"):
        modulus = secrets.randbits(_DECOY_BITS) | 1 << (_DECOY_BITS - 1) | 1
        n = urlsafe_b64encode(modulus.to_bytes(_DECOY_BITS // 8, "big")).decode()
        return RSAKey.import_key({"kty": "RSA", "n": n, "e": "AQAB"})
    return ECKey.generate_key("P-256" if algorithm == "ES256" else "P-384", private=False)


def instant(claims: Json, name: str) -> float:
    """A claim that is a NumericDate of RFC 7519, 2, within what a datetime can be.

    Raises JwtRefused.
    """
    value = claims.get(name)
    # A bool is an int to Python. An infinity, which 1e999 is read as, lies beyond the last instant.
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else -1
    if not 0 <= number <= _LAST_INSTANT:
        raise JwtRefused("life")
    return float(number)


def one_audience(claims: Json) -> str:
    """The one server or service that a JWT is for: as a string, or as the only entry of a list.

    A list that names another one too was made for somebody who could use it here.
    Raises JwtRefused.
    """
    aud = claims.get("aud")
    if isinstance(aud, list) and len(aud) == 1:
        aud = aud[0]
    if not isinstance(aud, str):
        raise JwtRefused("audience")
    return aud


def strict_json(text: str) -> Any:
    """The value of a JSON text.

    Raises ValueError, also for a name that stands twice, for NaN and for characters that no text
    can be stored with, and RecursionError for what is too deep.
    """
    value = json.loads(text, object_pairs_hook=_each_name_once, parse_constant=_no_number)
    if "\\u" in text:  # half of a surrogate pair, or U+0000, comes as an escape alone
        written = json.dumps(value, ensure_ascii=False)
        if "\\u0000" in written:
            raise ValueError("a text holds U+0000")
        written.encode()  # raises UnicodeEncodeError, a ValueError
    return value


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
