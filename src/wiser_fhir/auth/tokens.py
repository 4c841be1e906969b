"""Opaque bearer tokens: 32 random bytes, of which only the SHA-256 is stored."""

import re
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from os import urandom
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.scopes import ScopeRefused, covers, grants, spelled
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import NotFound, Unauthenticated

CACHE_SECONDS: Final = 10.0
CACHE_SIZE: Final = 4_096

_BEARER = re.compile("[Bb][Ee][Aa][Rr][Ee][Rr] +([A-Za-z0-9_-]{43})")
# One text for a missing, unknown, expired or revoked token and for a client put out of use.
_REFUSAL = "A live bearer token is needed."

_CLIENT = text("""
select c.id, c.organization_id, c.scopes from client c
join organization o on o.id = c.organization_id
where c.name = :name and c.active and o.active
""")

_INSERT = text("""
insert into access_token (token_hash, client_id, organization_id, scopes, issued_at, expires_at)
values (:token_hash, :client_id, :organization_id, :scopes, :issued_at, :expires_at)
""")

_LOOK_UP = text("""
select t.scopes, t.expires_at, c.id as client_id, c.name as client_name,
    o.id as organization_id, o.acts_for, o.npis
from access_token t
join client c on c.id = t.client_id and c.organization_id = t.organization_id
join organization o on o.id = t.organization_id
where t.token_hash = :token_hash and t.issued_at <= :now and t.expires_at > :now
    and t.revoked_at is null and c.active and o.active
""")

_PURGE = text("delete from access_token where expires_at < :before")


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token. `token` is shown once and stored nowhere."""

    token: str = field(repr=False)
    client_id: UUID
    organization_id: UUID
    scopes: tuple[str, ...]
    expires_at: datetime


def token_hash(token: str) -> bytes:
    """What is stored of a token."""
    return sha256(token.encode()).digest()


async def issue(
    db: AsyncConnection, client: str, scopes: Sequence[str], ttl: timedelta, now: datetime
) -> IssuedToken:
    """A token for the client of this name; without `scopes` with all that it is registered for.

    Raises NotFound for an unknown or inactive client, ScopeRefused for more than it may have.
    """
    row = (await db.execute(_CLIENT, {"name": client})).mappings().one_or_none()
    if row is None:
        raise NotFound("client")
    registered = grants(row["scopes"])
    granted = grants(scopes) if scopes else registered
    if not covers(registered, granted):
        raise ScopeRefused(f"{client} is not registered for that; it is for {row['scopes']}")
    token = urlsafe_b64encode(urandom(32)).rstrip(b"=").decode()
    issued = IssuedToken(token, row["id"], row["organization_id"], spelled(granted), now + ttl)
    await db.execute(
        _INSERT,
        {
            "token_hash": token_hash(token),
            "client_id": issued.client_id,
            "organization_id": issued.organization_id,
            "scopes": list(issued.scopes),
            "issued_at": now,
            "expires_at": issued.expires_at,
        },
    )
    return issued


async def purge(db: AsyncConnection, before: datetime) -> int:
    """Delete tokens that ended before an instant; the owner role may. How many they were."""
    return (await db.execute(_PURGE, {"before": before})).rowcount


class Authenticator:
    """From an Authorization header to a principal, remembered for at most ten seconds.

    So a revocation takes hold everywhere within ten seconds.
    """

    def __init__(
        self, engine: AsyncEngine, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._monotonic = monotonic
        self._known: dict[bytes, tuple[float, Principal]] = {}

    async def principal(self, authorization: Sequence[str]) -> Principal:
        """Who calls, by all Authorization headers of a request.

        Raises Unauthenticated, Unavailable.
        """
        match = _BEARER.fullmatch(authorization[0]) if len(authorization) == 1 else None
        if match is None:
            raise Unauthenticated(_REFUSAL)
        key = token_hash(match[1])
        remembered = self._known.get(key)
        if remembered is not None and remembered[0] > self._monotonic():
            return remembered[1]
        return await self._look_up(key)

    async def _look_up(self, key: bytes) -> Principal:
        self._known.pop(key, None)
        asked = self._monotonic()
        now = self._clock()
        async with transaction(self._engine) as db:
            found = await db.execute(_LOOK_UP, {"token_hash": key, "now": now})
            row = found.mappings().one_or_none()
        if row is None:
            raise Unauthenticated(_REFUSAL)
        principal = _principal(row)
        life = min(CACHE_SECONDS, (row["expires_at"] - now).total_seconds())
        while len(self._known) >= CACHE_SIZE:
            del self._known[next(iter(self._known))]
        self._known[key] = (asked + life, principal)
        return principal


def _principal(row: RowMapping) -> Principal:
    return Principal(
        client_id=row["client_id"],
        client_name=row["client_name"],
        organization_id=row["organization_id"],
        grants=grants(row["scopes"]),
        npis=None if row["acts_for"] == "all" else frozenset(row["npis"]),
    )
