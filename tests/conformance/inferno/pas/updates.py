"""A request and three updates of it, each with the Claim it changes."""

from copy import deepcopy

from tests.bundle_resources import PAS, concept
from tests.bundle_values import Asked, Json, Line, Member
from tests.bundles import request_bundle
from tests.conformance.inferno.pas.claims import coded, days, message

RELATIONSHIP = "http://terminology.hl7.org/CodeSystem/ex-relatedclaimrelationship"
STEPS = ("initial", "add_item", "modify_cancel", "cancel_all")
_ADDED_CODE = "64479"
_SEED = "updates"


def update_chain(line: Line, member: Member, codes: tuple[str, ...]) -> dict[str, Json]:
    """The four Bundles by the name of their step.

    Every one tells the whole request, with the sequences that its parts had from the beginning.
    Source: PAS 2.2.1 §spec-65, §spec-66 (the Claim before, not the one before that), §spec-68.
    """
    asked = Asked(line=line, seed=_SEED, member=member, codes=(*codes, _ADDED_CODE))
    bundle = request_bundle(line, seed=_SEED, member=member, codes=asked.codes, order=False)
    claim = bundle["entry"][0]["resource"]
    *first, added = claim["item"]
    claims = [claim | {"item": first, "supportingInfo": [*claim["supportingInfo"], *days()]}]
    claims.append(_next(claims[-1], item=[*first, _changed(added, "added")], note="added"))
    claims.append(_modified(claims[-1]))
    claims.append(_cancelled(claims[-1]))
    return {step: _bundle(bundle, asked, number, claims) for number, step in enumerate(STEPS)}


def _bundle(bundle: Json, asked: Asked, number: int, claims: list[Json]) -> Json:
    """One step: its own numbers, its Claim first, the Claim before last."""
    everybody = bundle["entry"][1:]
    entries = [_entry(asked, number, claims[number]), *everybody]
    if number:
        entries.append(_entry(asked, number - 1, claims[number - 1]))
    identifier = {**bundle["identifier"], "value": str(asked.uuid(f"bundle-{number}"))}
    return {**deepcopy(bundle), "identifier": identifier, "entry": deepcopy(entries)}


def _entry(asked: Asked, number: int, claim: Json) -> Json:
    """The Claim of a step, which names the one before."""
    identifier = {**claim["identifier"][0], "value": str(asked.uuid(f"trace-{number}"))}
    found = claim | {"identifier": [identifier]}
    if number:
        earlier = asked.reference(f"claim-{number - 1}")
        found["meta"] = {"profile": [PAS + "profile-claim-update"]}
        found["related"] = [{"claim": earlier, "relationship": concept(RELATIONSHIP, "prior")}]
    return {"fullUrl": asked.full_url(f"claim-{number}"), "resource": found}


def _next(claim: Json, *, item: list[Json], note: str) -> Json:
    """With other items, and a message that comes along."""
    word = message(14) | {"extension": [_change(note)]}
    return claim | {"item": item, "supportingInfo": [*claim["supportingInfo"], word]}


def _modified(claim: Json) -> Json:
    """More of the first item, nothing of the second any more, nor of the message."""
    first, second, third = (_unmarked(each) for each in claim["item"])
    quantity = {**first["quantity"], "value": 2}
    *others, word = claim["supportingInfo"]
    gone = {**_unmarked(word), "modifierExtension": [_withdrawn()]}
    items = [_changed(first | {"quantity": quantity}, "changed"), _withdraw(second), third]
    return claim | {"item": items, "supportingInfo": [*others, gone]}


def _cancelled(claim: Json) -> Json:
    """Nothing is wanted any more. Source: PAS 2.2.1, updating section (certification type 3)."""
    items = [_withdraw(_unmarked(each)) for each in claim["item"]]
    whole = coded("extension-certificationType", "1322", "3")
    return claim | {"extension": [*claim["extension"], whole], "item": items}


def _change(word: str) -> Json:
    return {"url": PAS + "extension-infoChanged", "valueCode": word}


def _changed(item: Json, word: str) -> Json:
    return item | {"extension": [*item["extension"], _change(word)]}


def _unmarked(part: Json) -> Json:
    """A change is told once. Source: PAS 2.2.1 §spec-71."""
    extensions = [e for e in part["extension"] if e["url"] != PAS + "extension-infoChanged"]
    return {name: value for name, value in (part | {"extension": extensions}).items() if value}


def _withdrawn() -> Json:
    return {"url": PAS + "modifierextension-infoCancelled", "valueBoolean": True}


def _withdraw(item: Json) -> Json:
    """Source: PAS 2.2.1 §spec-69, §spec-70."""
    kinds = PAS + "extension-certificationType"
    others = [e for e in item["extension"] if e["url"] != kinds]
    cancelled = [*others, coded("extension-certificationType", "1322", "3")]
    return item | {"extension": cancelled, "modifierExtension": [_withdrawn()]}
