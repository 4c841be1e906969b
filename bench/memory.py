"""What a worker's memory does over many requests."""

import threading
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import database, processes
from bench.loads import Load, load
from bench.requests import submission
from bench.submit import SUBMIT, WrongAnswer, first_case

REQUESTS = 50_000
_MOST_SECONDS = 240
_STRETCH_SECONDS = 20
_EVERY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident MB of one worker: before, median of the second and of the last fifth, most."""

    requests: int
    before: float
    early: float
    late: float
    most: float
    loads: tuple[Load, ...]


def measure(data_dir: Path, requests: int) -> Memory:
    """Submits to one worker until `requests` are answered, or for some minutes on a slow machine.

    Raises LoadError, StartError, WrongAnswer.
    """
    template = submission()
    samples: list[float] = []
    loads: list[Load] = []
    with processes.serve(data_dir) as server:
        token = processes.token(data_dir)
        first_case(data_dir, server.url, token, template)
        before = server.rss_mb()
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(_EVERY_SECONDS):
                samples.append(server.rss_mb())

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            until = time.monotonic() + _MOST_SECONDS
            while sum(each.answered for each in loads) < requests and time.monotonic() < until:
                one = load([server.url + SUBMIT], template, _STRETCH_SECONDS, token=token)
                loads.append(one.check())
        finally:
            stop.set()
            watcher.join()
        affirmed = database.cases_by_status(data_dir).get("affirmed", 0) - 1
    answered = sum(each.answered for each in loads)
    if affirmed != answered:
        raise WrongAnswer(f"{answered} requests answered, {affirmed} cases affirmed")
    return Memory(
        requests=answered,
        before=before,
        early=median(samples[len(samples) // 5 : 2 * len(samples) // 5]),
        late=median(samples[4 * len(samples) // 5 :]),
        most=max(samples),
        loads=tuple(loads),
    )
