"""A real `wiser-fhir worker` in a process of its own, as an operator starts it."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from threading import Timer

from tests.e2e.serving import PROGRAM

_START_WITHIN = 60.0


def started_worker(
    environment: Mapping[str, str], program: Sequence[str] = PROGRAM
) -> "subprocess.Popen[str]":
    """A worker that has said that it works. Whoever started it ends it."""
    command = [sys.executable, *program, "worker"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(environment))
    late = Timer(_START_WITHIN, process.kill)
    late.start()
    assert process.stdout is not None
    said = process.stdout.readline()
    late.cancel()
    if said != "working\n":
        killed(process)
        raise AssertionError(f"the worker did not start: {said!r}")
    return process


def killed(process: "subprocess.Popen[str]") -> None:
    """SIGKILL: nothing of the process gets to clean up."""
    process.kill()
    process.wait(timeout=30)
    if process.stdout is not None:
        process.stdout.close()
