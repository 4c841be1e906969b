"""Caring for data keys as the owner role: newer ones, other wrapping, sealing anew, erasing.

Nothing here stops a server. A new key is announced before anybody seals with it; a data key that is
open in a process stays so while it is wrapped anew; a row is sealed anew by itself, in a
transaction of its own batch, and only if nobody has changed it meanwhile. Whoever is killed leaves
rows that open, and begins again.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from os import urandom
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    and_,
    func,
    insert,
    literal_column,
    or_,
    select,
    text,
    tuple_,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.db.data_keys import data_key as data_key_table
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.envelope import KEY_BYTES, CannotOpen, DataKey, KeyRing, about
from wiser_fhir.db.sealed import SEALED, SealedColumns
from wiser_fhir.db.tables import metadata
from wiser_fhir.db.vault import vault_of
from wiser_fhir.errors import Conflict

BODIES: Final = (
    SealedColumns("message", ("id",), ("body",)),
    SealedColumns("hook_call", ("id",), ("request", "response")),
    SealedColumns("attachment", ("id",), ("resource", "content")),
    SealedColumns("claim", ("id",), ("request", "answer")),
    SealedColumns("subscription", ("id",), ("sealed",)),
)
EVERYTHING: Final = (*BODIES, *SEALED)
_BATCH = 100  # rows in a transaction
_TURN = text("select pg_advisory_xact_lock(1684104556, hashtext(:organization_id))")
_keys = data_key_table.c


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A data key as an operator sees it. `state` is announced, active, retired or erased."""

    number: int
    state: str
    wrapping_key: str
    created_at: datetime
    usable_from: datetime
    erased_because: str | None


async def keys_of(db: AsyncConnection, organization_id: UUID) -> list[KeyFacts]:
    """The organization's keys, the oldest first. The connection has entered it."""
    query = (
        select(data_key_table, (_keys.usable_from <= func.now()).label("usable"))
        .where(_keys.organization_id == organization_id)
        .order_by(_keys.id)
    )
    rows = (await db.execute(query)).mappings().all()
    seals = max((row["id"] for row in rows if row["usable"]), default=None)
    return [
        KeyFacts(
            number=row["id"],
            state=_state(row, seals),
            wrapping_key=row["wrapping_key"],
            created_at=row["created_at"],
            usable_from=row["usable_from"],
            erased_because=row["erased_because"],
        )
        for row in rows
    ]


def _state(row: Mapping[Any, Any], seals: int | None) -> str:
    if row["erased_at"] is not None:
        return "erased"
    if not row["usable"]:
        return "announced"
    return "active" if row["id"] == seals else "retired"


async def announce(db: AsyncConnection, organization_id: UUID) -> int:
    """Make a new data key, with which everybody seals some seconds from now. Its number.

    Raises Conflict while another is announced, and for an organization whose keys were erased.
    """
    vault = vault_of(db)
    await vault.key(db, organization_id)
    await db.execute(_TURN, {"organization_id": str(organization_id)})
    there = await keys_of(db, organization_id)
    if there[-1].state == "announced":
        raise Conflict("A new key of this organization is announced already.")
    if there[-1].state == "erased":
        raise Conflict("The keys of this organization were erased.")
    number = there[-1].number + 1
    values = {
        "organization_id": organization_id,
        "id": number,
        "wrapped": vault.ring.wrap(urandom(KEY_BYTES), organization_id, number),
        "wrapping_key": vault.ring.current,
        "usable_from": func.now() + func.make_interval(0, 0, 0, 0, 0, 0, vault.announced),
    }
    await db.execute(insert(data_key_table).values(values))
    return number


async def rewrap(db: AsyncConnection, ring: KeyRing, organization_id: UUID) -> int:
    """Wrap the organization's keys with the ring's present key. How many were not.

    Raises CannotOpen where the ring lacks the key that wrapped one.
    """
    await db.execute(_TURN, {"organization_id": str(organization_id)})
    others = select(_keys.id, _keys.wrapped, _keys.wrapping_key).where(
        _keys.organization_id == organization_id,
        _keys.wrapped.is_not(None),
        _keys.wrapping_key != ring.current,
    )
    rows = (await db.execute(others)).all()
    for number, wrapped, wrapping_key in rows:
        key = ring.unwrap(wrapped, wrapping_key, organization_id, number)
        anew = {
            "wrapped": ring.wrap(key, organization_id, number),
            "wrapping_key": ring.current,
        }
        await db.execute(update(data_key_table).where(_is(organization_id, number)).values(anew))
    return len(rows)


async def erase(db: AsyncConnection, organization_id: UUID, numbers: list[int], why: str) -> None:
    """Destroy data keys: what they sealed can be opened by nobody any more, nor from backups that
    lack them. It cannot be undone.
    """
    await db.execute(_TURN, {"organization_id": str(organization_id)})
    gone = {"wrapped": None, "erased_at": func.now(), "erased_because": why}
    for number in numbers:
        live = _is(organization_id, number) & _keys.erased_at.is_(None)
        await db.execute(update(data_key_table).where(live).values(gone))


