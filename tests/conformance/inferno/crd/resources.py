"""The made-up people and orders of the input pack, valid by the CRD profiles of a line."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tests.bundle_resources import (
    IDENTIFIER_TYPES,
    MBI_SYSTEM,
    NPI_SYSTEM,
    PAYERS,
    address,
    concept,
    procedure,
)
from tests.bundle_values import Json, Line, Member, PayerKind, valid_npi
from wiser_fhir.fhir.codes import PLACE_OF_SERVICE

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ROLE_CODE = "http://terminology.hl7.org/CodeSystem/v3-RoleCode"
ICD_10 = "http://hl7.org/fhir/sid/icd-10-cm"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
SERVICE_DAY = date(2027, 1, 12)
WRITTEN = "2026-05-06"
NPIS = {
    "practitioner": valid_npi("199900001"),
    "facility": valid_npi("199900007"),
    "payer": valid_npi("199900008"),
}


@dataclass(frozen=True, slots=True)
class Chart:
    """Whom a call is about: a member, insured somehow, treated in a state, in a line's words."""

    line: Line
    member: Member
    state: str = "TX"
    payer: PayerKind = "original-medicare"

    @property
    def patient_id(self) -> str:
        """The EHR's id of the patient."""
        return f"patient-{self.member.mbi.lower()}"

    def people(self) -> list[Json]:
        """Everybody and everything that orders lead to."""
        return [
            self.patient(),
            self.coverage(),
            self.practitioner(),
            self.facility(),
            self.payer_organization(),
            self.location(),
        ]

    def patient(self) -> Json:
        member = self.member
        return {
            "resourceType": "Patient",
            "id": self.patient_id,
            "identifier": [
                {
                    "type": concept(IDENTIFIER_TYPES, "MB"),
                    "system": MBI_SYSTEM,
                    "value": member.mbi,
                },
                {
                    "type": concept(IDENTIFIER_TYPES, "MR"),
                    "system": "https://ehr.sandbox.example/record-number",
                    "value": f"R-{member.mbi[-4:]}",
                },
            ],
            "name": [{"family": member.family, "given": [member.given]}],
            "gender": member.gender,
            "birthDate": member.birth_date.isoformat(),
            "address": [address(self.state)],
        }

    def coverage(self) -> Json:
        kind = PAYERS[self.payer][0]
        return {
            "resourceType": "Coverage",
            "id": "coverage",
            "identifier": [
                {
                    "type": concept(IDENTIFIER_TYPES, "MB"),
                    "system": MBI_SYSTEM,
                    "value": self.member.mbi,
                }
            ],
            "status": "active",
            **({"type": concept("https://nahdo.org/sopt", kind)} if kind else {}),
            "subscriberId": self.member.mbi,
            "beneficiary": {"reference": f"Patient/{self.patient_id}"},
            "relationship": concept(
                "http://terminology.hl7.org/CodeSystem/subscriber-relationship", "self"
            ),
            "period": {"start": "2015-01-01"},
            "payor": [{"reference": "Organization/payer"}],
        }

    def practitioner(self) -> Json:
        return {
            "resourceType": "Practitioner",
            "id": "practitioner",
            "identifier": [{"system": NPI_SYSTEM, "value": NPIS["practitioner"]}],
            "name": [{"family": "Testwright", "given": ["Robin"]}],
            "address": [address(self.state)],
        }

    def facility(self) -> Json:
        return _organization("facility", "Made-up Surgical Center", address(self.state))

    def payer_organization(self) -> Json:
        payer = _organization("payer", PAYERS[self.payer][1], None)
        own = {"system": "https://wiser-fhir.example/payer", "value": self.payer}
        return payer | {"identifier": [*payer["identifier"], own]}

    def location(self) -> Json:
        return {
            "resourceType": "Location",
            "id": "location",
            "status": "active",
            "name": "Made-up Surgical Center, main building",
            "type": [concept(ROLE_CODE, "OF")],
            "address": address(self.state),
            "managingOrganization": {"reference": "Organization/facility"},
        }

    def encounter(self, status: str) -> Json:
        """A visit to the clinic. A procedure code is what it can be answered for."""
        return {
            "resourceType": "Encounter",
            "id": f"encounter-{status}",
            "status": status,
            "class": {"system": ACT_CODE, "code": "AMB"},
            "type": [concept("http://snomed.info/sct", "185349003"), procedure("99213")],
            "subject": {"reference": f"Patient/{self.patient_id}"},
            "participant": [{"individual": {"reference": "Practitioner/practitioner"}}],
            "period": {"start": "2026-05-06T09:30:00-05:00"},
            "location": [{"location": {"reference": "Location/location"}}],
            "serviceProvider": {"reference": "Organization/facility"},
        }

    def service(self, name: str, code: str, diagnosis: str | None, **more: Any) -> Json:
        """An order for a procedure. An element given as None is left out."""
        usual = {
            "performer": [{"reference": "Practitioner/practitioner"}],
            "locationCode": [concept(PLACE_OF_SERVICE, "24")],
            "locationReference": [{"reference": "Location/location"}],
            "occurrenceDateTime": SERVICE_DAY.isoformat(),
        }
        return self._order(
            "ServiceRequest", name, diagnosis, {"code": procedure(code)} | usual | more
        )

    def device(self, name: str, code: str) -> Json:
        """An order for equipment."""
        return self._order("DeviceRequest", name, None, {"codeCodeableConcept": procedure(code)})

    def medication(self, name: str, code: str) -> Json:
        """An order for a medicine, as a pharmacy gets it."""
        more = {"reported": None, "medicationCodeableConcept": concept(RXNORM, code)}
        dose = {
            "text": "As told",
            "timing": {"repeat": {"frequency": 1, "period": 1, "periodUnit": "d"}},
        }
        return self._order(
            "MedicationRequest",
            name,
            None,
            {**more, "intent": "order", "dosageInstruction": [dose]},
        )

    def _order(self, kind: str, name: str, diagnosis: str | None, more: Json) -> Json:
        order = {
            "resourceType": kind,
            "id": name,
            "status": "draft",
            "intent": "original-order",
            "subject": {"reference": f"Patient/{self.patient_id}"},
            "authoredOn": WRITTEN,
            "requester": {"reference": "Practitioner/practitioner"},
            "reasonCode": [concept(ICD_10, diagnosis)] if diagnosis else None,
            "insurance": [{"reference": "Coverage/coverage"}],
            **more,
        }
        return {name: value for name, value in order.items() if value is not None}

    def appointment(self, name: str, hour: int, **what: Any) -> Json:
        """A proposed hour with the practitioner."""
        day = datetime.combine(SERVICE_DAY, datetime.min.time())
        start, end = (f"{day.replace(hour=h):%Y-%m-%dT%H:%M:%S}-06:00" for h in (hour, hour + 1))
        performer = concept("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "PPRF")
        return {
            "resourceType": "Appointment",
            "id": name,
            "status": "proposed",
            **what,
            "start": start,
            "end": end,
            "participant": [
                {
                    "actor": {"reference": f"Patient/{self.patient_id}"},
                    "status": "accepted",
                },
                {
                    "type": [performer],
                    "actor": {"reference": "Practitioner/practitioner"},
                    "status": "accepted",
                },
                {"actor": {"reference": "Location/location"}, "status": "accepted"},
            ],
            "requestedPeriod": [{"start": SERVICE_DAY.isoformat(), "end": SERVICE_DAY.isoformat()}],
        }

    def dispatch(self, order: str) -> Json:
        """The task of carrying an order out."""
        return {
            "resourceType": "Task",
            "id": f"task-{order}",
            "status": "draft",
            "intent": "order",
            "code": concept("http://hl7.org/fhir/CodeSystem/task-code", "fulfill"),
            "focus": {"reference": f"ServiceRequest/{order}"},
            "for": {"reference": f"Patient/{self.patient_id}"},
            "owner": {"reference": "Practitioner/practitioner"},
        }


def _organization(name: str, title: str, where: Json | None) -> Json:
    return {
        "resourceType": "Organization",
        "id": name,
        "identifier": [{"system": NPI_SYSTEM, "value": NPIS[name]}],
        "active": True,
        "name": title,
        **({"address": [where]} if where else {}),
    }
