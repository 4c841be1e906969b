"""Leaving out questions never changes what the rules say, and never a question that has a say."""

from collections.abc import Callable, Collection, Mapping
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.property.coverage.test_answers import answer, answers
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.completeness import Fault, answer_faults
from wiser_fhir.coverage.evaluate import Asked, Value, asked, evaluate, out_of_scope
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.relevance import next_step, relevant

CALM = settings(deadline=None, max_examples=25)
SERVICES = [each for each in Catalogue.load().services_on(date(2026, 5, 4)) if each.is_active]
EVERY_SERVICE = pytest.mark.parametrize("rules", SERVICES, ids=lambda rules: rules.slug)
Answers = Mapping[str, Value]


def full(rules: ServiceRules) -> st.SearchStrategy[dict[str, Value]]:
    """An answer to every question, asked or not; often those that meet a criterion."""
    every = st.fixed_dictionaries({question.id: answer(question) for question in rules.questions})
    return st.tuples(every, answers(rules)).map(lambda two: two[0] | two[1])


def walk(
    rules: ServiceRules,
    every: Answers,
    answered: Callable[[str], bool] = lambda _: True,
    software: Collection[str] = (),
) -> tuple[dict[str, Value], list[str]]:
    """Fill in a form step by step: the answers given, and the questions put, in order."""
    given_answers: dict[str, Value] = {}
    put: list[str] = []
    for _ in range(len(rules.questions) + 1):
        counting = {n: v for n, v in given_answers.items() if n not in software}
        step = next_step(rules, given_answers, counting, put)
        new = [name for name in step.questions if name not in put]
        if not new:
            return given_answers, put
        put += new
        given_answers |= {name: every[name] for name in new if answered(name)}
    raise AssertionError("The form does not end.")


@EVERY_SERVICE
@CALM
@given(data=st.data())
def test_what_is_left_out_would_have_changed_nothing(
    rules: ServiceRules, data: st.DataObject
) -> None:
    every = data.draw(full(rules))
    told, _ = walk(rules, every)
    assert evaluate(rules, told).holds == evaluate(rules, every).holds
    assert sorted(out_of_scope(rules, told)) == sorted(out_of_scope(rules, every))


@EVERY_SERVICE
@CALM
@given(data=st.data())
def test_at_any_moment_other_answers_to_what_is_left_out_change_nothing(
    rules: ServiceRules, data: st.DataObject
) -> None:
    first, later = data.draw(answers(rules)), data.draw(full(rules))
    wanted = relevant(rules, first)
    without = {n: v for n, v in (later | first).items() if n in first or n in wanted}
    assert evaluate(rules, without).holds == evaluate(rules, later | first).holds
    assert out_of_scope(rules, without) == out_of_scope(rules, later | first)


@EVERY_SERVICE
@CALM
@given(data=st.data())
def test_nor_would_it_where_software_attested(rules: ServiceRules, data: st.DataObject) -> None:
    every = data.draw(full(rules))
    attested = [question.id for question in rules.questions if question.is_attestation]
    software = data.draw(st.sets(st.sampled_from(attested)))
    told, _ = walk(rules, every, software=software)
    counting = {name: value for name, value in told.items() if name not in software}
    all_counting = {name: value for name, value in every.items() if name not in software}
    assert evaluate(rules, counting).holds == evaluate(rules, all_counting).holds


@EVERY_SERVICE
@CALM
@given(data=st.data())
def test_a_form_ends_with_everything_that_is_required(
    rules: ServiceRules, data: st.DataObject
) -> None:
    every = data.draw(full(rules))
    told, put = walk(rules, every, lambda name: rules.by_id[name].required)
    assert len(put) == len(set(put))
    wanted = relevant(rules, told)
    faults = answer_faults(rules, told, complete=True, expected=wanted)
    assert [fault for fault in faults if fault.fault is Fault.MISSING] == []
    for name in wanted:
        assert name in put or asked(rules, told, name) is Asked.UNKNOWN


@EVERY_SERVICE
@CALM
@given(data=st.data())
def test_only_what_is_asked_and_unanswered_comes_next(
    rules: ServiceRules, data: st.DataObject
) -> None:
    some = data.draw(answers(rules))
    step = next_step(rules, some).questions
    assert step == tuple(name for name in rules.by_id if name in step)
    for name in step:
        assert name not in some
        assert asked(rules, some, name) is Asked.YES


@EVERY_SERVICE
@CALM
@given(data=st.data())
def test_answers_that_do_not_count_spare_nobody_a_question(
    rules: ServiceRules, data: st.DataObject
) -> None:
    some = data.draw(answers(rules))
    counting = {n: v for n, v in some.items() if not rules.by_id[n].is_attestation}
    assert relevant(rules, some) <= relevant(rules, some, counting)
    for name in next_step(rules, some, counting).questions:
        assert asked(rules, some, name) is Asked.YES
