"""Every folder's examples, and `coverage check` that runs them."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tests.unit.coverage.made_up import REAL, make_folder
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.check import check_catalogue
from wiser_fhir.coverage.decision import AllOf, AnyOf, IfEquals, IfTrue, Node
from wiser_fhir.coverage.evaluate import Asked, Value, asked, evaluate
from wiser_fhir.coverage.examples import Example, examples, faults
from wiser_fhir.coverage.loading import CatalogueError
from wiser_fhir.coverage.models import ServiceRules

CATALOGUE = Catalogue.load()
ACTIVE = [rules.slug for rules in CATALOGUE.services_on(date(2026, 5, 4)) if rules.is_active]
EXAMPLES = {slug: examples(CATALOGUE, REAL, slug) for slug in ACTIVE}
AFFIRMED = [case for cases in EXAMPLES.values() for case in cases if case.expect == "affirm"]


@pytest.mark.parametrize("slug", ACTIVE)
def test_the_rules_say_what_the_examples_expect(slug: str) -> None:
    assert EXAMPLES[slug]
    assert [fault for example in EXAMPLES[slug] for fault in faults(example)] == []


@pytest.mark.parametrize("slug", ACTIVE)
def test_examples_show_every_question_met_missing_and_unmet(slug: str) -> None:
    rules, cases = EXAMPLES[slug][0].rules, EXAMPLES[slug]
    affirmed = {name for case in cases if case.expect == "affirm" for name in case.answers}
    missing = {name for case in cases for name in case.unanswered}
    unmet = {name for case in cases for name in case.unmet}
    any_will_do = {q.id for q in rules.questions if _cannot_be_unmet(q.rule.op, q.rule)}
    assert affirmed == set(rules.by_id)
    assert missing >= {question.id for question in rules.required_questions}
    assert unmet | any_will_do == set(rules.by_id)


def _cannot_be_unmet(op: str, rule: Any) -> bool:
    return op == "answered" or (op == "min_count" and rule.value == 1)


@pytest.mark.parametrize("example", AFFIRMED, ids=lambda example: example.name)
def test_a_blank_answer_affirms_only_where_another_branch_is_met(example: Example) -> None:
    rules = example.rules
    assert rules.decision is not None
    for name in rules.deciding:
        if name in example.answers and asked(rules, example.answers, name) is Asked.YES:
            rest = {key: value for key, value in example.answers.items() if key != name}
            if evaluate(rules, rest).holds:
                assert _dispensable(rules, rules.decision, name, rest), name


def _dispensable(rules: ServiceRules, node: Node, name: str, rest: dict[str, Value]) -> bool:
    """Whether the tree needs no answer to `name`: an `any` above each mention holds without."""
    match node:
        case str():
            return node != name
        case AllOf(branches=branches):
            return all(_dispensable(rules, branch, name, rest) for branch in branches)
        case AnyOf(branches=branches):
            silent = [each for each in branches if _dispensable(rules, each, name, rest)]
            trees = (AllOf.model_construct(branches=(each,)) for each in silent)
            alone = (rules.model_copy(update={"decision": tree}) for tree in trees)
            return any(evaluate(each, rest).holds for each in alone)
        case IfTrue(question=question, then=then):
            return question != name and _dispensable(rules, then, name, rest)
        case IfEquals(if_equals=wanted, then=then):
            return wanted.question != name and _dispensable(rules, then, name, rest)
        case _:
            return node.equals.question != name


def test_the_check_shows_the_catalogue_as_a_table() -> None:
    table = check_catalogue()
    lines = table.splitlines()
    assert lines[0].split() == [
        "service", "from", "status", "policy", "codes", "states", "questions", "examples",
    ]  # fmt: skip
    assert max(map(len, lines)) <= 170
    assert "13 services active with 41 codes, 2 delayed" in lines[-1]
    knee = next(line for line in lines if line.startswith("knee-arthroscopy-oa"))
    assert "NCD 150.9" in knee
    assert "29877" in knee
    assert "2 facts, 3 attestations" in knee
    assert "64480+" in table
    assert "61867?" in table


def check_with(base: Path, content: object, name: str = "case.json") -> str:
    """The check of the made-up catalogue with one file of examples."""
    folder = make_folder(base) / "services" / "made-up" / "examples"
    folder.mkdir()
    text = content if isinstance(content, str) else json.dumps(content)
    (folder / name).write_text(text, encoding="utf-8")
    return check_catalogue(base)


GOOD = {
    "on": "2026-05-04",
    "answers": {"agreed": True, "way": "left", "signs": ["one"], "begun": "2026-01-02"},
    "expect": "affirm",
    "unanswered": ["seen"],
}


def test_a_new_service_is_checked_like_the_others(tmp_path: Path) -> None:
    variation = {
        "set": {"way": "right"},
        "drop": ["begun"],
        "expect": "affirm",
        "unmet": ["way"],
        "unanswered": ["begun", "seen"],
    }
    table = check_with(tmp_path, GOOD | {"variations": [variation]})
    assert "1 services active with 2 codes, 0 delayed; 2 examples hold" in table


def test_a_signed_file_shows_in_the_table(tmp_path: Path) -> None:
    make_folder(tmp_path)
    path = tmp_path / "services" / "made-up" / "2026-01-15.toml"
    signed = 'reviewed_by = "Dr. A"\nreviewed_on = 2026-02-03\n' + path.read_text(encoding="utf-8")
    path.write_text(signed, encoding="utf-8")
    assert "reviewed 2026-02-03" in " ".join(check_catalogue(tmp_path).split())


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (GOOD | {"expect": "review"}, "case.json: expect: expected review, the rules say affirm"),
        (GOOD | {"unanswered": []}, "case.json: unanswered: expected [], the rules say ['seen']"),
        (GOOD | {"unmet": ["way"]}, "case.json: unmet: expected ['way'], the rules say []"),
        (GOOD | {"answers": {"agreed": "yes"}}, "case.json: agreed: no possible answer: 'yes'"),
        (GOOD | {"answers": {"argued": True}}, "case.json: argued: no possible answer"),
        (GOOD | {"answers": {"begun": "someday"}}, "case.json: begun: no possible answer"),
        (GOOD | {"answers": {"begun": 20260102}}, "case.json: begun: no possible answer"),
        (GOOD | {"expect": "deny"}, "case.json: not readable as an example"),
        (GOOD | {"on": "soon"}, "case.json: not readable as an example"),
        (GOOD | {"on": "2025-12-31"}, "case.json: no rule file is in force on 2025-12-31"),
        ("{", "case.json: not readable as an example"),
        ("[]", "case.json: not readable as an example"),
        ("{}", "case.json: not readable as an example"),
    ],
)
def test_an_example_that_fails_is_named(tmp_path: Path, content: object, fault: str) -> None:
    with pytest.raises(CatalogueError) as caught:
        check_with(tmp_path, content)
    assert "services/made-up/examples/" + fault.split(": ")[0] in str(caught.value)
    assert fault in str(caught.value)
