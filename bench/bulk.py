"""Many cases at once: copies of a few real ones, spread over organizations, members and time.

Copied are the rows that an inquiry reads. The checks of the tables hold for the copies too;
triggers and foreign keys are set aside while they are written. What is sealed is sealed anew for
each copy, with the key of its organization, so that the product opens it.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg

from bench import sealing
from bench.database import rows_of, superuser_url
from bench.loads import Members
from bench.requests import MEMBER, member_number
from wiser_fhir.db.envelope import about

ORGANIZATIONS = 50
CASES_PER_MEMBER = 4
ASKER_HAS_EACH = 5
STATES = ("AZ", "NJ", "OH", "OK", "TX", "WA")
# Who has taken up one case in so many: the first clinician of the sandbox.
REVIEWER = UUID("5a5d0b0c-0000-4000-8000-000000000201")
ASSIGNED_EACH = 37
TABLES = ("message", "prior_auth_case", "case_item", "case_party", "utn")

_DAYS = 180
_SAME = {"organization_id", "client_id", "clinician_id", "assigned_to"}
_BATCH = 2_000  # copies whose sealed values are sent at a time

# The filling need not survive a crash; what is measured afterwards has to.
_WHILE_FILLING = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "'32GB'",
    "checkpoint_timeout": "'1h'",
    "autovacuum": "off",
}

# A member's number, as load.lua and requests.py make it, and what stands in its place.
_MEMBERS = """
create schema bulk;

create unlogged table bulk.member (n bigint primary key, number text not null, mbi text not null)
"""

# Copy n: whose it is, about whom, when; `head` and `tail` make its ids, ordered by time like ours.
_PLAN = """
create unlogged table bulk.plan as
select g.n, (g.n + 3 * (g.n / {members})) % 10 as tenth,
    case when m.n % {each} = 0 then $1::uuid
        else md5('organization' || m.n % {others})::uuid end as organization_id,
    m.number, m.mbi,
    now() - interval '{days} days' * (1 - g.n / {cases}::float) as at,
    lpad(to_hex(((extract(epoch from now())::float - 86400 * {days} * (1 - g.n / {cases}::float))
        * 1000)::bigint), 12, '0') || '7' as head,
    '8' || substr(md5(g.n::text), 1, 15) as tail
