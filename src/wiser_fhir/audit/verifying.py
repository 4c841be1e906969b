"""Verifying the audit trail against its seals and checkpoints, a batch at a time.

It reads as the owner role, whose policy shows it every row; no other role has one that does.
"""

import hmac
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.chain import COLUMNS, Fault, Keyring, Link, Place, Verification
from wiser_fhir.audit.checkpoints import (
    Checkpoint,
    CheckpointFolder,
    SigningKeys,
    read_checkpoint,
)
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import raw_connection

BATCH: Final = 2_000
UNSEALED_FOR: Final = timedelta(minutes=5)
_PATIENCE = 3_600.0  # seconds for one statement: a scan of all rows may take what requests may not

_AS_TEXT = frozenset({"xact_id", "detail"})
EVENT_COLUMNS: Final = ", ".join(f"a.{each}::text as {each}" if each in _AS_TEXT else f"a.{each}"
                   for each in COLUMNS)  # fmt: skip
_LINKS = f"""
select s.sequence, s.audit_id, s.mac, s.sealed_at, s.key_id, {EVENT_COLUMNS}
from audit_seal s left join audit_event a on a.id = s.audit_id
where s.sequence > $1 order by s.sequence limit $2
"""  # noqa: S608 - our own columns
_ORDER = """
select a.xact_id::text, a.id from audit_seal s join audit_event a on a.id = s.audit_id
where s.sequence = $1
"""
# The oldest row without a seal; `behind`: one that rows after it were sealed past.
_UNSEALED = """
select a.id, a.at, (a.xact_id, a.id) < ($1::text::xid8, $2::bigint) as behind
from audit_event a
where not exists (select from audit_seal s where s.audit_id = a.id)
    and ((a.xact_id, a.id) < ($1::text::xid8, $2::bigint) or a.at < $3)
order by a.xact_id, a.id limit 1
"""


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it. `notes` are no faults, but somebody may want to know."""

    sequence: int
    sealed: int
    checkpoints: int
    fault: Fault | None
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Vouched:
    """Checkpoints in the order of their sequence, compared as the chain goes by them."""

    waiting: list[Checkpoint] = field(default_factory=list)
    passed: int = 0

    def compare(self, last: Place) -> Fault | None:
        while self.waiting and self.waiting[0].sequence <= last.sequence:
            checkpoint = self.waiting.pop(0)
            same = hmac.compare_digest(checkpoint.mac, last.mac)
            if checkpoint.sequence == last.sequence and not same:
                text = f"a checkpoint of {checkpoint.at.isoformat()} vouches for another chain"
                return Fault("rewritten", last.sequence, None, text)
            self.passed += 1
        return None

    def beyond(self, last: Place) -> Fault | None:
        if not self.waiting:
            return None
        furthest = self.waiting[-1]
        text = (
            f"the chain ends here, and a checkpoint of {furthest.at.isoformat()} vouches for"
            f" sequence {furthest.sequence}"
        )
        return Fault("truncated", last.sequence + 1, None, text)


@dataclass(frozen=True, slots=True)
class Verifier:
    """Goes over the whole trail. `folder` and `signers` are None where there are no checkpoints."""

    engine: AsyncEngine
    keys: Keyring
    clock: Clock
    folder: CheckpointFolder | None = None
    signers: SigningKeys | None = None
    unsealed_for: timedelta = UNSEALED_FOR
    batch: int = BATCH

    async def verify(self, start: Path | None = None) -> Report:
        """The first fault from the beginning, or from a checkpoint's file.

        Raises Unavailable, ValueError for a `start` that is no checkpoint of ours.
        """
        vouched, notes, fault = self._checkpoints()
        async with raw_connection(self.engine) as connection, connection.transaction():
            await connection.execute("set local statement_timeout = 0")
            first = await self._start(connection, start)
            vouched.waiting = [each for each in vouched.waiting if each.sequence > first.sequence]
            chain = Verification(self.keys, first)
            found = await self._follow(connection, chain, vouched)
            found = found or vouched.beyond(chain.last)
            found = found or await self._unsealed(connection, chain.last) or fault
        sealed = chain.last.sequence - first.sequence
        return Report(chain.last.sequence, sealed, vouched.passed, found, tuple(notes))

    async def _follow(
        self, connection: asyncpg.Connection, chain: Verification, vouched: _Vouched
    ) -> Fault | None:
        async for link in self._links(connection, chain.last.sequence):
            fault = chain.follow(link) or vouched.compare(chain.last)
            if fault is not None:
                return fault
        return chain.end()

    async def _links(self, connection: asyncpg.Connection, after: int) -> AsyncIterator[Link]:
        statement = await connection.prepare(_LINKS)
        while rows := await statement.fetch(after, self.batch, timeout=_PATIENCE):
            for row in rows:
                yield _link(row)
            after = rows[-1]["sequence"]

    async def _start(self, connection: asyncpg.Connection, start: Path | None) -> Place:
        if start is None:
            return Place()
        if self.signers is None:
            raise ValueError("a checkpoint cannot be checked without the key that signed it")
        checkpoint = read_checkpoint(start, self.signers)
        if checkpoint is None:
            raise ValueError(f"{start.name} is empty")
        age = self.keys.age(checkpoint.key_id)
        if age is None:
            raise ValueError(f"{start.name} is of key {checkpoint.key_id}, which is none of ours")
        row = await connection.fetchrow(_ORDER, checkpoint.sequence)
        order = (int(row["xact_id"]), int(row["id"])) if row else (0, 0)
        return Place(checkpoint.sequence, checkpoint.mac, age, order)

    async def _unsealed(self, connection: asyncpg.Connection, last: Place) -> Fault | None:
        transaction, audit_id = last.order
        asked = (str(transaction), audit_id, self.clock() - self.unsealed_for)
        row = await connection.fetchrow(_UNSEALED, *asked, timeout=_PATIENCE)
        if row is None:
            return None
        if row["behind"]:
            text = "a row without a seal, where all rows are sealed"
            return Fault("inserted", None, row["id"], text)
        text = f"not sealed since {row['at'].isoformat()}: is the worker running?"
        return Fault("unsealed", last.sequence + 1, row["id"], text)

    def _checkpoints(self) -> tuple[_Vouched, list[str], Fault | None]:
        if self.folder is None or self.signers is None:
            return _Vouched(), ["no checkpoints: what was cut off the end is not seen"], None
        found, notes, fault = _Vouched(), [], None
        for file, read in _read_all(self.folder, self.signers):
            if isinstance(read, Checkpoint):
                found.waiting.append(read)
            elif read is None:
                notes.append(f"checkpoint {file.name} is empty and vouches for nothing")
            else:
                fault = fault or Fault("checkpoint", None, None, f"{file.name} {read}")
        if not found.waiting and fault is None:
            notes.append("no checkpoint yet: what was cut off the end is not seen")
        return found, notes, fault


def _read_all(
    folder: CheckpointFolder, signers: SigningKeys
) -> Iterator[tuple[Path, Checkpoint | str | None]]:
    for file in folder.files():
        try:
            yield file, read_checkpoint(file, signers)
        except (ValueError, OSError) as fault:
            yield file, str(fault)


def _link(row: asyncpg.Record) -> Link:
    return Link(
        sequence=row["sequence"],
        audit_id=row["audit_id"],
        mac=row["mac"],
        sealed_at=row["sealed_at"],
        key_id=row["key_id"],
        row=None if row["id"] is None else row,
    )
