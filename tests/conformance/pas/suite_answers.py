"""What the public PAS server suites look at in our answers, said again.

Source: Inferno PAS kit 0.15.1, response bundle validation, decision, update and error tests.
"""

from collections.abc import Iterator
from typing import Any

from tests.bundle_values import Json, Line
from tests.conformance.pas.must_support import profile, values_of
from tests.conformance.pas.suite_input import PAS, held, references

SUBMITTED = {
    "system": "http://terminology.hl7.org/CodeSystem/adjudication",
    "code": "submitted",
}
UNITS = "https://codesystem.x12.org/005010/673"
ACTIONS = "https://codesystem.x12.org/005010/306"
OUTCOMES: dict[Line, frozenset[str]] = {
    "2.2": frozenset({"complete", "error", "partial"}),
    "2.0": frozenset({"queued", "complete", "error", "partial"}),
}
RESPONSES = {"submit": "profile-claimresponse", "inquire": "profile-claiminquiryresponse"}
SUBMIT_PROFILES = (
    *("pas-response-bundle", "claimresponse", "communicationrequest", "task", "insurer"),
    *("requestor", "beneficiary", "practitioner", "practitionerrole"),
)
INQUIRE_PROFILES = (
    *("pas-inquiry-response-bundle", "claiminquiryresponse", "task", "insurer", "requestor"),
    *("beneficiary", "practitioner", "practitionerrole"),
)
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-"
# What line 2.2 holds a resource against that no reference leads to.
_US_CORE_KINDS = (
    *("Coverage", "DocumentReference", "Encounter", "Location", "MedicationRequest"),
    *("Organization", "Patient", "Practitioner", "PractitionerRole", "QuestionnaireResponse"),
    "ServiceRequest",
)


def shape_faults(bundle: Json, line: Line, operation: str) -> Iterator[str]:
    """What is wrong with an answer that no profile says."""
    if (bundle["resourceType"], bundle.get("type")) != ("Bundle", "collection"):
        yield "the answer is no collection"
    wanted = (
        ("timestamp", "identifier") if (line, operation) == ("2.2", "submit") else ("timestamp",)
    )
    yield from (f"the Bundle has no {name}" for name in wanted if name not in bundle)
    for entry in bundle["entry"]:
        if set(entry) - {"id", "extension", "link"} != {"fullUrl", "resource"}:
            yield f"an entry has {', '.join(sorted(entry))}"
    first = bundle["entry"][0]["resource"]
    if first["resourceType"] != "ClaimResponse":
        yield "the first entry is no ClaimResponse"
        return
    yield from _response_faults(first, line)
    yield from _unresolved(bundle)


def _response_faults(response: Json, line: Line) -> Iterator[str]:
    if response.get("outcome") not in OUTCOMES[line]:
        yield f"outcome {response.get('outcome')}"
    if (response["status"], response["use"]) != ("active", "preauthorization"):
        yield "status or use"
    if line == "2.2" and "request" not in response:
        yield "no request"
    for each in adjudications(response):
        if SUBMITTED not in each["category"]["coding"]:
            yield "an adjudication is of another category"
    if line == "2.2":
        for quantity in _quantities(response):
            if "value" not in quantity or not quantity.keys() & {"unit", "code"}:
                yield "a quantity without a value or a unit"
            if "code" in quantity and quantity.get("system") != UNITS:
                yield "a quantity with a unit that is not X12's"


def _quantities(response: Json) -> Iterator[Json]:
    yield from (each["quantity"] for each in response.get("addItem", ()) if "quantity" in each)
    for item in response.get("item", ()):
        for detail in _extensions(item, "extension-itemAuthorizedDetail"):
            yield from (e["valueQuantity"] for e in detail["extension"] if "valueQuantity" in e)


def adjudications(response: Json) -> Iterator[Json]:
    """Every adjudication: of the items asked for, of those added, and of the whole."""
    for holder in (*response.get("item", ()), *response.get("addItem", ()), response):
        yield from holder.get("adjudication", ())


def _extensions(holder: Json, name: str) -> list[Json]:
    return [each for each in holder.get("extension", ()) if each["url"] == PAS + name]


def decisions(bundle: Json) -> set[str]:
    """The X12 codes by which the items of an answer are decided."""
    return {
        coding["code"]
        for resource in held(bundle)
        if resource["resourceType"] == "ClaimResponse"
        for item in resource.get("item", ())
        for adjudication in item["adjudication"]
        for action in _extensions(adjudication, "extension-reviewAction")
        for code in _extensions(action, "extension-reviewActionCode")
        for coding in code["valueCodeableConcept"]["coding"]
        if coding["system"] == ACTIONS
    }


def item_sequences(response: Json) -> list[int]:
    """Which lines an answer is about."""
    return [item["itemSequence"] for item in response.get("item", ())]


def _unresolved(bundle: Json) -> Iterator[str]:
    """References from the answer that lead to no entry or to several.

    What was asked is not sent back, so `request` leads nowhere.
    """
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    for resource in held(bundle):
        followed = {k: v for k, v in resource.items() if k not in ("request", "reasonReference")}
        for reference in references(followed):
            if urls.count(reference) != 1:
                yield f"{resource['resourceType']}: {reference} {urls.count(reference)} times"


def judged_by(bundle: Json, line: Line, operation: str) -> Iterator[tuple[Json, list[str | None]]]:
    """Each resource of an answer with the profiles of which it has to meet one.

    Those that references lead to by the profile of what refers, else those it claims; what nothing
    leads to, in line 2.2, US Core. None stands for base R4.
    """
    by_url = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    found: dict[str, list[str]] = {}
    _follow(bundle["entry"][0]["fullUrl"], PAS + RESPONSES[operation], by_url, line, found)
    for url, resource in by_url.items():
        kind = resource["resourceType"]
        if url in found:
            yield resource, [*found[url]]
        elif line == "2.2" and kind in _US_CORE_KINDS:
            yield resource, [f"{US_CORE}{kind.lower()}|6.1.0"]
        else:
            yield resource, [None]


def _follow(
    url: str, known: str, by_url: dict[str, Json], line: Line, found: dict[str, list[str]]
) -> None:
    profiles = found.setdefault(url, [])
    if known in profiles:
        return
    profiles.append(known)
    resource = by_url[url]
    for claimed in resource.get("meta", {}).get("profile", ()):
        _follow(url, claimed.partition("|")[0], by_url, line, found)
    if not known.startswith(PAS):
        return
    for path, targets in profile(line, known.removeprefix(PAS)).targets:
        for reference in _at(resource, path):
            target = by_url.get(reference.get("reference", ""), {})
            for each in targets:
                if each.startswith(PAS) and _type(each, line) == target.get("resourceType"):
                    _follow(reference["reference"], each, by_url, line, found)


def _type(url: str, line: Line) -> str:
    return profile(line, url.removeprefix(PAS)).type


def _at(value: Json, path: str) -> list[Any]:
    values: list[Any] = [value]
    for step in path.split("."):
        values = [v for each in values if isinstance(each, dict) for v in values_of(each, step)]
    return [each for each in values if isinstance(each, dict)]
