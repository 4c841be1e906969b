"""A response to an adaptive form, checked whole: by base R4, then against our own form.

What comes back from `$next-question` is the response as it came, but for the form inside: so all
of it is looked at, also what nobody reads, such as extensions, `meta` and the narrative. Of the
form inside only the named one goes unchecked: little of it is read, with care, and ours takes its
place. Everything that is wrong is told at once, as far as one fault does not hide another, and
nothing that would not be refused by itself.

Source: DTR 2.2.0 §spec-146, §spec-147.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

from wiser_fhir.dtr.adaptive_response import AdaptiveResponse, adaptive_response, form_inside
from wiser_fhir.dtr.forms import Forms
from wiser_fhir.errors import InvalidResource, Problem
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.soundness import Soundness

MOST_EXTENSIONS = 100
MOST_ISSUES = 100
_ROOT = "QuestionnaireResponse"
_REFUSED = "The response is not valid."
_IN_ITEM = re.compile(rf"{_ROOT}\.item\[(\d+)\]")
# A check that was ended early does not know of every fault.
_ENDED = "too-costly"


def checked_response(
    response: Json, sound: Soundness, forms: Forms, line: Line, on: date, place: str = _ROOT
) -> AdaptiveResponse:
    """Read a QuestionnaireResponse that nobody has looked at. `place` is where it stands.

    Raises InvalidResource with all that is wrong, of very much the first.
    """
    faults = list(_faults(response, sound))
    if not faults:
        try:
            return adaptive_response(response, forms, line, on, place)
        except InvalidResource as refusal:
            raise InvalidResource(str(refusal), _first(refusal.problems, place)) from None
    known = {fault.expression for fault in faults}
    found = _form_faults(response, faults, forms, line, on)
    faults += [each for each in found if each.expression not in known]
    raise InvalidResource(_REFUSED, _first([_at(each, place) for each in faults], place))


def without_form(response: Json) -> Json:
    """A response with a stand-in for the form inside that it names, to check the rest."""
    index = form_inside(response)
    if index is None:
        return response
    inside = list(response["contained"])
    inside[index] = {
        "resourceType": "Basic",
        "id": inside[index]["id"],
        "code": {"text": "a form"},
    }
    return response | {"contained": inside}


def _faults(response: Json, sound: Soundness) -> Iterator[Problem]:
    """What is wrong with everything but the form inside."""
    rest = without_form(response)
    found = sound.whole(rest)
    yield from found
    if _holds_modifier(rest) and not any("modifierExtension" in str(p.expression) for p in found):
        text = "No extension that changes what the response means is known here."
        yield Problem("error", "extension", text, f"{_ROOT}.modifierExtension")
    yield from _implicit_rules(rest)
    if len(_list(response.get("extension"))) > MOST_EXTENSIONS:
        text = f"At most {MOST_EXTENSIONS} extensions of the response itself are taken."
        yield Problem("error", "too-long", text, f"{_ROOT}.extension")


def _implicit_rules(response: Json) -> Iterator[Problem]:
    """Rules that change what a resource means, and that we do not know."""
    inside = [
        (f"{_ROOT}.contained[{n}]", e) for n, e in enumerate(_list(response.get("contained")))
    ]
    for place, each in [(_ROOT, response), *inside]:
        if isinstance(each, dict) and ("implicitRules" in each or "_implicitRules" in each):
            text = "No such rules are known here."
            yield Problem("error", "not-supported", text, f"{place}.implicitRules")


def _holds_modifier(value: Any) -> bool:
    if isinstance(value, dict):
        return "modifierExtension" in value or any(map(_holds_modifier, value.values()))
    return isinstance(value, list) and any(map(_holds_modifier, value))


def _form_faults(
    response: Json, faults: Sequence[Problem], forms: Forms, line: Line, on: date
) -> Sequence[Problem]:
    """What does not go with the form in a response with faults, as far as it can be read."""
    readable = _readable(response, faults)
    if readable is None:
        return ()
    rest, unsound = readable
    try:
        adaptive_response(rest, forms, line, on, unsound=unsound)
    except InvalidResource as refusal:
        return refusal.problems
    return ()


def _readable(response: Json, faults: Sequence[Problem]) -> tuple[Json, frozenset[int]] | None:
    """What can be read of a response in spite of its faults, and which items cannot."""
    ended = any(fault.code == _ENDED for fault in faults)
    lists = [response.get("contained", []), response.get("item", [])]
    named = isinstance(response.get("questionnaire", ""), str)
    if ended or not named or not all(isinstance(each, list) for each in lists):
        return None
    unsound = frozenset(_unsound_items(faults))
    rest = response | {
        "contained": [_named_kind(each) for each in lists[0]],
        "item": [
            {"linkId": _link_id(item)} if index in unsound else item
            for index, item in enumerate(lists[1])
        ],
    }
    if any(str(fault.expression).startswith(f"{_ROOT}.author") for fault in faults):
        rest.pop("author", None)
    return rest, unsound


def _unsound_items(faults: Sequence[Problem]) -> Iterator[int]:
    """The items with a fault that is not one of an extension: those are read with care."""
    for fault in faults:
        place = fault.expression or ""
        found = _IN_ITEM.match(place)
        if found and "xtension" not in place:
            yield int(found[1])


def _named_kind(contained: Any) -> Json:
    known = isinstance(contained, dict) and isinstance(contained.get("resourceType"), str)
    return contained if known else {"resourceType": "Basic"}


def _link_id(item: Any) -> str:
    name = item.get("linkId") if isinstance(item, dict) else None
    return name if isinstance(name, str) else ""


def _first(problems: Sequence[Problem], place: str) -> Sequence[Problem]:
    """The first problems, and how many more there are."""
    more = len(problems) - MOST_ISSUES
    if more <= 0:
        return problems
    rest = Problem("information", "informational", f"And {more} more.", place)
    return [*problems[:MOST_ISSUES], rest]


def _at(problem: Problem, place: str) -> Problem:
    """A problem of the response at its place in what was sent."""
    own = problem.expression or ""
    return replace(problem, expression=place + own.removeprefix(_ROOT))


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
