"""Everything a reviewer sees of one case, read in a transaction of its organization."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, Select, Table, select
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.db.attachments import document_check
from wiser_fhir.db.base import (
    case_party,
    determination,
    document,
    message,
    person,
    prior_auth_case,
    submission,
)
from wiser_fhir.db.life import case_event, letter
from wiser_fhir.db.sealed import DETERMINATION, EVENT
from wiser_fhir.db.vault import data_key
from wiser_fhir.errors import Conflict
from wiser_fhir.priorauth.attached import AttachmentState
from wiser_fhir.priorauth.chain import Link, chain_of
from wiser_fhir.priorauth.clocks import LeadTimes, Nearness, nearness
from wiser_fhir.priorauth.conversations import Conversations
from wiser_fhir.priorauth.determination import DecidedBy, Outcome
from wiser_fhir.priorauth.models import (
    AnswerOrigin,
    Beneficiary,
    CaseStatus,
    Finding,
    Identifier,
    Party,
    PartyRole,
    PriorAuthorization,
)
from wiser_fhir.priorauth.peer_to_peer import PeerToPeer
from wiser_fhir.priorauth.repository import Cases, StoredCase
from wiser_fhir.priorauth.rows import Row
from wiser_fhir.priorauth.sealed_rows import beneficiary_from


@dataclass(frozen=True, slots=True)
class Criterion:
    """One criterion as the rules found it, the question behind it, and who answered that.

    `question` is None for a finding about the request itself, `answer` where nobody answered.
    """

    finding: Finding
    question: str | None
    answer: AnswerOrigin | None


@dataclass(frozen=True, slots=True)
class PaperFacts:
    """A document that came with a request of the case; its bytes are in the stored request's.

    `revision` is that of the request. `size` is in bytes. `finding` is what a scanner calls what it
    found in one that is refused.
    """

    position: int
    revision: int
    kind: str
    title: str | None
    content_type: str | None
    size: int | None
    state: AttachmentState = AttachmentState.QUARANTINED
    finding: str | None = None

    def check_clear(self) -> None:
        """Whether anybody may be given its bytes. Raises Conflict."""
        if self.state is AttachmentState.QUARANTINED:
            raise Conflict("The document is quarantined: no scanner has cleared it yet.")
        if self.state is AttachmentState.REFUSED:
            raise Conflict("The document was refused by the scanner.")


@dataclass(frozen=True, slots=True)
class SentRequest:
    """A request by which the case came or was changed: `operation` is submit, update or cancel."""

    revision: int
    operation: str
    line: str
    received_at: datetime
    identifier: Identifier
    trace: Identifier | None


@dataclass(frozen=True, slots=True)
class PastDecision:
    """A determination of one line, of this revision or an earlier one."""

    revision: int
    sequence: int
    outcome: Outcome
    decided_at: datetime
    decided_by: DecidedBy
    clinician_id: UUID | None
    clinician: str | None
    rationale: str | None
    resubmission_steps: str | None


@dataclass(frozen=True, slots=True)
class CaseEvent:
    """Something that happened to a case. `person` is the name of whoever of ours did it."""

    id: UUID
    revision: int
    at: datetime
    kind: str
    person_id: UUID | None
    person: str | None
    text: str | None
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """A message kept byte for byte. `direction` is in or out, `length` in bytes."""

    id: UUID
    direction: str
    kind: str
    media_type: str
    length: int
    at: datetime


@dataclass(frozen=True, slots=True)
class LetterFacts:
    """A letter about the case, and whether it is on its way."""

    kind: str
    recipient: str
    revision: int
    created_at: datetime
    state: str


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who has taken a case up. It locks nobody out."""

    person_id: UUID
    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class EarlierCase:
    """A case that this one was resubmitted after, with what it came with and was told.

    Source: WISeR Operational Guide 6.0, 4.4 (documents sent before count with the new ones).
    """

    link: Link
    criteria: tuple[Criterion, ...]
    documents: tuple[PaperFacts, ...]
    determinations: tuple[PastDecision, ...]
    messages: tuple[MessageFacts, ...]


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A case as a reviewer sees it. Lists begin with the earliest.

    `nearness` is told by the clock of now; `state` is where the service is delivered. `chain` are
    the cases that this one follows and those that follow it, itself among them; `earlier` what the
    former came with, the latest first.
    """

    case: PriorAuthorization
    line: str
    expedite_requested: bool
    nearness: Nearness | None
    assigned: Assignment | None
    beneficiary: Beneficiary
    state: str | None
    parties: tuple[Party, ...]
    criteria: tuple[Criterion, ...]
    documents: tuple[PaperFacts, ...]
    submissions: tuple[SentRequest, ...]
    determinations: tuple[PastDecision, ...]
    events: tuple[CaseEvent, ...]
    conversations: tuple[PeerToPeer, ...]
    letters: tuple[LetterFacts, ...]
    messages: tuple[MessageFacts, ...]
    chain: tuple[Link, ...] = ()
    earlier: tuple[EarlierCase, ...] = ()


@dataclass(frozen=True, slots=True)
class CaseReader:
    """Reads what belongs to one case. Never commits."""

    connection: AsyncConnection
    organization_id: UUID
    case_id: UUID

    async def file(
        self,
        case: PriorAuthorization,
        rules: ServiceRules | None,
        now: datetime,
        leads: LeadTimes,
    ) -> CaseFile:
        """The case with all there is around it. `rules` are those pinned to it, if still there."""
        query = (
            select(prior_auth_case, person.c.name.label("assigned_name"))
            .outerjoin(person, person.c.id == prior_auth_case.c.assigned_to)
            .where(
                prior_auth_case.c.organization_id == self.organization_id,
                prior_auth_case.c.id == self.case_id,
            )
        )
        row = (await self.connection.execute(query)).mappings().one()
        key = await data_key(self.connection, self.organization_id)
        talks = Conversations(self.connection, self.organization_id, self.case_id)
        chain = await chain_of(self.connection, self.organization_id, self.case_id)
        return CaseFile(
            case=case,
            line=row["line"],
            expedite_requested=row["expedite_requested"],
            nearness=_nearness(case, now, leads),
            assigned=_assignment(row),
            beneficiary=beneficiary_from(row, key),
            state=row["state"],
            parties=await self.parties(),
            criteria=_criteria(case, rules),
            documents=await self._documents(),
            submissions=await self._submissions(),
            determinations=await self._determinations(),
            events=await self.events(),
            conversations=await talks.all(),
            letters=await self._letters(),
            messages=await self._messages(),
            chain=tuple(chain),
            earlier=await self._earlier(chain, rules),
        )

    async def _earlier(
        self, chain: Sequence[Link], rules: ServiceRules | None
    ) -> tuple[EarlierCase, ...]:
        links = {link.case_id: link for link in reversed(chain) if link.steps < 0}
        found = await Cases(self.connection).load(list(links))
        return tuple([await self._before(links[each.case.id], each, rules) for each in found])

    async def _before(
        self, link: Link, stored: StoredCase, rules: ServiceRules | None
    ) -> EarlierCase:
        reader = CaseReader(self.connection, self.organization_id, link.case_id)
        return EarlierCase(
            link=link,
            criteria=_criteria(stored.case, rules),
            documents=await reader._documents(),
            determinations=await reader._determinations(),
            messages=await reader._messages(),
        )

    async def parties(self) -> tuple[Party, ...]:
        """Everybody the case names, those of its first request first."""
        rows = await self._rows(case_party, case_party.c.position)
        return tuple(
            Party(
                PartyRole(row["role"]),
                *(row[name] for name in ("name", "npi", "tin", "ccn", "ptan", "state")),
            )
            for row in rows
        )

    async def events(self) -> tuple[CaseEvent, ...]:
        """What happened to the case after its first answer."""
        query = (
            self._of(case_event, case_event.c.at, case_event.c.id)
            .outerjoin(person, person.c.id == case_event.c.person_id)
            .add_columns(person.c.name.label("person"))
        )
        key = await data_key(self.connection, self.organization_id)
        rows = (await self.connection.execute(query)).mappings().all()
        names = ("id", "revision", "at", "kind", "person_id", "person", "text", "detail")
        opened = (EVENT.open(key, row) for row in rows)
        return tuple(CaseEvent(**{name: row[name] for name in names}) for row in opened)

    async def _documents(self) -> tuple[PaperFacts, ...]:
        names = ("position", "revision", "kind", "title", "content_type", "size")
        query = (
            self._of(document, document.c.position)
            .outerjoin_from(document, document_check)
            .add_columns(document_check.c.state, document_check.c.finding)
        )
        rows = (await self.connection.execute(query)).mappings()
        return tuple(
            PaperFacts(
                **{name: row[name] for name in names},
                state=AttachmentState(row["state"] or AttachmentState.QUARANTINED),
                finding=row["finding"],
            )
            for row in rows
        )

    async def _submissions(self) -> tuple[SentRequest, ...]:
        rows = await self._rows(submission, submission.c.received_at, submission.c.revision)
        return tuple(map(_sent, rows))

    async def _determinations(self) -> tuple[PastDecision, ...]:
        query = (
            self._of(determination, determination.c.revision, determination.c.sequence)
            .outerjoin(person, person.c.id == determination.c.clinician_id)
            .add_columns(person.c.name.label("clinician"))
        )
        key = await data_key(self.connection, self.organization_id)
        rows = (await self.connection.execute(query)).mappings().all()
        return tuple(_decision(DETERMINATION.open(key, row)) for row in rows)

    async def _letters(self) -> tuple[LetterFacts, ...]:
        names = ("kind", "recipient", "revision", "created_at", "state")
        rows = await self._rows(letter, letter.c.created_at, letter.c.id)
        return tuple(LetterFacts(**{name: row[name] for name in names}) for row in rows)

    async def _messages(self) -> tuple[MessageFacts, ...]:
        names = ("id", "direction", "kind", "media_type", "length", "at")
        columns = [message.c[name] for name in names]
        query = (
            select(*columns)
            .where(
                message.c.organization_id == self.organization_id,
                message.c.case_id == self.case_id,
            )
            .order_by(message.c.at, message.c.direction, message.c.id)
        )
        rows = (await self.connection.execute(query)).mappings()
        return tuple(MessageFacts(**row) for row in rows)

    async def _rows(self, table: Table, *order: Any) -> list[RowMapping]:
        return list((await self.connection.execute(self._of(table, *order))).mappings())

    def _of(self, table: Table, *order: Any) -> Select[Any]:
        mine = table.c.organization_id == self.organization_id, table.c.case_id == self.case_id
        return select(table).where(*mine).order_by(*order)


def _nearness(case: PriorAuthorization, now: datetime, leads: LeadTimes) -> Nearness | None:
    if case.status is not CaseStatus.IN_REVIEW or case.decide_by is None:
        return None
    return nearness(case.decide_by, now, leads, expedited=case.expedited)


def _assignment(row: RowMapping) -> Assignment | None:
    if row["assigned_to"] is None:
        return None
    return Assignment(row["assigned_to"], row["assigned_name"], row["assigned_at"])


def _criteria(case: PriorAuthorization, rules: ServiceRules | None) -> tuple[Criterion, ...]:
    if case.assessment is None:
        return ()
    answers = {answer.question: answer for answer in case.assessment.answers}
    questions = rules.by_id if rules is not None else {}
    return tuple(
        Criterion(
            finding=finding,
            question=questions[finding.criterion].text if finding.criterion in questions else None,
            answer=answers.get(finding.criterion),
        )
        for finding in case.assessment.findings
    )


def _sent(row: RowMapping) -> SentRequest:
    trace = row["trace_value"]
    return SentRequest(
        revision=row["revision"],
        operation=row["operation"],
        line=row["line"],
        received_at=row["received_at"],
        identifier=Identifier(row["identifier_system"] or None, row["identifier_value"]),
        trace=Identifier(row["trace_system"], trace) if trace is not None else None,
    )


def _decision(row: Row) -> PastDecision:
    return PastDecision(
        revision=row["revision"],
        sequence=row["sequence"],
        outcome=Outcome(row["outcome"]),
        decided_at=row["decided_at"],
        decided_by=DecidedBy(row["decided_by"]),
        clinician_id=row["clinician_id"],
        clinician=row["clinician"],
        rationale=row["rationale"],
        resubmission_steps=row["resubmission_steps"],
    )
