"""Caring for data keys as the owner role: newer ones, other wrapping, sealing anew, erasing.

Nothing here stops a server. A new key is announced before anybody seals with it; a data key that is
open in a process stays so while it is wrapped anew; a row is sealed anew by itself, in a
transaction of its own batch, and only if nobody has changed it meanwhile. Whoever is killed leaves
rows that open, and begins again.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from os import urandom
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    and_,
    func,
    insert,
    literal_column,
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


def _by_table(kinds: Iterable[SealedColumns]) -> tuple[SealedColumns, ...]:
    found: dict[str, SealedColumns] = {}
    for each in kinds:
        there = found.get(each.table, replace(each, columns=()))
        found[each.table] = replace(there, columns=(*there.columns, *each.columns))
    return tuple(found.values())


# Each table once, with all of its columns.
EVERYTHING: Final = _by_table((*BODIES, *SEALED))
# As long as somebody may hold a key that is no longer the one that seals, and long beyond that: a
# request waits for connections and locks, and ends.
IN_FLIGHT: Final = timedelta(minutes=10)
_BATCH = 100  # rows sealed anew in a transaction
_PAGE = 500  # rows looked at by one statement, whose time therefore has a bound
_BYTES = 16 * 1024 * 1024  # of values held at a time, if no single one is larger
_TURN = text("select pg_advisory_xact_lock(1684104556, hashtext(:organization_id))")
_keys = data_key_table.c

Row = tuple[Any, ...]
"""The key of a row, beside its organization."""
Facts = tuple[Any, ...]
"""One for each sealed column of a row; None where it has no value."""
Fact = Callable[[ColumnElement[Any]], ColumnElement[Any]]


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
    found, after = 0, None
    while rows := await _page(db, organization_id, kind, _sealed_by, after):
        found += sum(number.to_bytes(4) in facts for _, facts in rows)
        after = rows[-1][0]
    return found


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
        async for key, rows in self._pages(kind, _sealed_by):
            known = {None, key.number.to_bytes(4)}
            others = [row for row, numbers in rows if not known.issuperset(numbers)]
            for start in range(0, len(others), _BATCH):
                yield await self._batch(kind, others[start : start + _BATCH])

    async def _batch(self, kind: SealedColumns, rows: list[Row]) -> int:
        async with transaction(self.engine, self.organization_id) as db:
            await db.execute(text("set local app.resealing = 'on'"))
            key = await vault_of(db).key(db, self.organization_id)
            return sum([await self._reseal(db, key, kind, row) for row in rows])

    async def check(self, kind: SealedColumns) -> AsyncIterator[tuple[str | None, Row, bool]]:
        """Open every value: its column, the rest of its row's key, and whether it opened.

        Rows are never deleted: one that is gone when its values are read is named without a column.
        """
        async for _, rows in self._pages(kind, func.octet_length):
            for group in _groups(rows):
                key, found = await self._of(kind, group)
                for row in group:
                    if row not in found:
                        yield None, row, False
                    for column, value in found.get(row, {}).items():
                        yield column, row, _opens(key, value, about(kind.table, column, *row))

    async def _pages(
        self, kind: SealedColumns, fact: Fact
    ) -> AsyncIterator[tuple[DataKey, list[tuple[Row, Facts]]]]:
        """The keys of all rows, in their order, each with a fact of every value; the values are
        not read, for they may be large.
        """
        after: Row | None = None
        while True:
            async with transaction(self.engine, self.organization_id) as db:
                key = await vault_of(db).key(db, self.organization_id)
                rows = await _page(db, self.organization_id, kind, fact, after)
            if not rows:
                return
            yield key, rows
            after = rows[-1][0]

    async def _of(
        self, kind: SealedColumns, group: list[Row]
    ) -> tuple[DataKey, dict[Row, dict[str, bytes]]]:
        """What opens them, and the values of these rows, which follow each other, by their keys."""
        table = metadata.tables[kind.table]
        names = [table.c[name] for name in kind.key]
        query = select(*names, *(table.c[name] for name in kind.columns)).where(
            table.c.organization_id == self.organization_id,
            tuple_(*names) >= tuple_(*group[0]),
            tuple_(*names) <= tuple_(*group[-1]),
        )
        found: dict[Row, dict[str, bytes]] = {}
        async with transaction(self.engine, self.organization_id) as db:
            key = await vault_of(db).key(db, self.organization_id)
            for row in await db.execute(query):
                values = zip(kind.columns, row[len(names) :], strict=True)
                found[tuple(row[: len(names)])] = {n: v for n, v in values if v is not None}
        return key, found

    async def _values(self, db: AsyncConnection, kind: SealedColumns, row: Row) -> dict[str, bytes]:
        table = metadata.tables[kind.table]
        query = select(*(table.c[name] for name in kind.columns)).where(self._row(kind, row))
        found = (await db.execute(query)).mappings().one_or_none()
        return {str(name): value for name, value in (found or {}).items() if value is not None}

    async def _reseal(
        self, db: AsyncConnection, key: DataKey, kind: SealedColumns, row: Row
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

    def _row(self, kind: SealedColumns, row: Row) -> ColumnElement[bool]:
        table = metadata.tables[kind.table]
        named = zip(kind.key, row, strict=True)
        return and_(
            table.c.organization_id == self.organization_id,
            *(table.c[name] == value for name, value in named),
        )


async def _page(
    db: AsyncConnection, organization_id: UUID, kind: SealedColumns, fact: Fact, after: Row | None
) -> list[tuple[Row, Facts]]:
    """Keys of the next rows, and a fact of each value."""
    table = metadata.tables[kind.table]
    names = [table.c[name] for name in kind.key]
    query = select(*names, *(fact(table.c[name]) for name in kind.columns))
    query = query.where(table.c.organization_id == organization_id)
    if after is not None:
        query = query.where(tuple_(*names) > tuple_(*after))
    found = (await db.execute(query.order_by(*names).limit(_PAGE))).all()
    return [(tuple(row[: len(names)]), tuple(row[len(names) :])) for row in found]


def _groups(rows: list[tuple[Row, Facts]]) -> Iterator[list[Row]]:
    """Rows whose values, of these lengths, may be held together."""
    group: list[Row] = []
    held = 0
    for row, lengths in rows:
        length = sum(each for each in lengths if each is not None)
        if group and held + length > _BYTES:
            yield group
            group, held = [], 0
        group.append(row)
        held += length
    yield group


def _sealed_by(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """The number of the key, as it stands in a sealed value."""
    return func.substring(column, literal_column("2"), literal_column("4"))


def _opens(key: DataKey, value: bytes, bound: bytes) -> bool:
    try:
        key.open(value, bound)
    except CannotOpen:
        return False
    return True
