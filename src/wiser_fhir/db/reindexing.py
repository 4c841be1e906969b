"""Finding beneficiaries by another key: every index made anew from the number sealed beside it.

As the owner role, while nothing is served: until it is done some rows are found by one key and some
by the other. A row is done by itself and the same again changes nothing, so whoever is killed
begins again.
"""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.db.blind import BlindIndex
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.sealed import CASE, CLAIM, DELIVERY, SealedColumns
from wiser_fhir.db.tables import metadata
from wiser_fhir.db.vault import data_key

_BATCH = 100  # rows in a transaction
_SEALED = "sealed_member"
_LET = text("set local app.resealing = 'on'")

Number = Callable[[Any], str | None]

# Where an index stands, and how the number is told by what is sealed beside it.
INDEXED: Final[tuple[tuple[SealedColumns, str, Number], ...]] = (
    (CASE, "mbi", lambda told: told["mbi"]),
    (CLAIM, "mbi", lambda told: told),
    (DELIVERY, "member", lambda told: told),
)


async def reindex(engine: AsyncEngine, organization_id: UUID, index: BlindIndex) -> int:
    """Make an organization's indexes with this key. How many rows had another.

    Raises CannotOpen, Unavailable.
    """
    changed = 0
    for kind, column, number in INDEXED:
        after: UUID | None = UUID(int=0)
        while after is not None:
            done, after = await _batch(engine, organization_id, index, kind, column, number, after)
            changed += done
    return changed


async def _batch(
    engine: AsyncEngine,
    organization_id: UUID,
    index: BlindIndex,
    kind: SealedColumns,
    column: str,
    number: Number,
    after: UUID,
) -> tuple[int, UUID | None]:
    """How many of the next rows changed, and the last of them; None at the end."""
    table = metadata.tables[kind.table]
    own = table.c.organization_id == organization_id
    names = [table.c[name] for name in ("id", column, _SEALED)]
    query = select(*names).where(own, table.c.id > after).order_by(table.c.id).limit(_BATCH)
    changed = 0
    async with transaction(engine, organization_id) as db:
        await db.execute(_LET)
        key = await data_key(db, organization_id)
        rows = (await db.execute(query)).mappings().all()
        for row in rows:
            told = kind.open(key, {"id": row["id"], _SEALED: row[_SEALED]})[_SEALED]
            fresh = index.of_told(number(told))
            if fresh != row[column]:
                statement = update(table).where(own, table.c.id == row["id"])
                await db.execute(statement.values({column: fresh}))
                changed += 1
    return changed, rows[-1]["id"] if rows else None
