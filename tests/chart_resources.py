"""Hook calls of made-up people: an order, a chart behind it, and the call that asks about it."""

import copy
from typing import Any

Json = dict[str, Any]

SERVER = "https://ehr.sandbox.example/fhir"
CPT = "http://www.ama-assn.org/go/cpt"
SNOMED = "http://snomed.info/sct"
ICD = "http://hl7.org/fhir/sid/icd-10-cm"
NPI = "http://hl7.org/fhir/sid/us-npi"
POS = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
PAYERS = "https://wiser-fhir.example/payer"
ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
INSTANCE = "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"


def concept(code: str, system: str = CPT) -> Json:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code}]}


def service_request(procedure: str = "62323", own: str = "sr1", **elements: Any) -> Json:
    """An order with all that a decision needs."""
    return {
        "resourceType": "ServiceRequest",
        "id": own,
        "status": "draft",
        "intent": "order",
        "code": concept(procedure),
        "subject": {"reference": "Patient/p1"},
        "authoredOn": "2026-11-20",
        "occurrenceDateTime": "2026-12-01",
        "requester": {"reference": "PractitionerRole/role1"},
        "performer": [{"reference": "Practitioner/doc2"}],
        "locationCode": [concept("11", POS)],
        "locationReference": [{"reference": "Location/site1"}],
        "reasonCode": [concept("M54.16", ICD)],
        **elements,
    }


def chart() -> dict[str, Json]:
    """What the EHR holds, by `Type/id`."""
    found: list[Json] = [
        {
            "resourceType": "Patient",
            "id": "p1",
            "identifier": [{"system": "http://hl7.org/fhir/sid/us-mbi", "value": "1EG4TE5MK73"}],
            "name": [{"family": "Example", "given": ["Ada"]}],
            "birthDate": "1950-02-03",
        },
        {
            "resourceType": "Coverage",
            "id": "c1",
            "status": "active",
            "type": concept("121", "https://nahdo.org/sopt"),
            "subscriberId": "1EG4TE5MK73",
            "beneficiary": {"reference": "Patient/p1"},
            "payor": [{"reference": "Organization/payer1"}],
        },
        {
            "resourceType": "Organization",
            "id": "payer1",
            "identifier": [{"system": PAYERS, "value": "original-medicare"}],
            "name": "Made-up Medicare contractor",
        },
        {
            "resourceType": "PractitionerRole",
            "id": "role1",
            "practitioner": {"reference": "Practitioner/doc1"},
            "organization": {"reference": "Organization/clinic1"},
        },
        _practitioner("doc1", "1234567893"),
        _practitioner("doc2", "1902800006"),
        {
            "resourceType": "Organization",
            "id": "clinic1",
            "identifier": [{"system": NPI, "value": "1003000126"}],
            "name": "Made-up Clinic",
            "address": [{"state": "OH"}],
        },
        {
            "resourceType": "Location",
            "id": "site1",
            "name": "Made-up Office",
            "address": {"state": "NJ"},
            "managingOrganization": {"reference": "Organization/clinic1"},
        },
        {
            "resourceType": "Encounter",
            "id": "e1",
            "status": "in-progress",
            "class": {"system": ACT_CODE, "code": "AMB"},
            "subject": {"reference": "Patient/p1"},
        },
    ]
    return {f"{each['resourceType']}/{each['id']}": each for each in found}


def _practitioner(own: str, npi: str) -> Json:
    return {
        "resourceType": "Practitioner",
        "id": own,
        "identifier": [{"system": NPI, "value": npi}],
        "name": [{"family": f"Doctor {own}"}],
    }


def bundle(*resources: Any) -> Json:
    """A Bundle of these."""
    return {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": each} for each in resources],
    }


def hook_call(hook: str, context: Json, line: str | None = "2.2", **elements: Any) -> Json:
    """A call with the whole chart in prefetch, a key each."""
    prefetch = {name.replace("/", ""): each for name, each in chart().items()}
    body = {
        "hook": hook,
        "hookInstance": INSTANCE,
        "fhirServer": SERVER,
        "fhirAuthorization": {"access_token": "made-up-token", "token_type": "Bearer"},
        "context": {"userId": "Practitioner/doc1", "patientId": "p1", **context},
        "prefetch": prefetch,
        **elements,
    }
    if line is not None:
        body.setdefault("extension", {"davinci-crd.requestedVersion": line})
    return copy.deepcopy(body)


def order_sign(*orders: Any, line: str | None = "2.2", **elements: Any) -> Json:
    """An order-sign of these drafts, or of one."""
    drafts = bundle(*(orders or (service_request(),)))
    return hook_call("order-sign", {"draftOrders": drafts, "encounterId": "e1"}, line, **elements)


def order_select(selections: Any, *orders: Any, **elements: Any) -> Json:
    """An order-select."""
    drafts = bundle(*(orders or (service_request(),)))
    context = {"draftOrders": drafts, "selections": selections, "encounterId": "e1"}
    return hook_call("order-select", context, **elements)


def order_dispatch(*names: str, **context: Any) -> Json:
    """An order-dispatch in the shape of 2.2."""
    told = {"dispatchedOrders": list(names), "performer": "Practitioner/doc2", **context}
    body = hook_call("order-dispatch", told)
    del body["context"]["userId"]
    return body


def appointment(**elements: Any) -> Json:
    """An Appointment at the made-up office."""
    return {
        "resourceType": "Appointment",
        "id": "a1",
        "status": "proposed",
        "start": "2026-12-09T09:00:00-05:00",
        "end": "2026-12-09T10:00:00-05:00",
        "participant": [
            {"actor": {"reference": "Patient/p1"}, "status": "accepted"},
            {"actor": {"reference": "Practitioner/doc2"}, "status": "accepted"},
            {"actor": {"reference": "Location/site1"}, "status": "accepted"},
        ],
        **elements,
    }


def appointment_book(*appointments: Any, line: str | None = "2.2", **elements: Any) -> Json:
    """An appointment-book."""
    booked = bundle(*(appointments or (appointment(),)))
    return hook_call("appointment-book", {"appointments": booked}, line, **elements)


def encounter_hook(hook: str = "encounter-start", **elements: Any) -> Json:
    """An encounter-start or encounter-discharge."""
    return hook_call(hook, {"encounterId": "e1"}, **elements)