from generate_series(0::bigint, {cases} - 1) g (n) join bulk.member m on m.n = g.n % {members}
"""

_COLUMNS = """
select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = ''
order by attnum
"""


def members(cases: int) -> Members:
    """The members whose cases the asking organization has, after `fill`."""
    return Members(cases // CASES_PER_MEMBER // ASKER_HAS_EACH, ASKER_HAS_EACH)


async def fill(data_dir: Path, samples: Mapping[UUID, int], cases: int) -> None:
    """Copy real cases until there are `cases` more; `samples` gives each a share in tenths."""
    url = superuser_url(data_dir)
    workers = [await asyncpg.connect(url) for _ in range(os.cpu_count() or 1)]
    try:
        await _prepare(workers[0], data_dir, next(iter(samples)), cases)
        owners = await workers[0].fetch("select id from organization")
        keys = await sealing.keys(data_dir, [owner["id"] for owner in owners])
        await asyncio.gather(
            *(
                _Copying(db, keys, cases, n, len(workers)).all_of(samples)
                for n, db in enumerate(workers)
            )
        )
        resets = [f"alter system reset {name}" for name in _WHILE_FILLING]
        await _configure(workers[0], resets)
        await workers[0].execute("checkpoint")
        await asyncio.gather(
            *(
                db.execute(f"vacuum (analyze) {', '.join(TABLES[n :: len(workers)])}")
                for n, db in enumerate(workers[: len(TABLES)])
            )
        )
    finally:
        for db in workers:
            await db.close()


async def _prepare(db: asyncpg.Connection, data_dir: Path, sample: UUID, cases: int) -> None:
    sets = [f"alter system set {name} = {value}" for name, value in _WHILE_FILLING.items()]
    await _configure(db, sets)
    await db.execute(_MEMBERS)
    count, index = cases // CASES_PER_MEMBER, sealing.index(data_dir)
    numbers = ((n, member_number(n)) for n in range(count))
    told = ((n, number, index.of(number).value) for n, number in numbers)
    await db.copy_records_to_table("member", schema_name="bulk", records=told)
    asker = await db.fetchval("select organization_id from prior_auth_case where id = $1", sample)
    sizes = {
        "cases": cases,
        "members": count,
        "each": ASKER_HAS_EACH,
        "others": ORGANIZATIONS - 1,
        "days": _DAYS,
    }
    await db.execute(_PLAN.format(**sizes), asker)
    await db.execute("alter table bulk.plan add primary key (n); analyze bulk.plan")
    await db.execute(
        "insert into organization (id, name, kind, acts_for)"
        " select md5('organization' || n)::uuid, 'Copied ' || n, 'clearinghouse', 'all'"
        " from generate_series(0, $1::int) n",
        ORGANIZATIONS - 2,
    )


async def _configure(db: asyncpg.Connection, statements: list[str]) -> None:
    for statement in [*statements, "select pg_reload_conf()", "select pg_sleep(0.2)"]:
        await db.execute(statement)


@dataclass(frozen=True, slots=True)
class _Copying:
    """One worker's part of all copies."""

    db: asyncpg.Connection
    keys: sealing.Keys
    cases: int
    worker: int
    workers: int

    async def all_of(self, samples: Mapping[UUID, int]) -> None:
        """Every row of the sampled cases."""
        await self.db.execute("set session_replication_role = replica")
        first = 0
        for case_id, tenths in samples.items():
            conditions = rows_of(case_id)
            mine = f"n % {self.workers} = {self.worker} and tenth between {first} and "
            mine += str(first + tenths - 1)
            for table in TABLES:
                await self._copy(table, conditions[table], mine)
            first += tenths

    async def _copy(self, table: str, condition: str, copies: str) -> None:
        columns = {c["name"]: c["type"] for c in await self.db.fetch(_COLUMNS, table)}
        told_apart = {n for n, kind in columns.items() if kind == "uuid" and n not in _SAME}
        sealed = sealing.COLUMNS.get(table, ())
        sampled = (
            f"substr(md5({name}::text), 1, 3) as {name}" if name in told_apart else name
            for name in columns
        )
        values = (
            f"(p.head || s.{name} || p.tail)::uuid"
            if name in told_apart
            else f"c.{name}"
            if name in sealed
            else _value(table, name)
            for name in columns
        )
        await self.db.execute(
            f"create temporary table sample as select {', '.join(sampled)} from {table}"  # noqa: S608
            f" where {condition}"
        )
        insert = f"insert into {table} ({', '.join(columns)}) select {', '.join(values)}"
        if sealed:
            await self._insert_sealed(insert, table, condition, copies)
        else:
            await self.db.execute(
                f"{insert} from (select * from bulk.plan where {copies}) p, sample s"  # noqa: S608
            )
        await self.db.execute("drop table sample")

    async def _insert_sealed(self, insert: str, table: str, condition: str, copies: str) -> None:
        """The copies of rows with sealed columns, a batch at a time: `c` has what is sealed."""
        rows = await self.db.fetch(
            f"select *, substr(md5(id::text), 1, 3) as mark from {table} where {condition}"  # noqa: S608
        )
        samples = {
            row["mark"]: sealing.opened(self.keys[row["organization_id"]], table, row)
            for row in rows
        }
        names = sealing.COLUMNS[table]
        arrays = ", ".join(f"${n}::bytea[]" for n in range(3, len(names) + 3))
        statement = (
            f"{insert} from unnest($1::bigint[], $2::text[], {arrays})"
            f" as c (n, mark, {', '.join(names)})"
            " join bulk.plan p on p.n = c.n join sample s on s.id = c.mark"
        )
        for start in range(0, self.cases, _BATCH):
            planned = await self.db.fetch(
                "select n, organization_id, number, head, tail from bulk.plan"  # noqa: S608
                f" where n >= $1 and n < $1 + {_BATCH} and {copies}",
                start,
            )
            sealed = [
                (plan["n"], mark, *self._sealed(table, names, plan, mark, plain))
                for plan in planned
                for mark, plain in samples.items()
            ]
            if sealed:
                await self.db.execute(statement, *map(list, zip(*sealed, strict=True)))

    def _sealed(
        self,
        table: str,
        names: Sequence[str],
        plan: Mapping[str, Any],
        mark: str,
        plain: Mapping[str, bytes | None],
    ) -> list[bytes | None]:
        """The sealed columns of one copy, for the row that it will be."""
        key, copy_id = self.keys[plan["organization_id"]], UUID(plan["head"] + mark + plan["tail"])
        sealed: list[bytes | None] = []
        for name in names:
            value = plain[name]
            if value is not None:
                if name == "sealed_member":
                    value = value.replace(MEMBER.encode(), plan["number"].encode())
                value = key.seal(value, about(table, name, copy_id))
            sealed.append(value)
        return sealed


def _value(table: str, column: str) -> str:
    """The SQL of a column's value in copy `p` of the row `s`."""
    match table, column:
        case _, "organization_id" | "mbi":
            return f"p.{column}"
        case _, "received_at":
            return "p.at"
        case "prior_auth_case", "decide_by":
            return "p.at + interval '183 days'"
        case "prior_auth_case", "state":
            return f"split_part('{' '.join(STATES)}', ' ', (p.n % {len(STATES)})::int + 1)"
        case "prior_auth_case", "assigned_to":
            return f"case when p.n % {ASSIGNED_EACH} = 0 then '{REVIEWER}'::uuid end"
        case "prior_auth_case", "assigned_at":
            return f"case when p.n % {ASSIGNED_EACH} = 0 then p.at end"
        case "utn", "utn":
            return "'ZZB' || lpad(p.n::text, 11, '0')"
        case "prior_auth_case", "reference":
            return "'R' || lpad(p.n::text, 14, '0')"
        case _:
            return f"s.{column}"
