"""What is asked next, what is left out, and that nothing else is."""

from pathlib import Path

from tests.unit.coverage.small_forms import asking, small_form
from wiser_fhir.coverage.relevance import (
    enabled_by,
    in_form_order,
    next_step,
    relevant,
)


def test_everything_that_nothing_waits_for_is_asked_at_once(tmp_path: Path) -> None:
    rules = small_form(
        tmp_path, 'all = ["one", "two"]', asking("one"), asking("two"), asking("unnamed")
    )
    assert next_step(rules, {}).questions == ("one", "two", "unnamed")
    assert next_step(rules, {"two": True}).questions == ("one", "unnamed")
    assert next_step(rules, {"one": True, "two": True, "unnamed": False}).questions == ()


def test_a_criterion_that_is_not_met_ends_nothing(tmp_path: Path) -> None:
    rules = small_form(tmp_path, 'all = ["one", "two"]', asking("one"), asking("two"))
    assert next_step(rules, {"one": False}).questions == ("two",)


def test_a_question_waits_for_the_one_that_enables_it(tmp_path: Path) -> None:
    rules = small_form(
        tmp_path,
        'all = ["way", "left", "after"]',
        asking("way", "choice"),
        asking("left", when="way=a"),
        asking("after", when="left=true"),
    )
    assert next_step(rules, {}).questions == ("way",)
    assert relevant(rules, {}) == {"way", "left", "after"}
    assert next_step(rules, {"way": "a"}).questions == ("left",)
    assert next_step(rules, {"way": "a", "left": True}).questions == ("after",)
    assert relevant(rules, {"way": "b"}) == {"way"}
    assert relevant(rules, {"way": "a", "left": False}) == {"way", "left"}
    assert list(enabled_by(rules, rules.by_id["after"])) == ["left", "way"]


def test_once_one_branch_holds_the_others_are_left_out(tmp_path: Path) -> None:
    rules = small_form(
        tmp_path,
        'any = [{ all = ["one", "two"] }, "three", { any = ["four", "five"] }]',
        *map(asking, ("one", "two", "three", "four", "five")),
    )
    assert relevant(rules, {"one": True}) == {"one", "two", "three", "four", "five"}
    assert relevant(rules, {"one": True, "two": True}) == {"one", "two"}
    assert relevant(rules, {"five": True}) == {"five"}
    assert relevant(rules, {"three": True, "five": True}) == {"three"}
    assert next_step(rules, {"three": True}).questions == ()
    assert next_step(rules, {"three": False}).questions == ("one", "two", "four", "five")


def test_what_is_named_elsewhere_too_stays(tmp_path: Path) -> None:
    rules = small_form(
        tmp_path,
        'all = [{ any = ["one", "two"] }, { any = ["two", "three"] }]',
        *map(asking, ("one", "two", "three")),
    )
    assert relevant(rules, {"one": True}) == {"one", "two", "three"}


def test_what_can_lead_out_of_scope_is_never_left_out(tmp_path: Path) -> None:
    rules = small_form(
        tmp_path,
        'any = ["one", "leaving"]',
        asking("one"),
        asking("leaving", more='if_unmet = "out_of_scope"'),
    )
    assert next_step(rules, {"one": True}).questions == ("leaving",)


def test_the_branch_of_a_condition_answered_otherwise_is_left_out(tmp_path: Path) -> None:
    rules = small_form(
        tmp_path,
        'all = [{ if = "repeat", then = "gain" }, '
        '{ if_equals = { question = "way", value = "b" }, then = "why" }, '
        '{ any = [{ equals = { question = "way", value = "c" } }, "how"] }]',
        *map(asking, ("repeat", "gain", "why", "how")),
        asking("way", "choice"),
    )
    every = {"repeat", "gain", "way", "why", "how"}
    assert relevant(rules, {}) == every
    assert relevant(rules, {"repeat": True, "way": "b"}) == every
    assert relevant(rules, {"repeat": False}) == every - {"gain"}
    assert relevant(rules, {"way": "a"}) == every - {"why"}
    assert relevant(rules, {"way": "c"}) == every - {"why", "how"}


def test_a_question_comes_with_what_it_needs(tmp_path: Path) -> None:
    """The other date a rule looks at, and whatever enables a question that stays."""
    rules = small_form(
        tmp_path,
        'any = ["done", { all = ["begun", "gate"] }]',
        asking("done"),
        asking("gate"),
        asking("begun", "date"),
        asking(
            "seen",
            "date",
            'if_unmet = "info"\nrule = { op = "within_months_of", question = "begun", value = 2 }',
        ),
        asking("behind", when="gate=true"),
    )
    assert relevant(rules, {"done": True}) == {"done", "seen", "begun", "behind", "gate"}


def test_what_does_not_count_spares_no_question(tmp_path: Path) -> None:
    rules = small_form(
        tmp_path,
        'any = ["one", { all = ["two", "three"] }]',
        asking("one"),
        asking("two"),
        asking("three", when="two=true"),
    )
    by_software = {"one": True, "two": True}
    assert next_step(rules, by_software).questions == ()
    assert next_step(rules, by_software, {}).questions == ("three",)


def test_administrative_questions_come_after_the_clinical_ones(tmp_path: Path) -> None:
    rules = small_form(
        tmp_path,
        'all = ["one", "two"]',
        asking("phone", "text", "administrative = true"),
        asking("one"),
        asking("two", when="one=true"),
    )
    assert [q.id for q in in_form_order(rules)] == ["one", "two", "phone"]
    assert next_step(rules, {}).questions == ("one",)
    assert not next_step(rules, {}).last_clinical
    last = next_step(rules, {"one": True})
    assert (last.questions, last.last_clinical) == (("two", "phone"), True)
    assert next_step(rules, {"one": False}).questions == ("phone",)
    assert next_step(rules, {"one": True, "two": True, "phone": "1"}).last_clinical


def test_a_service_that_decides_nothing_asks_whatever_it_has(tmp_path: Path) -> None:
    rules = small_form(tmp_path, 'all = ["one"]', asking("one"), asking("two", when="one=true"))
    undecided = rules.model_copy(update={"decision": None})
    assert relevant(undecided, {}) == {"one", "two"}
    assert relevant(undecided, {"one": False}) == {"one"}


def test_a_question_that_was_put_and_passed_over_holds_nothing_up(tmp_path: Path) -> None:
    rules = small_form(
        tmp_path,
        'all = ["one"]',
        asking("one"),
        asking("perhaps", more="required = false"),
        asking("more", when="perhaps=true"),
        asking("phone", "text", "administrative = true"),
    )
    answers = {"one": True}
    assert next_step(rules, answers).questions == ("perhaps",)
    passed = next_step(rules, answers, put=["one", "perhaps"])
    assert (passed.questions, passed.last_clinical) == (("perhaps", "phone"), True)


def test_an_administrative_question_that_enables_another_holds_no_clinical_one_up(
    tmp_path: Path,
) -> None:
    rules = small_form(
        tmp_path,
        'all = ["one"]',
        asking("one"),
        asking("sent", more="administrative = true"),
        asking("number", "text", "administrative = true", when="sent=true"),
    )
    first = next_step(rules, {})
    assert (first.questions, first.last_clinical) == (("one", "sent"), True)
