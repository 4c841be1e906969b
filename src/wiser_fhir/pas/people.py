"""Whom a part of a request is about."""

from collections.abc import Iterator
from enum import Enum

from wiser_fhir.fhir.elements import Json
from wiser_fhir.pas.request import RequestBundle


class About(Enum):
    """Whether something is about the Claim's patient."""

    THE_PATIENT = "the patient"
    SOMEBODY_ELSE = "somebody else"
    NOBODY_KNOWN = "nobody known"


def about(request: RequestBundle, around: RequestBundle, holder: Json, subject: Json) -> About:
    """Whom a subject, as seen from its holder in the Bundle `around`, leads to.

    The Claim's patient is the same entry, or an equal copy of it.
    """
    named = followed(request, around, holder, subject)
    if named is None:
        return About.NOBODY_KNOWN
    patient = request.patient
    if patient is None or not _same(request, around, named, patient):
        return About.SOMEBODY_ELSE
    return About.THE_PATIENT


def followed(
    request: RequestBundle, around: RequestBundle, holder: Json, reference: Json
) -> Json | None:
    """Where a Reference leads, as seen from its holder in the Bundle `around`.

    One that leads nowhere inside that Bundle is followed from its place, or the Claim's, in the
    request.
    """
    if "reference" not in reference:
        return None
    return (
        around.target(holder, reference)
        or request.references.resolve(reference["reference"], around.references.full_url(holder))
        or request.target(request.claim, reference)
    )


def placed_resources(request: RequestBundle) -> Iterator[tuple[Json, Json, RequestBundle]]:
    """Every resource of a request, also inside a Bundle of forms or contained in another.

    Each with the one that holds it, itself or another, and the Bundle it stands in.
    """
    for resource in _entries(request):
        if resource["resourceType"] != "Bundle":
            yield from _with_contained(resource, request)
            continue
        inner = RequestBundle.of(resource)
        for each in _entries(inner):
            yield from _with_contained(each, inner)


def _entries(bundle: RequestBundle) -> Iterator[Json]:
    entries = (entry.get("resource") for entry in bundle.bundle.get("entry", ()))
    return (resource for resource in entries if resource is not None)


def _with_contained(
    resource: Json, around: RequestBundle
) -> Iterator[tuple[Json, Json, RequestBundle]]:
    yield resource, resource, around
    for inside in resource.get("contained", ()):
        yield inside, resource, around


def _same(request: RequestBundle, around: RequestBundle, named: Json, patient: Json) -> bool:
    """Equal records are one person's where they identify one, or have the same address."""
    if named is patient:
        return True
    full_url = request.references.full_url(patient)
    same_place = full_url is not None and full_url == around.references.full_url(named)
    return named == patient and (same_place or bool(patient.get("identifier")))
