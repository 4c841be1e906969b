"""The whole check of a resource against compiled definitions, every problem named.

The exact one of two paths: `fast` proves ordinary content good in a fraction of the time, this
says what is wrong, and decides what the fast path leaves open.
"""

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any

from wiser_fhir.errors import Problem, Severity
from wiser_fhir.fhir.bundle import References
from wiser_fhir.fhir.validation import (
    bundles,
    extensions,
    narrative,
    primitives,
    slicing,
    targets,
    terms,
)
from wiser_fhir.fhir.validation.fhirpath_values import Element, Scope
from wiser_fhir.fhir.validation.guide import CORE, Constraint, Definition, Guide, Node, Type

Json = dict[str, Any]

_BACKBONE = frozenset({"BackboneElement", "Element"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a check stands: path, the resources around it, the Bundle's entries."""

    path: str
    resource: Json
    root: Json
    definition: Definition
    references: References
    full_url: str | None = None
    logical: frozenset[str] = frozenset()
    extension_url: str | None = None

    def at(self, step: str) -> "Place":
        """The same place with a longer path."""
        return self.inside(self.path + step, self.logical)

    def inside(self, path: str, logical: frozenset[str]) -> "Place":
        """The place of a child. (dataclasses.replace costs three times as much.)"""
        return Place(
            path,
            self.resource,
            self.root,
            self.definition,
            self.references,
            self.full_url,
            logical,
            self.extension_url,
        )


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One value of an element: its JSON value, its `_sibling`, its type, its path step."""

    value: Any
    extra: Any
    type: Type
    step: str

    @property
    def item(self) -> Any:
        """The value as FHIRPath sees it."""
        return Element(self.value, self.extra) if type(self.extra) is dict else self.value


MOST_PROBLEMS = 200
LONGEST_CHECK = 4.0


class _Enough(Exception):
    """Takes the way out of a check that has found, or taken, too much."""


@dataclass(slots=True)
class Checker:
    """One run over one resource. `deadline` is on the monotonic clock, `most` counts problems."""

    guide: Guide
    found: list[Problem] = field(default_factory=list)
    verdicts: dict[tuple[int, str], bool] = field(default_factory=dict)
    done: set[tuple[int, str]] = field(default_factory=set)
    claims: bool = True
    target_profiles: bool = True
    deadline: float = math.inf
    most: float = math.inf

    def report(self, severity: Severity, code: str, text: str, path: str) -> None:
        """Note a problem."""
        self.found.append(Problem(severity, code, text, path))
        if len(self.found) >= self.most:
            raise _Enough

    def error(self, code: str, text: str, path: str) -> None:
        """Note an error."""
        self.report("error", code, text, path)

    # Resources

    def resource(self, value: Json, definition: Definition, place: Place) -> None:
        """A resource against a definition, then the profiles that it claims itself."""
        self._once(value, definition, place)
        if self.claims:
            for claimed in self._claimed(value, definition, place):
                self._any_of(value, claimed, place)
        bundles.check(self, value, place)

    def _once(self, value: Json, definition: Definition, place: Place) -> None:
        key = (id(value), f"{definition.url}|{definition.version}")
        if key in self.done:
            return
        self.done.add(key)
        if value.get("resourceType") != definition.type:
            self.error("structure", f"a {definition.type} expected", place.path)
            return
        logical = frozenset({definition.type})
        inside = replace(place, definition=definition, logical=logical, extension_url=None)
        self.constraints(value, definition.root, definition.type, inside)
        self.object(value, definition.root, inside, ele_1=False)

    def _claimed(self, value: Json, known: Definition, place: Place) -> list[list[Definition]]:
        meta = value.get("meta")
        profiles = meta.get("profile") if type(meta) is dict else None
        found = []
        for canonical in profiles if type(profiles) is list else ():
            if type(canonical) is not str or canonical == known.url:
                continue
            options = self.guide.alternatives(canonical)
            if "|" in canonical:
                options = options[:1]
            if options and options[0].type == value.get("resourceType"):
                found.append(options)
            elif options and options[0].kind == "resource":
                self.error("structure", f"a {options[0].type} profile is claimed", place.path)
        return found

    def _any_of(self, value: Json, options: list[Definition], place: Place) -> None:
        """One of the definitions must fit; if none does, what is wrong by the closest one."""
        if len(options) == 1 or any(self._fits(value, o, place) for o in options):
            if len(options) == 1:
                self._once(value, options[0], place)
            return
        self._once(value, options[0], place)

    def fits(self, value: Json, options: list[Definition], place: Place) -> bool:
        """Whether a resource meets at least one of the definitions."""
        return any(self._fits(value, o, place) for o in options)

    def _fits(self, value: Json, definition: Definition, place: Place) -> bool:
        key = (id(value), f"{definition.url}|{definition.version}")
        if key not in self.verdicts:
            self.verdicts[key] = True  # while it is being worked out: references may run in circles
            trial = Checker(
                self.guide, verdicts=self.verdicts, claims=False, deadline=self.deadline
            )
            trial.resource(value, definition, place)
            self.verdicts[key] = not any(p.severity == "error" for p in trial.found)
        return self.verdicts[key]

    def inner_resource(self, value: Any, types: tuple[Type, ...], place: Place) -> None:
        """A resource inside another: contained, a Bundle's entry, a parameter."""
        kind = value.get("resourceType") if type(value) is dict else None
        base = self.guide.type(kind) if type(kind) is str else None
        if base is None or base.kind != "resource":
            self.error("structure", "a resource with a known resourceType expected", place.path)
            return
        options = [d for entry in types for d in self._demanded(entry)]
        fitting = [d for d in options if d.type == kind]
        if options and not fitting:
            names = sorted({d.type for d in options})
            self.error("structure", f"{' or '.join(names)} expected, {kind} found", place.path)
            return
        self.resource(value, base, place)
        if len(fitting) == 1:
            self._once(value, fitting[0], place)
        elif fitting and not any(self._fits(value, d, place) for d in fitting):
            names = [d.name for d in fitting]
            self.error("structure", f"fits none of the profiles {', '.join(names)}", place.path)
            meta = value.get("meta")
            stated = meta.get("profile") if type(meta) is dict else None
            claimed = [d for d in fitting if type(stated) is list and d.url in stated]
            self._once(value, (claimed or fitting)[0], place)

    def _demanded(self, entry: Type) -> list[Definition]:
        options = [d for p in entry.profiles if (d := self.guide.definition(p)) is not None]
        if not options and entry.code not in ("Resource", "DomainResource"):
            options = [d for d in (self.guide.type(entry.code),) if d is not None]
        return options

    # Elements

    def object(
        self,
        value: Any,
        holder: Node,
        place: Place,
        ele_1: bool = True,
        known: Definition | None = None,
    ) -> None:
        """The members of an object against the children of a node.

        `known` is the type whose other members a node may leave unsaid.
        """
        if type(value) is not dict:
            self.error(
                "structure", f"an object expected, {primitives.kind(value)} found", place.path
            )
            return
        if not value:
            self.error("structure", "empty: an object needs content", place.path)
        grouped: dict[int, tuple[Node, list[Occurrence]]] = {}
        for key in dict.fromkeys(k.removeprefix("_") for k in value):
            meant = holder.keys.get(key)
            if meant is not None:
                node, entry = meant
                occurrences = self._occurrences(value, key, node, entry, place)
                grouped.setdefault(id(node), (node, []))[1].extend(occurrences)
            elif key == "resourceType" and holder is place.definition.root:
                continue
            elif known is None or key not in known.root.keys or _other_choice(key, holder):
                self._unknown(key, holder, place)
        if ele_1 and value and not any(k not in ("id", "resourceType") for k in value):
            self.error("invariant", "ele-1: content beside the id expected", place.path)
        for child in holder.children:
            _, occurrences = grouped.get(id(child), (child, []))
            self._child(child, occurrences, place)

    def _unknown(self, key: str, holder: Node, place: Place) -> None:
        other = _other_choice(key, holder)
        if other is not None:
            names = ", ".join(t.code for t in other.types)
            self.error("structure", f"'{key}' is not allowed here: {names} expected", place.path)
            return
        self.error("structure", f"'{key}' is not known here", f"{place.path}.{key}")

    def _occurrences(
        self, value: Json, key: str, node: Node, entry: Type, place: Place
    ) -> list[Occurrence]:
        step = f".{key}"
        if node.is_choice:
            step = f".{node.name[:-3]}.ofType({entry.code})"
        main, extra = value.get(key), value.get("_" + key)
        primitive = entry.code in primitives.PRIMITIVES
        if "_" + key in value and not primitive:
            self.error("structure", f"'_{key}' is not known here", place.path)
            return []
        may_be_null = node.repeats or (primitive and extra is not None)
        if key in value and main is None and not may_be_null:
            self.error("structure", "null is no value", place.path + step)
            return [Occurrence(None, {}, entry, step)]
        if not node.repeats:
            if type(main) is list or type(extra) is list:
                self.error("structure", "one value expected, an array found", place.path + step)
                return []
            return [Occurrence(main, extra, entry, step)]
        return self._repeated(
            main, extra, entry, place.at(step), step, key in value, "_" + key in value
        )

    def _repeated(
        self,
        main: Any,
        extra: Any,
        entry: Type,
        place: Place,
        step: str,
        has: bool,
        has_extra: bool,
    ) -> list[Occurrence]:
        for present, part in ((has, main), (has_extra, extra)):
            if present and type(part) is not list:
                self.error(
                    "structure", f"an array expected, {primitives.kind(part)} found", place.path
                )
                return [Occurrence(part, None, entry, step)] if type(part) is dict else []
            if present and not part:
                self.error("structure", "an empty array: leave it out", place.path)
        values, extras = main or [], extra or []
        found = []
        for i in range(max(len(values), len(extras))):
            one = values[i] if i < len(values) else None
            more = extras[i] if i < len(extras) else None
            if one is None and type(more) is not dict:
                self.error("structure", "null without extensions", f"{place.path}[{i}]")
                continue
            found.append(Occurrence(one, more, entry, f"{step}[{i}]"))
        return found

    def _child(self, child: Node, occurrences: list[Occurrence], place: Place) -> None:
        name = child.name.removesuffix("[x]")
        self._count(len(occurrences), child, name, place)
        if child.maximum == 0:
            return
        for one in occurrences:
            self.element(one, child, place)
        if child.slicing is not None and child.slices:
            slicing.check(self, child, occurrences, place)

    def _count(self, count: int, child: Node, name: str, place: Place) -> None:
        at = f"{place.path}.{name}"
        if count < child.minimum:
            code = "required" if count == 0 else "structure"
            self.error(code, f"missing: at least {child.minimum} expected, {count} found", at)
        if child.maximum is not None and count > child.maximum:
            if child.maximum == 0:
                self.error("structure", f"'{name}' is not allowed in {place.definition.name}", at)
            else:
                self.error("structure", f"at most {child.maximum} expected, {count} found", at)

    def element(self, one: Occurrence, node: Node, place: Place) -> None:
        """One value of an element against its node."""
        if time.monotonic() > self.deadline:
            raise _Enough
        at = self._inside(one, node, place)
        if one.type.code in primitives.PRIMITIVES:
            self._primitive(one, node, at)
        else:
            self._complex(one, node, at, place)

    def _inside(self, one: Occurrence, node: Node, place: Place) -> Place:
        name = node.name.removesuffix("[x]")
        logical = {f"{p}.{name}" for p in place.logical} | {one.type.code}
        if node.is_choice:
            logical |= {f"{p}.{name}[x]" for p in place.logical}
        return place.inside(place.path + one.step, frozenset(logical))

    def _complex(self, one: Occurrence, node: Node, at: Place, holder: Place) -> None:
        value, code = one.value, one.type.code
        if type(value) is not dict:
            self.error(
                "structure", f"an object ({code}) expected, {primitives.kind(value)} found", at.path
            )
            return
        self.constraints(value, node, code, at)
        self._given(value, node, at)
        if "ref" in node.raw:
            target = self.guide.content(at.definition, node.raw["ref"])
            at = replace(at, logical=at.logical | {node.raw["ref"].partition("#")[2]})
            self.constraints(value, target, code, at)
            self.object(value, target, at)
        elif code in _BACKBONE:
            self.object(value, node, at)
        elif code in ("Resource", "DomainResource") or self._is_resource(code):
            self.inner_resource(value, node.types, self._place_of(value, node, at))
        else:
            self._data_type(one, node, at, holder)

    def _is_resource(self, code: str) -> bool:
        found = self.guide.type(code)
        return found is not None and found.kind == "resource"

    def _place_of(self, value: Any, node: Node, at: Place) -> Place:
        """A contained resource shares its container's references, an entry is on its own."""
        if node.name == "contained":
            return replace(at, resource=value)
        url = at.references.full_url(value)
        return replace(at, resource=value, root=value, full_url=url or at.full_url)

    def _data_type(self, one: Occurrence, node: Node, at: Place, holder: Place) -> None:
        value, code = one.value, one.type.code
        if code == "Extension":
            extensions.check(self, value, node, at, holder)
            url = value.get("url")
            at = replace(at, extension_url=url if type(url) is str else None)
        else:
            terms.check(self, value, code, node, at)
            if code == "Identifier":
                terms.check_identifier(self, value, at)
            elif code == "Reference":
                targets.check(self, value, node, one.type, at)
            elif code == "Narrative":
                narrative.check(self, value, at)
        self._against_types(value, one, node, at)
        if node.children:
            self.object(value, node, at, known=self.guide.type(code))

    def _against_types(self, value: Json, one: Occurrence, node: Node, at: Place) -> None:
        profiles = [d for p in one.type.profiles if (d := self.guide.definition(p)) is not None]
        if len(profiles) > 1 and not any(self._fits_type(value, d, at) for d in profiles):
            names = ", ".join(d.name for d in profiles)
            self.error("structure", f"fits none of {names}", at.path)
        for definition in profiles if len(profiles) == 1 else ():
            self.data(value, definition, at)
        base = self.guide.type(one.type.code)
        if base is None:
            self.error("structure", f"type {one.type.code} is not known", at.path)
        elif profiles or self._restates(node, base):
            self.constraints(value, base.root, base.type, at)
        else:
            self.data(value, base, at)

    def _restates(self, node: Node, base: Definition) -> bool:
        """Whether a node's own children stand for all that its type has."""
        return len(node.children) >= len(base.root.children)

    def data(self, value: Json, definition: Definition, at: Place) -> None:
        """A value against the definition of its data type or extension."""
        url = value.get("url") if definition.type == "Extension" else None
        inside = replace(at, extension_url=url if type(url) is str else None)
        self.constraints(value, definition.root, definition.type, inside)
        self.object(value, definition.root, inside)

    def _fits_type(self, value: Json, definition: Definition, at: Place) -> bool:
        trial = Checker(self.guide, verdicts=self.verdicts)
        trial.data(value, definition, at)
        return not any(p.severity == "error" for p in trial.found)

    def _primitive(self, one: Occurrence, node: Node, at: Place) -> None:
        value, code = one.value, one.type.code
        if one.extra is not None:
            self._sibling(one, node, at)
        elif value is None:
            self.error("structure", "a value or extensions expected", at.path)
        elif node.children:
            self._without_sibling(node, at)
        if value is None:
            self._valueless(node, at)
            return
        if node.name == "id" and self._is_resource_id(node, at):
            code = "id"
        if type(value) is str and value.isspace() and code in primitives.MAY_BE_BLANK:
            self.report("warning", "value", "only spaces", at.path)
            self._valueless(node, at)
            return
        wrong = primitives.fault(code, value)
        if wrong is not None:
            self.error("value", wrong, at.path)
            return
        self._limits(value, node, at)
        self._given(value, node, at)
        terms.check_code(self, value, code, node, at)
        self.constraints(one.item, node, code, at)

    def _is_resource_id(self, node: Node, at: Place) -> bool:
        root = at.definition.root
        return at.definition.kind == "resource" and any(c is node for c in root.children)

    def _sibling(self, one: Occurrence, node: Node, at: Place) -> None:
        if type(one.extra) is not dict:
            self.error("structure", "an object with id or extension expected", at.path)
            return
        if one.extra == {} and one.value is None:
            return
        if "fixed" in node.raw and "extension" in one.extra:
            self.error("structure", "a fixed value takes no extensions", at.path)
        element = self.guide.type("Element")
        if element is not None:
            self.object(one.extra, element.root, at, ele_1=one.value is None)
            if node.children:  # a profile may say which extensions a primitive has
                parts = tuple(c for c in node.children if c.name != "value")
                inner = replace(node, children=parts, _keys=None)
                self.object(one.extra, inner, at, ele_1=False, known=element)

    def _without_sibling(self, node: Node, at: Place) -> None:
        """The extensions that a profile demands of a primitive, when it has none."""
        for child in node.children:
            if child.name == "extension":
                self._child(child, [], at)

    def _valueless(self, node: Node, at: Place) -> None:
        strength = node.raw.get("binding", ("",))[0]
        if strength == "required":
            self.error("code-invalid", "no code: one of a bound value set expected", at.path)

    def _limits(self, value: Any, node: Node, at: Place) -> None:
        longest = node.raw.get("maxLength")
        if longest and type(value) is str and len(value) > longest:
            self.error(
                "too-long", f"at most {longest} characters expected, {len(value)} found", at.path
            )
        limits = node.raw.get("range", {})
        if type(value) in (int, float):
            if value < limits.get("min", value):
                self.error("value", f"at least {limits['min']} expected", at.path)
            if value > limits.get("max", value):
                self.error("value", f"at most {limits['max']} expected", at.path)

    def _given(self, value: Any, node: Node, at: Place) -> None:
        """Fixed and pattern values."""
        raw = node.raw
        if "fixed" in raw and not terms.equal(value, raw["fixed"]):
            self.error("value", f"exactly {terms.shown(raw['fixed'])} expected", at.path)
        if "pattern" in raw and not terms.includes(value, raw["pattern"]):
            self.error("value", f"{terms.shown(raw['pattern'])} expected", at.path)

    def constraints(self, value: Any, node: Node, code: str, at: Place) -> None:
        """The invariants of a node."""
        if not node.constraints:
            return
        scope = Scope(at.resource, at.root, code, value, self._resolver(at), self._member)
        for one in node.constraints:
            if not _holds(one, value, scope):
                severity: Severity = "error" if one.severity == "error" else "warning"
                self.report(severity, "invariant", f"{one.key}: {one.expression}", at.path)

    def _resolver(self, at: Place) -> Any:
        return lambda reference: targets.resolve(reference, at)

    def _member(self, value: Any, url: str) -> bool:
        return terms.is_member(self.guide, value, url)


def check(
    guide: Guide, resource: Json, definition: Definition, base_only: bool = False
) -> list[Problem]:
    """Every problem of a resource by a definition, ordered by path, none twice.

    A check that finds or takes too much ends with an error that says so: whoever sends faults by
    the thousand must not keep others waiting.
    """
    checker = Checker(
        guide,
        claims=not base_only,
        target_profiles=not base_only,
        deadline=time.monotonic() + LONGEST_CHECK,
        most=MOST_PROBLEMS,
    )
    path = str(resource.get("resourceType") or definition.type)
    place = Place(
        path,
        resource,
        resource,
        definition,
        References.of(resource) if path == "Bundle" else References(),
    )
    try:
        checker.resource(resource, definition, place)
    except _Enough:
        text = "the check was ended here: there are too many problems, or too much to look at"
        checker.found.append(Problem("error", "too-costly", text, path))
    return sorted(dict.fromkeys(checker.found), key=lambda p: _order(p.expression or ""))


def _other_choice(key: str, holder: Node) -> Node | None:
    """The choice element that a key spells with a type it may not have."""
    for child in holder.children:
        stem = child.name[:-3]
        if child.is_choice and key.startswith(stem) and key[len(stem) :][:1].isupper():
            return child
    return None


def _holds(one: Constraint, value: Any, scope: Scope) -> bool:
    """Whether an invariant holds. On a broken shape it says nothing: that is named by itself."""
    try:
        return one.holds(value, scope)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError):
        return True


def _order(expression: str) -> list[tuple[int, str]]:
    parts = expression.replace("]", "").replace("[", ".").split(".")
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts]


__all__ = ["CORE", "Checker", "Occurrence", "Place", "check"]
