"""A case as the review door shows it: the values of the core, put in one object."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.coverage.requested import Code
from wiser_fhir.priorauth.attached import AttachmentFacts, AttachmentKind, AttachmentState
from wiser_fhir.priorauth.case_file import (
    Assignment,
    CaseEvent,
    CaseFile,
    Criterion,
    EarlierCase,
    LetterFacts,
    MessageFacts,
    PaperFacts,
    PastDecision,
    SentRequest,
)
from wiser_fhir.priorauth.chain import Link
from wiser_fhir.priorauth.clocks import Nearness
from wiser_fhir.priorauth.determination import ItemDecision
from wiser_fhir.priorauth.information import InformationRequest
from wiser_fhir.priorauth.models import (
    AnswerValue,
    CaseItem,
    CaseStatus,
    CompletedForm,
    DismissalReason,
    ItemRole,
    ItemStatus,
    Origin,
    Party,
    Recommendation,
    RequestKind,
    Site,
    Submission,
    UtnState,
)
from wiser_fhir.priorauth.peer_to_peer import PeerToPeer


class Shown(BaseModel):
    """Something that is sent."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class ExpediteOut(Shown):
    """Whether the sender asked for an expedited review, which clock runs, what was said of it."""

    requested: bool
    expedited: bool
    confirmed: bool | None


class BeneficiaryOut(Shown):
    """The person the service is for."""

    mbi: str | None
    family: str | None
    given: str | None
    birth_date: date | None


class DismissalOut(Shown):
    """Why a request was closed without medical review, and what its provider is told to do."""

    reason: DismissalReason
    detail: str


class UtnOut(Shown):
    """The tracking number of a decided case, null where none has come yet. Days are included."""

    number: str | None
    state: UtnState
    superseded: str | None
    valid_from: date | None
    valid_until: date | None


class ItemOut(Shown):
    """A line. `modifiers` and `site` are those of the present request."""

    sequence: int
    code: Code
    role: ItemRole
    status: ItemStatus
    date_of_service: date | None
    service_end: date | None
    quantity: Decimal | None
    modifiers: tuple[str, ...]
    site: Site | None
    note: str | None
    decision: ItemDecision | None


class AnswerOut(Shown):
    """An answer of a form: who gave it, and whether it was held against the rules."""

    question: str
    text: str | None
    value: AnswerValue
    origin: Origin | None
    counted: bool


class FormOut(Shown):
    """A form that came with the present request."""

    questionnaire: str | None
    version: str | None
    completed: bool
    authored: datetime | None
    answers: tuple[AnswerOut, ...]


class DocumentOut(Shown):
    """A document that came in a request; its bytes are at `href` once a scanner cleared it."""

    position: int
    revision: int
    kind: str
    state: AttachmentState
    title: str | None
    content_type: str | None
    size: int | None
    finding: str | None
    href: str


class AttachmentOut(Shown):
    """Something attached beside a request; its bytes are at `href` once a scanner cleared it."""

    id: UUID
    received_at: datetime
    kind: AttachmentKind
    state: AttachmentState
    media_type: str
    size: int
    code: Code | None
    lines: tuple[str, ...]
    questionnaire: str | None
    finding: str | None
    href: str


class EarlierOut(Shown):
    """A case that this one was resubmitted after: what it came with, and what was decided."""

    link: Link
    criteria: tuple[Criterion, ...]
    documents: tuple[DocumentOut, ...]
    determinations: tuple[PastDecision, ...]
    href: str


