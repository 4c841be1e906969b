"""Whatever stands in a response, it is extended or refused, and nothing else."""

import copy
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.adaptive_walks import (
    NOW,
    first_call,
    first_choice,
    form_of,
    forms,
    meeting,
    walk,
)
from wiser_fhir import exact
from wiser_fhir.dtr.checked_response import checked_response
from wiser_fhir.dtr.coverage_answer import assertion_ids, with_coverage_answers
from wiser_fhir.dtr.next_question import next_question, unwrapped
from wiser_fhir.errors import InvalidResource
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.intake.soundness import Soundness, soundness

Json = dict[str, Any]
CALM = settings(deadline=None, max_examples=300)
FORM = form_of("cervical-fusion")
INFORMATION: Json = {
    "url": "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information",
    "extension": [
        {"url": "coverage", "valueReference": {"reference": "Coverage/c-1"}},
        {"url": "covered", "valueCode": "covered"},
        {"url": "pa-needed", "valueCode": "no-auth"},
        {"url": "date", "valueDate": "2026-05-04"},
        {"url": "coverage-assertion-id", "valueString": "A-1"},
    ],
}
SENT = [
    first_call(FORM),
    *walk(FORM, first_choice),
    *walk(FORM, meeting(FORM.rules)),
    *walk(FORM, meeting(FORM.rules), first_call(FORM) | {"extension": [INFORMATION]}),
]
WORDS = st.sampled_from(["", "x", "#", "#x", "item", "answer", "Questionnaire", "Device/1"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(0, 9) | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=2),
    max_leaves=4,
)


@cache
def sound() -> Soundness:
    return soundness(GuideValidator.load("2.2"))


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every key of an object and index of a list, with its holder."""
    found: list[tuple[Any, Any]] = []
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        found.append((value, key))
        if isinstance(inner, dict | list):
            found += places(inner)
    return found


def answered(resource: Json) -> Json:
    """As the door does it, without the ledger."""
    response, place = unwrapped(resource)
    read = checked_response(response, sound(), forms(), "2.2", NOW.date(), place)
    reply = next_question(read, NOW).response
    assert isinstance(assertion_ids(reply), tuple)
    told = with_coverage_answers(reply, {}, form=FORM, on=NOW.date())
    again: Json = exact.loads(exact.dumps(told))
    return again


@CALM
@given(st.data())
def test_a_response_with_anything_anywhere(data: st.DataObject) -> None:
    response = copy.deepcopy(data.draw(st.sampled_from(SENT)))
    for _ in range(data.draw(st.integers(1, 3))):
        holder, key = data.draw(st.sampled_from(places(response)))
        if data.draw(st.booleans()) or not isinstance(holder, dict):
            holder[key] = data.draw(ANYTHING)
        else:
            holder.pop(key, None)
    try:
        reply = answered(response)
    except InvalidResource:
        return
    assert reply["status"] in {"in-progress", "completed"}
    assert reply["questionnaire"].startswith("#")


@CALM
@given(ANYTHING.filter(lambda value: isinstance(value, dict)))
def test_any_object_is_refused(value: Json) -> None:
    for resource in (value, {"resourceType": "QuestionnaireResponse"} | value):
        with pytest.raises(InvalidResource):
            answered(resource)
