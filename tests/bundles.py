"""PAS request and inquiry Bundles of either line, for tests, the demo and the docs.

`request_bundle("2.2", service="skin-substitutes", answers=affirming_answers("skin-substitutes"))`
is a request that a test can send; every field of `Asked` is a keyword that varies it. A Bundle is
plain JSON values: a test that wants it broken changes it.
"""

import json
from pathlib import Path
from typing import Any

from tests import bundle_resources as parts
from tests.bundle_resources import PAS, X12, concept, procedure, resource
from tests.bundle_values import MEMBERS, USUAL, Asked, Form, Item, Json, Line, Member, valid_npi
from wiser_fhir.coverage import catalogue

__all__ = [
    "MEMBERS",
    "USUAL",
    "Asked",
    "Form",
    "Item",
    "Json",
    "Line",
    "Member",
    "affirming_answers",
    "as_bytes",
    "inquiry_bundle",
    "request_bundle",
    "valid_npi",
]

POS_SYSTEM = "https://www.cms.gov/Medicare/Coding/place-of-service-codes/Place_of_Service_Code_Set"
BILL_TYPE_SYSTEM = "https://www.nubc.org/CodeSystem/TypeOfBill"
REVENUE_SYSTEMS = {
    "2.2": "https://www.nubc.org/CodeSystem/RevenueCodes",
    "2.0": "https://www.nubc.org/revenue-code",
}
TEMP_CODES = "http://hl7.org/fhir/us/davinci-pas/CodeSystem/PASTempCodes"


def request_bundle(line: Line = "2.2", **fields: Any) -> Json:
    """A request Bundle; `fields` are those of `Asked`. `entry[0]` is the Claim.

    Source: PAS 2.2.1 and 2.0.1, profile-pas-request-bundle.
    """
    asked = Asked(line=line, **fields)
    forms = {f"form-{n}": sent for n, sent in enumerate(asked.all_forms, start=1)}
    resources = {
        "claim": _claim(asked, documents=[*(["document"] if asked.evidence else []), *forms]),
        **_insured(asked),
        **_providers(asked),
        **({"order": parts.order(asked)} if asked.order else {}),
        **({"document": parts.document(asked)} if asked.evidence else {}),
        **{name: parts.form(asked, sent, name) for name, sent in forms.items()},
    }
    if any(sent.about_another for sent in forms.values()):
        resources["another-patient"] = parts.another_patient(asked)
    return _bundle(asked, "profile-pas-request-bundle", resources)


def inquiry_bundle(
    line: Line = "2.2",
    *,
    reference: str | None = None,
    utn: str | None = None,
    any_service: bool = False,
    **fields: Any,
) -> Json:
    """An inquiry Bundle; `fields` are those of `Asked`, `codes` the services looked for.

    By our reference number of a pended case, by UTN, or by member and requestor alone. Where no
    code is given an item says `not-applicable`; line 2.2 needs no item at all, and gets one only
    with a number, a code or `any_service`. Source: PAS 2.2.1 §spec-43; profile-claim-inquiry.
    """
    asked = Asked(line=line, **{"seed": "inquiry", "service_date": None, **fields})
    numbers = _numbers(reference=reference, utn=utn)
    claim = _claim_base(asked, "profile-claim-inquiry")
    if numbers or asked.codes or any_service or line == "2.0":
        claim["item"] = [
            {"extension": numbers, **item} if numbers else item for item in _inquired(asked)
        ]
    return _bundle(asked, "profile-pas-inquiry-request-bundle", {"claim": claim, **_insured(asked)})


def affirming_answers(service: str, example: str | None = None) -> dict[str, Any]:
    """Answers that meet every criterion of a service: those of one of its own examples.

    Raises ValueError where that example does not say that it affirms.
    """
    folder = Path(catalogue.__file__).parent / "services" / service / "examples"
    file = folder / f"{example or USUAL[service][2]}.json"
    said = json.loads(file.read_text())
    if said["expect"] != "affirm":
        raise ValueError(f"{file} does not affirm")
    answers: dict[str, Any] = said["answers"]
    return answers


def as_bytes(bundle: Json) -> bytes:
    """A Bundle as its file holds it."""
    return (json.dumps(bundle, indent=2, ensure_ascii=False) + "\n").encode()


