"""Reading small parts of FHIR JSON that a validator has already accepted."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


def extension(element: Json, url: str) -> Json | None:
    """The first extension of `element` with this url."""
    return next(extensions(element, url), None)


def extensions(element: Json, url: str) -> Iterator[Json]:
    """Every extension of `element` with this url, in order."""
    return (e for e in element.get("extension", ()) if e.get("url") == url)


def codings(concept: Json | None) -> list[Json]:
    """The codings of a CodeableConcept that carry a code."""
    return [c for c in (concept or {}).get("coding", ()) if c.get("code")]


def code_in(concept: Json | None, *systems: str) -> str | None:
    """The first code of a CodeableConcept in one of the systems."""
    return next((c["code"] for c in codings(concept) if c.get("system") in systems), None)


def identifier_in(resource: Json, *systems: str) -> str | None:
    """The first identifier value of a resource in one of the systems."""
    identifiers = resource.get("identifier", ())
    return next(
        (i["value"] for i in identifiers if i.get("system") in systems and i.get("value")), None
    )


def has_profile(resource: Json, profile: str) -> bool:
    """Whether the resource claims the profile, whatever version it names."""
    claimed = resource.get("meta", {}).get("profile", ())
    return any(p.partition("|")[0] == profile for p in claimed)


def without_empty(element: Json) -> Json:
    """The element without what FHIR does not let be there: nothing, and lists of nothing."""
    return {name: value for name, value in element.items() if value not in ([], {}, None)}
