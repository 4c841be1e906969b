"""Made-up people, places and orders with every element that the guides mark as must support."""

from typing import Any

from tests.bundle_resources import (
    NPI_SYSTEM,
    PAS,
    X12,
    address,
    concept,
    practitioner_role,
    procedure,
    resource,
)
from tests.bundle_values import Asked, Json
from tests.coverage_information import coverage_information

TIN_SYSTEM = "http://terminology.hl7.org/NamingSystem/USEIN"
PAYER_ID = "http://hl7.org/fhir/us/carin-bb/CodeSystem/C4BBIdentifierType"
TAXONOMY = "http://nucc.org/provider-taxonomy"
PAIN_MEDICINE = "208VP0000X"
US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
_TERMS = "http://terminology.hl7.org/CodeSystem/"
_RACE_AND_ETHNICITY = "urn:oid:2.16.840.1.113883.6.238"
_NUBC = "https://www.nubc.org/CodeSystem/"


def phone(number: str = "555-0100", **more: str) -> Json:
    """A telephone that rings nowhere."""
    return {"system": "phone", "value": number, **more}


def whole(bundle: Json, asked: Asked) -> dict[str, Json]:
    """The resources of a request by the names its builder gave them, made complete.

    What came with the request stays as it is but for what is added; new ones are an Endpoint, an
    Encounter and, in line 2.2, the Condition it is for.
    """
    found = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    names = ("requestor", "insurer", "coverage", "patient", "practitioner", "facility", "location")
    known = {name: found[asked.full_url(name)] for name in names}
    return {
        "requestor": requestor(known["requestor"]),
        "insurer": insurer(known["insurer"]),
        "coverage": coverage(known["coverage"], asked),
        "patient": patient(known["patient"], asked),
        "practitioner-role": role(asked),
        "practitioner": known["practitioner"] | {"telecom": [phone("555-0101")]},
        "facility": known["facility"],
        "location": known["location"],
        "endpoint": endpoint(),
        "encounter": encounter(asked),
        **({"condition": condition(asked)} if asked.line == "2.2" else {}),
    }


def requestor(known: Json) -> Json:
    """The organization that asks."""
    return known | {"telecom": [phone()]}


def insurer(known: Json) -> Json:
    """The payer, by every number a payer may have."""
    payer_id = {
        "type": concept(PAYER_ID, "payerid"),
        "system": "https://wiser-fhir.example/payer-id",
        "value": "WISER",
    }
    numbers = [
        {"system": NPI_SYSTEM, "value": "1999000080"},
        {"system": TIN_SYSTEM, "value": "000000002"},
        payer_id,
    ]
    return known | {
        "identifier": [*known["identifier"], *numbers],
        "telecom": [phone("555-0102")],
        "address": [address("TX")],
    }


def coverage(known: Json, asked: Asked) -> Json:
    """The beneficiary's own insurance: subscriber and beneficiary are one person."""
    classes = [
        {"type": concept(_TERMS + "coverage-class", kind), "value": value, "name": name}
        for kind, value, name in (
            ("group", "ORIGINAL", "Made-up Original Medicare"),
            ("plan", "PART-B", "Made-up Part B"),
        )
    ]
    return known | {
        "subscriber": asked.reference("patient"),
        "period": {"start": "2015-01-01"},
        "class": classes,
    }


def patient(known: Json, asked: Asked) -> Json:
    """The beneficiary, who is the subscriber too."""
    name = {**known["name"][0], "prefix": ["Mx."], "suffix": ["Jr."]}
    home = {**known["address"][0], "district": "Made-up County"}
    if asked.line == "2.0":
        home["period"] = {"start": "2010-01-01"}
    return known | {
        "meta": {"profile": [PAS + "profile-beneficiary", PAS + "profile-subscriber"]},
        **({"extension": _demographics()} if asked.line == "2.0" else {}),
        "name": [name],
        "telecom": [phone("555-0103", use="home")],
        "address": [home],
        "multipleBirthInteger": 1,
        "communication": [{"language": concept("urn:ietf:bcp:47", "en")}],
    }


