"""StructureDefinition snapshots as small trees: what a check needs and no prose.

A node: name, min, max (absent: unbounded), list, types [[code, profiles, targets, aggregation]],
fixed, pattern, binding [strength, value set], outermost (a value set that no code may leave),
constraints [[key, severity, expression]], slicing [rules, ordered, discriminators], slice, slices,
children, ref, maxLength, range, modifier. What equals the default is left out.
"""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

_FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
_MAX_VALUE_SET = "http://hl7.org/fhir/StructureDefinition/elementdefinition-maxValueSet"
_BEST_PRACTICE = "http://hl7.org/fhir/StructureDefinition/elementdefinition-bestpractice"

# Held by the checker itself on every element, so no node repeats them.
_STRUCTURAL = frozenset({"ele-1", "ext-1"})


def definition(resource: Json) -> Json:
    """The compact form of a StructureDefinition that has a snapshot."""
    elements = resource["snapshot"]["element"]
    root = _tree(elements)
    found: Json = {
        "url": resource["url"],
        "version": resource.get("version", ""),
        "type": resource["type"],
        "kind": resource["kind"],
        "root": root,
    }
    if resource.get("derivation") == "constraint":
        found["base"] = resource["baseDefinition"]
    elif "baseDefinition" in resource:
        found["parent"] = resource["baseDefinition"]
    if resource.get("abstract"):
        found["abstract"] = True
    if resource["type"] == "Extension" and resource.get("derivation") == "constraint":
        found["context"] = [[c["type"], c["expression"]] for c in resource.get("context", [])]
        if resource.get("contextInvariant"):
            found["contextInvariant"] = resource["contextInvariant"]
        if elements[0].get("isModifier"):
            found["modifier"] = True
    return found


def _tree(elements: list[Json]) -> Json:
    root = _node(elements[0])
    by_id: dict[str, Json] = {_element_id(elements[0]): root}
    for element in elements[1:]:
        path_id = _element_id(element)
        parent_id, _, last = path_id.rpartition(".")
        node = by_id[path_id] = _node(element)
        parent = by_id[parent_id]
        if ":" in last:
            owner = _owner(by_id, parent_id, last)
            if owner is not None:
                owner.setdefault("slices", []).append(node)
                continue
        parent.setdefault("children", []).append(node)
    return root


def _owner(by_id: dict[str, Json], parent_id: str, last: str) -> Json | None:
    """The node that a slice belongs to: the reslicing one when the id has a slash."""
    name, _, slice_name = last.partition(":")
    outer = slice_name.rpartition("/")[0]
    if outer and (found := by_id.get(f"{parent_id}.{name}:{outer}")) is not None:
        return found
    return by_id.get(f"{parent_id}.{name}")


def _element_id(element: Json) -> str:
    found: str = element.get("id") or element["path"]
    return found


def _node(element: Json) -> Json:
    base = element.get("base", {})
    name = element["path"].rpartition(".")[2]
    base_name = base.get("path", "").rpartition(".")[2]
    if base_name.endswith("[x]") and not name.endswith("[x]"):
        name = base_name
    node: Json = {"name": name}
    if element.get("min"):
        node["min"] = element["min"]
    if element.get("max", "*") != "*":
        node["max"] = int(element["max"])
    if base.get("max", element.get("max", "1")) not in ("0", "1"):
        node["list"] = True
    node.update(_optional(element))
    return node


def _optional(element: Json) -> Iterator[tuple[str, Any]]:
    if element.get("type"):
        yield "types", [_type(t) for t in element["type"]]
    yield from _given(element)
    yield from _binding(element.get("binding", {}))
    if constraints := _constraints(element):
        yield "constraints", constraints
    if "slicing" in element:
        yield "slicing", _slicing(element["slicing"])
    for source, target in (("sliceName", "slice"), ("contentReference", "ref")):
        if source in element:
            yield target, element[source]
    if element.get("maxLength"):
        yield "maxLength", element["maxLength"]
    if element.get("isModifier"):
        yield "modifier", True
    if limits := _range(element):
        yield "range", limits


def _given(element: Json) -> Iterator[tuple[str, Any]]:
    for key, value in element.items():
        for kind in ("fixed", "pattern"):
            if key.startswith(kind):
                yield kind, value


def _type(entry: Json) -> list[Any]:
    code = entry["code"]
    if code.startswith("http://hl7.org/fhirpath/System."):
        code = code.rpartition(".")[2].lower()
        for extension in entry.get("extension", ()):
            if extension["url"] == _FHIR_TYPE:
                code = extension.get("valueUrl") or extension.get("valueUri") or code
    full = [
        code,
        entry.get("profile", []),
        entry.get("targetProfile", []),
        entry.get("aggregation", []),
    ]
    while len(full) > 1 and not full[-1]:
        full.pop()
    return full


def _binding(binding: Json) -> Iterator[tuple[str, Any]]:
    """A required or extensible binding, and the value set that no code may leave."""
    if binding.get("strength") in ("required", "extensible") and "valueSet" in binding:
        yield "binding", [binding["strength"], binding["valueSet"]]
    for extension in binding.get("extension", ()):
        if extension["url"] == _MAX_VALUE_SET:
            yield "outermost", extension.get("valueCanonical") or extension.get("valueUri")


def _constraints(element: Json) -> list[list[str]]:
    return [
        [c["key"], c["severity"], c["expression"]]
        for c in element.get("constraint", ())
        if c["key"] not in _STRUCTURAL and c.get("expression") and not _best_practice(c)
    ]


def _best_practice(constraint: Json) -> bool:
    return any(
        e["url"] == _BEST_PRACTICE and e.get("valueBoolean")
        for e in constraint.get("extension", ())
    )


def _slicing(slicing: Json) -> list[Any]:
    discriminators = [[d["type"], d["path"]] for d in slicing.get("discriminator", [])]
    return [slicing.get("rules", "open"), bool(slicing.get("ordered")), discriminators]


def _range(element: Json) -> Json:
    return {
        key[:3]: value
        for key, value in element.items()
        if key.startswith(("minValue", "maxValue")) and isinstance(value, int | float | str)
    }
