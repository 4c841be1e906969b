"""What compiled FHIRPath works with: navigation in JSON, operators, functions.

A collection is a list. A primitive is its JSON value; with an `_sibling` it is an `Element`, whose
`value` is None when only extensions are given.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Items = list[Any]

# Base names of choice elements: `value` may stand in JSON as valueString and so on.
_TEXT_OF_CHOICES = """
abatement accident age allowed amount answer asNeeded author bodySite born chargeItem citation
content copyrightLabel criteria dataType deceased defaultValue detail diagnosis dose due
effective entity event exposure fastingStatus fixed identified indication initial instance item
legallyBinding location manifestation maxValue medication minValue module multipleBirth name
occurred occurrence offset onset pattern performed procedure product probability quantity rate
reason reported scheduled season serviced source statusReason study subject substance target
time timing topic trigger used value variable versionAlgorithm when
"""
CHOICES = frozenset(_TEXT_OF_CHOICES.split())
_TEXT_OF_SUFFIXES = """
Base64Binary Boolean Canonical Code Date DateTime Decimal Id Instant Integer Markdown Oid
PositiveInt String Time UnsignedInt Uri Url Uuid Address Age Annotation Attachment
CodeableConcept Coding ContactPoint Count Distance Duration HumanName Identifier Money Period
Quantity Range Ratio Reference SampledData Signature Timing ContactDetail Contributor
DataRequirement Expression ParameterDefinition RelatedArtifact TriggerDefinition UsageContext
Dosage Meta
"""
_SUFFIXES = frozenset(_TEXT_OF_SUFFIXES.split())


@dataclass(frozen=True, slots=True)
class Element:
    """A primitive with its `_sibling`: id and extensions."""

    value: Any
    extra: dict[str, Any]


@dataclass(slots=True)
class Scope:
    """What an invariant may ask for beyond its node."""

    resource: dict[str, Any]
    root: dict[str, Any]
    type: str
    focus: Any
    look_up: Callable[[str], Any]
    in_value_set: Callable[[Any, str], bool]

    def resolve(self, items: Items) -> Items:
        """The resources that references lead to, as far as they are at hand."""
        texts = [bare(x).get("reference") if isinstance(bare(x), dict) else bare(x) for x in items]
        found = [self.look_up(t) for t in texts if isinstance(t, str)]
        return [f for f in found if f is not None]

    def member_of(self, items: Items, url: Items) -> Items:
        """Whether the one item is in a value set; true where nobody can say."""
        return [self.in_value_set(bare(items[0]), url[0])] if len(items) == 1 else []

    def html_checks(self, items: Items) -> Items:
        """Narrative is checked on its own (see `narrative`)."""
        return [True]


def bare(item: Any) -> Any:
    """An item's JSON value, without its `_sibling`."""
    return item.value if type(item) is Element else item


def go(items: Items, name: str) -> Items:
    """All children of that name, choices included."""
    found: Items = []
    for item in items:
        node = item.extra if type(item) is Element else item
        if type(node) is dict:
            _child(node, name, found)
    return found


def _child(node: dict[str, Any], name: str, found: Items) -> None:
    if name in node or "_" + name in node:
        _add(node, name, found)
    elif name in CHOICES:
        for key in node:
            plain = key.lstrip("_")
            if plain.startswith(name) and plain[len(name) :] in _SUFFIXES:
                _add(node, plain, found)
                return


def _add(node: dict[str, Any], key: str, found: Items) -> None:
    value, extra = node.get(key), node.get("_" + key)
    if extra is None:
        if type(value) is list:
            found += [v for v in value if v is not None]
        elif value is not None:
            found.append(value)
        return
    if type(value) is list or type(extra) is list:
        found += _paired(value or [], extra)
    elif type(extra) is dict:
        found.append(Element(value, extra))


