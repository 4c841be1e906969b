"""What an operation was asked with, by name: out of a Parameters resource or out of a query."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from wiser_fhir.errors import InvalidResource, Problem, TooLarge
from wiser_fhir.fhir.elements import Json

MOST_PARAMETERS = 200
_QUERY_KEY = "query"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter. `key` is where its value stood: `valueUri` and the like, `resource`, `query`
    for the text of a query, empty for none. `place` is its FHIRPath, or its name in a query.
    """

    name: str
    key: str
    value: Any
    place: str

    @property
    def is_text_of_a_query(self) -> bool:
        """Whether it is text that may stand for a number or a truth value."""
        return self.key == _QUERY_KEY


def parameters(resource: Json) -> tuple[Parameter, ...]:
    """The parameters of a Parameters resource, in their order.

    Raises InvalidResource with all that is wrong with its shape, TooLarge for more than 200.
    Source: FHIR R4, Parameters.
    """
    if resource.get("resourceType") != "Parameters":
        raise _refusal([Problem("error", "structure", "A Parameters resource is needed.")])
    entries = resource.get("parameter", [])
    if not isinstance(entries, list):
        raise _refusal([_fault("A list is needed.", "Parameters.parameter")])
    if len(entries) > MOST_PARAMETERS:
        text = f"No more than {MOST_PARAMETERS} parameters at a time."
        raise TooLarge(text, [Problem("error", "too-long", text, "Parameters.parameter")])
    read = [_parameter(entry, f"Parameters.parameter[{n}]") for n, entry in enumerate(entries)]
    problems = [each for each in read if isinstance(each, Problem)]
    if problems:
        raise _refusal(problems)
    return tuple(each for each in read if isinstance(each, Parameter))


def query_parameters(pairs: Iterable[tuple[str, str]]) -> tuple[Parameter, ...]:
    """The parameters of a query. Those that begin with an underscore are not the operation's."""
    return tuple(
        Parameter(name, _QUERY_KEY, value, name)
        for name, value in pairs
        if not name.startswith("_")
    )


def named(given: Sequence[Parameter], *names: str) -> list[Parameter]:
    """Those with one of the names."""
    return [each for each in given if each.name in names]


def _parameter(entry: Any, place: str) -> Parameter | Problem:
    if not isinstance(entry, dict):
        return _fault("An object is needed.", place)
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        return _fault("A parameter has a name.", f"{place}.name")
    keys = [key for key in entry if key.startswith("value") or key in ("resource", "part")]
    if len(keys) > 1:
        return _fault("A parameter has one value, or a resource, or parts.", place)
    key = keys[0] if keys else ""
    if key in ("resource", "part"):
        if not isinstance(entry[key], dict if key == "resource" else list):
            return _fault("A resource is an object, parts are a list.", f"{place}.{key}")
        return Parameter(name, key, entry[key], f"{place}.{key}")
    return Parameter(name, key, entry.get(key), f"{place}.value" if key else place)


def _fault(text: str, place: str) -> Problem:
    return Problem("error", "structure", text, place)


def _refusal(problems: list[Problem]) -> InvalidResource:
    return InvalidResource("The parameters cannot be read.", problems)
