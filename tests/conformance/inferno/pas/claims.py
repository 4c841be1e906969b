"""Claims with everything that the guides mark as must support: a request, and an inquiry."""

from typing import Any

from tests.bundle_resources import HCPCS, PAS, X12, concept, procedure
from tests.bundle_values import Asked, Json
from tests.bundles import REVENUE_SYSTEMS, TEMP_CODES
from tests.conformance.inferno.pas.resources import PAIN_MEDICINE, TAXONOMY

USPS = "https://www.usps.com/"
ENCOUNTER = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Claim.encounter"
STAY = {"start": "2026-12-15", "end": "2026-12-16"}
EARLIER_UTN = "ZZB00000000000"
EARLIER_REFERENCE = "PA-MADE-UP"


def whole_claim(claim: Json, asked: Asked) -> Json:
    """The Claim of a request, made complete: every part of it that the line knows."""
    return _shared(claim, asked) | {
        "extension": _claim_extensions(claim, asked),
        "supportingInfo": [*_document(claim), *_stays(), message(14)],
        "item": [_whole_item(item, asked) for item in claim["item"]],
    }


def whole_inquiry(claim: Json, asked: Asked) -> Json:
    """An inquiry by everything that one can ask by: it names numbers that nobody has."""
    extensions = _claim_extensions(claim, asked, inquiry=True)
    items = [_inquired(number, asked) for number in (1, 2)]
    return _shared(claim, asked) | {
        "extension": extensions,
        "billablePeriod": STAY,
        "supportingInfo": _stays(),
        "item": items,
    }


def _shared(claim: Json, asked: Asked) -> Json:
    """What a request and an inquiry have alike."""
    found = claim | {
        "careTeam": [
            _member(asked, 1, "practitioner-role", "SJ", whole_claim=False),
            _member(asked, 2, "practitioner-role", "DK", whole_claim=True),
            _member(asked, 3, "facility", "FA", whole_claim=True),
        ],
        "diagnosis": [_diagnosis(asked)],
        "accident": {
            "date": "2026-10-01",
            "type": concept(X12 + "1362", "AA"),
            "locationAddress": {"state": "TX", "country": "US"},
        },
    }
    if asked.line == "2.2":
        found["identifier"] = [claim["identifier"][0] | {"extension": _department()}]
    return found


def _department() -> list[Json]:
    place = concept(USPS, "TX")
    return [
        {"url": PAS + "extension-identifierSubDepartment", "valueString": "PAIN-CLINIC"},
        {"url": PAS + "extension-identifierJurisdiction", "valueCodeableConcept": place},
    ]


def _member(asked: Asked, sequence: int, name: str, kind: str, *, whole_claim: bool) -> Json:
    return {
        "extension": [{"url": PAS + "extension-careTeamClaimScope", "valueBoolean": whole_claim}],
        "sequence": sequence,
        "provider": asked.reference(name),
        "role": concept(X12 + "98", kind),
        "qualification": concept(TAXONOMY, PAIN_MEDICINE),
    }


def _diagnosis(asked: Asked) -> Json:
    recorded = {"url": PAS + "extension-diagnosisRecordedDate", "valueDate": "2026-10-02"}
    code = concept("http://hl7.org/fhir/sid/icd-10-cm", asked.diagnosis_codes[0])
    return {
        "extension": [recorded],
        "sequence": 1,
        "diagnosisCodeableConcept": code,
        "type": [concept(TEMP_CODES, "principal")],
    }


def _claim_extensions(claim: Json, asked: Asked, *, inquiry: bool = False) -> list[Json]:
    """What stands at the head of a Claim; line 2.0 knows little of it."""
    level = coded("extension-levelOfServiceCode", "1338", "E")
    visit = [] if inquiry else [{"url": ENCOUNTER, "valueReference": asked.reference("encounter")}]
    kind = [coded("extension-certificationType", "1322", "I")]
    if asked.line == "2.0":
        return [level, *visit, *(kind if inquiry else [])]
    return [_senders(), level, _condition(), _home_health(), *_earlier_numbers(), *visit, *kind]


def _senders() -> Json:
    names = {
        "applicationSenderCode": "SANDBOX-EHR",
        "applicationReceiverCode": "WISER-FHIR",
        "interchangeSenderID": "SANDBOX-SENDER",
        "interchangeReceiverID": "WISER-RECEIVER",
    }
    parts = [{"url": url, "valueString": value} for url, value in names.items()]
    return {"url": PAS + "extension-TransmissionIdentifiers", "extension": parts}


def _condition() -> Json:
    parts = [
        {"url": "category", "valueCodeableConcept": concept(X12 + "1136", "07")},
        {"url": "indicator", "valueBoolean": True},
        {"url": "code", "valueCodeableConcept": concept(X12 + "1321", "09")},
    ]
    return {"url": PAS + "extension-conditionCode", "extension": parts}


