"""Public keys of clients: which of a JWKS are used, and those that a client keeps at a URL.

Source: RFC 7517; RFC 7518, 6; SMART App Launch 2.2.0, "Registering a client: JWKS".
"""

import asyncio
import logging
import re
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Protocol
from uuid import UUID

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.util import urlsafe_b64decode

from wiser_fhir.auth.jws import JwtRefused
from wiser_fhir.egress.client import Document
from wiser_fhir.egress.errors import EgressError
from wiser_fhir.errors import Unavailable
from wiser_fhir.fhir.elements import Json

log = logging.getLogger(__name__)

MAX_KEYS: Final = 20
MAX_DOCUMENT: Final = 64 * 1024

# How long keys from a URL are fresh where their server does not say, and at most if it does. The
# least is a second, the grain of what it can say, so that our flood is not its.
FRESH_SECONDS: Final = 300.0
LONGEST_SECONDS: Final = 86_400.0
LEAST_SECONDS: Final = 1.0
# How much longer they are used while their server fails, where it did not say how long they are.
GRACE_SECONDS: Final = 3_600.0
# The same where it did say, for keys of an issuer that the operator chose: many send `no-cache`.
ISSUER_GRACE_SECONDS: Final = 300.0
# However often a server fails, and however many JWTs name a key that it does not have.
RETRY_SECONDS: Final = 5.0
MISS_SECONDS: Final = 60.0
FETCH_SECONDS: Final = 3.0
MAX_HELD: Final = 1_024

_VALUES: Mapping[str, tuple[str, ...]] = {"EC": ("crv", "x", "y"), "RSA": ("n", "e")}
_CURVES = frozenset({"P-256", "P-384"})
_SECRET = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_RSA_BITS = range(2_048, 8_192 + 1)
# FIPS 186-5, 5.4 wants more than 2^16; far larger ones only cost time.
_RSA_EXPONENTS = range(65_537, 2**32, 2)
_LONGEST_VALUE = 1_400  # characters; 8192 bits are 1366
_KID = re.compile("[ -~]{1,256}")
_AWAY = "The keys are away."
_TOO_LARGE = f"a JWKS may hold {MAX_KEYS} keys and {MAX_DOCUMENT // 1024} KiB"


class KeysRefused(ValueError):
    """A JWKS, or a key of one, that cannot be used. The text repeats nothing of it."""


