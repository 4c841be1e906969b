"""What the guides' profiles mark as must support, read from their snapshots, and what lacks it.

An element is there when one of several resources has it, in the slice that is meant. Public suites
ask so of what a server is sent and of what it answers.
"""

import json
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.bundle_values import Json, Line
from tests.oracle.judge import packages_folder

PACKAGES: dict[Line, str] = {
    "2.2": "hl7.fhir.us.davinci-pas#2.2.1.tgz",
    "2.0": "hl7.fhir.us.davinci-pas#2.0.1.tgz",
}
X12_CODE = "Coverage.relationship.coding:X12Code"
_ABSENT = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"


@dataclass(frozen=True)
class Profile:
    """A profile's elements by id, as its snapshot has them."""

    url: str
    type: str
    elements: dict[str, Json]

    @property
    def targets(self) -> Iterator[tuple[str, list[str]]]:
        """The paths of its references, below the resource, and the profiles each may lead to."""
        for definition in self.elements.values():
            for kind in definition.get("type", ()):
                if kind["code"] == "Reference":
                    path = definition["path"].partition(".")[2]
                    yield path, [each.partition("|")[0] for each in kind.get("targetProfile", ())]

    @property
    def must_support(self) -> list[str]:
        """The ids of the elements marked so, but for the resource itself."""
        return [i for i, e in self.elements.items() if e.get("mustSupport") and "." in i]

    def missing(self, resources: Sequence[Json]) -> list[str]:
        """The ids of which no resource of this type has anything."""
        of_type = [each for each in resources if each["resourceType"] == self.type]
        return [
            name
            for name in self.must_support
            if not any(self._found(each, name) for each in of_type)
        ]

    def _found(self, resource: Json, name: str) -> bool:
        values: list[Any] = [resource]
        taken = self.type
        for step in name.split(".")[1:]:
            taken = f"{taken}.{step}"
            values = [inner for value in values for inner in self._step(value, step, taken)]
        return bool(values) and self._allowed(name, values)

    def _step(self, value: Any, step: str, name: str) -> Iterator[Any]:
        """The values of an element, less those that are of another slice than the id names."""
        if not isinstance(value, dict):
            return
        element, _, piece = step.partition(":")
        for found in values_of(value, element):
            if not piece or self._is_slice(found, element, piece, name, value):
                yield found

    def _is_slice(self, value: Any, element: str, piece: str, name: str, holder: Json) -> bool:
        definition = self.elements[name]
        if element in ("extension", "modifierExtension"):
            return bool(value["url"] == _extension_url(definition))
        if element.endswith("[x]"):
            return any(
                _spelled(element, each["code"]) in holder for each in definition.get("type", ())
            )
        if name == X12_CODE:
            return "x12.org" in value.get("system", "")
        return all(
            self._discriminates(value, name, path) for path in self._discriminators(name, piece)
        )

    def _discriminators(self, name: str, piece: str) -> list[str]:
        sliced = self.elements[name.removesuffix(f":{piece}")]
        return [each["path"] for each in sliced["slicing"]["discriminator"]]

    def _discriminates(self, value: Any, name: str, path: str) -> bool:
        """Whether what a path leads to is what the slice fixes there."""
        if path == "resource":
            kinds = {each["code"] for each in self.elements[f"{name}.resource"]["type"]}
            return value["resource"]["resourceType"] in kinds
        if path == "$this":
            return self._is_fixed(name, [value])
        if path.startswith("extension("):
            return self._by_extension(value, name)
        below = f"{name}.{path}"
        if below in self.elements:
            return self._is_fixed(below, list(values_of(value, path)))
        return self._is_fixed(name, [value])

    def _by_extension(self, value: Json, name: str) -> bool:
        """A slice that an extension's value makes."""
        for below, definition in self.elements.items():
            if below.startswith(f"{name}.extension:") and below.endswith(".value[x]"):
                holder = self.elements[below.removesuffix(".value[x]")]
                wanted = _fixed(definition)
                for each in value.get("extension", ()):
                    if each["url"] == _extension_url(holder):
                        return bool(wanted in (None, next(values_of(each, "value[x]"), None)))
        return False

    def _is_fixed(self, name: str, values: list[Any]) -> bool:
        wanted = _fixed(self.elements[name])
        return wanted is None or any(_has(value, wanted) for value in values)

    def _allowed(self, name: str, values: list[Any]) -> bool:
        """Whether one of the values is the one that the profile fixes, where it fixes one."""
        if any(isinstance(each, dict) and _absent(each) for each in values):
            return name.endswith("request") or not all(_absent(each) for each in values)
        return self._is_fixed(name, values)


@cache
def profile(line: Line, name: str) -> Profile:
    """A profile of PAS by its short name. Raises JudgeUnavailable without packages."""
    found = _definitions(line)[f"StructureDefinition-{name}.json"]
    elements = {each["id"]: each for each in found["snapshot"]["element"]}
    return Profile(found["url"], found["type"], elements)


@cache
def _definitions(line: Line) -> dict[str, Json]:
    found = {}
    with tarfile.open(packages_folder() / PACKAGES[line]) as package:
        for member in package:
            path = Path(member.name)
            if path.parent.as_posix() == "package" and path.match("StructureDefinition-*.json"):
                held = package.extractfile(member)
                assert held is not None
                found[path.name] = json.loads(held.read())
    return found


def values_of(value: Json, element: str) -> Iterator[Any]:
    """The values of an element; one of several types under each of its names."""
    if element.endswith("[x]"):
        stem = element.removesuffix("[x]")
        names = [k for k in value if k.startswith(stem) and k[len(stem) :][:1].isupper()]
    else:
        names = [element]
    for name in names:
        found = value.get(name)
        if found is not None:
            yield from found if isinstance(found, list) else [found]


def _spelled(element: str, code: str) -> str:
    return element.removesuffix("[x]") + code[0].upper() + code[1:]


def _extension_url(definition: Json) -> str:
    url: str = definition["type"][0]["profile"][0]
    return url.partition("|")[0]


def _fixed(definition: Json) -> Any:
    """The value that an element is fixed to, or has the pattern of."""
    return next((v for k, v in definition.items() if k.startswith(("fixed", "pattern"))), None)


def _has(value: Any, wanted: Any) -> bool:
    """Whether a value has a pattern."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(_has(value.get(k), v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return isinstance(value, list) and all(any(_has(v, w) for v in value) for w in wanted)
    return bool(value == wanted)


def _absent(value: Any) -> bool:
    return isinstance(value, dict) and any(
        each.get("url") == _ABSENT for each in value.get("extension", ())
    )
