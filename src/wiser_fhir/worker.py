"""The worker process: every job of a deployment, until a signal comes."""

import asyncio
import signal
from collections.abc import Callable

from wiser_fhir import jobs
from wiser_fhir.audit.startup import record_start
from wiser_fhir.clock import Clock
from wiser_fhir.db import migrate
from wiser_fhir.db.engine import transaction
from wiser_fhir.deployment.checks import check_mode, check_worker
from wiser_fhir.deployment.database import Database, opened
from wiser_fhir.deployment.keys import settings_digest
from wiser_fhir.settings import Settings
from wiser_fhir.web.application import installed_version
from wiser_fhir.work import work_of


async def run(settings: Settings, clock: Clock, ready: Callable[[], None]) -> None:
    """Work until SIGTERM or SIGINT. Raises NotReady, EmbeddedError, Unavailable."""
    check_mode(settings)
    check_worker(settings)
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
    engine = database.engine(pool_size=1)
    try:
        async with transaction(engine) as db:
            await migrate.check_mode(db, settings.mode)
            await record_start(db, "worker", settings_digest(settings), installed_version())
    finally:
        await engine.dispose()
    async with work_of(settings, database, clock) as jobs_to_do:
        ready()
        await jobs.work(jobs_to_do, stop)
