"""What stands in the items of a response: values by their question's type, and who gave them.

Nobody has looked at the extensions; whatever else is read is sound by base R4.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from wiser_fhir.coverage.evaluate import Value
from wiser_fhir.coverage.questions import Question, QuestionType
from wiser_fhir.dtr.items import option_system
from wiser_fhir.exact import Number
from wiser_fhir.fhir.codes import INFORMATION_ORIGIN
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.values import decimal, full_date

_VALUES: Mapping[QuestionType, tuple[str, str]] = {
    "boolean": ("valueBoolean", "A yes or no"),
    "choice": ("valueCoding", "One of the options"),
    "multi_choice": ("valueCoding", "One of the options"),
    "integer": ("valueInteger", "A whole number"),
    "decimal": ("valueDecimal", "A number"),
    "date": ("valueDate", "A whole date"),
    "text": ("valueString", "A text"),
}


@dataclass(frozen=True, slots=True)
class ValueFault:
    """Why an answer has no value of its question's type. `below` is its place in the answer."""

    code: str
    text: str
    below: str = ""


def answer_value(question: Question, answer: Json) -> Value | ValueFault:
    """The value of one answer, as the question's type has it."""
    key, words = _VALUES[question.type]
    if not any(name.startswith("value") for name in answer):
        return ValueFault("required", f"An answer without a value: {question.text}")
    value = _plain(key, answer[key], question) if key in answer else None
    if value is None:
        code = "code-invalid" if key == "valueCoding" and key in answer else "value"
        return ValueFault(code, f"{words} was expected: {question.text}", ".value")
    return value


def _plain(key: str, value: Any, question: Question) -> Value | None:
    match key:
        case "valueDecimal":
            return decimal(value.written) if isinstance(value, Number) else decimal(value)
        case "valueDate":
            return full_date(value)
        case "valueCoding":
            ours = value.get("system") == option_system(question.id)
            return value["code"] if ours and question.allows(value.get("code")) else None
    return cast(Value, value)


def holds_more(question: Question, item: Json) -> bool:
    """Whether anything stands below an item, the words of its own display items aside."""
    below = [item, *item.get("answer", ())]
    return any(
        "answer" in inner or "item" in inner or not inner["linkId"].startswith(f"{question.id}.")
        for each in below
        for inner in each.get("item", ())
    )


def by_software(response: Json) -> Iterator[str]:
    """The items with an answer that software gave, also where a person changed it afterwards."""
    device = _is_device(response)
    for item in response.get("item", ()):
        if device or any(_filled(answer) for answer in item.get("answer", ())):
            yield item["linkId"]


def _filled(answer: Json) -> bool:
    """Whether an answer has an origin other than `manual`. Source: DTR, information-origin."""
    return any(
        all(source.get("valueCode") != "manual" for source in extensions_with_care(each, "source"))
        for each in extensions_with_care(answer, INFORMATION_ORIGIN)
    )


def _is_device(response: Json) -> bool:
    author = response.get("author") or {}
    if author.get("type") == "Device" or "Device/" in author.get("reference", ""):
        return True
    inside = response.get("contained", ())
    devices = {f"#{each.get('id')}" for each in inside if each["resourceType"] == "Device"}
    return author.get("reference") in devices


def extensions_with_care(element: Json, url: str) -> list[Json]:
    """Every extension with this url of an element whose extensions nobody has looked at."""
    told = element.get("extension")
    if not isinstance(told, list):
        return []
    return [each for each in told if isinstance(each, dict) and each.get("url") == url]
