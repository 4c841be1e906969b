"""The resources around a Claim: parties, coverage, order, document, form."""

from base64 import b64encode
from datetime import date, timedelta
from functools import cache
from typing import Any

from tests.bundle_values import STATES, Asked, Form, Json, wire_instant
from wiser_fhir.coverage.catalogue import Catalogue

PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
DTR = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/"
CPT = "http://www.ama-assn.org/go/cpt"
HCPCS = "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets"
X12 = "https://codesystem.x12.org/005010/"
NPI_SYSTEM = "http://hl7.org/fhir/sid/us-npi"
MBI_SYSTEM = "http://hl7.org/fhir/sid/us-mbi"
CCN_SYSTEM = "urn:oid:2.16.840.1.113883.4.336"
PTAN_SYSTEM = "https://ehr.sandbox.example/ptan"
IDENTIFIER_TYPES = "http://terminology.hl7.org/CodeSystem/v2-0203"
OUR_BASE = {"2.2": "https://wiser-fhir.example/fhir", "2.0": "https://wiser-fhir.example/v2.0/fhir"}

# Source of Payment Typology: 12 Medicare not managed, 11 Medicare managed, 2 Medicaid. It has no
# code for Railroad Medicare, which only the payor's identifier tells.
PAYERS: dict[str, tuple[str | None, str]] = {
    "original-medicare": ("12", "Made-up Medicare contractor"),
    "medicare-advantage": ("11", "Made-up Advantage plan"),
    "medicaid": ("2", "Made-up Medicaid agency"),
    "railroad": (None, "Made-up railroad Medicare contractor"),
}


def concept(system: str, code: str) -> Json:
    """A CodeableConcept of one coding. Never a display: CPT and X12 wording is licensed."""
    return {"coding": [{"system": system, "code": code}]}


def procedure(code: str, system: str | None = None) -> Json:
    """A procedure code: five digits are CPT, a letter makes it HCPCS level II."""
    return concept(system or (CPT if code.isdigit() else HCPCS), code)


def resource(kind: str, profile: str | None, **elements: Any) -> Json:
    """A resource that claims `profile`, without the elements that are None or empty."""
    meta = {"meta": {"profile": [profile]}} if profile else {}
    filled = {name: value for name, value in elements.items() if value not in (None, [], {})}
    return {"resourceType": kind, **meta, **filled}


def address(state: str | None) -> Json | None:
    """A made-up address in a state."""
    if state is None:
        return None
    city, postal_code = STATES[state]
    return {
        "line": ["1 Test Street"],
        "city": city,
        "state": state,
        "postalCode": postal_code,
        "country": "US",
    }


def _phone() -> Json:
    return {"system": "phone", "value": "555-0100"}


def requestor(asked: Asked) -> Json:
    """The organization that asks."""
    where = address(asked.requestor_state)
    return resource(
        "Organization",
        PAS + "profile-requestor",
        identifier=[
            {"system": NPI_SYSTEM, "value": asked.requestor_npi},
            {"system": "http://terminology.hl7.org/NamingSystem/USEIN", "value": "000000001"},
        ],
        active=True,
        type=[concept(X12 + "98", "X3")],
        name="Made-up Clinic",
        address=[where] if where else None,
        contact=[{"name": {"text": "Prior authorization desk"}, "telecom": [_phone()]}],
    )


def insurer(asked: Asked) -> Json:
    """The payer; its identifier tells a railroad contractor from the others."""
    return resource(
        "Organization",
        PAS + "profile-insurer",
        identifier=[{"system": "https://wiser-fhir.example/payer", "value": asked.payer}],
        active=True,
        type=[concept(X12 + "98", "PR")],
        name=PAYERS[asked.payer][1],
    )


def coverage(asked: Asked) -> Json:
    """The member's coverage. Extension point: another relationship than self goes here."""
    mbi = asked.mbi if asked.mbi is not None else asked.member.mbi
    kind = PAYERS[asked.payer][0]
    return resource(
        "Coverage",
        PAS + "profile-coverage",
        identifier=[_member_number(mbi)],
        status="active",
        type=concept("https://nahdo.org/sopt", kind) if kind else None,
        subscriberId=mbi,
        beneficiary=asked.reference("patient"),
        relationship={
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/subscriber-relationship",
                    "code": "self",
                },
                {"system": X12 + "1069", "code": "18"},
            ]
        },
        payor=[asked.reference("insurer")],
    )


