"""What every command begins with, the settings and the database as the owner role, and how an act
is done: with its audit row.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Detail, write
from wiser_fhir.db import migrate
from wiser_fhir.db.engine import enter, transaction
from wiser_fhir.deployment.checks import check_mode
from wiser_fhir.deployment.database import Database, opened, owner_url
from wiser_fhir.deployment.keys import index, vault
from wiser_fhir.egress.url import Origin, read_origin
from wiser_fhir.settings import Settings, SettingsError
from wiser_fhir.web.logs import configure


def settings_of_environment() -> Settings:
    """The settings; logging is set up by them. Raises SettingsError."""
    settings = Settings.from_env()
    configure(settings.log_level)
    return settings


def sandbox_only(command: str) -> Settings:
    """The settings of a sandbox. Raises SettingsError for another mode."""
    settings = settings_of_environment()
    if not settings.sandbox:
        raise SettingsError(f"WISER_MODE: `{command}` is for the sandbox: set WISER_MODE=sandbox")
    check_mode(settings)
    return settings


def extra_origins(settings: Settings) -> list[Origin]:
    """Where a sandbox takes http as well; production heeds none."""
    origins = (read_origin(each) for each in settings.sandbox_hosts if settings.sandbox)
    return [each for each in origins if each is not None]


@asynccontextmanager
async def as_owner(settings: Settings, command: str) -> AsyncIterator[AsyncEngine]:
    """The database of these settings as the owner role. Raises SettingsError without its URL."""
    async with AsyncExitStack() as stack:
        database = Database("", owner_url(settings), vault(settings), index(settings))
        if settings.sandbox:
            database = await stack.enter_async_context(opened(settings))
        engine = database.owner_engine()
        if engine is None:
            raise SettingsError(f"WISER_DATABASE_OWNER_URL: {command} needs it")
        stack.push_async_callback(engine.dispose)
        yield engine


@asynccontextmanager
async def acting(settings: Settings, command: str) -> AsyncIterator[AsyncConnection]:
    """A transaction of the owner role, for an act and its audit row.

    Raises SettingsError, NotReady, ModeMismatch, Unavailable.
    """
    async with as_owner(settings, command) as engine, transaction(engine) as db:
        await migrate.check_mode(db, settings.mode)
        yield db


async def done(
    db: AsyncConnection,
    action: str,
    *,
    organization_id: UUID | None = None,
    client_id: UUID | None = None,
    object_kind: str | None = None,
    object_id: str | None = None,
    detail: Detail | None = None,
) -> None:
    """Have an act on the audit trail, in the transaction of the act."""
    if organization_id is not None:
        await enter(db, organization_id)
    row = AuditRow(
        request_id=uuid4(),
        action=action,
        outcome="done",
        organization_id=organization_id,
        client_id=client_id,
        object_kind=object_kind,
        object_id=object_id,
        detail=detail or {},
    )
    await write(db, row)


@asynccontextmanager
async def as_app(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The database of these settings as the application's role."""
    async with opened(settings) as database:
        engine = database.engine(pool_size=1)
        try:
            yield engine
        finally:
            await engine.dispose()
