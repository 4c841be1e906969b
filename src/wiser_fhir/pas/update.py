"""What makes a request an update of an earlier one: which, what it cancels, what it changes."""

from collections.abc import Iterator

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import Json, extension
from wiser_fhir.pas.request import CANCEL, RequestBundle, certification_types, identifier_of
from wiser_fhir.priorauth.models import Change, Identifier, ItemChange


def change_of(request: RequestBundle) -> Change | None:
    """How the request changes an earlier one; None where it is a new request.

    All of it is cancelled at once by the certification type of the Claim itself (2.2); line 2.0
    cancels every item. Source: PAS 2.2.1 §spec-65 to §spec-72, and the updating section.
    """
    if not request.is_update():
        return None
    infos = request.claim.get("supportingInfo", ())
    return Change(
        earlier=tuple(dict.fromkeys(_earlier(request))),
        whole=CANCEL in certification_types(request.claim),
        materials=materials(request),
        retold=any(extension(info, codes.INFO_CHANGED) for info in infos),
    )


def materials(request: RequestBundle) -> frozenset[int]:
    """The sequences of the supporting information. Source: PAS 2.2.1 §spec-68."""
    return frozenset(info["sequence"] for info in request.claim.get("supportingInfo", ()))


def is_cancelled(part: Json) -> bool:
    """Whether an item or a supporting information is wanted no more.

    Source: PAS 2.2.1 §spec-69 (the flag), §spec-70 (the certification type of an item).
    """
    flags = part.get("modifierExtension", ())
    flagged = any(f.get("url") == codes.INFO_CANCELLED and f.get("valueBoolean") for f in flags)
    return flagged or CANCEL in certification_types(part)


def item_change(item: Json) -> ItemChange | None:
    """How an item says that it differs from before.

    Source: PAS 2.2.1 §spec-71, §spec-72 (the profile says `added` where the text once says
    `changed`, so neither word is held against the sender).
    """
    flag = extension(item, codes.INFO_CHANGED)
    return ItemChange(flag["valueCode"]) if flag and "valueCode" in flag else None


def _earlier(request: RequestBundle) -> Iterator[Identifier]:
    """The trace numbers of the Claim that is changed.

    Named by its identifier, or by a reference to the second Claim of the Bundle. Line 2.0 lets an
    update name none: then it carries the number of the Claim that it replaces.
    """
    related = request.claim.get("related", ())
    for each in related:
        reference = each.get("claim") or {}
        named = request.target(request.claim, reference) or {}
        identifiers = [reference.get("identifier", {}), *_identifiers(named)]
        yield from (identifier_of(i) for i in identifiers if i.get("value"))
    if not related:
        yield from (identifier_of(i) for i in _identifiers(request.claim) if i.get("value"))


def _identifiers(claim: Json) -> list[Json]:
    found: list[Json] = claim.get("identifier", [])
    return found
