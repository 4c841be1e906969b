"""Tokens of clients, by which systems of an organization call."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.auth.bearer import REFUSAL, Holders, new_token, token_hash
from wiser_fhir.auth.ended import delete_ended
from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.scopes import ScopeRefused, common, covers, grants, readable, spelled
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import NotFound, Unauthenticated

_CLIENT = text("""
select c.id, c.organization_id, c.scopes from client c
join organization o on o.id = c.organization_id
where c.name = :name and c.active and o.active
""")

_INSERT = text("""
insert into access_token
    (token_hash, client_id, organization_id, scopes, issued_at, expires_at, certificate)
values (:token_hash, :client_id, :organization_id, :scopes, :issued_at, :expires_at, :certificate)
""")

_LOOK_UP = text("""
select t.scopes, t.expires_at, t.certificate, c.id as client_id, c.name as client_name,
    c.scopes as registered, o.id as organization_id, o.acts_for, o.npis, o.tins
from access_token t
join client c on c.id = t.client_id and c.organization_id = t.organization_id
join organization o on o.id = t.organization_id
where t.token_hash = :token_hash and t.expires_at > :now
    and t.revoked_at is null and c.active and o.active
""")

_OF_CLIENT = text("""
select scopes, issued_at, expires_at, certificate from access_token
where token_hash = :token_hash and client_id = :client_id
    and expires_at > :now and revoked_at is null
""")

_REVOKE = text("""
update access_token set revoked_at = :now
where token_hash = :token_hash and client_id = :client_id
    and revoked_at is null
""")


def _end_all(column: str) -> TextClause:
    return text(f"""
        update access_token set revoked_at = :now
        where {column} = :whose and revoked_at is null and expires_at > :now
    """)  # noqa: S608 - our own words


_END_OF_CLIENT = _end_all("client_id")
_END_OF_ORGANIZATION = _end_all("organization_id")
_END_BOUND_TO = _end_all("certificate")

_PURGE = delete_ended("access_token")


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """A new token. `token` is shown once and stored nowhere.

    `certificate` is the thumbprint of the one that it is bound to, None if to none.
    """

    token: str = field(repr=False)
    client_id: UUID
    organization_id: UUID
    scopes: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    certificate: str | None = None


@dataclass(frozen=True, slots=True)
class LiveToken:
    """What a client may know of a token of its own."""

    scopes: tuple[str, ...]
    issued_at: datetime
    expires_at: datetime
    certificate: str | None


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
    issued = IssuedToken(
        new_token(), row["id"], row["organization_id"], spelled(granted), now, now + ttl
    )
    await put(db, issued)
    return issued


async def put(db: AsyncConnection, issued: IssuedToken) -> None:
    """Store what there is to store of a new token."""
    row = {
        "token_hash": token_hash(issued.token),
        "client_id": issued.client_id,
        "organization_id": issued.organization_id,
        "scopes": list(issued.scopes),
        "issued_at": issued.issued_at,
        "expires_at": issued.expires_at,
        "certificate": issued.certificate,
    }
    await db.execute(_INSERT, row)


async def of_client(
    db: AsyncConnection, client_id: UUID, token: str, now: datetime
) -> LiveToken | None:
    """What is known of a live token; None for another client's too, after the same look."""
    values = {"token_hash": token_hash(token), "client_id": client_id, "now": now}
    row = (await db.execute(_OF_CLIENT, values)).mappings().one_or_none()
    if row is None:
        return None
    return LiveToken(tuple(row["scopes"]), row["issued_at"], row["expires_at"], row["certificate"])


async def revoke(db: AsyncConnection, client_id: UUID, token: str, now: datetime) -> bool:
    """End a client's own token; whether there was one to end."""
    values = {"token_hash": token_hash(token), "client_id": client_id, "now": now}
    return (await db.execute(_REVOKE, values)).rowcount == 1


async def end_of_client(db: AsyncConnection, client_id: UUID, now: datetime) -> int:
    """End every live token of a client; how many they were."""
    return (await db.execute(_END_OF_CLIENT, {"whose": client_id, "now": now})).rowcount


async def end_of_organization(db: AsyncConnection, organization_id: UUID, now: datetime) -> int:
    """The same for all clients of an organization."""
    return (await db.execute(_END_OF_ORGANIZATION, {"whose": organization_id, "now": now})).rowcount


async def end_bound_to(db: AsyncConnection, thumbprint: str, now: datetime) -> int:
    """The same for every token that is bound to a certificate."""
    return (await db.execute(_END_BOUND_TO, {"whose": thumbprint, "now": now})).rowcount


async def purge(db: AsyncConnection, before: datetime) -> int:
    """Delete tokens that ended before an instant, AT_ONCE at most; the owner role may. How many."""
    return (await db.execute(_PURGE, {"before": before})).rowcount


class WrongCertificate(Unauthenticated):
    """A live token of ours, shown without the certificate that it is bound to."""


class Authenticator:
    """From an Authorization header to a principal, as `Holders` remembers it."""

    def __init__(
        self, engine: AsyncEngine, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._holders = Holders(self._look_up, clock, monotonic)

    async def principal(
        self, authorization: Sequence[str], certificate: str | None = None
    ) -> Principal:
        """Who calls, by all Authorization headers of a request.

        `certificate` is the thumbprint of the one that the connection has shown, and looked at each
        time: what is remembered was perhaps asked for over another connection.
        Raises Unauthenticated, Unavailable. Source: RFC 8705, 3.
        """
        found = await self._holders.of(authorization)
        if found.certificate is not None and found.certificate != certificate:
            raise WrongCertificate(REFUSAL)
        return found

    def forget(self, token: str) -> None:
        """Remember nothing of a token that was revoked."""
        self._holders.forget(token_hash(token))

    async def _look_up(self, key: bytes, now: datetime) -> tuple[Principal, datetime] | None:
        async with transaction(self._engine) as db:
            found = await db.execute(_LOOK_UP, {"token_hash": key, "now": now})
            row = found.mappings().one_or_none()
        if row is None:
            return None
        # What was taken from the client since is the token's no more.
        allowed = common(readable(row["scopes"]), readable(row["registered"]))
        return Principal.of(row, allowed, row["certificate"]), row["expires_at"]
