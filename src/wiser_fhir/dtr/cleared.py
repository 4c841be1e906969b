"""A response without coverage-information, wherever it stands: nobody is to find there what the
payer has not said. Pure.
"""

from typing import Any

from wiser_fhir.fhir.codes import COVERAGE_INFORMATION
from wiser_fhir.fhir.elements import Json

_EXTENSIONS = ("extension", "modifierExtension")
_ADDRESS = COVERAGE_INFORMATION.lower().partition("://")[2]
_GONE: Any = object()


def without_information(resource: Json) -> Json:
    """The same without coverage-information at any depth, and without what held nothing else."""
    rest = ((key, _member(key, value)) for key, value in resource.items())
    return {key: value for key, value in rest if value is not _GONE}


def cleared_extension(extension: Any) -> Any:
    """An extension without it. None for coverage-information, and for what held nothing else."""
    rest = _cleared_extension(extension)
    return None if rest is _GONE else rest


def _cleared_extension(extension: Any) -> Any:
    if _is_information(extension):
        return _GONE
    rest = _cleared(extension)
    lost = rest is not _GONE and len(rest) < len(extension)
    return _GONE if lost and rest.keys() <= {"id", "url"} else rest


def _is_information(extension: Any) -> bool:
    """Whether an extension is coverage-information, or somebody might take it for that."""
    url = extension.get("url") if isinstance(extension, dict) else None
    if not isinstance(url, str):
        return False
    address = url.strip().partition("|")[0].partition("#")[0].rstrip("/")
    return address.lower().partition("://")[2] == _ADDRESS


def _cleared(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    rest = without_information(value)
    return _GONE if len(rest) < len(value) and rest.keys() <= {"id"} else rest


def _member(key: str, value: Any) -> Any:
    """What is left of a member of an object. Beside a list of primitives places count."""
    if not isinstance(value, list):
        return _cleared(value)
    rest = [_cleared_extension(e) if key in _EXTENSIONS else _cleared(e) for e in value]
    if key.startswith("_"):
        rest = [None if each is _GONE else each for each in rest]
        return rest if any(each is not None for each in rest) else _GONE
    rest = [each for each in rest if each is not _GONE]
    return rest if rest or not value else _GONE
