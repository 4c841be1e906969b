"""Certificates that an operator has taken back, held in memory by every process that serves.

A list of an authority (CRL) holds for new connections; this one for the next request on any.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.db.engine import transaction
from wiser_fhir.db.oauth import revoked_certificate
from wiser_fhir.errors import Unavailable

# Of the list. A process reads it every second; one that cannot does not go on from memory.
OLDEST_SECONDS = 10.0

_ALL = select(revoked_certificate.c.thumbprint)


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
