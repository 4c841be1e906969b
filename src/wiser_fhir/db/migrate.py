"""Brings a database to the newest schema and ties it to its mode.

Runs as wiser_owner. Several commands may do it at the same instant: an advisory lock makes them
take turns. In a production database an administrator has run `roles.sql` before.
"""

from typing import Literal

from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from wiser_fhir.db.engine import asyncpg_url, unavailable
from wiser_fhir.resources import resource_path

Mode = Literal["sandbox", "production"]

_LOCK = 0x57495345  # any number, the same for everybody

_COMPLAINTS = """
select complaint from (values
    (current_user <> 'wiser_owner',
        'connect as wiser_owner, not as ' || current_user),
    (not exists (select from pg_roles where rolname = 'wiser_app'),
        'the role wiser_app is missing'),
    (not exists (select from pg_roles where rolname = 'wiser_gate'),
        'the role wiser_gate is missing'),
    (exists (select from pg_roles where rolname in ('wiser_owner', 'wiser_app', 'wiser_gate')
            and (rolsuper or rolbypassrls or rolcreaterole)),
        'a wiser role is a superuser, bypasses row-level security or may create roles'),
    (exists (select from pg_roles where rolname = 'wiser_gate' and rolcanlogin),
        'wiser_gate may log in'),
    (exists (select from pg_roles where rolname = 'wiser_owner' and rolinherit),
        'wiser_owner inherits: alter role wiser_owner noinherit'),
    (not exists (select from pg_auth_members m where m.roleid = to_regrole('wiser_gate')
            and m.member = to_regrole('wiser_owner')),
        'wiser_owner is not a member of wiser_gate'),
    (exists (select from pg_auth_members m where m.member = to_regrole('wiser_app')),
        'wiser_app is a member of another role'),
    (not has_database_privilege(current_database(), 'create'),
        'wiser_owner may not create in this database: make it the owner'),
    (not has_schema_privilege('public', 'create'),
        'wiser_owner may not create in the schema public: make it the owner of the database'),
    (current_setting('server_version_num')::int < 150000,
        'Postgres 15 or later is needed')
) as checks (wrong, complaint) where wrong
"""


# A temporary table would stand before ours for whoever may make one.
_NO_TEMPORARY_TABLES = """
do $$ begin
    execute format('revoke temporary on database %I from public', current_database());
end $$
"""


_UNBOUND_ROLE = """
select rolsuper or rolbypassrls or pg_has_role(current_user, 'wiser_owner', 'member')
from pg_roles where rolname = current_user
"""


class NotReady(RuntimeError):
    """The database cannot be used as it stands; the text says what an administrator has to do."""


class ModeMismatch(NotReady):
    """A sandbox started on a production database, or the other way round."""


async def upgrade(owner_url: str, mode: Mode, revision: str = "head") -> None:
    """Migrate, write or check the mode.

    Empty tables are not analyzed: knowing of no rows, the planner would scan them whole, in plans
    that connections keep long after. `analyze` is for tables that have been filled.

    Raises NotReady, ModeMismatch, Unavailable.
    """
    async with _Owner(owner_url) as connection:
        await _refuse_half_made_roles(connection)
        await _check_mode(connection, mode)
        if revision != "head" or await _revision(connection) != newest():
            await connection.run_sync(_alembic, "upgrade", revision)
        await connection.execute(
            text("insert into deployment (mode) values (:mode) on conflict do nothing"),
            {"mode": mode},
        )
        await _check_mode(connection, mode)
        await connection.execute(text(_NO_TEMPORARY_TABLES))


def newest() -> str:
    """The newest revision, by the names of the files: each begins with its own."""
    return max(file.name for file in resource_path("alembic/versions").glob("0*.py"))[:4]


async def analyze(owner_url: str) -> None:
    """Renew the planner's statistics: after seeding, or plans made on empty tables scan them whole.

    Raises Unavailable.
    """
    async with _Owner(owner_url) as connection:
        await connection.execute(text("analyze"))


async def downgrade(owner_url: str, revision: str = "base") -> None:
    """Take the schema back. Raises Unavailable."""
    async with _Owner(owner_url) as connection:
        await connection.run_sync(_alembic, "downgrade", revision)


async def check_mode(connection: AsyncConnection, mode: Mode) -> None:
    """Refuse to start where the database is of the other mode, or not migrated. Any role may ask.

    Raises NotReady, ModeMismatch.
    """
    if not await _check_mode(connection, mode):
        raise NotReady("the database is not migrated yet")


async def check_application_role(connection: AsyncConnection) -> None:
    """Refuse to serve as a role that row-level security does not bind. Raises NotReady."""
    if await connection.scalar(text(_UNBOUND_ROLE)):
        raise NotReady(
            "WISER_DATABASE_URL: serve as wiser_app, not as a superuser or the owner of the tables"
        )


class _Owner:
    """One connection with the lock held, committed step by step, closed at the end."""

    def __init__(self, url: str) -> None:
        self._engine = create_async_engine(asyncpg_url(url), poolclass=NullPool)

    async def __aenter__(self) -> AsyncConnection:
        with unavailable():
            self._connection = await self._engine.connect()
            await self._connection.execution_options(isolation_level="AUTOCOMMIT")
            await self._connection.execute(text("select pg_advisory_lock(:n)"), {"n": _LOCK})
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()
        await self._engine.dispose()


def _alembic(connection: Connection, step: str, revision: str) -> None:
    # Loaded here alone: it takes a tenth of a start, and most starts have nothing to migrate.
    from alembic.config import Config

    from alembic import command

    config = Config(str(resource_path("alembic.ini")))
    config.attributes["connection"] = connection
    # All of a migration or none of it, on the connection that holds the lock.
    connection.execute(text("begin"))
    try:
        getattr(command, step)(config, revision)
    except BaseException:
        connection.execute(text("rollback"))
        raise
    connection.execute(text("commit"))


async def _exists(connection: AsyncConnection, table: str) -> bool:
    query = text("select to_regclass('public.' || :table) is not null")
    return bool(await connection.scalar(query, {"table": table}))


async def _revision(connection: AsyncConnection) -> str | None:
    if not await _exists(connection, "alembic_version"):
        return None
    revision: str | None = await connection.scalar(text("select version_num from alembic_version"))
    return revision


async def _refuse_half_made_roles(connection: AsyncConnection) -> None:
    complaints = (await connection.execute(text(_COMPLAINTS))).scalars().all()
    if complaints:
        raise NotReady(
            "the database is not prepared (see wiser_fhir/db/roles.sql): " + "; ".join(complaints)
        )


async def _check_mode(connection: AsyncConnection, mode: Mode) -> bool:
    """Whether a mode is written; raises ModeMismatch where it is the other one."""
    if not await _exists(connection, "deployment"):
        return False
    written = await connection.scalar(text("select mode from deployment"))
    if written not in (None, mode):
        raise ModeMismatch(f"this is a {written} database and WISER_MODE says {mode}")
    return written is not None