def _demographics() -> list[Json]:
    """What US Core 3.1.1 asks for."""

    def said(name: str, code: str, text: str) -> Json:
        coded = {"system": _RACE_AND_ETHNICITY, "code": code}
        parts = [
            {"url": "ombCategory", "valueCoding": coded},
            {"url": "text", "valueString": text},
        ]
        return {"url": US_CORE + name, "extension": parts}

    return [
        said("us-core-race", "2106-3", "made up"),
        said("us-core-ethnicity", "2186-5", "made up"),
        {"url": US_CORE + "us-core-birthsex", "valueCode": "UNK"},
    ]


def role(asked: Asked) -> Json:
    """The clinician at the organization that asks, with place and endpoint."""
    return practitioner_role(asked, "practitioner") | {
        "code": [concept(TAXONOMY, PAIN_MEDICINE)],
        "specialty": [concept(TAXONOMY, PAIN_MEDICINE)],
        "location": [asked.reference("location")],
        "endpoint": [asked.reference("endpoint")],
    }


def endpoint() -> Json:
    """Where the clinician's system is reached."""
    return resource(
        "Endpoint",
        None,
        status="active",
        connectionType={
            "system": _TERMS + "endpoint-connection-type",
            "code": "hl7-fhir-rest",
        },
        payloadType=[concept(_TERMS + "endpoint-payload-type", "any")],
        address="https://ehr.sandbox.example/fhir",
    )


def encounter(asked: Asked) -> Json:
    """The visit that is planned."""
    day = asked.service_date.isoformat() if asked.service_date else "2026-12-15"
    last_updated = {"lastUpdated": asked.instant} if asked.line == "2.2" else {}
    attending = concept(_TERMS + "v3-ParticipationType", "ATND")
    line: Json = {}
    if asked.line == "2.2":
        line = {
            "reasonReference": [asked.reference("condition")],
            "serviceProvider": asked.reference("facility"),
        }
    built = resource(
        "Encounter",
        PAS + "profile-encounter",
        extension=[
            _stays("extension-patientStatus", concept(_NUBC + "PatDischargeStatus", "30")),
            _stays("extension-nursingHomeResidentialStatus", concept(X12 + "1345", "2")),
        ],
        identifier=[{"system": "https://ehr.sandbox.example/visit", "value": "V-1"}],
        status="planned",
        **{"class": {"system": _TERMS + "v3-ActCode", "code": "AMB"}},
        type=[concept(_NUBC + "PriorityTypeOfAdmitOrVisit", "3")],
        subject=asked.reference("patient"),
        participant=[
            {
                "type": [attending],
                "period": {"start": day, "end": day},
                "individual": asked.reference("practitioner"),
            }
        ],
        period={"start": day, "end": day},
        reasonCode=[concept("http://hl7.org/fhir/sid/icd-10-cm", asked.diagnosis_codes[0])],
        hospitalization={
            "admitSource": concept(_NUBC + "PointOfOrigin", "1"),
            "dischargeDisposition": concept(_TERMS + "discharge-disposition", "home"),
        },
        location=[{"location": asked.reference("location")}],
        **line,
    )
    return built | {"meta": {**built["meta"], **last_updated}}


def _stays(name: str, value: Json) -> Json:
    return {"url": PAS + name, "valueCodeableConcept": value}


def condition(asked: Asked) -> Json:
    """What the visit is for."""
    return resource(
        "Condition",
        US_CORE + "us-core-condition-encounter-diagnosis",
        clinicalStatus=concept(_TERMS + "condition-clinical", "active"),
        verificationStatus=concept(_TERMS + "condition-ver-status", "confirmed"),
        category=[concept(_TERMS + "condition-category", "encounter-diagnosis")],
        code=concept("http://hl7.org/fhir/sid/icd-10-cm", asked.diagnosis_codes[0]),
        subject=asked.reference("patient"),
    )


def order(known: Json, asked: Asked) -> Json:
    """The order behind a line: a range of codes, a quantity and when."""
    end: dict[str, Any] = {
        "url": PAS + "extension-productOrServiceCodeEnd",
        "valueCodeableConcept": procedure(asked.items[0].code),
    }
    answered = coverage_information(asked.line, "made-up-assertion", asked.reference("coverage"))
    return known | {
        "extension": [end, answered],
        "quantityQuantity": {"value": 1, "system": X12 + "673", "code": "UN"},
        "occurrenceTiming": {"repeat": {"count": 1}},
    }
