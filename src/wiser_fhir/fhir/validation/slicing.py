"""Slices: which items fall into them, and how many may."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wiser_fhir.fhir.validation import fhirpath, targets, terms
from wiser_fhir.fhir.validation.fhirpath_values import Scope, bare
from wiser_fhir.fhir.validation.guide import Node, Type

if TYPE_CHECKING:
    from wiser_fhir.fhir.validation.checker import Checker, Occurrence, Place


def check(checker: "Checker", node: Node, occurrences: "list[Occurrence]", place: "Place") -> None:
    """The items of a sliced element against its slices."""
    name = node.name.removesuffix("[x]")
    counts = [0] * len(node.slices)
    last = -1
    for one in occurrences:
        matched = [i for i, s in enumerate(node.slices) if matches(checker, s, one, place)]
        at = place.path + one.step
        if len(matched) > 1:
            names = ", ".join(node.slices[i].slice_name for i in matched)
            checker.error("structure", f"fits more than one slice: {names}", at)
        if not matched:
            _unmatched(checker, node, at)
            continue
        index = matched[0]
        counts[index] += 1
        if node.slicing and node.slicing.ordered and index < last:
            checker.error("structure", f"slice {node.slices[index].slice_name} is out of order", at)
        last = index
        _one(checker, node.slices[index], one, place)
    for found, one_slice in zip(counts, node.slices, strict=True):
        _count(checker, found, one_slice, f"{place.path}.{name}")
        if one_slice.slicing is not None and one_slice.slices:
            inner = [o for o in occurrences if matches(checker, one_slice, o, place)]
            check(checker, one_slice, inner, place)


def _unmatched(checker: "Checker", node: Node, at: str) -> None:
    if node.slicing is not None and node.slicing.rules == "closed":
        names = ", ".join(s.slice_name for s in node.slices)
        checker.error("structure", f"fits no slice, and only {names} are allowed", at)


def _count(checker: "Checker", found: int, node: Node, at: str) -> None:
    most = "*" if node.maximum is None else node.maximum
    if found < node.minimum or (node.maximum is not None and found > node.maximum):
        code = "required" if found == 0 else "structure"
        text = f"slice {node.slice_name}: {node.minimum}..{most} expected, {found} found"
        checker.error(code, text, at)


def _one(checker: "Checker", node: Node, one: "Occurrence", place: "Place") -> None:
    if node.maximum == 0:
        return
    entry = next((t for t in node.types if t.code == one.type.code), None)
    if entry is None and "ref" not in node.raw:
        names = " or ".join(t.code for t in node.types)
        checker.error(
            "structure", f"{names} expected in slice {node.slice_name}", place.path + one.step
        )
        return

    checker.element(replace(one, type=entry or one.type), node, place)


def matches(checker: "Checker", node: Node, one: "Occurrence", place: "Place") -> bool:
    """Whether an item passes all tests of a slice."""
    tests = node.raw.get("when", ())
    return bool(tests) and all(_passes(checker, test, one, place) for test in tests)


def _passes(checker: "Checker", test: list[Any], one: "Occurrence", place: "Place") -> bool:
    kind, path, data = test
    if kind == "type" and path == "$this":
        return _has_type(checker, one.value, one.type, data)
    scope = Scope(
        place.resource,
        place.root,
        one.type.code,
        one.item,
        lambda reference: targets.resolve(reference, place),
        checker._member,
    )
    items = fhirpath.path(path)(one.item, scope)
    if kind == "exists":
        return bool(items) is bool(data)
    return any(_is(checker, kind, bare(item), data, place) for item in items)


def _has_type(checker: "Checker", value: Any, entry: Type, wanted: list[str]) -> bool:
    if type(value) is dict and "resourceType" in value:
        return value["resourceType"] in wanted or "Resource" in wanted
    return entry.code in wanted


def _is(checker: "Checker", kind: str, value: Any, data: Any, place: "Place") -> bool:
    match kind:
        case "fixed":
            return terms.equal(value, data)
        case "pattern":
            return terms.includes(value, data)
        case "type":
            return (
                type(value) is not dict
                or value.get("resourceType") in (*data, None)
                or "Resource" in data
            )
        case "binding":
            return terms.is_surely_member(checker.guide, value, data)
        case "profile":
            return _conforms(checker, value, data, place)
    return False


def _conforms(checker: "Checker", value: Any, profiles: list[str], place: "Place") -> bool:
    if type(value) is not dict:
        return False
    options = [
        d
        for p in profiles
        for d in checker.guide.alternatives(p)
        if d.type == value.get("resourceType", d.type)
    ]
    return checker.fits(value, options, targets.place_of(value, place))
