"""Hook calls as an EHR makes them: a patient's record, what is asked, and the body that asks it.

`hook_call("order-sign", record, record.order("64483"))` is a call that a test can send. A record
and a body are plain JSON values: a test that wants them otherwise changes them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from tests.bundle_resources import NPI_SYSTEM
from tests.bundle_values import MEMBERS, Json, Line, Member, PayerKind
from tests.conformance.inferno.crd.resources import Chart

EHR = "https://ehr.sandbox.example/fhir"
USER = "Practitioner/practitioner"
TOKEN = "made-up-token-of-the-ehr"
ORDER_HOOKS = ("order-sign", "order-select", "order-dispatch")
ENCOUNTER_HOOKS = ("encounter-start", "encounter-discharge")
HOOKS = (*ORDER_HOOKS, "appointment-book", *ENCOUNTER_HOOKS)
PRIMARY_HOOKS = ("order-sign", "order-dispatch", "appointment-book")
LINES: tuple[Line, ...] = ("2.2", "2.0")
LONG: Json = {
    "occurrenceDateTime": None,
    "occurrencePeriod": {"start": "2026-12-01", "end": "2027-12-01"},
}
"""Elements of an order that runs longer than one authorization can cover."""


@dataclass
class Record:
    """What an EHR holds of a patient, by `Type/id`. All of it goes into prefetch."""

    chart: Chart
    held: dict[str, Json] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        line: Line,
        member: Member = MEMBERS[0],
        state: str = "TX",
        payer: PayerKind = "original-medicare",
    ) -> "Record":
        """Patient, coverage, who treats and where: valid by the CRD profiles of the line."""
        chart = Chart(line, member, state, payer)
        return cls(chart, {name_of(each): each for each in chart.people()})

    @property
    def line(self) -> Line:
        """In whose words the record is."""
        return self.chart.line

    def order(
        self, code: str, diagnosis: str | None = "M54.16", name: str = "order", **elements: Any
    ) -> Json:
        """A ServiceRequest with all that a decision needs; None leaves an element out."""
        return self.chart.service(name, code, diagnosis, **elements)

    def appointment(self, name: str = "hour", **elements: Any) -> Json:
        """An Appointment with the practitioner, at the location."""
        return self.chart.appointment(name, 9, **elements)

    def encounter(self, hook: str = "encounter-start", **elements: Any) -> Json:
        """The visit that an encounter hook is about."""
        status = "in-progress" if hook == "encounter-start" else "finished"
        return self.chart.encounter(status) | elements

    def perform_by(self, npi: str) -> None:
        """Somebody else is the practitioner."""
        self.held[USER]["identifier"] = [{"system": NPI_SYSTEM, "value": npi}]


def usual_subject(hook: str, record: Record) -> Json:
    """What a test asks a hook about that says nothing else: an injection, an hour, a visit."""
    if hook in ENCOUNTER_HOOKS:
        return record.encounter(hook)
    return record.appointment() if hook == "appointment-book" else record.order("64483")


def usual_call(line: Line, hook: str = "order-sign", options: Json | None = None) -> Json:
    """A call that is answered."""
    record = Record.of(line)
    return hook_call(hook, record, usual_subject(hook, record), options=options)


def hook_call(
    hook: str,
    record: Record,
    *about: Json,
    beside: Iterable[Json] = (),
    options: Json | None = None,
    **context: Any,
) -> Json:
    """A body that asks about resources, with the record and `beside` in prefetch.

    `options` are configuration options, `context` replaces what the hook's context has by itself.
    """
    told = {**_personal(hook, record), **_context(hook, record.line, about), **context}
    extension: Json = {"davinci-crd.requestedVersion": "2.2"} if record.line == "2.2" else {}
    if options is not None:
        extension["davinci-crd.configuration"] = options
    return {
        "hook": hook,
        "hookInstance": str(uuid4()),
        "fhirServer": EHR,
        "fhirAuthorization": {
            "access_token": TOKEN,
            "token_type": "Bearer",
            "expires_in": 300,
            "scope": "patient/*.rs",
            "subject": "wiser-fhir",
        },
        **({"extension": extension} if extension else {}),
        "context": told,
        "prefetch": _prefetch(hook, record, about, beside),
    }


def name_of(resource: Json) -> str:
    """`Type/id`."""
    return f"{resource['resourceType']}/{resource['id']}"


def bundle(resources: Iterable[Json], kind: str = "collection") -> Json:
    """A Bundle of these."""
    entries = [{"fullUrl": f"{EHR}/{name_of(each)}", "resource": each} for each in resources]
    return {"resourceType": "Bundle", "type": kind, "entry": entries}


def _personal(hook: str, record: Record) -> Json:
    user = {} if hook == "order-dispatch" else {"userId": USER}
    return {**user, "patientId": record.chart.patient_id}


def _context(hook: str, line: Line, about: tuple[Json, ...]) -> Json:
    names = [name_of(each) for each in about]
    match hook:
        case "order-sign":
            return {"draftOrders": bundle(about)}
        case "order-select":
            return {"draftOrders": bundle(about), "selections": names}
        case "order-dispatch":
            told: Json = {"order": names[0]} if line == "2.0" else {"dispatchedOrders": names}
            return {**told, "performer": USER}
        case "appointment-book":
            return {"appointments": bundle(about)}
        case _:
            return {"encounterId": about[0]["id"]}


def _prefetch(hook: str, record: Record, about: tuple[Json, ...], beside: Iterable[Json]) -> Json:
    """Under the standard keys, where there are any for it."""
    held = list(record.held.values())
    told: Json = {"coverage": bundle(_only("Coverage", held), "searchset")}
    told["patient"] = next(iter(_only("Patient", held)), None)
    for key in ("Practitioner", "PractitionerRole", "Organization", "Location"):
        told[f"{key[0].lower()}{key[1:]}s"] = bundle(_only(key, held), "searchset")
    others = ("Encounter", "Condition", "Medication", "Device")
    told["others"] = bundle([*(e for kind in others for e in _only(kind, held)), *beside])
    if hook in ENCOUNTER_HOOKS:
        told["encounter"] = about[0]
    if hook == "order-dispatch":
        told["orders"] = bundle(about, "searchset")
    return told


def _only(kind: str, resources: Iterable[Json]) -> list[Json]:
    return [each for each in resources if each["resourceType"] == kind]
