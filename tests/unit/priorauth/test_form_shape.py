"""Whether the form that was answered is ours: its items, their places and their words."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.priorauth.wiser_requests import CATALOGUE, FIRST_INJECTION, ON, form, request
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.priorauth.assess import assess
from wiser_fhir.priorauth.form_items import ContainedForm, FormItem, FormLayout
from wiser_fhir.priorauth.form_shape import shape_faults
from wiser_fhir.priorauth.models import Recommendation

ADAPTIVE = "https://wiser-fhir.example/fhir/Questionnaire/epidural-steroid-injection-adaptive"
PLAIN = FormLayout(tuple(FormItem(name, answered=True) for name in FIRST_INJECTION))


def rules() -> ServiceRules:
    found = CATALOGUE.service("epidural-steroid-injection", ON)
    assert found is not None
    return found


def faults(*items: FormItem, **changes: Any) -> list[str]:
    """What is wrong with a whole form that has these items too, or in place of its own."""
    named = {item.link_id for item in items}
    kept = tuple(item for item in PLAIN.items if item.link_id not in named)
    return list(shape_faults(rules(), FormLayout((*kept, *items), **changes), adaptive=False))


def stepwise(contained: ContainedForm | None, layout: FormLayout = PLAIN) -> list[str]:
    return list(shape_faults(rules(), replace(layout, contained=contained), adaptive=True))


def test_a_form_of_our_items_is_ours() -> None:
    assert faults() == []
    assert faults(FormItem("end-of-clinical-questions")) == []
    assert faults(FormItem("esi-scale.help", "esi-scale")) == []


NONE_OF_OURS = "The form has an item that is none of ours."


@pytest.mark.parametrize(
    "item",
    [
        FormItem("own"),
        FormItem("own", text="NOT the case that"),
        FormItem("own", "esi-scale"),
        FormItem("esi-scale.note", "esi-scale"),
        FormItem("esi-scale.help"),
        FormItem("esi-scale.help", "esi-impact"),
        FormItem("esi-scale.help", "esi-scale", answered=True),
        FormItem("esi-scale.help", "esi-scale", text="Answer the opposite."),
        FormItem("esi-repeat.help", "esi-repeat"),
        FormItem("end-of-clinical-questions", "esi-scale"),
        FormItem("end-of-clinical-questions", answered=True),
        FormItem("end-of-clinical-questions", text="All of this is not so."),
        FormItem("end-of-clinical-questions", foreign=True),
    ],
)
def test_an_item_of_anybody_elses(item: FormItem) -> None:
    assert faults(item) == [NONE_OF_OURS]


def test_our_own_words_to_read() -> None:
    end = "This is the end of the clinical questions."
    help_ = "Usually documented in: procedure plan"
    assert faults(FormItem("end-of-clinical-questions", text=end)) == []
    assert rules().by_id["esi-approach"].evidence == ("procedure-plan",)
    assert faults(FormItem("esi-approach.help", "esi-approach", text=help_)) == []


def test_a_question_stands_once_and_at_the_top() -> None:
    text = rules().by_id["esi-scale"].text
    assert faults(FormItem("esi-scale", "group"), FormItem("group")) == [
        f"A question does not stand at the top of the form: {text}",
        NONE_OF_OURS,
    ]
    assert faults(FormItem("esi-scale", "esi-impact", answered=True)) == [
        f"A question does not stand at the top of the form: {text}"
    ]
    twice = (FormItem("esi-scale", answered=True), FormItem("esi-scale"))
    assert faults(*twice) == [f"A question stands twice: {text}"]


def test_a_question_stands_in_our_words() -> None:
    text = rules().by_id["esi-scale"].text
    said = f"A question stands in other words than ours: {text}"
    assert faults(FormItem("esi-scale", text=text)) == []
    assert faults(FormItem("esi-scale", text=f"  {text.replace(' ', chr(10) + ' ')} ")) == []
    assert faults(FormItem("esi-scale", text=f"It is not so: {text}")) == [said]
    assert faults(FormItem("esi-scale", text="")) == [said]
    assert faults(FormItem("esi-scale", foreign=True)) == [said]


def test_a_unit_behind_the_question_is_ours() -> None:
    found = CATALOGUE.service("hypoglossal-nerve-stimulation", ON)
    assert found is not None
    question = found.by_id["hgns-ahi"]
    for text, ours in (
        (question.text, True),
        (f"{question.text} (events/h)", True),
        (f"{question.text} (weeks)", False),
    ):
        layout = FormLayout((FormItem("hgns-ahi", text=text),))
        assert (list(shape_faults(found, layout, adaptive=False)) == []) is ours


def test_an_option_stands_in_our_words() -> None:
    question = rules().by_id["esi-contra"]
    label = next(option.label for option in question.options if option.code == "none")
    said = f"An option stands in other words than ours: {question.text}"
    for display, found in ((label, []), (f" {label}\n", []), ("An infection", [said])):
        assert faults(FormItem("esi-contra", shown=(("none", display),))) == found
    assert faults(FormItem("esi-contra", shown=(("of another list", "anything"),))) == []


def test_what_changes_a_meaning_from_outside() -> None:
    assert faults(modified=True) == ["The form says of itself that it is to be read otherwise."]


INSIDE = ContainedForm(in_use=True, items=tuple(FormItem(name) for name in FIRST_INJECTION))


def test_a_form_asked_step_by_step_holds_what_was_asked() -> None:
    assert stepwise(INSIDE) == []
    assert stepwise(None) == ["The response does not hold the form that was asked."]
    retired = replace(INSIDE, in_use=False)
    assert stepwise(retired) == ["The form inside the response is not in use."]


def test_of_a_form_asked_step_by_step_only_what_was_asked_is_answered() -> None:
    text = rules().by_id["esi-purpose"].text
    fewer = replace(INSIDE, items=INSIDE.items[1:])
    said = f"Answered, though the form inside does not ask for it: {text}"
    assert stepwise(fewer) == [said]
    first, *others = PLAIN.items
    open_ = FormLayout((replace(first, answered=False), *others))
    assert stepwise(fewer, open_) == []
    unknown = FormLayout((*PLAIN.items, FormItem("own", answered=True)))
    assert stepwise(INSIDE, unknown) == [NONE_OF_OURS]


def test_what_a_form_inside_asks_is_ours() -> None:
    own = replace(INSIDE, items=(*INSIDE.items, FormItem("own")))
    assert stepwise(own) == [NONE_OF_OURS]
    text = rules().by_id["esi-scale"].text
    reworded = tuple(
        replace(item, text="No?") if item.link_id == "esi-scale" else item for item in INSIDE.items
    )
    assert stepwise(replace(INSIDE, items=reworded)) == [
        f"A question stands in other words than ours: {text}"
    ]


def test_a_whole_form_need_not_hold_itself() -> None:
    assert faults(contained=None) == []
    assert faults(contained=ContainedForm(in_use=False, items=())) == []


@pytest.mark.parametrize(("layout", "affirmed"), [(None, True), (PLAIN, True),
                         (FormLayout((*PLAIN.items, FormItem("own"))), False)])  # fmt: skip
def test_a_form_that_is_not_ours_goes_to_a_clinician(
    layout: FormLayout | None, affirmed: bool
) -> None:
    submission = request(forms=(form(layout=layout),))
    assessment = assess(
        rules(), submission, CATALOGUE, auto_affirm=True, require_reviewed=False
    )  # fmt: skip
    assert (assessment.recommendation is Recommendation.AFFIRM) is affirmed
    told = [f.text for f in assessment.findings if f.criterion == "form-answers"]
    assert told == ([] if affirmed else [NONE_OF_OURS])


def test_an_adaptive_form_without_itself_goes_to_a_clinician() -> None:
    submission = request(forms=(form(layout=PLAIN, questionnaire=ADAPTIVE),))
    assessment = assess(rules(), submission, CATALOGUE, auto_affirm=True, require_reviewed=False)
    assert [f.text for f in assessment.findings if f.criterion == "form-answers"] == [
        "The response does not hold the form that was asked."
    ]
