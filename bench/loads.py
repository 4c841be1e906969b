"""Load, by wrk: which requests, how fast, and what came of them.

wrk because it costs next to nothing beside the server on the same cores: a generator that eats the
machine slows a floor more than the flow and flatters their ratio.
"""

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bench.requests import IDENTIFIER_LENGTH, Template

SCRIPT = Path(__file__).with_name("load.lua")
DRAIN_SECONDS = 2
_RUN_LENGTH = IDENTIFIER_LENGTH - len("-00-000000000")


class LoadError(RuntimeError):
    """No load could be made, or it was not answered; the text says why."""


@dataclass(frozen=True, slots=True)
class Members:
    """Whose numbers the requests carry: each `step`-th of the first `count * step` made-up ones."""

    count: int = 10_000_019
    step: int = 1


@dataclass(frozen=True, slots=True)
class Load:
    """What came of a load. Latencies in ms; `late` requests left after their time."""

    seconds: float
    sent: int
    answered: int
    bytes: int
    late: int
    worst_late_ms: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float
    errors: dict[str, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Answered requests per second."""
        return self.answered / self.seconds

    @property
    def failed(self) -> int:
        """Requests without an answer, or with another than a good one."""
        return sum(self.errors.values()) + self.sent - self.answered

    def check(self) -> "Load":
        """This load, if every request was answered well. Raises LoadError."""
        if self.failed or not self.answered:
            raise LoadError(
                f"{self.sent} requests sent, {self.answered} answered, errors {self.errors}"
            )
        return self


def install() -> str:
    """Where wrk is; installed from the system's packages if it is missing. Raises LoadError."""
    if found := shutil.which("wrk"):
        return found
    commands = {"apt-get": [["update", "-q"], ["install", "-y", "-q", "wrk"]],
                "brew": [["install", "wrk"]]}  # fmt: skip
    for tool, steps in commands.items():
        if shutil.which(tool):
            print(f"installing wrk with {tool}", flush=True)
            prefix = _as_root() if tool == "apt-get" else []
            for step in steps:
                subprocess.run([*prefix, tool, *step], check=False, stdout=subprocess.DEVNULL)
            break
    if found := shutil.which("wrk"):
        return found
    raise LoadError("the load generator wrk is missing: `apt-get install wrk`, or `brew install`")


def _as_root() -> list[str]:
    return [] if os.geteuid() == 0 or shutil.which("sudo") is None else ["sudo", "-n"]


def load(
    urls: Sequence[str],
    template: Template,
    seconds: int,
    *,
    token: str | None = None,
    tokens: Sequence[str] = (),
    rate: float = 0,
    connections: int = 16,
    members: Members | None = None,
    method: str = "POST",
    drain: int = DRAIN_SECONDS,
) -> Load:
    """Send requests made of `template` to all `urls` in equal shares, a thread each.

    As fast as `connections` in all allow, or at `rate` requests per second. All bring `token`, or
    each the next of `tokens`. What was sent last has `drain` seconds to be answered.

    Raises LoadError.
    """
    members = members or Members()
    for url in urls:
        if urlsplit(url).hostname != "127.0.0.1":
            raise LoadError(f"a load goes to this machine only, not to {url}")
    plan = {
        "targets": [{"host": "127.0.0.1", "port": str(urlsplit(url).port)} for url in urls],
        "threads": len(urls),
        "head": _head(urls[0], template, token, method, open_ended=bool(tokens)),
        **({"tokens": list(tokens)} if tokens else {}),
        "parts": list(template.parts),
        "slots": list(template.slots),
        "run": secrets.token_hex(_RUN_LENGTH // 2),
        "seed": secrets.randbelow(10**9),
        "members": members.count,
        "member_step": members.step,
        "rate": rate,
        "milliseconds": seconds * 1000,
    }
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
        file.write(f"return {_lua(plan)}\n")
        file.flush()
        run = subprocess.run(
            [
                install(), f"-t{len(urls)}", f"-c{connections}", f"-d{seconds + drain}s",
                "--timeout", "10s", "-s", str(SCRIPT), urls[0],
            ],
            env={**os.environ, "LOAD_PLAN": file.name},
            capture_output=True,
            text=True,
            check=False,
            timeout=seconds + 60,
        )  # fmt: skip
    for line in run.stdout.splitlines():
        if line.startswith("RESULT "):
            return Load(seconds=seconds, **json.loads(line.removeprefix("RESULT ")))
    raise LoadError(f"wrk failed: {run.stdout[-500:]}{run.stderr[-500:]}")


def _head(
    url: str, template: Template, token: str | None, method: str, *, open_ended: bool
) -> bytes:
    """The head of each request; open-ended where a token is still to come."""
    parts = urlsplit(url)
    lines = [
        f"{method} {parts.path}{'?' if parts.query else ''}{parts.query} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Content-Type: application/fhir+json",
        f"Content-Length: {template.length}",
        *([f"Authorization: Bearer {token}"] if token else []),
    ]
    return ("\r\n".join(lines) + ("\r\n" if open_ended else "\r\n\r\n")).encode()


def _lua(value: Any) -> str:
    """A value as Lua source."""
    match value:
        case dict():
            return "{" + ",".join(f"{name}={_lua(each)}" for name, each in value.items()) + "}"
        case list():
            return "{" + ",".join(map(_lua, value)) + "}"
        case str():
            return _lua(value.encode())
        case bytes():
            return '"' + "".join(f"\\{byte:03d}" for byte in value) + '"'
        case _:
            return str(value)
