"""Opaque bearer tokens: 32 random bytes, of which only the SHA-256 is stored."""

import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from hashlib import sha256
from os import urandom
from typing import Final, Generic, TypeVar

from wiser_fhir.auth.remembered import Remembered
from wiser_fhir.clock import Clock
from wiser_fhir.errors import Unauthenticated

CACHE_SECONDS: Final = 10.0
CACHE_SIZE: Final = 4_096
MAX_HEADER: Final = 8 * 1024

_BEARER = re.compile("[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9_-]{43})")
# One text for a missing, unknown, expired or revoked token, for a holder put out of use, and for a
# token that is bound to another certificate.
REFUSAL: Final = "A live bearer token is needed."

Holder = TypeVar("Holder")
LookUp = Callable[[bytes, datetime], Awaitable[tuple[Holder, datetime] | None]]


def new_token() -> str:
    """A token that nobody has had."""
    return urlsafe_b64encode(urandom(32)).rstrip(b"=").decode()


def token_hash(token: str) -> bytes:
    """What is stored of a token."""
    return sha256(token.encode()).digest()


def read_bearer(authorization: Sequence[str]) -> str | None:
    """The token of ours in all Authorization headers of a request; None if there is not just one.

    Whether it is live is another matter.
    """
    header = authorization[0] if len(authorization) == 1 else ""
    match = _BEARER.fullmatch(header) if len(header) <= MAX_HEADER else None
    return None if match is None else match[1]


class Holders(Generic[Holder]):
    """From an Authorization header to who holds the token, remembered for at most ten seconds.

    So a revocation takes hold everywhere within ten seconds. `look_up` takes a token's hash and the
    present instant, and tells the holder and when the token ends, or None.
    """

    def __init__(
        self,
        look_up: LookUp[Holder],
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look_up = look_up
        self._clock = clock
        self._known: Remembered[bytes, Holder] = Remembered(CACHE_SIZE, monotonic)
        self._forgotten = 0

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._known)

    async def of(self, authorization: Sequence[str]) -> Holder:
        """Who calls, by all Authorization headers of a request. Raises Unauthenticated."""
        token = read_bearer(authorization)
        if token is None:
            raise Unauthenticated(REFUSAL)
        key = token_hash(token)
        remembered = self._known.get(key)
        return await self._ask(key) if remembered is None else remembered

    def forget(self, key: bytes) -> None:
        """Ask anew about the token with this hash; what is being asked just now counts no more."""
        self._known.forget(key)
        self._forgotten += 1

    async def _ask(self, key: bytes) -> Holder:
        asked, forgotten = self._known.now(), self._forgotten
        now = self._clock()
        found = await self._look_up(key, now)
        if found is None:
            raise Unauthenticated(REFUSAL)
        holder, expires_at = found
        if forgotten != self._forgotten:  # the answer may be from before a revocation
            return holder
        life = min(CACHE_SECONDS, (expires_at - now).total_seconds())
        self._known.put(key, holder, asked + life)
        return holder
