"""A row in any table, as far as its checks allow one: for tests of who may see it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Column, Table, insert, text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.vaults import INDEX
from wiser_fhir.db.blind import MemberIndex
from wiser_fhir.db.envelope import FORMAT
from wiser_fhir.db.rotation import EVERYTHING
from wiser_fhir.db.tables import metadata

_AT = datetime(2026, 4, 7, 15, 30, tzinfo=UTC)
_OF_A_TYPE: dict[type[Any], Any] = {
    str: "x",
    int: 1,
    bool: False,
    bytes: bytes(32),
    datetime: _AT,
    date: _AT.date(),
    Decimal: Decimal(1),
    object: {},  # JSON
    MemberIndex: INDEX.of("1EG4TE5MK73"),
    list: [],
}
# Nothing that opens, and it looks like what does.
_SEALED = FORMAT + bytes(33)
_SEALED_COLUMNS = {(kind.table, column) for kind in EVERYTHING for column in kind.columns}
# Where a check wants more than a value of the type.
_SAID: dict[str, dict[str, Any]] = {
    "information_request": {
        "kind": "documents",
    },
    "peer_to_peer": {"slots": [_AT.replace(hour=h) for h in (16, 17, 18)]},
    "case_event": {"kind": "note"},
    "hook_call": {"hook": "order-sign", "line": "2.2", "status": 200, "token_use": "not-used"},
    "subscription": {"line": "2.2", "status": "active", "content": "id-only", "sealed": _SEALED},
    "attachment_delivery": {"line": "2.2", "attach_to": "preauthorization"},
    "attachment": {"kind": "file", "content": _SEALED},
    "document_check": {"state": "clear", "sha256": bytes(32)},
    "claim_line": {"number": 1, "status": "covered"},
    "prepayment_review": {
        "adr_number": "ADR00000000000001",
        "state": "documents-asked",
        "documents_due": _AT.date(),
        "due_at": datetime(2026, 4, 8, 4, 0, tzinfo=UTC),  # its end, in the East
    },
}


async def fill(superuser_engine: AsyncEngine, table: str, **values: Any) -> None:
    """Insert a row with `values`; what they do not say is anything, referring to nothing."""
    columns = metadata.tables[table]
    row = {
        column.name: _anything(column)
        for column in columns.c
        if not column.nullable and column.server_default is None and column.identity is None
    }
    known = {name: value for name, value in values.items() if name in columns.c}
    async with superuser_engine.begin() as db:
        await db.execute(text("set local session_replication_role = replica"))
        await db.execute(insert(columns).values(row | _SAID.get(table, {}) | known))


async def is_empty(superuser_engine: AsyncEngine, table: Table) -> bool:
    """Whether nobody has a row there."""
    async with superuser_engine.connect() as db:
        return await db.scalar(text(f"select exists (select from {table})")) is False  # noqa: S608


def _anything(column: Column[Any]) -> Any:
    if (column.table.name, column.name) in _SEALED_COLUMNS:
        return _SEALED
    kind = column.type.python_type
    return uuid4() if kind is UUID else _OF_A_TYPE[kind]
