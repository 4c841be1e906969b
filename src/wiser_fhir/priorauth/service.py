"""What can happen to a case, whichever door it came in by."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.decision_mac import decision_key
from wiser_fhir.audit.recorder import AuditRow, Recorder, took, write
from wiser_fhir.auth.principal import Principal
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Conflict, Forbidden, Unavailable
from wiser_fhir.priorauth.chain import followed
from wiser_fhir.priorauth.decide import Decider
from wiser_fhir.priorauth.honour import honouring
from wiser_fhir.priorauth.inquiry import Inquiry
from wiser_fhir.priorauth.ledger import AssertionRecord, Ledger
from wiser_fhir.priorauth.models import PriorAuthorization, Submission
from wiser_fhir.priorauth.repository import (
    MOST_FOUND,
    Cases,
    NumberTaken,
    PriorAuthRepository,
    StoredCase,
    SubmitOutcome,
    SubmitResult,
)
from wiser_fhir.priorauth.rows import DocumentFacts, submission_write
from wiser_fhir.priorauth.scope import duplicate_of
from wiser_fhir.priorauth.traces import NamesItem, traced
from wiser_fhir.priorauth.utn_life import delivered

Render = Callable[[PriorAuthorization], bytes]

_NUMBER_TRIES = 3
OTHER_BYTES = (
    "This Bundle.identifier came before with another content, or at the other line's address. Send"
    " the same bytes to the same address to get the same answer, or use a new identifier."
)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, and the id this one request is known by in log and audit."""

    principal: Principal
    request_id: UUID

    @property
    def organization_id(self) -> UUID:
        """The organization whose cases these are."""
        return self.principal.organization_id


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came: over which line, and its bytes.

    `assertions` are the ids of CRD's answers that it names, unchecked.
    """

    line: str
    body: bytes
    assertions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Found:
    """What an inquiry finds. `more`: there are others, which were too many."""

    cases: list[StoredCase]
    more: bool


@dataclass(frozen=True)
class PriorAuthService:
    """Cases: submitting, asking about and reading them.

    `most_found` is how many cases one inquiry is answered with at most.
    """

    engine: AsyncEngine
    decider: Decider
    recorder: Recorder
    clock: Clock
    most_found: int = MOST_FOUND

    async def submit(
        self, caller: Caller, submission: Submission, received: Received, render: Render
    ) -> bytes:
        """Decide a request, keep it with its answer in one transaction, and return the answer.

        The same identifier with the same bytes gets the same answer and changes nothing: the one
        write settles it, so that no request pays for asking first. `render` turns the case into the
        answer's bytes; it may be called again when the database settles a race otherwise than we
        thought.

        Raises Forbidden, Conflict, Unavailable.
        Source: PAS 2.2.1, missing-response section (safe to send again).
        """
        now = self.clock()
        submission = await self._followed(caller, submission)
        named = await self._named(caller, received)
        case = self._honouring(self.decider.decide(submission, now), submission, named)
        for _ in range(_NUMBER_TRIES):
            answer = render(case)
            try:
                outcome = await self._store(caller, submission, received, case, answer)
            except NumberTaken:
                case = self._honouring(self.decider.decide(submission, now), submission, named)
                continue
            match outcome.result:
                case SubmitResult.STORED:
                    return answer
                case SubmitResult.REPLAYED if outcome.answer is not None:
                    return outcome.answer
                case SubmitResult.CONFLICT:
                    raise Conflict(OTHER_BYTES)
            duplicate = self.decider.dismissed(submission, duplicate_of(), now)
            case = self._honouring(duplicate, submission, named)
        raise Unavailable("No free number was found.")

    def check_sender(
        self, caller: Caller, npis: frozenset[str], tins: frozenset[str] = frozenset()
    ) -> None:
        """Whether the caller may send for the requester, given every NPI and TIN it is named by.

        One that may not send for everybody names a provider it may send for, and no other; and a
        taxpayer's number that it names is one it may send for. Raises Forbidden.
        """
        if caller.principal.npis is None:
            return
        if not npis or not all(map(caller.principal.acts_for, npis)):
            raise Forbidden("This client may not send for the provider in Claim.provider.")
        if not all(map(caller.principal.bills_as, tins)):
            raise Forbidden("This client may not send for the TIN in Claim.provider.")

    async def inquire(self, caller: Caller, inquiry: Inquiry) -> Found:
        """The cases an inquiry finds: the caller's own, then those it has a part in.

        All of them up to `most_found`, and whether there are more.
        Raises Unavailable. Source: PAS 2.2.1 §spec-46 to §spec-53.
        """
        one_more, started = self.most_found + 1, self.clock()
        async with transaction(self.engine, caller.organization_id) as connection:
            cases = Cases(connection)
            audit = self._audit(caller, "claim.inquire", "answered", mbi=inquiry.mbi)
            found = await cases.inquire(caller.organization_id, inquiry, one_more)
            if caller.principal.npis is not None:
                found += await cases.inquire_by_others(inquiry, audit, one_more)
            detail = {"found": len(found), "ms": took(started, self.clock())}
            await write(connection, replace(audit, detail=detail))
            own = [each.case.id for each in found]
            await delivered(connection, caller.organization_id, own, self.clock())
        return Found(found[: self.most_found], len(found) > self.most_found)

    async def read(self, caller: Caller, case_id: UUID) -> StoredCase:
        """One of the caller's own cases. Raises NotFound, Unavailable."""
        async with transaction(self.engine, caller.organization_id) as connection:
            stored = await Cases(connection).by_id(case_id)
            await write(connection, self._audit(caller, "claim-response.read", "read", case_id))
            await delivered(connection, caller.organization_id, [case_id], self.clock())
        return stored

    async def by_trace(
        self, caller: Caller, mbi: str, trace: str, names_item: NamesItem
    ) -> StoredCase | None:
        """One of the caller's own cases of a beneficiary, by its trace number, our reference, or
        the trace number of one of its lines.

        Raises Unavailable.
        """
        async with transaction(self.engine, caller.organization_id) as connection:
            mine = caller.organization_id
            stored = await traced(connection, mine, mbi, trace, names_item)
            outcome, case_id = ("read", stored.case.id) if stored else ("none", None)
            await write(connection, self._audit(caller, "claim.trace", outcome, case_id, mbi=mbi))
        return stored

    async def _followed(self, caller: Caller, submission: Submission) -> Submission:
        """A resubmission with what is known of the request before it."""
        if submission.previous_utn is None:
            return submission
        audit = self._audit(caller, "claim.submit", "followed", submission=submission)
        known = audit if caller.principal.npis is not None else None
        async with transaction(self.engine, caller.organization_id) as connection:
            return await followed(connection, submission, known)

    async def _named(self, caller: Caller, received: Received) -> list[AssertionRecord]:
        """Those of CRD's answers that a request names and that are its sender's own."""
        if not received.assertions:
            return []
        ledger = Ledger(self.engine)
        own = await ledger.assertions(caller.organization_id, received.assertions)
        return [own[each] for each in received.assertions if each in own]

    def _honouring(
        self, case: PriorAuthorization, submission: Submission, named: list[AssertionRecord]
    ) -> PriorAuthorization:
        if not named:
            return case
        return honouring(case, submission, named, self.decider.catalogue)

    async def _store(
        self,
        caller: Caller,
        submission: Submission,
        received: Received,
        case: PriorAuthorization,
        answer: bytes,
    ) -> SubmitOutcome:
        written = submission_write(
            case,
            submission,
            line=received.line,
            request_body=received.body,
            answer=answer,
            answered_at=self.clock(),
            audit=self._audit(caller, "claim.submit", case.status, case.id, submission),
            documents=[
                DocumentFacts(kind=d.kind, content_type=d.content_type, size=d.size)
                for d in submission.documents
            ],
            decision_key=decision_key(self.recorder.key),
        )
        return await PriorAuthRepository(self.engine).submit(written)

    def _audit(
        self,
        caller: Caller,
        action: str,
        outcome: str,
        case_id: UUID | None = None,
        submission: Submission | None = None,
        mbi: str | None = None,
    ) -> AuditRow:
        beneficiary = submission.beneficiary.mbi if submission is not None else mbi
        return AuditRow(
            request_id=caller.request_id,
            action=action,
            outcome=outcome,
            organization_id=caller.organization_id,
            client_id=caller.principal.client_id,
            object_kind="prior-auth-case" if case_id else None,
            object_id=str(case_id) if case_id else None,
            patient=self.recorder.patient(beneficiary),
        )
