"""A real `wiser-fhir worker` in a process of its own."""

from collections.abc import Mapping

from tests.e2e.program import Program, Started, command, start


def started_worker(environment: Mapping[str, str], program: Program = command) -> Started:
    """A worker that has said that it works. Whoever started it ends it."""
    process = start(environment, "worker", program=program)
    said = process.line()
    if said != "working\n":
        process.kill()
        raise AssertionError(f"the worker did not start: {said!r}")
    return process
