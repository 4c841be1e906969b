"""Calls of `$questionnaire-package`, as an EHR would make them."""

from typing import Any

from tests.bundle_values import Line

Json = dict[str, Any]

CPT = "http://www.ama-assn.org/go/cpt"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
MBI = "1EG4TE5MK73"
BASES: dict[Line, str] = {
    "2.2": "https://wiser-fhir.example/fhir",
    "2.0": "https://wiser-fhir.example/v2.0/fhir",
}
# A procedure code of each service that is asked about, by the name of its form.
CODES = {
    "cervical-fusion": "22554",
    "electrical-nerve-stimulators": "63655",
    "epidural-steroid-injection": "62321",
    "hypoglossal-nerve-stimulation": "64582",
    "incontinence-control-devices": "53440",
    "induced-lesions-nerve-tracts": "64605",
    "knee-arthroscopy-oa": "29877",
    "penile-prosthesis": "54400",
    "percutaneous-vertebral-augmentation": "22510",
    "phrenic-nerve-stimulator": "33276",
    "sacral-nerve-stimulation": "64561",
    "skin-substitutes": "15271",
    "vagus-nerve-stimulation": "64568",
}
DELAYED = "61867"
UNKNOWN = "99213"
# Those whose form leaves questions out by earlier answers.
ADAPTIVE = frozenset(CODES) - {
    "electrical-nerve-stimulators",
    "induced-lesions-nerve-tracts",
    "knee-arthroscopy-oa",
    "sacral-nerve-stimulation",
}


def a_coverage(**changes: Any) -> Json:
    """Original Medicare, as little of it as FHIR wants."""
    return {
        "resourceType": "Coverage",
        "id": "coverage-1",
        "status": "active",
        "subscriberId": MBI,
        "beneficiary": {"reference": "Patient/patient-1"},
        "payor": [{"display": "Medicare"}],
    } | changes


def an_order(code: str = "64483", system: str = CPT, **changes: Any) -> Json:
    """An order for a procedure."""
    return {
        "resourceType": "ServiceRequest",
        "id": "order-1",
        "status": "draft",
        "intent": "order",
        "code": {"coding": [{"system": system, "code": code}]},
        "subject": {"reference": "Patient/patient-1"},
    } | changes


def canonical(line: Line, name: str, version: str | None = None) -> str:
    """The address of a form."""
    url = f"{BASES[line]}/Questionnaire/{name}"
    return f"{url}|{version}" if version else url


def parameter(name: str, key: str, value: Any) -> Json:
    """One parameter."""
    return {"name": name, key: value}


def a_call(
    *orders: Json,
    coverage: Json | None = None,
    questionnaires: tuple[str, ...] = (),
    context: str | None = None,
    since: str | None = None,
    more: tuple[Json, ...] = (),
) -> Json:
    """A call for orders, forms by name, a context, or any of these."""
    given = [parameter("coverage", "resource", coverage or a_coverage())]
    given += [parameter("order", "resource", order) for order in orders]
    given += [parameter("questionnaire", "valueCanonical", each) for each in questionnaires]
    if context is not None:
        given.append(parameter("context", "valueString", context))
    if since is not None:
        given.append(parameter("changedsince", "valueInstant", since))
    return {"resourceType": "Parameters", "parameter": [*given, *more]}