def _bundle(asked: Asked, profile: str, resources: dict[str, Json]) -> Json:
    return {
        "resourceType": "Bundle",
        "meta": {"profile": [PAS + profile]},
        "identifier": {
            "system": "https://ehr.sandbox.example/bundle-id",
            "value": asked.identifier or str(asked.uuid("bundle-id")),
        },
        "type": "collection",
        "timestamp": asked.instant,
        "entry": [
            {"fullUrl": asked.full_url(name), "resource": each} for name, each in resources.items()
        ],
    }


def _insured(asked: Asked) -> dict[str, Json]:
    """Who asks whom about whom."""
    return {
        "requestor": parts.requestor(asked),
        "insurer": parts.insurer(asked),
        "coverage": parts.coverage(asked),
        "patient": parts.patient(asked),
    }


def _providers(asked: Asked) -> dict[str, Json]:
    """Who delivers and orders the service, and where."""
    people = {
        "practitioner-role": parts.practitioner_role(asked, "practitioner"),
        "practitioner": parts.practitioner(asked),
        "facility": parts.facility(asked),
    }
    if asked.ordering_npi is not None:
        people["ordering-role"] = parts.practitioner_role(asked, "ordering-practitioner")
        people["ordering-practitioner"] = parts.ordering_practitioner(asked)
    if asked.state is not None:
        people["location"] = parts.location(asked)
    return people


def _claim_base(asked: Asked, profile: str) -> Json:
    """What a request and an inquiry have in common."""
    kind = "institutional" if asked.site.startswith("13") else "professional"
    return resource(
        "Claim",
        PAS + profile,
        identifier=[
            {
                "system": "https://ehr.sandbox.example/trace",
                "value": asked.trace or str(asked.uuid("trace")),
            }
        ],
        status="active",
        type=concept("http://terminology.hl7.org/CodeSystem/claim-type", kind),
        use="preauthorization",
        patient=asked.reference("patient"),
        created=asked.instant,
        insurer=asked.reference("insurer"),
        provider=asked.reference("requestor"),
        priority=concept(
            "http://terminology.hl7.org/CodeSystem/processpriority",
            "stat" if asked.expedited else "normal",
        ),
        insurance=[{"sequence": 1, "focal": True, "coverage": asked.reference("coverage")}],
    )


def _claim(asked: Asked, documents: list[str]) -> Json:
    """The Claim of a new request. Extension point: a further element of Claim goes here."""
    claim = _claim_base(asked, "profile-claim")
    claim |= {
        "careTeam": [
            _care_team(asked, 1, "practitioner-role", "SJ", whole_claim=False),
            _care_team(asked, 2, "facility", "FA", whole_claim=True),
            *(
                [_care_team(asked, 3, "ordering-role", "DK", whole_claim=True)]
                if asked.ordering_npi is not None
                else []
            ),
        ],
        "diagnosis": [
            _diagnosis(sequence, code)
            for sequence, code in enumerate(asked.diagnosis_codes, start=1)
        ],
        "supportingInfo": [
            _supporting_info(asked, sequence, name)
            for sequence, name in enumerate(documents, start=1)
        ],
        "item": [_item(asked, sequence, item) for sequence, item in enumerate(asked.items, 1)],
    }
    if asked.state is not None:
        claim["facility"] = asked.reference("location")
    if extensions := _claim_extensions(asked):
        claim["extension"] = extensions
    return {name: value for name, value in claim.items() if value != []}


def _claim_extensions(asked: Asked) -> list[Json]:
    """That it is urgent, and in 2.2 who sends it."""
    senders = [
        {"url": "applicationSenderCode", "valueString": "SANDBOX-EHR"},
        {"url": "applicationReceiverCode", "valueString": "WISER-FHIR"},
    ]
    urgent = {
        "url": PAS + "extension-levelOfServiceCode",
        "valueCodeableConcept": concept(X12 + "1338", "U"),
    }
    sent = {"url": PAS + "extension-TransmissionIdentifiers", "extension": senders}
    return [
        *([urgent] if asked.expedited else []),
        *([sent] if asked.line == "2.2" else []),
    ]


def _care_team(asked: Asked, sequence: int, name: str, role: str, *, whole_claim: bool) -> Json:
    return {
        "extension": [
            {"url": PAS + "extension-careTeamClaimScope", "valueBoolean": whole_claim},
        ],
        "sequence": sequence,
        "provider": asked.reference(name),
        "role": concept(X12 + "98", role),
    }