def _member_number(mbi: str) -> Json:
    return {"type": concept(IDENTIFIER_TYPES, "MB"), "system": MBI_SYSTEM, "value": mbi}


def patient(asked: Asked) -> Json:
    """The beneficiary. The record number is there because CRD 2.0.1 asks for one."""
    member = asked.member
    return resource(
        "Patient",
        PAS + "profile-beneficiary",
        identifier=[
            _member_number(asked.mbi if asked.mbi is not None else member.mbi),
            _record_number(str(asked.uuid("patient"))[:8]),
        ],
        name=[{"family": asked.family or member.family, "given": [member.given]}],
        gender=member.gender,
        birthDate=member.birth_date.isoformat(),
        address=[address(asked.state or "TX")],
    )


def another_patient(asked: Asked) -> Json:
    """Somebody whom the request is not about."""
    return resource(
        "Patient",
        PAS + "profile-beneficiary",
        identifier=[_record_number(str(asked.uuid("another-patient"))[:8])],
        name=[{"family": "Otherman", "given": ["Zoe"]}],
        gender="female",
        birthDate="1950-02-03",
    )


def _record_number(value: str) -> Json:
    return {
        "type": concept(IDENTIFIER_TYPES, "MR"),
        "system": "https://ehr.sandbox.example/record-number",
        "value": value,
    }


def practitioner(asked: Asked) -> Json:
    """The rendering clinician, with NPI and PTAN."""
    ptan = {"type": {"text": "PTAN"}, "system": PTAN_SYSTEM, "value": asked.ptan}
    return _clinician(asked, "Testwright", asked.npi, *([ptan] if asked.ptan else []))


def ordering_practitioner(asked: Asked) -> Json:
    """The clinician who ordered the service, where that is another one."""
    return _clinician(asked, "Orderly", asked.ordering_npi or "")


def _clinician(asked: Asked, family: str, number: str, *further: Json) -> Json:
    return resource(
        "Practitioner",
        PAS + "profile-practitioner",
        identifier=[{"system": NPI_SYSTEM, "value": number}, *further],
        name=[{"family": family, "given": ["Robin"]}],
        address=[address(asked.state or "TX")],
    )


def practitioner_role(asked: Asked, name: str) -> Json:
    """A clinician at the organization that asks."""
    return resource(
        "PractitionerRole",
        PAS + "profile-practitionerrole",
        practitioner=asked.reference(name),
        organization=asked.reference("requestor"),
        telecom=[_phone()],
    )


def facility(asked: Asked) -> Json:
    """Who runs the place of service. A hospital is known by its CCN, a surgical center by PTAN."""
    by_ccn = asked.site[:2] in ("13", "19", "22")
    number: Json = (
        {"system": CCN_SYSTEM, "value": asked.facility_number}
        if by_ccn
        else {"type": {"text": "PTAN"}, "system": PTAN_SYSTEM, "value": asked.facility_number}
    )
    where = address(asked.state)
    return resource(
        "Organization",
        PAS + "profile-organization",
        identifier=[
            {"system": NPI_SYSTEM, "value": asked.facility_npi},
            *([number] if asked.facility_number else []),
        ],
        active=True,
        type=[concept(X12 + "98", "FA")],
        name="Made-up Surgical Center",
        address=[where] if where else None,
    )


def location(asked: Asked) -> Json:
    """Where the service is delivered: its address names the state."""
    return resource(
        "Location",
        PAS + "profile-location",
        status="active",
        name="Made-up Surgical Center, main building",
        address=address(asked.state),
        managingOrganization=asked.reference("facility"),
    )


def order(asked: Asked) -> Json:
    """The order behind the first line. CRD 2.0.1 knows orders only while they are drafts."""
    item = asked.items[0]
    return resource(
        "ServiceRequest",
        PAS + "profile-servicerequest",
        status="draft" if asked.line == "2.0" else "active",
        intent="order",
        code=procedure(item.code, item.system),
        subject=asked.reference("patient"),
        authoredOn=asked.created.date().isoformat(),
        requester=asked.reference("practitioner-role"),
    )


def document(asked: Asked) -> Json:
    """A clinical note with its text inside."""
    profile = PAS + "profile-documentreference" if asked.line == "2.2" else None
    return resource(
        "DocumentReference",
        profile,
        status="current",
        type=concept("http://loinc.org", "11506-3"),
        category=[
            concept(
                "http://hl7.org/fhir/us/core/CodeSystem/us-core-documentreference-category",
                "clinical-note",
            )
        ],
        subject=asked.reference("patient"),
        date=asked.instant,
        content=[
            {
                "attachment": {
                    "contentType": "text/plain",
                    "data": b64encode(asked.evidence_text.encode()).decode(),
                }
            }
        ],
    )


