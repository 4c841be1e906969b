"""The server as its command starts it, and what the system tells of its process."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self
from urllib.parse import urlsplit
from uuid import UUID

from bench.requests import ROOT

COMMAND = Path(sys.executable).with_name("wiser-fhir")
_START_SECONDS = 60.0


class StartError(RuntimeError):
    """A process did not come up; the text has the end of what it said."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers at `url`; as a context manager it is stopped at the end."""

    url: str
    process: subprocess.Popen[str]

    def rss_mb(self) -> float:
        """Resident memory of the process alone, in MB of 1,000,000 bytes."""
        shown = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(shown.stdout) * 1024 / 1e6

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it in order, or else at once."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def start(
    arguments: Sequence[str], data_dir: Path, log: Path, settings: Mapping[str, str] | None = None
) -> Running:
    """Start a command that prints `ready URL` once it answers. Raises StartError."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            arguments,
            cwd=ROOT,
            env={**environment(data_dir), **(settings or {})},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    line = _first_line(process.stdout)
    if not line.startswith("ready "):
        process.kill()
        process.wait()
        raise StartError(f"{' '.join(arguments)}: {log.read_text()[-1000:]}")
    return Running(line.split()[1], process)


def _first_line(output: IO[str] | None) -> str:
    return output.readline() if output is not None else ""


def environment(data_dir: Path) -> dict[str, str]:
    """Ours, with the settings of a sandbox in `data_dir` and no other of the product's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WISER_")}
    wide = {"WISER_CALLER_REQUESTS": "100000", "WISER_CALLER_RATE": "1000000"}
    return {**kept, **wide, "WISER_MODE": "sandbox", "WISER_DATA_DIR": str(data_dir)}


def serve(data_dir: Path, port: int = 0, settings: Mapping[str, str] | None = None) -> Running:
    """One worker of the product over the embedded database in `data_dir`. Raises StartError.

    `settings` are further ones than a sandbox needs.
    """
    arguments = [str(COMMAND), "serve", "--port", str(port)]
    return start(arguments, data_dir, data_dir.with_suffix(".log"), settings)


def floor(data_dir: Path, case_id: UUID) -> Running:
    """One worker of the floors (see floor.py). Raises StartError."""
    arguments = [sys.executable, "-m", "bench.floor", str(data_dir), str(case_id)]
    return start(arguments, data_dir, data_dir.with_suffix(".floor.log"))


def echo(data_dir: Path) -> Running:
    """One worker of the floor of hooks (see echo.py). Raises StartError."""
    arguments = [sys.executable, "-m", "bench.echo"]
    return start(arguments, data_dir, data_dir.with_suffix(".floor.log"))


def token(data_dir: Path, person: str | None = None) -> str:
    """A token of the sandbox's clearinghouse, or of somebody who reviews. Raises StartError."""
    holder = ["--client", "sandbox-ehr"] if person is None else ["--person", person]
    issued = subprocess.run(
        [str(COMMAND), "token", *holder],
        cwd=ROOT,
        env=environment(data_dir),
        capture_output=True,
        text=True,
        check=False,
    )
    if issued.returncode:
        raise StartError(issued.stderr)
    return issued.stdout.strip()


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def post(url: str, body: bytes, token: str, request_id: str | None = None) -> tuple[int, bytes]:
    """One request; status and answer."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/fhir+json"}
    if request_id is not None:
        headers["X-Request-Id"] = request_id
    return _exchange("POST", url, body, headers)


def get(url: str, token: str) -> tuple[int, bytes]:
    """One request without a body; status and answer."""
    return _exchange("GET", url, None, {"Authorization": f"Bearer {token}"})


def wait_for(url: str) -> None:
    """Ask until a 200 comes. Raises StartError."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        try:
            if _exchange("GET", url, None, {})[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.005)
    raise StartError(f"{url} does not answer")


def _exchange(
    method: str, url: str, body: bytes | None, headers: dict[str, str]
) -> tuple[int, bytes]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
    try:
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
