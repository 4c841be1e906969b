"""What a reviewer still wants to see of a case, as CommunicationRequests and Tasks. Pure.

The lines differ in where the number of a line stands, in the input that leads to a form, and in
how much one CommunicationRequest may ask for.

Source: PAS 2.2.1 §ainfo-1 to §ainfo-7; PAS 2.0.1, "Request for Additional Information".
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from uuid import UUID

from wiser_fhir.fhir import codes
from wiser_fhir.fhir.codes import Line
from wiser_fhir.fhir.elements import Json, without_empty
from wiser_fhir.intake.parties import behind, named
from wiser_fhir.pas.building import concept, fhir_instant, told
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.information import InformationRequest, Material, RequestState, Wanted
from wiser_fhir.priorauth.models import ItemStatus, PriorAuthorization

LOINC = "http://loinc.org"
ICD_10_CM = "http://hl7.org/fhir/sid/icd-10-cm"
REFERENCES = "https://wiser-fhir.example/fhir/NamingSystem/reference"
SUBMIT_ATTACHMENT = "$submit-attachment"

_CDEX_CODES = "http://hl7.org/fhir/us/davinci-cdex/CodeSystem/cdex-temp"
# Says that what is wanted are the answers of a form. Source: PAS 2.2.1 §ainfo-3.
_FORM_CODE = "102089-0"
_REPORT_TYPE = "M1"  # X12 755
_UNKNOWN = {"extension": [told(codes.DATA_ABSENT, valueCode="unknown")]}

_TASK_CODES = {
    Material.DOCUMENTS: "attachment-request-code",
    Material.QUESTIONNAIRE: "attachment-request-questionnaire",
}
_FORM_INPUT: dict[Line, str] = {"2.2": "questionnaire-context", "2.0": "questionnaires-needed"}
_TASK_STATUSES = {
    RequestState.OPEN: ("requested", "Needed before the request is decided."),
    RequestState.ANSWERED: ("completed", "What was asked for has come."),
    RequestState.WITHDRAWN: ("rejected", "It is not needed any more."),
    RequestState.LAPSED: ("failed", "The request was decided without it."),
}
_REQUEST_STATUSES = {
    RequestState.OPEN: "active",
    RequestState.ANSWERED: "completed",
    RequestState.WITHDRAWN: "revoked",
    RequestState.LAPSED: "revoked",
}


def communication_requests(
    case: PriorAuthorization, request: RequestBundle, base_url: str, line: Line
) -> list[Json]:
    """Entries of an answer, one for each thing still wanted; ClaimResponse.communicationRequest
    names their fullUrls. An inquiry's answer has none (PAS 2.2.1 §spec-9).
    """
    return _entries(base_url, _Asking(case, request, base_url, line).communication_requests(True))


def tasks(
    case: PriorAuthorization, request: RequestBundle, base_url: str, line: Line
) -> list[Json]:
    """Entries of an answer that nothing refers to: one for each kind of material still wanted.

    Source: PAS 2.2.1 §ainfo-7; the public conformance tests look for them beside a ClaimResponse,
    submitted or inquired.
    """
    asking = _Asking(case, request, base_url, line)
    open_ones = (r for r in case.requests if r.state is RequestState.OPEN)
    return _entries(base_url, map(asking.task, open_ones))


def one_task(
    case: PriorAuthorization, request: RequestBundle, base_url: str, line: Line, task_id: UUID
) -> Json | None:
    """A Task of the case by its id, whatever has become of it."""
    asking = _Asking(case, request, base_url, line)
    return next((asking.task(each) for each in case.requests if each.id == task_id), None)


def one_communication_request(
    case: PriorAuthorization, request: RequestBundle, base_url: str, line: Line, resource_id: str
) -> Json | None:
    """A CommunicationRequest of the case by its id, whatever has become of it."""
    asking = _Asking(case, request, base_url, line)
    made = asking.communication_requests(only_open=False)
    return next((each for each in made if each["id"] == resource_id), None)


def _entries(base_url: str, resources: Iterable[Json]) -> list[Json]:
    return [
        {"fullUrl": f"{base_url}/{each['resourceType']}/{each['id']}", "resource": each}
        for each in resources
    ]


@dataclass(frozen=True, slots=True)
class _Asking:
    """A case with the request it came by, as one line asks about it."""

    case: PriorAuthorization
    request: RequestBundle
    base_url: str
    line: Line

    def task(self, asked: InformationRequest) -> Json:
        """Source: PAS 2.2.1 and 2.0.1, profile-task; CDex 2.1.0, cdex-task-attachment-request
        (how its identifiers are told apart).
        """
        claim = self.request.claim
        status, reason = _TASK_STATUSES[asked.state]
        asked_at, due_at = fhir_instant(asked.asked_at), fhir_instant(asked.due_at)
        return without_empty(
            {
                "resourceType": "Task",
                "id": str(asked.id),
                "meta": {"profile": [codes.TASK]},
                "identifier": [
                    {"type": concept(_CDEX_CODES, "tracking-id"), **self._trace()},
                    {"type": concept(_CDEX_CODES, "admin-ref-number"), **self._reference()},
                ],
                "status": status,
                "statusReason": {"text": reason},
                "intent": "order",
                "code": concept(codes.PAS_TEMP_CODES, _TASK_CODES[asked.kind]),
                "for": self._named(claim["patient"]),
                "authoredOn": asked_at,
                "requester": {"identifier": self._identifier(claim["insurer"])},
                "owner": {"identifier": self._identifier(claim["provider"])},
                "reasonCode": concept(codes.PAS_TEMP_CODES, "priorAuthorization"),
                "reasonReference": {"type": "Claim", "identifier": self._trace()},
                "note": [{"text": asked.note}] if asked.note else [],
                "restriction": {"period": {"start": asked_at, "end": due_at}},
                "input": [self._payer_url(), *self._inputs(asked)],
            }
        )

    def communication_requests(self, only_open: bool) -> Iterator[Json]:
        """All there are, or those of what is still wanted. Each keeps its number all the same."""
        number = 0
        for asked in self.case.requests:
            for position, parts in enumerate(self._portions(asked), start=1):
                number += 1
                if asked.state is RequestState.OPEN or not only_open:
                    yield self._communication_request(asked, f"{position}", number, parts)

    def _portions(self, asked: InformationRequest) -> list[list[tuple[Wanted, int | None]]]:
        """What one resource each may ask for: 2.2 has room for one thing about one line."""
        parts = [
            (wanted, sequence) for wanted in asked.wanted for sequence in wanted.lines or (None,)
        ]
        return [parts] if self.line == "2.0" else [[part] for part in parts]

    def _communication_request(
        self,
        asked: InformationRequest,
        position: str,
        number: int,
        parts: list[tuple[Wanted, int | None]],
    ) -> Json:
        """Source: PAS 2.2.1 and 2.0.1, profile-communicationrequest, which knows active ones."""
        claim = self.request.claim
        status = _REQUEST_STATUSES[asked.state]
        asked_at, due_at = fhir_instant(asked.asked_at), fhir_instant(asked.due_at)
        reference = self._reference()
        return without_empty(
            {
                "resourceType": "CommunicationRequest",
                "id": f"{asked.id}-{position}",
                "meta": {"profile": [codes.COMMUNICATION_REQUEST]} if status == "active" else {},
                "extension": self._line_of(parts[0][1]) if self.line == "2.2" else [],
                "identifier": [{**reference, "value": f"{reference['value']}-{number}"}],
                "status": status,
                "category": [concept(codes.X12_REPORT_TYPE, _REPORT_TYPE)],
                "medium": [concept(codes.PAS_TEMP_CODES, "CDEX")],
                "subject": self._named(claim["patient"]),
                "payload": [self._payload(*part) for part in parts],
                "occurrencePeriod": {"start": asked_at, "end": due_at},
                "authoredOn": asked_at,
                "requester": self._named(claim["insurer"]),
                "recipient": [self._named(claim["insurer"])],
                "sender": self._named(claim["provider"]),
                "note": [{"text": asked.note}] if asked.note else [],
            }
        )

    def _payload(self, wanted: Wanted, sequence: int | None) -> Json:
        extensions = self._line_of(sequence) if self.line == "2.0" else []
        if wanted.diagnosis is not None:
            diagnosis = concept(ICD_10_CM, wanted.diagnosis)
            extensions.append(told(codes.COMMUNICATED_DIAGNOSIS, valueCodeableConcept=diagnosis))
        if wanted.modifier is not None:
            modifier = concept(LOINC, wanted.modifier)
            extensions.append(told(codes.CONTENT_MODIFIER, valueCodeableConcept=modifier))
        return without_empty({"extension": extensions, "contentString": wanted.code or _FORM_CODE})

    def _line_of(self, sequence: int | None) -> list[Json]:
        if sequence is None:
            return []
        return [told(codes.SERVICE_LINE_NUMBER, valuePositiveInt=sequence)]

    def _payer_url(self) -> Json:
        return {"type": _input("payer-url"), "valueUrl": f"{self.base_url}/{SUBMIT_ATTACHMENT}"}

    def _inputs(self, asked: InformationRequest) -> Iterator[Json]:
        """One input for each thing and line: an input has room for one line, and needs one."""
        if asked.kind is Material.QUESTIONNAIRE:
            lines = {line for wanted in asked.wanted for line in self._lines(wanted)}
            yield from map(self._form_input, sorted(lines))
            return
        for wanted in asked.wanted:
            for sequence in self._lines(wanted):
                yield self._document_input(wanted, sequence)

    def _lines(self, wanted: Wanted) -> tuple[int, ...]:
        """The lines something is about: for the whole request those that are still open, or all."""
        items = self.case.items
        pended = tuple(i.sequence for i in items if i.status is ItemStatus.PENDED)
        return wanted.lines or pended or tuple(item.sequence for item in items)

    def _form_input(self, sequence: int) -> Json:
        """Leads to the form by its context: the trace number of the request.

        Source: PAS 2.2.1 §ainfo-3, §ainfo-6; DTR 2.2.0 §oper-8.
        """
        trace = self._trace()
        value = {"valueString": trace["value"]}
        if self.line == "2.0":
            value = {"valueIdentifier": trace}
        extensions = [self._line_number(sequence)]
        return {"extension": extensions, "type": _input(_FORM_INPUT[self.line]), **value}

    def _document_input(self, wanted: Wanted, sequence: int) -> Json:
        extensions = [self._line_number(sequence)]
        if wanted.modifier is not None and self.line == "2.2":
            modifier = concept(LOINC, wanted.modifier)
            extensions.append(told(codes.CONTENT_MODIFIER, valueCodeableConcept=modifier))
        return {
            "extension": extensions,
            "type": _input("attachments-needed"),
            "valueCodeableConcept": concept(LOINC, wanted.code or _FORM_CODE),
        }

    def _line_number(self, sequence: int) -> Json:
        if self.line == "2.0":
            return told(codes.PA_LINE_NUMBER, valueInteger=sequence)
        return told(codes.SERVICE_LINE_NUMBER, valuePositiveInt=sequence)

    def _trace(self) -> Json:
        """The number the sender traces the request by; ours where it gave none."""
        identifiers = self.request.claim.get("identifier") or [{}]
        found = identifiers[0]
        if not found.get("value"):
            return self._reference()
        return {name: found[name] for name in ("system", "value") if name in found}

    def _reference(self) -> Json:
        return {"system": REFERENCES, "value": self.case.reference}

    def _named(self, reference: Json) -> Json:
        """The same by the fullUrl of its entry; by identifier where it has no entry of its own."""
        target = self.request.target(self.request.claim, reference)
        full_url = self.request.references.full_url(target) if target else None
        if full_url is not None:
            return {"reference": full_url}
        if target is None:
            return reference
        return {"type": target["resourceType"], "identifier": self._identifier(reference)}

    def _identifier(self, reference: Json) -> Json:
        """By what somebody is known: an NPI of theirs or of whom they act for, else what they
        have.
        """
        somebody = named(self.request, self.request.claim, reference)
        about = [somebody, *behind(self.request, somebody)] if somebody is not None else []
        found = [i for each in about for i in each.get("identifier", ()) if i.get("value")]
        npis = [i for i in found if i.get("system") in codes.NPI_SYSTEMS]
        best = next(iter([*npis, *found]), None)
        if best is None:
            return _UNKNOWN
        return {name: best[name] for name in ("type", "system", "value") if name in best}


def _input(code: str) -> Json:
    return concept(codes.PAS_TEMP_CODES, code)
