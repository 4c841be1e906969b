"""Python for what JSON Schema cannot say: invariants, references, whole numbers, narrative.

For each definition one function is written and compiled, with a visit only where something below
needs one. It runs on what has passed the definition's schema, so shapes are taken for granted. It
returns False for a failed or doubtful node, and appends every Reference it meets to `out`.
"""

import re
from collections.abc import Container, Iterator
from dataclasses import replace
from typing import Any

from wiser_fhir.fhir.validation import fhirpath, primitives, terms
from wiser_fhir.fhir.validation.fhirpath_values import BY_HAND, Scope
from wiser_fhir.fhir.validation.guide import Constraint, Definition, Guide, Node, Type
from wiser_fhir.fhir.validation.schema import EXTENSION_VALUE, Unsupported

_INTEGERS = frozenset({"integer", "positiveInt", "unsignedInt"})
_BACKBONE = frozenset({"BackboneElement", "Element"})
# About contained resources or references into them, which never come here, or said by the schema.
_ELSEWHERE = frozenset({"dom-2", "dom-3", "dom-4", "dom-5", "ref-1", "txt-1", "txt-2"})


def _has_extension(node: Any, url: str, key: str, value: Any) -> bool:
    return any(
        e.get("url") == url and key in e and terms.includes(e[key], value)
        for e in node.get("extension", ())
    )


def _typed(scope: Scope, code: str, focus: Any) -> Scope:
    return replace(scope, type=code, focus=focus)


