"""What a package delivers to fill its form: compiled expressions, libraries and value sets.

Everything is found the way a client has to find it, by the canonicals that the form and its logic
name. Nothing here uses the product's code.
"""

import json
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.bundle_values import Json

INITIAL = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-initialExpression"
CQF_LIBRARY = "http://hl7.org/fhir/StructureDefinition/cqf-library"
COMPILED = (
    "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/alternativeExpression",
    "http://hl7.org/fhir/us/ecr/StructureDefinition/us-ph-alternative-expression-extension",
)
ELM = "application/elm+json"


@dataclass(frozen=True, slots=True)
class FormLogic:
    """What the engine executes for one form. `delivered` is that of a package in `run.mjs`,
    `library` the stem of the library that the form names, `expressions` are by linkId."""

    delivered: Json
    library: str
    expressions: Mapping[str, Json]

    def run(self, name: str, package: str, chart: Json) -> Json:
        """The run over one chart."""
        return {
            "name": name,
            "package": package,
            "library": self.library,
            "bundle": chart,
            "expressions": self.expressions,
        }


def form_logic(package: Json, form: Json, expanded: Iterable[Json] = ()) -> FormLogic:
    """The logic of a form: that of the package, or one inside a response to it.

    `expanded` are the value sets that did not come along, from `$expand`.
    """
    libraries = [_elm(each) for each in resources(package, "Library")]
    codes: dict[str, dict[str, list[Json]]] = {}
    for each in (*resources(package, "ValueSet"), *expanded):
        codes.setdefault(each["url"], {})[each["version"]] = each["expansion"]["contains"]
    named = _library(package, form)
    delivered = {"elm": {_stem(each): each for each in libraries}, "valueSets": codes}
    expressions = {
        item["linkId"]: _compiled(expression, named)
        for item in items(form)
        for expression in _extended(item, INITIAL, "valueExpression")
    }
    return FormLogic(delivered, _stem(named), expressions)


def not_delivered(package: Json) -> list[str]:
    """The canonicals of the value sets that the logic names and the package lacks."""
    held = {f"{each['url']}|{each['version']}" for each in resources(package, "ValueSet")}
    libraries = [_elm(each)["library"] for each in resources(package, "Library")]
    named = {
        f"{each['id']}|{each['version']}"
        for library in libraries
        for each in library.get("valueSets", {}).get("def", ())
    }
    return sorted(named - held)


def resources(package: Json, kind: str) -> list[Json]:
    """The resources of one type in a package."""
    entries: list[Json] = package["entry"]
    return [e["resource"] for e in entries if e["resource"]["resourceType"] == kind]


def items(parent: Json) -> Iterator[Json]:
    """Every item below a form or an item."""
    for item in parent.get("item", ()):
        yield item
        yield from items(item)


def _library(package: Json, form: Json) -> Json:
    """The compiled library that the form names, with or without its version."""
    [canonical] = _extended(form, CQF_LIBRARY, "valueCanonical")
    url, _, version = canonical.partition("|")
    [library] = [
        each
        for each in resources(package, "Library")
        if each["url"] == url and version in ("", each["version"])
    ]
    found = _elm(library)
    assert _stem(found) == f"{library['name']}-{library['version']}"
    return found


def _elm(library: Json) -> Json:
    [content] = [c for c in library["content"] if c["contentType"] == ELM]
    elm: Json = json.loads(b64decode(content["data"]))
    return elm


def _stem(elm: Json) -> str:
    identifier = elm["library"]["identifier"]
    return f"{identifier['id']}-{identifier['version']}"


def _compiled(said: Json, named: Json) -> Json:
    """The compiled form of an expression: a define of the library that the form names. What is said
    beside it in CQL names the same."""
    [compiled] = [each for url in COMPILED for each in _extended(said, url, "valueExpression")]
    assert compiled["language"] == ELM
    elm: Json = json.loads(compiled["expression"])
    library = named["library"]
    assert (elm["type"], elm["libraryName"]) == ("ExpressionRef", library["identifier"]["id"])
    statements = library["statements"]["def"]
    assert elm["name"] in {s["name"] for s in statements if s.get("type") != "FunctionDef"}
    words = {
        "text/cql": f'"{elm["libraryName"]}"."{elm["name"]}"',
        "text/cql-identifier": elm["name"],
    }
    assert said["expression"] == words[said["language"]]
    return elm


def _extended(holder: Json, url: str, value: str) -> list[Any]:
    return [each[value] for each in holder.get("extension", ()) if each["url"] == url]
