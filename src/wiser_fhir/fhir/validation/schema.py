"""Compiled definitions as JSON Schema 2020-12, for the fast path.

A schema may refuse what is good (an unusual shape), never let pass what is wrong, as far as
structure goes: types, formats, cardinality, closed objects, fixed and pattern values, choices,
slices, extensions, bindings. What is refused is decided by `checker`.

Two keywords of ours: `x-member` (a coded value is in a value set) and `x-known` (its codes exist).
"""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from wiser_fhir.fhir.validation import narrative, primitives

Json = dict[str, Any]
Find = Callable[[str], Json | None]
Schema = Any

_CORE = "http://hl7.org/fhir/StructureDefinition/"
HL7 = r"^http://(terminology\.)?hl7\.org/"
_BACKBONE = ("BackboneElement", "Element")
_NEVER: Schema = False

_DAYS = (
    r"(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_YEAR = "[12][0-9]{3}"
_ZONED = primitives.DATE_TIME.partition("T")[2].partition(")?)?)?")[0]
_URI = (
    r"^(?:https?://\S+|[#A-Z]\S*|urn:[a-np-tv-z]\S*"
    rf"|{primitives.UUID}|{primitives.OID})$"
)
_STRING = {"type": "string", "minLength": 1, "maxLength": 100_000}
_PRIMITIVES: dict[str, Schema] = {
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer", "minimum": -2147483648, "maximum": 2147483647},
    "unsignedInt": {"type": "integer", "minimum": 0, "maximum": 2147483647},
    "positiveInt": {"type": "integer", "minimum": 1, "maximum": 2147483647},
    "decimal": {"type": "number"},
    "date": {"type": "string", "pattern": f"^{_YEAR}(?:-{_DAYS}|-(?:0[1-9]|1[0-2]))?$"},
    "dateTime": {
        "type": "string",
        "pattern": f"^{_YEAR}(?:-{_DAYS}(?:T{_ZONED})?|-(?:0[1-9]|1[0-2]))?$",
    },
    "instant": {"type": "string", "pattern": f"^{_YEAR}-{_DAYS}T{_ZONED}$"},
    "time": {"type": "string", "pattern": f"^{primitives.TIME}$"},
    "id": {"type": "string", "pattern": f"^{primitives.ID}$"},
    "code": {"type": "string", "pattern": r"^[!-~]+(?: [!-~]+)*$"},
    "oid": {"type": "string", "pattern": f"^{primitives.OID}$"},
    "uuid": {"type": "string", "pattern": f"^{primitives.UUID}$"},
    "base64Binary": {
        "type": "string",
        "pattern": r"^(?:[0-9a-zA-Z+/]{4})*(?:[0-9a-zA-Z+/]{2}==|[0-9a-zA-Z+/]{3}=)?$",
        "minLength": 4,
    },
    "uri": {"type": "string", "pattern": _URI},
    "url": {"type": "string", "pattern": _URI},
    "canonical": {"type": "string", "pattern": _URI},
    "xhtml": {
        "type": "string",
        "pattern": narrative.PATTERN,
        "allOf": [{"pattern": r">\s*[^<\s]|<img\s"}],
    },
    "string": _STRING,
    "markdown": _STRING,
}
# Values of extensions that nobody knows: only those with nothing more to check inside.
_PLAIN_VALUES = ("string", "code", "boolean", "decimal", "date", "dateTime", "uri", "id")


_FEW = 200
_NATIVE = (
    "http://terminology.hl7.org/CodeSystem/v2-0203",
    "http://terminology.hl7.org/CodeSystem/subscriber-relationship",
    "http://terminology.hl7.org/CodeSystem/adjudication",
    "http://terminology.hl7.org/CodeSystem/processpriority",
    "http://terminology.hl7.org/CodeSystem/claim-type",
    "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes",
)


class Unsupported(Exception):
    """Something that the fast path leaves to the checker."""


def primitive_schema(code: str) -> Schema:
    """The schema of a primitive type."""
    return _PRIMITIVES[code]


class Schemas:
    """Writes the schemas of definitions and of all that they refer to."""

    def __init__(
        self,
        find: Find,
        codes: Callable[[str], list[str] | None],
        extensions: dict[str, list[Json]],
        system: Callable[[str], list[str] | None],
        sets: Callable[[str], dict[str, list[str] | bool] | None],
        foreign: list[str],
    ) -> None:
        hl7 = {"anyOf": [{"pattern": HL7}, {"enum": foreign}]}
        self._of_known_system = {"properties": {"system": hl7}, "required": ["system"]}
        self._system = system
        self._sets = sets
        self._find = find
        self._codes = codes
        self._extensions = extensions
        self._path = ""
        self._type = ""  # of the element at the path, where a profile restates a data type
        self.defs: dict[str, Schema] = {}

    def reference(self, definition: Json) -> Schema:
        """A reference to the schema of a definition, written now if it is new."""
        key = name_of(definition)
        if key not in self.defs:
            self.defs[key] = True  # while it is being written
            self.defs[key] = self._definition(definition)
        return {"$ref": f"#/$defs/{key}"}

    def _definition(self, definition: Json) -> Schema:
        try:
            with self._inside(definition["type"]):
                found = self._object(definition["root"], definition, is_root=True)
        except Unsupported:
            return _NEVER
        if definition["kind"] == "resource":
            found["properties"]["resourceType"] = {"const": definition["type"]}
            found["required"] = [*found.get("required", ()), "resourceType"]
        if definition["type"] == "CodeableConcept" and "base" not in definition:
            self.defs["CodeableConcept.free"] = found
            coding = {"contains": self._of_known_system}
            one = {"properties": {"coding": coding}, "required": ["coding"]}
            items = {"if": self._of_known_system, "then": self._coding_known()}
            native = {"properties": {"coding": {"items": items}}}
            return {"allOf": [found, {"if": one, "then": native}]}
        if definition["type"] == "Coding" and "base" not in definition:
            self.defs["Coding.free"] = found
            return {"allOf": [found, {"if": self._of_known_system, "then": self._coding_known()}]}
        return found

    @contextmanager
    def _inside(self, path: str, type_: str = "") -> Iterator[None]:
        outer = self._path, self._type
        self._path, self._type = path, type_
        try:
            yield
        finally:
            self._path, self._type = outer

    def _coding_known(self) -> Schema:
        """A code that its system has: small systems of claims natively, the rest by our keyword."""
        last: Schema = {"x-known": True}
        for system in _NATIVE:
            codes = self._system(system)
            if codes is not None:
                match = _at("system", {"const": system})
                then = {"properties": {"code": {"enum": codes}}, "required": ["code"]}
                last = {"if": match, "then": then, "else": last}
        return last

    def _object(self, node: Json, definition: Json, is_root: bool = False) -> Json:
        properties: dict[str, Schema] = {}
        required: list[str] = []
        rules: list[Schema] = []
        for child in node.get("children", ()):
            if child.get("max") == 0 or child["name"] == "contained":
                continue
            self._member(child, definition, properties, required, rules)
        found: Json = {"type": "object", "properties": properties, "additionalProperties": False}
        if required:
            found["required"] = list(dict.fromkeys(required))
        if "url" in properties and ("Extension" in (definition["type"], *_codes_of(node))):
            rules += _value_or_extensions(properties)
        if not (is_root and definition["kind"] == "resource"):
            found["minProperties"] = 1
            if "id" in properties:
                rules.append({"if": {"required": ["id"]}, "then": {"minProperties": 2}})
        if rules:
            found["allOf"] = rules
        return found

    def _member(
        self,
        child: Json,
        definition: Json,
        properties: dict[str, Schema],
        required: list[str],
        rules: list[Schema],
    ) -> None:
        if child["name"].endswith("[x]"):
            self._choice(child, definition, properties, required, rules)
            return
        name = child["name"]
        properties[name] = self._values(child, definition)
        if child.get("min"):
            required.append(name)

    def _choice(
        self,
        child: Json,
        definition: Json,
        properties: dict[str, Schema],
        required: list[str],
        rules: list[Schema],
    ) -> None:
        keys = []
        for entry in child["types"]:
            key = child["name"][:-3] + entry[0][0].upper() + entry[0][1:]
            keys.append(key)
            properties[key] = self._of_choice(child, entry, definition)
        wanted = [{"required": [k]} for k in keys]
        if child.get("min") and len(keys) == 1:
            required.append(keys[0])
        elif child.get("min"):
            rules.append({"oneOf": wanted})
        elif len(keys) > 1:
            rules.append({"oneOf": [*wanted, {"not": {"anyOf": wanted}}]})
        for one in child.get("slices", ()):
            if one.get("min"):
                required.append(
                    child["name"][:-3] + one["types"][0][0][0].upper() + one["types"][0][0][1:]
                )

    def _of_choice(self, child: Json, entry: list[Any], definition: Json) -> Schema:
        parts = [self._item(child, entry, definition)]
        for one in child.get("slices", ()):
            if any(kind != "type" for kind, _, _ in one["when"]):
                raise Unsupported(child["name"])
            for other in one["types"]:
                if other[0] == entry[0]:
                    if one.get("max") == 0:
                        return _NEVER
                    parts.append(self._item(one, other, definition))
        return parts[0] if len(parts) == 1 else {"allOf": parts}

    def _values(self, child: Json, definition: Json) -> Schema:
        item = self._items(child, definition)
        if not child.get("list"):
            return item
        found: Json = {"type": "array", "items": item, "minItems": max(1, child.get("min", 0))}
        if child.get("max") is not None:
            found["maxItems"] = child["max"]
        counts = [
            {
                "contains": match,
                "minContains": low,
                **({} if high is None else {"maxContains": high}),
            }
            for match, low, high in self._counts(child)
        ]
        if counts:
            found["allOf"] = counts
        return found

    def _counts(self, child: Json) -> Iterator[tuple[Schema, int, int | None]]:
        for one in child.get("slices", ()):
            match = self._match(one)
            low, high = one.get("min", 0), one.get("max")
            if match is not None and (low or high is not None):
                yield match, low, high

    def _items(self, child: Json, definition: Json) -> Schema:
        """One value of an element: by its own slice, else as the element says."""
        is_extension = child["types"][0][0] == "Extension" if child.get("types") else False
        entry = child["types"][0] if child.get("types") else ["BackboneElement"]
        if is_extension:
            last: Schema = self._known_extension(child)
        else:
            last = self._item(child, entry, definition)
        slicing = child.get("slicing", ["open", False, []])
        if slicing[1]:
            raise Unsupported(child["name"])
        if slicing[0] == "closed" and child.get("slices"):
            last = _NEVER
        matches = [(self._match(one), one) for one in child.get("slices", ())]
        known = [(m, one) for m, one in matches if m is not None]
        for i in range(len(known) - 1, -1, -1):
            match, one = known[i]
            own = self._item(one, one["types"][0] if one.get("types") else entry, definition)
            parts = [own]
            if "children" not in one and "children" in child and not is_extension:
                parts.append(self._item(child, entry, definition))
            if not is_extension and i + 1 < len(known):
                parts.append({"not": {"anyOf": [m for m, _ in known[i + 1 :]]}})
            then = parts[0] if len(parts) == 1 else {"allOf": parts}
            if one.get("max") == 0 or (is_extension and not self._may_stand(one, definition)):
                then = _NEVER
            last = {"if": match, "then": then, "else": last}
        return last

    def _may_stand(self, one: Json, definition: Json) -> bool:
        """Whether a slice's extensions have this place among their contexts: some have not."""
        profiles = [c for entry in one.get("types", ()) for c in (entry[1] if entry[1:] else ())]
        found = [f for c in profiles if (f := self._find(c)) is not None]
        return all(self._has_place(f, definition) for f in found)

    def _has_place(self, extension: Json, definition: Json) -> bool:
        places = {self._path, self._type, "Element", "Any"}
        if self._path == definition["type"] and definition["kind"] == "resource":
            places |= {"Resource", "DomainResource"}
        return any(
            kind == "fhirpath"
            or (kind == "element" and expression.rpartition("#")[2] in places)
            or (kind == "extension" and expression == definition["url"])
            for kind, expression in extension.get("context", ())
        )

    def _known_extension(self, child: Json) -> Schema:
        """An extension outside the slices: one that a guide has for this place, or a free one."""
        last = self._other_extension(child)
        modifier = child["name"] == "modifierExtension"
        sliced = {t[2] for one in child.get("slices", ()) for t in one["when"] if t[1] == "url"}
        for one in self._extensions.get(self._path, ()):
            if one["url"] not in sliced and bool(one.get("modifier")) == modifier:
                match = _at("url", {"const": one["url"]})
                last = {"if": match, "then": self.reference(one), "else": last}
        return last

    def _other_extension(self, child: Json) -> Schema:
        """An extension outside the slices: one that no guide defines, with a plain value."""
        if child["name"] == "modifierExtension":
            return _NEVER
        values = {f"value{c[0].upper()}{c[1:]}": _PRIMITIVES[c] for c in _PLAIN_VALUES}
        url = {"type": "string", "pattern": r"^https?://[^|\s]+$", "not": {"pattern": HL7}}
        return {
            "type": "object",
            "properties": {"url": url, **values},
            "required": ["url"],
            "additionalProperties": False,
            "minProperties": 2,
            "maxProperties": 2,
        }

    def _item(self, node: Json, entry: list[Any], definition: Json) -> Schema:
        parts: list[Schema] = [self._by_type(node, entry, definition)]
        if "fixed" in node:
            parts.append({"const": node["fixed"]})
        if "pattern" in node:
            parts.append(pattern_schema(node["pattern"]))
        parts += self._bound(node, entry[0])
        if "maxLength" in node:
            parts.append({"maxLength": node["maxLength"]})
        if "range" in node:
            limits = {"min": "minimum", "max": "maximum"}
            parts.append({limits[k]: v for k, v in node["range"].items() if not isinstance(v, str)})
        return parts[0] if len(parts) == 1 else {"allOf": parts}

    def _by_type(self, node: Json, entry: list[Any], definition: Json) -> Schema:
        code = entry[0]
        if code in primitives.PRIMITIVES and _demands_extensions(node):
            raise Unsupported(node["name"])
        if code in primitives.PRIMITIVES and "fixed" in node:
            return True
        if code in primitives.PRIMITIVES:
            is_id = node["name"] == "id" and definition["kind"] == "resource"
            return _PRIMITIVES["id" if is_id and node in definition["root"]["children"] else code]
        if "ref" in node:
            return self._content(node["ref"], definition)
        if code in _BACKBONE:
            with self._inside(f"{self._path}.{node['name']}"):
                return self._object(node, definition)
        base = self._find(_CORE + code)
        if base is None:
            raise Unsupported(code)
        if base["kind"] == "resource":
            return {"type": "object"}
        return self._data_type(node, entry, base, definition)

    def _data_type(self, node: Json, entry: list[Any], base: Json, definition: Json) -> Schema:
        profiles = [p for c in (entry[1] if len(entry) > 1 else ()) if (p := self._find(c))]
        parts: list[Schema] = []
        if len(profiles) == 1:
            parts.append(self.reference(profiles[0]))
        elif profiles:
            parts.append({"anyOf": [self.reference(p) for p in profiles]})
        if node.get("children"):
            with self._inside(f"{self._path}.{node['name']}", entry[0]):
                parts.append(self._object(node, definition))
            if entry[0] in ("CodeableConcept", "Coding") and not self._is_required(node):
                parts.append(self.reference(base))
        if not parts:
            parts.append(self.reference(base))
            if entry[0] in ("CodeableConcept", "Coding") and self._is_required(node):
                return {"$ref": f"#/$defs/{entry[0]}.free"}
        return parts[0] if len(parts) == 1 else {"allOf": parts}

    def _is_required(self, node: Json) -> bool:
        """Whether a binding says all: else its codes must at least exist in their systems."""
        strength, url = node.get("binding", ("", ""))
        return strength == "required" and self._knows(url)

    def _content(self, reference: str, definition: Json) -> Schema:
        path = reference.partition("#")[2]
        key = "content." + path
        if key not in self.defs:
            self.defs[key] = True
            owner = self._find(_CORE + path.partition(".")[0]) or definition
            node = owner["root"]
            for step in path.split(".")[1:]:
                node = next(c for c in node["children"] if c["name"] == step)
            with self._inside(path):
                self.defs[key] = self._object(node, owner)
        return {"$ref": f"#/$defs/{key}"}

    def _bound(self, node: Json, code: str) -> list[Schema]:
        strength, url = node.get("binding", ("", ""))
        if code in ("code", "string", "uri", "url", "canonical"):
            return [*self._bound_text(strength, url), *self._outermost(node)]
        if strength != "required":
            return []
        if not self._knows(url):
            return []
        coding = self._in_set(url)
        if coding is None:
            return [{"x-member": url}]
        if code != "CodeableConcept":
            return [coding]
        return [_at("coding", coding)]

    def _bound_text(self, strength: str, url: str) -> list[Schema]:
        codes = self._codes(url) if strength else None
        if codes is not None:
            return [{"enum": codes}]
        listed = [codes for codes in (self._sets(url) or {}).values() if codes is not True]
        return [_NEVER] if listed else []

    def _outermost(self, node: Json) -> list[Schema]:
        url = node.get("outermost")
        if url is None:
            return []
        if url.partition("|")[0].endswith("/all-languages"):
            return [{"pattern": "^(?:en|es)(?:-[A-Z]{2})?$"}]
        codes = self._codes(url)
        return [] if codes is None else [{"enum": codes}]

    def _in_set(self, url: str) -> Schema | None:
        """A Coding of a value set; None when it is too large to be written out."""
        systems = self._sets(url)
        if systems is None:
            return None
        ways = []
        for system, codes in systems.items():
            if isinstance(codes, list) and len(codes) > _FEW:
                return None
            code = {"enum": codes} if isinstance(codes, list) else {"type": "string"}
            members = {"system": {"const": system}, "code": code}
            ways.append({"properties": members, "required": ["system", "code"]})
        return ways[0] if len(ways) == 1 else {"anyOf": ways}

    def _match(self, one: Json) -> Schema | None:
        """A schema that exactly a slice's items pass; None for one that nothing can match."""
        tests = [self._test(*test) for test in one["when"]]
        if None in tests:
            return None
        return tests[0] if len(tests) == 1 else {"allOf": tests}

    def _test(self, kind: str, path: str, data: Any) -> Schema | None:
        if kind == "binding":
            if self._codes(data) is None and not self._knows(data):
                return None
            return _at(path, {"x-member": data})
        if kind == "fixed":
            return _at(path, {"const": data})
        if kind == "pattern":
            return _at(path, pattern_schema(data))
        if kind == "type" and path == "resource":
            return _at("resource", _at("resourceType", {"enum": data}))
        if kind == "exists" and data and "." not in path:
            return {"required": [path]}
        raise Unsupported(f"{kind} {path}")

    def _knows(self, url: str) -> bool:
        """Whether a package has the value set and all its parts."""
        return self._sets(url) is not None


def _demands_extensions(node: Json) -> bool:
    return any(
        part.get("min")
        for child in node.get("children", ())
        if child["name"] == "extension"
        for part in (child, *child.get("slices", ()))
    )


def _codes_of(node: Json) -> list[str]:
    return [entry[0] for entry in node.get("types", ())]


def _value_or_extensions(properties: dict[str, Schema]) -> list[Schema]:
    """ext-1: a value or extensions, not both."""
    wanted = [k for k in properties if k.startswith("value") or k == "extension"]
    return [{"oneOf": [{"required": [k]} for k in wanted]}] if wanted else []


def name_of(definition: Json) -> str:
    """The name of a definition's schema."""
    plain = re.sub(r"^https?://", "", definition["url"]).replace("/StructureDefinition/", "/")
    version = definition["version"] if "base" in definition else ""
    if "base" not in definition:
        plain = plain.rpartition("/")[2]
    return re.sub(r"[^A-Za-z0-9.\-]", ".", f"{plain}{'.' if version else ''}{version}")


def pattern_schema(pattern: Any) -> Schema:
    """What has at least what the pattern has."""
    if isinstance(pattern, dict):
        members = {key: pattern_schema(part) for key, part in pattern.items()}
        return {"type": "object", "properties": members, "required": list(members)}
    if isinstance(pattern, list):
        return {"type": "array", "allOf": [{"contains": pattern_schema(p)} for p in pattern]}
    return {"const": pattern}


EXTENSION_VALUE = re.compile(r"extension\('([^']+)'\)\.value(?:\.ofType\((\w+)\)| as (\w+))?")


def _at(path: str, test: Schema) -> Schema:
    """A schema that holds where the value at a path passes a test."""
    if path == "$this":
        return test
    match = EXTENSION_VALUE.fullmatch(path)
    if match is not None:
        kind = match[2] or match[3]
        if kind is None and isinstance(test.get("const"), bool):
            kind = "boolean"  # PAS 2.0.1 leaves the type to the value
        if kind is None:
            raise Unsupported(path)
        value = {f"value{kind[0].upper()}{kind[1:]}": test}
        one = {"url": {"const": match[1]}, **value}
        return _at("extension", {"contains": {"properties": one, "required": list(one)}})
    head, _, rest = path.partition(".")
    if not re.fullmatch(r"\w+", head):
        raise Unsupported(path)
    inner = _at(rest, test) if rest else test
    if head == "coding":
        inner = {"contains": inner}
    return {"type": "object", "properties": {head: inner}, "required": [head]}
