"""A validated request or inquiry Bundle: its Claim, and a way to follow references."""

from collections.abc import Iterator
from dataclasses import dataclass

from wiser_fhir.errors import InvalidResource, Problem
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.bundle import References
from wiser_fhir.fhir.elements import Json, codings, extension, extensions, has_profile
from wiser_fhir.intake.member import beneficiary
from wiser_fhir.priorauth.models import Identifier

CANCEL = "3"  # X12 1322
_WRAPPING = frozenset({"resourceType", "id", "parameter"})


@dataclass(frozen=True, slots=True)
class RequestBundle:
    """A validated request Bundle with its Claim (`entry[0]`) and a way to follow references."""

    bundle: Json
    references: References

    @classmethod
    def of(cls, bundle: Json) -> "RequestBundle":
        """The Bundle, indexed."""
        return cls(bundle, References.of(bundle))

    @property
    def claim(self) -> Json:
        """The Claim asked about. Source: PAS 2.2.1 §spec-12."""
        claim: Json = self.bundle["entry"][0]["resource"]
        return claim

    @property
    def identifier(self) -> Identifier:
        """Bundle.identifier, which makes a second sending of the same request recognisable."""
        return identifier_of(self.bundle["identifier"])

    def target(self, holder: Json, reference: Json | None) -> Json | None:
        """The resource a Reference names, as seen from the resource that holds it.

        An entry of the Bundle, or what is contained in the holder or in the Claim.
        """
        if not reference or "reference" not in reference:
            return None
        named: str = reference["reference"]
        if named.startswith("#"):
            first: Json = self.bundle["entry"][0].get("resource", {})
            inside = (*holder.get("contained", ()), *first.get("contained", ()))
            return next((each for each in inside if each.get("id") == named[1:]), None)
        return self.references.resolve(named, self.references.full_url(holder))

    @property
    def patient(self) -> Json | None:
        """The beneficiary."""
        return self.target(self.claim, self.claim.get("patient"))

    @property
    def focal_coverage(self) -> Json | None:
        """The Coverage the request is made under."""
        insurances = self.claim.get("insurance", ())
        focal = next((i for i in insurances if i.get("focal")), None)
        return self.target(self.claim, (focal or {}).get("coverage"))

    @property
    def medicare_number(self) -> str | None:
        """The Medicare number. Trimmed, upper-case, without dashes; None where nobody gives one."""
        return beneficiary(self.patient or {}, self.focal_coverage or {}).mbi

    def is_update(self) -> bool:
        """Whether this changes or cancels an earlier request.

        Source: PAS 2.2.1 §spec-65 (`related`), §spec-69 to §spec-72 (changed and cancelled parts),
        updating section (certification type 3).
        """
        claim = self.claim
        parts = (claim, *claim.get("item", ()), *claim.get("supportingInfo", ()))
        return (
            bool(claim.get("related"))
            or has_profile(claim, codes.CLAIM_UPDATE)
            or any(map(_changes_or_cancels, parts))
        )


def certification_types(part: Json) -> frozenset[str]:
    """Every certification type (X12 1322) that a Claim or an item names."""
    return frozenset(
        coding["code"]
        for kind in extensions(part, codes.CERTIFICATION_TYPE)
        for coding in codings(kind.get("valueCodeableConcept"))
        if coding.get("system") == codes.X12_CERTIFICATION_TYPE
    )


def resources_in(bundle: Json) -> Iterator[Json]:
    """The Bundle itself, and every resource in it at any depth."""
    yield bundle
    for entry in bundle.get("entry", ()):
        resource = entry.get("resource")
        if resource is not None and resource["resourceType"] == "Bundle":
            yield from resources_in(resource)
        elif resource is not None:
            yield resource
            yield from resource.get("contained", ())


def _changes_or_cancels(part: Json) -> bool:
    modifiers = (e.get("url") for e in part.get("modifierExtension", ()))
    return (
        CANCEL in certification_types(part)
        or codes.INFO_CANCELLED in modifiers
        or extension(part, codes.INFO_CHANGED) is not None
    )


def identifier_of(identifier: Json) -> Identifier:
    """A FHIR Identifier as a plain one."""
    return Identifier(identifier.get("system"), identifier.get("value", ""))


def unwrapped(resource: Json) -> Json:
    """The Bundle of a body that wraps it in Parameters, any other as it is. Raises InvalidResource.

    Source: FHIR R4, Operations Framework (a single resource may come bare or inside Parameters).
    """
    parameters = resource.get("parameter")
    if resource.get("resourceType") != "Parameters" or not isinstance(parameters, list):
        return resource
    match parameters:
        case [{"name": "resource", "resource": {"resourceType": _} as inner, **more}] if not more:
            if resource.keys() <= _WRAPPING:
                return dict(inner)
    text = "One parameter named resource with a Bundle was expected."
    raise InvalidResource(text, [Problem("error", "structure", text, "Parameters.parameter")])
