"""PAS inquiry Bundle -> Inquiry, a query by example."""

from collections.abc import Iterator

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import Json, code_in, codings, extension
from wiser_fhir.fhir.values import service_dates
from wiser_fhir.pas.parties import parties_of
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.pas.review_action import MODIFIED, OF_ITEM
from wiser_fhir.priorauth.inquiry import Inquiry, ItemExample
from wiser_fhir.priorauth.models import ItemStatus, PartyRole

_STATUSES = {action: status for status, action in OF_ITEM.items()} | {MODIFIED: ItemStatus.AFFIRMED}


def inquiry(request: RequestBundle) -> Inquiry:
    """What an inquiry asks for.

    Claim.identifier names the inquiry itself and is no search key; numbers on the items are.
    Source: PAS 2.2.1 §spec-43 (`not-applicable` filters no service), inquiry section.
    """
    claim = request.claim
    parties = parties_of(request)
    return Inquiry(
        mbi=request.medicare_number,
        provider_npis=tuple(dict.fromkeys(p.npi for p in parties if p.npi)),
        requester_npi=next((p.npi for p in parties if p.role is PartyRole.REQUESTER), None),
        references=tuple(_numbers(claim, codes.ADMINISTRATION_REFERENCE_NUMBER)),
        utns=tuple(_numbers(claim, codes.AUTHORIZATION_NUMBER)),
        items=tuple(_example(item) for item in claim.get("item", ())),
    )


def _numbers(claim: Json, url: str) -> Iterator[str]:
    for holder in (claim, *claim.get("item", ())):
        number = extension(holder, url)
        if number and number.get("valueString"):
            yield number["valueString"].strip()


def _example(item: Json) -> ItemExample:
    action = extension(item, codes.REVIEW_ACTION_CODE) or {}
    range_end = extension(item, codes.PRODUCT_OR_SERVICE_CODE_END) or {}
    starts, ends = service_dates(item)
    wanted = code_in(action.get("valueCodeableConcept"), codes.X12_ACTION)
    status = _STATUSES.get(wanted) if wanted else None
    return ItemExample(
        codes=tuple(
            c["code"]
            for c in codings(item.get("productOrService"))
            if c.get("system") != codes.DATA_ABSENT_REASON
        ),
        starts=starts,
        ends=ends,
        status=status,
        modified=wanted == MODIFIED if status is ItemStatus.AFFIRMED else None,
        never=wanted is not None and status is None,
        last_code=next((c["code"] for c in codings(range_end.get("valueCodeableConcept"))), None),
    )