def _paired(values: Any, extras: Any) -> Iterator[Any]:
    values = values if type(values) is list else [values]
    extras = extras if type(extras) is list else [extras]
    for i in range(max(len(values), len(extras))):
        value = values[i] if i < len(values) else None
        extra = extras[i] if i < len(extras) else None
        if type(extra) is dict:
            yield Element(value, extra)
        elif value is not None:
            yield value


def choice(items: Items, name: str, target: str) -> Items:
    """The children of a choice element that have the type."""
    found: Items = []
    key = name + target[0].upper() + target[1:]
    for item in items:
        node = item.extra if type(item) is Element else item
        if type(node) is dict:
            if key in node or "_" + key in node:
                _add(node, key, found)
            elif name in node:
                found += [x for x in go([node], name) if _is(x, target)]
    return found


def is_choice(items: Items, name: str, target: str) -> Items:
    """Whether a choice element has the type; empty when it is absent."""
    return [bool(choice(items, name, target))] if go(items, name) else []


def of_type(items: Items, target: str, scope: Scope) -> Items:
    """Those items that have the type."""
    return [x for x in items if _is_in(x, target, scope)]


def is_type(items: Items, target: str, scope: Scope) -> Items:
    """Whether the one item has the type."""
    return [_is_in(items[0], target, scope)] if len(items) == 1 else []


def _is_in(item: Any, target: str, scope: Scope) -> bool:
    if item is scope.focus and scope.type:
        return scope.type == target or scope.type == target[0].lower() + target[1:]
    return _is(item, target)


def _is(item: Any, target: str) -> bool:
    value = bare(item)
    if type(value) is dict:
        kind = value.get("resourceType")
        if kind is None:
            return target in _SUFFIXES
        return target in (kind, "Resource") or (target == "DomainResource" and kind != "Bundle")
    if type(value) is bool:
        return target.lower() == "boolean"
    if type(value) is int:
        return target.lower() in ("integer", "positiveint", "unsignedint", "decimal")
    if type(value) is float:
        return target.lower() == "decimal"
    return target[0].islower() and target not in ("boolean", "integer", "decimal")


def truth(items: Items) -> bool | None:
    """The truth value of a collection: None when it is empty or has several items."""
    if len(items) != 1:
        return None
    value = bare(items[0])
    return value if type(value) is bool else True


def verdict(yes: bool, no: bool) -> Items:
    """A truth value as a collection."""
    return [True] if yes else [False] if no else []


def at(items: Items, index: Items) -> Items:
    """The item at an index."""
    return items[index[0] : index[0] + 1] if index else []


def negative(items: Items) -> Items:
    """Numbers with the sign turned."""
    return [-bare(x) for x in items]


def repeat(items: Items, step: Callable[[Any], Items]) -> Items:
    """The closure of a step."""
    found: Items = []
    queue = list(items)
    while queue:
        fresh = [y for x in queue for y in step(x) if not any(y is z for z in found)]
        found += fresh
        queue = fresh
    return found


def equal(a: Items, b: Items) -> Items:
    """`=`: empty when a side is."""
    if not a or not b:
        return []
    return [len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))]


def same(a: Any, b: Any) -> bool:
    """Whether two items are equal: type matters, so true is not 1."""
    x, y = bare(a), bare(b)
    if type(x) is bool or type(y) is bool:
        return type(x) is type(y) and x == y
    return bool(x == y)


def unequal(a: Items, b: Items) -> Items:
    """`!=`: empty when a side is."""
    found = equal(a, b)
    return [not found[0]] if found else []


def _compared(a: Items, b: Items, test: Callable[[int], bool]) -> Items:
    if len(a) != 1 or len(b) != 1:
        return []
    order = compare(bare(a[0]), bare(b[0]))
    return [] if order is None else [test(order)]


def less(a: Items, b: Items) -> Items:
    """`<`."""
    return _compared(a, b, lambda order: order < 0)


def at_most(a: Items, b: Items) -> Items:
    """`<=`."""
    return _compared(a, b, lambda order: order <= 0)


def more(a: Items, b: Items) -> Items:
    """`>`."""
    return _compared(a, b, lambda order: order > 0)


