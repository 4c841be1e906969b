"""A QuestionnaireResponse read by linkId."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from wiser_fhir.fhir.codes import INFORMATION_ORIGIN
from wiser_fhir.fhir.elements import Json, extension, extensions


@dataclass(frozen=True, slots=True)
class ItemAnswers:
    """What stands under one linkId: FHIR JSON values with their `value[x]` key, in order.

    `by_software` when any of them names an origin other than `manual` (DTR 2.2.0 and 2.0.1,
    information-origin: filled by software, also where a person changed it afterwards).
    """

    values: tuple[tuple[str, Any], ...]
    by_software: bool


def answers_by_link_id(response: Json) -> dict[str, ItemAnswers]:
    """Every answered item, groups and nested items walked. A linkId met again adds its answers."""
    found: dict[str, ItemAnswers] = {}
    for item in _items(response):
        answers = item.get("answer", ())
        values = tuple(_value(a) for a in answers)
        if not values:
            continue
        earlier = found.get(item["linkId"], ItemAnswers((), False))
        software = earlier.by_software or any(_filled_by_software(a) for a in answers)
        found[item["linkId"]] = ItemAnswers(earlier.values + values, software)
    return found


def _items(parent: Json) -> Iterator[Json]:
    for item in parent.get("item", ()):
        yield item
        yield from _items(item)
        for answer in item.get("answer", ()):
            yield from _items(answer)


def _value(answer: Json) -> tuple[str, Any]:
    """The value with its key. What has no plain one, or says why it has none, is kept as such."""
    keys = [key for key in answer if key.startswith(("value", "_value"))]
    return (keys[0], answer[keys[0]]) if len(keys) == 1 else ("", None)


def _filled_by_software(answer: Json) -> bool:
    origins = extensions(answer, INFORMATION_ORIGIN)
    return any((extension(o, "source") or {}).get("valueCode") != "manual" for o in origins)
