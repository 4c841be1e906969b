"""Value sets as lists of codes, as far as the packages can settle them.

A set maps a system to its codes; to None when it is complete as its code system says; to False
when no package says which codes it has. `open` marks sets with a part that no package has.
"""

from collections.abc import Callable, Iterator
from typing import Any

Json = dict[str, Any]
Codes = dict[str, Any]
Find = Callable[[str], Json | None]


def complete(system: Json) -> bool:
    """Whether a CodeSystem lists all its codes."""
    return system.get("content") == "complete" and bool(system.get("concept"))


def concepts(system: Json) -> Iterator[tuple[Json, tuple[str, ...]]]:
    """Every concept with the codes above it."""

    def walk(entries: list[Json], above: tuple[str, ...]) -> Iterator[tuple[Json, tuple[str, ...]]]:
        for entry in entries:
            yield entry, above
            yield from walk(entry.get("concept", []), (*above, entry["code"]))

    return walk(system.get("concept", []), ())


class Expander:
    """Lists the codes of value sets."""

    def __init__(self, value_set: Find, code_system: Find) -> None:
        self._value_set = value_set
        self._code_system = code_system
        self._known: dict[str, Codes] = {}

    def expand(self, url: str) -> Codes | None:
        """The codes of a value set; None when no package has it."""
        url = url.partition("|")[0]
        if url not in self._known:
            resource = self._value_set(url)
            if resource is None:
                return None
            self._known[url] = {"systems": {}, "open": True}  # while a circle is being walked
            self._known[url] = self._compose(resource)
        return self._known[url]

    def _compose(self, resource: Json) -> Codes:
        found: Codes = {"systems": {}}
        if "compose" not in resource:
            return {"systems": {}, "open": True}
        for part in resource["compose"].get("include", []):
            _unite(found, self._part(part))
        for part in resource["compose"].get("exclude", []):
            self._exclude(found, self._part(part))
        return found

    def _part(self, part: Json) -> Codes:
        sets = [
            self.expand(url) or {"systems": {}, "open": True} for url in part.get("valueSet", [])
        ]
        if "system" not in part:
            united: Codes = {"systems": {}}
            for one in sets[:1]:
                _unite(united, one)
            return united if len(sets) < 2 else {"systems": {}, "open": True}
        system = part["system"]
        codes = self._codes(part)
        for one in sets:
            codes = self._intersect(system, codes, one)
        return {"systems": {system: codes}}

    def _codes(self, part: Json) -> Any:
        if "concept" in part:
            return [c["code"] for c in part["concept"]]
        system = self._code_system(part["system"])
        if system is None or not complete(system):
            return False
        if not part.get("filter"):
            return None
        return _filtered(system, part["filter"])

    def _intersect(self, system: str, codes: Any, other: Codes) -> Any:
        if other.get("open") or codes is False:
            return False
        theirs = other["systems"].get(system, [])
        if theirs is False:
            return False
        mine_list = self._listed(system, codes)
        allowed = set(self._listed(system, theirs))
        return [c for c in mine_list if c in allowed]

    def _listed(self, system: str, codes: Any) -> list[str]:
        if codes is None:
            return [c["code"] for c, _ in concepts(self._code_system(system) or {})]
        return list(codes)

    def _exclude(self, found: Codes, other: Codes) -> None:
        for system, codes in other["systems"].items():
            mine = found["systems"].get(system, False)
            if mine is False:
                continue
            if codes is False:
                found["systems"][system] = False
                continue
            out = set(self._listed(system, codes))
            found["systems"][system] = [c for c in self._listed(system, mine) if c not in out]


def _unite(found: Codes, other: Codes) -> None:
    if other.get("open"):
        found["open"] = True
    for system, codes in other["systems"].items():
        mine = found["systems"].get(system, ())
        if mine is False or codes is False:
            found["systems"][system] = False
        elif mine is None or codes is None:
            found["systems"][system] = None
        else:
            found["systems"][system] = list(dict.fromkeys([*mine, *codes]))


def _filtered(system: Json, filters: list[Json]) -> Any:
    kept = []
    for concept, above in concepts(system):
        verdicts = [_passes(concept, above, f) for f in filters]
        if None in verdicts:
            return False
        if all(verdicts):
            kept.append(concept["code"])
    return kept


def _passes(concept: Json, above: tuple[str, ...], rule: Json) -> bool | None:
    """Whether a concept passes a filter; None for a filter that we do not know."""
    value, code = rule["value"], concept["code"]
    parents = [
        p.get("valueCode")
        for p in concept.get("property", [])
        if p["code"] in ("subsumedBy", "parent")
    ]
    beneath = value in above or value in parents
    match rule["property"], rule["op"]:
        case "concept" | "code", "is-a":
            return code == value or beneath
        case "concept" | "code", "descendent-of":
            return beneath
        case "concept" | "code", "is-not-a":
            return not (code == value or beneath)
        case _:
            return None
