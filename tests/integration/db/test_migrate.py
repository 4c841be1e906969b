import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from wiser_fhir.db import migrate
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import asyncpg_url


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[AsyncConnection]:
    engine = create_async_engine(asyncpg_url(url), poolclass=NullPool)
    async with engine.begin() as connection:
        yield connection
    await engine.dispose()


async def tables(url: str) -> set[str]:
    async with connected(url) as connection:
        query = "select relname from pg_class where relnamespace = 'public'::regnamespace"
        return set((await connection.execute(text(query))).scalars())


async def test_down_takes_back_all_that_up_made(empty_database: Urls) -> None:
    await migrate.upgrade(empty_database.owner, "sandbox")
    made = await tables(empty_database.superuser)
    assert "prior_auth_case" in made
    await migrate.downgrade(empty_database.owner)
    assert await tables(empty_database.superuser) == {"alembic_version", "alembic_version_pkc"}
    async with connected(empty_database.superuser) as connection:
        left = await connection.execute(
            text(
                "select proname from pg_proc where proowner = 'wiser_owner'::regrole"
                " or proowner = 'wiser_gate'::regrole"
            )
        )
        assert left.all() == []
        assert await connection.scalar(text("select to_regnamespace('gate')")) is None
    await migrate.upgrade(empty_database.owner, "sandbox")
    assert await tables(empty_database.superuser) == made


async def test_commands_that_migrate_at_once_take_turns(empty_database: Urls) -> None:
    await asyncio.gather(*(migrate.upgrade(empty_database.owner, "production") for _ in range(4)))


async def test_the_first_mode_stays(empty_database: Urls) -> None:
    await migrate.upgrade(empty_database.owner, "production")
    with pytest.raises(migrate.ModeMismatch, match="this is a production database"):
        await migrate.upgrade(empty_database.owner, "sandbox")
    async with connected(empty_database.app) as connection:
        await migrate.check_mode(connection, "production")
        with pytest.raises(migrate.ModeMismatch, match="WISER_MODE says sandbox"):
            await migrate.check_mode(connection, "sandbox")


async def test_the_application_starts_on_a_migrated_database_only(empty_database: Urls) -> None:
    async with connected(empty_database.app) as connection:
        with pytest.raises(migrate.NotReady, match="not migrated"):
            await migrate.check_mode(connection, "production")


async def test_empty_tables_are_not_analyzed(empty_database: Urls) -> None:
    await migrate.upgrade(empty_database.owner, "sandbox")
    async with connected(empty_database.superuser) as connection:
        analyzed = "select last_analyze from pg_stat_user_tables where relname = 'deployment'"
        assert await connection.scalar(text(analyzed)) is None


async def test_a_failing_migration_leaves_nothing(empty_database: Urls) -> None:
    async with connected(empty_database.owner) as connection:
        await connection.execute(text("create table audit_event (id int)"))
    before = await tables(empty_database.superuser)
    with pytest.raises(Exception, match="audit_event"):
        await migrate.upgrade(empty_database.owner, "sandbox")
    assert await tables(empty_database.superuser) == before


@pytest.mark.parametrize("role", ["app", "superuser"])
async def test_only_the_owner_migrates(empty_database: Urls, role: str) -> None:
    with pytest.raises(migrate.NotReady, match="connect as wiser_owner"):
        await migrate.upgrade(getattr(empty_database, role), "sandbox")


async def test_a_database_of_somebody_else_is_named(empty_database: Urls) -> None:
    async with connected(empty_database.superuser) as connection:
        name = await connection.scalar(text("select current_database()"))
        await connection.execute(text(f'alter database "{name}" owner to postgres'))
    with pytest.raises(migrate.NotReady, match="may not create in this database"):
        await migrate.upgrade(empty_database.owner, "sandbox")
