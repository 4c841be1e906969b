"""Jobs are done again and again, and none keeps another from its turn."""

import asyncio

import pytest

from wiser_fhir.errors import Unavailable
from wiser_fhir.jobs import Job, work

A_WHILE = 3600.0


class Done:
    """Counts its turns and stops the work after some of them."""

    def __init__(self, stop: asyncio.Event, after: int, finds: int = 1) -> None:
        self.turns = 0
        self._stop, self._after, self._finds = stop, after, finds

    async def __call__(self) -> int:
        self.turns += 1
        if self.turns == self._after:
            self._stop.set()
        return self._finds


async def broken() -> int:
    raise RuntimeError("Ada Canary")


async def away() -> int:
    raise Unavailable("The database is away.")


async def test_what_finds_something_to_do_looks_again_at_once() -> None:
    stop = asyncio.Event()
    done = Done(stop, after=3)
    await asyncio.wait_for(work([Job("busy", A_WHILE, done)], stop), timeout=10)
    assert done.turns == 3


async def test_what_finds_nothing_waits_and_a_stop_ends_the_wait() -> None:
    stop = asyncio.Event()
    idle = Done(stop, after=2, finds=0)
    busy = Done(stop, after=5)
    await asyncio.wait_for(
        work([Job("idle", A_WHILE, idle), Job("busy", A_WHILE, busy)], stop), timeout=10
    )
    assert (idle.turns, busy.turns) == (1, 5)


async def test_a_job_that_fails_keeps_none_from_its_turn(
    caplog: pytest.LogCaptureFixture,
) -> None:
    stop = asyncio.Event()
    done = Done(stop, after=2)
    jobs = [Job("broken", A_WHILE, broken), Job("works", A_WHILE, done)]
    await asyncio.wait_for(work(jobs, stop), timeout=10)
    assert done.turns == 2
    assert "job failed" in caplog.text
    assert "Canary" not in caplog.text


async def test_a_database_that_is_away_is_no_fault_of_the_job(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await Job("waits", A_WHILE, away).once() == 0
    assert "database away" in caplog.text
    assert "job failed" not in caplog.text
