"""Updates and cancels of a request Bundle, as the next Bundle that its sender would send.

`update_of(sent, cancel=(2,), add=("64484",))` repeats all that `sent` told, marks what is new and
names the Claim of `sent` as the one before. The result can be updated in its turn.
"""

from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from typing import Literal
from uuid import NAMESPACE_URL, uuid5

from tests.bundle_resources import PAS, X12, concept, procedure
from tests.bundle_values import Json, Line
from wiser_fhir.fhir import codes

Named = Literal["reference", "identifier", "none"]
Edit = Callable[[Json], object]

_RELATIONSHIPS = "http://terminology.hl7.org/CodeSystem/ex-relatedclaimrelationship"
_NOTHING: Mapping[int, Edit] = {}


def update_of(
    sent: Json,
    line: Line = "2.2",
    *,
    seed: str = "update",
    add: Collection[str] = (),
    change: Mapping[int, Edit] = _NOTHING,
    cancel: Collection[int] = (),
    flags: bool = True,
    named: Named | None = None,
) -> Json:
    """An update of what `sent` asked: lines added by code, changed or cancelled by sequence.

    `named` is how the Claim before is named: by a reference to it in the Bundle (line 2.2) or by
    its identifier (2.0, whose Bundle has room for one Claim). Without `flags` the update does not
    say which of its lines differ. Source: PAS 2.2.1 §spec-65 to §spec-72.
    """
    bundle = _next(sent, line, seed, named or ("reference" if line == "2.2" else "identifier"))
    claim = claim_of(bundle)
    lines = {item["sequence"]: item for item in claim["item"]}
    for sequence, edit in change.items():
        edit(lines[sequence])
        _mark(lines[sequence], "changed" if flags else None, "S")
    for sequence in cancel:
        withdraw(lines[sequence])
    for sequence, code in enumerate(add, start=max(lines) + 1):
        claim["item"].append(_added(lines[min(lines)], sequence, code, seed, flags=flags))
    return bundle


def cancel_of(
    sent: Json,
    line: Line = "2.2",
    *,
    seed: str = "cancel",
    with_items: bool = True,
    named: Named | None = None,
) -> Json:
    """A cancel of all that `sent` asked: on the Claim itself (2.2), or line by line (2.0).

    `with_items` false leaves the lines away. Source: PAS 2.2.1 and 2.0.1, updating section.
    """
    everything = [item["sequence"] for item in claim_of(sent)["item"]]
    if line == "2.0":
        return update_of(sent, line, seed=seed, cancel=everything, named=named)
    bundle = update_of(sent, line, seed=seed, named=named)
    claim = claim_of(bundle)
    claim.setdefault("extension", []).append(_certification("3"))
    if not with_items:
        del claim["item"]
    return bundle


def claim_of(bundle: Json) -> Json:
    """The Claim that a Bundle is about."""
    found: Json = bundle["entry"][0]["resource"]
    return found


def withdraw(part: Json) -> None:
    """Mark an item, or a supporting information, as wanted no more."""
    part["modifierExtension"] = [{"url": codes.INFO_CANCELLED, "valueBoolean": True}]
    if "productOrService" in part:
        _mark(part, None, "3")


def on(day: str) -> Edit:
    """Another date of service."""
    return lambda item: item.update(servicedDate=day)


def _next(sent: Json, line: Line, seed: str, named: Named) -> Json:
    """The same content under new identifiers, naming the Claim before."""
    bundle = deepcopy(sent)
    first, *others = bundle["entry"]
    before = deepcopy(first)
    bundle["entry"] = [first, *(e for e in others if e["resource"]["resourceType"] != "Claim")]
    bundle["identifier"]["value"] = f"{sent['identifier']['value']}/{seed}"
    claim = first["resource"]
    first["fullUrl"] = _urn(before["fullUrl"], seed)
    claim["meta"]["profile"] = [codes.CLAIM_UPDATE]
    claim["identifier"][0]["value"] = f"{claim['identifier'][0]['value']}/{seed}"
    claim["related"] = [_related(before, line, named)] if named != "none" else []
    if named == "reference":
        bundle["entry"].append(before)
    for item in claim["item"]:
        _mark(item, None, None)
    return {**bundle, "entry": [{**e, "resource": _solid(e["resource"])} for e in bundle["entry"]]}


def _related(before: Json, line: Line, named: Named) -> Json:
    identifier = before["resource"]["identifier"][0]
    claim = {"reference": before["fullUrl"]} if named == "reference" else {"identifier": identifier}
    relationship = concept(_RELATIONSHIPS, "prior" if line == "2.2" else "replaces")
    return {"claim": claim, "relationship": relationship}


def _urn(url: str, seed: str) -> str:
    """Another urn:uuid for every seed."""
    return f"urn:uuid:{uuid5(NAMESPACE_URL, f'{url}/{seed}')}"


def _solid(resource: Json) -> Json:
    return {name: value for name, value in resource.items() if value != []}


def _mark(item: Json, change: str | None, certification: str | None) -> None:
    """What an update says of a line now; what the one before said of its changes goes."""
    kept = [e for e in item["extension"] if e["url"] != codes.INFO_CHANGED]
    if certification is not None:
        kept = [e for e in kept if e["url"] != codes.CERTIFICATION_TYPE]
        kept.append(_certification(certification))
    if change is not None:
        kept.append({"url": codes.INFO_CHANGED, "valueCode": change})
    item["extension"] = kept


def _certification(code: str) -> Json:
    return {
        "url": PAS + "extension-certificationType",
        "valueCodeableConcept": concept(X12 + "1322", code),
    }


def _added(like: Json, sequence: int, code: str, seed: str, *, flags: bool) -> Json:
    """A line for another code, in everything else like a line there is."""
    item = deepcopy(like)
    item.pop("modifierExtension", None)
    item |= {"sequence": sequence, "productOrService": procedure(code)}
    trace = {"system": "https://ehr.sandbox.example/item-trace", "value": f"{seed}-{sequence}"}
    item["extension"] = [
        e
        for e in item["extension"]
        if e["url"] not in (codes.REQUESTED_SERVICE, codes.ITEM_TRACE_NUMBER)
    ]
    item["extension"].append({"url": codes.ITEM_TRACE_NUMBER, "valueIdentifier": trace})
    _mark(item, "added" if flags else None, "I")
    return item
