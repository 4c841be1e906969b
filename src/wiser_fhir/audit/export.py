"""Handing the trail to somebody else: rows with their seals, or AuditEvents.

A line of a sealed row holds, as one text, the JSON that its seal covers, byte for byte, and beside
it the seal. So whoever has the chain's key needs nothing else of ours to verify it: the mac is the
HMAC of the mac before and that text. What is not sealed yet is not handed out so; AuditEvents are
for reading, and show what there is.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
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
select s.sequence as place, s.mac, s.sealed_at, s.key_id, b.mac as before, {EVENT_COLUMNS}
from audit_event a join audit_seal s on s.audit_id = a.id
left join audit_seal b on b.sequence = s.sequence - 1
where a.at >= $1 and a.at < $2 and s.sequence > $3
order by s.sequence limit $4
"""  # noqa: S608 - our own columns
_PLAIN = f"""
select a.id as place, {EVENT_COLUMNS} from audit_event a
where a.at >= $1 and a.at < $2 and a.id > $3
order by a.id limit $4
"""  # noqa: S608 - our own columns


@dataclass(frozen=True, slots=True)
class Export:
    """Writes events as the owner role. `origin` is what the ids of AuditEvents belong to."""

    engine: AsyncEngine
    origin: str

    async def write(self, first: datetime, end: datetime, file: IO[bytes], *, fhir: bool) -> int:
        """Write all events from an instant to before another; how many they were.

        That it was begun is on the trail before the first line. Raises Unavailable, OSError.
        """
        span: Detail = {"from": first.isoformat(), "before": end.isoformat(), "fhir": fhir}
        async with transaction(self.engine) as db:
            await write(db, AuditRow(uuid4(), "audit.export", "begun", detail=span))
        count = 0
        async for row in self._rows(_PLAIN if fhir else _SEALED, first, end):
            file.write((self._event(row) if fhir else _sealed(row)) + b"\n")
            count += 1
        return count

    async def _rows(
        self, query: str, first: datetime, end: datetime
    ) -> AsyncIterator[asyncpg.Record]:
        after = 0
        async with raw_connection(self.engine) as connection:
            while rows := await connection.fetch(query, first, end, after, BATCH):
                for row in rows:
                    yield row
                after = rows[-1]["place"]

    def _event(self, row: asyncpg.Record) -> bytes:
        named: dict[str, Any] = {name: row[name] for name in TrailRow.__slots__}
        detail = orjson.loads(row["detail"])
        return orjson.dumps(AuditEvents(self.origin).of(TrailRow(**named | {"detail": detail})))


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
