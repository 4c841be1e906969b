"""Who may deliver what is authorized, as an answer names them."""

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json, without_empty
from wiser_fhir.intake.parties import npis_of
from wiser_fhir.pas.building import concept, nested, told
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.answer import AuthorizedProvider

_KINDS = ("Practitioner", "Organization")


def provider_extension(
    provider: AuthorizedProvider, request: RequestBundle, line: Line, *, of_item: bool = True
) -> Json:
    """Source: PAS 2.2.1 and 2.0.1, extension-itemAuthorizedProvider (role and qualification: 2.2).

    The two lines name the type of provider by different urls, and 2.2 lets it stand on items only.
    """
    parts = [told("provider", valueReference=provider_reference(provider, request))]
    if provider.entity is not None and of_item:
        url = codes.AUTHORIZED_PROVIDER_TYPE if line == "2.2" else "providerType"
        parts.append(_coded(url, codes.X12_ENTITY, provider.entity))
    if line == "2.2" and provider.role is not None:
        parts.append(_coded("role", codes.CARE_TEAM_ROLE, provider.role))
    if line == "2.2" and provider.qualification is not None:
        parts.append(_coded("qualification", codes.PROVIDER_TAXONOMY, provider.qualification))
    return nested(codes.ITEM_AUTHORIZED_PROVIDER, parts)


def added_provider(provider: AuthorizedProvider, request: RequestBundle, line: Line) -> Json:
    """A provider of an added item; line 2.0 has no word for the type of one.

    Source: PAS 2.2.1, ClaimResponse.addItem.provider.
    """
    reference = provider_reference(provider, request)
    if provider.entity is None or line == "2.0":
        return reference
    kind = _coded(codes.AUTHORIZED_PROVIDER_TYPE, codes.X12_ENTITY, provider.entity)
    return {"extension": [kind], **reference}


def provider_reference(provider: AuthorizedProvider, request: RequestBundle) -> Json:
    """The request's own entry for the provider; where it has none, the NPI and the name.

    The guide wants a Practitioner or an Organization, so a role stands for whose it is.
    """
    entry = _named(provider, request) or _with_npi(provider, request)
    if entry is not None:
        return {"reference": entry}
    npi = {"system": codes.NPI, "value": provider.npi} if provider.npi else None
    display = provider.name if npi else provider.name or provider.reference
    return without_empty({"identifier": npi, "display": display})


def _named(provider: AuthorizedProvider, request: RequestBundle) -> str | None:
    if provider.reference is None:
        return None
    named = request.target(request.claim, {"reference": provider.reference})
    if named is not None and named["resourceType"] == "PractitionerRole":
        whose = named.get("practitioner") or named.get("organization")
        named = request.target(named, whose)
    if named is None or named["resourceType"] not in _KINDS:
        return None
    return request.references.full_url(named)


def _with_npi(provider: AuthorizedProvider, request: RequestBundle) -> str | None:
    entries = (entry["resource"] for entry in request.bundle["entry"])
    return next(
        (
            request.references.full_url(resource)
            for resource in entries
            if resource["resourceType"] in _KINDS and provider.npi in npis_of(resource)
        ),
        None,
    )


def _coded(url: str, system: str, code: str) -> Json:
    return told(url, valueCodeableConcept=concept(system, code))
