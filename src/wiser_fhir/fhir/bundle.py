"""Bundles: which resource a reference in one leads to."""

import re
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]

_ABSOLUTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")


@dataclass(slots=True)
class References:
    """The entries of a Bundle by full URL.

    Source: FHIR R4, Bundle, "Resolving references in Bundles".
    """

    _by_url: dict[str, list[Json]] = field(default_factory=dict)
    _urls: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, bundle: Json) -> "References":
        """Index a Bundle's entries; what has no usable entry is passed over."""
        found = cls()
        entries = bundle.get("entry")
        for entry in entries if type(entries) is list else ():
            resource = entry.get("resource") if type(entry) is dict else None
            url = entry.get("fullUrl") if type(entry) is dict else None
            if type(resource) is dict and type(url) is str:
                found._by_url.setdefault(url, []).append(resource)
                found._urls[id(resource)] = url
        return found

    def full_url(self, resource: Json) -> str | None:
        """The full URL of an entry's resource (the very object, not an equal one)."""
        return self._urls.get(id(resource))

    def resolve(self, reference: str, base_full_url: str | None = None) -> Json | None:
        """The resource a reference leads to, seen from the entry with that full URL.

        None when no entry has it. When several have it, the last: `all` tells them apart.
        """
        found = self.all(reference, base_full_url)
        return found[-1] if found else None

    def all(self, reference: str, base_full_url: str | None = None) -> list[Json]:
        """Every resource that a reference fits."""
        url, _, version = reference.partition("/_history/")
        target = absolute(url, base_full_url)
        found = self._by_url.get(target, []) if target else []
        if version:
            return [r for r in found if _version(r) == version]
        return found


def _version(resource: Json) -> Any:
    meta = resource.get("meta")
    return meta.get("versionId") if type(meta) is dict else None


def absolute(reference: str, base_full_url: str | None) -> str | None:
    """A reference as the full URL it means; None when that cannot be said.

    `Patient/1` seen from `https://a.example/fhir/Claim/2` is `https://a.example/fhir/Patient/1`,
    seen from a `urn:` it is the urn of that id.
    """
    if _ABSOLUTE.match(reference):
        return reference
    if base_full_url is None or reference.count("/") != 1:
        return None
    if base_full_url.startswith("urn"):
        return base_full_url.rpartition(":")[0] + ":" + reference.partition("/")[2]
    parts = base_full_url.split("/")
    return "/".join([*parts[:-2], reference]) if len(parts) > 2 else None
