"""Sealing the audit trail, as a job of the worker.

Rows are sealed in the order of their transactions, and only those of transactions that no running
one can come before any more. So a row that is committed late is sealed late, and none is passed
over. What is left after a kill is what is not sealed yet: one transaction holds a batch.

The worker reads rows by a gate (`gate.audit_unsealed`), not by a right of its own role. A role for
the sealer alone would be one more password and one more process for the same machine; a SELECT for
the application role would show whoever takes the server over the whole trail. By the gate such a
one sees what was written in the last seconds, ids and words only, and can put down seals that do
not fit, which the verifier names; it can change, leave out or read back nothing. The key never
reaches the database, so nobody there can make a seal that fits.

Until a checkpoint vouches for it, the end of the chain is known to the sealers that run: each
remembers how far it has seen it, and seals nothing behind a chain that was cut since.
"""

import hmac
import logging
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.chain import GENESIS, Keyring, canonical
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import raw_connection

log = logging.getLogger(__name__)

BATCH: Final = 1_000
# Beyond this somebody is told: the sealer runs every second.
LAG_SECONDS: Final = 5.0

# The sealers of several workers take turns by it; nobody waits.
_TURN = "select pg_try_advisory_xact_lock(1463898949)"
_HEAD = "select * from gate.audit_head()"
_UNSEALED = "select * from gate.audit_unsealed($1)"
_SEAL = "select gate.audit_seal($1, $2, $3, $4)"
# What the database will write down for when it was sealed: the same for a whole transaction.
_NOW = "select now()"


@dataclass(frozen=True, slots=True)
class Head:
    """The last seal, and since when something waits for the next."""

    sequence: int
    mac: bytes
    key_id: str | None
    unsealed_since: datetime | None

    def lag(self, now: datetime) -> float:
        """For how many seconds the oldest row that is not sealed has waited."""
        if self.unsealed_since is None:
            return 0.0
        return max(0.0, (now - self.unsealed_since).total_seconds())


async def head(connection: asyncpg.Connection) -> Head:
    """The end of the chain."""
    row = await connection.fetchrow(_HEAD)
    assert row is not None  # noqa: S101 - the function answers with one row, always
    return Head(row["sequence"], row["mac"] or GENESIS, row["key_id"], row["unsealed_since"])


async def head_of(engine: AsyncEngine) -> Head:
    """The end of the chain. Raises Unavailable."""
    async with raw_connection(engine) as connection:
        return await head(connection)


@dataclass(slots=True)
class Seen:
    """How far the chain was seen, and whether it was cut since: that stays so, though it may have
    grown again by the next look."""

    sequence: int = 0
    mac: bytes = GENESIS
    cut: bool = False

    def is_cut(self, end: Head) -> bool:
        """Whether the chain ends before what was seen of it, or ended otherwise."""
        same = hmac.compare_digest(end.mac, self.mac)
        other = end.sequence == self.sequence and not same
        self.cut = self.cut or other or end.sequence < self.sequence
        return self.cut

    def reach(self, sequence: int, mac: bytes) -> None:
        """It was seen to end here. Who comes late with that may tell of less."""
        if sequence > self.sequence:
            self.sequence, self.mac = sequence, mac


@dataclass(frozen=True, slots=True)
class TrailSealer:
    """Seals what is final and not sealed yet, a batch at a time.

    Behind a key that is not in `keys` it seals nothing: while keys are changed a worker that has
    not heard of the new one must not go on with the old, which would be a forged seal for ever.
    Nor does it where the chain was cut behind what it has seen, until it is started anew: it would
    grow over the cut.
    """

    engine: AsyncEngine
    keys: Keyring
    clock: Clock
    batch: int = BATCH
    seen: Seen = field(default_factory=Seen)

    async def __call__(self) -> int:
        """How many rows were sealed. Raises Unavailable."""
        async with raw_connection(self.engine) as connection, connection.transaction():
            if not await connection.fetchval(_TURN):
                return 0
            end = await head(connection)
            if end.lag(self.clock()) > LAG_SECONDS:
                log.warning("audit trail waits for its seal", extra={"ms": self._waited(end)})
            if self.seen.is_cut(end):
                log.error("audit trail was cut", extra={"count": end.sequence})
                return 0
            if end.key_id is not None and self.keys.age(end.key_id) is None:
                log.error("audit trail is sealed by an unknown key", extra={"count": end.sequence})
                return 0
            rows = await connection.fetch(_UNSEALED, self.batch)
            mac = await self._seal(connection, end, rows) if rows else end.mac
        # It is committed: what is rolled back was never there to be cut.
        self.seen.reach(end.sequence + len(rows), mac)
        return len(rows)

    async def _seal(
        self, connection: asyncpg.Connection, end: Head, rows: list[asyncpg.Record]
    ) -> bytes:
        """The end of the chain then."""
        key, now = self.keys.current, await connection.fetchval(_NOW)
        mac, macs = end.mac, []
        for sequence, row in enumerate(rows, end.sequence + 1):
            mac = key.mac(mac, canonical(row, sequence, now, key.id))
            macs.append(mac)
        ids = [row["id"] for row in rows]
        await connection.execute(_SEAL, end.sequence, ids, macs, key.id)
        if end.key_id not in (None, key.id):
            log.warning("audit trail sealed by a new key", extra={"count": end.sequence + 1})
        return mac

    def _waited(self, end: Head) -> int:
        return round(end.lag(self.clock()) * 1000)
