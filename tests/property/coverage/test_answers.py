"""What holds of every set of answers to every service."""

from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.evaluate import Asked, Value, asked, evaluate, fitting, months_after
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.questions import Question

CALM = settings(deadline=None, max_examples=40)
CATALOGUE = Catalogue.load()
SERVICES = [rules for rules in CATALOGUE.services_on(date(2026, 5, 4)) if rules.is_active]


def answer(question: Question) -> st.SearchStrategy[Value]:
    """Any answer that fits a question, often near its thresholds."""
    codes = [option.code for option in question.options]
    together = [code for code in codes if code not in question.exclusive]
    match question.type:
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(question.minimum, question.most or 70)
        case "decimal":
            return st.decimals(question.minimum, question.most or 120, places=1)
        case "date":
            return st.dates()
        case "text":
            return st.just("words")
        case "choice":
            return st.sampled_from(codes)
        case _:
            some = st.lists(st.sampled_from(together), min_size=1, unique=True).map(tuple)
            return some | st.sampled_from([(code,) for code in codes])


def answers(rules: ServiceRules) -> st.SearchStrategy[dict[str, Value]]:
    """Some answers to a service's questions, often those that meet a criterion."""

    def likely(question: Question) -> st.SearchStrategy[Value]:
        fine = [o for o in question.options if o.outcome in ("meet", "neutral")]
        meeting = [o.code for o in fine if o.outcome == "meet" or o.code == "none"]
        if question.type == "choice" and meeting:
            return st.sampled_from(meeting) | answer(question)
        if question.type == "multi_choice" and meeting:
            return st.just((meeting[-1],)) | answer(question)
        return answer(question)

    optional = {question.id: likely(question) for question in rules.questions}
    return st.fixed_dictionaries({}, optional=optional)


@pytest.mark.parametrize("rules", SERVICES, ids=lambda rules: rules.slug)
@CALM
@given(data=st.data())
def test_more_answers_never_undo_what_holds(rules: ServiceRules, data: st.DataObject) -> None:
    every = data.draw(answers(rules))
    kept = data.draw(st.sets(st.sampled_from(sorted(rules.by_id))))
    fewer = {name: value for name, value in every.items() if name in kept}
    before, after = evaluate(rules, fewer), evaluate(rules, every)
    assert after.holds or not before.holds


@pytest.mark.parametrize("rules", SERVICES, ids=lambda rules: rules.slug)
@CALM
@given(data=st.data())
def test_whatever_holds_rests_on_answers_to_questions_asked(
    rules: ServiceRules, data: st.DataObject
) -> None:
    every = data.draw(answers(rules))
    in_play = {name: value for name, value in every.items() if _is_asked(rules, every, name)}
    assert evaluate(rules, in_play).holds == evaluate(rules, every).holds
    assert not evaluate(rules, {}).holds


def _is_asked(rules: ServiceRules, given_answers: Mapping[str, Value], name: str) -> bool:
    return asked(rules, given_answers, name) is Asked.YES


@pytest.mark.parametrize("rules", SERVICES, ids=lambda rules: rules.slug)
@CALM
@given(data=st.data())
def test_every_question_asked_has_an_outcome_in_the_files_order(
    rules: ServiceRules, data: st.DataObject
) -> None:
    every = data.draw(answers(rules))
    outcomes = list(evaluate(rules, every).outcomes)
    asked_for = [name for name in rules.by_id if _is_asked(rules, every, name)]
    optional = {question.id for question in rules.questions if not question.required}
    assert outcomes == [n for n in asked_for if n in every or n not in optional]


ANYTHING = st.one_of(
    st.booleans(),
    st.integers(),
    st.decimals(),
    st.text(),
    st.dates(),
    st.datetimes(),
    st.lists(st.text()).map(tuple),
)


@pytest.mark.parametrize("rules", SERVICES, ids=lambda rules: rules.slug)
@CALM
@given(data=st.data())
def test_any_value_fits_or_not_and_what_fits_can_be_evaluated(
    rules: ServiceRules, data: st.DataObject
) -> None:
    question = data.draw(st.sampled_from(rules.questions))
    held = fitting(question, data.draw(ANYTHING | answer(question)))
    if held is not None:
        assert fitting(question, held) == held
        evaluate(rules, {question.id: held})


@CALM
@given(st.dates(), st.integers(-1200, 1200))
def test_months_after_keeps_the_day_or_the_last_of_the_month(day: date, months: int) -> None:
    later = months_after(day, months)
    if later not in (date.min, date.max):
        assert (later.year - day.year) * 12 + later.month - day.month == months
        assert later.day <= day.day
        assert later.day == day.day or (later + timedelta(days=1)).day == 1


@CALM
@given(st.dates(), st.dates(), st.integers(-600, 600))
def test_months_after_keeps_the_order_of_days(one: date, other: date, months: int) -> None:
    earlier, later = sorted((one, other))
    assert months_after(earlier, months) <= months_after(later, months)


def test_a_decimal_is_compared_exactly() -> None:
    skin = CATALOGUE.service("skin-substitutes", date(2026, 5, 4))
    assert skin is not None
    area = {"ctp-area": Decimal("0.9999999999999999999999999999")}
    assert evaluate(skin, area).outcomes["ctp-area"] == "unmet"
    assert evaluate(skin, {"ctp-area": Decimal("1.00")}).outcomes["ctp-area"] == "met"
