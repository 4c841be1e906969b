"""`$questionnaire-package` and `$next-question` beside two bare floors.

One floor sends back what it was sent, the other answers as many bytes as the product does. What an
answer has to hold is known before it is asked for: a step of a form is walked in process first.
"""

import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

import orjson

from bench import database, processes
from bench.hooks import SERVICE as ORDER_SIGN
from bench.loads import Load, load
from bench.requests import Template
from bench.submit import WORKERS, WrongAnswer
from tests import adaptive_walks
from tests.crd_bodies import Record, hook_call
from tests.e2e.crd.calling import ISSUER, informed, said
from tests.package_bodies import CODES, a_call
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.dtr.forms import Form, Forms
from wiser_fhir.dtr.package import Packages
from wiser_fhir.fhir.codes import LINES
from wiser_fhir.sandbox.ehr import cds_token

PACKAGE = "/fhir/Questionnaire/$questionnaire-package"
NEXT_QUESTION = "/fhir/Questionnaire/$next-question"
USUAL = "epidural-steroid-injection"
ROUNDS = 3
SECONDS = 2
HALF_SECONDS = 6
DRAIN = 1
_MOST_OF_A_HEAD = 1_000
_SENT = ("dtr.package", "sent")
_TURNS = 5

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One kind of call: what is sent, which row of the audit trail it leaves, and what its answer
    holds: the form's service, or the questions asked so far."""

    name: str
    path: str
    template: Template
    audited: tuple[str, str]
    expected: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Turns:
    """The same load on the operation and on each floor, by turns, for each kind of call.

    `first` is the slowest first call of a server in seconds, `sizes` are bytes of an answer.
    """

    calls: tuple[Call, ...]
    flow: dict[str, tuple[Load, ...]]
    echo: dict[str, tuple[Load, ...]]
    sized: dict[str, tuple[Load, ...]]
    half: dict[str, Load]
    first: dict[str, float]
    sizes: dict[str, int]
    started: float

    def ratio(self, name: str, floors: dict[str, tuple[Load, ...]]) -> float:
        """Median over the rounds of the operation's rate as a share of a floor's."""
        pairs = zip(self.flow[name], floors[name], strict=True)
        return median(flow.per_second / floor.per_second for flow, floor in pairs)

    def milliseconds(self, name: str) -> float:
        """Median over the rounds of what one call takes of all the machine's time."""
        return median(1000 / each.per_second for each in self.flow[name])

    def p95(self, name: str) -> float:
        """The slowest 95th percentile of the rounds, in ms: at full load."""
        return max(each.p95_ms for each in self.flow[name])


@dataclass(frozen=True, slots=True)
class Built:
    """What all forms are: seconds to build them, how many, and the one with the largest package."""

    seconds: float
    forms: int
    largest: str
    bytes: int


def built() -> Built:
    """Build every form of both lines, in process, and write each package."""
    bases = adaptive_walks.BASES
    catalogue = Catalogue.load()
    turns = []
    for _ in range(_TURNS):
        started = time.perf_counter()
        forms = Forms.load(catalogue, bases)
        turns.append(time.perf_counter() - started)
    on = datetime.now(UTC).date()
    sizes = {
        form: len(Packages(line, bases[line]).bundle(form, {}, UUID(int=0), on))
        for line in LINES
        for form in forms.current(line, on)
    }
    form = max(sizes, key=lambda each: sizes[each])
    return Built(median(turns), len(sizes), form.canonical, sizes[form])


def _by_order() -> Call:
    """By an order alone, for another member each time."""
    record = Record.of("2.2")
    body = a_call(record.order(CODES[USUAL]), coverage=record.held["Coverage/coverage"])
    name = "$questionnaire-package, by order"
    return Call(name, PACKAGE, Template.of(body), _SENT, (USUAL,))


def _largest_form() -> Form:
    """The adaptive form with the most questions."""
    on = adaptive_walks.TODAY
    adaptive = (form for form in adaptive_walks.forms().current("2.2", on) if form.adaptive)
    return max(adaptive, key=lambda form: len(form.rules.questions))


def _middle_step() -> Call:
    """The middle step of the largest adaptive form, as walked in process."""
    form = _largest_form()
    choose = adaptive_walks.meeting(form.rules)
    replies = list(adaptive_walks.walk(form, choose))
    middle = (len(replies) - 2) // 2
    sent = adaptive_walks.filled(replies[middle], form.rules, choose)
    after = replies[middle + 1]
    return Call(
        f"$next-question, step {middle + 2} of {len(replies)} of {form.rules.slug}",
        NEXT_QUESTION,
        Template((orjson.dumps(sent),), ()),
        ("dtr.next-question", "asked"),
        tuple(adaptive_walks.link_ids(after)),
    )


