"""Whether a resource that nobody has validated can be read at all: the shape of base R4.

Faults in extensions and profiles do not count where the rest can be read without them: what a
client adds of its own must not keep it from an answer, and what we read of extensions is read with
care. Source: CRD 2.2.1 §found-33, §hook-13.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from wiser_fhir import exact
from wiser_fhir.errors import Problem
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.validation.guide import CORE
from wiser_fhir.fhir.validation.validator import GuideValidator

_NOT_READ = ("meta", "text")
_EXTENSIONS = ("extension", "modifierExtension")


@dataclass(frozen=True, slots=True)
class Soundness:
    """The check by a line's compiled guides. Ordinary content takes a fraction of a millisecond."""

    validator: GuideValidator

    def __call__(self, resource: Json) -> list[Problem]:
        """What keeps a resource from being read; nothing where it can be."""
        read = {key: value for key, value in resource.items() if key not in _NOT_READ}
        if self._is_proved(_plain(read, extensions=False)):
            return []
        # Elements that are an extension and nothing else are empty without it: once more, whole.
        return self._errors(_plain(read, extensions=True))

    def whole(self, resource: Json) -> list[Problem]:
        """What breaks base R4 in a resource, or the definition of an extension, wherever it is:
        for what is handed back or handed on.
        """
        plain = _plain(resource, extensions=True)
        if self._is_proved(plain) and _all_referred_to(plain):
            return []
        return self._errors(plain)

    def _is_proved(self, resource: Json) -> bool:
        return all(_proved(self.validator, each) for each in _apart(resource))

    def _errors(self, resource: Json) -> list[Problem]:
        found = self.validator.base_problems(resource)
        return [each for each in found if each.severity == "error"]


def soundness(validator: GuideValidator) -> Soundness:
    """The check by the guides of a validator."""
    return Soundness(validator)


def _proved(validator: GuideValidator, resource: Json) -> bool:
    kind = resource.get("resourceType")
    try:
        return isinstance(kind, str) and kind.isalpha() and validator.proves(resource, CORE + kind)
    except KeyError:
        return False


def _apart(resource: Json) -> list[Json]:
    """A resource and what is contained in it, each by itself, which is sooner proved.

    References from one to another are written as they would stand between those. Itself alone
    where its `contained` is none.
    """
    contained = resource.get("contained")
    if not (isinstance(contained, list) and contained and all(map(_can_stand_alone, contained))):
        return [resource]
    names = {f"#{each['id']}": f"{each['resourceType']}/{each['id']}" for each in contained}
    holder = {key: value for key, value in resource.items() if key != "contained"}
    return [_renamed(each, names) for each in (holder, *contained)]


def _can_stand_alone(contained: Any) -> bool:
    if not isinstance(contained, dict) or "contained" in contained:
        return False
    return all(isinstance(contained.get(key), str) for key in ("resourceType", "id"))


def _all_referred_to(resource: Json) -> bool:
    """Whether each contained resource is named somewhere, which nobody sees who takes it apart."""
    named = {f"#{each['id']}" for each in resource.get("contained", ())}
    return named <= {text for text in _texts(resource) if text.startswith("#")}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for inner in value.values() if isinstance(value, dict) else ():
        yield from _texts(inner)
    for inner in value if isinstance(value, list) else ():
        yield from _texts(inner)


def _renamed(value: Any, names: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _renamed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [_renamed(inner, names) for inner in value]
    return names.get(value, value) if isinstance(value, str) else value


def _plain(value: Any, *, extensions: bool) -> Any:
    """The same, with numbers that are numbers and no more, and without extensions unless wanted."""
    if isinstance(value, dict):
        return {
            key: _plain(inner, extensions=extensions)
            for key, inner in value.items()
            if extensions or not (key in _EXTENSIONS or key.startswith("_"))
        }
    if isinstance(value, list):
        return [_plain(inner, extensions=extensions) for inner in value]
    return float(value) if isinstance(value, exact.Number) else value