def at_least(a: Items, b: Items) -> Items:
    """`>=`."""
    return _compared(a, b, lambda order: order >= 0)


def compare(a: Any, b: Any) -> int | None:
    """-1, 0 or 1; None for what has no order between them."""
    if type(a) is dict and type(b) is dict:
        units = ("system", "code") if "code" in a or "code" in b else ("unit",)
        if any(a.get(u) != b.get(u) for u in units):
            return None
        return compare(a.get("value"), b.get("value"))
    if _number(a) and _number(b):
        return int(a > b) - int(a < b)
    if type(a) is str and type(b) is str:
        first, second = moment(a), moment(b)
        if first is not None and second is not None:
            return _moments(first, second)
        return (a > b) - (a < b)
    return None


def _number(value: Any) -> bool:
    return type(value) in (int, float)


_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?)?)?"
)
Moment = tuple[int, tuple[float, ...]]


def moment(text: str) -> Moment | None:
    """A date or time as (precision, parts in UTC); None for other texts."""
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    parts = [int(p) for p in (year, month, day, hour, minute) if p is not None]
    if zone not in (None, "Z") and len(parts) == 5:
        parts = _in_utc(parts, zone)
    if second is None:
        return len(parts), tuple(parts)
    return 6, (*parts, int(second) + float(fraction or 0))


def _in_utc(parts: list[int], zone: str) -> list[int]:
    sign = -1 if zone[0] == "+" else 1
    shift = timedelta(hours=int(zone[1:3]), minutes=int(zone[4:6])) * sign
    try:
        then = datetime(*parts, tzinfo=UTC) + shift  # type: ignore[misc,arg-type]
    except (ValueError, OverflowError):
        return parts
    return [then.year, then.month, then.day, then.hour, then.minute]


def _moments(a: Moment, b: Moment) -> int | None:
    """Order at the precision both have, as R5's boundary rule for periods has it."""
    size = min(len(a[1]), len(b[1]))
    x, y = a[1][:size], b[1][:size]
    return (x > y) - (x < y)


def union(a: Items, b: Items) -> Items:
    """`|`: both, each once."""
    return distinct([*a, *b])


def combine(a: Items, b: Items) -> Items:
    """Both, repeats kept."""
    return [*a, *b]


def intersect(a: Items, b: Items) -> Items:
    """What is in both."""
    return [x for x in distinct(a) if any(same(x, y) for y in b)]


def exclude(a: Items, b: Items) -> Items:
    """What is in the first only."""
    return [x for x in a if not any(same(x, y) for y in b)]


def is_in(a: Items, b: Items) -> Items:
    """`in`."""
    return [any(same(a[0], y) for y in b)] if len(a) == 1 else []


def has_item(a: Items, b: Items) -> Items:
    """`contains`."""
    return is_in(b, a)


def plus(a: Items, b: Items) -> Items:
    """`+` of numbers or texts."""
    return [bare(a[0]) + bare(b[0])] if a and b else []


def minus(a: Items, b: Items) -> Items:
    """`-`."""
    return [bare(a[0]) - bare(b[0])] if a and b else []


def times(a: Items, b: Items) -> Items:
    """`*`."""
    return [bare(a[0]) * bare(b[0])] if a and b else []


def modulo(a: Items, b: Items) -> Items:
    """`mod`."""
    return [bare(a[0]) % bare(b[0])] if a and b else []


def join(a: Items, b: Items) -> Items:
    """`&`: empty counts as the empty text."""
    return ["".join(str(bare(x[0])) if x else "" for x in (a, b))]


def count(items: Items) -> Items:
    """How many."""
    return [len(items)]


def first(items: Items) -> Items:
    """The first item."""
    return items[:1]


def last(items: Items) -> Items:
    """The last item."""
    return items[-1:]


def tail(items: Items) -> Items:
    """All but the first."""
    return items[1:]


