"""Reading and searching what is published: Questionnaires, Libraries and value sets.

What has a version never changes, so each is kept as the bytes that are sent, made once at start.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Literal, Self
from urllib.parse import urlencode

import orjson

from wiser_fhir.errors import InvalidResource, NotFound, Problem
from wiser_fhir.fhir.elements import Json

Kind = Literal["Questionnaire", "Library", "ValueSet"]
KINDS: tuple[Kind, ...] = ("Questionnaire", "Library", "ValueSet")

PAGE = 20
MOST_ON_A_PAGE = 100
MOST_PAIRS = 20
MOST_VALUES = 20
LONGEST = 2_000
_STATUS = "http://hl7.org/fhir/publication-status"
_ETAG_CHARACTERS = 16
Pairs = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Published:
    """A resource as it is sent."""

    resource: Json
    body: bytes
    etag: str

    @classmethod
    def of(cls, resource: Json) -> Self:
        """The ETag is weak, and tells of the content: a release may render a version anew."""
        body = orjson.dumps(resource)
        return cls(resource, body, f'W/"{sha256(body).hexdigest()[:_ETAG_CHARACTERS]}"')

    def is_meant_by(self, if_none_match: str | None) -> bool:
        """Whether an If-None-Match header names it, so that it need not be sent again."""
        told = [each.strip() for each in (if_none_match or "").split(",")]
        return "*" in told or self.etag in told or self.etag.removeprefix("W/") in told


def _is_url(resource: Json, value: str) -> bool:
    url, _, version = value.partition("|")
    return bool(resource.get("url") == url and version in ("", resource.get("version")))


def _is_token(resource: Json, name: str, value: str) -> bool:
    system, bar, code = value.rpartition("|")
    if name == "status" and bar and system != _STATUS:
        return False
    return bool(resource.get(name) == code) and (name == "status" or not system)


def _begins(resource: Json, name: str, value: str) -> bool:
    return str(resource.get(name, "")).casefold().startswith(value.casefold())


def _contains(resource: Json, name: str, value: str) -> bool:
    return value.casefold() in str(resource.get(name, "")).casefold()


def _equals(resource: Json, name: str, value: str) -> bool:
    return bool(resource.get(name) == value)


_Matches = Callable[[Json, str, str], bool]
# By type and modifier. Source: FHIR R4, "Search", Parameter Types.
_STRING: Mapping[str, _Matches] = {"": _begins, "contains": _contains, "exact": _equals}
_TOKEN: Mapping[str, _Matches] = {"": _is_token}
_URI: Mapping[str, _Matches] = {"": lambda resource, _, value: _is_url(resource, value)}
SEARCHED: Mapping[str, Mapping[str, _Matches]] = MappingProxyType(
    {
        "_id": {"": lambda resource, _, value: _equals(resource, "id", value)},
        "name": _STRING,
        "status": _TOKEN,
        "title": _STRING,
        "url": _URI,
        "version": _TOKEN,
    }
)
# About the answer and not about what is looked for.
_OF_THE_ANSWER = ("_count", "_offset", "_summary")
_WITHOUT_EFFECT = ("_format", "_pretty", "_total")


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter: any of its values has to match."""

    name: str
    matches: _Matches
    values: tuple[str, ...]

    def holds(self, resource: Json) -> bool:
        """Whether a resource is meant."""
        return any(self.matches(resource, self.name, value) for value in self.values)


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for, and which part of it is sent. `used` are the parameters understood."""

    criteria: tuple[Criterion, ...] = ()
    count: int = PAGE
    offset: int = 0
    only_total: bool = False
    used: tuple[tuple[str, str], ...] = ()


def search_request(pairs: Pairs, *, strict: bool) -> Search:
    """A search as asked for. An unknown parameter is passed over, unless the client is strict.

    Raises InvalidResource with every problem. Source: FHIR R4, "Search", Handling Errors.
    """
    problems: list[Problem] = []
    if len(pairs) > MOST_PAIRS or any(len(value) > LONGEST for _, value in pairs):
        text = f"No more than {MOST_PAIRS} parameters of {LONGEST:,} characters each."
        raise InvalidResource(text, [Problem("error", "too-long", text)])
    told = [(name, value) for name, value in pairs if value]
    criteria: list[Criterion] = []
    used: list[tuple[str, str]] = []
    for number, (name, value) in enumerate(told, start=1):
        criterion = _criterion(name, value, f"parameter {number}", problems)
        if criterion is not None:
            criteria.append(criterion)
        if criterion is not None or name in _OF_THE_ANSWER:
            used.append((name, value))
        elif strict and name.partition(":")[0] not in (*SEARCHED, *_WITHOUT_EFFECT):
            text = f"Search parameter {number} is none of {', '.join(SEARCHED)}."
            problems.append(Problem("error", "not-supported", text, f"parameter {number}"))
    count, offset = _number(told, "_count", PAGE, problems), _number(told, "_offset", 0, problems)
    only_total = ("_summary", "count") in told or count == 0
    if problems:
        raise InvalidResource("The search cannot be understood.", problems)
    return Search(tuple(criteria), min(count, MOST_ON_A_PAGE), offset, only_total, tuple(used))


def _criterion(name: str, value: str, place: str, problems: list[Problem]) -> Criterion | None:
    plain, _, modifier = name.partition(":")
    if plain not in SEARCHED:
        return None
    if modifier not in SEARCHED[plain]:
        text = f"The search parameter {plain} has no such modifier."
        problems.append(Problem("error", "not-supported", text, place))
        return None
    values = tuple(_alternatives(value))
    if len(values) > MOST_VALUES:
        text = f"The search parameter {plain} has more than {MOST_VALUES} values."
        problems.append(Problem("error", "too-long", text, place))
    return Criterion(plain, SEARCHED[plain][modifier], values)


def _alternatives(value: str) -> Iterator[str]:
    """The values between commas, of which a backslash makes plain ones."""
    part = ""
    escaped = False
    for character in value:
        if escaped or character not in "\\,":
            part, escaped = part + character, False
        elif character == "\\":
            escaped = True
        else:
            yield part
            part = ""
    yield part


def _number(told: Pairs, name: str, default: int, problems: list[Problem]) -> int:
    values = [value for each, value in told if each == name]
    if not values:
        return default
    if len(values) > 1 or not (values[0].isascii() and values[0].isdecimal()):
        problems.append(Problem("error", "value", f"{name} is one whole number, 0 or more.", name))
        return default
    return int(values[0][:9])


@dataclass(frozen=True, slots=True)
class Shelf:
    """What is published of one type, by id, in the order of the ids."""

    kind: Kind
    by_id: Mapping[str, Published]

    @classmethod
    def of(cls, kind: Kind, resources: Iterable[Json]) -> Self:
        """The resources of that type."""
        placed = {resource["id"]: Published.of(resource) for resource in resources}
        return cls(kind, MappingProxyType(dict(sorted(placed.items()))))

    def read(self, name: str) -> Published:
        """The resource with this id. Raises NotFound."""
        if name not in self.by_id:
            raise NotFound(self.kind)
        return self.by_id[name]

    def searchset(self, search: Search, base: str) -> bytes:
        """The answer to a search, as a Bundle. `base` is the address below which we serve."""
        found = [
            (name, each)
            for name, each in self.by_id.items()
            if all(criterion.holds(each.resource) for criterion in search.criteria)
        ]
        start, end = search.offset, search.offset + search.count
        bundle: Json = {"resourceType": "Bundle", "type": "searchset", "total": len(found)}
        bundle["link"] = [{"relation": "self", "url": self._link(search, base)}]
        if not search.only_total:
            if end < len(found):
                bundle["link"].append({"relation": "next", "url": self._link(search, base, end)})
            entries = [_entry(self.kind, base, name, each) for name, each in found[start:end]]
            bundle |= {"entry": entries} if entries else {}
        return orjson.dumps(bundle)

    def _link(self, search: Search, base: str, offset: int | None = None) -> str:
        pairs = [pair for pair in search.used if offset is None or pair[0] != "_offset"]
        pairs += [] if offset is None else [("_offset", str(offset))]
        return f"{base}/{self.kind}" + (f"?{urlencode(pairs)}" if pairs else "")


def _entry(kind: Kind, base: str, name: str, published: Published) -> Json:
    return {
        "fullUrl": f"{base}/{kind}/{name}",
        "resource": orjson.Fragment(published.body),
        "search": {"mode": "match"},
    }


def is_strict(prefer: Iterable[str]) -> bool:
    """Whether a client wants an error for a parameter that we do not know.

    Source: FHIR R4, "Search", Handling Errors (`Prefer: handling=strict`).
    """
    told = (
        part.strip().lower() for header in prefer for part in header.replace(";", ",").split(",")
    )
    return "handling=strict" in told