def _diagnosis(sequence: int, code: str) -> Json:
    kind = {"type": [concept(TEMP_CODES, "principal")]} if sequence == 1 else {}
    return {
        "sequence": sequence,
        "diagnosisCodeableConcept": concept("http://hl7.org/fhir/sid/icd-10-cm", code),
        **kind,
    }


def _supporting_info(asked: Asked, sequence: int, name: str) -> Json:
    """A document or form that goes along; line 2.2 wants to know its kind."""
    report = concept(X12 + "755", "PY" if name == "document" else "77")
    information = {
        "url": PAS + "extension-documentInformation",
        "extension": [{"url": "reportTypeCode", "valueCodeableConcept": report}],
    }
    return {
        **({"extension": [information]} if asked.line == "2.2" else {}),
        "sequence": sequence,
        "category": concept(TEMP_CODES, "additionalInformation"),
        "valueReference": asked.reference(name),
    }


def _item(asked: Asked, sequence: int, item: Item) -> Json:
    """One line of the Claim."""
    line = {
        "extension": _item_extensions(asked, sequence, item),
        "sequence": sequence,
        "careTeamSequence": [1],
        "diagnosisSequence": [n for n, _ in enumerate(asked.diagnosis_codes, start=1)],
        "revenue": concept(REVENUE_SYSTEMS[asked.line], item.revenue) if item.revenue else None,
        "category": concept(X12 + "1365", "2"),
        "productOrService": procedure(item.code, item.system),
        "modifier": [procedure(code, parts.HCPCS) for code in item.modifiers],
        **_serviced(asked, item),
        "locationCodeableConcept": _site(item.site or asked.site),
        "quantity": _units(item.quantity),
    }
    return {name: value for name, value in line.items() if value not in (None, [])}


def _item_extensions(asked: Asked, sequence: int, item: Item) -> list[Json]:
    trace = {
        "system": "https://ehr.sandbox.example/item-trace",
        "value": str(asked.uuid(f"item-{sequence}")),
    }
    ordered = {
        "url": PAS + "extension-requestedService",
        "valueReference": asked.reference("order"),
    }
    return [
        _coded("extension-serviceItemRequestType", "1525", "HS"),
        _coded("extension-certificationType", "1322", "I"),
        {"url": PAS + "extension-itemTraceNumber", "valueIdentifier": trace},
        *_numbers(utn=item.previous_utn or asked.previous_utn),
        *([ordered] if asked.order and sequence == 1 else []),
    ]


def _coded(extension: str, element: str, code: str) -> Json:
    return {"url": PAS + extension, "valueCodeableConcept": concept(X12 + element, code)}


def _numbers(*, reference: str | None = None, utn: str | None = None) -> list[Json]:
    """What an earlier answer called the request: our number while pended, the UTN when decided."""
    named = {
        "extension-administrationReferenceNumber": reference,
        "extension-authorizationNumber": utn,
    }
    return [{"url": PAS + url, "valueString": value} for url, value in named.items() if value]


def _serviced(asked: Asked, item: Item) -> Json:
    start = item.service_date or asked.service_date
    if start is None:
        return {}
    if item.service_end is None:
        return {"servicedDate": start.isoformat()}
    return {
        "servicedPeriod": {"start": start.isoformat(), "end": item.service_end.isoformat()},
    }


def _site(code: str) -> Json:
    return concept(BILL_TYPE_SYSTEM if code.startswith("13") else POS_SYSTEM, code)


def _units(quantity: float | None) -> Json | None:
    if quantity is None:
        return None
    return {"value": quantity, "system": X12 + "673", "code": "FL"}


def _inquired(asked: Asked) -> list[Json]:
    """The services looked for, or the one item that names none."""
    absent = concept("http://terminology.hl7.org/CodeSystem/data-absent-reason", "not-applicable")
    wanted = (
        [procedure(item.code, item.system) for item in asked.items] if asked.codes else [absent]
    )
    return [
        {
            "sequence": sequence,
            "category": concept(X12 + "1365", "2"),
            "productOrService": service,
        }
        for sequence, service in enumerate(wanted, start=1)
    ]
