"""The draft QuestionnaireResponse of a package: what it is about, and answers already known.

Source: DTR 2.2.0 §oper-18, §oper-19, §spec-25, §spec-26, §spec-65, §spec-122;
dtr-questionnaireresponse of 2.2.0 and 2.0.1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import cast

from wiser_fhir import exact
from wiser_fhir.coverage.evaluate import Value
from wiser_fhir.coverage.questions import Question
from wiser_fhir.dtr.adaptive_form import CONTAINED_ID
from wiser_fhir.dtr.forms import Form, contained_questionnaire
from wiser_fhir.dtr.items import DTR, option_system
from wiser_fhir.fhir.codes import INFORMATION_ORIGIN, Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.references import read_reference

QR_CONTEXT = DTR + "qr-context"
QR_COVERAGE = DTR + "qr-coverage"
INTENDED_USE = DTR + "intendedUse"
# What CRD's DocReason takes the code from. Source: CRD 2.2.1 and 2.0.1, ValueSet DocReason.
_PURPOSES: dict[Line, str] = {
    "2.2": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/coverage-information-codes",
    "2.0": "http://hl7.org/fhir/us/davinci-crd/CodeSystem/temp",
}
_BY_US: dict[Line, str] = {"2.2": "auto-server", "2.0": "auto"}
# What qr-context may refer to; in 2.0 to the Coverage too.
_CONTEXTS = frozenset(
    {
        *("Appointment", "DeviceRequest", "Encounter", "MedicationRequest", "NutritionOrder"),
        "ServiceRequest",
    }
)
_LEAST_CONTEXTS = 2


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a form is filled for: references as the client gave them, and the instant."""

    subject: Json
    coverages: tuple[Json, ...]
    orders: tuple[Json, ...]
    at: datetime


def draft(
    form: Form,
    occasion: Occasion,
    known: Mapping[str, Value] | None = None,
    information: Json | None = None,
) -> Json:
    """The response a client begins with.

    `known` are answers by question id, which a standard form gets. `information` is the
    coverage-information of CRD's answer, which an adaptive one carries.
    """
    about = [*_about(form.line, occasion), *([information] if information else ())]
    response: Json = {
        "resourceType": "QuestionnaireResponse",
        "meta": {"lastUpdated": occasion.at.isoformat(), **_profile(form)},
        "extension": [*about, _intended_use(form.line)],
        "questionnaire": f"#{CONTAINED_ID}" if form.adaptive else form.canonical,
        "status": "in-progress",
        "subject": occasion.subject,
        "authored": occasion.at.isoformat(),
    }
    if form.adaptive:
        response["contained"] = [contained_questionnaire(form, ())]
        return response
    items = list(_items(form, known or {}))
    return response | ({"item": items} if items else {})


def _profile(form: Form) -> Json:
    """The guide's own profile. 2.0 has none of a response to an adaptive form without an item."""
    if form.adaptive and form.line == "2.0":
        return {}
    return {"profile": [DTR + f"dtr-questionnaireresponse{'-adapt' if form.adaptive else ''}"]}


def _about(line: Line, occasion: Occasion) -> Iterator[Json]:
    """Coverages and orders. 2.0 has one extension for both and wants it twice: where no order is
    known that it may name, the Coverage stands there again.
    """
    orders = [each for each in occasion.orders if _kind(each) in _CONTEXTS]
    if line == "2.2":
        yield from (_reference(QR_COVERAGE, each) for each in occasion.coverages)
        yield from (_reference(QR_CONTEXT, each) for each in orders)
        return
    told = [*occasion.coverages, *orders]
    told += told[:1] * (_LEAST_CONTEXTS - len(told))
    yield from (_reference(QR_CONTEXT, each) for each in told)


def _kind(reference: Json) -> str | None:
    local = read_reference(reference.get("reference", ""))
    return local.kind if local else reference.get("type")


def _reference(url: str, reference: Json) -> Json:
    return {"url": url, "valueReference": reference}


def _intended_use(line: Line) -> Json:
    coding = {"system": _PURPOSES[line], "code": "withpa"}
    return {"url": INTENDED_USE, "valueCodeableConcept": {"coding": [coding]}}


def _items(form: Form, known: Mapping[str, Value]) -> Iterator[Json]:
    """The questions with an answer; in 2.0, which wants an item, also those asked of everybody."""
    for item in form.questionnaire["item"]:
        question = form.rules.by_id.get(item["linkId"])
        if question is None:
            continue
        value = known.get(question.id)
        if value is not None:
            answers = [_answer(each, form.line) for each in _values(question, value)]
            yield {"linkId": question.id, "answer": answers}
        elif form.line == "2.0" and question.enable_when is None:
            yield {"linkId": question.id}


def _answer(value: Json, line: Line) -> Json:
    """An answer that comes from us. Source: DTR 2.2.0 and 2.0.1, information-origin."""
    source = {"url": "source", "valueCode": _BY_US[line]}
    return {"extension": [{"url": INFORMATION_ORIGIN, "extension": [source]}], **value}


def _values(question: Question, value: Value) -> list[Json]:
    """A value that fits its question, as FHIR writes it: several where several are chosen."""
    match question.type:
        case "boolean":
            return [{"valueBoolean": value}]
        case "integer":
            return [{"valueInteger": value}]
        case "decimal":
            return [{"valueDecimal": exact.Number(str(value))}]
        case "date":
            return [{"valueDate": cast(date, value).isoformat()}]
        case "text":
            return [{"valueString": value}]
        case _:
            chosen = value if isinstance(value, tuple) else (value,)
            return [_coding(question, code) for code in chosen]


def _coding(question: Question, code: object) -> Json:
    option = next(each for each in question.options if each.code == code)
    coding = {"system": option_system(question.id), "code": option.code, "display": option.label}
    return {"valueCoding": coding}
