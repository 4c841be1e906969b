"""Somebody who fills in an adaptive form step by step, as an EHR's app would for them."""

import copy
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from functools import cache
from typing import Any

from tests.bundle_values import Line
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.questions import Question
from wiser_fhir.dtr.adaptive_response import adaptive_response
from wiser_fhir.dtr.draft import Occasion, draft
from wiser_fhir.dtr.forms import Form, Forms
from wiser_fhir.dtr.next_question import next_question

Json = dict[str, Any]
Choose = Callable[[Question], Any]

ORIGIN = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/information-origin"
SYSTEM = "https://wiser-fhir.example/fhir/CodeSystem"
NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
TODAY = date(2026, 11, 20)
BASES: dict[Line, str] = {
    "2.2": "http://payer.test/fhir",
    "2.0": "http://payer.test/v2.0/fhir",
}


@cache
def catalogue() -> Catalogue:
    """The real one."""
    return Catalogue.load()


@cache
def forms() -> Forms:
    """Every form of it."""
    return Forms.load(catalogue(), BASES)


def form_of(slug: str, line: Line = "2.2") -> Form:
    """The adaptive form of a service."""
    found = forms().of(line, catalogue().versions(slug)[-1], adaptive=True)
    assert found is not None
    return found


def first_call(form: Form) -> Json:
    """What a package brings to begin with."""
    occasion = Occasion(
        subject={"reference": "Patient/patient-1"},
        coverages=({"reference": "Coverage/coverage-1"},),
        orders=({"reference": "ServiceRequest/order-1"},),
        at=NOW,
    )
    return draft(form, occasion)


def origin(source: str = "manual", line: Line = "2.2") -> Json:
    """Who gave an answer. What software gave has no author."""
    parts: list[Json] = [{"url": "source", "valueCode": source}]
    if not source.startswith("auto"):
        person = {"url": "practitioner", "valueReference": {"reference": "Practitioner/doctor-1"}}
        parts.append({"url": "author", "extension": [person]})
    return {"url": ORIGIN, "extension": parts}


def answers(question: Question, value: Any, source: str | None = "manual") -> list[Json]:
    """A value as the answers of its item; several for a list."""
    told = {"extension": [origin(source)]} if source else {}
    values = value if isinstance(value, list) else [value]
    return [{**told, **_value(question, each)} for each in values]


def _value(question: Question, value: Any) -> Json:
    match question.type:
        case "boolean":
            return {"valueBoolean": value}
        case "integer":
            return {"valueInteger": value}
        case "decimal":
            return {"valueDecimal": value}
        case "date":
            return {"valueDate": value}
        case "text":
            return {"valueString": value}
        case _:
            label = next(o.label for o in question.options if o.code == value)
            return {
                "valueCoding": {
                    "system": f"{SYSTEM}/{question.id}",
                    "code": value,
                    "display": label,
                }
            }


def first_choice(question: Question) -> Any:
    """Yes, the first option, a number in the middle."""
    if question.options:
        return question.options[0].code
    number = 30 if question.most is None else min(30, question.most)
    return {"boolean": True, "date": "2026-05-04", "text": "As noted."}.get(question.type, number)


def last_choice(question: Question) -> Any:
    """No, the last option, the least number."""
    if question.options:
        return question.options[-1].code
    least = {"boolean": False, "date": "2026-05-05", "text": "No.", "decimal": 0.5}
    return least.get(question.type, question.minimum)


def meeting(rules: ServiceRules) -> Choose:
    """What meets the criterion, as far as one can tell by its options."""

    def choose(question: Question) -> Any:
        fine = [o for o in question.options if o.outcome in ("meet", "neutral")]
        codes = [o.code for o in fine if o.outcome == "meet" or o.code == "none"]
        return codes[-1] if codes else first_choice(question)

    return choose


def open_items(response: Json) -> list[Json]:
    """The items without an answer."""
    return [item for item in response.get("item", ()) if "answer" not in item]


def filled(response: Json, rules: ServiceRules, choose: Choose) -> Json:
    """A copy with every open item answered; None leaves one open."""
    copied = copy.deepcopy(response)
    for item in open_items(copied):
        value = choose(rules.by_id[item["linkId"]])
        if value is not None:
            item["answer"] = answers(rules.by_id[item["linkId"]], value)
    return copied


def reply(response: Json, line: Line = "2.2", at: datetime = NOW) -> Json:
    """What comes back for a response, without a door around it."""
    read = adaptive_response(response, forms(), line, at.date())
    return next_question(read, at).response


def walk(form: Form, choose: Choose, response: Json | None = None) -> Iterator[Json]:
    """Every reply, from the first call to the completed one."""
    current = first_call(form) if response is None else response
    for _ in range(len(form.rules.questions) + 1):
        current = reply(current, form.line)
        yield current
        if current["status"] == "completed":
            return
        current = filled(current, form.rules, choose)
    raise AssertionError("The form does not end.")


def link_ids(held: Json) -> list[str]:
    """The linkIds of a response's items, or a form's, in order."""
    return [item["linkId"] for item in held.get("item", ())]


def inside(response: Json) -> Json:
    """The form inside a response."""
    forms_inside = [c for c in response["contained"] if c["resourceType"] == "Questionnaire"]
    assert len(forms_inside) == 1
    assert response["questionnaire"] == f"#{forms_inside[0]['id']}"
    found: Json = forms_inside[0]
    return found
