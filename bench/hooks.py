"""The order-sign hook beside a bare echo: few and many orders, and with a round trip to the EHR.

Every call brings a JWT of its own, as an EHR's do, for another member.
"""

import re
import time
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import orjson

from bench import database, processes
from bench.loads import Load, load
from bench.requests import MEMBER, Template
from bench.submit import WORKERS, WrongAnswer
from tests.bundle_resources import concept, procedure
from tests.conformance.inferno.crd.build import order_sign
from tests.conformance.inferno.crd.resources import ICD_10
from tests.e2e.crd.calling import ISSUER
from tests.e2e.crd.fake_ehr import FakeEhr, fake_ehr
from wiser_fhir.sandbox.ehr import cds_token

ORDERS = (1, 5, 20)
ROUNDS = 3
SECONDS = 2
HALF_SECONDS = 6
DRAIN = 1
SERVICE = "/cds-services/order-sign-crd"
EHR_TOKEN = "made-up"  # noqa: S105
_SERIAL = "000000000000"
# How much faster than in the warm-up a load may be before a JWT is used a second time.
_SPARE = 1.5
# What is ordered, in turns: services of the model, and one that is none.
_ASKED = (("64483", "M54.16"), ("22514", "M80.08XA"), ("15275", "E11.621"), ("72148", "M54.16"))


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of hook call: how many orders it has, and how often the EHR is asked for it."""

    name: str
    orders: int
    fetches: int
    template: Template


@dataclass(frozen=True, slots=True)
class Turns:
    """The same load on the hook and on the floor, by turns, for each kind of call."""

    calls: tuple[Call, ...]
    flow: dict[str, tuple[Load, ...]]
    floor: dict[str, tuple[Load, ...]]
    half: Load

    def ratio(self, name: str) -> float:
        """Median over the rounds of the hook's rate as a share of the floor's."""
        pairs = zip(self.flow[name], self.floor[name], strict=True)
        return median(flow.per_second / floor.per_second for flow, floor in pairs)

    def milliseconds(self, name: str) -> float:
        """Median over the rounds of what one call takes of all the machine's time."""
        return median(1000 / each.per_second for each in self.flow[name])


def calls(ehr: FakeEhr) -> tuple[Call, ...]:
    """Order-sign of 1, 5 and 20 drafts with all in prefetch, and of one without its Location."""
    whole = tuple(Call(f"{n} order{'s' if n > 1 else ''}", n, 0, _template(ehr, n)) for n in ORDERS)
    lacking = Call("1 order, 1 round trip to the EHR", 1, 1, _template(ehr, 1, without="locations"))
    return (*whole, lacking)


def _template(ehr: FakeEhr, orders: int, without: str = "") -> Template:
    body: dict[str, Any] = deepcopy(order_sign("2.2")[0])
    body["fhirServer"] = ehr.base
    body["hookInstance"] = f"d1577c69-dfbe-44ad-ba6d-{_SERIAL}"
    body["prefetch"].pop(without, None)
    drafts = body["context"]["draftOrders"]
    usual = drafts["entry"][0]["resource"]
    asked = [_ASKED[n % len(_ASKED)] for n in range(orders)]
    drafts["entry"] = [
        {
            "resource": usual
            | {"id": f"order-{n}", "code": procedure(code)}
            | {"reasonCode": [concept(ICD_10, diagnosis)]}
        }
        for n, (code, diagnosis) in enumerate(asked)
    ]
    pieces = re.split(f"({MEMBER}|{_SERIAL})".encode(), orjson.dumps(body))
    names = {MEMBER.encode(): "member", _SERIAL.encode(): "serial"}
    return Template(tuple(pieces[::2]), tuple(names[mark] for mark in pieces[1::2]))