async def sealed_by(
    db: AsyncConnection, organization_id: UUID, kind: SealedColumns, number: int
) -> int:
    """How many rows have a value that this key sealed."""
    table = metadata.tables[kind.table]
    query = select(func.count()).where(
        table.c.organization_id == organization_id,
        or_(*(_sealed_by(table.c[name]) == _int4(number) for name in kind.columns)),
    )
    return int((await db.execute(query)).scalar_one())


def _is(organization_id: UUID, number: int) -> ColumnElement[bool]:
    return and_(_keys.organization_id == organization_id, _keys.id == number)


@dataclass(frozen=True, slots=True)
class SealedRows:
    """The sealed values of one organization, read and written as the owner role."""

    engine: AsyncEngine
    organization_id: UUID

    async def reseal(self, kind: SealedColumns) -> AsyncIterator[int]:
        """Seal with the present key what an older one sealed; yields how many rows each batch had.

        Raises CannotOpen for a value that does not open: it is left as it is.
        """
        async for rows in self._batches(kind, other_than_present=True):
            done = 0
            async with transaction(self.engine, self.organization_id) as db:
                await db.execute(text("set local app.resealing = 'on'"))
                key = await vault_of(db).key(db, self.organization_id)
                for row in rows:
                    done += await self._reseal(db, key, kind, row)
            yield done

    async def check(self, kind: SealedColumns) -> AsyncIterator[tuple[str, tuple[Any, ...], bool]]:
        """Open every value: its column, the rest of its row's key, and whether it opened."""
        async for rows in self._batches(kind, other_than_present=False):
            async with transaction(self.engine, self.organization_id) as db:
                key = await vault_of(db).key(db, self.organization_id)
                for row in rows:
                    for column, value in (await self._values(db, kind, row)).items():
                        yield column, row, _opens(key, value, about(kind.table, column, *row))

    async def _batches(
        self, kind: SealedColumns, *, other_than_present: bool
    ) -> AsyncIterator[list[tuple[Any, ...]]]:
        """The keys of rows, in their order; the values are read one row after the other, for they
        may be large."""
        table = metadata.tables[kind.table]
        names = [table.c[name] for name in kind.key]
        after: tuple[Any, ...] | None = None
        while True:
            async with transaction(self.engine, self.organization_id) as db:
                query = select(*names).where(table.c.organization_id == self.organization_id)
                if other_than_present:
                    key = await vault_of(db).key(db, self.organization_id)
                    present = _int4(key.number)
                    query = query.where(
                        or_(*(_sealed_by(table.c[name]) != present for name in kind.columns))
                    )
                if after is not None:
                    query = query.where(tuple_(*names) > tuple_(*after))
                found = await db.execute(query.order_by(*names).limit(_BATCH))
                rows = [tuple(row) for row in found]
            if not rows:
                return
            yield rows
            after = rows[-1]

    async def _values(
        self, db: AsyncConnection, kind: SealedColumns, row: tuple[Any, ...]
    ) -> dict[str, bytes]:
        table = metadata.tables[kind.table]
        query = select(*(table.c[name] for name in kind.columns)).where(self._row(kind, row))
        found = (await db.execute(query)).mappings().one_or_none()
        return {str(name): value for name, value in (found or {}).items() if value is not None}

    async def _reseal(
        self, db: AsyncConnection, key: DataKey, kind: SealedColumns, row: tuple[Any, ...]
    ) -> bool:
        """Whether it was done; not where somebody has changed the row meanwhile."""
        table = metadata.tables[kind.table]
        before = await self._values(db, kind, row)
        anew = {}
        for column, value in before.items():
            bound = about(kind.table, column, *row)
            anew[column] = key.seal(key.open(value, bound), bound)
        same = [table.c[column] == value for column, value in before.items()]
        changed = await db.execute(update(table).where(self._row(kind, row), *same).values(anew))
        return bool(changed.rowcount)

    def _row(self, kind: SealedColumns, row: tuple[Any, ...]) -> ColumnElement[bool]:
        table = metadata.tables[kind.table]
        named = zip(kind.key, row, strict=True)
        return and_(
            table.c.organization_id == self.organization_id,
            *(table.c[name] == value for name, value in named),
        )


def _sealed_by(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The number of the key, as it stands in a sealed value."""
    return func.substring(column, literal_column("2"), literal_column("4"))


def _int4(number: int) -> ColumnElement[Any]:
    return func.int4send(literal_column(str(int(number))))


def _opens(key: DataKey, value: bytes, bound: bytes) -> bool:
    try:
        key.open(value, bound)
    except CannotOpen:
        return False
    return True
