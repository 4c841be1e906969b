"""Verifying the audit trail against its seals and checkpoints, a batch at a time.

It reads as the owner role, whose policy shows it every row; no other role has one that does.
"""

import hmac
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
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
# The worker writes a checkpoint every hour, and one more at its end.
UNVOUCHED_FOR: Final = timedelta(hours=2)
_PATIENCE = 3_600.0  # seconds for one statement: a scan of all rows may take what requests may not

_AS_TEXT = frozenset({"xact_id", "detail"})
EVENT_COLUMNS: Final = ", ".join(f"a.{each}::text as {each}" if each in _AS_TEXT else f"a.{each}"
                   for each in COLUMNS)  # fmt: skip
_LINKS = f"""
select s.sequence, s.audit_id, s.mac, s.sealed_at, s.key_id, {EVENT_COLUMNS}
from audit_seal s left join audit_event a on a.id = s.audit_id
where s.sequence > $1 order by s.sequence limit $2
"""  # noqa: S608 - our own columns
_SEAL = """
select s.mac, a.xact_id::text, a.id
from audit_seal s left join audit_event a on a.id = s.audit_id
where s.sequence = $1
"""
# The first of those that no checkpoint vouches for, so the oldest.
_BEYOND = "select sequence, sealed_at from audit_seal where sequence > $1 order by sequence limit 1"
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
    """Checkpoints in the order of their sequence, compared as the chain goes by them.

    `newest` is the last sequence that one of them vouches for, None without a folder of them.
    """

    waiting: list[Checkpoint] = field(default_factory=list)
    newest: int | None = None
    passed: int = 0

    def compare(self, last: Place) -> Fault | None:
        while self.waiting and self.waiting[0].sequence <= last.sequence:
            checkpoint = self.waiting.pop(0)
            same = hmac.compare_digest(checkpoint.mac, last.mac)
            if checkpoint.sequence == last.sequence and not same:
                return _rewritten(checkpoint)
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
        now, begun = self.clock(), self._begun(start)
        since = 0 if begun is None else begun[0].sequence
        vouched, notes, fault = self._checkpoints(since)
        async with raw_connection(self.engine) as connection, connection.transaction():
            await connection.execute("set local statement_timeout = 0")
            first = Place() if begun is None else await _behind(connection, *begun)
            if isinstance(first, Fault):
                return Report(since, 0, 0, first, tuple(notes))
            chain = Verification(self.keys, first)
            found = await self._follow(connection, chain, vouched)
            found = found or vouched.beyond(chain.last)
            found = found or await self._unsealed(connection, chain.last, now) or fault
            found = found or await self._unvouched(connection, vouched.newest, since, now)
        sealed = chain.last.sequence - since
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

    def _begun(self, start: Path | None) -> tuple[Checkpoint, int] | None:
        """The checkpoint to begin behind, and the place of its key among ours."""
        if start is None:
            return None
        if self.signers is None:
            raise ValueError("a checkpoint cannot be checked without the key that signed it")
        checkpoint = read_checkpoint(start, self.signers)
        if checkpoint is None:
            raise ValueError(f"{start.name} is empty")
        age = self.keys.age(checkpoint.key_id)
        if age is None:
            raise ValueError(f"{start.name} is of key {checkpoint.key_id}, which is none of ours")
        return checkpoint, age

    async def _unsealed(
        self, connection: asyncpg.Connection, last: Place, now: datetime
    ) -> Fault | None:
        transaction, audit_id = last.order
        asked = (str(transaction), audit_id, now - self.unsealed_for)
        row = await connection.fetchrow(_UNSEALED, *asked, timeout=_PATIENCE)
        if row is None:
            return None
        if row["behind"]:
            text = "a row without a seal, where all rows are sealed"
            return Fault("inserted", None, row["id"], text)
        text = f"not sealed since {row['at'].isoformat()}: is the worker running?"
        return Fault("unsealed", last.sequence + 1, row["id"], text)

    async def _unvouched(
        self, connection: asyncpg.Connection, newest: int | None, since: int, now: datetime
    ) -> Fault | None:
        """A seal that a checkpoint ought to vouch for by its age, and none does."""
        if newest is None:
            return None
        row = await connection.fetchrow(_BEYOND, max(newest, since))
        if row is None or row["sealed_at"] > now - UNVOUCHED_FOR:
            return None
        text = f"sealed at {row['sealed_at'].isoformat()}, and no checkpoint vouches for it"
        return Fault("checkpoint", row["sequence"], None, text)

    def _checkpoints(self, since: int) -> tuple[_Vouched, list[str], Fault | None]:
        """Those behind a sequence, and the first fault of the folder they are in."""
        if self.folder is None:
            return _Vouched(), ["no checkpoints: what was cut off the end is not seen"], None
        found, notes, fault = _Vouched(newest=0), [], None
        files = self.folder.files()
        for file, read in _read_all(files, self.signers or SigningKeys(None, ())):
            if isinstance(read, Checkpoint):
                found.waiting.append(read)
                found.newest = read.sequence
            elif read is None:
                notes.append(f"{file.name} is empty and vouches for nothing; the next counts on it")
            else:
                fault = fault or Fault("checkpoint", None, None, f"{file.name} {read}")
        if not found.waiting and fault is None:
            notes.append("no checkpoint yet: what was cut off the end is not seen")
        found.waiting = [each for each in found.waiting if each.sequence > since]
        return found, notes, fault or _missing(found.waiting, files, since)


async def _behind(
    connection: asyncpg.Connection, checkpoint: Checkpoint, age: int
) -> Place | Fault:
    """Where a chain goes on behind a checkpoint, if it still is the one it vouches for."""
    row = await connection.fetchrow(_SEAL, checkpoint.sequence)
    if row is None:
        text = f"not there, and a checkpoint of {checkpoint.at.isoformat()} vouches for it"
        return Fault("truncated", checkpoint.sequence, None, text)
    if not hmac.compare_digest(checkpoint.mac, row["mac"]):
        return _rewritten(checkpoint)
    order = (0, 0) if row["id"] is None else (int(row["xact_id"]), int(row["id"]))
    return Place(checkpoint.sequence, checkpoint.mac, age, order)


def _rewritten(checkpoint: Checkpoint) -> Fault:
    text = f"a checkpoint of {checkpoint.at.isoformat()} vouches for another chain"
    return Fault("rewritten", checkpoint.sequence, None, text)


def _missing(checkpoints: list[Checkpoint], files: list[Path], since: int) -> Fault | None:
    """A checkpoint whose file is gone: by its count the next one tells where it was."""
    there = {since, *(int(file.stem) for file in files)}
    for each in checkpoints:
        before = each.sequence - each.count
        if before >= since and before not in there:
            text = f"the one of {each.at.isoformat()} follows another that is not there"
            return Fault("checkpoint", before, None, text)
    return None


def _read_all(
    files: list[Path], signers: SigningKeys
) -> Iterator[tuple[Path, Checkpoint | str | None]]:
    for file in files:
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
