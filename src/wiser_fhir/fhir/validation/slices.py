"""What a slice is known by, worked out when the guides are compiled.

Every slice gets `when`: a list of [kind, path, data] that its items pass: fixed, pattern, type,
profile, exists, binding. No test at all means that the guide gives nothing to match by.
"""

import re
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]
Find = Callable[[str], Json | None]

_TYPES = "http://hl7.org/fhir/StructureDefinition/"
_EXTENSION = re.compile(r"extension\('([^']+)'\)")


def resolve(node: Json, find: Find, url: str) -> None:
    """Give each slice of a sliced node its tests."""
    if "slicing" not in node:
        return
    for one in node.get("slices", ()):
        tests = []
        for kind, path in node["slicing"][2]:
            test = _test(one, kind, path, find)
            if test is not None:
                tests.append(test)
        if not tests:
            tests = _fallback(node, one, url)
        one["when"] = tests


def _fallback(node: Json, one: Json, url: str) -> list[list[Any]]:
    """A part of an extension is known by its name; an extension without a profile by nothing.

    Raises LookupError for any other slice that nothing tells apart.
    """
    if node["name"] != "extension":
        raise LookupError(f"{url}: slice {one.get('slice')} of {node['name']} has no discriminator")
    return [["fixed", "url", one["slice"]]]


def _test(node: Json, kind: str, path: str, find: Find) -> list[Any] | None:
    path = path.replace(" as boolean", "")
    for target in _targets([node], path, find):
        found = _criterion(target, kind, path)
        if found is not None:
            return found
    return None


def _criterion(node: Json, kind: str, path: str) -> list[Any] | None:
    if node.get("max") == 0:
        return ["exists", path, False]
    if kind == "type":
        return ["type", path, [t[0] for t in node["types"]]]
    if kind == "profile":
        part = 2 if path.endswith("resolve()") else 1
        return ["profile", path, [c for t in node["types"] if len(t) > part for c in t[part]]]
    if kind == "exists":
        return ["exists", path, node.get("min", 0) > 0]
    for key in ("fixed", "pattern"):
        if key in node:
            return [key, path, node[key]]
    if node.get("binding", [""])[0] == "required":
        return ["binding", path, node["binding"][1]]
    return None


def _targets(found: list[Json], path: str, find: Find) -> list[Json]:
    """The definitions that a discriminator's path leads to, the closest first."""
    for step in _steps(path):
        if step == "$this" or step == "resolve()" or step.startswith("ofType("):
            continue
        extension = _EXTENSION.fullmatch(step)
        after = []
        for node in found:
            for holder in _holders(node, find):
                if extension:
                    after += _extensions(holder, extension[1], find)
                else:
                    after += [
                        c for c in holder.get("children", ()) if c["name"] in (step, step + "[x]")
                    ]
        found = after
    return found


def _steps(path: str) -> list[str]:
    return re.findall(r"(?:[^.(]|\([^)]*\))+", path)


def _holders(node: Json, find: Find) -> list[Json]:
    """The node itself, then the definitions of its types."""
    found = [node]
    for entry in node.get("types", ()):
        profiles = entry[1] if len(entry) > 1 else []
        for canonical in [*profiles, _TYPES + entry[0]]:
            if (definition := find(canonical)) is not None:
                found.append(definition["root"])
    return found


def _extensions(holder: Json, url: str, find: Find) -> list[Json]:
    found = []
    for child in holder.get("children", ()):
        for one in child.get("slices", ()) if child["name"] == "extension" else ():
            profiles = [c for t in one["types"] if len(t) > 1 for c in t[1]]
            if any(c.partition("|")[0] == url for c in profiles):
                found.append(one)
    if not found and (definition := find(url)) is not None:
        found.append(definition["root"])
    return found
