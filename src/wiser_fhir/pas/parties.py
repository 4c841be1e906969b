"""Who takes part in a request: requester, care team and facility as plain parties."""

import re
from collections.abc import Iterator

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import Json, codings, identifier_in
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.models import Party, PartyRole

_STATE = re.compile("[A-Z]{2}")

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
    requester = _named(request, claim.get("provider"))
    if requester is not None:
        yield _party(request, requester, PartyRole.REQUESTER)
    for member in claim.get("careTeam", ()):
        provider = _named(request, member.get("provider"))
        if provider is not None:
            yield _party(request, provider, _role(member, provider))
    facility = facility_of(request)
    if facility is not None:
        yield facility


def requester_npis(request: RequestBundle) -> frozenset[str]:
    """Every NPI under which the request names its sender, in Claim.provider and what is behind it.

    A Reference's own identifier counts beside what the Reference leads to.
    """
    reference = request.claim.get("provider") or {}
    named = _named(request, reference)
    about = [named, *_behind(request, named)] if named is not None else []
    about.append({"identifier": [reference.get("identifier", {})]})
    return frozenset(npi for each in about for npi in npis_of(each))


def npis_of(resource: Json) -> frozenset[str]:
    """The NPIs of a resource, under either name of the system."""
    return frozenset(
        i["value"]
        for i in resource.get("identifier", ())
        if isinstance(i, dict) and i.get("system") in codes.NPI_SYSTEMS and i.get("value")
    )


def _named(request: RequestBundle, reference: Json | None) -> Json | None:
    """Whom a Reference names. By identifier alone it is still somebody with that identifier."""
    target = request.target(request.claim, reference)
    if target is None and reference and "identifier" in reference:
        kind = reference.get("type", "Practitioner")
        return {"resourceType": kind, "identifier": [reference["identifier"]]}
    return target


def facility_of(request: RequestBundle) -> Party | None:
    """Claim.facility, None where it names nobody in the Bundle."""
    location = request.target(request.claim, request.claim.get("facility"))
    return _party(request, location, PartyRole.FACILITY) if location else None


def _role(member: Json, provider: Json) -> PartyRole:
    named = (_ROLES.get(c["code"]) for c in codings(member.get("role")))
    return next((role for role in named if role), _default_role(provider))


def _default_role(provider: Json) -> PartyRole:
    organization = provider["resourceType"] == "Organization"
    return PartyRole.FACILITY if organization else PartyRole.RENDERING


def _party(request: RequestBundle, resource: Json, role: PartyRole) -> Party:
    """A party from an Organization, Practitioner, Location or PractitionerRole.

    A PractitionerRole lends what its Practitioner, Organization and Locations say, in this order.
    """
    about = [resource, *_behind(request, resource)]
    return Party(
        role=role,
        name=next((n for r in about if (n := _name(r))), None),
        npi=_first(about, *codes.NPI_SYSTEMS),
        tin=_first(about, *codes.TIN),
        ccn=_first(about, codes.CCN),
        ptan=next((p for r in about if (p := _ptan(r))), None),
        state=next((s for r in _places_first(about) if (s := _state(r))), None),
    )


def _behind(request: RequestBundle, resource: Json) -> Iterator[Json]:
    if resource["resourceType"] == "Location":
        references = [resource.get("managingOrganization")]
    else:
        references = [
            resource.get("practitioner"),
            resource.get("organization"),
            *resource.get("location", ()),
        ]
    for reference in references:
        target = request.target(resource, reference)
        if target is not None:
            yield target


def _places_first(about: list[Json]) -> list[Json]:
    """A role's place of work tells the state better than the practitioner's own address."""
    return sorted(about, key=lambda r: r["resourceType"] != "Location")


def _first(about: list[Json], *systems: str) -> str | None:
    return next((v for r in about if (v := identifier_in(r, *systems))), None)


def _name(resource: Json) -> str | None:
    name = resource.get("name")
    if isinstance(name, list):
        human = name[0] if name else {}
        parts = [*human.get("given", ()), human.get("family")]
        return " ".join(p for p in parts if p) or human.get("text")
    return name


def _ptan(resource: Json) -> str | None:
    """PTAN has no agreed system: an identifier whose type text says so."""
    return next(
        (
            i["value"]
            for i in resource.get("identifier", ())
            if i.get("value") and (i.get("type") or {}).get("text") == "PTAN"
        ),
        None,
    )


def _state(resource: Json) -> str | None:
    address = resource.get("address") or {}
    first = (
        next((a for a in address if a.get("state")), {}) if isinstance(address, list) else address
    )
    state = (first.get("state") or "").strip().upper()
    return state if _STATE.fullmatch(state) else None
