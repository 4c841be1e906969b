"""Operators, conditions and the safe reading of what is missing."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.unit.coverage.made_up import made_up, make_folder
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.evaluate import (
    Asked,
    Outcome,
    Value,
    asked,
    evaluate,
    fitting,
    months_after,
)
from wiser_fhir.coverage.models import ServiceRules

HEAD = """
name = "Made-up service"
status = "active"
category = "made-up"
guide_section = "0.0"
states = ["NJ"]
policies = [{ type = "NCD", id = "0.0" }]
sources = ["guide"]
codes = [{ code = "99990", system = "CPT", role = "primary", text = "The thing" }]
"""


def question(name: str, kind: str, rule: str, more: str = "") -> str:
    """One question of a rule file. Choices have the options a, b, c and none.

    Where options are counted, none fails by itself.
    """
    options = [f'{{ code = "{code}", label = "{code}" }}' for code in ("a", "b", "c", "none")]
    if "min_count" in rule:
        options[-1] = options[-1].replace(" }", ', outcome = "fail" }')
    listed = f"options = [{', '.join(options)}]\n" if kind.endswith("choice") else ""
    return (
        f'[[questions]]\nid = "{name}"\ntext = "{name}?"\ntype = "{kind}"\nkind = "fact"\n'
        'unfilled = "Nobody writes it down."\n'
        f'rule = {rule}\nif_unmet = "fail"\nsource = ["guide"]\n{listed}{more}\n'
    )


def service(base: Path, decision: str, *questions: str) -> ServiceRules:
    """A service of these questions and this tree."""
    text = HEAD + "".join(questions) + f"[decision]\n{decision}\n"
    folder = make_folder(base, {"made-up/2026-01-15.toml": text})
    return Catalogue.load(folder).versions("made-up")[0]


RULES: list[tuple[str, str, list[Any], list[Any]]] = [
    ("boolean", '{ op = "eq", value = false }', [False], [True]),
    ("choice", '{ op = "eq", value = "a" }', ["a"], ["b"]),
    ("choice", '{ op = "in", value = ["a", "b"] }', ["a", "b"], ["c"]),
    (
        "multi_choice",
        '{ op = "contains_any", value = ["a", "b"] }',
        [("a",), ("b", "c"), ("a", "b")],
        [("c",), ("c", "none")],
    ),
    (
        "multi_choice",
        '{ op = "contains_all", value = ["a", "b"] }',
        [("a", "b"), ("b", "c", "a")],
        [("a",), ("b", "c")],
    ),
    ("multi_choice", '{ op = "min_count", value = 2 }', [("a", "c")], [("a",)]),
    ("multi_choice", '{ op = "min_count", value = 1 }', [("a",)], [("none",)]),
    ("multi_choice", '{ op = "only", value = "none" }', [("none",)], [("a",), ("none", "a")]),
    ("integer", '{ op = "lt", value = 3 }', [2, -1], [3, 4]),
    ("integer", '{ op = "lte", value = 3 }', [3], [4]),
    ("decimal", '{ op = "gt", value = 0.6 }', [Decimal("0.61"), 1], [Decimal("0.6"), 0]),
    ("decimal", '{ op = "gte", value = 0.6 }', [Decimal("0.6")], [Decimal("0.59")]),
    (
        "decimal",
        '{ op = "between", min = 15, max = 65 }',
        [15, 65, Decimal("15.0")],
        [Decimal("14.9"), Decimal("65.1")],
    ),
    ("text", '{ op = "answered" }', ["any"], []),
    ("boolean", '{ op = "answered" }', [True, False], []),
]


@pytest.mark.parametrize(("kind", "rule", "met", "unmet"), RULES)
def test_operators(tmp_path: Path, kind: str, rule: str, met: list[Any], unmet: list[Any]) -> None:
    rules = service(tmp_path, 'all = ["q"]', question("q", kind, rule))
    for value in met:
        assert evaluate(rules, {"q": value}).outcomes == {"q": Outcome.MET}
        assert evaluate(rules, {"q": value}).holds
    for value in unmet:
        assert evaluate(rules, {"q": value}).outcomes == {"q": Outcome.UNMET}
        assert not evaluate(rules, {"q": value}).holds
    assert evaluate(rules, {}).outcomes == {"q": Outcome.UNANSWERED}
    assert not evaluate(rules, {}).holds


@pytest.mark.parametrize(
    ("seen", "outcome"),
    [
        ("2026-01-31", Outcome.MET),
        ("2025-12-27", Outcome.UNMET),
        ("2025-12-28", Outcome.MET),
        ("2026-04-28", Outcome.MET),
        ("2026-04-29", Outcome.UNMET),
    ],
)
def test_within_months_of(tmp_path: Path, seen: str, outcome: Outcome) -> None:
    rules = made_up(tmp_path)
    answers: dict[str, Value] = {"begun": date(2026, 2, 28), "seen": date.fromisoformat(seen)}
    assert evaluate(rules, answers).outcomes["seen"] is outcome


def test_within_months_of_wants_both_dates(tmp_path: Path) -> None:
    rules = made_up(tmp_path)
    assert evaluate(rules, {"seen": date(2026, 2, 28)}).outcomes["seen"] is Outcome.UNANSWERED


def test_a_month_counts_to_the_last_day_of_a_shorter_one() -> None:
    assert months_after(date(2026, 1, 31), 1) == date(2026, 2, 28)
    assert months_after(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert months_after(date(2024, 2, 29), -12) == date(2023, 2, 28)
    assert months_after(date(2024, 2, 29), 48) == date(2028, 2, 29)
    assert months_after(date(2026, 11, 30), 1) == date(2026, 12, 30)
    assert months_after(date(2026, 12, 31), 1) == date(2027, 1, 31)
    assert months_after(date(2026, 1, 1), -1) == date(2025, 12, 1)


def test_months_stay_within_the_years_there_are() -> None:
    assert months_after(date(9999, 12, 1), 1) == date.max
    assert months_after(date(1, 1, 31), -1) == date.min


def test_an_optional_question_off_the_tree_is_silent_until_answered(tmp_path: Path) -> None:
    rules = made_up(tmp_path)
    assert "score" not in evaluate(rules, {}).outcomes
    assert evaluate(rules, {"score": 3}).outcomes["score"] is Outcome.UNMET


@pytest.mark.parametrize(
    ("outcome", "if_unmet", "told"),
    [
        ("fail", "review", Outcome.UNMET),
        ("review", "fail", Outcome.REVIEW),
        ("out_of_scope", "fail", Outcome.OUT_OF_SCOPE),
        ("neutral", "fail", Outcome.UNMET),
        ("neutral", "info", Outcome.UNMET),
        ("neutral", "review", Outcome.REVIEW),
        ("neutral", "out_of_scope", Outcome.OUT_OF_SCOPE),
    ],
)
def test_an_options_own_outcome_goes_before_if_unmet(
    tmp_path: Path, outcome: str, if_unmet: str, told: Outcome
) -> None:
    text = question("q", "choice", '{ op = "eq", value = "a" }')
    text = text.replace('label = "b"', f'label = "b", outcome = "{outcome}"')
    text = text.replace('if_unmet = "fail"', f'if_unmet = "{if_unmet}"')
    evaluation = evaluate(service(tmp_path, 'all = ["q"]', text), {"q": "b"})
    assert evaluation.outcomes == {"q": told}
    assert not evaluation.holds


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        (("a",), Outcome.MET),
        (("a", "b"), Outcome.REVIEW),
        (("a", "b", "c"), Outcome.OUT_OF_SCOPE),
    ],
)
def test_of_several_options_the_gravest_tells(
    tmp_path: Path, chosen: tuple[str, ...], told: Outcome
) -> None:
    text = question("q", "multi_choice", '{ op = "min_count", value = 1 }')
    text = text.replace('label = "b"', 'label = "b", outcome = "review"')
    text = text.replace('label = "c"', 'label = "c", outcome = "out_of_scope"')
    rules = service(tmp_path, 'all = ["q"]', text)
    assert evaluate(rules, {"q": chosen}).outcomes == {"q": told}


YES = '{ op = "eq", value = true }'
ANY = '{ op = "answered" }'


def when(name: str, comparison: str) -> str:
    """The line that makes a question depend on another."""
    return f'enable_when = {{ question = "{name}", {comparison} }}'


@pytest.mark.parametrize(
    ("comparison", "answers", "told"),
    [
        ('equals = "a"', {}, Asked.UNKNOWN),
        ('equals = "a"', {"way": ("a",)}, Asked.YES),
        ('equals = "a"', {"way": ("b",)}, Asked.NO),
        ('equals = "a"', {"way": ("a", "b")}, Asked.YES),
        ('not_equals = "none"', {}, Asked.UNKNOWN),
        ('not_equals = "none"', {"way": ("b",)}, Asked.YES),
        ('not_equals = "none"', {"way": ("none",)}, Asked.NO),
        ('not_equals = "none"', {"way": ("none", "b")}, Asked.NO),
    ],
)
def test_when_a_question_is_asked(
    tmp_path: Path, comparison: str, answers: Mapping[str, Value], told: Asked
) -> None:
    rules = service(
        tmp_path,
        'all = ["way"]',
        question("way", "multi_choice", ANY),
        question("then", "boolean", YES, when("way", comparison)),
        question("last", "boolean", YES, when("then", "equals = true")),
    )
    assert asked(rules, answers, "way") is Asked.YES
    assert asked(rules, answers, "then") is told
    below = Asked.UNKNOWN if told is Asked.YES else told
    assert asked(rules, answers, "last") is below
    assert ("then" in evaluate(rules, answers).outcomes) == (told is Asked.YES)


def test_an_answer_to_a_question_not_asked_does_not_count(tmp_path: Path) -> None:
    rules = service(
        tmp_path,
        'all = ["way", "then"]',
        question("way", "choice", ANY),
        question("then", "boolean", YES, when("way", 'equals = "a"')),
    )
    assert evaluate(rules, {"way": "a", "then": True}).holds
    assert not evaluate(rules, {"way": "b", "then": True}).holds


CONDITIONS: list[tuple[dict[str, Value], bool]] = [
    ({}, False),
    ({"way": "a"}, False),
    ({"way": "a", "on": True}, False),
    ({"way": "a", "on": True, "leaf": False}, False),
    ({"way": "a", "on": True, "leaf": True}, True),
    ({"way": "a", "on": False}, True),
    ({"way": "b"}, True),
    ({"way": "b", "on": True}, True),
    ({"on": False}, False),
]


@pytest.mark.parametrize("node", ['{ if = "on", then', "{ if_equals = COMPARED, then"])
@pytest.mark.parametrize(("answers", "holds"), CONDITIONS)
def test_a_condition_is_skipped_only_when_surely_not_asked(
    tmp_path: Path, node: str, answers: dict[str, Value], holds: bool
) -> None:
    compared = node.replace("COMPARED", '{ question = "on", value = true }')
    rules = service(
        tmp_path,
        f'all = [{compared} = "leaf" }}]',
        question("way", "choice", ANY),
        question("on", "boolean", ANY, when("way", 'equals = "a"')),
        question("leaf", "boolean", YES),
    )
    assert evaluate(rules, answers).holds is holds


@pytest.mark.parametrize(
    ("answers", "holds"),
    [
        ({}, False),
        ({"way": "a"}, False),
        ({"way": "a", "leaf": True}, True),
        ({"way": "b", "leaf": True}, True),
        ({"way": "b"}, True),
        ({"way": "c", "leaf": True}, True),
        ({"way": "none"}, False),
    ],
)
def test_nested_all_any_and_equals(tmp_path: Path, answers: dict[str, Value], holds: bool) -> None:
    tree = (
        'any = [{ all = [{ equals = { question = "way", value = "a" } }, "leaf"] }, '
        '{ equals = { question = "way", value = "b" } }, '
        '{ all = [{ equals = { question = "way", value = "c" } }, "leaf"] }]'
    )
    rules = service(
        tmp_path, tree, question("way", "choice", ANY), question("leaf", "boolean", YES)
    )
    assert evaluate(rules, answers).holds is holds


NOT_FITTING: list[tuple[str, list[Any]]] = [
    ("boolean", ["true", 1, Decimal(1)]),
    ("integer", [True, Decimal(1), "1", date(2026, 1, 1), ("a",)]),
    ("decimal", [True, "1", Decimal("NaN"), Decimal("Infinity")]),
    ("date", ["2026-01-01", datetime(2026, 1, 1, tzinfo=UTC), 1]),
    ("text", ["", "  ", 1, ("a",)]),
    ("choice", ["d", ("a", "b"), (), True, 1]),
    ("multi_choice", [(), "d", ("a", "d"), True, 1, ("none", "a"), ("a", "b", "none")]),
]
FITTING: list[tuple[str, Any, Any]] = [
    ("boolean", False, False),
    ("integer", 3, 3),
    ("decimal", 3, 3),
    ("decimal", Decimal("1.50"), Decimal("1.50")),
    ("date", date(2026, 1, 1), date(2026, 1, 1)),
    ("text", "a word", "a word"),
    ("choice", "a", "a"),
    ("choice", ("a",), "a"),
    ("multi_choice", "a", ("a",)),
    ("multi_choice", ("b", "a", "b"), ("b", "a")),
    ("multi_choice", ("none", "none"), ("none",)),
]


@pytest.mark.parametrize(("kind", "values"), NOT_FITTING)
def test_values_that_are_no_possible_answer(tmp_path: Path, kind: str, values: list[Any]) -> None:
    rule = ANY if kind != "boolean" else YES
    rules = service(tmp_path, 'all = ["q"]', question("q", kind, rule))
    assert [fitting(rules.by_id["q"], value) for value in values] == [None] * len(values)


@pytest.mark.parametrize(("kind", "value", "held"), FITTING)
def test_values_as_their_question_holds_them(
    tmp_path: Path, kind: str, value: Any, held: Any
) -> None:
    rules = service(tmp_path, 'all = ["q"]', question("q", kind, ANY))
    assert fitting(rules.by_id["q"], value) == held


@pytest.mark.parametrize(
    ("rule", "together", "alone"),
    [
        ('{ op = "only", value = "c" }', ("a", "b"), ["c", "none"]),
        (ANY, ("a", "c"), ["none"]),
    ],
)
def test_what_excludes_every_other_option(
    tmp_path: Path, rule: str, together: tuple[str, ...], alone: list[str]
) -> None:
    asks = service(tmp_path, 'all = ["q"]', question("q", "multi_choice", rule)).by_id["q"]
    assert fitting(asks, together) == together
    for code in alone:
        assert fitting(asks, (code,)) == (code,)
        assert fitting(asks, ("a", code)) is None


def test_one_choice_excludes_nothing(tmp_path: Path) -> None:
    asks = service(tmp_path, 'all = ["q"]', question("q", "choice", ANY)).by_id["q"]
    assert asks.exclusive == frozenset()
    assert fitting(asks, "none") == "none"


def test_a_service_that_decides_nothing_never_holds() -> None:
    rules = Catalogue.load().service("pild", date(2026, 5, 4))
    assert rules is not None
    assert not evaluate(rules, {"pild-vas": 60}).holds


@pytest.mark.parametrize(
    ("more", "possible", "impossible"),
    [
        ("", [0, 1, 5000], [-1, -3]),
        ("minimum = 1", [1, 5000], [0, -1]),
        ('unit = "%"', [0, 50, 100], [101, 5000, -1]),
        ('unit = "cm2"', [0, 101], [-1]),
        ("minimum = 1\nmaximum = 10", [1, 10], [0, 11]),
        ('unit = "%"\nmaximum = 60', [0, 60], [61, 100]),
    ],
)
@pytest.mark.parametrize("kind", ["integer", "decimal"])
def test_numbers_that_nobody_can_have_counted(
    tmp_path: Path, kind: str, more: str, possible: list[int], impossible: list[int]
) -> None:
    asks = service(tmp_path, 'all = ["q"]', question("q", kind, ANY, more)).by_id["q"]
    assert [fitting(asks, value) for value in possible] == possible
    assert [fitting(asks, value) for value in impossible] == [None] * len(impossible)


@pytest.mark.parametrize(
    ("written", "possible"),
    [
        ("1e30", True),
        ("1e31", False),
        ("1e-30", True),
        ("1e-31", False),
        ("1e-200000000", False),
        ("0e-200000000", False),
        ("1e200000000", False),
        ("1." + "0" * 29, True),
        ("1." + "0" * 30, False),
        ("0.00", True),
        ("NaN", False),
        ("Infinity", False),
    ],
)
def test_numbers_that_measure_nothing(tmp_path: Path, written: str, possible: bool) -> None:
    asks = service(tmp_path, 'all = ["q"]', question("q", "decimal", ANY)).by_id["q"]
    held = fitting(asks, Decimal(written))
    assert str(held) == (str(Decimal(written)) if possible else "None")


def test_a_fraction_counts_like_a_whole_number(tmp_path: Path) -> None:
    share = question("q", "decimal", ANY, 'unit = "%"')
    asks = service(tmp_path, 'all = ["q"]', share).by_id["q"]
    for value in (Decimal("100.0000001"), Decimal("-0.0000001")):
        assert fitting(asks, value) is None
    assert fitting(asks, Decimal("99.9999999")) == Decimal("99.9999999")
