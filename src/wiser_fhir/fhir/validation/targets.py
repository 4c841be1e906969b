"""References: where they lead, and whether what is there is allowed."""

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wiser_fhir.fhir.validation.guide import CORE, Definition, Node, Type

if TYPE_CHECKING:
    from wiser_fhir.fhir.validation.checker import Checker, Place

Json = dict[str, Any]

_ABSOLUTE = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")


def resolve(reference: str, at: "Place") -> Json | None:
    """The resource a reference leads to, contained or in the Bundle."""
    if reference.startswith("#"):
        return _contained(reference[1:], at)
    return at.references.resolve(reference, at.full_url)


def _contained(name: str, at: "Place") -> Json | None:
    if name == "":
        return at.root
    contained = at.root.get("contained")
    for one in contained if type(contained) is list else ():
        if type(one) is dict and one.get("id") == name:
            return one
    return None


def place_of(value: Json, at: "Place") -> "Place":
    """Where a resource that a reference leads to stands."""
    url = at.references.full_url(value)
    if url is None:
        return replace(at, resource=value)
    path = f"{value.get('resourceType')!s}"
    return replace(at, path=path, resource=value, root=value, full_url=url)


def check(checker: "Checker", value: Json, node: Node, entry: Type, at: "Place") -> None:
    """One Reference: its form, that it leads to one resource, and to an allowed one."""
    reference = value.get("reference")
    if type(reference) is not str or reference == "":
        return
    path = at.path + ".reference"
    if any(c.isspace() for c in reference):
        checker.error("value", "a reference has no spaces", path)
        return
    _form(checker, reference, at, path)
    target = resolve(reference, at)
    kind = target.get("resourceType") if target is not None else named_type(checker, reference)
    _stated_type(checker, value, kind, entry, at)
    if target is None:
        if entry.aggregation and "referenced" not in entry.aggregation:
            checker.error("not-found", "the referenced resource is not in the Bundle", path)
        return
    _allowed(checker, target, str(kind), entry, at)


def _form(checker: "Checker", reference: str, at: "Place", path: str) -> None:
    if reference.startswith("#") or at.full_url is None:
        return
    if not _ABSOLUTE.match(reference) and reference.count("/") not in (1, 3):
        checker.error("value", "a relative reference is Type/id", path)
    elif len(at.references.all(reference, at.full_url)) > 1:
        checker.error("duplicate", "more than one entry has that full URL", path)


def named_type(checker: "Checker", reference: str) -> str | None:
    """The resource type that a reference's own text names."""
    parts = reference.partition("/_history/")[0].split("/")
    if len(parts) < 2:
        return None
    found = checker.guide.type(parts[-2]) if parts[-2][:1].isupper() else None
    return parts[-2] if found is not None and found.kind == "resource" else None


def _stated_type(checker: "Checker", value: Json, kind: Any, entry: Type, at: "Place") -> None:
    stated = value.get("type")
    if type(stated) is not str:
        return
    plain = stated.removeprefix(CORE)
    if kind is not None and kind != stated:
        checker.error("structure", f"the reference says {plain}, and leads to {kind}", at.path)
    allowed = _types(checker, entry)
    if allowed and plain not in allowed:
        checker.error(
            "structure", f"{' or '.join(sorted(allowed))} expected, {plain} stated", at.path
        )


def _types(checker: "Checker", entry: Type) -> set[str]:
    found = {d.type for t in entry.targets if (d := checker.guide.definition(t)) is not None}
    return set() if "Resource" in found else found


def _allowed(checker: "Checker", target: Json, kind: str, entry: Type, at: "Place") -> None:
    allowed = _types(checker, entry)
    if not allowed:
        return
    if kind not in allowed:
        text = f"a reference to {' or '.join(sorted(allowed))} expected, {kind} found"
        checker.error("structure", text, at.path)
        return
    if not checker.target_profiles:
        return
    options = _options(checker, entry, kind)
    if any(not d.base for d in options) or not options:
        return  # a base type: the entry itself is checked against that
    if not checker.fits(target, options, place_of(target, at)):
        names = ", ".join(dict.fromkeys(d.name for d in options))
        checker.error("structure", f"the {kind} referred to does not conform to {names}", at.path)


def _options(checker: "Checker", entry: Type, kind: str) -> list[Definition]:
    return [d for t in entry.targets for d in checker.guide.alternatives(t) if d.type == kind]
