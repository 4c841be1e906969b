"""A fixed sample of the judge's work: every official example and some hundred mutations.

All of it runs with `make oracle`. Nothing here skips: without Java, Maven or the packages it fails.
"""

from contextlib import nullcontext
from hashlib import sha256

import pytest

from tests.oracle.agreement import Agreement, compare, describe, our_validators
from tests.oracle.guide_examples import examples
from tests.oracle.mutations import CLASSES, ORIGINAL, Case, cases
from tests.oracle.verdicts import Verdicts

pytestmark = [pytest.mark.oracle, pytest.mark.xdist_group("oracle")]

SAMPLE = 300
SPARE = 1  # of each class: a case that breaks the engine, or whose example it refuses, is none


def sample() -> list[Case]:
    """All originals and SAMPLE mutations, the same number of each class, chosen by hash."""
    found = list(cases(examples()))
    originals = [case for case in found if case.kind == ORIGINAL]
    each = -(-SAMPLE // len(CLASSES)) + SPARE
    mutated = [
        case
        for kind in CLASSES
        for case in sorted((case for case in found if case.kind == kind), key=_shuffled)[:each]
    ]
    return originals + mutated


def _shuffled(case: Case) -> str:
    return sha256(case.name.encode()).hexdigest()


@pytest.fixture(scope="session")
def agreement(request: pytest.FixtureRequest) -> Agreement:
    chosen = sample()
    verdicts = Verdicts(lambda: nullcontext(request.getfixturevalue("judge")))
    return compare(chosen, our_validators(), verdicts.of(chosen))


def test_the_sample_is_as_large_as_meant(agreement: Agreement) -> None:
    mutated = [outcome for outcome in agreement.outcomes if outcome.case.kind != ORIGINAL]
    assert len(mutated) >= SAMPLE
    assert agreement.harmless() >= 0.4


def test_no_official_example_that_the_engine_accepts_is_refused(agreement: Agreement) -> None:
    assert [describe(outcome) for outcome in agreement.alarms_on_originals()] == []


def test_every_disagreement_has_its_reason(agreement: Agreement) -> None:
    assert [describe(outcome) for outcome in agreement.unexplained()] == []


def test_both_entrances_of_our_validator_say_the_same(agreement: Agreement) -> None:
    assert agreement.contradictions == []