def _home_health() -> Json:
    parts = [
        {"url": "prognosis", "valueCodeableConcept": concept(X12 + "923", "3")},
        {"url": "date", "valueDate": "2026-12-15"},
    ]
    return {"url": PAS + "extension-homeHealthCareInformation", "extension": parts}


def _earlier_numbers() -> list[Json]:
    return [
        {"url": PAS + "extension-authorizationNumber", "valueString": EARLIER_UTN},
        {
            "url": PAS + "extension-administrationReferenceNumber",
            "valueString": EARLIER_REFERENCE,
        },
    ]


def coded(extension: str, element: str, code: str) -> Json:
    """An extension that holds a code of X12."""
    return {"url": PAS + extension, "valueCodeableConcept": concept(X12 + element, code)}


def _document(claim: Json) -> list[Json]:
    """What came along, less the forms: their kind is nobody's must support."""
    found: list[Json] = claim["supportingInfo"][:1]
    return found


def _information(sequence: int, kind: str, **value: Any) -> Json:
    return {"sequence": sequence, "category": concept(TEMP_CODES, kind), **value}


def _stays() -> list[Json]:
    return [
        _information(11, "patientEvent", timingPeriod=STAY),
        _information(12, "admissionDates", timingPeriod=STAY),
        _information(13, "dischargeDates", timingDate=STAY["end"]),
    ]


def days() -> list[Json]:
    """The same event and admission, each told by its day."""
    return [
        _information(11, "patientEvent", timingDate=STAY["start"]),
        _information(12, "admissionDates", timingDate=STAY["start"]),
    ]


def message(sequence: int) -> Json:
    """A word to the reviewer."""
    return _information(sequence, "freeFormMessage", valueString="Made-up message to the reviewer.")


def _whole_item(item: Json, asked: Asked) -> Json:
    first = item["sequence"] == 1
    return item | {
        "extension": [*item["extension"], *_earlier_numbers(), *_item_details(item, asked)],
        "careTeamSequence": [1],
        "informationSequence": [1, 11],
        "revenue": concept(REVENUE_SYSTEMS[asked.line], "0360"),
        "modifier": [procedure("KX", HCPCS)],
        **({} if first else _period(item)),
        "unitPrice": {"value": 250.5, "currency": "USD"},
    }


def _period(item: Json) -> Json:
    """A line is served on a day or over a time: one line of each."""
    day = item.pop("servicedDate")
    return {"servicedPeriod": {"start": day, "end": day}}


def _item_details(item: Json, asked: Asked) -> list[Json]:
    return [
        *_code_end(item["productOrService"], asked),
        {"url": PAS + "extension-epsdtIndicator", "valueBoolean": False},
        coded("extension-nursingHomeResidentialStatus", "1345", "2"),
        coded("extension-nursingHomeLevelOfCare", "1337", "1"),
        {"url": PAS + "extension-revenueUnitRateLimit", "valueDecimal": 100.0},
    ]


def _code_end(code: Json, asked: Asked) -> list[Json]:
    """A range that ends where it begins; PAS 2.0.1 has none on the item of a request."""
    if asked.line == "2.0":
        return []
    return [{"url": PAS + "extension-productOrServiceCodeEnd", "valueCodeableConcept": code}]


def _inquired(number: int, asked: Asked) -> Json:
    code = procedure(asked.items[0].code)
    trace = {"system": "https://ehr.sandbox.example/item-trace", "value": f"asked-for-{number}"}
    dates = ("IssueDate", "EffectiveDate", "ExpirationDate")
    day = "2026-12-15"
    return {
        "extension": [
            {"url": PAS + "extension-itemTraceNumber", "valueIdentifier": trace},
            *_earlier_numbers(),
            coded("extension-serviceItemRequestType", "1525", "HS"),
            coded("extension-certificationType", "1322", "I"),
            *_code_end(code, asked),
            *({"url": f"{PAS}extension-itemCertification{d}", "valueDate": day} for d in dates),
            coded("extension-reviewActionCode", "306", "A1"),
        ],
        "sequence": number,
        "careTeamSequence": [1],
        "diagnosisSequence": [1],
        "informationSequence": [11],
        "revenue": concept(REVENUE_SYSTEMS[asked.line], "0360"),
        "category": concept(X12 + "1365", "2"),
        "productOrService": code,
        "modifier": [procedure("KX", HCPCS)],
        **({"servicedDate": day} if number == 1 else {"servicedPeriod": STAY}),
        "locationCodeableConcept": concept(
            "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set",
            "24",
        ),
        "quantity": {"value": 1, "system": X12 + "673", "code": "UN"},
    }
