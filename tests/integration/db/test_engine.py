import asyncio
from pathlib import Path
from uuid import UUID, uuid4

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeOrganization
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import (
    asyncpg_url,
    create_engine,
    raw_connection,
    raw_transaction,
    transaction,
)
from wiser_fhir.errors import Unavailable

TOKEN = """
insert into audit_event (request_id, action, outcome)
values (gen_random_uuid(), 'test', 'written')
"""


async def written(superuser_engine: AsyncEngine) -> int:
    async with superuser_engine.connect() as connection:
        query = text("select count(*) from audit_event where action = 'test'")
        return int(await connection.scalar(query) or 0)


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_the_usual_urls_are_understood(scheme: str) -> None:
    url = asyncpg_url(f"{scheme}://wiser_app:p%40ss@db.example:5433/wiser?ssl=require")
    assert url.drivername == "postgresql+asyncpg"
    assert (url.password, url.port, url.query) == ("p@ss", 5433, {"ssl": "require"})


async def test_a_block_that_ends_commits(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, clean_database: None
) -> None:
    async with transaction(app_engine) as connection:
        await connection.execute(text(TOKEN))
    assert await written(superuser_engine) == 1


async def test_a_block_that_raises_rolls_back(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    make_organization: MakeOrganization,
) -> None:
    organization = await make_organization()

    async def fail() -> None:
        async with transaction(app_engine) as connection:
            await connection.execute(text(TOKEN))
            raise ZeroDivisionError

    async def fail_raw() -> None:
        async with raw_transaction(app_engine, organization) as raw:
            await raw.execute(TOKEN)
            raise ZeroDivisionError

    for act in (fail, fail_raw):
        with pytest.raises(ZeroDivisionError):
            await act()
    assert await written(superuser_engine) == 0


@pytest.mark.parametrize("waits_for", ["select pg_sleep(5)", None])
async def test_a_cancelled_raw_transaction_leaves_nothing_in_the_pool(
    database: Urls, superuser_engine: AsyncEngine, clean_database: None, waits_for: str | None
) -> None:
    engine = create_engine(database.app, pool_size=1)
    started = asyncio.Event()

    async def act() -> None:
        async with raw_transaction(engine, UUID(int=1)) as raw:
            await raw.execute(TOKEN)
            started.set()
            await (raw.execute(waits_for) if waits_for else asyncio.sleep(5))

    task = asyncio.create_task(act())
    await started.wait()
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with raw_connection(engine) as raw:  # the only one of the pool
        assert not raw.is_in_transaction()
        assert await raw.fetchval("select current_setting('app.organization', true)") in ("", None)
    assert await written(superuser_engine) == 0
    await engine.dispose()


async def test_a_cancelled_begin_leaves_nothing_in_the_pool(
    database: Urls, superuser_engine: AsyncEngine
) -> None:
    engine = create_engine(database.app, pool_size=1)

    async def act() -> None:
        async with raw_transaction(engine, UUID(int=1), lock=7):
            raise AssertionError("the lock is taken")

    async with superuser_engine.begin() as holder:
        await holder.execute(text("select pg_advisory_xact_lock(7)"))
        task = asyncio.create_task(act())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with transaction(engine) as connection:
        assert await connection.scalar(text("select 1")) == 1
    await engine.dispose()


async def test_a_refusal_stays_what_it_is(app_engine: AsyncEngine) -> None:
    refused = "insert into audit_event (request_id, action, outcome) values (null, 'a', 'b')"
    with pytest.raises(IntegrityError):
        async with transaction(app_engine) as connection:
            await connection.execute(text(refused))
    with pytest.raises(asyncpg.NotNullViolationError):
        async with raw_transaction(app_engine, UUID(int=1)) as raw:
            await raw.execute(refused)
    with pytest.raises(asyncpg.InterfaceError):  # a caller's mistake, not an absent database
        async with raw_transaction(app_engine, UUID(int=1)) as raw:
            await raw.fetch("select $1::int")


async def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    engine = create_engine(f"postgresql://wiser_app@/wiser?host={tmp_path}")
    with pytest.raises(Unavailable):
        async with transaction(engine):
            pass
    with pytest.raises(Unavailable):
        async with raw_connection(engine):
            pass
    await engine.dispose()


async def test_a_connection_lost_meanwhile_is_unavailable_once(
    database: Urls, superuser_engine: AsyncEngine
) -> None:
    engine = create_engine(database.app, pool_size=1)

    async def lose() -> None:
        async with raw_transaction(engine, UUID(int=1)) as raw:
            async with superuser_engine.connect() as killer:
                await killer.execute(
                    text("select pg_terminate_backend(:pid)"), {"pid": raw.get_server_pid()}
                )
            await asyncio.sleep(0.05)
            await raw.execute("select 1")

    for _ in range(2):
        with pytest.raises(Unavailable):
            await lose()
        async with raw_transaction(engine, UUID(int=1)) as raw:
            assert await raw.fetchval("select 1") == 1
    await engine.dispose()


async def test_a_statement_that_takes_too_long_is_given_up(app_engine: AsyncEngine) -> None:
    async def dawdle() -> None:
        async with transaction(app_engine) as connection:
            await connection.execute(text("set local statement_timeout = '50ms'"))
            await connection.execute(text("select pg_sleep(5)"))

    with pytest.raises(Unavailable):
        await dawdle()


async def test_connections_are_as_the_design_wants_them(app_engine: AsyncEngine) -> None:
    async with transaction(app_engine) as connection:
        for name, value in {"jit": "off", "timezone": "UTC", "statement_timeout": "10s"}.items():
            assert await connection.scalar(text(f"show {name}")) == value
    assert app_engine.pool.status().startswith("Pool size: 10")


async def test_one_organization_never_holds_every_connection(database: Urls) -> None:
    engine = create_engine(database.app, pool_size=3)
    one, other = uuid4(), uuid4()
    held = asyncio.Event()
    letting_go = asyncio.Event()
    inside = 0

    async def hold() -> None:
        nonlocal inside
        async with transaction(engine, one):
            inside += 1
            held.set()
            await letting_go.wait()

    holding = [asyncio.create_task(hold()) for _ in range(10)]
    try:
        await held.wait()
        async with asyncio.timeout(5), transaction(engine, other) as db:
            assert await db.scalar(text("select 1")) == 1
        assert inside <= 2
    finally:
        letting_go.set()
        await asyncio.gather(*holding)
        await engine.dispose()
    assert inside == 10
