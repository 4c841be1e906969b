"""PAS request Bundle -> Submission. The Bundle has passed validation; what is silent stays None."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from wiser_fhir.coverage.requested import RequestedService
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import Json, code_in, codings, extension
from wiser_fhir.fhir.values import decimal, service_dates
from wiser_fhir.intake.coverage_kind import coverage_kind
from wiser_fhir.intake.member import beneficiary
from wiser_fhir.intake.services import codes_of, site_of
from wiser_fhir.pas.chart import chart
from wiser_fhir.pas.doubts import doubts
from wiser_fhir.pas.evidence import documents
from wiser_fhir.pas.forms import forms
from wiser_fhir.pas.parties import facility_of, parties_of
from wiser_fhir.pas.request import RequestBundle, identifier_of
from wiser_fhir.pas.update import change_of, is_cancelled, item_change
from wiser_fhir.priorauth.models import (
    Identifier,
    Party,
    PartyRole,
    RequestedItem,
    RequestKind,
    Submission,
)

_REVENUE_DIGITS = 4
_EXPEDITED = frozenset({"U", "03"})


def submission(request: RequestBundle, organization_id: UUID, received_at: datetime) -> Submission:
    """The request as the core understands it.

    A number that an update names is its own: it is the sender's way to tell which request it means.
    Source: PAS 2.2.1 §spec-25 (every element it may carry is read or kept, none is refused).
    """
    claim = request.claim
    parties = parties_of(request)
    found = tuple(documents(request))
    change = change_of(request)
    previous = _previous_utn(claim) if change is None else None
    return Submission(
        organization_id=organization_id,
        identifier=request.identifier,
        trace=trace_of(claim),
        kind=RequestKind.RESUBMISSION if previous else RequestKind.INITIAL,
        received_at=received_at,
        expedite_requested=_expedite_requested(claim),
        beneficiary=beneficiary(request.patient or {}, request.focal_coverage or {}),
        coverage=coverage_kind(request, request.focal_coverage or {}),
        parties=parties,
        diagnoses=tuple(_diagnoses(request)),
        items=tuple(_items(request, state_of_service(request, parties))),
        forms=tuple(forms(request)),
        evidence=len(found),
        documents=found,
        doubts=doubts(request),
        chart=tuple(chart(request)),
        previous_utn=previous,
        change=change,
    )


def trace_of(claim: Json) -> Identifier:
    """The patient event trace number (X12 TRN); empty where the 2.0 line omits it."""
    identifiers = claim.get("identifier") or [{}]
    return identifier_of(identifiers[0])


def state_of_service(request: RequestBundle, parties: tuple[Party, ...]) -> str | None:
    """The state where the service is delivered, which decides who reviews.

    Claim.facility's address; else the facility or rendering provider in careTeam; else the
    requester's. Source: WISeR Operational Guide 6.0, 4.1.4.
    """
    at_facility = facility_of(request)
    if at_facility is not None and at_facility.state:
        return at_facility.state
    for role in (PartyRole.FACILITY, PartyRole.RENDERING, PartyRole.REQUESTER):
        state = next((p.state for p in parties if p.role is role and p.state), None)
        if state:
            return state
    return None


def _previous_utn(claim: Json) -> str | None:
    holders = [claim, *claim.get("item", ())]
    numbers = (extension(h, codes.AUTHORIZATION_NUMBER) for h in holders)
    return next((n["valueString"] for n in numbers if n and n.get("valueString")), None)


def _expedite_requested(claim: Json) -> bool:
    level = extension(claim, codes.LEVEL_OF_SERVICE)
    urgent = code_in((level or {}).get("valueCodeableConcept"), codes.X12_LEVEL_OF_SERVICE)
    return urgent in _EXPEDITED or code_in(claim.get("priority"), codes.PROCESS_PRIORITY) == "stat"


def _diagnoses(request: RequestBundle) -> Iterator[str]:
    for diagnosis in request.claim.get("diagnosis", ()):
        concept = diagnosis.get("diagnosisCodeableConcept")
        if concept is None:
            named = request.target(request.claim, diagnosis.get("diagnosisReference")) or {}
            concept = named.get("code")
        yield from (c["code"].upper() for c in codings(concept))


def _items(request: RequestBundle, state: str | None) -> Iterator[RequestedItem]:
    for item in request.claim.get("item", ()):
        starts, ends = service_dates(item)
        yield RequestedItem(
            sequence=item["sequence"],
            service=RequestedService(
                codes=codes_of(item.get("productOrService")),
                date_of_service=starts,
                state=state,
                quantity=decimal((item.get("quantity") or {}).get("value")),
            ),
            service_end=ends,
            modifiers=tuple(
                c["code"].upper() for m in item.get("modifier", ()) for c in codings(m)
            ),
            revenue_code=_revenue_code(item.get("revenue")),
            site=site_of(item.get("locationCodeableConcept")),
            change=item_change(item),
            cancelled=is_cancelled(item),
        )


def _revenue_code(concept: Json | None) -> str | None:
    """Four digits: `450` is `0450`."""
    return next((c["code"].zfill(_REVENUE_DIGITS) for c in codings(concept)), None)
