"""What is wrong with a Parameters resource by base FHIR R4, and with the resources in it.

Ordinary content is seen to be good at a glance; only what is not costs a look by the compiled
guides.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from wiser_fhir.dtr.operations import Parameter
from wiser_fhir.errors import Problem
from wiser_fhir.fhir.elements import Json
from wiser_fhir.intake.soundness import Soundness

_ROOT = frozenset({"resourceType", "parameter"})
_NAME_AND_RESOURCE = frozenset({"name", "resource"})
_INSTANT = r"\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-][01]\d:[0-5]\d)"
# Values as everybody sends them.
_USUAL = {
    "valueCanonical": re.compile(r"\S+"),
    "valueInstant": re.compile(_INSTANT),
    "valueString": re.compile(r"\S(?:.*\S)?"),
}
_NOTHING_WRONG = {"resourceType": "Basic", "code": {"text": "-"}}


def parameter_faults(
    resource: Json, given: Iterable[Parameter], names: Collection[str], faults_of: Soundness
) -> list[Problem]:
    """Every fault of the parameters themselves, and of the resources in those with these names.

    `given` is what was read of `resource`; each fault has its place there.
    """
    return [*_own_faults(resource, faults_of), *_resource_faults(given, names, faults_of)]


def _own_faults(resource: Json, faults_of: Soundness) -> list[Problem]:
    entries: list[Json] | None = resource.get("parameter")
    if entries is None:
        return faults_of(resource)
    if entries and resource.keys() <= _ROOT and all(map(_is_usual, entries)):
        return []
    return faults_of(resource | {"parameter": [_without_resource(entry) for entry in entries]})


def _is_usual(entry: Json) -> bool:
    if entry.keys() == _NAME_AND_RESOURCE:
        return True
    keys = entry.keys() - {"name"}
    key = next(iter(keys)) if len(keys) == 1 else ""
    value: Any = entry.get(key)
    return key in _USUAL and isinstance(value, str) and bool(_USUAL[key].fullmatch(value))


def _without_resource(entry: Json) -> Json:
    return entry | ({"resource": _NOTHING_WRONG} if "resource" in entry else {})


def _resource_faults(
    given: Iterable[Parameter], names: Collection[str], faults_of: Soundness
) -> Iterator[Problem]:
    for each in given:
        if each.name in names and each.key == "resource":
            for fault in faults_of(each.value):
                _, dot, path = (fault.expression or "").partition(".")
                yield Problem(fault.severity, fault.code, fault.text, f"{each.place}{dot}{path}")
