"""From the command to its first answers, the embedded database included."""

import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from bench import processes
from bench.requests import submission
from bench.submit import SUBMIT, WrongAnswer

_STARTS = 5


@dataclass(frozen=True, slots=True)
class Starts:
    """Seconds. `first`: in an empty folder. `again`: what follows a stop; median.

    Each to the first answer to `GET metadata`, and to the first request answered by `$submit`.
    """

    first: float
    first_submit: float
    again: float
    again_submit: float


def measure(data_dir: Path) -> Starts:
    """Start, stop, start again. Raises StartError, WrongAnswer."""
    first, first_submit, token = _start(data_dir, None)
    again = [_start(data_dir, token)[:2] for _ in range(_STARTS)]
    return Starts(
        first=first,
        first_submit=first_submit,
        again=median(answered for answered, _ in again),
        again_submit=median(submitted for _, submitted in again),
    )


def _start(data_dir: Path, token: str | None) -> tuple[float, float, str]:
    """One start and stop: seconds to either answer, and a token.

    Getting a first token takes a command, whose time does not count.
    """
    port = processes.free_port()
    body = submission().body(time.time_ns() // 1000)
    started = time.monotonic()
    with processes.serve(data_dir, port) as server:
        processes.wait_for(server.url + "/fhir/metadata")
        answered = time.monotonic() - started
        if token is None:
            token = processes.token(data_dir)
        asked = time.monotonic()
        status, answer = processes.post(server.url + SUBMIT, body, token)
        submitted = answered + time.monotonic() - asked
    if status != 200:
        raise WrongAnswer(f"$submit answered {status}: {answer[:500].decode()}")
    return answered, submitted, token