@dataclass(frozen=True, slots=True)
class _Flow:
    """The servers under test: all have one public address, so that a JWT is good for each."""

    data_dir: Path
    urls: tuple[str, ...]
    public_url: str

    def tokens(self, count: int) -> list[str]:
        """New JWTs."""
        key = (self.data_dir / "sandbox-ehr.key").read_bytes()
        url = self.public_url + SERVICE
        return [cds_token(key, ISSUER, url, datetime.now(UTC)) for _ in range(count)]

    def look_at(self, call: Call) -> None:
        """One call, answered as expected. Raises WrongAnswer."""
        [token] = self.tokens(1)
        body = call.template.body(time.time_ns())
        status, answer = processes.post(self.urls[0] + SERVICE, body, token)
        told = len(orjson.loads(answer).get("systemActions", ())) if status == 200 else 0
        if told != call.orders or b"auth-needed" not in answer:
            raise WrongAnswer(f"{call.name}: {status}, {answer[:2000].decode()}")

    def load(self, call: Call, seconds: int, tokens: int, **pace: Any) -> Load:
        """A load that leaves behind what it should. Raises LoadError, WrongAnswer."""
        before = self._counts()
        urls = [url + SERVICE for url in self.urls]
        sent = load(
            *(urls, call.template, seconds),
            tokens=self.tokens(tokens),
            drain=DRAIN,
            **pace,
        ).check()
        wanted = [sent.sent, sent.sent * call.orders, sent.sent * call.fetches]
        found = [after - old for after, old in zip(self._counts(), before, strict=True)]
        if found != wanted:
            raise WrongAnswer(f"{call.name}: {found} rows, assertions and fetches, not {wanted}")
        return sent

    def _counts(self) -> list[int]:
        queries = (
            "select count(*) from hook_call where status = 200",
            "select count(*) from coverage_assertion",
            "select coalesce(sum(fetched), 0) from hook_call",
        )
        return [int(database.value(self.data_dir, query)) for query in queries]


def measure(data_dir: Path) -> Turns:
    """Two workers of the hook, two of the floor, one EHR.

    Raises LoadError, StartError, WrongAnswer.
    """
    public_url = f"http://127.0.0.1:{processes.free_port()}"
    with ExitStack() as stack:
        ehr = stack.enter_context(fake_ehr(EHR_TOKEN))
        settings = {"WISER_PUBLIC_URL": public_url, "WISER_SANDBOX_HOSTS": ehr.url}
        servers = [
            stack.enter_context(processes.serve(data_dir, settings=settings))
            for _ in range(WORKERS)
        ]
        floors = [stack.enter_context(processes.echo(data_dir)) for _ in range(WORKERS)]
        flow = _Flow(data_dir, tuple(each.url for each in servers), public_url)
        return _by_turns(flow, [f"{each.url}/echo" for each in floors], calls(ehr))


def _by_turns(flow: _Flow, floors: list[str], kinds: tuple[Call, ...]) -> Turns:
    tokens = {}
    for call in kinds:  # caches, pools, prepared statements
        flow.look_at(call)
        warm = flow.load(call, 1, 200)
        tokens[call.name] = int(warm.per_second * SECONDS * _SPARE)
    load(floors, kinds[0].template, 1, drain=DRAIN)
    database.execute(flow.data_dir, "analyze")
    flows: dict[str, list[Load]] = {call.name: [] for call in kinds}
    floor: dict[str, list[Load]] = {call.name: [] for call in kinds}
    for _ in range(ROUNDS):
        for call in kinds:
            database.execute(flow.data_dir, "checkpoint")
            flows[call.name].append(flow.load(call, SECONDS, tokens[call.name]))
            # Where the EHR is asked the floor is that of the same call with all in prefetch.
            same = next(each for each in kinds if each.orders == call.orders)
            if same is call:
                sent = load(floors, call.template, SECONDS, drain=DRAIN).check()
                floor[call.name].append(sent)
            else:
                floor[call.name].append(floor[same.name][-1])
    first = kinds[0]
    rate = median(each.per_second for each in flows[first.name]) / 2
    database.execute(flow.data_dir, "checkpoint")
    needed = int(rate * HALF_SECONDS * _SPARE)
    half = flow.load(first, HALF_SECONDS, needed, rate=rate, connections=32)
    return Turns(
        kinds,
        {name: tuple(each) for name, each in flows.items()},
        {name: tuple(each) for name, each in floor.items()},
        half,
    )
