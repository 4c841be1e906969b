"""Mutated guide examples: the same ones on every run.

Each example gets a fixed number of mutations in turn from every class that fits it, each class's
dice seeded by line, example, class and number, so that a new class or example changes no other.
"""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass

from tests.oracle.draw import Draw
from tests.oracle.faults import FAULTS, Mutate
from tests.oracle.guide_examples import Example
from tests.oracle.harmless import HARMLESS
from tests.oracle.judge import Resource

CLASSES: dict[str, Mutate] = {**HARMLESS, **FAULTS}
PER_BUNDLE = 4
PER_RESOURCE = 2
ORIGINAL = "official example"


@dataclass(frozen=True)
class Case:
    """What both validators are asked about: an example, or one mutation of it."""

    example: Example
    kind: str
    number: int
    at: str
    resource: Resource

    @property
    def name(self) -> str:
        place = f"{self.example.line} {self.example.name}"
        return place if self.kind == ORIGINAL else f"{place} / {self.kind} {self.number}"


def cases(examples: tuple[Example, ...]) -> Iterator[Case]:
    """Every example as it is, and its mutations, no resource twice."""
    for example in examples:
        seen = {_digest(example.resource)}
        yield Case(example, ORIGINAL, 0, "", example.resource)
        for case in _mutations(example):
            digest = _digest(case.resource)
            if digest not in seen:
                seen.add(digest)
                yield case


def _mutations(example: Example) -> Iterator[Case]:
    bundle = example.resource["resourceType"] in ("Bundle", "Parameters")
    numbers = range(PER_BUNDLE if bundle else PER_RESOURCE)
    for kind, number in itertools.product(CLASSES, numbers):
        draw = Draw(example.resource, f"{example.line}/{example.name}/{kind}/{number}")
        at = CLASSES[kind](draw)
        if at is not None:
            yield Case(example, kind, number, at, draw.root)


def _digest(resource: Resource) -> str:
    return hashlib.sha256(json.dumps(resource).encode()).hexdigest()
