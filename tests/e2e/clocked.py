"""A server or a worker in a process of its own, by a clock that a test moves.

`by(clock)` is a program that does what `wiser-fhir serve` and `wiser-fhir worker` do, but for two
things. It goes by the clock, a file that holds an instant: that of its writing, from which time
goes on. And the server does no work beside.
"""

import asyncio
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from tests.e2e.program import Program
from wiser_fhir import server, worker
from wiser_fhir.app import create_app
from wiser_fhir.clock import Clock, utc_now
from wiser_fhir.settings import Settings


@dataclass(frozen=True)
class FileClock:
    """The time of every process that reads this file."""

    file: Path

    def __call__(self) -> datetime:
        """The present instant."""
        with self.file.open() as opened:
            written = datetime.fromtimestamp(os.fstat(opened.fileno()).st_mtime, UTC)
            return datetime.fromisoformat(opened.read()) + (utc_now() - written)

    def move(self, to: datetime) -> None:
        """From now on it is another time. Nobody sees half an instant."""
        new = self.file.with_suffix(".new")
        new.write_text(to.isoformat())
        new.replace(self.file)


def serve(settings: Settings, clock: Clock) -> None:
    """Serve on a free port until SIGTERM."""
    bound = server.bind("127.0.0.1", 0)
    address = server.address_of(bound, "127.0.0.1", tls=False)
    app = create_app(settings.model_copy(update={"public_url": address}), clock)
    listeners = [server.Listener(bound)]
    server.run(app, listeners, lambda: print(f"ready {address}", flush=True), server.Limits())


def work(settings: Settings, clock: Clock) -> None:
    """Work until SIGTERM."""
    asyncio.run(worker.run(settings, clock, lambda: print("working", flush=True)))


def by(clock: FileClock) -> Program:
    """A program that serves or works by this clock."""
    return partial(_run, clock)


def _run(clock: FileClock, arguments: list[str]) -> None:
    act = {"serve": serve, "worker": work}[arguments[0]]
    act(Settings.from_env(), clock)
