"""Whatever the guide says a request may carry is taken; what it does not know is passed over."""

from typing import Any

import pytest

from tests.bundle_resources import HCPCS, X12, concept
from tests.bundles import TEMP_CODES, Json, Line, request_bundle
from tests.integration.pas.door import CARE_UNMET, MET, Client, actions, claim_response
from wiser_fhir.fhir import codes

PAS = codes.PAS
CPT = "http://www.ama-assn.org/go/cpt"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"


def _claim(bundle: Json) -> Json:
    claim: Json = bundle["entry"][0]["resource"]
    return claim


def _add(bundle: Json, resource: Json) -> Json:
    """Another entry; the reference to it."""
    url = f"urn:uuid:00000000-0000-4000-8000-{len(bundle['entry']):012d}"
    bundle["entry"].append({"fullUrl": url, "resource": resource})
    return {"reference": url}


def _info(sequence: int, slice_code: str, **elements: Any) -> Json:
    return {"sequence": sequence, "category": concept(TEMP_CODES, slice_code), **elements}


def _with_everything(line: Line) -> Json:
    """Elements of Claim and its items that the model has no use for."""
    bundle = request_bundle(line, answers=MET)
    claim = _claim(bundle)
    claim["supportingInfo"] += [
        _info(11, "patientEvent", timingPeriod={"start": "2026-12-15", "end": "2026-12-16"}),
        _info(12, "admissionDates", timingDate="2026-12-15"),
        _info(13, "dischargeDates", timingDate="2026-12-16"),
        _info(14, "freeFormMessage", valueString="Made-up message."),
    ]
    claim["accident"] = {
        "date": "2026-10-01",
        "type": concept(X12 + "1362", "AA"),
        "locationAddress": {"state": "TX", "country": "US"},
    }
    claim["diagnosis"][0]["extension"] = [
        {"url": PAS + "extension-diagnosisRecordedDate", "valueDate": "2026-10-02"}
    ]
    (item,) = claim["item"]
    item["extension"] += [
        {"url": PAS + "extension-epsdtIndicator", "valueBoolean": False},
        {
            "url": PAS + "extension-productOrServiceCodeEnd",
            "valueCodeableConcept": concept(CPT, "64484"),
        },
        {
            "url": PAS + "extension-nursingHomeLevelOfCare",
            "valueCodeableConcept": concept(X12 + "1337", "1"),
        },
        {"url": PAS + "extension-revenueUnitRateLimit", "valueDecimal": 100.0},
    ]
    item["informationSequence"] = [1, 11]
    item["unitPrice"] = {"value": 250.5, "currency": "USD"}
    return bundle


async def test_a_request_with_every_element_is_taken(client: Client, line: Line) -> None:
    """Taken, not affirmed: it names numbers given before and a range of codes."""
    answer = await client.at(line).submit(_with_everything(line))
    assert actions(claim_response(answer)) == {1: "A4"}


async def test_what_is_not_asked_for_is_ignored(client: Client, line: Line) -> None:
    """Elements of R4 that the profiles do not mention, and an extension of nobody we know."""
    bundle = request_bundle(line, answers=MET)
    claim = _claim(bundle)
    claim["language"] = "en"
    claim["fundsReserve"] = {"text": "none"}
    claim.setdefault("extension", []).append(
        {"url": "https://ehr.sandbox.example/extension", "valueString": "own"}
    )
    answer = await client.at(line).submit(bundle)
    assert actions(claim_response(answer)) == {1: "A1"}


async def test_an_unknown_modifier_is_never_affirmed_unread(client: Client, line: Line) -> None:
    """What may turn a meaning around is refused, or is for a person."""
    bundle = request_bundle(line, answers=MET)
    modifier = {"url": "https://ehr.sandbox.example/not", "valueBoolean": True}
    _claim(bundle)["item"][0]["modifierExtension"] = [modifier]
    answer = await client.at(line).submit(bundle)
    assert answer.status_code in (400, 422) or actions(claim_response(answer)) == {1: "A4"}


