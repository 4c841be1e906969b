"""One server with the limits it has by default, a neighbour who calls it all the time, attackers.

What an attack must not do is told by `Town.watched`: the neighbour's requests fail or wait long,
the server grows.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import orjson

from tests.bundles import MEMBERS, Json, affirming_answers, request_bundle
from tests.e2e.hostile.wire import Caller
from tests.e2e.serving import Running
from wiser_fhir.sandbox import ehr

# Of what the neighbour waits under attack: so many times its 99th percentile at rest, and for a
# machine that does much else beside, no bound below this.
TIMES = 20.0
AT_LEAST_SECONDS = 5.0
MOST_GROWTH_MIB = 200
_REST_SECONDS = 4.0
# Whom the sandbox's clinic asks for.
NPI = "1999000015"
MARK = "neighbour-identifier-mark"
ORIGIN = "https://payer.sandbox.example"
TOKEN = f"{ORIGIN}/oauth/token"


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of the neighbour."""

    begun: float
    seconds: float
    status: int


def p99(asked: list[Asked]) -> float:
    """The 99th percentile of how long they took."""
    took = sorted(each.seconds for each in asked)
    return took[ceil(len(took) * 0.99) - 1]


@dataclass
class Watch:
    """What the neighbour and the server's memory did during an attack."""

    asked: list[Asked] = field(default_factory=list)
    growth_mib: float = 0.0
    rest_p99: float = 0.0

    @property
    def p99(self) -> float:
        """How long the neighbour waited."""
        return p99(self.asked)

    @property
    def failed(self) -> list[Asked]:
        """Requests of the neighbour that were not answered as they should be."""
        return [each for each in self.asked if each.status not in (200, 404)]

    def check(self) -> None:
        """The neighbour was served and the server stayed as it was."""
        assert self.asked
        assert not self.failed
        assert self.p99 <= max(AT_LEAST_SECONDS, TIMES * self.rest_p99)
        assert self.growth_mib < MOST_GROWTH_MIB


@dataclass
class Town:
    """A running server and who lives beside it."""

    server: Running
    environment: Mapping[str, str]
    attacker_token: str = field(repr=False)
    journal: Path
    idle_mib: float = 0.0
    rest_p99: float = 0.0

    @property
    def key(self) -> bytes:
        """By which every client of the sandbox proves itself."""
        return (Path(self.environment["WISER_DATA_DIR"]) / "sandbox-ehr.key").read_bytes()

    def attacker(self, address: str) -> Caller:
        """A client of another organization than the neighbour's."""
        return Caller(self.server.url, self.attacker_token, address)

    def stranger(self, address: str) -> Caller:
        """Somebody without a token."""
        return Caller(self.server.url, None, address)

    def assertion(self, client: str = "sandbox-ehr", audience: str = TOKEN) -> str:
        """What a client proves itself by, once."""
        return ehr.client_assertion(self.key, client, audience, datetime.now(UTC))

    def rest(self) -> None:
        """Measure the neighbour and the memory while nothing else goes on."""
        begun = time.monotonic()
        time.sleep(_REST_SECONDS)
        self.rest_p99 = p99(self.asked_since(begun))
        self.idle_mib = memory_mib(self.server.process.pid, "VmRSS")

    def asked_since(self, begun: float) -> list[Asked]:
        """The neighbour's requests that began then or later and are answered."""
        lines = self.journal.read_text().splitlines()
        found = [Asked(float(a), float(b), int(c)) for a, b, c in map(str.split, lines)]
        return [each for each in found if each.begun >= begun]

    def neighbour_seconds(self) -> float:
        """What the neighbour usually waits."""
        return median(each.seconds for each in self.asked_since(0.0))

    @contextmanager
    def watched(self) -> Iterator[Watch]:
        """The neighbour and the memory while the block lasts; the last request is waited for."""
        pid, watch = self.server.process.pid, Watch(rest_p99=self.rest_p99)
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # begin the high-water mark anew
        begun = time.monotonic()
        yield watch
        ended = time.monotonic()
        while not (later := self.asked_since(ended)) or len(later) < 2:
            time.sleep(0.05)
        watch.asked = self.asked_since(begun)
        watch.growth_mib = memory_mib(pid, "VmHWM") - self.idle_mib


def memory_mib(pid: int, kind: str) -> float:
    """What a process holds (VmRSS), or has held at most (VmHWM)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition(f"{kind}:")[2].split()[0]) / 1024


def clinic_bundle(identifier: str) -> Json:
    """A request that the neighbour may make."""
    now = datetime.now(UTC)
    return request_bundle(
        "2.2",
        identifier=identifier,
        created=now - timedelta(hours=1),
        service_date=(now + timedelta(days=21)).date(),
        answers=affirming_answers("epidural-steroid-injection"),
        requestor_npi=NPI,
    )


@contextmanager
def neighbour(url: str, token: str, folder: Path) -> Iterator[Path]:
    """The neighbour at work until the block ends; what it writes down."""
    place = urlsplit(url)
    settings, journal = folder / "neighbour.json", folder / "neighbour.journal"
    body = orjson.dumps(clinic_bundle(MARK)).decode()
    said = {"host": place.hostname, "port": place.port, "token": token, "identifier": MARK}
    said["member"] = MEMBERS[0].mbi
    settings.write_text(json.dumps({**said, "body": body}))
    settings.chmod(0o600)
    program = Path(__file__).with_name("neighbour.py")
    with subprocess.Popen([sys.executable, str(program), str(settings), str(journal)]) as process:
        try:
            while not journal.exists() or not journal.read_text():
                time.sleep(0.05)
            yield journal
        finally:
            process.kill()
