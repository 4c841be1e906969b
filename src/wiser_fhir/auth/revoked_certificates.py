"""Certificates that are taken no longer, whatever their issuer says: kept by an operator, as the
owner role, and held in memory by every process that serves.

A list of an authority (CRL) holds for new connections; this one for the next request on any.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.auth.tokens import end_bound_to
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.oauth import revoked_certificate
from wiser_fhir.errors import NotFound, Unavailable

# Of the list. A process reads it every second; one that cannot does not go on from memory.
OLDEST_SECONDS = 10.0

_ALL = select(revoked_certificate.c.thumbprint)

_INSERT = text("""
insert into revoked_certificate (thumbprint, revoked_at, reason)
values (:thumbprint, :now, :reason) on conflict do nothing
""")

_DELETE = text("delete from revoked_certificate where thumbprint = :thumbprint")
_LIST = text(
    "select thumbprint, revoked_at, reason from revoked_certificate order by revoked_at, 1"
)


@dataclass(frozen=True, slots=True)
class Revoked:
    """A certificate on the list, by its `x5t#S256`."""

    thumbprint: str
    revoked_at: datetime
    reason: str


async def revoke(db: AsyncConnection, thumbprint: str, reason: str, now: datetime) -> int:
    """Take a certificate no longer and end the tokens bound to it; how many those were.

    Raises RegistrationRefused.
    """
    if not any(map(str.isalnum, reason)):
        raise RegistrationRefused("say why the certificate is taken no longer")
    row = {"thumbprint": thumbprint, "reason": reason, "now": now}
    if (await db.execute(_INSERT, row)).rowcount == 0:
        raise RegistrationRefused("it is on the list already")
    return await end_bound_to(db, thumbprint, now)


async def unrevoke(db: AsyncConnection, thumbprint: str) -> None:
    """Take a certificate again. Raises NotFound."""
    if (await db.execute(_DELETE, {"thumbprint": thumbprint})).rowcount == 0:
        raise NotFound("certificate on the list")


async def listed(db: AsyncConnection) -> list[Revoked]:
    """The whole list, oldest first."""
    return [Revoked(*row) for row in await db.execute(_LIST)]


@dataclass
class RevokedCertificates:
    """The list of the database, as thumbprints. Nothing can be told before the first refresh."""

    engine: AsyncEngine
    seconds: Callable[[], float] = monotonic
    _thumbprints: frozenset[str] = field(default_factory=frozenset, init=False)
    _read_at: float | None = field(default=None, init=False)

    async def refresh(self) -> int:
        """Read the list. Always 0: there is never more to do. Raises Unavailable."""
        begun = self.seconds()
        async with transaction(self.engine) as db:
            self._thumbprints = frozenset((await db.execute(_ALL)).scalars())
        self._read_at = begun
        return 0

    def names(self, thumbprint: str) -> bool:
        """Whether a certificate is on the list. Raises Unavailable if the list is too old."""
        if self._read_at is None or self.seconds() - self._read_at > OLDEST_SECONDS:
            raise Unavailable("The list of revoked certificates cannot be read.")
        return thumbprint in self._thumbprints
