"""`Claim/$submit` against its floors, and its latency at half its rate."""

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from uuid import UUID, uuid4

from bench import database, floor, processes
from bench.loads import Load, load
from bench.requests import Template, submission

WORKERS = 2
PAIRS = 3
SECONDS = 8
SUBMIT = "/fhir/Claim/$submit"


class WrongAnswer(RuntimeError):
    """The server did something else than what is to be measured."""


@dataclass(frozen=True, slots=True)
class Turns:
    """The same load on the flow and on its floors, by turns."""

    flow: tuple[Load, ...]
    rows: tuple[Load, ...]
    one: tuple[Load, ...]
    half: Load
    rows_per_request: int
    affirmed: int

    def ratio(self, floors: tuple[Load, ...]) -> float:
        """Median over the turns of the flow's rate as a share of the floor's."""
        pairs = zip(self.flow, floors, strict=True)
        return median(flow.per_second / floor.per_second for flow, floor in pairs)


def first_case(data_dir: Path, url: str, token: str, template: Template) -> UUID:
    """Send one request, look that it is affirmed, and give its case. Raises WrongAnswer."""
    request_id = str(uuid4())
    status, answer = processes.post(
        url + SUBMIT, template.body(time.time_ns() // 1000), token, request_id
    )
    if status != 200:
        raise WrongAnswer(f"$submit answered {status}: {answer[:2000].decode()}")
    found = database.value(
        data_dir,
        "select object_id from audit_event where request_id = $1 and object_id is not null",
        UUID(request_id),
    )
    return UUID(found)


def status_of(data_dir: Path, case_id: UUID) -> str:
    """How a case stands."""
    status: str = database.value(
        data_dir, "select status from prior_auth_case where id = $1", case_id
    )
    return status


def measure(data_dir: Path) -> Turns:
    """Two workers of the flow and two of the floors on one database, measured by turns.

    Raises LoadError, StartError, WrongAnswer.
    """
    template = submission()
    with ExitStack() as stack:
        flow = [stack.enter_context(processes.serve(data_dir)) for _ in range(WORKERS)]
        token = processes.token(data_dir)
        case_id = first_case(data_dir, flow[0].url, token, template)
        if status_of(data_dir, case_id) != "affirmed":
            raise WrongAnswer(f"the request became {status_of(data_dir, case_id)}")
        database.run(data_dir, floor.make_tables)
        floors = [stack.enter_context(processes.floor(data_dir, case_id)) for _ in range(WORKERS)]
        return _by_turns(data_dir, template, token, [s.url for s in flow], [s.url for s in floors])


def _by_turns(
    data_dir: Path, template: Template, token: str, flow: list[str], floors: list[str]
) -> Turns:
    routes = {
        "flow": [url + SUBMIT for url in flow],
        "rows": [url + "/rows" for url in floors],
        "one": [url + "/one" for url in floors],
    }
    loads: dict[str, list[Load]] = {name: [] for name in routes}
    for urls in routes.values():  # caches, pools, prepared statements
        load(urls, template, 2, token=token)
    database.execute(data_dir, "analyze")
    affirmed = 0
    for _ in range(PAIRS):
        for name, urls in routes.items():
            database.execute(data_dir, "checkpoint")
            before = _counts(data_dir)
            sent = load(urls, template, SECONDS, token=token).check()
            loads[name].append(sent)
            affirmed += _written(name, sent, before, _counts(data_dir))
    rate = median(each.per_second for each in loads["flow"]) / 2
    database.execute(data_dir, "checkpoint")
    before = _counts(data_dir)
    half = load(routes["flow"], template, SECONDS + 2, token=token, rate=rate, connections=32)
    affirmed += _written("flow", half, before, _counts(data_dir))
    return Turns(
        flow=tuple(loads["flow"]),
        rows=tuple(loads["rows"]),
        one=tuple(loads["one"]),
        half=half.check(),
        rows_per_request=_rows_per_request(data_dir),
        affirmed=affirmed,
    )


def _counts(data_dir: Path) -> Mapping[str, int]:
    counted = {
        "flow": "select count(*) from prior_auth_case where status = 'affirmed'",
        "rows": "select count(*) from floor.prior_auth_case",
        "one": "select count(*) from floor.one",
    }
    return {name: database.value(data_dir, query) for name, query in counted.items()}


def _written(name: str, sent: Load, before: Mapping[str, int], after: Mapping[str, int]) -> int:
    """How many cases were affirmed. Raises WrongAnswer unless each request left its rows."""
    written = after[name] - before[name]
    if written != sent.sent:
        raise WrongAnswer(f"{name}: {sent.sent} requests sent, {written} found in the database")
    return written if name == "flow" else 0


def _rows_per_request(data_dir: Path) -> int:
    """How many rows the floor writes for each request, counted where it wrote them."""
    counts = [
        database.value(data_dir, f"select count(*) from floor.{table}")  # noqa: S608
        for table in database.TABLES
    ]
    rows, requests = sum(counts), database.value(data_dir, "select count(*) from floor.submission")
    return int(rows // requests)


def middle(loads: tuple[Load, ...]) -> Load:
    """The load whose rate is the median."""
    return sorted(loads, key=lambda each: each.per_second)[len(loads) // 2]
