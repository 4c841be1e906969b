"""A compiled line of the guides, parsed piece by piece as checks ask for it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wiser_fhir.fhir.validation import fhirpath

Json = dict[str, Any]

CORE = "http://hl7.org/fhir/StructureDefinition/"
_US_CORE = "http://hl7.org/fhir/us/core/"


@dataclass(frozen=True, slots=True)
class Type:
    """One allowed type of an element."""

    code: str
    profiles: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    aggregation: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Constraint:
    """An invariant, ready to run."""

    key: str
    severity: str
    expression: str

    @property
    def holds(self) -> fhirpath.Predicate:
        """The invariant as a function."""
        return fhirpath.predicate(self.key, self.expression)


@dataclass(frozen=True, slots=True)
class Slicing:
    """How the items of an element fall into slices."""

    rules: str
    ordered: bool


@dataclass(slots=True, eq=False)
class Node:
    """One element of a definition."""

    name: str
    minimum: int
    maximum: int | None
    repeats: bool
    types: tuple[Type, ...]
    constraints: tuple[Constraint, ...]
    raw: Json
    slice_name: str = ""
    slicing: Slicing | None = None
    slices: tuple["Node", ...] = ()
    children: tuple["Node", ...] = ()
    _keys: dict[str, tuple["Node", Type]] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, raw: Json) -> "Node":
        """Build the tree of a compiled node."""
        slicing = raw.get("slicing")
        return cls(
            name=raw["name"],
            minimum=raw.get("min", 0),
            maximum=raw.get("max"),
            repeats=raw.get("list", False),
            types=tuple(Type(t[0], *(tuple(part) for part in t[1:])) for t in raw.get("types", ())),
            constraints=tuple(Constraint(*c) for c in raw.get("constraints", ())),
            raw=raw,
            slice_name=raw.get("slice", ""),
            slicing=Slicing(slicing[0], slicing[1]) if slicing else None,
            slices=tuple(cls.of(s) for s in raw.get("slices", ())),
            children=tuple(cls.of(c) for c in raw.get("children", ())),
        )

    @property
    def is_choice(self) -> bool:
        """Whether the element's name in JSON depends on its type."""
        return self.name.endswith("[x]")

    @property
    def keys(self) -> dict[str, tuple["Node", Type]]:
        """What each JSON key of an object with these children means."""
        if self._keys is None:
            self._keys = {key: found for child in self.children for key, found in child.spellings()}
        return self._keys

    def spellings(self) -> Iterator[tuple[str, tuple["Node", Type]]]:
        """The JSON keys of this element, each with the type it stands for."""
        if not self.is_choice:
            yield self.name, (self, self.types[0] if self.types else Type("BackboneElement"))
            return
        stem = self.name[:-3]
        for entry in self.types:
            yield stem + entry.code[0].upper() + entry.code[1:], (self, entry)

    def child(self, name: str) -> "Node | None":
        """The child of that name, without [x]."""
        return next((c for c in self.children if c.name.removesuffix("[x]") == name), None)


@dataclass(slots=True, eq=False)
class Definition:
    """A profile or a base type."""

    url: str
    version: str
    type: str
    kind: str
    root: Node
    base: str
    raw: Json

    @classmethod
    def of(cls, raw: Json) -> "Definition":
        """Build it from its compiled form."""
        return cls(
            raw["url"],
            raw["version"],
            raw["type"],
            raw["kind"],
            Node.of(raw["root"]),
            raw.get("base", ""),
            raw,
        )

    @property
    def name(self) -> str:
        """The short name, for messages."""
        return self.url.rpartition("/")[2]


@dataclass(slots=True)
class ValueSet:
    """Which codes a value set has, as far as the packages say."""

    systems: dict[str, frozenset[str] | bool | None]
    open: bool

    @classmethod
    def of(cls, raw: Json) -> "ValueSet":
        """Build it from its compiled form."""
        systems = {
            system: frozenset(codes) if isinstance(codes, list) else codes
            for system, codes in raw["systems"].items()
        }
        return cls(systems, raw.get("open", False))