class CaseOut(Shown):
    """Everything there is to see of a case. Lists begin with the earliest."""

    id: UUID
    reference: str
    status: CaseStatus
    revision: int
    kind: RequestKind
    line: str
    service: str | None
    rules: str | None
    state: str | None
    received_at: datetime
    decide_by: datetime | None
    nearness: Nearness | None
    expedite: ExpediteOut
    assigned: Assignment | None
    beneficiary: BeneficiaryOut
    parties: tuple[Party, ...]
    diagnoses: tuple[str, ...]
    items: tuple[ItemOut, ...]
    recommendation: Recommendation | None
    criteria: tuple[Criterion, ...]
    doubts: tuple[str, ...]
    forms: tuple[FormOut, ...]
    documents: tuple[DocumentOut, ...]
    attachments: tuple[AttachmentOut, ...]
    requests: tuple[InformationRequest, ...]
    conversations: tuple[PeerToPeer, ...]
    utn: UtnOut | None
    decided_at: datetime | None
    determinations: tuple[PastDecision, ...]
    dismissal: DismissalOut | None
    chain: tuple[Link, ...]
    earlier: tuple[EarlierOut, ...]
    submissions: tuple[SentRequest, ...]
    history: tuple[CaseEvent, ...]
    messages: tuple[MessageFacts, ...]
    letters: tuple[LetterFacts, ...]

    @classmethod
    def of(cls, view: "CaseView", cases: str) -> Self:
        """The case as it stands below `cases`, the path of all of them."""
        file, case, told = view.file, view.file.case, view.told
        href = f"{cases}/{case.id}"
        return cls(
            id=case.id,
            reference=case.reference,
            status=case.status,
            revision=case.revision,
            kind=case.kind,
            line=file.line,
            service=case.service,
            rules=case.rules,
            state=file.state,
            received_at=case.received_at,
            decide_by=case.decide_by,
            nearness=file.nearness,
            expedite=ExpediteOut(
                requested=file.expedite_requested,
                expedited=case.expedited,
                confirmed=case.expedite_confirmed,
            ),
            assigned=file.assigned,
            beneficiary=BeneficiaryOut.model_validate(file.beneficiary),
            parties=file.parties,
            diagnoses=told.diagnoses,
            items=tuple(_items(view)),
            recommendation=case.assessment.recommendation if case.assessment else None,
            criteria=file.criteria,
            doubts=told.doubts,
            forms=tuple(_form(form, view) for form in told.forms),
            documents=tuple(_document(each, href) for each in file.documents),
            attachments=tuple(_attachment(each, href) for each in view.attachments),
            requests=case.requests,
            conversations=file.conversations,
            utn=_utn(view),
            decided_at=case.decided_at,
            determinations=file.determinations,
            dismissal=DismissalOut.model_validate(case.dismissal) if case.dismissal else None,
            chain=file.chain,
            earlier=tuple(_earlier(each, cases) for each in file.earlier),
            submissions=file.submissions,
            history=file.events,
            messages=file.messages,
            letters=file.letters,
        )


@dataclass(frozen=True, slots=True)
class CaseView:
    """What a shown case is made of. `told` is its present request, `rules` those pinned to it."""

    file: CaseFile
    told: Submission
    attachments: tuple[AttachmentFacts, ...]
    rules: ServiceRules | None


def _items(view: CaseView) -> Iterator[ItemOut]:
    requested = {item.sequence: item for item in view.told.items}
    for item in view.file.case.items:
        asked = requested.get(item.sequence)
        yield ItemOut(
            **_of_line(item),
            modifiers=asked.modifiers if asked else (),
            site=asked.site if asked else None,
        )


def _of_line(item: CaseItem) -> Mapping[str, object]:
    names = (
        *("sequence", "code", "role", "status", "date_of_service", "service_end", "quantity"),
        *("note", "decision"),
    )
    return {name: getattr(item, name) for name in names}


def _form(form: CompletedForm, view: CaseView) -> FormOut:
    questions = view.rules.by_id if view.rules is not None else {}
    assessment = view.file.case.assessment
    counted = {each.question for each in assessment.answers if each.counted} if assessment else ()
    return FormOut(
        questionnaire=form.questionnaire,
        version=form.version,
        completed=form.completed,
        authored=form.authored,
        answers=tuple(
            AnswerOut(
                question=question,
                text=questions[question].text if question in questions else None,
                value=answer.value,
                origin=answer.origin,
                counted=question in counted,
            )
            for question, answer in form.answers.items()
        ),
    )


def _earlier(earlier: EarlierCase, cases: str) -> EarlierOut:
    href = f"{cases}/{earlier.link.case_id}"
    return EarlierOut(
        link=earlier.link,
        criteria=earlier.criteria,
        documents=tuple(_document(each, href) for each in earlier.documents),
        determinations=earlier.determinations,
        href=href,
    )


def _document(facts: PaperFacts, href: str) -> DocumentOut:
    names = (
        *("position", "revision", "kind", "state", "title", "content_type", "size", "finding"),
    )
    shown = {name: getattr(facts, name) for name in names}
    return DocumentOut(**shown, href=f"{href}/documents/{facts.position}")


def _attachment(facts: AttachmentFacts, href: str) -> AttachmentOut:
    names = (
        *("id", "received_at", "kind", "state", "media_type", "size", "code", "lines"),
        *("questionnaire", "finding"),
    )
    shown = {name: getattr(facts, name) for name in names}
    return AttachmentOut(**shown, href=f"{href}/attachments/{facts.id}")


def _utn(view: CaseView) -> UtnOut | None:
    case = view.file.case
    if case.utn_state is None:
        return None
    return UtnOut(
        number=case.utn,
        state=case.utn_state,
        superseded=case.superseded_utn,
        valid_from=case.valid_from,
        valid_until=case.valid_until,
    )
