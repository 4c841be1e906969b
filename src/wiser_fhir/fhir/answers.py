"""A QuestionnaireResponse read by linkId."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wiser_fhir.fhir.codes import INFORMATION_ORIGIN
from wiser_fhir.fhir.elements import Json, extension, extensions

_DATA_ABSENT_REASON = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
_NONE = ("", None)


@dataclass(frozen=True, slots=True)
class ItemAnswers:
    """What stands under one linkId: FHIR JSON values with their `value[x]` key, in order.

    `origins` are the codes of DTR's information-origin that stand at them, in order; None where one
    has no code. `practitioners` are those that origins name as an author; None where one names an
    author that is not told to be a practitioner.
    """

    values: tuple[tuple[str, Any], ...] = ()
    origins: tuple[str | None, ...] = ()
    practitioners: tuple[Json | None, ...] = ()


def answers_by_link_id(response: Json) -> dict[str, ItemAnswers]:
    """Every answered item, groups and nested items walked. A linkId met again adds its answers."""
    found: dict[str, ItemAnswers] = {}
    for item in _items(response):
        answers = item.get("answer", ())
        if not answers:
            continue
        earlier = found.get(item["linkId"], ItemAnswers())
        absent = is_absent(item)
        found[item["linkId"]] = ItemAnswers(
            earlier.values + tuple(_NONE if absent else _value(answer) for answer in answers),
            earlier.origins + tuple(code for answer in answers for code in _origins(answer)),
            earlier.practitioners + tuple(each for a in answers for each in _practitioners(a)),
        )
    return found


def is_absent(element: Json) -> bool:
    """Whether an element, or a primitive in it, says why it has no value.

    What stands beside such a word is no answer to rely on. Source: FHIR R4, data-absent-reason.
    """
    primitives = (beside for name, beside in element.items() if name.startswith("_"))
    parts = (element, *(each for each in primitives if isinstance(each, dict)))
    return any(extension(part, _DATA_ABSENT_REASON) is not None for part in parts)


def _items(parent: Json) -> Iterator[Json]:
    for item in parent.get("item", ()):
        yield item
        yield from _items(item)
        for answer in item.get("answer", ()):
            yield from _items(answer)


def _value(answer: Json) -> tuple[str, Any]:
    """The value with its key. What has no plain one, or says why it has none, is kept as such."""
    keys = [key for key in answer if key.startswith(("value", "_value"))]
    if len(keys) != 1 or is_absent(answer):
        return _NONE
    value = answer[keys[0]]
    return _NONE if isinstance(value, dict) and is_absent(value) else (keys[0], value)


def _origins(answer: Json) -> Iterator[str | None]:
    for origin in extensions(answer, INFORMATION_ORIGIN):
        yield (extension(origin, "source") or {}).get("valueCode")


def _practitioners(answer: Json) -> Iterator[Json | None]:
    for origin in extensions(answer, INFORMATION_ORIGIN):
        for author in extensions(origin, "author"):
            named = [each.get("valueReference") for each in extensions(author, "practitioner")]
            yield from named or [None]