def distinct(items: Items) -> Items:
    """Each item once."""
    found: Items = []
    for item in items:
        if not any(same(item, x) for x in found):
            found.append(item)
    return found


def is_distinct(items: Items) -> Items:
    """Whether no item comes twice."""
    plain = [bare(x) for x in items]
    if all(type(x) is str for x in plain):
        return [len(set(plain)) == len(plain)]
    return [len(distinct(items)) == len(items)]


def all_true(items: Items) -> Items:
    """Whether all are true."""
    return [all(bare(x) is True for x in items)]


def all_false(items: Items) -> Items:
    """Whether all are false."""
    return [all(bare(x) is False for x in items)]


def has_value(items: Items) -> Items:
    """Whether the one item is a primitive with a value."""
    return [len(items) == 1 and bare(items[0]) is not None and type(bare(items[0])) is not dict]


def children(items: Items) -> Items:
    """All children of all items."""
    found: Items = []
    for item in items:
        node = item.extra if type(item) is Element else item
        if type(node) is dict:
            for key in dict.fromkeys(k.lstrip("_") for k in node if k != "resourceType"):
                _add(node, key, found)
    return found


def descendants(items: Items) -> Items:
    """Everything below."""
    found: Items = []
    level = children(items)
    while level:
        found += level
        level = children(level)
    return found


def extension(items: Items, url: Items) -> Items:
    """The extensions of that url."""
    return [x for x in go(items, "extension") if type(x) is dict and x.get("url") == url[0]]


def _text(items: Items) -> str | None:
    value = bare(items[0]) if len(items) == 1 else None
    return value if type(value) is str else None


def _about(items: Items, test: Callable[[str], Any]) -> Items:
    text = _text(items)
    return [] if text is None else [test(text)]


def starts_with(items: Items, other: Items) -> Items:
    """Whether the text starts so."""
    return _about(items, lambda t: t.startswith(other[0])) if other else []


def ends_with(items: Items, other: Items) -> Items:
    """Whether the text ends so."""
    return _about(items, lambda t: t.endswith(other[0])) if other else []


def contains_text(items: Items, other: Items) -> Items:
    """Whether the text has the other in it."""
    return _about(items, lambda t: other[0] in t) if other else []


def matches(items: Items, pattern: Items) -> Items:
    """Whether the pattern is found in the text."""
    return _about(items, lambda t: re.search(pattern[0], t) is not None)


def replace_matches(items: Items, pattern: Items, other: Items) -> Items:
    """The text with what matches replaced."""
    return _about(items, lambda t: re.sub(pattern[0], other[0], t))


def length(items: Items) -> Items:
    """The length of the text."""
    return _about(items, len)


def lower(items: Items) -> Items:
    """The text in lower case."""
    return _about(items, str.lower)


def upper(items: Items) -> Items:
    """The text in upper case."""
    return _about(items, str.upper)


def substring(items: Items, start: Items, size: Items | None = None) -> Items:
    """A part of the text; empty when it starts beyond its end."""
    text = _text(items)
    if text is None or not start or not 0 <= start[0] < len(text):
        return []
    end = start[0] + size[0] if size else len(text)
    return [text[start[0] : end]]


def to_integer(items: Items) -> Items:
    """The text as a whole number; empty when it is none."""
    value = bare(items[0]) if len(items) == 1 else None
    if type(value) is int:
        return [value]
    return [int(value)] if type(value) is str and re.fullmatch(r"[+-]?\d+", value) else []


def to_text(items: Items) -> Items:
    """A primitive as text."""
    value = bare(items[0]) if len(items) == 1 else None
    if value is None or type(value) is dict:
        return []
    return [str(value).lower() if type(value) is bool else str(value)]


def trace(items: Items, *_: Items) -> Items:
    """The items themselves."""
    return items


def unescaped(text: str) -> str:
    """A FHIRPath string without its escapes."""
    plain = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
    return re.sub(r"\\(.)", lambda m: plain.get(m[1], m[1]), text)


