"""A response to an adaptive form, read against our own form: what was asked, what was answered.

The form inside a response tells only which questions were asked, in which order. What they allow is
looked up in the form they are derived from, so that nobody can widen it. Everything that is wrong
is found in one go, with the place where it stands (DTR 2.2.0 §spec-147).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, cast

from wiser_fhir.coverage.completeness import Fault, answer_faults
from wiser_fhir.coverage.evaluate import Value, fitting
from wiser_fhir.coverage.questions import Question
from wiser_fhir.coverage.relevance import relevant
from wiser_fhir.dtr.forms import Form, Forms
from wiser_fhir.dtr.given_answers import ValueFault, answer_value, by_software, holds_more
from wiser_fhir.dtr.items import END_OF_CLINICAL_QUESTIONS
from wiser_fhir.errors import InvalidResource, Problem
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json

_CODES = {
    Fault.UNKNOWN: "structure",
    Fault.MISSING: "required",
    Fault.NOT_POSSIBLE: "value",
    Fault.REPEATED: "structure",
}
_REFUSED = "The response does not go with its form."
_OPEN = ("in-progress", "completed", "amended")


@dataclass(frozen=True, slots=True)
class AdaptiveResponse:
    """A response without fault. `asked` are the questions put so far, in their order.

    `items` are the response's own items by linkId. `answers` are all that were given; `counting`
    leaves out attestations that software filled. `contained` is the place of the form inside, None
    where there was none.
    """

    response: Json
    form: Form
    contained: int | None
    asked: tuple[str, ...]
    items: Mapping[str, Json] = field(repr=False)
    answers: Mapping[str, Value] = field(repr=False)
    counting: Mapping[str, Value] = field(repr=False)


def _is_form(contained: Any) -> bool:
    return isinstance(contained, dict) and contained.get("resourceType") == "Questionnaire"


def form_inside(response: Json) -> int | None:
    """The place of the form inside that a response names, None without. Read with care."""
    inside, named = response.get("contained"), response.get("questionnaire")
    for index, each in enumerate(inside if isinstance(inside, list) else ()):
        name = each.get("id") if _is_form(each) else None
        if isinstance(name, str) and f"#{name}" == named:
            return index
    return None


def adaptive_response(
    response: Json,
    forms: Forms,
    line: Line,
    on: date,
    place: str = "QuestionnaireResponse",
    unsound: Collection[int] = (),
) -> AdaptiveResponse:
    """Read a QuestionnaireResponse that is sound by base R4. `place` is where it stands.

    Of the items at the places `unsound` nothing is read but their linkId.

    A question that its answers leave without a say need not be answered. One that was answered and
    that a changed answer disables is no fault either: see `next_question`.
    Nobody need have looked at the form inside. Raises InvalidResource with all that is wrong.
    """
    found = _form(response, forms, line, on, place)
    if isinstance(found, Problem):
        raise InvalidResource(_REFUSED, [found])
    form, contained = found
    reading = _Reading(form, response, contained, place, unsound)
    reading.read()
    if reading.problems:
        raise InvalidResource(_REFUSED, reading.problems)
    return AdaptiveResponse(
        response,
        form,
        contained,
        tuple(reading.asked),
        {each["linkId"]: each for each in response.get("item", ())},
        reading.answers,
        reading.counting,
    )


def _form(
    response: Json, forms: Forms, line: Line, on: date, place: str
) -> tuple[Form, int | None] | Problem:
    """The adaptive form of ours that a response is one to, and where it stands inside, if it does.

    The form inside is derived from ours; with none inside, `questionnaire` may name ours.
    """
    named = response.get("questionnaire", "")
    if not named.startswith("#"):
        form = forms.by_canonical(line, named, on)
        return (form, None) if form and form.adaptive else _unknown(f"{place}.questionnaire")
    index = form_inside(response)
    if index is None:
        text = "The response names a form that it does not hold."
        return Problem("error", "not-found", text, f"{place}.questionnaire")
    form = forms.by_canonical(line, _origin(response["contained"][index]), on)
    inside = f"{place}.contained[{index}].derivedFrom"
    return (form, index) if form and form.adaptive else _unknown(inside)


def _origin(contained: Json) -> str:
    """What a form inside is derived from; empty unless that is one form."""
    match contained.get("derivedFrom"):
        case [str() as origin]:
            return origin
    return ""


def _unknown(place: str) -> Problem:
    text = "No adaptive form of ours that counts today was named."
    return Problem("error", "not-found", text, place)


class _Reading:
    """A response being held against its form. `problems` is all that is wrong, as far as read."""

    def __init__(
        self,
        form: Form,
        response: Json,
        contained: int | None,
        place: str,
        unsound: Collection[int],
    ) -> None:
        self.form = form
        self.response = response
        self.contained = contained
        self.place = place
        self.unsound = unsound
        self.asked: list[str] = []
        self.answers: dict[str, Value] = {}
        self.counting: dict[str, Value] = {}
        self.problems: list[Problem] = []
        self._given: dict[str, Value] = {}
        self._unreadable: set[str] = set()
        self._places: dict[str, str] = {}

    def read(self) -> None:
        """Read everything, whatever is wrong with the rest."""
        if self.response.get("status") not in _OPEN:
            self._wrong("value", "A response in progress was expected.", f"{self.place}.status")
        self._read_asked()
        for index, item in enumerate(self.response.get("item", ())):
            if index in self.unsound:
                self._pass_over(item["linkId"], f"{self.place}.item[{index}]")
            else:
                self._read_item(item, f"{self.place}.item[{index}]")
        self._read_faults()

    def _counting(self) -> dict[str, Value]:
        """The answers that count when the request is decided."""
        software = set(by_software(self.response))
        by_id = self.form.rules.by_id
        return {
            name: value
            for name, value in self.answers.items()
            if not (by_id[name].is_attestation and name in software)
        }

    def _read_asked(self) -> None:
        """The questions asked so far: those of the form inside, or else of the items."""
        if self.contained is None:
            names = (item["linkId"] for item in self.response.get("item", ()))
            self.asked += dict.fromkeys(name for name in names if name in self.form.rules.by_id)
            return
        place, by_id = f"{self.place}.contained[{self.contained}].item", self.form.rules.by_id
        items = self.response["contained"][self.contained].get("item", [])
        for index, item in enumerate(items if isinstance(items, list) else [items]):
            name = item.get("linkId") if isinstance(item, dict) else None
            if isinstance(name, str) and name in by_id and name not in self.asked:
                self.asked.append(name)
            elif name != END_OF_CLINICAL_QUESTIONS:
                text = "The form inside has an item that is none of this form, or stands twice."
                self._wrong("structure", text, f"{place}[{index}]")

    def _pass_over(self, name: str, place: str) -> None:
        """An item with faults of its own: nothing more is said of its question."""
        if name in self.asked:
            self._places[name] = place
            self._unreadable.add(name)

    def _read_item(self, item: Json, place: str) -> None:
        name = item["linkId"]
        if name == END_OF_CLINICAL_QUESTIONS and "answer" not in item:
            return
        if name not in self.asked:
            self._wrong("structure", "An item that this form has not asked for.", place)
        elif name in self._places:
            self._wrong("structure", "An item stands twice.", place)
        else:
            self._places[name] = place
            self._read_answers(self.form.rules.by_id[name], item, place)

    def _read_answers(self, question: Question, item: Json, place: str) -> None:
        if holds_more(question, item):
            self._wrong("structure", "Nothing is asked below this item.", place)
        values: list[Value] = []
        for index, answer in enumerate(item.get("answer", ())):
            value = answer_value(question, answer)
            if isinstance(value, ValueFault):
                self._wrong(value.code, value.text, f"{place}.answer[{index}]{value.below}")
                self._unreadable.add(question.id)
            else:
                values.append(value)
        if values and question.id not in self._unreadable:
            several = len(values) > 1 or question.type == "multi_choice"
            self._given[question.id] = cast(Value, tuple(values)) if several else values[0]

    def _read_faults(self) -> None:
        """What is wrong between the answers and the questions, and the answers that fit."""
        rules = self.form.rules
        for name, value in self._given.items():
            fit = fitting(rules.by_id[name], value)
            if fit is not None:
                self.answers[name] = fit
        self.counting = self._counting()
        unanswered = [name for name in self.asked if name not in self._given]
        expected = unanswered and relevant(rules, self.answers, self.counting) & {*unanswered}
        faults = answer_faults(
            rules, self._given, unreadable=self._unreadable, complete=True, expected=expected
        )
        for fault in faults:
            if fault.fault in _CODES and fault.question not in self._unreadable:
                place = self._places.get(fault.question, self.place)
                self._wrong(_CODES[fault.fault], fault.text, place)

    def _wrong(self, code: str, text: str, place: str) -> None:
        self.problems.append(Problem("error", code, text, place))
