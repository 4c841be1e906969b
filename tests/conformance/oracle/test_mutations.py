"""The mutations: enough of each class, and the same ones on every run."""

import json
from collections import Counter

import pytest

from tests.oracle.guide_examples import examples
from tests.oracle.judge import Resource
from tests.oracle.mutations import CLASSES, ORIGINAL, Case, cases


@pytest.fixture(scope="module")
def found() -> list[Case]:
    return list(cases(examples()))


def test_there_are_at_least_five_thousand_with_every_class(found: list[Case]) -> None:
    mutated = Counter(case.kind for case in found if case.kind != ORIGINAL)
    assert mutated.total() >= 5_000
    assert set(mutated) == set(CLASSES)
    assert min(mutated.values()) >= 50


def test_names_are_unique_and_each_mutation_changes_something(found: list[Case]) -> None:
    assert len({case.name for case in found}) == len(found)
    same = [
        case.name
        for case in found
        if case.kind not in (ORIGINAL, "permuted keys")
        and _text(case.resource) == _text(case.example.resource)
    ]
    assert same == []


def _text(resource: Resource) -> str:
    return json.dumps(resource, sort_keys=True)


def test_they_are_the_same_on_every_run(found: list[Case]) -> None:
    again = list(cases(examples()[:4]))
    assert again == found[: len(again)]