def _clinical(patient: Json, profile: str | None) -> list[Json]:
    meta = {"meta": {"profile": [f"{US_CORE}{profile}"]}} if profile else {}
    terms = "http://terminology.hl7.org/CodeSystem/"
    return [
        {
            "resourceType": "Condition",
            **meta,
            "clinicalStatus": concept(f"{terms}condition-clinical", "active"),
            "verificationStatus": concept(f"{terms}condition-ver-status", "confirmed"),
            "category": [concept(f"{terms}condition-category", "encounter-diagnosis")],
            "code": concept("http://hl7.org/fhir/sid/icd-10-cm", "M54.16"),
            "subject": patient,
        },
        {
            "resourceType": "Observation",
            "status": "final",
            "category": [concept(f"{terms}observation-category", "survey")],
            "code": concept("http://loinc.org", "72514-3"),
            "subject": patient,
            "effectiveDateTime": "2026-11-01",
            "valueInteger": 7,
        },
        {
            "resourceType": "Procedure",
            "status": "completed",
            "code": concept(CPT, "97110"),
            "subject": patient,
            "performedDateTime": "2026-10-01",
        },
    ]


@pytest.mark.parametrize(
    "profile", [None, "us-core-condition|3.1.1", "us-core-condition-encounter-diagnosis"]
)
async def test_us_core_resources_of_each_version_are_taken(
    profile: str | None, client: Client, line: Line
) -> None:
    """Taken, and no evidence as long as the Claim does not point at them."""
    bundle = request_bundle(line, answers=MET, evidence=False)
    for resource in _clinical(_claim(bundle)["patient"], profile):
        _add(bundle, resource)
    answer = await client.at(line).submit(bundle)
    assert actions(claim_response(answer)) == {1: "A4"}


def _orders(bundle: Json, line: Line) -> dict[str, Json]:
    """An order of each kind beside the ServiceRequest that the builder itself sends."""
    urls = {e["resource"]["resourceType"]: e["fullUrl"] for e in bundle["entry"]}
    patient, role = _claim(bundle)["patient"], {"reference": urls["PractitionerRole"]}
    # CRD 2.0.1 lets no role order a medication, and knows orders only while they are drafts.
    who = {"reference": urls["Practitioner"]} if line == "2.0" else role
    base = {"status": "draft" if line == "2.0" else "active", "intent": "order"}
    drug = concept("http://www.nlm.nih.gov/research/umls/rxnorm", "1658634")
    return {
        "DeviceRequest": {
            **base,
            "codeCodeableConcept": concept(HCPCS, "E0748"),
            "subject": patient,
            "occurrenceTiming": {"repeat": {"count": 1}},
            "authoredOn": "2026-11-20",
            "requester": role,
        },
        "MedicationRequest": {
            **base,
            "medicationCodeableConcept": drug,
            "subject": patient,
            "authoredOn": "2026-11-20",
            "requester": who,
        },
        "NutritionOrder": {
            **base,
            "patient": patient,
            "dateTime": "2026-11-20",
            "orderer": role,
            "oralDiet": {"type": [concept(HCPCS, "S9470")]},
        },
    }


@pytest.mark.parametrize("kind", ["DeviceRequest", "MedicationRequest", "NutritionOrder", None])
async def test_an_order_of_each_kind_is_taken(kind: str | None, client: Client, line: Line) -> None:
    bundle = request_bundle(line, answers=CARE_UNMET, order=kind is None)
    if kind is not None:
        order = _add(bundle, {"resourceType": kind, **_orders(bundle, line)[kind]})
        extension = {"url": PAS + "extension-requestedService", "valueReference": order}
        _claim(bundle)["item"][0]["extension"].append(extension)
    answer = await client.at(line).submit(bundle)
    assert actions(claim_response(answer)) == {1: "A4"}
