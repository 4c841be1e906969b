"""Answers of the CRD door, and every resource in them judged by HL7's engine."""

import json
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.conformance.crd.fields import kind_of
from tests.conformance.crd.profiles import Json, engine_errors
from tests.oracle.judge import Judge, Line

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Sent:
    """A resource of an answer: where it stood, and what its references lead to."""

    where: str
    resource: Json
    line: Line
    at_hand: tuple[Json, ...] = ()


def resources_of(answer: Json) -> Iterator[Json]:
    """Every resource of every action: the system's and those that cards suggest."""
    actions = list(answer["systemActions"])
    for card in answer["cards"]:
        actions += [a for s in card.get("suggestions", ()) for a in s["actions"]]
    return (action["resource"] for action in actions if "resource" in action)


def sent(where: str, answer: Json, line: Line, request: Json) -> list[Sent]:
    """The resources of an answer; only an Appointment is judged by what it leads to."""
    at_hand = tuple(resources_in(request))
    return [
        Sent(where, each, line, at_hand if each["resourceType"] == "Appointment" else ())
        for each in resources_of(answer)
    ]


def resources_in(value: object) -> Iterator[Json]:
    """Every resource somewhere in a JSON value, Bundles aside."""
    if isinstance(value, dict):
        if kind_of(value) not in (None, "Bundle"):
            yield value
        for inner in value.values():
            yield from resources_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from resources_in(inner)


def engine_faults(judge: Judge, found: Iterable[Sent]) -> list[str]:
    """What HL7's engine finds wrong with any of them by the CRD profile of its line and type."""
    different = {_text(each): each for each in found}
    with ThreadPoolExecutor(_AT_ONCE) as asking:
        answers = asking.map(lambda each: _faults(judge, each), different.values())
    return [fault for faults in answers for fault in faults]


def _faults(judge: Judge, one: Sent) -> list[str]:
    wrong = engine_errors(judge, one.resource, one.line, one.at_hand)
    name = f"{one.line} {one.where}: {one.resource['resourceType']}/{one.resource.get('id')}"
    return [f"{name}: {fault}" for fault in wrong]


def _text(one: Sent) -> str:
    return json.dumps([one.line, one.resource], default=float, sort_keys=True)