@dataclass(frozen=True, slots=True)
class _Flow:
    """The servers under test: all have one public address, so that a JWT is good for each."""

    data_dir: Path
    urls: tuple[str, ...]
    public_url: str
    token: str

    def by_context(self) -> Call:
        """By an order that CRD has answered, and the id of its answer. Raises WrongAnswer."""
        record = Record.of("2.2")
        order = record.order(CODES[USUAL])
        key = (self.data_dir / "sandbox-ehr.key").read_bytes()
        jwt = cds_token(key, ISSUER, self.public_url + ORDER_SIGN, datetime.now(UTC))
        body = orjson.dumps(hook_call("order-sign", record, order))
        told = informed(self.ask(self.urls[0] + ORDER_SIGN, body, jwt)[0])
        [assertion] = said(told, "coverage-assertion-id")
        coverage = record.held["Coverage/coverage"]
        call = orjson.dumps(a_call(told, coverage=coverage, context=assertion))
        name = "$questionnaire-package, by order and context"
        template = Template((call,), ())
        return Call(name, PACKAGE, template, _SENT, (USUAL,))

    def ask(self, url: str, body: bytes, token: str) -> tuple[Json, int]:
        """The answer to one call, and its bytes. Raises WrongAnswer."""
        status, answer = processes.post(url, body, token)
        if status != 200:
            raise WrongAnswer(f"{url}: {status}, {answer[:2000].decode()}")
        return orjson.loads(answer), len(answer)

    def look_at(self, call: Call, url: str) -> tuple[float, int]:
        """One call, answered as expected: seconds and bytes. Raises WrongAnswer."""
        started = time.monotonic()
        answer, size = self.ask(url + call.path, call.template.body(0), self.token)
        took = time.monotonic() - started
        found = (_packed if call.path == PACKAGE else _asked)(answer)
        if found != call.expected:
            raise WrongAnswer(f"{call.name}: {found} in the answer, not {call.expected}")
        return took, size

    def load(self, call: Call, seconds: int, size: int, **pace: Any) -> Load:
        """A load whose answers are as large as those looked at, each with its row in the audit
        trail. Raises LoadError, WrongAnswer."""
        before = self._audited(call)
        urls = [url + call.path for url in self.urls]
        sent = load(urls, call.template, seconds, token=self.token, drain=DRAIN, **pace).check()
        if self._audited(call) - before != sent.sent:
            raise WrongAnswer(f"{call.name}: {sent.sent} sent, not as many in the audit trail")
        _check_size(sent, size)
        return sent

    def _audited(self, call: Call) -> int:
        query = "select count(*) from audit_event where action = $1 and outcome = $2"
        return int(database.value(self.data_dir, query, *call.audited))


def _packed(answer: Json) -> tuple[str, ...]:
    """The services of an answer's packages, each with its draft and its logic."""
    found = []
    for each in answer["parameter"]:
        form, draft, *others = (entry["resource"] for entry in each["resource"]["entry"])
        about = [told.get("valueReference", {}).get("reference") for told in draft["extension"]]
        if "Coverage/coverage" in about and "ServiceRequest/order" in about and others:
            found.append(form["id"].removesuffix(f"-{form['version']}"))
    return tuple(found)


def _asked(answer: Json) -> tuple[str, ...]:
    return tuple(adaptive_walks.link_ids(answer))


def _check_size(sent: Load, size: int) -> None:
    """Whether the answers are of this many bytes, their heads aside. Raises WrongAnswer."""
    found = sent.bytes / sent.answered
    if not size < found < size + _MOST_OF_A_HEAD:
        raise WrongAnswer(f"answers of {found:.0f} bytes with their heads, {size} were expected")


def measure(data_dir: Path) -> Turns:
    """Two workers of the product, two of the floors. Raises LoadError, StartError, WrongAnswer."""
    public_url = f"http://127.0.0.1:{processes.free_port()}"
    settings = {"WISER_PUBLIC_URL": public_url}
    processes.serve(data_dir, settings=settings).stop()  # makes the database
    with ExitStack() as stack:
        began = time.monotonic()
        servers = [stack.enter_context(processes.serve(data_dir, settings=settings))]
        started = time.monotonic() - began
        while len(servers) < WORKERS:
            servers.append(stack.enter_context(processes.serve(data_dir, settings=settings)))
        floors = [stack.enter_context(processes.echo(data_dir)).url for _ in range(WORKERS)]
        urls = tuple(each.url for each in servers)
        flow = _Flow(data_dir, urls, public_url, processes.token(data_dir))
        calls = (_by_order(), flow.by_context(), _middle_step())
        return _by_turns(flow, floors, calls, started)


def _by_turns(flow: _Flow, floors: list[str], calls: tuple[Call, ...], started: float) -> Turns:
    first, sizes = {}, {}
    for call in calls:
        looks = [flow.look_at(call, url) for url in flow.urls]
        first[call.name] = max(took for took, _ in looks)
        sizes[call.name] = looks[-1][1]
    for call in calls:  # caches, pools, prepared statements
        _round(flow, floors, call, sizes[call.name], 1)
    database.execute(flow.data_dir, "analyze")
    rounds = [
        {call.name: _round(flow, floors, call, sizes[call.name], SECONDS) for call in calls}
        for _ in range(ROUNDS)
    ]
    by_kind = {
        kind: {call.name: tuple(each[call.name][kind] for each in rounds) for call in calls}
        for kind in ("flow", "echo", "sized")
    }
    half = {call.name: _half(flow, call, by_kind["flow"], sizes) for call in calls}
    return Turns(calls, **by_kind, half=half, first=first, sizes=sizes, started=started)


def _round(flow: _Flow, floors: list[str], call: Call, size: int, seconds: int) -> dict[str, Load]:
    """The operation, then each floor with the same call."""
    database.execute(flow.data_dir, "checkpoint")
    loads = {"flow": flow.load(call, seconds, size)}
    for kind, path in (("echo", "/echo"), ("sized", f"/bytes/{size}")):
        urls = [url + path for url in floors]
        loads[kind] = load(urls, call.template, seconds, drain=DRAIN).check()
    _check_size(loads["sized"], size)
    return loads


def _half(
    flow: _Flow, call: Call, loads: dict[str, tuple[Load, ...]], sizes: dict[str, int]
) -> Load:
    """The load of half the rate that a kind of call reached."""
    rate = median(each.per_second for each in loads[call.name]) / 2
    database.execute(flow.data_dir, "checkpoint")
    size = sizes[call.name]
    return flow.load(call, HALF_SECONDS, size, rate=rate, connections=32)
