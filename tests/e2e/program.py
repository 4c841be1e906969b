"""Commands of ours, each in a process of its own, without reading the code for each anew.

Reading it takes most of a start. So a process that has read it, and has done nothing else, gives
each command a copy of itself. `tests/e2e/server` starts commands as an operator does.
"""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from threading import Timer
from typing import TextIO

WITHIN = 60.0
_STDOUT, _STDERR = 1, 2

# What a process does with the arguments of a command.
Program = Callable[[list[str]], None]

_reader = multiprocessing.get_context("forkserver")
_reader.set_forkserver_preload(["wiser_fhir.cli", "wiser_fhir.app", "wiser_fhir.worker", __name__])


def command(arguments: list[str]) -> None:
    """`wiser-fhir` with these arguments."""
    from wiser_fhir.cli import main

    sys.argv = ["wiser-fhir", *arguments]
    main()


@dataclass(frozen=True, slots=True)
class Started:
    """A process that runs. Whoever started it ends it."""

    process: BaseProcess
    output: TextIO

    @property
    def pid(self) -> int:
        """Its number."""
        assert self.process.pid is not None
        return self.process.pid

    def line(self) -> str:
        """The next line it prints; empty if it prints none in a minute and is killed."""
        late = Timer(WITHIN, self.process.kill)
        late.start()
        try:
            return self.output.readline()
        finally:
            late.cancel()

    def end(self) -> None:
        """SIGTERM, and wait."""
        self.process.terminate()
        self._ended()

    def kill(self) -> None:
        """SIGKILL: nothing of the process gets to clean up."""
        self.process.kill()
        self._ended()

    def _ended(self) -> None:
        self.process.join(WITHIN)
        self.output.close()
        assert self.process.exitcode is not None


def start(
    environment: Mapping[str, str],
    *arguments: str,
    program: Program = command,
    errors: Path | None = None,
) -> Started:
    """Start a command. What it says on the standard error goes to `errors`, if that is a file."""
    reads, writes = multiprocessing.Pipe(duplex=False)
    process = _reader.Process(
        target=_carry_out,
        args=(writes, errors, dict(environment), program, list(arguments)),
        daemon=True,
    )
    process.start()
    writes.close()
    with reads:
        return Started(process, os.fdopen(os.dup(reads.fileno())))


def printed(environment: Mapping[str, str], *arguments: str) -> str:
    """What a command that must succeed prints."""
    with tempfile.NamedTemporaryFile("r") as errors:
        running = start(environment, *arguments, errors=Path(errors.name))
        late = Timer(WITHIN, running.process.kill)
        late.start()
        said = running.output.read()
        running.process.join(WITHIN)
        late.cancel()
        running.output.close()
        assert running.process.exitcode == 0, errors.read()
    return said


def _carry_out(
    writes: Connection,
    errors: Path | None,
    environment: dict[str, str],
    program: Program,
    arguments: list[str],
) -> None:
    os.dup2(writes.fileno(), _STDOUT)
    writes.close()
    if errors is not None:
        with errors.open("wb") as file:
            os.dup2(file.fileno(), _STDERR)
    os.environ.clear()
    os.environ.update(environment)
    try:
        program(arguments)
    finally:
        with suppress(BrokenPipeError):
            sys.stdout.flush()
