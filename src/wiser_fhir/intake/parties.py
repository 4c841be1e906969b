"""A provider as a plain party: from an Organization, Practitioner, Location or PractitionerRole."""

import re
from collections.abc import Collection, Iterator

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import Json, identifier_in
from wiser_fhir.intake.resolver import Resolver
from wiser_fhir.priorauth.models import Party, PartyRole

_STATE = re.compile("[A-Z]{2}")


def party(resolver: Resolver, resource: Json, role: PartyRole) -> Party:
    """A party from an Organization, Practitioner, Location or PractitionerRole.

    A PractitionerRole lends what its Practitioner, Organization and Locations say, in this order.
    """
    about = [resource, *behind(resolver, resource)]
    return Party(
        role=role,
        name=next((n for r in about if (n := _name(r))), None),
        npi=_first(about, *codes.NPI_SYSTEMS),
        tin=_first(about, *codes.TIN),
        ccn=_first(about, codes.CCN),
        ptan=next((p for r in about if (p := _ptan(r))), None),
        state=next((s for r in _places_first(about) if (s := _state(r))), None),
    )


def behind(resolver: Resolver, resource: Json) -> Iterator[Json]:
    """What stands behind a provider: whom a role is of, and where."""
    if resource["resourceType"] == "Location":
        references = [resource.get("managingOrganization")]
    else:
        references = [
            resource.get("practitioner"),
            resource.get("organization"),
            *resource.get("location", ()),
        ]
    for reference in references:
        target = resolver.target(resource, reference)
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


def named(resolver: Resolver, holder: Json, reference: Json | None) -> Json | None:
    """Whom a Reference names. By identifier alone it is still somebody with that identifier."""
    target = resolver.target(holder, reference)
    if target is None and reference and "identifier" in reference:
        kind = reference.get("type", "Practitioner")
        return {"resourceType": kind, "identifier": [reference["identifier"]]}
    return target


def npis_of(resource: Json) -> frozenset[str]:
    """The NPIs of a resource, under either name of the system."""
    return _numbers_of(resource, codes.NPI_SYSTEMS)


def tins_of(resource: Json) -> frozenset[str]:
    """The taxpayers' numbers of a resource, as sent, under either name of the system."""
    return _numbers_of(resource, codes.TIN)


def _numbers_of(resource: Json, systems: Collection[str]) -> frozenset[str]:
    return frozenset(
        i["value"]
        for i in resource.get("identifier", ())
        if isinstance(i, dict) and i.get("system") in systems and i.get("value")
    )
