"""FHIRPath of the guides' invariants, made into Python once.

An expression becomes a lambda over the JSON node and its `Scope`. FHIRPath has three truth values:
`_yes` writes Python that is true when an expression is true, `_no` when it is false; neither when
it is empty. An invariant holds when it is true. A function that is not here is an error when the
guides are compiled, never at run time.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from wiser_fhir.fhir.validation import fhirpath_values as values

Predicate = Callable[[Any, "values.Scope"], bool]
Path = Callable[[Any, "values.Scope"], list[Any]]


class FhirPathError(Exception):
    """An expression that we cannot read or run."""


# Invariants as their guides meant them, repaired as HL7's own engine does.
_REPAIRED = {
    "reference.startsWith('#').not() or (reference.substring(1).trace('url') in "
    "%rootResource.contained.id.trace('ids'))": "reference.exists() implies (reference = '#' or "
    "reference.startsWith('#').not() or (reference.substring(1) in %rootResource.contained.id))",
    "reference.startsWith('#').not() or (reference.substring(1).trace('url') in "
    "%resource.contained.id.trace('ids'))": "reference.exists() implies (reference = '#' or "
    "reference.startsWith('#').not() or (reference.substring(1) in %rootResource.contained.id))",
    "fullUrl.contains('/_history/').not()": "fullUrl.exists() implies "
    "fullUrl.contains('/_history/').not()",
    "name.matches('[A-Z]([A-Za-z0-9_]){0,254}')": "name.exists() implies "
    "name.matches('^[A-Z]([A-Za-z0-9_]){0,254}$')",
    "clinicalStatus.exists() or verificationStatus.coding.where(system="
    "'http://terminology.hl7.org/CodeSystem/condition-ver-status' and code = 'entered-in-error')"
    ".exists() or category.select($this='problem-list-item').empty()": "(verificationStatus.coding"
    ".where(system='http://terminology.hl7.org/CodeSystem/condition-ver-status' and "
    "code = 'entered-in-error').exists() and category.coding.exists(system="
    "'http://terminology.hl7.org/CodeSystem/condition-category' and code ='problem-list-item')"
    ".empty()) implies (clinicalStatus.exists())",
    "offset.empty() or (when.exists() and ((when in ('C' | 'CM' | 'CD' | 'CV')).not()))": "offset"
    ".empty() or (when.exists() and when.select($this in ('C' | 'CM' | 'CD' | 'CV')).allFalse())",
    "enableWhen.count() > 2 implies enableBehavior.exists()": "enableWhen.count() >= 2 implies "
    "enableBehavior.exists()",
}

_TOKEN = re.compile(
    r"\s+|(?P<string>'(?:\\.|[^'\\])*')|(?P<number>\d+(?:\.\d+)?)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*|`[^`]+`)|(?P<special>\$[a-z]+|%[A-Za-z]+|%`[^`]+`)"
    r"|(?P<op><=|>=|!=|!~|[-+*/&|=<>~.,()\[\]{}])"
)
_LEVELS: tuple[tuple[str, ...], ...] = (
    ("implies",),
    ("or", "xor"),
    ("and",),
    ("in", "contains"),
    ("=", "!=", "~", "!~"),
    ("<", "<=", ">", ">="),
    ("|",),
    ("is", "as"),
    ("+", "-", "&"),
    ("*", "/", "div", "mod"),
)


@dataclass(frozen=True, slots=True)
class Node:
    """One step of an expression. `focus` is None when it starts from the context."""

    kind: str
    name: str = ""
    focus: "Node | None" = None
    args: tuple["Node", ...] = ()
    value: Any = None


@cache
def parse(expression: str) -> Node:
    """The tree of an expression. Raises FhirPathError."""
    reader = _Reader(list(_tokens(_REPAIRED.get(expression, expression))))
    found = reader.level(0)
    if reader.peek() != "":
        raise FhirPathError(f"'{reader.peek()}' was not expected")
    return found


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise FhirPathError(f"'{text[at]}' cannot be read")
        if not match.group().isspace():
            yield match.group()
        at = match.end()


class _Reader:
    """Recursive descent over the tokens, one method per shape."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0

    def peek(self) -> str:
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, expected: str = "") -> str:
        found = self.peek()
        if not found or (expected and found != expected):
            raise FhirPathError(f"'{expected or 'more'}' expected, '{found}' found")
        self._at += 1
        return found

    def level(self, depth: int) -> Node:
        if depth == len(_LEVELS):
            return self._unary()
        left = self.level(depth + 1)
        while self.peek() in _LEVELS[depth]:
            operator = self._take()
            if operator in ("is", "as"):
                left = Node("call", operator, left, (Node("name", self._type_name()),))
            else:
                left = Node("binary", operator, None, (left, self.level(depth + 1)))
        return left

    def _type_name(self) -> str:
        name = self._take().strip("`")
        while self.peek() == ".":
            self._take()
            name = self._take().strip("`")
        return name

    def _unary(self) -> Node:
        if self.peek() == "-":
            self._take()
            return Node("negative", "", self._unary())
        found = self._term()
        while self.peek() in (".", "["):
            if self._take() == "[":
                found = Node("index", "", found, (self.level(0),))
                self._take("]")
            else:
                found = self._invocation(found)
        return found

    def _term(self) -> Node:
        found = self.peek()
        if found.startswith("("):
            self._take()
            inner = self.level(0)
            self._take(")")
            return inner
        if found.startswith("{"):
            self._take()
            self._take("}")
            return Node("nothing")
        if found[:1] == "'":
            return Node("literal", value=values.unescaped(self._take()[1:-1]))
        if found[:1].isdigit():
            number = self._take()
            return Node("literal", value=float(number) if "." in number else int(number))
        if found in ("true", "false"):
            return Node("literal", value=self._take() == "true")
        if found[:1] in ("$", "%"):
            return Node("special", self._take())
        return self._invocation(None)

    def _invocation(self, focus: Node | None) -> Node:
        name = self._take()
        if not re.match(r"[A-Za-z_`]", name):
            raise FhirPathError(f"'{name}' is no name")
        if self.peek() != "(":
            return Node("member", name.strip("`"), focus)
        self._take()
        args = []
        while self.peek() != ")":
            args.append(self.level(0))
            if self.peek() == ",":
                self._take()
        self._take(")")
        return Node("call", name, focus, tuple(args))


