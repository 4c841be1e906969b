"""Handing the trail to somebody else: rows with their seals, or AuditEvents.

A line of a sealed row holds, as one text, the JSON that its seal covers, byte for byte, and beside
it the seal. So whoever has the chain's key needs nothing else of ours to verify it: the mac is the
HMAC of the mac before and that text. What is not sealed yet is not handed out so; AuditEvents are
for reading, and show what there is.

Rows are sealed in the order of their transactions, which is not quite that of their time: sealed
ones are written without a gap from the first of the days to the last, whatever lies between.
"""

from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from errno import EEXIST
from os import fsync, strerror
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO, Any, Final
from uuid import uuid4

import asyncpg
import orjson
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.audit_event import AuditEvents
from wiser_fhir.audit.chain import GENESIS, canonical
from wiser_fhir.audit.recorder import AuditRow, Detail, write
from wiser_fhir.audit.trail import TrailRow
from wiser_fhir.audit.verifying import EVENT_COLUMNS
from wiser_fhir.db.engine import raw_connection, transaction

BATCH: Final = 2_000

_SEALED = f"""
with span as materialized (
    select min(s.sequence) as first, max(s.sequence) as last
    from audit_event a join audit_seal s on s.audit_id = a.id
    where a.at >= $1 and a.at < $2)
select s.sequence as place, s.mac, s.sealed_at, s.key_id, b.mac as before, {EVENT_COLUMNS}
from span join audit_seal s on s.sequence between span.first and span.last
join audit_event a on a.id = s.audit_id
left join audit_seal b on b.sequence = s.sequence - 1
order by s.sequence
"""  # noqa: S608 - our own columns
_PLAIN = f"""
select {EVENT_COLUMNS} from audit_event a where a.at >= $1 and a.at < $2 order by a.id
"""  # noqa: S608 - our own columns
_PATIENCE = 3_600.0  # seconds for a batch: the first waits until all are in order


@dataclass(frozen=True, slots=True)
class Export:
    """Writes events as the owner role. `origin` is what the ids of AuditEvents belong to."""

    engine: AsyncEngine
    origin: str

    async def write(self, first: datetime, end: datetime, out: Path, *, fhir: bool) -> int:
        """Write all events from an instant to before another; how many they were.

        That it was begun is on the trail before the first line. Raises Unavailable, OSError,
        FileExistsError for a file that is there.
        """
        with _whole(out) as file:
            return await self._write(first, end, file, fhir=fhir)

    async def _write(self, first: datetime, end: datetime, file: IO[bytes], *, fhir: bool) -> int:
        span: Detail = {"from": first.isoformat(), "before": end.isoformat(), "fhir": fhir}
        async with transaction(self.engine) as db:
            await write(db, AuditRow(uuid4(), "audit.export", "begun", detail=span))
        count = 0
        async with aclosing(self._rows(_PLAIN if fhir else _SEALED, first, end)) as rows:
            async for row in rows:
                file.write((self._event(row) if fhir else _sealed(row)) + b"\n")
                count += 1
        return count

    async def _rows(
        self, query: str, first: datetime, end: datetime
    ) -> AsyncGenerator[asyncpg.Record, None]:
        async with raw_connection(self.engine) as connection, connection.transaction():
            await connection.execute("set local statement_timeout = 0")
            await connection.execute("set local idle_in_transaction_session_timeout = 0")
            cursor = connection.cursor(query, first, end, prefetch=BATCH, timeout=_PATIENCE)
            async for row in cursor:
                yield row

    def _event(self, row: asyncpg.Record) -> bytes:
        named: dict[str, Any] = {name: row[name] for name in TrailRow.__slots__}
        detail = orjson.loads(row["detail"])
        return orjson.dumps(AuditEvents(self.origin).of(TrailRow(**named | {"detail": detail})))


@contextmanager
def _whole(out: Path) -> Iterator[IO[bytes]]:
    """A file that has its name once all of it is written; what was begun and failed goes."""
    _refuse(out)
    with NamedTemporaryFile(
        dir=out.parent, prefix=f"{out.name}.", suffix=".part", delete=False
    ) as file:
        try:
            yield file
            file.flush()
            fsync(file.fileno())
            _refuse(out)
            Path(file.name).rename(out)
        finally:
            Path(file.name).unlink(missing_ok=True)


def _refuse(out: Path) -> None:
    if out.exists():
        raise FileExistsError(EEXIST, strerror(EEXIST), str(out))


def _sealed(row: asyncpg.Record) -> bytes:
    covered = canonical(row, row["place"], row["sealed_at"], row["key_id"])
    line = {
        "sequence": row["place"],
        "key": row["key_id"],
        "before": (row["before"] or GENESIS).hex(),
        "covered": covered.decode(),
        "mac": row["mac"].hex(),
    }
    return orjson.dumps(line)
