"""What compiled CQL reads of a chart. A form filler fetches this and nothing else.

Source: DTR 2.2.0 §spec-68, §sec-3.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from wiser_fhir.fhir.elements import Json

_FHIR_TYPE = "{http://hl7.org/fhir}"


def data_requirements(libraries: Iterable[Json]) -> list[Json]:
    """The `dataRequirement` of compiled libraries together, each once, in order.

    Raises ValueError for a retrieve whose codes come from its caller: what it would read could not
    be said.
    """
    found: list[Json] = []
    for library in libraries:
        for node in _below(library.get("statements", {})):
            required = _requirement(node, library) if node.get("type") == "Retrieve" else None
            if required is not None and required not in found:
                found.append(required)
    return found


def value_set_canonicals(library: Json) -> Iterator[str]:
    """The value sets a compiled library names, with their versions."""
    return (f"{each['id']}|{each.get('version')}" for each in _defined(library, "valueSets"))


def _requirement(retrieve: Json, library: Json) -> Json:
    required: Json = {"type": retrieve["dataType"].removeprefix(_FHIR_TYPE)}
    if "templateId" in retrieve:
        required["profile"] = [retrieve["templateId"]]
    if "codes" in retrieve:
        required["codeFilter"] = [
            {"path": retrieve["codeProperty"], **_codes(retrieve["codes"], library)}
        ]
    return required


def _codes(node: Json, library: Json) -> Json:
    """The value set or the codes that a retrieve is narrowed to."""
    value_sets = {each["name"]: each for each in _defined(library, "valueSets")}
    codes = {each["name"]: each for each in _defined(library, "codes")}
    systems = {each["name"]: each["id"] for each in _defined(library, "codeSystems")}
    for each in _below(node):
        if each.get("type") == "ValueSetRef":
            value_set = value_sets[each["name"]]
            return {"valueSet": f"{value_set['id']}|{value_set['version']}"}
    named = [codes[each["name"]] for each in _below(node) if each.get("type") == "CodeRef"]
    if not named:
        raise ValueError(f"{library['identifier']['id']}: a retrieve by codes that are not named")
    return {"code": [_coding(each, systems) for each in named]}


def _coding(code: Json, systems: Mapping[str, str]) -> Json:
    return {"system": systems[code["codeSystem"]["name"]], "code": code["id"]}


def _below(node: Any) -> Iterator[Json]:
    """A node of ELM and every node below it."""
    if isinstance(node, dict):
        yield node
        for each in node.values():
            yield from _below(each)
    elif isinstance(node, list):
        for each in node:
            yield from _below(each)


def _defined(library: Json, kind: str) -> list[Json]:
    return library.get(kind, {}).get("def", [])  # type: ignore[no-any-return]
