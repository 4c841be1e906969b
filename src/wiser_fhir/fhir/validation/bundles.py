"""What holds for a Bundle beyond its definition.

Source: FHIR R4, Bundle, "Resource URL & Uniqueness rules in a bundle".
"""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wiser_fhir.fhir.bundle import References

if TYPE_CHECKING:
    from wiser_fhir.fhir.validation.checker import Checker, Place

Json = dict[str, Any]

_WITHOUT_URLS = frozenset({"transaction", "transaction-response", "batch", "batch-response"})
_REST = re.compile(r"https?://\S+?/([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/\S+)?")
_ABSOLUTE = re.compile(r"(?:[a-zA-Z][a-zA-Z0-9+.-]*:)\S+")


def check(checker: "Checker", bundle: Json, place: "Place") -> None:
    """The entries' full URLs."""
    if bundle.get("resourceType") != "Bundle" or type(bundle.get("entry")) is not list:
        return
    for i, entry in enumerate(bundle["entry"]):
        if type(entry) is dict:
            at = place.at(f".entry[{i}]").path
            for code, text in faults(checker, entry, bundle.get("type")):
                checker.error(code, text, at)


def faults(checker: "Checker", entry: Json, kind: Any) -> list[tuple[str, str]]:
    """What is wrong with an entry's full URL."""
    url, resource = entry.get("fullUrl"), entry.get("resource")
    if url is None:
        return [] if kind in _WITHOUT_URLS else [("required", "an entry needs a fullUrl")]
    if type(url) is not str or type(resource) is not dict:
        return []
    if not _ABSOLUTE.fullmatch(url):
        return [("value", "a fullUrl is absolute")]
    match = _REST.fullmatch(url)
    if match is None or checker.guide.type(match[1]) is None:
        return []
    ending = f"/{resource.get('resourceType')}/{resource.get('id')}"
    if not url.endswith(ending):
        return [("value", "the fullUrl ends in another type or id than its resource has")]
    return []


def place(bundle: Json, at: "Place") -> "Place":
    """A Bundle opens a new space of references."""
    return replace(at, references=References.of(bundle), full_url=None)
