"""Many cases at once: copies of a few real ones, spread over organizations, members and time.

Copied are the rows that an inquiry reads. The checks of the tables hold for the copies too;
triggers and foreign keys are set aside while they are written.
"""

import asyncio
import os
from collections.abc import Mapping
from uuid import UUID

import asyncpg

from bench.database import rows_of
from bench.loads import Members

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

# The filling need not survive a crash; what is measured afterwards has to.
_WHILE_FILLING = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_wal_size": "'32GB'",
    "checkpoint_timeout": "'1h'",
    "autovacuum": "off",
}

_FUNCTIONS = """
create schema bulk;

create function bulk.letter(k bigint) returns text immutable language sql
return substr('ACDEFGHJKMNPQRTUVWXY', (k % 20)::int + 1, 1);

-- The number that load.lua and requests.py give to the same member.
create function bulk.member(n bigint) returns text immutable language sql
return '1' || bulk.letter(n / 10000) || 'G' || (n % 10000 / 1000) || bulk.letter(n / 200000)
    || '5' || (n % 1000 / 100) || bulk.letter(n / 4000000) || 'K' || (n % 100 / 10) || (n % 10);
"""

# Copy n: whose it is, about whom, when; `head` and `tail` make its ids, ordered by time like ours.
_PLAN = """
create unlogged table bulk.plan as
select n, (n + 3 * (n / {members})) % 10 as tenth,
    case when n % {members} % {each} = 0 then $1::uuid
        else md5('organization' || n % {members} % {others})::uuid end as organization_id,
    bulk.member(n % {members}) as mbi,
    now() - interval '{days} days' * (1 - n / {cases}::float) as at,
    lpad(to_hex(((extract(epoch from now())::float - 86400 * {days} * (1 - n / {cases}::float))
        * 1000)::bigint), 12, '0') || '7' as head,
    '8' || substr(md5(n::text), 1, 15) as tail
from generate_series(0::bigint, {cases} - 1) n
"""

_COLUMNS = """
select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = ''
order by attnum
"""


def members(cases: int) -> Members:
    """The members whose cases the asking organization has, after `fill`."""
    return Members(cases // CASES_PER_MEMBER // ASKER_HAS_EACH, ASKER_HAS_EACH)


async def fill(url: str, samples: Mapping[UUID, int], cases: int) -> None:
    """Copy real cases until there are `cases` more; `samples` gives each a share in tenths."""
    workers = [await asyncpg.connect(url) for _ in range(os.cpu_count() or 1)]
    try:
        await _prepare(workers[0], next(iter(samples)), cases)
        await asyncio.gather(
            *(_copy_all(db, samples, n, len(workers)) for n, db in enumerate(workers))
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


async def _prepare(db: asyncpg.Connection, sample: UUID, cases: int) -> None:
    sets = [f"alter system set {name} = {value}" for name, value in _WHILE_FILLING.items()]
    await _configure(db, sets)
    await db.execute(_FUNCTIONS)
    asker = await db.fetchval("select organization_id from prior_auth_case where id = $1", sample)
    numbers = {
        "cases": cases,
        "members": cases // CASES_PER_MEMBER,
        "each": ASKER_HAS_EACH,
        "others": ORGANIZATIONS - 1,
        "days": _DAYS,
    }
    await db.execute(_PLAN.format(**numbers), asker)
    await db.execute(
        "insert into organization (id, name, kind, acts_for)"
        " select md5('organization' || n)::uuid, 'Copied ' || n, 'clearinghouse', 'all'"
        " from generate_series(0, $1::int) n",
        ORGANIZATIONS - 2,
    )


async def _configure(db: asyncpg.Connection, statements: list[str]) -> None:
    for statement in [*statements, "select pg_reload_conf()", "select pg_sleep(0.2)"]:
        await db.execute(statement)


async def _copy_all(
    db: asyncpg.Connection, samples: Mapping[UUID, int], worker: int, workers: int
) -> None:
    """One worker's part of all copies."""
    await db.execute("set session_replication_role = replica")
    first = 0
    for case_id, tenths in samples.items():
        conditions = rows_of(case_id)
        mine = f"n % {workers} = {worker} and tenth >= {first} and tenth < {first + tenths}"
        for table in TABLES:
            await _copy(db, table, conditions[table], mine)
        first += tenths


async def _copy(db: asyncpg.Connection, table: str, condition: str, copies: str) -> None:
    columns = {c["name"]: c["type"] for c in await db.fetch(_COLUMNS, table)}
    told_apart = {n for n, kind in columns.items() if kind == "uuid" and n not in _SAME}
    sampled = (
        f"substr(md5({name}::text), 1, 3) as {name}" if name in told_apart else name
        for name in columns
    )
    values = (
        f"(p.head || s.{name} || p.tail)::uuid" if name in told_apart else _value(table, name)
        for name in columns
    )
    await db.execute(
        f"create temporary table sample as select {', '.join(sampled)} from {table}"  # noqa: S608
        f" where {condition}"
    )
    await db.execute(
        f"insert into {table} ({', '.join(columns)}) select {', '.join(values)}"  # noqa: S608
        f" from (select * from bulk.plan where {copies}) p, sample s"
    )
    await db.execute("drop table sample")


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
