"""A real `wiser-fhir serve` in a process of its own."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.program import Program, Started, command, printed, start
from tests.vaults import ENVIRONMENT
from wiser_fhir.db.embedded import Urls


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers at `url`."""

    process: Started
    url: str

    def kill(self) -> None:
        """SIGKILL: nothing of the process gets to clean up."""
        self.process.kill()


def sandbox(urls: Urls, data_dir: Path) -> dict[str, str]:
    """The environment of a sandbox on a database that is there already."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("WISER_")}
    return clean | {
        "WISER_MODE": "sandbox",
        "WISER_DATABASE_URL": urls.app,
        "WISER_DATABASE_OWNER_URL": urls.owner,
        "WISER_DATA_DIR": str(data_dir),
        **ENVIRONMENT,
        "WISER_LOG_LEVEL": "error",
    }


@contextmanager
def serving(
    environment: Mapping[str, str], program: Program = command, errors: Path | None = None
) -> Iterator[Running]:
    """A server on a free port, whose log goes to `errors`. Ended by SIGTERM, if it still lives."""
    process = start(environment, "serve", "--port", "0", program=program, errors=errors)
    try:
        ready = process.line()
        assert ready.startswith("ready http"), ready
        yield Running(process, ready.split()[1])
    finally:
        process.end()


def token(environment: Mapping[str, str], client: str = "sandbox-ehr") -> str:
    """A token as the command prints it."""
    return printed(environment, "token", "--client", client, "--ttl", "1h").split()[-1]