class Plans:
    """Writes and keeps the functions."""

    def __init__(self, guide: Guide, places: Container[str]) -> None:
        self._guide = guide
        self._places = places  # paths where extensions outside a profile's slices may stand
        self._path = ""
        self._names: dict[str, str] = {}
        self._live: dict[str, bool] = {}
        self._invariants: dict[str, str] = {}
        self._count = 0
        self._space: dict[str, Any] = {
            "typed": _typed,
            "includes": terms.includes,
            "other": self._other,
            "has_extension": _has_extension,
        }
        self.targets: list[Type] = []

    def function(self, definition: Definition) -> Any:
        """The function of a definition: (node, scope, out) -> bool. Raises Unsupported."""
        name = self._of(definition)
        return self._space[name] if name is not None else _always

    def _of(self, definition: Definition) -> str | None:
        """The function's name; None when there is nothing to do."""
        key = f"{definition.url}|{definition.version}"
        if key not in self._names:
            self._names[key] = name = f"f{len(self._names)}"
            self._live[key] = True  # while it is being written: it may refer to itself
            outer, self._path = self._path, definition.type
            lines = [*self._body(definition.root, definition, "n", definition.type)]
            self._path = outer
            self._live[key] = bool(lines)
            self._write(name, lines)
        return self._names[key] if self._live[key] else None

    def _write(self, name: str, lines: list[str]) -> None:
        body = "\n".join("    " + line for line in [*lines, "return True"])
        # Written here, from pinned guides.
        exec(f"def {name}(n, s, out):\n{body}", self._space)  # noqa: S102 # nosec B102

    def _other(self, value: Any, scope: Scope, out: list[Any]) -> bool:
        """An extension outside a profile's slices: by its own definition, if it has one."""
        if not value["url"].startswith("http://hl7.org/"):
            return True
        found = self._guide.definition(value["url"])
        return found is not None and bool(self.function(found)(value, scope, out))

    def _variable(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def _body(self, node: Node, definition: Definition, var: str, code: str) -> Iterator[str]:
        yield from self._constraints(node.constraints, var, code)
        if definition.type == "Narrative" and node is definition.root:
            yield f"out.append(({var}, -1))"
        for child in node.children:
            if child.maximum == 0 or child.name in ("contained", "resource", "outcome"):
                continue
            for key, (_, entry) in child.spellings():
                yield from self._member(child, entry, key, definition, var)

    def _member(
        self, child: Node, entry: Type, key: str, definition: Definition, var: str
    ) -> Iterator[str]:
        one = self._variable()
        lines = list(self._value(child, entry, definition, one))
        if not lines:
            return
        if child.repeats:
            yield f"for {one} in {var}.get({key!r}, ()):"
        else:
            yield f"{one} = {var}.get({key!r})"
            yield f"if {one} is not None:"
        yield from ("    " + line for line in lines)

    def _value(self, child: Node, entry: Type, definition: Definition, one: str) -> Iterator[str]:
        """One value: by the slice it falls into, else as the element says."""
        last = list(self._one(child, entry, definition, one))
        if entry.code == "Extension":
            known = self._path in self._places and child.name == "extension"
            last = [f"if not other({one}, s, out): return False"] if known else []
        branches = []
        for part in child.slices:
            own = next((t for t in part.types if t.code == entry.code), None)
            if own is None and child.is_choice:
                continue
            test = self._match(part, entry, one)
            if test is not None:
                branches.append((test, list(self._one(part, own or entry, definition, one))))
        if not any(lines for _, lines in branches):
            yield from last
            return
        word = "if"
        for test, lines in branches:
            yield f"{word} {test}:"
            yield from ("    " + line for line in lines or ["pass"])
            word = "elif"
        if last:
            yield "else:"
            yield from ("    " + line for line in last)

    def _match(self, part: Node, entry: Type, one: str) -> str | None:
        tests = []
        for kind, path, data in part.raw["when"]:
            if kind == "binding":
                return None
            if kind == "type" and path == "$this":
                if entry.code not in data:
                    return None
                continue
            tests.append(self._test(kind, path, data, one))
        return " and ".join(tests) or "True"

    def _test(self, kind: str, path: str, data: Any, one: str) -> str:
        if kind == "fixed" and path in ("url", "system", "use", "code"):
            return f"{one}.get({path!r}) == {data!r}"
        if kind in ("fixed", "pattern") and re.fullmatch(r"\w+", path):
            return f"includes({one}.get({path!r}), {data!r})"
        if kind in ("fixed", "pattern") and path == "$this":
            return f"includes({one}, {data!r})"
        if kind == "type" and path == "resource":
            return f"{one}.get('resource', {{}}).get('resourceType') in {data!r}"
        match = EXTENSION_VALUE.fullmatch(path)
        if kind in ("fixed", "pattern") and match is not None and (match[2] or match[3]):
            code = match[2] or match[3]
            key = f"value{code[0].upper()}{code[1:]}"
            return f"has_extension({one}, {match[1]!r}, {key!r}, {data!r})"
        if kind in ("fixed", "pattern"):
            name = f"p{len(self._space)}"
            self._space[name] = fhirpath.path(path)
            return f"any(includes(x, {data!r}) for x in {name}({one}, s))"
        raise Unsupported(f"{kind} {path}")

    def _one(self, node: Node, entry: Type, definition: Definition, var: str) -> Iterator[str]:
        code = entry.code
        if code in _INTEGERS:
            yield f"if type({var}) is not int: return False"
        if code in primitives.PRIMITIVES:
            yield from self._constraints(node.constraints, var, code, plain=False)
        elif "ref" in node.raw:
            yield from self._content(node, definition, var)
        elif code in _BACKBONE:
            outer, self._path = self._path, f"{self._path}.{node.name}"
            lines = [*self._body(node, definition, var, code)]
            self._path = outer
            yield from lines
        else:
            yield from self._data_type(node, entry, definition, var)

    def _data_type(
        self, node: Node, entry: Type, definition: Definition, var: str
    ) -> Iterator[str]:
        base = self._guide.type(entry.code)
        if base is None or base.kind == "resource":
            return
        if entry.code == "Reference":
            self.targets.append(entry)
            yield f"out.append(({var}, {len(self.targets) - 1}))"
        yield from self._constraints(node.constraints, var, entry.code)
        profiles = [d for p in entry.profiles if (d := self._guide.definition(p)) is not None]
        if len(profiles) > 1:
            raise Unsupported("several profiles of a type")
        if entry.code == "Extension" and not profiles:
            yield from self._inline(node, base, definition, var)
            return
        name = self._of(profiles[0] if profiles else base)
        if name is not None:
            yield f"if not {name}({var}, s, out): return False"
        if node.children and entry.code != "Extension":
            yield from self._inline(node, base, definition, var)

    def _inline(
        self, node: Node, base: Definition, definition: Definition, var: str
    ) -> Iterator[str]:
        """Children that a profile restates: only those it changes need a second visit."""
        outer, self._path = self._path, f"{self._path}.{node.name}"
        for child in node.children:
            known = next((c for c in base.root.children if c.name == child.name), None)
            if known is not None and _says_no_more(child, known):
                continue
            for key, (_, entry) in child.spellings():
                yield from self._member(child, entry, key, definition, var)
        self._path = outer

    def _content(self, node: Node, definition: Definition, var: str) -> Iterator[str]:
        reference = node.raw["ref"]
        key = f"content {definition.type} {reference}"
        if key not in self._names:
            self._names[key] = name = f"f{len(self._names)}"
            self._live[key] = True
            target = self._guide.content(definition, reference)
            owner = self._guide.type(reference.partition("#")[2].partition(".")[0]) or definition
            outer, self._path = self._path, reference.partition("#")[2]
            lines = list(self._body(target, owner, "n", "BackboneElement"))
            self._path = outer
            self._live[key] = bool(lines)
            self._write(name, lines)
        if self._live[key]:
            yield f"if not {self._names[key]}({var}, s, out): return False"

    def _constraints(
        self, constraints: tuple[Constraint, ...], var: str, code: str, plain: bool = True
    ) -> Iterator[str]:
        for one in constraints:
            if one.severity != "error" or one.key in _ELSEWHERE:
                continue  # warnings do not refuse
            name, guard, typed = self._invariant(one, plain)
            scope = f"typed(s, {code!r}, {var})" if typed else "s"
            test = f"not {name}({var}, {scope})"
            if guard:
                present = " or ".join(f"{g!r} in {var}" for g in guard)
                test = f"({present}) and {test}" if len(guard) > 1 else f"{present} and {test}"
            yield f"if {test}: return False"

    def _invariant(self, one: Constraint, plain: bool) -> tuple[str, list[str], bool]:
        if one.key in BY_HAND:
            name = self._invariants.setdefault(one.key, f"k{len(self._invariants)}")
            self._space[name] = BY_HAND[one.key]
            return name, [], False
        text = fhirpath.source(one.expression, inline=plain)
        name = self._invariants.setdefault(text, f"k{len(self._invariants)}")
        self._space[name] = fhirpath.compiled(text)
        typed = "is_type(" in text or "of_type(" in text
        return name, _guard(self._space[name], one.expression) if plain else [], typed


def _says_no_more(child: Node, known: Node) -> bool:
    def essence(node: Node) -> Any:
        keep = ("types", "constraints", "slices", "children")
        return {k: node.raw[k] for k in keep if k in node.raw}

    return bool(essence(child) == essence(known))


def _guard(function: Any, expression: str) -> list[str]:
    """The members without which an invariant cannot fail; none when it may fail on anything."""
    names = fhirpath.own_names(expression)
    if not names:
        return []
    try:
        holds: bool = function({}, None)
    except AttributeError:
        return []
    return sorted(names) if holds else []


def _always(n: Any, s: Scope, out: list[Any]) -> bool:
    return True
