"""How Subscriptions are asked for: search parameters, and those of `$status` and `$events`.

Source: Subscriptions R5 Backport 1.1.0, server CapabilityStatement (`url`, `status`),
OperationDefinitions backport-subscription-status and -events.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlencode

import orjson

from wiser_fhir.errors import InvalidResource, Problem
from wiser_fhir.fhir.elements import Json
from wiser_fhir.notify.subscriptions import Content, Status, Subscription

Pairs = Sequence[tuple[str, str]]

_MOST_PAIRS = 20
_LONGEST_NUMBER = 18
_STATUS_SYSTEM = "http://hl7.org/fhir/subscription-status"
_CONTENTS = ("empty", *Content)


def _has_status(told: Subscription, value: str) -> bool:
    system, _, code = value.rpartition("|")
    return system in ("", _STATUS_SYSTEM) and told.status == code


def _has_url(told: Subscription, value: str) -> bool:
    if not told.resource:
        return False
    return bool(orjson.loads(told.resource)["channel"]["endpoint"] == value)


SEARCHED: Mapping[str, Callable[[Subscription, str], bool]] = {
    "_id": lambda told, value: str(told.id) == value,
    "status": _has_status,
    "url": _has_url,
}

_WITHOUT_EFFECT = ("_format", "_pretty", "_total", "_count", "_summary")


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: of each parameter one of its values."""

    used: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, pairs: Pairs, *, strict: bool = False) -> Self:
        """A search as it was sent. What is not known is passed over, or refused if `strict`.

        Raises InvalidResource.
        """
        unknown = [name for name, _ in pairs if name not in (*SEARCHED, *_WITHOUT_EFFECT)]
        if len(pairs) > _MOST_PAIRS:
            raise _invalid("too-long", f"No more than {_MOST_PAIRS} parameters.")
        if strict and unknown:
            raise _invalid("not-supported", f"Search parameters are {', '.join(SEARCHED)}.")
        return cls(tuple((n, v) for n, v in pairs if n in SEARCHED and v))

    def finds(self, told: Subscription) -> bool:
        """Whether a subscription is meant."""
        return all(
            any(SEARCHED[name](told, each) for each in value.split(","))
            for name, value in self.used
        )

    def url(self, base: str) -> str:
        """The search as it was understood."""
        return f"{base}/Subscription" + (f"?{urlencode(self.used)}" if self.used else "")


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """Which subscriptions a `$status` at the type is about: any of the ids, any of the statuses."""

    ids: frozenset[str]
    statuses: frozenset[str]

    @classmethod
    def of(cls, pairs: Pairs) -> Self:
        """Raises InvalidResource for a status that is none."""
        statuses = frozenset(_values(pairs, "status"))
        if not statuses <= {*Status}:
            raise _invalid("value", f"A status is one of {', '.join(Status)}.", "status")
        return cls(frozenset(_values(pairs, "id")), statuses)

    def finds(self, told: Subscription) -> bool:
        """Whether a subscription is meant."""
        by_id = not self.ids or str(told.id) in self.ids
        return by_id and (not self.statuses or told.status in self.statuses)


@dataclass(frozen=True, slots=True)
class EventsQuery:
    """Which events, both ends included, and how much of each at most."""

    first: int
    last: int | None
    content: str | None

    @classmethod
    def of(cls, pairs: Pairs) -> Self:
        """Raises InvalidResource for numbers that are none and a content that is unknown."""
        first = _number(pairs, "eventsSinceNumber")
        content = next(_values(pairs, "content"), None)
        if content is not None and content not in _CONTENTS:
            raise _invalid("value", f"content is one of {', '.join(_CONTENTS)}.", "content")
        return cls(first or 1, _number(pairs, "eventsUntilNumber"), content)


def told_in(parameters: Json) -> list[tuple[str, str]]:
    """The pairs in a Parameters resource, the same as a query would have them.

    Raises InvalidResource for anything else.
    """
    if parameters.get("resourceType") != "Parameters":
        raise _invalid("structure", "A Parameters resource was expected.", "Parameters")
    found = parameters.get("parameter", [])
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise _invalid("structure", "Parameters.parameter is a list.", "Parameters.parameter")
    pairs = []
    for each in found:
        values = [value for name, value in each.items() if name.startswith("value")]
        if len(values) != 1 or not isinstance(values[0], str | int):
            text = "A parameter with one plain value was expected."
            raise _invalid("structure", text, "Parameters.parameter")
        pairs.append((str(each.get("name")), str(values[0])))
    return pairs


def _values(pairs: Pairs, name: str) -> Iterator[str]:
    return iter([part for n, v in pairs if n == name for part in v.split(",") if part])


def _number(pairs: Pairs, name: str) -> int | None:
    values = list(_values(pairs, name))
    if not values:
        return None
    text = values[0]
    plain = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
    if len(values) > 1 or not plain:
        raise _invalid("value", f"{name} is one whole number.", name)
    return int(text)


def _invalid(code: str, text: str, where: str | None = None) -> InvalidResource:
    return InvalidResource(text, [Problem("error", code, text, where)])
