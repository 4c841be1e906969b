"""Whole validation of one request Bundle against reading the same bytes, in this process alone."""

import gc
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median, quantiles
from time import perf_counter
from typing import Any, TypeVar

import orjson

from bench.requests import official_example, submission
from tests.oracle.judge import Judge, JudgeUnavailable
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.validation.validator import GuideValidator

_SECONDS = 6.0
_BATCH = 10
_ENGINE_WARM_UP = 20
_ENGINE_RUNS = 40

Json = dict[str, object]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Measured:
    """Milliseconds for one Bundle: ours, orjson.loads beside it, HL7's engine if it is there."""

    name: str
    bytes: int
    ours: float
    ours_p99: float
    loads: float
    ratio: float
    engine: float | None


def measure() -> list[Measured]:
    """PAS's own example, where the packages are, and ours. Raises RuntimeError if one is refused.

    Batches of fresh objects, in turns; of each the median.
    """
    validator = GuideValidator.load("2.2")
    found = {"PAS example": official_example(), "epidural injection": submission().body(1)}
    bodies = {name: body for name, body in found.items() if body is not None}
    engine = _engine(list(bodies.values()))
    return [
        _one(name, body, validator, engine[n] if engine else None)
        for n, (name, body) in enumerate(bodies.items())
    ]


def _one(name: str, body: bytes, validator: GuideValidator, engine: float | None) -> Measured:
    def accepts(bundle: Json) -> bool:
        return validator.accepts(bundle, codes.REQUEST_BUNDLE)

    if not accepts(orjson.loads(body)):
        problems = validator.problems(orjson.loads(body), codes.REQUEST_BUNDLE)
        raise RuntimeError(f"{name} is refused: {problems[:3]}")
    ours: list[float] = []
    loads: list[float] = []
    gc.collect()
    gc.freeze()
    until = perf_counter() + _SECONDS
    while perf_counter() < until:
        loads.append(_milliseconds(orjson.loads, [body] * _BATCH))
        ours.append(_milliseconds(accepts, [orjson.loads(body) for _ in range(_BATCH)]))
    return Measured(
        name=name,
        bytes=len(body),
        ours=median(ours),
        ours_p99=quantiles(ours, n=100)[-1] if len(ours) > 1 else ours[0],
        loads=median(loads),
        ratio=median(a / b for a, b in zip(ours, loads, strict=True)),
        engine=engine,
    )


def _milliseconds(work: Callable[[T], object], given: list[T]) -> float:
    """How long one piece of work takes, on average over a batch."""
    started = perf_counter()
    for each in given:
        work(each)
    return (perf_counter() - started) / len(given) * 1000


def _engine(bodies: list[bytes]) -> list[float] | None:
    """HL7's engine, warm: ms for each body, as it measures itself; None where it cannot run."""
    try:
        with Judge() as judge:
            return [_warm(judge, orjson.loads(body)) for body in bodies]
    except JudgeUnavailable as missing:
        print(f"without HL7's engine: {missing}", flush=True)
        return None


def _warm(judge: Any, bundle: Json) -> float:
    times: list[float] = []
    for _ in range(_ENGINE_WARM_UP + _ENGINE_RUNS):
        before = judge.seconds
        judge.validate(bundle, "2.2", codes.REQUEST_BUNDLE)
        times.append((judge.seconds - before) * 1000)
    return median(times[_ENGINE_WARM_UP:])
