"""The command as an operator runs it: a process, its output, its exit code."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

COMMAND = [sys.executable, "-c", "from wiser_fhir.cli import main; main()"]
START_SECONDS = 60


def environment(**settings: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("WISER_")}
    return {**ours, **settings}


def sandbox(folder: Path) -> dict[str, str]:
    return environment(WISER_MODE="sandbox", WISER_DATA_DIR=str(folder))


def run(*arguments: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        env=env,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


@contextmanager
def started(
    *arguments: str, env: dict[str, str], folder: Path
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running command and the first line it printed."""
    with (folder / "stderr").open("w") as errors:
        process = subprocess.Popen(
            [*COMMAND, *arguments], env=env, stdout=subprocess.PIPE, stderr=errors, text=True
        )
        with process:
            try:
                assert process.stdout is not None
                yield process, process.stdout.readline().strip()
            finally:
                process.kill()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def ended(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str]:
    """Exit code after a signal, and what was printed after the first line."""
    process.send_signal(number)
    rest, _ = process.communicate(timeout=START_SECONDS)
    return process.returncode, rest


def logged_but_sealing(folder: Path) -> list[dict[str, Any]]:
    """The lines of the log, without those that tell of the audit trail's seals: the start of a
    command stands on it, and is sealed as soon as the jobs run."""
    lines = (folder / "stderr").read_text().splitlines()
    return [each for each in map(json.loads, lines) if not of_sealing(each)]


def of_sealing(logged: dict[str, Any]) -> bool:
    """Whether it tells that the audit trail was sealed, and nothing worse."""
    told = (logged["level"], logged["event"], logged.get("job"))
    return told in {
        ("info", "job done", "seal-audit"),
        ("info", "audit checkpoint written", None),
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_says_once_that_it_answers_and_ends_in_order(
    data: Path, tmp_path: Path, number: signal.Signals
) -> None:
    with started("serve", "--port", "0", env=sandbox(data), folder=tmp_path) as (process, line):
        match = re.fullmatch(r"ready (http://127\.0\.0\.1:(\d+))", line)
        assert match
        assert httpx.get(f"{match[1]}/readyz").status_code == 200
        statement = httpx.get(f"{match[1]}/fhir/metadata").json()
        assert statement["implementation"]["url"] == f"{match[1]}/fhir"
        assert ended(process, number) == (0, "")
    logged = logged_but_sealing(tmp_path)
    assert [each["event"] for each in logged] == ["request", "request"]
    assert [each["route"] for each in logged] == ["/readyz", "/fhir/metadata"]


def test_a_token_opens_the_doors_of_a_server_that_runs_and_shows_in_no_log(
    data: Path, tmp_path: Path
) -> None:
    with started("serve", "--port", "0", env=sandbox(data), folder=tmp_path) as (process, line):
        url = line.removeprefix("ready ")
        token = run("token", "--client", "sandbox-ehr", "--ttl", "5m", env=sandbox(data)).stdout
        headers = {"Authorization": f"Bearer {token.strip()}"}
        path = "/fhir/ClaimResponse/Canarybird"
        assert httpx.get(url + path).status_code == 401
        assert httpx.get(f"{url}{path}?name=Canarybird", headers=headers).status_code == 404
        assert ended(process, signal.SIGTERM)[0] == 0
    log = (tmp_path / "stderr").read_text()
    assert token.strip() not in log
    assert "Canarybird" not in log
    assert "/fhir/ClaimResponse/{" in log


def test_a_request_under_way_is_answered_before_the_end(data: Path, tmp_path: Path) -> None:
    with started("serve", "--port", "0", env=sandbox(data), folder=tmp_path) as (process, line):
        host, port = line.removeprefix("ready http://").split(":")
        with socket.create_connection((host, int(port)), timeout=START_SECONDS) as peer:
            peer.sendall(
                b"POST /fhir/Claim/$submit HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{"
            )
            time.sleep(0.2)
            process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            peer.sendall(b"}")
            assert peer.recv(65_536).startswith(b"HTTP/1.1 401")
        assert process.wait(START_SECONDS) == 0


def test_the_worker_works_until_a_signal(data: Path, tmp_path: Path) -> None:
    with started("worker", env=sandbox(data), folder=tmp_path) as (process, line):
        assert line == "working"
        assert ended(process, signal.SIGTERM) == (0, "")
    assert logged_but_sealing(tmp_path) == []


def test_migrate_and_reset_may_be_run_again(data: Path) -> None:
    assert run("migrate", env=sandbox(data)).stdout == "migrated\n"
    assert run("migrate", env=sandbox(data)).stdout == "migrated\n"
    assert run("sandbox", "reset", env=sandbox(data)).stdout == "the sandbox is empty\n"
    assert run("form-errors", env=sandbox(data)).stdout == "no errors reported\n"
    narrowed = ["--since", "2026-11-20", "--questionnaire", "skin-substitutes"]
    assert run("form-errors", *narrowed, env=sandbox(data)).stdout == "no errors reported\n"
    assert run("form-errors", "--since", "soon", env=sandbox(data)).returncode == 2


def test_a_taken_port_is_one_line(data: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run("serve", "--port", port, env=sandbox(data))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_a_refused_token_is_one_line(data: Path) -> None:
    arguments = ["--client", "sandbox-clinic-reader", "--scope", "system/Claim.c"]
    done = run("token", *arguments, env=sandbox(data))
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""
