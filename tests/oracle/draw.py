"""Seeded choice of places in a resource, for the mutations."""

import copy
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Node = dict[str, Any]
DATE = re.compile(r"\d{4}(-\d\d(-\d\d(T.*)?)?)?$")
DATE_KEYS = re.compile(
    r"(date|Date|DateTime|created|timestamp|start|end|authoredOn|recorded|issued|lastUpdated|birthDate)$"
)
CODE_KEYS = re.compile(
    r"(status|use|gender|code|intent|type|priority|outcome|language|mode|disposition)$"
)


@dataclass(frozen=True)
class Place:
    """A member `key` of `node`, at `path` from the root."""

    path: str
    node: Node
    key: str

    @property
    def value(self) -> Any:
        return self.node[self.key]

    def put(self, value: Any) -> None:
        self.node[self.key] = value


class Draw:
    """A copy of a resource and a dice: mutations change the copy."""

    def __init__(self, resource: Node, seed: str) -> None:
        self.root = copy.deepcopy(resource)
        self.dice = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def nodes(self) -> list[tuple[str, Node]]:
        """Every object in the resource with its path, the root first."""
        return list(_nodes(self.root["resourceType"], self.root))

    def places(self, wanted: Callable[[Place], bool] = lambda _: True) -> list[Place]:
        """Every member of every object that `wanted` wants."""
        found = (Place(f"{path}.{key}", node, key) for path, node in self.nodes() for key in node)
        return [place for place in found if wanted(place)]

    def place(self, wanted: Callable[[Place], bool] = lambda _: True) -> Place | None:
        """One of them, or none if there is none.

        The key is drawn before the place: else a Bundle's many codings would crowd out the rest.
        """
        found = self.places(wanted)
        if not found:
            return None
        key = self.dice.choice(sorted({place.key for place in found}))
        return self.dice.choice([place for place in found if place.key == key])

    def resources(self) -> list[tuple[str, Node]]:
        """The resource itself, the entries of a Bundle, the resources of Parameters."""
        return [(path, node) for path, node in self.nodes() if "resourceType" in node]

    def entries(self) -> list[Node]:
        entries: list[Node] = self.root.get("entry", [])
        return entries if self.root["resourceType"] == "Bundle" else []

    def list_place(self, wanted: Callable[[Place], bool] = lambda _: True) -> Place | None:
        return self.place(lambda place: isinstance(place.value, list) and wanted(place))

    def date(self) -> Place | None:
        return self.place(is_date)

    def extensions(self) -> list[tuple[str, Node]]:
        return [(path, node) for path, node in self.nodes() if re.search(r"xtension\[\d+\]$", path)]


def is_date(place: Place) -> bool:
    return (
        isinstance(place.value, str)
        and DATE_KEYS.search(place.key) is not None
        and DATE.match(place.value) is not None
    )


def is_code(place: Place) -> bool:
    return isinstance(place.value, str) and CODE_KEYS.search(place.key) is not None


def _nodes(path: str, node: Node) -> Iterator[tuple[str, Node]]:
    yield path, node
    for key, value in list(node.items()):
        if isinstance(value, dict):
            yield from _nodes(f"{path}.{key}", value)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _nodes(f"{path}.{key}[{index}]", item)
