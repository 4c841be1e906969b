"""Who takes part in a request: requester, care team and facility as plain parties."""

from collections.abc import Iterator

from wiser_fhir.fhir.elements import Json, codings
from wiser_fhir.intake.parties import behind, named, npis_of, party, tins_of
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.models import Party, PartyRole

# X12 98 entity codes, as careTeam.role carries them.
_ROLES = {
    "DK": PartyRole.ORDERING,
    "DN": PartyRole.ORDERING,
    "FA": PartyRole.FACILITY,
    "77": PartyRole.FACILITY,
}


def parties_of(request: RequestBundle) -> tuple[Party, ...]:
    """Everyone named: Claim.provider first, then the care team in its order, then the facility.

    Source: PAS 2.2.1 profile-claim (provider, careTeam, facility).
    """
    return tuple(_parties(request))


def _parties(request: RequestBundle) -> Iterator[Party]:
    claim = request.claim
    requester = named(request, request.claim, claim.get("provider"))
    if requester is not None:
        yield party(request, requester, PartyRole.REQUESTER)
    for member in claim.get("careTeam", ()):
        provider = named(request, request.claim, member.get("provider"))
        if provider is not None:
            yield party(request, provider, _role(member, provider))
    facility = facility_of(request)
    if facility is not None:
        yield facility


def requester_npis(request: RequestBundle) -> frozenset[str]:
    """Every NPI under which the request names its sender, in Claim.provider and what is behind it.

    A Reference's own identifier counts beside what the Reference leads to.
    """
    return frozenset(npi for each in _sender(request) for npi in npis_of(each))


def requester_tins(request: RequestBundle) -> frozenset[str]:
    """Every taxpayer's number under which it names its sender, in the same places."""
    return frozenset(tin for each in _sender(request) for tin in tins_of(each))


def _sender(request: RequestBundle) -> list[Json]:
    reference = request.claim.get("provider") or {}
    sender = named(request, request.claim, reference)
    about = [sender, *behind(request, sender)] if sender is not None else []
    return [*about, {"identifier": [reference.get("identifier", {})]}]


def facility_of(request: RequestBundle) -> Party | None:
    """Claim.facility, None where it names nobody in the Bundle."""
    location = request.target(request.claim, request.claim.get("facility"))
    return party(request, location, PartyRole.FACILITY) if location else None


def _role(member: Json, provider: Json) -> PartyRole:
    named = (_ROLES.get(c["code"]) for c in codings(member.get("role")))
    return next((role for role in named if role), _default_role(provider))


def _default_role(provider: Json) -> PartyRole:
    organization = provider["resourceType"] == "Organization"
    return PartyRole.FACILITY if organization else PartyRole.RENDERING
