"""Pages of the reviewers' queue over few cases and over many, by turns at the same rate."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import orjson

from bench import processes
from bench.inquire import Growth, Side, Sides
from bench.loads import Load, load
from bench.requests import Template
from bench.submit import WrongAnswer

TURNS = 3
SECONDS = 8
PATH = "/review/cases"
REVIEWER = "Rhoda Reviewer"
_WARM_UP_SECONDS = 3
_DEEP_PAGES = 5
_NOTHING = Template((b"",), ())

# What is asked for. `deep` is the sixth page.
PAGES: Mapping[str, Mapping[str, str]] = {
    "first page": {},
    "by state and priority, deep": {"state": "TX", "order": "priority"},
    "one's own": {"assignee": "me"},
    "affirmed, newest first": {"status": "affirmed"},
}
_DEEP = "by state and priority, deep"


@dataclass(frozen=True, slots=True)
class Paged:
    """One kind of page over few cases and over many; how many cases a page shows."""

    name: str
    growth: Growth
    shown: int


def measure(sides: Sides) -> list[Paged]:
    """Each kind of page. Raises LoadError, StartError, WrongAnswer."""
    tokens = {
        name: processes.token(side.data_dir, person=REVIEWER) for name, side in sides.both.items()
    }
    return [_paged(name, asked, sides, tokens) for name, asked in PAGES.items()]


def _paged(name: str, asked: Mapping[str, str], sides: Sides, tokens: Mapping[str, str]) -> Paged:
    urls = {n: _url(side, asked, tokens[n], deep=name == _DEEP) for n, side in sides.both.items()}
    shown = {n: len(_page(url, tokens[n])["cases"]) for n, url in urls.items()}
    if len(set(shown.values())) > 1 or not min(shown.values()):
        raise WrongAnswer(f"{name}: a page shows {shown}")
    loads = _by_turns(urls, tokens)
    growth = Growth(tuple(loads["few"]), tuple(loads["many"]), sides.many.cases, sides.seconds, 0)
    return Paged(name, growth, shown["many"])


def _url(side: Side, asked: Mapping[str, str], token: str, *, deep: bool) -> str:
    base = side.url + PATH
    if not deep:
        return f"{base}?{urlencode(asked)}"
    steps = dict(asked)
    for _ in range(_DEEP_PAGES):
        steps["cursor"] = str(_page(f"{base}?{urlencode(steps)}", token)["next"])
    return f"{base}?{urlencode(steps)}"


def _page(url: str, token: str) -> dict[str, list[object]]:
    status, answer = processes.get(url, token)
    if status != 200:
        raise WrongAnswer(f"the queue answered {status}: {answer[:2000].decode()}")
    page: dict[str, list[object]] = orjson.loads(answer)
    return page


def _by_turns(urls: Mapping[str, str], tokens: Mapping[str, str]) -> dict[str, list[Load]]:
    loads: dict[str, list[Load]] = {name: [] for name in urls}
    fastest = [
        load([url], _NOTHING, _WARM_UP_SECONDS, token=tokens[name], method="GET").per_second
        for name, url in urls.items()
    ]
    for _ in range(TURNS):
        for name, url in urls.items():
            sent = load(
                *([url], _NOTHING, SECONDS),
                token=tokens[name],
                rate=min(fastest) / 2,
                connections=32,
                method="GET",
            )
            loads[name].append(sent.check())
    return loads
