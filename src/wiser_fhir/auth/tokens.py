"""Tokens of clients, by which systems of an organization call."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.auth.bearer import Holders, new_token, token_hash
from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.scopes import ScopeRefused, covers, grants, spelled
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import NotFound

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
    token = new_token()
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
    """From an Authorization header to a principal, as `Holders` remembers it."""

    def __init__(
        self, engine: AsyncEngine, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._holders = Holders(self._look_up, clock, monotonic)

    async def principal(self, authorization: Sequence[str]) -> Principal:
        """Who calls, by all Authorization headers of a request.

        Raises Unauthenticated, Unavailable.
        """
        return await self._holders.of(authorization)

    async def _look_up(self, key: bytes, now: datetime) -> tuple[Principal, datetime] | None:
        async with transaction(self._engine) as db:
            found = await db.execute(_LOOK_UP, {"token_hash": key, "now": now})
            row = found.mappings().one_or_none()
        return None if row is None else (_principal(row), row["expires_at"])


def _principal(row: RowMapping) -> Principal:
    return Principal(
        client_id=row["client_id"],
        client_name=row["client_name"],
        organization_id=row["organization_id"],
        grants=grants(row["scopes"]),
        npis=None if row["acts_for"] == "all" else frozenset(row["npis"]),
    )