def luhn(node: Any, scope: Scope) -> bool:
    """us-core-17: the check digit of an NPI.

    Source: US Core, invariant us-core-17.
    """
    value = bare(node)
    text = value.get("value") if type(value) is dict else value
    if type(text) is not str or len(text) < 10 or not text[:10].isdecimal():
        return False
    digits = [int(c) for c in text[:10]]
    doubled = [d * 2 - (9 if d > 4 else 0) if i % 2 == 0 else d for i, d in enumerate(digits)]
    return (sum(doubled) + 24) % 10 == 0


def contained_used(node: Any, scope: Scope) -> bool:
    """dom-3: whatever is contained is referred to, or refers to what contains it."""
    if type(node) is not dict or type(node.get("contained")) is not list:
        return True
    contained = [c for c in node["contained"] if type(c) is dict]
    wanted = set(_texts(node))
    return all(f"#{c.get('id')}" in wanted or "#" in set(_texts(c)) for c in contained)


def _texts(node: Any) -> Iterator[str]:
    if type(node) is dict:
        for key, value in node.items():
            if key != "div":
                yield from _texts(value)
    elif type(node) is list:
        for value in node:
            yield from _texts(value)
    elif type(node) is str and node.startswith("#"):
        yield node


_WITH_REQUESTS = frozenset({"batch", "transaction", "history"})
_WITH_RESPONSES = frozenset({"batch-response", "transaction-response", "history"})


def _entries(bundle: Any) -> list[Any]:
    found = bundle.get("entry") if type(bundle) is dict else None
    return [e for e in found if type(e) is dict] if type(found) is list else []


def requests_fit(bundle: Any, scope: Scope) -> bool:
    """bdl-3: entries have a request in a batch, transaction or history, and nowhere else."""
    kind = scope.resource.get("type")  # of what is around: a profile may say it of an inner Bundle
    if type(kind) is not str:
        return not _entries(bundle)
    wanted = kind in _WITH_REQUESTS
    return all(("request" in e) is wanted for e in _entries(bundle))


def responses_fit(bundle: Any, scope: Scope) -> bool:
    """bdl-4: the same for responses."""
    kind = scope.resource.get("type")  # of what is around: a profile may say it of an inner Bundle
    if type(kind) is not str:
        return not _entries(bundle)
    wanted = kind in _WITH_RESPONSES
    return all(("response" in e) is wanted for e in _entries(bundle))


def urls_are_unique(bundle: Any, scope: Scope) -> bool:
    """bdl-7: outside a history no full URL comes twice with the same version."""
    if bundle.get("type") == "history":
        return True
    keys = [_url_and_version(e) for e in _entries(bundle) if "fullUrl" in e]
    return len(set(keys)) == len(keys)


def _url_and_version(entry: dict[str, Any]) -> tuple[str, str]:
    resource = entry.get("resource")
    meta = resource.get("meta") if type(resource) is dict else None
    version = meta.get("versionId") if type(meta) is dict else None
    return str(entry["fullUrl"]), str(version)


def no_search(bundle: Any, scope: Scope) -> bool:
    """bdl-2: entry.search is for search results."""
    return bundle.get("type") == "searchset" or not any("search" in e for e in _entries(bundle))


def has_content(entry: Any, scope: Scope) -> bool:
    """bdl-5: an entry has a resource, a request or a response."""
    return "resource" in entry or "request" in entry or "response" in entry


def no_history(entry: Any, scope: Scope) -> bool:
    """bdl-8: a full URL names no version."""
    return "/_history/" not in str(entry.get("fullUrl", ""))


# Invariants that are written here: slow, or outside what FHIRPath can say on JSON.
BY_HAND: dict[str, Callable[[Any, Scope], bool]] = {
    "us-core-17": luhn,
    "dom-3": contained_used,
    "bdl-2": no_search,
    "bdl-3": requests_fit,
    "bdl-4": responses_fit,
    "bdl-5": has_content,
    "bdl-7": urls_are_unique,
    "bdl-8": no_history,
}