class _Writer:
    """Writes Python for a tree. `this` is the variable of the context node."""

    def __init__(self, inline: bool) -> None:
        self._inline = inline
        self._count = 0

    def _variable(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def yes(self, node: Node, this: str) -> str:
        """Python that is true exactly when the expression is true."""
        return self._boolean(node, this, True)

    def no(self, node: Node, this: str) -> str:
        """Python that is true exactly when the expression is false."""
        return self._boolean(node, this, False)

    def _boolean(self, node: Node, this: str, wanted: bool) -> str:
        if node.kind == "literal" and isinstance(node.value, bool):
            return str(node.value is wanted)
        if node.kind == "binary" and node.name in _CONNECTIVES:
            return self._connective(node, this, wanted)
        if node.kind == "call" and node.name in _VERDICTS:
            return self._verdict(node, this, wanted)
        return f"(truth({self.items(node, this)}) is {wanted})"

    def _connective(self, node: Node, this: str, wanted: bool) -> str:
        a, b = node.args
        yes_a, no_a = self.yes(a, this), self.no(a, this)
        yes_b, no_b = self.yes(b, this), self.no(b, this)
        match node.name, wanted:
            case ("and", True):
                return f"({yes_a} and {yes_b})"
            case ("and", False):
                return f"({no_a} or {no_b})"
            case ("or", True):
                return f"({yes_a} or {yes_b})"
            case ("or", False):
                return f"({no_a} and {no_b})"
            case ("implies", True):
                return f"({no_a} or {yes_b})"
            case ("implies", False):
                return f"({yes_a} and {no_b})"
            case ("xor", True):
                return f"(({yes_a} and {no_b}) or ({no_a} and {yes_b}))"
        return f"(({yes_a} and {yes_b}) or ({no_a} and {no_b}))"

    def _verdict(self, node: Node, this: str, wanted: bool) -> str:
        """Functions that are never empty, and `not`."""
        if node.name == "not":
            return self._boolean(node.focus or Node("special", "$this"), this, not wanted)
        if node.name == "all":
            variable = self._variable()
            test = self.yes(node.args[0], variable)
            text = f"all({test} for {variable} in {self._focus(node, this)})"
            return text if wanted else f"(not {text})"
        present = self._present(node, this)
        return present if wanted == (node.name == "exists") else f"(not {present})"

    def _present(self, node: Node, this: str) -> str:
        if node.args:
            variable = self._variable()
            test = self.yes(node.args[0], variable)
            return f"any({test} for {variable} in {self._focus(node, this)})"
        focus = node.focus
        if focus is not None and focus.kind == "member" and focus.focus is None:
            return self._has(focus.name, this)
        return f"bool({self._focus(node, this)})"

    def _has(self, name: str, this: str) -> str:
        if self._inline and this == "n" and name not in values.CHOICES and name[0].islower():
            return f"({name!r} in n or {'_' + name!r} in n)"
        return f"bool({self._member(name, f'[{this}]', this, first=True)})"

    def items(self, node: Node, this: str) -> str:
        """Python for the collection an expression yields."""
        match node.kind:
            case "literal":
                return f"[{node.value!r}]"
            case "nothing":
                return "[]"
            case "member":
                return self._member(node.name, self._focus(node, this), this, node.focus is None)
            case "special":
                return self._special(node.name, this)
            case "index":
                return f"at({self._focus(node, this)}, {self.items(node.args[0], this)})"
            case "negative":
                return f"negative({self._focus(node, this)})"
            case "binary":
                return self._operator(node, this)
            case "call":
                return self._call(node, this)
        raise FhirPathError(f"{node.kind} cannot stand here")

    def _focus(self, node: Node, this: str) -> str:
        return f"[{this}]" if node.focus is None else self.items(node.focus, this)

    def _member(self, name: str, focus: str, this: str, first: bool) -> str:
        if first and name[0].isupper():
            return f"of_type({focus}, {name!r}, s)"
        return f"go({focus}, {name!r})"

    def _special(self, name: str, this: str) -> str:
        match name.strip("`").replace("%`", "%"):
            case "$this":
                return f"[{this}]"
            case "%resource":
                return "[s.resource]"
            case "%rootResource":
                return "[s.root]"
            case "%context":
                return "[n]"
            case "%ucum":
                return "['http://unitsofmeasure.org']"
        raise FhirPathError(f"{name} is not known")

    def _operator(self, node: Node, this: str) -> str:
        if node.name in _CONNECTIVES:
            return f"verdict({self.yes(node, this)}, {self.no(node, this)})"
        function = _OPERATORS.get(node.name)
        if function is None:
            raise FhirPathError(f"operator {node.name} is not known")
        a, b = (self.items(arg, this) for arg in node.args)
        return f"{function}({a}, {b})"

    def _call(self, node: Node, this: str) -> str:
        name = node.name
        if name in _VERDICTS:
            return f"verdict({self.yes(node, this)}, {self.no(node, this)})"
        if name in ("is", "as", "ofType"):
            return self._typed(node, this)
        if name in ("where", "select", "repeat", "iif"):
            return self._with_lambda(node, this)
        if name in _FUNCTIONS:
            args = "".join(f", {self.items(arg, this)}" for arg in node.args)
            return f"{_FUNCTIONS[name]}({self._focus(node, this)}{args})"
        if name in _SCOPED:
            args = "".join(f", {self.items(arg, this)}" for arg in node.args)
            return f"s.{_SCOPED[name]}({self._focus(node, this)}{args})"
        raise FhirPathError(f"function {name}() is not known")

    def _typed(self, node: Node, this: str) -> str:
        target = node.args[0].name
        helper = {"is": "is_type", "as": "of_type", "ofType": "of_type"}[node.name]
        focus = node.focus
        if focus is not None and focus.kind == "member" and focus.name in values.CHOICES:
            owner = self._focus(focus, this)
            typed = f"choice({owner}, {focus.name!r}, {target!r})"
            if node.name != "is":
                return typed
            return f"is_choice({owner}, {focus.name!r}, {target!r})"
        return f"{helper}({self._focus(node, this)}, {target!r}, s)"

    def _with_lambda(self, node: Node, this: str) -> str:
        if node.name == "iif":
            test, then, *rest = node.args
            other = self.items(rest[0], this) if rest else "[]"
            focus = self._focus(node, this)
            variable = self._variable()
            return (
                f"(lambda {variable}: {self.items(then, this)} if "
                f"{self._on_list(test, variable, this)} else "
                f"{self._rebased(rest[0], variable, this) if rest else other})({focus})"
            )
        variable = self._variable()
        focus = self._focus(node, this)
        if node.name == "where":
            return f"[{variable} for {variable} in {focus} if {self.yes(node.args[0], variable)}]"
        inner = self.items(node.args[0], variable)
        if node.name == "repeat":
            return f"repeat({focus}, lambda {variable}: {inner})"
        return f"[x for {variable} in {focus} for x in {inner}]"

    def _on_list(self, node: Node, variable: str, this: str) -> str:
        """A criterion of iif, which sees its whole focus: only empty() and exists() there."""
        if node.kind == "call" and node.focus is None and node.name in ("empty", "exists"):
            return f"({'not ' if node.name == 'empty' else ''}{variable})"
        return self.yes(node, this)

    def _rebased(self, node: Node, variable: str, this: str) -> str:
        inner = self._variable()
        if _starts_from_context(node):
            return f"[x for {inner} in {variable} for x in {self.items(node, inner)}]"
        return self.items(node, this)


def _starts_from_context(node: Node) -> bool:
    while node.focus is not None:
        node = node.focus
    return node.kind in ("member", "call")


_CONNECTIVES = frozenset({"and", "or", "xor", "implies"})
_VERDICTS = frozenset({"exists", "empty", "not", "all"})
_OPERATORS = {
    "=": "equal",
    "!=": "unequal",
    "~": "equal",
    "<": "less",
    "<=": "at_most",
    ">": "more",
    ">=": "at_least",
    "|": "union",
    "in": "is_in",
    "contains": "has_item",
    "+": "plus",
    "-": "minus",
    "*": "times",
    "mod": "modulo",
    "&": "join",
}
_FUNCTIONS = {
    "count": "count",
    "first": "first",
    "last": "last",
    "tail": "tail",
    "single": "first",
    "distinct": "distinct",
    "isDistinct": "is_distinct",
    "allTrue": "all_true",
    "allFalse": "all_false",
    "hasValue": "has_value",
    "children": "children",
    "descendants": "descendants",
    "extension": "extension",
    "startsWith": "starts_with",
    "endsWith": "ends_with",
    "contains": "contains_text",
    "matches": "matches",
    "replaceMatches": "replace_matches",
    "length": "length",
    "substring": "substring",
    "toInteger": "to_integer",
    "toString": "to_text",
    "lower": "lower",
    "upper": "upper",
    "trace": "trace",
    "union": "union",
    "combine": "combine",
    "intersect": "intersect",
    "exclude": "exclude",
}
_SCOPED = {"resolve": "resolve", "memberOf": "member_of", "htmlChecks": "html_checks"}

_NAMES: dict[str, Any] = {
    name: getattr(values, name)
    for name in (
        *_OPERATORS.values(),
        *_FUNCTIONS.values(),
        "truth",
        "verdict",
        "go",
        "at",
        "negative",
        "repeat",
        "of_type",
        "is_type",
        "choice",
        "is_choice",
    )
}


def source(expression: str, inline: bool = False) -> str:
    """The Python of an invariant: an expression over `n` (the node) and `s` (its scope).

    With `inline` the node must be an object.
    """
    return _Writer(inline).yes(parse(expression), "n")


@cache
def predicate(key: str, expression: str) -> Predicate:
    """Whether an invariant holds, as a function. Raises FhirPathError."""
    if key in values.BY_HAND:
        return values.BY_HAND[key]
    return compiled(source(expression))


@cache
def path(expression: str) -> Path:
    """What an expression yields, as a function. Raises FhirPathError."""
    found: Path = _function(_Writer(inline=False).items(parse(expression), "n"))
    return found


def compiled(text: str) -> Predicate:
    """Source written by `source`, as a function."""
    found: Predicate = _function(text)
    return found


def own_names(expression: str) -> frozenset[str]:
    """The members of its context that an expression reads; none when it reads anything else."""
    names: set[str] = set()
    if not _reads(parse(expression), names, True):
        return frozenset()
    keys = {n for name in names for n in (name, "_" + name)}
    return frozenset() if names & values.CHOICES else frozenset(keys)


def _reads(node: Node, names: set[str], own: bool) -> bool:
    """Gather names; False when an expression looks at its whole context or beyond."""
    if node.kind == "special" or (own and node.kind == "call" and node.focus is None):
        return False
    if own and node.kind == "member" and node.focus is None:
        names.add(node.name)
        return node.name[0].islower()
    inner = own and not (node.kind == "call" and node.focus is not None)
    good = node.focus is None or _reads(node.focus, names, own)
    lambdas = node.kind == "call" and node.name in ("where", "all", "exists", "select", "repeat")
    return good and all(
        _reads(a, names, own and not lambdas and (inner or True)) for a in node.args
    )


def value_sets(expression: str) -> Iterator[str]:
    """The value sets an expression asks for by memberOf()."""
    yield from re.findall(r"memberOf\('([^']+)'\)", expression)


def _function(text: str) -> Any:
    # Written above, from pinned guides.
    return eval(f"lambda n, s: {text}", _NAMES)  # noqa: S307 # nosec B307
