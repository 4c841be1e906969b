"""`Claim/$inquire` over few cases and over many, by turns at the same rate."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import orjson

from bench import bulk, database, processes
from bench.loads import Load, load
from bench.requests import Template, dismissed, inquiry, member_number, pended, submission
from bench.submit import WrongAnswer, first_case, status_of

FEW = 10_000
TURNS = 3
SECONDS = 12
INQUIRE = "/fhir/Claim/$inquire"
_WARM_UP_SECONDS = 4
_SOME = 20

# What the copied cases are, in tenths.
_KINDS = ((submission, "affirmed", 7), (pended, "in-review", 2), (dismissed, "dismissed", 1))


@dataclass(frozen=True, slots=True)
class Growth:
    """The same load on both, in turns; how long the filling of the larger took, in seconds."""

    few: tuple[Load, ...]
    many: tuple[Load, ...]
    cases: int
    filled_in: float
    answered_cases: float

    @property
    def ratio(self) -> float:
        """p99 over many cases as a multiple of that over few, each the median of its turns."""
        return self.middle(self.many).p99_ms / self.middle(self.few).p99_ms

    @staticmethod
    def middle(loads: tuple[Load, ...]) -> Load:
        """The turn whose p99 is the median."""
        return sorted(loads, key=lambda each: each.p99_ms)[len(loads) // 2]


@dataclass(frozen=True, slots=True)
class Side:
    """A server over so many cases, and a token of the organization that asks."""

    data_dir: Path
    url: str
    token: str
    cases: int


@dataclass(frozen=True, slots=True)
class Sides:
    """The two that are compared; how long the filling of the larger took, in seconds."""

    few: Side
    many: Side
    seconds: float

    @property
    def both(self) -> dict[str, Side]:
        """Each by its name."""
        return {"few": self.few, "many": self.many}


@contextmanager
def over(folder: Path, many: int) -> Iterator[Sides]:
    """Two databases, two servers. Raises StartError, WrongAnswer."""
    with ExitStack() as stack:
        sides = []
        seconds = 0.0
        for name, cases in (("few", FEW), ("many", many)):
            data_dir = folder / name
            server = stack.enter_context(processes.serve(data_dir))
            token = processes.token(data_dir)
            seconds = _filled(data_dir, server.url, token, cases)
            sides.append(Side(data_dir, server.url, token, cases))
        yield Sides(sides[0], sides[1], seconds)


def measure(sides: Sides) -> Growth:
    """The same inquiries on both. Raises LoadError, WrongAnswer."""
    template = inquiry()
    sizes = {name: side.cases for name, side in sides.both.items()}
    targets = {name: (side.url + INQUIRE, side.token) for name, side in sides.both.items()}
    shown = {n: _shown(target, template, sizes[n]) for n, target in targets.items()}
    (few_shown, _), (many_shown, _) = shown.values()
    if min(few_shown, many_shown) < 1 or abs(few_shown - many_shown) > 1:
        raise WrongAnswer(f"an answer shows {few_shown} of few, {many_shown} of many cases")
    loads = _by_turns(targets, template, sizes)
    for name, each in loads.items():
        _check_sizes(each, shown[name][1])
    many = sides.many.cases
    return Growth(tuple(loads["few"]), tuple(loads["many"]), many, sides.seconds, many_shown)


def _filled(data_dir: Path, url: str, token: str, cases: int) -> float:
    samples = {}
    for make, status, tenths in _KINDS:
        case_id = first_case(data_dir, url, token, make())
        if status_of(data_dir, case_id) != status:
            raise WrongAnswer(f"{status_of(data_dir, case_id)} where {status} was expected")
        samples[case_id] = tenths
    started = time.monotonic()
    asyncio.run(bulk.fill(data_dir, samples, cases))
    found = database.value(data_dir, "select count(*) from prior_auth_case")
    if found != cases + len(samples):
        raise WrongAnswer(f"{found} cases after filling with {cases}")
    return time.monotonic() - started


def _shown(target: tuple[str, str], template: Template, cases: int) -> tuple[float, float]:
    """Cases and bytes in an answer, on average over some members. Raises WrongAnswer."""
    url, token = target
    asked = bulk.members(cases)
    some = range(0, asked.count, asked.count // _SOME)
    counts, sizes = [], []
    for n in some:
        body = template.body(0, member_number(n * asked.step))
        status, answer = processes.post(url, body, token)
        if status != 200:
            raise WrongAnswer(f"$inquire answered {status}: {answer[:2000].decode()}")
        counts.append(len(orjson.loads(answer).get("parameter", ())))
        sizes.append(len(answer))
    return mean(counts), mean(sizes)


def _check_sizes(loads: list[Load], expected: float) -> None:
    """Whether answers under load are as large as those looked at. Raises WrongAnswer."""
    size = mean(each.bytes / each.answered for each in loads)
    if not 0.9 < size / expected < 1.2:
        raise WrongAnswer(f"answers of {size:.0f} bytes where {expected:.0f} were expected")


def _by_turns(
    targets: dict[str, tuple[str, str]], template: Template, sizes: dict[str, int]
) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {name: [] for name in targets}
    rate = 0.0
    for name, (url, token) in targets.items():
        members = bulk.members(sizes[name])
        fastest = load([url], template, _WARM_UP_SECONDS, token=token, members=members)
        rate = min(rate, fastest.per_second / 2) if rate else fastest.per_second / 2
    for _ in range(TURNS):
        for name, (url, token) in targets.items():
            members = bulk.members(sizes[name])
            sent = load(
                [url], template, SECONDS, token=token, rate=rate, members=members, connections=32
            )
            loads[name].append(sent.check())
    return loads
