"""What comes back of a request with its answer: whom and what the answer refers to."""

from collections.abc import Iterator
from typing import Any

from wiser_fhir.fhir.elements import Json
from wiser_fhir.pas.request import RequestBundle

_ALWAYS = ("patient", "insurer", "requestor")


def echoed(request: RequestBundle, response: Json, *others: Json) -> Iterator[Json]:
    """The entries of the request that an answer refers to, as they came, each once.

    `others` are further resources of the answer that refer to the request. What the entries
    themselves refer to comes along: 2.0 asks for all descendants, and in 2.2 an entry whose
    references lead nowhere would not be valid. The Claim stays away: the answer says of it all that
    counts, and it would bring everything else. Source: PAS 2.2.1 §spec-31 to §spec-33, §spec-45.
    """
    wanted = [response[name].get("reference", "") for name in _ALWAYS]
    wanted += [reference["reference"] for reference in references([response, *others])]
    seen: set[str] = set()
    while wanted:
        resource = request.references.resolve(wanted.pop(0), None)
        full_url = request.references.full_url(resource) if resource else None
        if resource is None or full_url is None or full_url in seen:
            continue
        seen.add(full_url)
        if resource["resourceType"] == "Claim":
            continue
        yield {"fullUrl": full_url, "resource": resource}
        targets = (request.target(resource, r) for r in references(resource))
        wanted.extend(url for t in targets if t and (url := request.references.full_url(t)))


def references(node: Any) -> Iterator[Json]:
    """Every literal reference below a node."""
    if isinstance(node, dict):
        if isinstance(node.get("reference"), str):
            yield node
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def as_named(request: RequestBundle, reference: Json) -> Json:
    """The same target by its fullUrl: what was relative to the request is not so to the answer."""
    target = request.target(request.claim, reference)
    full_url = request.references.full_url(target) if target else None
    return {"reference": full_url} if full_url else reference


def contained(request: RequestBundle) -> list[Json]:
    """Of those the answer names, who has no entry but is contained in the Claim, each once."""
    claim = request.claim
    named = (claim["patient"], claim["insurer"], claim["provider"])
    inside = {r["reference"]: r for r in named if r.get("reference", "").startswith("#")}
    found = (request.target(claim, reference) for reference in inside.values())
    return [resource for resource in found if resource is not None]
