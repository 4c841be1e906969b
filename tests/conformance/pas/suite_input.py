"""What the public PAS server suites ask of the Bundles that a tester hands them, said again."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from tests.bundle_values import Json, Line

PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
SUBMIT_PROFILES = (
    *("pas-request-bundle", "claim-update", "coverage", "encounter", "insurer", "requestor"),
    *("beneficiary", "subscriber", "practitioner", "practitionerrole", "servicerequest"),
)
INQUIRE_PROFILES = (
    *("pas-inquiry-request-bundle", "claim-inquiry", "coverage", "insurer", "requestor"),
    *("beneficiary", "subscriber", "practitioner", "practitionerrole"),
)
ORDERS = frozenset({"ServiceRequest", "DeviceRequest", "MedicationRequest", "NutritionOrder"})
# The guides' profiles put these extensions where their own contexts do not allow them. HL7's
# engine says so; the suites pass over exactly that.
MISPLACED: dict[Line, frozenset[str]] = {
    "2.2": frozenset(
        {
            "extension-authorizationNumber",
            "extension-administrationReferenceNumber",
            "extension-infoChanged",
            "modifierextension-infoCancelled",
            "extension-communicatedDiagnosis",
            "extension-productOrServiceCodeEnd",
            "extension-itemAuthorizedProvider",
            "extension-revenueUnitRateLimit",
            "extension-serviceItemRequestType",
            "extension-certificationType",
        }
    ),
    "2.0": frozenset(
        {
            "extension-administrationReferenceNumber",
            "extension-communicatedDiagnosis",
            "extension-productOrServiceCodeEnd",
        }
    ),
}
_NOT_ALLOWED = re.compile(r"/([\w-]+)(?: v[\d.]+)? is not allowed to be used at this point")
_RANDOM_UUID = re.compile(
    r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
)


def bundles(content: Json | list[Json]) -> list[Json]:
    """What goes into a field: one Bundle, or several."""
    return content if isinstance(content, list) else [content]


def resources(sent: Sequence[Json]) -> list[Json]:
    """Bundles, and everything in them."""
    return [each for bundle in sent for each in (bundle, *held(bundle))]


def held(bundle: Json) -> Iterator[Json]:
    """The resources of a Bundle."""
    return (entry["resource"] for entry in bundle["entry"])


def is_misplaced(words: str, line: Line) -> bool:
    """Whether the engine minds nothing but where the guide itself puts an extension."""
    found = _NOT_ALLOWED.search(words)
    return found is not None and found[1] in MISPLACED[line]


def structure_faults(bundle: Json, operation: str) -> Iterator[str]:
    """What is wrong with the shape of a request or inquiry Bundle.

    Source: Inferno PAS kit 0.15.1, request bundle validation.
    """
    entries = bundle["entry"]
    claim = entries[0]["resource"]
    if claim["resourceType"] != "Claim":
        yield "the first entry is no Claim"
    for entry in entries:
        if not _RANDOM_UUID.fullmatch(entry["fullUrl"]):
            yield f"{entry['fullUrl']} is no random UUID"
    for name in ("patient", "provider", "insurer"):
        if "reference" not in claim.get(name, {}):
            yield f"{operation}: the Claim names no {name}"
    sequences = [each["sequence"] for each in claim.get("supportingInfo", ())]
    if len(set(sequences)) < len(sequences):
        yield "a sequence of supportingInfo is used twice"
    yield from unresolved(bundle)


def unresolved(bundle: Json) -> Iterator[str]:
    """References that lead to no entry or to several, as far as one can follow them.

    What a Claim changes is followed from the first Claim alone.
    """
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    by_url = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    seen: set[str] = set()
    todo: list[Json] = [bundle["entry"][0]["resource"]]
    while todo:
        resource = todo.pop()
        followed = {k: v for k, v in resource.items() if k != "related" or not seen}
        for reference in references(followed):
            if urls.count(reference) != 1:
                yield f"{reference} is in the Bundle {urls.count(reference)} times"
            elif reference not in seen:
                seen.add(reference)
                todo.append(by_url[reference])


def references(value: Any) -> Iterator[str]:
    """Every literal reference below a value."""
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from references(inner)
