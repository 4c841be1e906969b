"""What every command begins with: the settings, and the database as the owner role."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.deployment import Database, index, opened, owner_url, vault
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
    settings.check_mode()
    return settings


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
async def as_app(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """The database of these settings as the application's role."""
    async with opened(settings) as database:
        engine = database.engine(pool_size=1)
        try:
            yield engine
        finally:
            await engine.dispose()
