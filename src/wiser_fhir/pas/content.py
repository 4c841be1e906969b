"""What a request tells, as a digest: an update is held by it against the request before."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import Json
from wiser_fhir.pas.request import RequestBundle

# What differs from one sending to the next, whatever is told: names and times of the sending, and
# what the sender says of its own changes.
_OF_A_CLAIM = frozenset({"id", "meta", "identifier", "created", "related", "item"})
_OF_A_SENDING = frozenset({"lastUpdated", "versionId"})
_NUMBERS_GIVEN = "preAuthRef"
_SAID_OF_CHANGES = frozenset(
    {
        codes.INFO_CHANGED,
        codes.CERTIFICATION_TYPE,
        codes.AUTHORIZATION_NUMBER,
        codes.ADMINISTRATION_REFERENCE_NUMBER,
    }
)


def content(request: RequestBundle, without: Collection[int] = ()) -> bytes:
    """A digest of all that a request tells, less its lines of these sequences.

    That is the Claim, whatever it reaches by any reference, and what nothing refers to; each with
    all its elements, the data of attachments included. Addresses do not count: a reference stands
    for the resource it leads to. What only the lines left out reach does not count either, nor
    does the Claim before this one. Source: PAS 2.2.1 §spec-66, §spec-68 (all is told again).
    """
    walk, claim = _Walk(request), request.claim
    lines = claim.get("item", [])
    walk.reach(claim)
    said = {name: value for name, value in claim.items() if name not in _OF_A_CLAIM}
    told = [walk.told(claim, said)]
    told += [walk.told(claim, line) for line in lines if line["sequence"] not in without]
    digest = sha256(_canonical(told))
    for part in walk.rest():
        digest.update(sha256(_canonical(part)).digest())
    walk.told(claim, [line for line in lines if line["sequence"] in without])
    list(walk.rest())
    for entry in request.bundle["entry"]:
        if entry["resource"]["resourceType"] != "Claim" and walk.reach(entry["resource"]):
            for part in walk.rest():
                digest.update(sha256(_canonical(part)).digest())
    return digest.digest()


@dataclass
class _Walk:
    """The resources of a Bundle, in the order in which they are reached."""

    request: RequestBundle
    _numbers: dict[int, int] = field(default_factory=dict)
    _waiting: list[Json] = field(default_factory=list)

    def reach(self, resource: Json) -> bool:
        """Number a resource, whose own content comes later. Whether it is reached just now."""
        if id(resource) in self._numbers:
            return False
        self._numbers[id(resource)] = len(self._numbers)
        if resource is not self.request.claim:
            self._waiting.append(resource)
        return True

    def rest(self) -> Iterator[Any]:
        """What is told by all that is reached and was not told yet."""
        while self._waiting:
            resource = self._waiting.pop(0)
            yield self.told(resource, {n: v for n, v in resource.items() if n != "id"})

    def told(self, holder: Json, node: Any) -> Any:
        """A part of a resource, less what any sending changes; references by what they reach."""
        if isinstance(node, list):
            return [self.told(holder, each) for each in node]
        if not isinstance(node, dict):
            return node
        if holder is self.request.claim:
            node = _less_said_of_changes(node)
        told = {name: self.told(holder, value) for name, value in node.items()}
        if "meta" in told:
            told["meta"] = {n: v for n, v in told["meta"].items() if n not in _OF_A_SENDING}
        target = self._target(holder, node)
        if target is not None:
            self.reach(target)
            told["reference"] = self._numbers[id(target)]
        return {name: value for name, value in told.items() if value not in ([], {})}

    def _target(self, holder: Json, node: Json) -> Json | None:
        """What a reference leads to; None of what is contained, which its holder tells itself."""
        named = node.get("reference")
        if not isinstance(named, str) or named.startswith("#"):
            return None
        return self.request.target(holder, node)


def _less_said_of_changes(part: Json) -> Json:
    """A part of a Claim. Elsewhere such a name may be that of something which does count."""
    told = {name: value for name, value in part.items() if name != _NUMBERS_GIVEN}
    if "extension" in told:
        told["extension"] = [e for e in told["extension"] if e.get("url") not in _SAID_OF_CHANGES]
    return told


def _canonical(told: Any) -> bytes:
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)
