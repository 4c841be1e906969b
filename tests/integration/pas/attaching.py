"""Calls of `$submit-attachment`, and what a worker does with what they bring."""

import base64
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from httpx import Response
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Json
from tests.clocks import StillClock
from tests.integration.pas.door import ORIGIN, PATHS, Client
from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.db.engine import transaction
from wiser_fhir.egress.scanner import Scanner, ScannerAway, Verdict
from wiser_fhir.fhir.codes import LINES
from wiser_fhir.pas.answers import PasAnswers
from wiser_fhir.pas.claim_response import Renderer
from wiser_fhir.pas.reading import PasReading
from wiser_fhir.pas.reject_reasons import RejectReasons
from wiser_fhir.priorauth.clearing import Clearing
from wiser_fhir.priorauth.document_checks import DocumentChecks
from wiser_fhir.priorauth.information import InformationRequest, Material, RequestState, Wanted
from wiser_fhir.priorauth.keeping import Actor, CaseChange, keep, locked
from wiser_fhir.priorauth.models import PriorAuthorization
from wiser_fhir.priorauth.numbers import time_ordered_uuid

PDF = b"%PDF-1.7\nfour weeks of physical therapy, made up"
NOTES = "11506-3"  # LOINC


def answers() -> PasAnswers:
    """What writes the answers of both lines."""
    reasons = RejectReasons.load()
    return PasAnswers({line: Renderer(line, f"{ORIGIN}{PATHS[line]}", reasons) for line in LINES})


def document(content: bytes = PDF, kind: str = "application/pdf", **changes: Any) -> Json:
    """A DocumentReference with a file in it."""
    data = base64.b64encode(content).decode()
    attachment = {"contentType": kind, "data": data, **changes}
    attachment = {name: value for name, value in attachment.items() if value is not None}
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": attachment}],
    }


def attachment(
    content: Json | None = None, code: str | None = None, lines: tuple[str, ...] = ()
) -> Json:
    """One Attachment parameter."""
    parts: list[Json] = [{"name": "LineItem", "valueString": line} for line in lines]
    if code is not None:
        coding = {"system": "http://loinc.org", "code": code}
        parts.append({"name": "Code", "valueCodeableConcept": {"coding": [coding]}})
    parts.append({"name": "Content", "resource": content or document()})
    return {"name": "Attachment", "part": parts}


def identifier(name: str, value: str, system: str | None = None) -> Json:
    """A parameter that is an identifier."""
    found = {"system": system, "value": value}
    return {"name": name, "valueIdentifier": {k: v for k, v in found.items() if v is not None}}


def call(
    tracking: str,
    member: str,
    *attachments: Json,
    final: bool | None = None,
    reference: str | None = None,
    attach_to: str = "preauthorization",
    service_date: str | None = None,
) -> Json:
    """A whole call; without attachments it brings one PDF."""
    parameters = [
        identifier("TrackingId", tracking, "https://ehr.example/traces"),
        {"name": "AttachTo", "valueCode": attach_to},
        identifier("OrganizationId", "1234567893", "http://hl7.org/fhir/sid/us-npi"),
        identifier("MemberId", member, "http://hl7.org/fhir/sid/us-mbi"),
        *(attachments or (attachment(),)),
    ]
    if reference is not None:
        parameters.append(identifier("AdminRefNumber", reference))
    if service_date is not None:
        parameters.append({"name": "ServiceDate", "valueDateTime": service_date})
    if final is not None:
        parameters.append({"name": "Final", "valueBoolean": final})
    return {"resourceType": "Parameters", "parameter": parameters}


async def attach(client: Client, body: Json | bytes, **headers: str) -> Response:
    """`$submit-attachment`."""
    return await client.post("$submit-attachment", body, **headers)


def said(answer: Response) -> str:
    """What a call was told, all of it in one text."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    assert {issue["severity"] for issue in body["issue"]} == {"information"}
    return " ".join(issue["details"]["text"] for issue in body["issue"])


class Clears:
    """A scanner that finds nothing."""

    async def scan(self, content: bytes) -> Verdict:
        """Clean."""
        return Verdict("test")


class Finds:
    """A scanner that finds something in everything."""

    async def scan(self, content: bytes) -> Verdict:
        """Not clean."""
        return Verdict("test", "Made-Up-Signature")


class Away:
    """A scanner that does not answer."""

    async def scan(self, content: bytes) -> Verdict:
        """Never returns a verdict."""
        raise ScannerAway("no answer")


@dataclass(frozen=True)
class Worker:
    """The worker's part, by the app's clock."""

    engine: AsyncEngine
    clock: StillClock
    scanner: Scanner | None = field(default_factory=Clears)

    async def run(self) -> int:
        """Everything once."""
        return await self.with_scanner(self.scanner).run()

    def with_scanner(self, scanner: Scanner | None) -> Clearing:
        """The jobs, with another scanner."""
        recorder = Recorder(self.engine, b"k" * 32)
        return Clearing(self.engine, recorder, answers(), self.clock, scanner)

    async def check_documents(self) -> int:
        """Have the scanner look at what came inside requests. How many verdicts."""
        return await self.looking(self.scanner).run()

    def looking(self, scanner: Scanner | None) -> DocumentChecks:
        """That job, with another scanner."""
        return DocumentChecks(self.engine, PasReading(), self.clock, scanner)

    async def ask(
        self,
        client: Client,
        case_id: UUID,
        *wanted: Wanted,
        kind: Material = Material.DOCUMENTS,
        note: str | None = None,
        due_at: datetime | None = None,
    ) -> UUID:
        """What a reviewer does: ask for something in a case. The id of the request."""
        now = self.clock()
        async with transaction(self.engine, client.organization_id) as db:
            before = await locked(db, case_id)
            asked = InformationRequest(
                id=time_ordered_uuid(),
                kind=kind,
                asked_at=now,
                due_at=due_at or before.case.decide_by or now,
                wanted=wanted or (Wanted(code=NOTES),),
                note=note,
            )
            after = with_requests(before.case, *before.case.requests, asked)
            change = CaseChange(
                at=now,
                actor=Actor(uuid4()),
                event="information-requested",
                action="information.request",
                outcome="asked",
            )
            await keep(db, before, after, change, answers())
        return asked.id

    async def set_state(self, client: Client, case_id: UUID, state: RequestState) -> None:
        """What a reviewer does: take everything asked for back."""
        async with transaction(self.engine, client.organization_id) as db:
            before = await locked(db, case_id)
            changed = [replace(each, state=state) for each in before.case.requests]
            change = CaseChange(
                at=self.clock(),
                actor=Actor(uuid4()),
                event="information-withdrawn",
                action="information.withdraw",
                outcome="withdrawn",
            )
            await keep(db, before, with_requests(before.case, *changed), change, answers())


def with_requests(case: PriorAuthorization, *requests: InformationRequest) -> PriorAuthorization:
    """The case with just these requests for information."""
    return replace(case, requests=requests)
