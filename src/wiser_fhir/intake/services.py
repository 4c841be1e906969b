"""What is asked for, and where: codes and sites from CodeableConcepts."""

from wiser_fhir.coverage.requested import Code
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import Json, code_in, codings
from wiser_fhir.priorauth.models import Site, SiteKind


def codes_of(concept: Json | None) -> tuple[Code, ...]:
    """The codings of a concept that carry a code, in their order."""
    return tuple(Code(c.get("system", ""), c["code"]) for c in codings(concept))


def site_of(concept: Json | None) -> Site | None:
    """The place of service, or the type of bill, that a concept names."""
    place = code_in(concept, codes.PLACE_OF_SERVICE)
    if place:
        return Site(SiteKind.PLACE_OF_SERVICE, place)
    bill = code_in(concept, codes.TYPE_OF_BILL)
    if bill:
        return Site(SiteKind.BILL_TYPE, bill)
    other = codings(concept)
    return Site(SiteKind.OTHER, other[0]["code"]) if other else None
