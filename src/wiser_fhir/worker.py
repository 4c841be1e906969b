"""Work that no request waits for, done again and again until a signal comes.

Each job is safe to do twice and by two workers at once: it changes only what is still to change.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import date, timedelta
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.app import Database, opened
from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.auth import cds_jwt, tokens
from wiser_fhir.clock import Clock, business_date
from wiser_fhir.db import migrate
from wiser_fhir.db.engine import create_engine, is_away, transaction
from wiser_fhir.errors import Unavailable
from wiser_fhir.settings import Settings
from wiser_fhir.web.logs import described

log = logging.getLogger(__name__)

EVERY_SECONDS = 60.0
# A token is kept a day after its end, so that who asks why it was refused can be told.
_TOKENS_KEPT = timedelta(days=1)
# A JWT only until it is over by every server's clock: there may be one for each hook call.
_JWTS_KEPT = timedelta(hours=1)

_ORGANIZATIONS = text("select id from organization order by id")

_EXPIRE = text("""
update utn set state = 'expired', ended_at = :now
where organization_id = :organization_id and state = 'assigned' and valid_until < :today
""")

Job = Callable[[], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Worker:
    """The jobs and what they work on."""

    engine: AsyncEngine
    owner: AsyncEngine | None
    clock: Clock

    async def expire_utns(self) -> int:
        """End each UTN the day after its last day. Source: WISeR Operational Guide 6.0, 4.3."""
        now = self.clock()
        async with transaction(self.engine) as db:
            organizations = (await db.execute(_ORGANIZATIONS)).scalars().all()
        return sum([await self._expire_for(each, business_date(now)) for each in organizations])

    async def _expire_for(self, organization_id: UUID, today: date) -> int:
        values = {"organization_id": organization_id, "now": self.clock(), "today": today}
        async with transaction(self.engine, organization_id) as db:
            expired = (await db.execute(_EXPIRE, values)).rowcount
            if expired:
                row = AuditRow(
                    request_id=uuid4(),
                    action="utn.expire",
                    outcome="done",
                    organization_id=organization_id,
                    detail={"count": expired},
                )
                await write(db, row)
        return expired

    async def purge_tokens(self) -> int:
        """Forget tokens and CDS Hooks JWTs that ended.

        Only the owner role may, so only where its URL is known.
        """
        if self.owner is None:
            return 0
        async with transaction(self.owner) as db:
            ended = await tokens.purge(db, self.clock() - _TOKENS_KEPT)
            return ended + await cds_jwt.purge(db, self.clock() - _JWTS_KEPT)

    async def once(self) -> None:
        """Every job once. One that fails does not keep the next from its turn."""
        jobs: dict[str, Job] = {
            "expire-utns": self.expire_utns,
            "purge-tokens": self.purge_tokens,
        }
        for name, job in jobs.items():
            try:
                done = await job()
            except Exception as error:
                facts = {"job": name, **described(error)}
                if isinstance(error, Unavailable) or is_away(error):
                    log.warning("database away", extra=facts)
                else:
                    log.error("job failed", extra=facts)  # no traceback: it ends in the text
            else:
                if done:
                    log.info("job done", extra={"job": name, "count": done})


async def run(
    settings: Settings,
    clock: Clock,
    ready: Callable[[], None],
    every: float = EVERY_SECONDS,
) -> None:
    """Work until SIGTERM or SIGINT. Raises NotReady, EmbeddedError, Unavailable."""
    settings.check_mode()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with opened(settings) as database:
        await _work(settings, database, clock, ready, stop, every)


async def _work(
    settings: Settings,
    database: Database,
    clock: Clock,
    ready: Callable[[], None],
    stop: asyncio.Event,
    every: float,
) -> None:
    engine = create_engine(database.app, pool_size=1)
    owner = create_engine(database.owner, pool_size=1) if database.owner else None
    try:
        async with transaction(engine) as db:
            await migrate.check_mode(db, settings.mode)
        worker = Worker(engine, owner, clock)
        ready()
        while not stop.is_set():
            await worker.once()
            try:
                await asyncio.wait_for(stop.wait(), every)
            except TimeoutError:
                continue
    finally:
        await engine.dispose()
        if owner is not None:
            await owner.dispose()
