"""Work that no request waits for: jobs, each done again and again at its own pace.

A job is safe to do twice and by two workers at once: it changes only what is still to change. Kill
a worker at any line and another one finds what is left to do.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from wiser_fhir.db.engine import is_away
from wiser_fhir.errors import Unavailable
from wiser_fhir.web.logs import described

log = logging.getLogger(__name__)

# While there is more to do the pause is short, but there is one: a job that never comes to an end
# must not keep the others from the processor.
_BREATH_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be done every so many seconds. `work` returns how much it found to do."""

    name: str
    every: float
    work: Callable[[], Awaitable[int]]

    async def once(self) -> int:
        """Do it. What goes wrong is logged, without a word of what it was about."""
        try:
            done = await self.work()
        except Exception as error:
            facts = {"job": self.name, **described(error)}
            if isinstance(error, Unavailable) or is_away(error):
                log.warning("database away", extra=facts)
            else:
                log.error("job failed", extra=facts)  # no traceback: it ends in the text
            return 0
        if done:
            log.info("job done", extra={"job": self.name, "count": done})
        return done


async def work(jobs: Iterable[Job], stop: asyncio.Event) -> None:
    """Do all jobs side by side until `stop` is set; what has begun then is finished."""
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(_again_and_again(job, stop))


async def _again_and_again(job: Job, stop: asyncio.Event) -> None:
    while not stop.is_set():
        done = await job.once()
        try:
            await asyncio.wait_for(stop.wait(), _BREATH_SECONDS if done else job.every)
        except TimeoutError:
            continue