class Guide:
    """Definitions, value sets and code systems of one line."""

    def __init__(self, folders: list[Path]) -> None:
        self._definitions: dict[str, list[tuple[str, str]]] = {}
        self._parsed: dict[str, Definition] = {}
        self._value_sets = self._records(folders, "valuesets.jsonl")
        self._code_systems = self._records(folders, "codesystems.jsonl")
        self._sets: dict[str, ValueSet | None] = {}
        self._codes: dict[str, tuple[frozenset[str], bool] | None] = {}
        self._contents: dict[str, Node] = {}
        for line in self._lines(folders, "definitions.jsonl"):
            url, version, body = line.split("\t", 2)
            self._definitions.setdefault(url, []).append((version, body))

    @staticmethod
    def _lines(folders: list[Path], name: str) -> Iterator[str]:
        for folder in folders:
            yield from (folder / name).read_text("utf-8").split("\n")[:-1]

    @classmethod
    def _records(cls, folders: list[Path], name: str) -> dict[str, str]:
        return dict(line.split("\t", 1) for line in cls._lines(folders, name))

    def definition(self, canonical: str) -> Definition | None:
        """The definition a canonical names: with a version that one, without the line's first."""
        found = self._parsed.get(canonical)
        if found is None:
            url, _, version = canonical.partition("|")
            candidates = self._definitions.get(url)
            if not candidates:
                return None
            chosen = next((c for c in candidates if c[0] == version), candidates[0])
            key = f"{url}|{chosen[0]}"
            found = self._parsed.get(key) or Definition.of(json.loads(chosen[1]))
            self._parsed[key] = self._parsed[canonical] = found
        return found

    def extensions(self, namespace: str) -> list[Definition]:
        """The extensions of a guide."""
        urls = [u for u in self._definitions if u.startswith(namespace) and "xtension" in u]
        found = [self.definition(u) for u in urls]
        return [d for d in found if d is not None and d.type == "Extension"]

    def alternatives(self, canonical: str) -> list[Definition]:
        """What satisfies a demand for a profile: for US Core any version of it.

        Source: PAS 2.2.1 §spec-1.
        """
        found = self.definition(canonical)
        if found is None:
            return []
        if not found.url.startswith(_US_CORE):
            return [found]
        others = [self.definition(f"{found.url}|{v}") for v, _ in self._definitions[found.url]]
        return [found, *(o for o in others if o is not None and o is not found)]

    def type(self, code: str) -> Definition | None:
        """A base type or resource."""
        return self.definition(CORE + code)

    def content(self, definition: Definition, reference: str) -> Node:
        """The node that a content reference such as `#Claim.item` names."""
        key = f"{definition.type}{reference}"
        if key not in self._contents:
            path = reference.partition("#")[2]
            owner = self.type(path.partition(".")[0]) or definition
            node = owner.root
            for step in path.split(".")[1:]:
                node = next(c for c in node.children if c.name == step)
            self._contents[key] = node
        return self._contents[key]

    def value_set(self, canonical: str) -> ValueSet | None:
        """The codes of a value set; None when nothing is known of it."""
        url = canonical.partition("|")[0]
        if url not in self._sets:
            body = self._value_sets.get(url)
            self._sets[url] = ValueSet.of(json.loads(body)) if body else None
        return self._sets[url]

    def codes(self, system: str) -> tuple[frozenset[str], bool] | None:
        """All codes of a complete code system and whether case is ignored; None if not known."""
        if system not in self._codes:
            body = self._code_systems.get(system)
            if body is None:
                self._codes[system] = None
            else:
                raw = json.loads(body)
                caseless = raw.get("caseless", False)
                codes = (c.lower() if caseless else c for c in raw["codes"])
                self._codes[system] = (frozenset(codes), caseless)
        return self._codes[system]

    def systems(self) -> list[str]:
        """The code systems whose codes are all known."""
        return sorted(self._code_systems)

    def has_code(self, system: str, code: str) -> bool | None:
        """Whether a code system has a code; None when it is not known."""
        found = self.codes(system.partition("|")[0])
        if found is None:
            return None
        codes, caseless = found
        return (code.lower() if caseless else code) in codes

    def is_member(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether a code is in a value set; None when that cannot be said."""
        found = self.value_set(value_set)
        if found is None or found.open:
            return None
        if system is None:
            return self._is_any(found, code)
        codes = found.systems.get(system.partition("|")[0], frozenset())
        if codes is False:
            return None
        if codes is None:
            return self.has_code(system, code)
        return code in codes  # type: ignore[operator]

    def _is_any(self, found: ValueSet, code: str) -> bool | None:
        """Without a system (elements of type code): in any of the set's systems."""
        verdicts: list[bool | None] = []
        for system, codes in found.systems.items():
            if codes is False:
                verdicts.append(None)
            elif codes is None:
                verdicts.append(self.has_code(system, code))
            else:
                verdicts.append(code in codes)  # type: ignore[operator]
        if True in verdicts:
            return True
        return None if None in verdicts else False