class JsonSource(Protocol):
    """What `egress.client.Egress` does, as far as keys need it."""

    async def get_document(
        self,
        url: str,
        *,
        within: Sequence[str],
        tenant: UUID,
        token: str | None = None,
        seconds: float = 5.0,
    ) -> Document:
        """The JSON object at a URL, and how long it says it is fresh. Raises EgressError."""
        ...


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key to verify with. `thumbprint` is that of RFC 7638, by SHA-256."""

    kid: str
    thumbprint: str
    key: ECKey | RSAKey


@dataclass(frozen=True, slots=True)
class PublicKeys:
    """The usable keys of a JWKS by `kid`, and for each other one where it stands and why not."""

    keys: Mapping[str, PublicKey]
    left_out: tuple[str, ...] = ()

    def document(self) -> Json:
        """The usable keys as a JWKS, without anything that was not asked for."""
        return {"keys": [dict(each.key.as_dict(private=False)) for each in self.keys.values()]}


_NONE = PublicKeys(MappingProxyType({}))


def read_keys(document: Any) -> PublicKeys:
    """The keys of a JWKS that can be used; one that cannot leaves the others usable.

    Usable: RSA of 2048 to 8192 bits, EC on P-384 or P-256, for signatures, with a `kid` no other
    key of the set has. Never an `oct` key, nor one that shows its private part: anybody may have
    read that. Raises KeysRefused for what is no JWKS or too large.
    """
    entries = document.get("keys") if type(document) is dict else None
    if type(entries) is not list:
        raise KeysRefused("a JWKS is an object with a list `keys`")
    if len(entries) > MAX_KEYS or _size(document) > MAX_DOCUMENT:
        raise KeysRefused(_TOO_LARGE)
    named = Counter(entry.get("kid") for entry in entries if _has_kid(entry))
    usable: dict[str, PublicKey] = {}
    left_out = []
    for position, entry in enumerate(entries):
        try:
            key = _public_key(entry)
            if named[key.kid] > 1:
                raise KeysRefused("has the `kid` of another key")
            usable[key.kid] = key
        except KeysRefused as refused:
            left_out.append(f"keys[{position}] {refused}")
    return PublicKeys(MappingProxyType(usable), tuple(left_out))


def _size(document: Json) -> int:
    try:
        return len(orjson.dumps(document, default=str))
    except TypeError:  # deeper or greater than any JWKS
        raise KeysRefused(_TOO_LARGE) from None


def _has_kid(entry: Any) -> bool:
    return type(entry) is dict and isinstance(entry.get("kid"), str)


def _public_key(entry: Any) -> PublicKey:
    if not _has_kid(entry) or not _KID.fullmatch(entry["kid"]):
        raise KeysRefused("has no `kid`")
    if not _SECRET.isdisjoint(entry):
        raise KeysRefused("shows a private or secret part")
    values = _VALUES.get(str(entry.get("kty")))
    if values is None:
        raise KeysRefused("is neither RSA nor EC")
    if entry.get("use", "sig") != "sig" or "verify" not in _operations(entry):
        raise KeysRefused("is not for signatures")
    # Of the rest only what was looked at: no certificate, no URL, nothing for other readers.
    clean: dict[str, Any] = {name: _text(entry, name) for name in ("kty", "kid", *values)}
    clean["use"] = "sig"
    if "alg" in entry:
        clean["alg"] = _text(entry, "alg")
    try:
        key = _rsa(clean) if clean["kty"] == "RSA" else _ec(clean)
    except (JoseError, ValueError) as fault:
        if isinstance(fault, KeysRefused):
            raise
        raise KeysRefused("is not a key") from None
    return PublicKey(clean["kid"], key.thumbprint(), key)


def _operations(entry: Json) -> Sequence[Any]:
    operations = entry.get("key_ops", ["verify"])
    return operations if type(operations) is list else ()


def _text(entry: Json, name: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_VALUE:
        raise KeysRefused("is not a key")
    return value


def _rsa(entry: dict[str, Any]) -> RSAKey:
    modulus, exponent = (
        int.from_bytes(urlsafe_b64decode(entry[name].encode()), "big") for name in ("n", "e")
    )
    if modulus.bit_length() not in _RSA_BITS or exponent not in _RSA_EXPONENTS:
        raise KeysRefused("is RSA of a size that is not used")
    return RSAKey.import_key(entry)


def _ec(entry: dict[str, Any]) -> ECKey:
    if entry["crv"] not in _CURVES:
        raise KeysRefused("is EC on another curve")
    return ECKey.import_key(entry)


@lru_cache(maxsize=256)
def keys_by_value(document: str) -> Mapping[str, PublicKey]:
    """The keys of a JWKS that was registered as it stands; none of one that cannot be used."""
    try:
        return read_keys(orjson.loads(document)).keys
    except KeysRefused:
        return _NONE.keys


@dataclass(slots=True)
class _Held:
    """What is known of one URL. Instants are of a monotonic clock."""

    keys: PublicKeys = _NONE
    fresh_until: float = float("-inf")
    usable_until: float = float("-inf")
    tried: float = float("-inf")
    failed: bool = False
    fetching: asyncio.Task[bool] | None = field(default=None, repr=False)


class JwksCache:
    """Keys that clients keep at a URL, fetched when needed and held as long as Cache-Control says.

    `grace` are the seconds for which they may be used beyond that while their server fails. For
    clients' keys there are none.

    Source: SMART App Launch 2.2.0, "Client Authentication: Asymmetric", "Signature Verification".
    """

    def __init__(
        self,
        source: JsonSource,
        monotonic: Callable[[], float] = time.monotonic,
        grace: float = 0.0,
    ) -> None:
        self._source = source
        self._monotonic = monotonic
        self._grace = grace
        self._held: dict[tuple[UUID, str], _Held] = {}

    async def key(self, url: str, tenant: UUID, kid: str) -> PublicKey | None:
        """The key of this name; None if there is none, which only fresh keys can tell.

        `url` is the one that was registered: it is the bound on what may be fetched.
        Raises Unavailable.
        """
        held, now = self._of(url, tenant), self._monotonic()
        fresh = now < held.fresh_until
        if not fresh or kid not in held.keys.keys:
            if held.fetching is None and now - held.tried >= _pause(held, fresh=fresh):
                held.tried, held.failed = now, True
                held.fetching = asyncio.create_task(self._fetch(held, url, tenant))
            if held.fetching is not None:
                # Others wait for the same answer, so it outlives the one who asked for it.
                fresh = await asyncio.shield(held.fetching) or fresh
        found = held.keys.keys.get(kid)
        if fresh or (found is not None and self._monotonic() < held.usable_until):
            return found
        raise Unavailable(_AWAY)

    async def registered(
        self, header: Json, *, jwks_url: str | None, jwks: str | None, tenant: UUID
    ) -> PublicKey:
        """The key of a client that registered a URL, or keys as they stand: a header brings none,
        it only names one.

        Keys that cannot be had are as any other fault: another answer would tell who is registered.
        Raises JwtRefused. Source: SMART App Launch 2.2.0, "Client Authentication: Asymmetric",
        "Signature Verification".
        """
        if header.get("jku", jwks_url) != jwks_url:
            raise JwtRefused("jku")
        kid, key = header.get("kid"), None
        if isinstance(kid, str):
            if jwks_url is not None:
                try:
                    key = await self.key(jwks_url, tenant, kid)
                except Unavailable:
                    raise JwtRefused("keys-away") from None
            elif jwks is not None:
                key = keys_by_value(jwks).get(kid)
        if key is None:
            raise JwtRefused("key")
        return key

    def _of(self, url: str, tenant: UUID) -> _Held:
        held = self._held.get((tenant, url))
        if held is None:
            while len(self._held) >= MAX_HELD:
                del self._held[next(iter(self._held))]
            held = self._held[(tenant, url)] = _Held()
        return held

    async def _fetch(self, held: _Held, url: str, tenant: UUID) -> bool:
        """Renew what is held; what cannot be had or read leaves it as it is. Whether it could."""
        asked = self._monotonic()
        try:
            document = await self._source.get_document(
                url, within=[url], tenant=tenant, seconds=FETCH_SECONDS
            )
            keys = read_keys(document.json)
        except (EgressError, KeysRefused) as error:
            reason = error.reason if isinstance(error, EgressError) else "no-jwks"
            log.warning("keys not fetched", extra={"organization": tenant, "error": reason})
            return False
        finally:
            held.fetching = None
        said = document.max_age
        fresh = FRESH_SECONDS if said is None else min(said, LONGEST_SECONDS)
        held.keys, held.failed = keys, False
        held.fresh_until = max(asked + fresh, self._monotonic() + LEAST_SECONDS)
        held.usable_until = held.fresh_until + (GRACE_SECONDS if said is None else self._grace)
        return True


def _pause(held: _Held, *, fresh: bool) -> float:
    """How long after one fetch there may be another."""
    if fresh:
        return MISS_SECONDS
    return RETRY_SECONDS if held.failed else 0.0
