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

from wiser_fhir.egress.client import Document
from wiser_fhir.egress.errors import EgressError
from wiser_fhir.fhir.elements import Json

log = logging.getLogger(__name__)

MAX_KEYS: Final = 20
MAX_DOCUMENT: Final = 64 * 1024

# Keys from a URL are asked for again when their server says so, but not within five minutes, nor
# later than after a day: longer they are not used. Silence is five minutes.
FRESH_SECONDS: Final = 300.0
HELD_SECONDS: Final = 86_400.0
# However many JWTs name an unknown key, and however often a server does not answer.
RETRY_SECONDS: Final = 60.0
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
    fetched: float = float("-inf")
    tried: float = float("-inf")
    fresh: float = FRESH_SECONDS
    fetching: asyncio.Task[None] | None = field(default=None, repr=False)


class JwksCache:
    """Keys that clients keep at a URL, fetched when needed and then held.

    Source: SMART App Launch 2.2.0, "Server Requirements": Cache-Control is respected.
    """

    def __init__(self, source: JsonSource, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._monotonic = monotonic
        self._held: dict[tuple[UUID, str], _Held] = {}

    async def key(self, url: str, tenant: UUID, kid: str) -> PublicKey | None:
        """The key of this name, None if there is none or it could not be had.

        `url` is the one that was registered: it is the bound on what may be fetched.
        """
        held = self._of(url, tenant)
        if kid not in held.keys.keys or self._age(held) >= held.fresh:
            now = self._monotonic()
            if held.fetching is None and now - held.tried >= RETRY_SECONDS:
                held.tried = now
                held.fetching = asyncio.create_task(self._fetch(held, url, tenant))
            if held.fetching is not None:
                # Others wait for the same answer, so it outlives the one who asked for it.
                await asyncio.shield(held.fetching)
        return held.keys.keys.get(kid) if self._age(held) < HELD_SECONDS else None

    def _of(self, url: str, tenant: UUID) -> _Held:
        held = self._held.get((tenant, url))
        if held is None:
            while len(self._held) >= MAX_HELD:
                del self._held[next(iter(self._held))]
            held = self._held[(tenant, url)] = _Held()
        return held

    def _age(self, held: _Held) -> float:
        return self._monotonic() - held.fetched

    async def _fetch(self, held: _Held, url: str, tenant: UUID) -> None:
        """Renew what is held; what cannot be had or read leaves it as it is."""
        try:
            document = await self._source.get_document(
                url, within=[url], tenant=tenant, seconds=FETCH_SECONDS
            )
            keys = read_keys(document.json)
        except (EgressError, KeysRefused) as error:
            reason = error.reason if isinstance(error, EgressError) else "no-jwks"
            log.warning("keys not fetched", extra={"organization": tenant, "error": reason})
        else:
            held.keys, held.fetched = keys, self._monotonic()
            held.fresh = min(max(document.max_age or 0.0, FRESH_SECONDS), HELD_SECONDS)
        finally:
            held.fetching = None
