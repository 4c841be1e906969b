"""The audit trail: who did what to whose data, kept even when the request is refused.

An act's row is written in the act's own transaction, a refusal's in one of its own before the
answer leaves. Rows hold ids and words of ours, never a name, a body or a token; a beneficiary is
the keyed HMAC of the MBI.

Source: 45 CFR 164.312(b).
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.db.engine import raw_connection

_INSERT = text("""
insert into audit_event
    (organization_id, client_id, request_id, action, outcome, object_kind, object_id, patient,
     detail, person_id)
values (:organization_id, :client_id, :request_id, :action, :outcome, :object_kind, :object_id,
    :patient, cast(:detail as jsonb), :person_id)
""")

# One trip for a row in a transaction of its own: the organization it is entered for lasts as long.
_RECORD = """
insert into audit_event
    (organization_id, client_id, request_id, action, outcome, object_kind, object_id, patient,
     detail, person_id)
select nullif(entered.organization, '')::uuid, $2, $3, $4, $5, $6, $7, $8, $9::text::jsonb, $10
from (select set_config('app.organization', $1, true) as organization) entered
"""

_NOT_A_WORD = re.compile("[^A-Za-z0-9._:/|@+-]")
_LONGEST = 200

Detail = Mapping[str, str | int | bool | None]


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One event. `action` and `outcome` are words of ours such as `claim.submit`, `affirmed`."""

    request_id: UUID
    action: str
    outcome: str
    organization_id: UUID | None = None
    client_id: UUID | None = None
    object_kind: str | None = None
    object_id: str | None = None
    patient: bytes | None = None
    detail: Detail = field(default_factory=dict)
    person_id: UUID | None = None

    def values(self) -> dict[str, Any]:
        """The row as parameters of an insert; `detail` as JSON text."""
        return {
            "organization_id": self.organization_id,
            "client_id": self.client_id,
            "request_id": self.request_id,
            "action": self.action,
            "outcome": self.outcome,
            "object_kind": self.object_kind,
            "object_id": self.object_id,
            "patient": self.patient,
            "detail": orjson.dumps({k: _plain(v) for k, v in self.detail.items()}).decode(),
            "person_id": self.person_id,
        }


def _plain(value: str | int | bool | None) -> str | int | bool | None:
    """Text reduced to what no sentence about a person can be written in."""
    return _NOT_A_WORD.sub("-", value)[:_LONGEST] if isinstance(value, str) else value


def took(started: datetime, ended: datetime) -> int:
    """How long something took, in milliseconds; never less than none."""
    return max(0, round((ended - started).total_seconds() * 1000))


async def write(db: AsyncConnection, row: AuditRow) -> None:
    """Add a row inside the act's own transaction, which is the row's organization's or nobody's."""
    await db.execute(_INSERT, row.values())


def hashed_patient(key: bytes, mbi: str) -> bytes:
    """What stands for a beneficiary, however the number is written: HMAC-SHA256."""
    normal = mbi.strip().replace("-", "").upper()
    return hmac.digest(key, normal.encode(), "sha256")


@dataclass(frozen=True, slots=True)
class Recorder:
    """Where refusals are recorded, and how a beneficiary is named in the trail."""

    engine: AsyncEngine
    key: bytes = field(repr=False)

    def patient(self, mbi: str | None) -> bytes | None:
        """What stands for a beneficiary, if there is a number."""
        return hashed_patient(self.key, mbi) if mbi else None

    async def record(self, row: AuditRow) -> None:
        """Write a row in a transaction of its own. Whoever calls lets a failure stop the answer.

        Raises Unavailable.
        """
        values = row.values()
        organization = str(row.organization_id) if row.organization_id is not None else ""
        async with raw_connection(self.engine) as connection:
            await connection.execute(_RECORD, organization, *list(values.values())[1:])
