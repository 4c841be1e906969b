"""People who sign in: who they are, what they may do, and the bearer token they call with."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.auth.bearer import Holders, new_token, token_hash
from wiser_fhir.auth.ended import delete_ended
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import NotFound

CLINICIAN: Final = "clinician"
COORDINATOR: Final = "coordinator"
AUDITOR: Final = "auditor"
OPERATIONS: Final = "operations"
PROVIDER_OPERATOR: Final = "provider-operator"
PROVIDER_ADMIN: Final = "provider-admin"
# Of the participant, those of them who see cases, and of providers: nobody is of both.
STAFF: Final = (CLINICIAN, COORDINATOR, AUDITOR, OPERATIONS)
VIEWERS: Final = (CLINICIAN, COORDINATOR, AUDITOR)
OF_PROVIDERS: Final = (PROVIDER_OPERATOR, PROVIDER_ADMIN)
ROLES: Final = (*STAFF, *OF_PROVIDERS)

_PERSON = text("select id from person where name = :name and active")

_INSERT = text("""
insert into person_token (token_hash, person_id, issued_at, expires_at)
values (:token_hash, :person_id, :issued_at, :expires_at)
""")

_LOOK_UP = text("""
select t.expires_at, least(t.issued_at, :now) as signed_in_at, p.id, p.name, p.roles, p.npi,
    p.specialty, p.organizations, p.licence_expires
from person_token t join person p on p.id = t.person_id
where t.token_hash = :token_hash and t.expires_at > :now and t.revoked_at is null and p.active
""")

_PURGE = delete_ended("person_token")


@dataclass(frozen=True, slots=True)
class Reviewer:
    """A person at the review door.

    `organizations` are those that the person belongs to: of their cases it sees and decides none.
    `licence_expires` is the last day of the licence, None for somebody without one. `signed_in_at`
    is when the person last showed who it is, None for somebody who is only spoken of.
    """

    person_id: UUID
    name: str
    roles: frozenset[str]
    npi: str | None
    specialty: str | None
    organizations: frozenset[UUID]
    licence_expires: date | None
    signed_in_at: datetime | None = None

    def may(self, *roles: str) -> bool:
        """Whether the person has one of these roles."""
        return not self.roles.isdisjoint(roles)

    def licensed(self, on: date) -> bool:
        """Whether the licence is in force on a day."""
        return self.licence_expires is not None and on <= self.licence_expires

    def signed_in_since(self, earliest: datetime) -> bool:
        """Whether the person has shown who it is at an instant or after it."""
        return self.signed_in_at is not None and self.signed_in_at >= earliest


@dataclass(frozen=True, slots=True)
class IssuedPersonToken:
    """A new token. `token` is shown once and stored nowhere."""

    token: str = field(repr=False)
    person_id: UUID
    expires_at: datetime


async def issue_person_token(
    db: AsyncConnection, name: str, ttl: timedelta, now: datetime
) -> IssuedPersonToken:
    """A token for the person of this name. Raises NotFound for one unknown or out of use."""
    person_id = await db.scalar(_PERSON, {"name": name})
    if person_id is None:
        raise NotFound("person")
    issued = IssuedPersonToken(new_token(), person_id, now + ttl)
    row = {
        "token_hash": token_hash(issued.token),
        "person_id": person_id,
        "issued_at": now,
        "expires_at": issued.expires_at,
    }
    await db.execute(_INSERT, row)
    return issued


async def purge(db: AsyncConnection, before: datetime) -> int:
    """Delete tokens that ended before an instant, AT_ONCE at most; the owner role may. How many."""
    return (await db.execute(_PURGE, {"before": before})).rowcount


class PersonAuthenticator:
    """From an Authorization header to a reviewer, as `Holders` remembers it.

    Roles and licence are the person's of now, not those of the token's making.
    """

    def __init__(
        self, engine: AsyncEngine, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._engine = engine
        self._holders = Holders(self._look_up, clock, monotonic)

    async def reviewer(self, authorization: Sequence[str]) -> Reviewer:
        """Who calls, by all Authorization headers of a request.

        Raises Unauthenticated, Unavailable.
        """
        return await self._holders.of(authorization)

    async def _look_up(self, key: bytes, now: datetime) -> tuple[Reviewer, datetime] | None:
        async with transaction(self._engine) as db:
            found = await db.execute(_LOOK_UP, {"token_hash": key, "now": now})
            row = found.mappings().one_or_none()
        return None if row is None else (reviewer_of(row), row["expires_at"])


def reviewer_of(row: RowMapping) -> Reviewer:
    """Who signed in, from the columns of a person and `signed_in_at`."""
    return Reviewer(
        person_id=row["id"],
        name=row["name"],
        roles=frozenset(row["roles"]),
        npi=row["npi"],
        specialty=row["specialty"],
        organizations=frozenset(row["organizations"]),
        licence_expires=row["licence_expires"],
        signed_in_at=row["signed_in_at"],
    )
