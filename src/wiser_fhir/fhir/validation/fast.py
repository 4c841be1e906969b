"""The fast path: proves ordinary content good, and leaves the rest to the checker.

Each entry of a Bundle is put to the one schema and the one function of the profile it claims; then
every Reference must lead to a resource that was proved to meet what the Reference asks for.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

from wiser_fhir.fhir.bundle import absolute
from wiser_fhir.fhir.validation import narrative, schema, terms
from wiser_fhir.fhir.validation.fhirpath_values import Scope
from wiser_fhir.fhir.validation.guide import CORE, Definition, Guide
from wiser_fhir.fhir.validation.plans import Plans

Json = dict[str, Any]


_GUIDES = "http://hl7.org/fhir/us/davinci-"
# What forms and orders carry beside the extensions of PAS, whose names say what they are.
_CARRIED = (
    "dtr/StructureDefinition/containedReference",
    "dtr/StructureDefinition/information-origin",
    "dtr/StructureDefinition/intendedUse",
    "dtr/StructureDefinition/qr-context",
    "dtr/StructureDefinition/qr-coverage",
    "crd/StructureDefinition/ext-coverage-information",
)


class _Refused(Exception):
    """What a keyword of ours raises."""


@dataclass(slots=True)
class _Program:
    """What a definition was made into."""

    is_valid: Any
    function: Any
    chain: frozenset[str]


@dataclass(slots=True)
class _Run:
    """One run: what was proved of which resource, and the references met."""

    by_url: dict[str, Json]
    proved: dict[int, set[str]] = field(default_factory=dict)
    references: list[tuple[Json, int, str | None]] = field(default_factory=list)
    divs: list[str] = field(default_factory=list)


class FastPath:
    """Programs of one line's definitions, made when first needed."""

    def __init__(self, guide: Guide) -> None:
        self._guide = guide
        self._programs: dict[str, _Program | None] = {}
        self._slices: dict[str, dict[str, list[Definition]] | None] = {}
        self._claims: dict[str, Definition | None] = {}
        self._allowed: dict[int, dict[str, Definition]] = {}
        self._keywords = _keywords(guide)
        self._foreign = [s for s in guide.systems() if not re.match(schema.HL7, s)]
        self._extensions: dict[str, list[Json]] = {}
        self._plans = Plans(guide, self._extensions)
        carried = (guide.definition(_GUIDES + name) for name in _CARRIED)
        for found in (*guide.extensions(f"{_GUIDES}pas/"), *filter(None, carried)):
            for kind, path in found.raw.get("context", ()):
                if kind == "element":
                    self._extensions.setdefault(path, []).append(found.raw)

    def proves(self, resource: Json, definition: Definition) -> bool:
        """Whether a resource is good beyond doubt. False says nothing."""
        try:
            return self._proves(resource, definition)
        except (AttributeError, KeyError, TypeError, ValueError, IndexError):
            return False  # a shape that ordinary content has not: the checker will say what it is

    def warm(self, definition: Definition) -> None:
        """Make the programs that a Bundle of that definition needs."""
        self._program(definition)
        for options in (self._slots(definition) or {}).values():
            for option in options:
                self._program(option)

    def _proves(self, resource: Json, definition: Definition) -> bool:
        run = _Run({})
        if resource.get("resourceType") == "Bundle":
            good = self._bundle(resource, definition, run)
        else:
            good = self._resource(resource, [definition], None, run)
        if not good or not all(self._leads(*r, run) for r in run.references):
            return False
        return not run.divs or narrative.are_well_formed(run.divs)

    def _bundle(self, bundle: Json, definition: Definition, run: _Run) -> bool:
        slots = self._slots(definition)
        if slots is None:
            return False
        entries = bundle["entry"]
        for entry in entries:
            url, resource = entry["fullUrl"], entry["resource"]
            if url in run.by_url or not _is_at_home(url, resource):
                return False
            run.by_url[url] = resource
        if not self._shell(bundle, entries, definition):
            return False
        for entry in entries:
            resource = entry["resource"]
            options = slots.get(resource["resourceType"], [])
            if not self._resource(resource, options, entry["fullUrl"], run):
                return False
        return True

    def _shell(self, bundle: Json, entries: list[Json], definition: Definition) -> bool:
        """The Bundle itself, its resources taken out."""
        wanted = [definition]
        for canonical in bundle.get("meta", {}).get("profile", ()):
            claimed = self._claimed(canonical)
            if claimed is not None and claimed is not definition:
                wanted.append(claimed)
        kind = [{**e, "resource": {"resourceType": e["resource"]["resourceType"]}} for e in entries]
        shell = {**bundle, "entry": kind}
        scope = Scope(bundle, bundle, "", None, _nowhere, self._member)
        for one in wanted:
            program = self._program(one)
            if program is None or not program.is_valid(shell):
                return False
            if not program.function(shell, scope, []):
                return False
        return True

    def _resource(
        self, resource: Json, options: list[Definition], url: str | None, run: _Run
    ) -> bool:
        if "contained" in resource or resource["resourceType"] in ("Bundle", "Parameters"):
            return False
        claimed = []
        for canonical in resource.get("meta", {}).get("profile", ()):
            found = self._claimed(canonical)
            if found is not None:
                claimed.append(found)
        if options and not any(c in options for c in claimed):
            if len(options) > 1:
                return False
            claimed.append(options[0])
        if not claimed:
            claimed = [self._guide.type(resource["resourceType"])]  # type: ignore[list-item]
        return all(self._meets(resource, definition, url, run) for definition in claimed)

    def _meets(self, resource: Json, definition: Definition, url: str | None, run: _Run) -> bool:
        program = self._program(definition)
        if program is None or not program.is_valid(resource):
            return False
        found: list[tuple[Json, int]] = []
        scope = Scope(resource, resource, "", None, _nowhere, self._member)
        if not program.function(resource, scope, found):
            return False
        run.proved.setdefault(id(resource), set()).update(program.chain)
        for value, target in found:
            if target < 0:
                run.divs.append(value["div"])
            else:
                run.references.append((value, target, url))
        return True

    def _leads(self, value: Json, number: int, url: str | None, run: _Run) -> bool:
        reference = value.get("reference")
        if reference is None:
            return "type" not in value
        if "type" in value or reference[0] == "#" or "/_history/" in reference:
            return False
        full = absolute(reference, url)
        if full is None:
            return url is None and reference.count("/") == 1
        allowed = self._allowed.get(number)
        if allowed is None:
            allowed = self._allowed[number] = self._targets(number)
        target = run.by_url.get(full)
        if target is None:
            return not self._plans.targets[number].aggregation
        if not allowed or not allowed.keys().isdisjoint(run.proved[id(target)]):
            return True
        kind = target["resourceType"]
        options = [d for d in allowed.values() if d.type == kind]
        return any(self._meets(target, d, full, run) for d in options)

    def _targets(self, number: int) -> dict[str, Definition]:
        """The definitions one of which a Reference's target must meet; none for any resource."""
        found = {
            d.url: d
            for t in reversed(self._plans.targets[number].targets)
            for d in reversed(self._guide.alternatives(t))
        }
        return {} if CORE + "Resource" in found else found

    def _claimed(self, canonical: str) -> Definition | None:
        if canonical not in self._claims:
            found = self._guide.definition(canonical)
            if found is not None and found.kind == "resource":
                self._claims[canonical] = found
            else:
                self._claims[canonical] = None
        return self._claims[canonical]

    def _slots(self, definition: Definition) -> dict[str, list[Definition]] | None:
        """By resource type, the profiles that a Bundle's entries must have one of."""
        if definition.url not in self._slices:
            self._slices[definition.url] = self._read_slots(definition)
        return self._slices[definition.url]

    def _read_slots(self, definition: Definition) -> dict[str, list[Definition]] | None:
        entry = definition.root.child("entry")
        found: dict[str, list[Definition]] = {}
        if entry is None:
            return found
        for part in (*entry.slices, entry):
            resource = part.child("resource")
            for one in resource.types if resource is not None else ():
                options = [d for p in one.profiles if (d := self._guide.definition(p)) is not None]
                for option in options:
                    found.setdefault(option.type, []).append(option)
                if part is entry and options:
                    return None
        return found

    def _program(self, definition: Definition) -> _Program | None:
        key = f"{definition.url}|{definition.version}"
        if key not in self._programs:
            try:
                self._programs[key] = self._make(definition)
            except schema.Unsupported:
                self._programs[key] = None
        return self._programs[key]

    def _make(self, definition: Definition) -> _Program:
        writer = schema.Schemas(
            self._raw,
            self._listed,
            self._extensions,
            self._system,
            self._sets,
            self._foreign,
        )
        whole = {**writer.reference(definition.raw), "$defs": writer.defs}
        validator = jsonschema_rs.Draft202012Validator(
            whole,
            keywords=self._keywords,
            pattern_options=jsonschema_rs.RegexOptions(),
        )
        chain = set()
        step: Definition | None = definition
        while step is not None:
            chain.add(step.url)
            step = self._guide.definition(step.base) if step.base else None
        return _Program(validator.is_valid, self._plans.function(definition), frozenset(chain))

    def _raw(self, canonical: str) -> Json | None:
        found = self._guide.definition(canonical)
        return None if found is None else found.raw

    def _listed(self, url: str) -> list[str] | None:
        """The codes of a value set for elements without a system; None when not all are known."""
        found = self._guide.value_set(url)
        if found is None or found.open or not all(v is not False for v in found.systems.values()):
            return None
        codes: set[str] = set()
        for system, listed in found.systems.items():
            if listed is None:
                known = self._guide.codes(system)
                if known is None or known[1]:
                    return None
                codes |= known[0]
            elif isinstance(listed, frozenset):
                codes |= listed
        return sorted(codes)

    def _sets(self, url: str) -> dict[str, list[str] | bool] | None:
        """A value set's codes by system, true where only the system can be checked.

        None when no package has it or a part of it: then nothing is checked.
        """
        found = self._guide.value_set(url)
        if found is None or found.open:
            return None
        systems: dict[str, list[str] | bool] = {}
        for system, codes in found.systems.items():
            known = self._guide.codes(system) if codes is None else None
            listed = codes if known is None else known[0]
            systems[system] = sorted(listed) if isinstance(listed, frozenset) else True
        return systems

    def _system(self, url: str) -> list[str] | None:
        found = self._guide.codes(url)
        return None if found is None or found[1] else sorted(found[0])

    def _member(self, value: Any, url: str) -> bool:
        return terms.is_member(self._guide, value, url)


def _is_at_home(url: str, resource: Json) -> bool:
    """Whether a full URL is an ordinary one that fits its resource."""
    if url.startswith("urn:uuid:"):
        return True
    return url.startswith("http") and url.endswith(f"/{resource['resourceType']}/{resource['id']}")


def _nowhere(reference: str) -> None:
    return None


def _keywords(guide: Guide) -> dict[str, Any]:
    class Keyword:
        """A keyword of ours; raising is how it refuses."""

        def __init__(self, parent: Json, value: Any, path: list[Any]) -> None:
            self._value = value

    class Member(Keyword):
        def validate(self, instance: Any) -> None:
            if not terms.is_bound(guide, instance, self._value):
                raise _Refused

    class Known(Keyword):
        def validate(self, instance: Any) -> None:
            if not terms.exist(guide, instance):
                raise _Refused

    return {"x-member": Member, "x-known": Known}
