"""Reading the audit trail, as an auditor, by the one gate that there is for it.

The application role has no right to read the trail. `gate.audit_trail` shows rows to a person whom
the list of people calls an auditor, and leaves a row about it in the same call; nothing of it can
be had without.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
from sqlalchemy import DateTime, LargeBinary, RowMapping, Text, bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.recorder import hashed_patient
from wiser_fhir.audit.vocabulary import Act, failing, verbs_of
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import NotFound

LARGEST_PAGE: Final = 500

_instant = DateTime(timezone=True)
_TRAIL = text("""
select * from gate.audit_trail(:reader, :request_id, :wanted_id, :from_at, :before_at, :patients,
    :agent, :action, :verbs, :but_verbs, :ended, :failing, :entity, :before_id, :at_most)
""").bindparams(
    bindparam("from_at", type_=_instant),
    bindparam("before_at", type_=_instant),
    bindparam("patients", type_=ARRAY(LargeBinary)),
    bindparam("verbs", type_=ARRAY(Text)),
    bindparam("but_verbs", type_=ARRAY(Text)),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events; None asks for none in particular. `before_at` is not included.

    `patients` are hashes of one beneficiary, one for each key. `agent` is a client or a person,
    `ended` FHIR's code for how it ended, `entity` the id of what an event is about.
    """

    from_at: datetime | None = None
    before_at: datetime | None = None
    patients: tuple[bytes, ...] | None = None
    agent: UUID | None = None
    act: Act | None = None
    action: str | None = None
    ended: str | None = None
    entity: str | None = None


@dataclass(frozen=True, slots=True)
class TrailRow:
    """An event as it was written."""

    id: int
    at: datetime
    request_id: UUID
    action: str
    outcome: str
    organization_id: UUID | None = None
    client_id: UUID | None = None
    person_id: UUID | None = None
    object_kind: str | None = None
    object_id: str | None = None
    patient: bytes | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TrailPage:
    """Some events, newest first, and behind which id the next page begins, if there is one."""

    rows: tuple[TrailRow, ...]
    next: int | None


@dataclass(frozen=True, slots=True)
class AuditTrail:
    """The trail as auditors see it. `keys` are the audit key and those before it."""

    engine: AsyncEngine
    keys: Sequence[bytes] = field(repr=False)

    def patients(self, mbi: str) -> tuple[bytes, ...]:
        """What may stand for a beneficiary, by whichever key it was written."""
        return tuple(hashed_patient(key, mbi) for key in self.keys)

    async def page(
        self, reader: UUID, request_id: UUID, wanted: Wanted, size: int, before_id: int | None
    ) -> TrailPage:
        """The newest `size` events, or those before an id. Raises Unavailable."""
        size = min(size, LARGEST_PAGE)
        rows = await self._rows(reader, request_id, wanted, size + 1, before_id=before_id)
        shown = rows[:size]
        return TrailPage(shown, shown[-1].id if len(rows) > size else None)

    async def one(self, reader: UUID, request_id: UUID, audit_id: int) -> TrailRow:
        """An event. Raises NotFound, Unavailable."""
        rows = await self._rows(reader, request_id, Wanted(), 1, wanted_id=audit_id)
        if not rows:
            raise NotFound("AuditEvent")
        return rows[0]

    async def _rows(
        self,
        reader: UUID,
        request_id: UUID,
        wanted: Wanted,
        at_most: int,
        *,
        wanted_id: int | None = None,
        before_id: int | None = None,
    ) -> tuple[TrailRow, ...]:
        verbs, but_verbs = (None, None) if wanted.act is None else verbs_of(wanted.act)
        asked = {
            "reader": reader,
            "request_id": request_id,
            "wanted_id": wanted_id,
            "from_at": wanted.from_at,
            "before_at": wanted.before_at,
            "patients": None if wanted.patients is None else list(wanted.patients),
            "agent": wanted.agent,
            "action": wanted.action,
            "verbs": verbs,
            "but_verbs": but_verbs,
            "ended": wanted.ended,
            "failing": failing(),
            "entity": wanted.entity,
            "before_id": before_id,
            "at_most": at_most,
        }
        async with transaction(self.engine) as db:
            found = await db.execute(_TRAIL, asked)
            return tuple(_row(each._mapping) for each in found)


def _row(row: RowMapping) -> TrailRow:
    named = {name: row[name] for name in TrailRow.__slots__ if name in row}
    return TrailRow(**named | {"request_id": row["request"], "detail": orjson.loads(row["detail"])})
