"""The floors: bare Starlette and asyncpg, with nothing of the product in between.

`/rows` parses the body and writes the rows that the product writes for it: as many, in tables of
the same columns with the same values, in one statement with one commit. `/one` parses the body and
writes it as one row. Their tables have a primary key and nothing else: no further index, foreign
key, trigger or row-level security. Both answer with an answer of the product.

Nothing is sealed here: bodies are stored compressed, and what else the product seals is copied.

As a command it serves on a port of its own: `python -m bench.floor DATA_DIR CASE_ID`.
"""

import asyncio
import gc
import os
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import orjson
import uvicorn
import uvloop
import zstandard
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench import sealing
from bench.database import TABLES, rows_of, superuser_url
from wiser_fhir.priorauth.numbers import time_ordered_uuid

# What Postgres itself gives to each row.
_GIVEN = {"audit_event": {"id", "at", "xact_id"}}
# Ids of those who ask: they stay the same from one request to the next.
_LASTING = {"organization_id", "client_id", "clinician_id"}

_COLUMNS = """
select attname as name, format_type(atttypid, atttypmod) as type from pg_attribute
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped order by attnum
"""
_KEY = """
select pg_get_constraintdef(oid) from pg_constraint
where conrelid = $1::text::regclass and contype = 'p'
"""

Fill = Callable[[bytes, Any, dict[UUID, UUID]], object]


async def make_tables(db: asyncpg.Connection) -> None:
    """The floor's tables, empty, in a schema of their own."""
    await db.execute("drop schema if exists floor cascade; create schema floor")
    await db.execute("create table floor.one (id uuid primary key, body bytea not null)")
    await db.execute("alter table floor.one alter column body set storage external")
    for table in TABLES:
        await db.execute(
            f"create table floor.{table}"
            f" (like {table} including defaults including identity including storage)"
        )
        await db.execute(f"alter table floor.{table} add {await db.fetchval(_KEY, table)}")


@dataclass(frozen=True, slots=True)
class Rows:
    """One case's rows as a statement, and how each of its parameters comes about."""

    statement: str
    fills: tuple[Fill, ...]
    count: int

    @classmethod
    async def of(cls, db: asyncpg.Connection, case_id: UUID) -> "Rows":
        """Those of a case that the product wrote."""
        inserts: list[str] = []
        fills: list[Fill] = []
        count = 0
        conditions = rows_of(case_id)
        for table in TABLES:
            columns = [
                column
                for column in await db.fetch(_COLUMNS, table)
                if column["name"] not in _GIVEN.get(table, ())
            ]
            names = ", ".join(column["name"] for column in columns)
            found = await db.fetch(f"select {names} from {table} where {conditions[table]}")  # noqa: S608
            rows = []
            for row in found:
                start = len(fills)
                fills += [_fill(table, row, column["name"]) for column in columns]
                casts = [f"${start + n}::{c['type']}" for n, c in enumerate(columns, 1)]
                rows.append(f"({', '.join(casts)})")
            if rows:
                inserts.append(
                    f"insert into floor.{table} ({names}) values {', '.join(rows)}"  # noqa: S608
                )
            count += len(rows)
        parts = ", ".join(f"t{n} as ({insert})" for n, insert in enumerate(inserts))
        return cls(f"with {parts} select 1", tuple(fills), count)

    def parameters(self, stored: bytes, parsed: Any) -> list[object]:
        """The values for one request; `stored` is its body, compressed."""
        ids: dict[UUID, UUID] = {}
        return [fill(stored, parsed, ids) for fill in self.fills]


def _fill(table: str, row: asyncpg.Record, column: str) -> Fill:
    value = row[column]
    if table == "message" and column == "body" and row["direction"] == "in":
        return lambda stored, _parsed, _ids: stored
    if (table, column) == ("submission", "identifier_value"):
        return lambda _stored, parsed, _ids: parsed["identifier"]["value"]
    if (table, column) == ("utn", "utn"):
        return lambda _stored, _parsed, _ids: f"ZZA{int.from_bytes(os.urandom(5)) % 10**11:011d}"
    if isinstance(value, UUID) and column not in _LASTING:
        return lambda _stored, _parsed, ids: (
            ids.get(value) or ids.setdefault(value, time_ordered_uuid())
        )
    return lambda _stored, _parsed, _ids: value


@dataclass(frozen=True, slots=True)
class Floor:
    """The two routes."""

    pool: asyncpg.Pool
    rows: Rows
    answer: bytes
    compressor: zstandard.ZstdCompressor

    async def write_rows(self, request: Request) -> Response:
        """Parse, write all rows, answer."""
        body = await request.body()
        parsed = orjson.loads(body)
        values = self.rows.parameters(self.compressor.compress(body), parsed)
        async with self.pool.acquire() as db:
            await db.fetchval(self.rows.statement, *values)
        return Response(self.answer, media_type="application/fhir+json")

    async def write_one(self, request: Request) -> Response:
        """Parse, write one row, answer."""
        body = await request.body()
        orjson.loads(body)
        stored = self.compressor.compress(body)
        async with self.pool.acquire() as db:
            await db.execute("insert into floor.one values ($1, $2)", time_ordered_uuid(), stored)
        return Response(self.answer, media_type="application/fhir+json")


async def _opened(data_dir: Path, case_id: UUID) -> Floor:
    async def keep(_: asyncpg.Connection) -> None:
        """Connections go back as they are: nothing was set on them."""

    url = superuser_url(data_dir)
    pool = await asyncpg.create_pool(url, min_size=10, max_size=10, reset=keep)
    async with pool.acquire() as db:
        rows = await Rows.of(db, case_id)
        answer = await db.fetchrow(
            "select * from message where case_id = $1 and direction = 'out'", case_id
        )
    organization_id = answer["organization_id"]
    [key] = (await sealing.keys(data_dir, [organization_id])).values()
    body = sealing.opened(key, "message", answer)["body"] or b""
    plain = zstandard.ZstdDecompressor().decompress(body)
    return Floor(pool, rows, plain, zstandard.ZstdCompressor(level=3))


async def _serve(data_dir: Path, case_id: UUID) -> None:
    floor = await _opened(data_dir, case_id)
    app = Starlette(
        routes=[
            Route("/rows", floor.write_rows, methods=["POST"]),
            Route("/one", floor.write_one, methods=["POST"]),
        ]
    )
    bound = socket.create_server(("127.0.0.1", 0), backlog=1024)
    config = uvicorn.Config(
        app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False
    )
    gc.collect()
    gc.freeze()
    print(f"ready http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve([bound])


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Path(sys.argv[1]), UUID(sys.argv[2])))
