"""Updates and cancels: a later request of the sender changes the case of an earlier one."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import cast
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.decision_mac import decision_key
from wiser_fhir.audit.recorder import AuditRow, Recorder, write
from wiser_fhir.clock import Clock, business_date
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Conflict, ProfileViolation, Unavailable
from wiser_fhir.priorauth.answers import Answers
from wiser_fhir.priorauth.chain import followed
from wiser_fhir.priorauth.changes import (
    Content,
    Earlier,
    Refused,
    UpdateRefusal,
    changed_lines,
    changes_nothing,
    ended,
    line_refusal,
    missing,
    only_cancels,
    refused,
)
from wiser_fhir.priorauth.conversations import Conversations
from wiser_fhir.priorauth.decide import Decider
from wiser_fhir.priorauth.desk import constraint_of
from wiser_fhir.priorauth.keeping import Actor, CaseChange, NewRequest, keep, locked
from wiser_fhir.priorauth.models import (
    CaseStatus,
    Dismissal,
    Identifier,
    ItemStatus,
    PriorAuthorization,
    Submission,
)
from wiser_fhir.priorauth.peer_to_peer import OPEN, PeerState
from wiser_fhir.priorauth.repository import StoredCase
from wiser_fhir.priorauth.revise import (
    Revision,
    cancelled_case,
    late_urgency,
    redecided_case,
    standing_case,
)
from wiser_fhir.priorauth.rows import DocumentFacts
from wiser_fhir.priorauth.service import OTHER_BYTES, Caller, Received
from wiser_fhir.priorauth.succession import (
    Signature,
    answered,
    keep_refused,
    named_case,
    names_the_last,
    non_affirmed_lines,
    signed_by,
)

Read = Callable[[bytes], Earlier]
"""How a door reads a request that it kept."""

Refuse = Callable[[Refused], bytes]
"""How a door words a refusal."""

_TRIES = 3
_RACES = ("pk_submission", "uq_utn_utn")


@dataclass(frozen=True, slots=True)
class Update:
    """An update as it came. `content` digests all that it tells, `read` reads the request before
    it, `refuse` words a refusal."""

    submission: Submission
    received: Received
    content: Content
    read: Read
    refuse: Refuse

    def as_request(self, operation: str, *, expedite: bool | None = None) -> NewRequest:
        """What is kept of it. `expedite` where a case asks for speed that its update does not."""
        asked, received = self.submission, self.received
        papers = (
            DocumentFacts(kind=paper.kind, content_type=paper.content_type, size=paper.size)
            for paper in asked.documents
        )
        if expedite is not None:
            asked = replace(asked, expedite_requested=expedite)
        return NewRequest(asked, received.line, received.body, operation, tuple(papers))


@dataclass(frozen=True)
class UpdateService:
    """Takes updates and cancels. `answers` writes what is answered about a case."""

    engine: AsyncEngine
    decider: Decider
    recorder: Recorder
    clock: Clock
    answers: Answers

    async def update(self, caller: Caller, update: Update) -> bytes:
        """Change the case that an update names, or say why not; the answer either way.

        The same identifier with the same bytes gets the same answer and changes nothing. Whoever
        determines the case at the same time goes before or after: an update that comes after makes
        a new revision of what was decided.

        Raises Conflict, ProfileViolation (not the full picture), Unavailable.
        Source: PAS 2.2.1 §spec-64 to §spec-72, updating section, missing-response section.
        """
        for _ in range(_TRIES):
            try:
                async with transaction(self.engine, caller.organization_id) as db:
                    return await _Act(self, db, caller, update).answer()
            except IntegrityError as error:
                if constraint_of(error) not in _RACES:
                    raise
        raise Unavailable("The update lost too many races.")


@dataclass(frozen=True)
class _Act:
    """One update inside its transaction."""

    service: UpdateService
    db: AsyncConnection
    caller: Caller
    update: Update

    @property
    def asked(self) -> Submission:
        """The update as understood."""
        return self.update.submission

    @property
    def _traces(self) -> tuple[Identifier, ...]:
        """The numbers by which it names the request before."""
        return self.asked.change.earlier if self.asked.change else ()

    async def answer(self) -> bytes:
        """What was answered before, else what comes of it now."""
        before = await self._answered()
        if before is not None:
            return before
        mbi = self.asked.beneficiary.mbi
        case_id = await named_case(self.db, self.caller.organization_id, mbi, self._traces)
        if case_id is None:
            return await self._refuse(refused(UpdateRefusal.UNKNOWN), None)
        stored = await locked(self.db, case_id)
        # Its twin may have come and gone while this one waited for the case.
        return await self._answered() or await self._change(stored, self.service.clock())

    async def _answered(self) -> bytes | None:
        """The answer given to this identifier, with a row of its own. Raises Conflict."""
        known = await answered(self.db, self.caller.organization_id, self.asked.identifier)
        if known is None:
            return None
        received = self.update.received
        if not known.to_same_bytes(received.body) or known.line != received.line:
            raise Conflict(OTHER_BYTES)
        await write(self.db, self._audit("replayed", known.case_id))
        return known.body

    async def _change(self, stored: StoredCase, now: datetime) -> bytes:
        """Change the held case, or say why not. Raises ProfileViolation."""
        case, earlier = stored.case, self.update.read(stored.request_body)
        revision = Revision(case, self.asked, await non_affirmed_lines(self.db, case))
        refusal = await self._refusal(revision, earlier)
        if refusal is not None:
            return await self._refuse(refusal, case.id)
        if problems := missing(case, earlier, self.asked):
            raise ProfileViolation("An update tells all that was told before.", problems)
        if not revision.live:
            return await self._keep(stored, cancelled_case(revision), now, "cancel")
        if case.decided and changes_nothing(case, earlier, self.asked, self.update.content):
            return await self._refuse(refused(UpdateRefusal.NOTHING_CHANGED), case.id)
        after, signed = await self._standing(revision, earlier, business_date(now))
        if after is None:
            decider = self.service.decider
            again = redecided_case(decider, await self._followed(revision), now)
            if isinstance(again, Dismissal):
                return await self._refuse(Refused(again.reason, again.detail), case.id)
            after = again
        return await self._keep(stored, after, now, "update", signed)

    async def _refusal(self, revision: Revision, earlier: Earlier) -> Refused | None:
        if refusal := ended(revision.case):
            return refusal
        if not await names_the_last(self.db, revision.case, self._traces):
            return refused(UpdateRefusal.OUTDATED)
        changed = changed_lines(earlier.submission, self.asked) - revision.cancelled
        return line_refusal(revision.non_affirmed, changed)

    async def _followed(self, revision: Revision) -> Revision:
        """The update of a resubmission, which follows what its case followed."""
        named = replace(revision.update, previous_utn=revision.case.previous_utn)
        known = self.caller.principal.npis is not None
        audit = self._audit("followed", revision.case.id) if known else None
        return replace(revision, update=await followed(self.db, named, audit))

    async def _standing(
        self, revision: Revision, earlier: Earlier, today: date
    ) -> tuple[PriorAuthorization | None, Signature | None]:
        """The case with its other decisions untouched, and the clinician's signature under them;
        nothing where it has to be decided anew, as where that clinician may sign no more."""
        case, content = revision.case, self.update.content
        if not case.decided or not only_cancels(case, earlier, self.asked, content):
            return None, None
        signed = await signed_by(self.db, case, today)
        if signed is not None and not signed.may_sign:
            return None, None
        site = next((item.site for item in revision.live if item.site), None)
        standing = standing_case(revision, self.service.decider.utn_source.new(site))
        return standing, signed

    async def _keep(
        self,
        stored: StoredCase,
        after: PriorAuthorization,
        now: datetime,
        operation: str,
        signed: Signature | None = None,
    ) -> bytes:
        """Write the next revision; its answer."""
        asked = self.asked
        expedite = asked.expedite_requested or after.expedited
        change = CaseChange(
            at=now,
            actor=Actor(self.caller.request_id, client_id=self.caller.principal.client_id),
            event="cancelled" if operation == "cancel" else "updated",
            action=f"claim.{operation}",
            outcome=after.status,
            detail=_detail(stored.case, after, asked),
            delivered=True,
            clinician_id=signed.person_id if signed else None,
            signed_in_at=signed.signed_in_at if signed else None,
            decision_key=decision_key(self.service.recorder.key),
            request=self.update.as_request(operation, expedite=expedite),
            patient=self.service.recorder.patient(asked.beneficiary.mbi),
        )
        if after.status is not CaseStatus.IN_REVIEW:
            await self._end_talks(after, now)
        # An update is always told, so there is an answer.
        return cast(bytes, await keep(self.db, stored, after, change, self.service.answers))

    async def _end_talks(self, case: PriorAuthorization, now: datetime) -> None:
        """A conversation belongs to a review, which is over."""
        talks = Conversations(self.db, case.organization_id, case.id)
        open_ones = [peer.id for peer in await talks.all() if peer.state in OPEN]
        said = "The provider changed the request, which ended its review."
        await talks.end(open_ones, PeerState.DECLINED, said, now)

    async def _refuse(self, refusal: Refused, case_id: UUID | None) -> bytes:
        answer = self.update.refuse(refusal)
        request = self.update.as_request("update")
        await keep_refused(self.db, self.caller.organization_id, request, answer)
        await write(self.db, self._audit(refusal.reason, case_id))
        return answer

    def _audit(self, outcome: str, case_id: UUID | None) -> AuditRow:
        return AuditRow(
            request_id=self.caller.request_id,
            action="claim.update",
            outcome=outcome,
            organization_id=self.caller.organization_id,
            client_id=self.caller.principal.client_id,
            object_kind="prior-auth-case" if case_id else None,
            object_id=str(case_id) if case_id else None,
            patient=self.service.recorder.patient(self.asked.beneficiary.mbi),
        )


def _detail(
    before: PriorAuthorization, after: PriorAuthorization, asked: Submission
) -> dict[str, object]:
    """What the history keeps of an update beside its bytes: which lines came and went."""
    known = {item.sequence: item.status for item in before.items}
    cancelled = [i.sequence for i in after.items if i.status is ItemStatus.CANCELLED]
    return {
        "added": [item.sequence for item in after.items if item.sequence not in known],
        "cancelled": [n for n in cancelled if known.get(n) is not ItemStatus.CANCELLED],
        "expedite_asked_late": late_urgency(before, asked),
    }