def form(asked: Asked, sent: Form, name: str) -> Json:
    """A QuestionnaireResponse, or the DTR Bundle around it."""
    response = questionnaire_response(asked, sent)
    if not sent.in_bundle:
        return response
    return resource(
        "Bundle",
        DTR + "DTR-QRBundle",
        type="collection",
        entry=[{"fullUrl": asked.full_url(f"{name}-response"), "resource": response}],
    )


def questionnaire_response(asked: Asked, sent: Form) -> Json:
    """A filled form; it claims DTR's profile when every answer says where it came from."""
    service = sent.service or asked.service
    url = sent.questionnaire or f"{OUR_BASE[asked.line]}/Questionnaire/{service}"
    types = question_types(service) if sent.types is None else sent.types
    authored = sent.authored or asked.created - timedelta(days=1)
    origins = {key: (sent.origins or {}).get(key, sent.origin) for key in sent.answers}
    says_all = None not in origins.values() and (asked.line == "2.2" or asked.order)
    return resource(
        "QuestionnaireResponse",
        DTR + "dtr-questionnaireresponse" if says_all else None,
        extension=_context(asked),
        questionnaire=f"{url}|{sent.version}" if sent.version else url,
        status=sent.status,
        subject=asked.reference("another-patient" if sent.about_another else "patient"),
        authored=wire_instant(authored),
        author=asked.reference("practitioner"),
        item=[
            _answered(asked, service, key, value, types[key], origins[key])
            for key, value in sent.answers.items()
        ],
    )


def _context(asked: Asked) -> list[Json]:
    """What the form is for: DTR 2.0 names coverage and order alike, 2.2 gives each its own URL."""
    codes = "coverage-information-codes" if asked.line == "2.2" else "temp"
    insured = "qr-coverage" if asked.line == "2.2" else "qr-context"
    use = concept(f"http://hl7.org/fhir/us/davinci-crd/CodeSystem/{codes}", "withpa")
    ordered = [{"url": DTR + "qr-context", "valueReference": asked.reference("order")}]
    return [
        {"url": DTR + insured, "valueReference": asked.reference("coverage")},
        *(ordered if asked.order else []),
        {"url": DTR + "intendedUse", "valueCodeableConcept": use},
    ]


def _answered(
    asked: Asked, service: str, key: str, value: Any, kind: str, origin: str | None
) -> Json:
    values = value if kind == "multi_choice" else [value]
    said = {"extension": [_origin(asked, origin)]} if origin else {}
    return {
        "linkId": key,
        "answer": [{**said, **_value(service, kind, each)} for each in values],
    }


def _value(service: str, kind: str, value: Any) -> Json:
    """An answer's value[x]. Extension point: a new question type gets its case here."""
    match kind:
        case "boolean":
            return {"valueBoolean": value}
        case "choice" | "multi_choice":
            system = f"{OUR_BASE['2.2']}/CodeSystem/{service}"
            return {"valueCoding": {"system": system, "code": value}}
        case "integer":
            return {"valueInteger": value}
        case "decimal":
            return {"valueDecimal": value if isinstance(value, int) else float(value)}
        case "date":
            return {"valueDate": value.isoformat() if isinstance(value, date) else value}
        case "text":
            return {"valueString": value}
    raise ValueError(f"unknown question type {kind}")


def _origin(asked: Asked, source: str) -> Json:
    """Who answered. DTR 2.2 tells software at the client from software at the payer.

    Only what software filled has no author (DTR invariant dtrx-1).
    """
    wire = "auto-client" if source == "auto" and asked.line == "2.2" else source
    author = {
        "url": "author",
        "extension": [
            {"url": "practitioner", "valueReference": asked.reference("practitioner")},
        ],
    }
    return {
        "url": DTR + "information-origin",
        "extension": [
            {"url": "source", "valueCode": wire},
            *([] if wire.startswith("auto") else [author]),
        ],
    }


@cache
def question_types(service: str) -> dict[str, str]:
    """The type of each question of a service, from the catalogue."""
    rules = Catalogue.load().versions(service)[-1]
    return {question.id: str(question.type) for question in rules.questions}
