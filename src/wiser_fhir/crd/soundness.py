"""Whether a resource that nobody has validated can be read at all: the shape of base R4.

Faults in extensions and profiles do not count where the rest can be read without them: what a
client adds of its own must not keep it from an answer, and what we read of extensions is read with
care. Source: CRD 2.2.1 §found-33, §hook-13.
"""

from collections.abc import Callable
from typing import Any

from wiser_fhir import exact
from wiser_fhir.errors import Problem
from wiser_fhir.fhir.elements import Json
from wiser_fhir.fhir.validation.guide import CORE
from wiser_fhir.fhir.validation.validator import GuideValidator

Soundness = Callable[[Json], list[Problem]]
"""What keeps a resource from being read; nothing where it can be."""

_NOT_READ = ("meta", "text")
_EXTENSIONS = ("extension", "modifierExtension")


def soundness(validator: GuideValidator) -> Soundness:
    """The check by a line's compiled guides. Ordinary content takes a fraction of a millisecond."""

    def problems(resource: Json) -> list[Problem]:
        read = {key: value for key, value in resource.items() if key not in _NOT_READ}
        plain: Json = _plain(read, extensions=False)
        kind = plain.get("resourceType")
        if isinstance(kind, str) and kind.isalpha() and _proved(validator, plain, CORE + kind):
            return []
        # Elements that are an extension and nothing else are empty without it: once more, whole.
        whole: Json = _plain(read, extensions=True)
        return [each for each in validator.base_problems(whole) if each.severity == "error"]

    return problems


def _proved(validator: GuideValidator, resource: Json, profile: str) -> bool:
    try:
        return validator.proves(resource, profile)
    except KeyError:
        return False


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
