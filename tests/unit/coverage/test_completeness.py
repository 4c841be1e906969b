"""Every fault of a form is found, each once and by its own name."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.coverage.small_forms import asking, small_form
from wiser_fhir.coverage.completeness import AnswerFault, Fault, answer_faults
from wiser_fhir.coverage.evaluate import Value
from wiser_fhir.coverage.models import ServiceRules


@pytest.fixture
def rules(tmp_path: Path) -> ServiceRules:
    return small_form(
        tmp_path,
        'all = ["way", "left", "after", "tried"]',
        asking("way", "choice"),
        asking("left", when="way=a"),
        asking("after", when="left=true"),
        asking("tried", "multi_choice", 'rule = { op = "min_count", value = 1 }'),
        asking("share", "decimal", 'unit = "%"\nrequired = false'),
        asking("begun", "date", "required = false"),
        asking("words", "text", "required = false"),
    )


def found(
    rules: ServiceRules, answers: Mapping[str, Value], *, complete: bool = False, **more: object
) -> list[tuple[str, str]]:
    told = answer_faults(rules, answers, complete=complete, **more)  # type: ignore[arg-type]
    return [(fault.question, str(fault.fault)) for fault in told]


GOOD: dict[str, Value] = {"way": "a", "left": True, "after": False, "tried": ("a", "b")}


def test_a_form_with_every_required_answer_is_without_fault(rules: ServiceRules) -> None:
    assert answer_faults(rules, GOOD, complete=True) == ()
    assert answer_faults(rules, {"way": "b", "tried": ("c",)}, complete=True) == ()


def test_a_required_question_that_is_asked_wants_an_answer(rules: ServiceRules) -> None:
    assert found(rules, {}, complete=True) == [("way", "missing"), ("tried", "missing")]
    assert found(rules, {"way": "a"}, complete=True) == [("left", "missing"), ("tried", "missing")]
    assert found(rules, {}, complete=False) == []


def test_only_an_expected_answer_can_be_missing(rules: ServiceRules) -> None:
    assert found(rules, {"way": "a"}, complete=True, expected={"left"}) == [("left", "missing")]
    assert found(rules, {"way": "a"}, complete=True, expected=()) == []


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("way", "d", "not-possible"),
        ("way", True, "not-possible"),
        ("way", ("a", "b"), "repeated"),
        ("way", ("a", "a"), "repeated"),
        ("left", (True, False), "repeated"),
        ("left", "yes", "not-possible"),
        ("tried", ("a", "z"), "not-possible"),
        ("tried", (), "not-possible"),
        ("share", Decimal("100.5"), "not-possible"),
        ("share", Decimal("NaN"), "not-possible"),
        ("words", "  ", "not-possible"),
        ("elsewhere", True, "unknown"),
    ],
)
def test_an_answer_that_cannot_be(rules: ServiceRules, name: str, value: Value, fault: str) -> None:
    answers = {name: value} if name != "left" else {"way": "a", name: value}
    assert found(rules, answers) == [(name, fault)]


def test_an_answer_nobody_could_read_is_no_missing_one(rules: ServiceRules) -> None:
    faults = found(rules, {"way": "b"}, unreadable=["tried", "ghost"], complete=True)
    assert faults == [("ghost", "unknown"), ("tried", "not-possible")]


def test_an_answer_that_an_earlier_one_leaves_unasked(rules: ServiceRules) -> None:
    assert found(rules, {"way": "b", "left": True}) == [("left", "not-asked")]
    both = found(rules, {"way": "a", "left": False, "after": True})
    assert both == [("after", "not-asked")]


def test_an_answer_ahead_of_the_one_that_enables_it(rules: ServiceRules) -> None:
    assert found(rules, {"left": True}) == [("left", "not-asked")]
    assert found(rules, {"way": "a", "after": True}) == [("after", "not-asked")]


def test_behind_a_fault_nothing_is_said_of_what_it_enables(rules: ServiceRules) -> None:
    assert found(rules, {"way": "d", "left": True}) == [("way", "not-possible")]
    chain = {"left": True, "after": True}
    assert found(rules, chain, unreadable=["way"], complete=True) == [
        ("way", "not-possible"),
        ("tried", "missing"),
    ]


def test_all_faults_come_together_with_texts_that_repeat_no_answer(rules: ServiceRules) -> None:
    bad: dict[str, Value] = {"way": ("a", "b"), "share": Decimal(-1), "secret-person": "Jane"}
    assert answer_faults(rules, bad, complete=True) == (
        AnswerFault("way", Fault.REPEATED, "Several answers where one is possible: way?"),
        AnswerFault("share", Fault.NOT_POSSIBLE, "No possible answer: share?"),
        AnswerFault(
            "secret-person", Fault.UNKNOWN, "The form answers a question it does not have."
        ),
        AnswerFault("tried", Fault.MISSING, "Required, and not answered: tried?"),
    )
