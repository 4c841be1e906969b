"""Connections to Postgres, and the two ways to hold a transaction of one organization.

`transaction` is for everything; `raw_transaction` hands out the asyncpg connection of the same pool
for the one hot write, where SQLAlchemy's share of a request would be the larger half. Row-level
security shows both nothing but the organization's rows.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import URL, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.util import greenlet_spawn

from wiser_fhir.errors import Unavailable

_POOL_SECONDS = 10.0
_SESSION = {
    "application_name": "wiser-fhir",
    "jit": "off",
    "timezone": "UTC",
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "30s",
}
# Which states of Postgres mean "away, ask again": connection lost, out of room, shutting down,
# gave up waiting, lost a race that a second try wins.
_AWAY = (
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.ReadOnlySQLTransactionError,
)


def asyncpg_url(url: str) -> URL:
    """A `postgresql://` (or `postgres://`) URL as SQLAlchemy wants it for asyncpg."""
    return make_url(url.replace("postgres://", "postgresql://", 1)).set(
        drivername="postgresql+asyncpg"
    )


class Shares:
    """How many of a pool's connections each organization holds at a time: two thirds at most.

    Whoever sends a great deal waits for a share of its own, and not before everybody else in the
    pool's one queue. A transaction never waits for another of the same organization inside it.
    """

    def __init__(self, pool_size: int) -> None:
        self._share = max(1, pool_size * 2 // 3)
        self._held: dict[UUID, tuple[asyncio.Semaphore, int]] = {}

    @asynccontextmanager
    async def of(self, organization_id: UUID) -> AsyncIterator[None]:
        """Hold one connection's worth of an organization's share. Raises Unavailable."""
        turns, users = self._held.get(organization_id, (asyncio.Semaphore(self._share), 0))
        self._held[organization_id] = turns, users + 1
        try:
            try:
                await asyncio.wait_for(turns.acquire(), _POOL_SECONDS)
            except TimeoutError:
                raise Unavailable("The organization has its share of connections in use.") from None
            try:
                yield
            finally:
                turns.release()
        finally:
            turns, users = self._held[organization_id]
            if users == 1:
                del self._held[organization_id]
            else:
                self._held[organization_id] = turns, users - 1


@asynccontextmanager
async def _shared(engine: AsyncEngine, organization_id: UUID | None) -> AsyncIterator[None]:
    shares = engine.sync_engine.get_execution_options().get("shares")
    if shares is None or organization_id is None:
        yield
        return
    async with shares.of(organization_id):
        yield


def create_engine(
    url: str, *, pool_size: int = 10, vault: object = None, index: object = None
) -> AsyncEngine:
    """A pool of at most `pool_size` connections. Make it in the lifespan; `dispose` it there.

    `vault` seals and opens what is stored about people (`db.vault`, which finds it again from any
    connection): an engine without one can do neither. `index` finds beneficiaries (`db.blind`).

    No overflow: such a connection is closed on its return and costs the next request a new one.
    Connections live half an hour, so that no plan made on empty tables outlives the morning.
    """
    return create_async_engine(
        asyncpg_url(url),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_POOL_SECONDS,
        pool_recycle=1800,
        pool_use_lifo=True,
        execution_options={"vault": vault, "index": index, "shares": Shares(pool_size)},
        hide_parameters=True,  # they hold data about patients; exceptions reach the log
        connect_args={"server_settings": _SESSION, "command_timeout": 15, "timeout": 5},
    )


@asynccontextmanager
async def transaction(
    engine: AsyncEngine, organization_id: UUID | None = None
) -> AsyncIterator[AsyncConnection]:
    """A transaction that sees the rows of one organization, or of none.

    Commits at the end of the block, rolls back on any exception, cancellation included.
    Raises Unavailable.
    """
    with unavailable():
        async with _shared(engine, organization_id), engine.begin() as connection:
            if organization_id is not None:
                await enter(connection, organization_id)
            yield connection


async def enter(connection: AsyncConnection, organization_id: UUID) -> None:
    """Show the connection the organization's rows until its transaction ends."""
    await connection.execute(
        text("select set_config('app.organization', :organization, true)"),
        {"organization": str(organization_id)},
    )


@asynccontextmanager
async def raw_connection(engine: AsyncEngine) -> AsyncIterator[asyncpg.Connection]:
    """The asyncpg connection of a pooled one. Leave it as found: outside a transaction.

    One that was cancelled or broke inside a transaction is closed, not returned.
    Raises Unavailable.
    """
    with unavailable():
        pooled = await engine.raw_connection()
        driver: asyncpg.Connection[Any] = pooled.driver_connection
        try:
            yield driver
        finally:
            if driver.is_closed() or driver.is_in_transaction():
                driver.terminate()
                pooled.invalidate()
            await greenlet_spawn(pooled.close)


@asynccontextmanager
async def raw_transaction(
    engine: AsyncEngine, organization_id: UUID, *, lock: int | None = None
) -> AsyncIterator[asyncpg.Connection]:
    """Like `transaction`, on the asyncpg connection; one trip to begin, one to commit.

    `lock` serializes with every other transaction that takes the same number.
    """
    begin = f"begin; set local app.organization = '{UUID(int=organization_id.int)}'"
    if lock is not None:
        begin += f"; select pg_advisory_xact_lock({int(lock)})"
    async with _shared(engine, organization_id), raw_connection(engine) as connection:
        try:
            await connection.execute(begin)
            yield connection
            await connection.execute("commit")
        except Exception:
            await _roll_back(connection)
            raise
        except BaseException:
            # Cancelled: another wait would be cancelled too, and what the server has done of the
            # statement is not known. Closing the connection rolls back on the other side.
            connection.terminate()
            raise


async def _roll_back(connection: asyncpg.Connection) -> None:
    if connection.is_closed():
        return
    try:
        await connection.execute("rollback")
    except Exception:
        connection.terminate()


@contextmanager
def unavailable() -> Iterator[None]:
    """Tells a database that is away for a moment from one that refuses: the former Unavailable."""
    try:
        yield
    except PoolTimeout as busy:
        raise Unavailable("The database has no connection free.") from busy
    except Exception as error:
        if is_away(error):
            raise Unavailable("The database is away.") from error
        raise


def is_away(error: BaseException | None) -> bool:
    """Whether an exception means that the database is away, not that it refuses."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or is_away(error.orig and error.orig.__cause__)
    if isinstance(error, asyncpg.InterfaceError):  # also a caller's mistake, by its other texts
        return "closed" in str(error)
    return isinstance(error, (*_AWAY, OSError))
