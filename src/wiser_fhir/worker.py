"""The worker process: every job of a deployment, until a signal comes."""

import asyncio
import signal
from collections.abc import Callable

from wiser_fhir import jobs
from wiser_fhir.clock import Clock
from wiser_fhir.db import migrate
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.deployment import Database, opened
from wiser_fhir.settings import Settings
from wiser_fhir.work import work_of


async def run(settings: Settings, clock: Clock, ready: Callable[[], None]) -> None:
    """Work until SIGTERM or SIGINT. Raises NotReady, EmbeddedError, Unavailable."""
    settings.check_mode()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with opened(settings) as database:
        await _work(settings, database, clock, ready, stop)


async def _work(
    settings: Settings,
    database: Database,
    clock: Clock,
    ready: Callable[[], None],
    stop: asyncio.Event,
) -> None:
    engine = create_engine(database.app, pool_size=1)
    try:
        async with transaction(engine) as db:
            await migrate.check_mode(db, settings.mode)
    finally:
        await engine.dispose()
    async with work_of(settings, database, clock) as jobs_to_do:
        ready()
        await jobs.work(jobs_to_do, stop)
