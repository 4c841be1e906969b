"""A small EHR in a process of its own: it holds one made-up chart, and behaves as a path tells it.

Below `/fhir` it answers as it should. Below `/slow/fhir` it is slow with everything, below
`/slow.Location/fhir` with Locations alone; `BEHAVIOURS` has the others. `/seen` tells what it was
asked. As a command it serves on a port of its own: `python -m tests.e2e.crd.fake_ehr TOKEN`.
"""

import argparse
import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer

import httpx
import uvloop

from tests.bundle_values import MEMBERS, Json
from tests.conformance.inferno.crd.resources import Chart
from wiser_fhir import exact

MEMBER = MEMBERS[0]
PATIENT = Chart("2.2", MEMBER).patient_id
ORDER = "ServiceRequest/injection"
ENCOUNTER = "encounter-in-progress"

BEHAVIOURS = (
    "slow", "dribble", "endless", "garbage", "half", "html", "away", "redirect",
    "401", "403", "404", "500",
)  # fmt: skip
TROUBLE = tuple(each for each in BEHAVIOURS if each not in ("403", "404"))
"""Those that do not say what is so: whatever was asked for may well exist."""

_ROOT = Path(__file__).parents[3]
_START_WITHIN = 60.0
_SLOW_SECONDS = 30.0
_DROP_SECONDS = 0.1
_REASONS = {200: "OK", 302: "Found", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"}


def holdings() -> dict[str, Json]:
    """What the EHR knows, by `Type/id`. The order asks for 1.00 of what it asks for."""
    chart = Chart("2.2", MEMBER)
    role = {
        "resourceType": "PractitionerRole",
        "id": "role",
        "practitioner": {"reference": "Practitioner/practitioner"},
        "organization": {"reference": "Organization/facility"},
    }
    order = chart.service("injection", "64483", "M54.16", performer=None)
    order |= {
        "requester": {"reference": "PractitionerRole/role"},
        "quantityQuantity": {"value": exact.Number("1.00")},
    }
    found = [*chart.people(), chart.encounter("in-progress"), role, order]
    return {f"{each['resourceType']}/{each['id']}": each for each in found}


@dataclass
class _Ehr:
    token: str
    elsewhere: str
    holds: dict[str, Json] = field(default_factory=holdings)
    connections: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, request after request."""
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                target = head.split(" ", 2)[1]
                if target == "/seen":
                    self.connections -= 1
                    writer.write(_http(200, self._seen(), more="Connection: close\r\n"))
                    break
                await self._answer(target, _authorization(head), writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _seen(self) -> bytes:
        seen = {"connections": self.connections, "asked": self.asked, "tokens": self.tokens}
        return json.dumps(seen).encode()

    async def _answer(self, target: str, token: str, writer: asyncio.StreamWriter) -> None:
        self.asked[target] += 1
        self.tokens[token] += 1
        prefix, found, name = target.partition("/fhir/")
        behaviour, _, kind = prefix.removeprefix("/").partition(".")
        if behaviour and (not kind or name.startswith(kind)):
            await self._misbehave(behaviour, target, writer)
        elif token != f"Bearer {self.token}":
            writer.write(_http(401, b"{}"))
        else:
            resource = self._resource(name) if found else None
            status = 404 if resource is None else 200
            writer.write(_http(status, b"{}" if resource is None else exact.dumps(resource)))

    def _resource(self, name: str) -> Json | None:
        kind, searched, query = name.partition("?")
        if not searched:
            return self.holds.get(name)
        if (kind, query) != ("Coverage", f"patient={PATIENT}&status=active"):
            return None
        found = [{"resource": self.holds["Coverage/coverage"], "search": {"mode": "match"}}]
        return {"resourceType": "Bundle", "type": "searchset", "total": 1, "entry": found}

    async def _misbehave(self, behaviour: str, target: str, writer: asyncio.StreamWriter) -> None:
        match behaviour:
            case "slow":
                await asyncio.sleep(_SLOW_SECONDS)
            case "dribble" | "endless":
                await _never_ending(writer, _DROP_SECONDS if behaviour == "dribble" else 0)
            case "garbage":
                writer.write(b"\x00\xff\x00 this is no HTTP\r\n\r\n")
            case "half":
                writer.write(_http(200, b'{"resourceType":"Location","id":"locat'))
            case "html":
                writer.write(_http(200, b"<p>Please log in</p>", kind="text/html"))
            case "away":
                writer.transport.abort()
            case "redirect":
                place = f"Location: {self.elsewhere}{target.removeprefix('/redirect')}\r\n"
                writer.write(_http(302, b"", more=place))
            case status:
                writer.write(_http(int(status), b"{}"))


def _authorization(head: str) -> str:
    lines = (line.partition(":") for line in head.split("\r\n")[1:])
    return next((value.strip() for name, _, value in lines if name.lower() == "authorization"), "")


def _http(
    status: int, body: bytes, *, kind: str = "application/fhir+json", more: str = ""
) -> bytes:
    reason = _REASONS.get(status, "Trouble")
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{more}\r\n".encode() + body


async def _never_ending(writer: asyncio.StreamWriter, pause: float) -> None:
    """A resource whose text never ends: byte after byte, or as fast as anybody reads."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\n\r\n")
    writer.write(b'{"resourceType":"Location","id":"location","name":"')
    while True:
        writer.write(b"x" if pause else b"x" * 65_536)
        await writer.drain()
        await asyncio.sleep(pause)


@dataclass(frozen=True, slots=True)
class Seen:
    """What an EHR was asked: connections, requests by path, and by Authorization header."""

    connections: int
    asked: dict[str, int]
    tokens: dict[str, int]


@dataclass(frozen=True, slots=True)
class FakeEhr:
    """An EHR that answers at `url`, to those who bring `token`."""

    url: str
    token: str

    @property
    def base(self) -> str:
        """Where it behaves."""
        return f"{self.url}/fhir"

    def behaving(self, how: str) -> str:
        """A base where it does not: one of `BEHAVIOURS`, with `.Type` for that type alone."""
        return f"{self.url}/{how}/fhir"

    def seen(self) -> Seen:
        """What it was asked so far."""
        return Seen(**httpx.get(f"{self.url}/seen").json())


@contextmanager
def fake_ehr(token: str, elsewhere: str = "http://127.0.0.1:9") -> Iterator[FakeEhr]:
    """An EHR on a free port; `elsewhere` is where it redirects to."""
    command = [sys.executable, "-m", "tests.e2e.crd.fake_ehr", token, "--elsewhere", elsewhere]
    with subprocess.Popen(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True) as process:
        late = Timer(_START_WITHIN, process.kill)
        late.start()
        try:
            assert process.stdout is not None
            ready = process.stdout.readline()
            late.cancel()
            assert ready.startswith("ready http"), ready
            yield FakeEhr(ready.split()[1], token)
        finally:
            late.cancel()
            process.kill()


async def _serve(token: str, elsewhere: str) -> None:
    server = await asyncio.start_server(_Ehr(token, elsewhere).serve, "127.0.0.1", 0)
    print(f"ready http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.crd.fake_ehr", description=__doc__)
    parser.add_argument("token", help="the Bearer token it wants")
    parser.add_argument("--elsewhere", default="http://127.0.0.1:9", help="where it redirects to")
    options = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(options.token, options.elsewhere))


if __name__ == "__main__":
    main()
