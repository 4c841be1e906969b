"""How the items of a QuestionnaireResponse stand in it, and in what words."""

from typing import Any

import pytest

from tests.unit.pas.reading import FORM, form_of
from wiser_fhir.fhir.elements import Json
from wiser_fhir.priorauth.form_items import ContainedForm, FormItem, FormLayout

YES: Json = {"valueBoolean": True}
OWN = {"url": "urn:x", "valueBoolean": True}


def layout(*items: Json, **elements: Any) -> FormLayout:
    found = form_of(*items, **elements).layout
    assert found is not None
    return found


def test_every_item_with_its_place() -> None:
    below_answer = {"linkId": "d", "answer": [{**YES, "item": [{"linkId": "e"}]}]}
    group = {"linkId": "b", "item": [{"linkId": "c"}, below_answer]}
    assert layout({"linkId": "a", "text": "A?", "answer": [YES]}, group).items == (
        FormItem("a", text="A?", answered=True),
        FormItem("b"),
        FormItem("c", "b"),
        FormItem("d", "b", answered=True),
        FormItem("e", "d"),
    )


def test_the_words_of_options() -> None:
    answers = [
        {"valueCoding": {"code": "x", "display": "An x"}},
        {"valueCoding": {"code": "y"}},
        {"valueString": "z"},
    ]
    (item,) = layout({"linkId": "a", "answer": answers}).items
    assert item.shown == (("x", "An x"),)


@pytest.mark.parametrize(
    ("elements", "foreign"),
    [
        ({}, False),
        ({"definition": "https://wiser-fhir.example/fhir/Questionnaire/x#a"}, False),
        ({"definition": "https://wiser-fhir.example/v2.0/fhir/Questionnaire/x#a"}, False),
        ({"definition": "https://wiser-fhir.example.org/fhir/x#a"}, True),
        ({"definition": "http://other.example/x#a"}, True),
        ({"modifierExtension": [OWN]}, True),
        ({"answer": [{**YES, "modifierExtension": [OWN]}]}, True),
    ],
)
def test_an_item_that_says_more_than_ours(elements: Json, foreign: bool) -> None:
    (item,) = layout({"linkId": "a", **elements}).items
    assert item.foreign is foreign


@pytest.mark.parametrize(
    ("elements", "modified"),
    [
        ({}, False),
        ({"modifierExtension": [OWN]}, True),
        ({"implicitRules": "http://other.example/rules"}, True),
    ],
)
def test_a_form_that_says_how_it_is_to_be_read(elements: Json, modified: bool) -> None:
    assert layout(**elements).modified is modified


def stepwise(**elements: Any) -> FormLayout:
    inside = {
        "resourceType": "Questionnaire",
        "id": "form",
        "status": "active",
        "derivedFrom": [f"{FORM}-adaptive|2026-01-15"],
        **elements,
    }
    return layout(questionnaire="#form", contained=[{"resourceType": "Basic"}, inside])


def test_the_form_inside() -> None:
    options = [{"valueCoding": {"code": "x", "display": "An x"}}, {"valueString": "y"}]
    help_ = {"linkId": "a.help", "type": "display", "text": "Look"}
    item = {"linkId": "a", "text": "A?", "type": "choice", "answerOption": options, "item": [help_]}
    assert stepwise(item=[item]).contained == ContainedForm(
        in_use=True,
        items=(FormItem("a", text="A?", shown=(("x", "An x"),)), FormItem("a.help", "a", "Look")),
    )
    assert stepwise().contained == ContainedForm(in_use=True, items=())


@pytest.mark.parametrize(
    ("status", "in_use"),
    [("active", True), ("draft", True), ("retired", False), ("unknown", False), (None, False)],
)
def test_whether_the_form_inside_is_in_use(status: str | None, in_use: bool) -> None:
    assert stepwise(status=status).contained == ContainedForm(in_use=in_use, items=())


def test_what_the_form_inside_adds_is_foreign() -> None:
    contained = stepwise(item=[{"linkId": "a", "type": "string", "prefix": "NOT"}]).contained
    assert contained == ContainedForm(in_use=True, items=(FormItem("a", foreign=True),))
    assert stepwise(modifierExtension=[OWN]).modified
    assert not stepwise().modified


def test_a_form_that_stands_elsewhere_is_not_inside() -> None:
    assert layout().contained is None
    assert layout(questionnaire="#form").contained is None
    inside = {"resourceType": "Questionnaire", "id": "form", "status": "active"}
    assert layout(contained=[inside]).contained is None
