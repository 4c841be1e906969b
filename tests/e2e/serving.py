"""A real `wiser-fhir serve` in a process of its own, as an operator starts it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

from tests.vaults import ENVIRONMENT
from wiser_fhir.db.embedded import Urls

PROGRAM = ("-m", "wiser_fhir.cli")
_START_WITHIN = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers at `url`."""

    process: "subprocess.Popen[str]"
    url: str

    def kill(self) -> None:
        """SIGKILL: nothing of the process gets to clean up."""
        self.process.kill()
        self.process.wait(timeout=30)


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
def serving(environment: Mapping[str, str], program: Sequence[str] = PROGRAM) -> Iterator[Running]:
    """A server on a free port. Ended by SIGTERM, if it still lives."""
    command = [sys.executable, *program, "serve", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=dict(environment)
    ) as process:
        late = Timer(_START_WITHIN, process.kill)
        late.start()
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            late.cancel()
            assert ready.startswith("ready http"), ready
            yield Running(process, ready.split()[1])
        finally:
            late.cancel()
            process.terminate()
            process.wait(timeout=30)


def token(environment: Mapping[str, str], client: str = "sandbox-ehr") -> str:
    """A token as the command prints it."""
    command = [sys.executable, "-m", "wiser_fhir.cli", "token", "--client", client, "--ttl", "1h"]
    printed = subprocess.run(
        command, env=dict(environment), capture_output=True, text=True, check=True
    )
    return printed.stdout.split()[-1]
