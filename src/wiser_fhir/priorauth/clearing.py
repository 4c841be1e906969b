"""What becomes of attachments behind the door: matched, scanned, and their case goes on.

The clock of a case never stops for it. Nothing here happens twice: a row in quarantine is claimed
for a while, a verdict is written once, a request for information is answered while it is open.

Source: WISeR Operational Guide 6.0, 4.2 (the time limits know no pause); CDex 2.1.0,
submit-attachment.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Recorder, write
from wiser_fhir.clock import Clock
from wiser_fhir.db.attachments import attachment, attachment_delivery
from wiser_fhir.db.base import prior_auth_case
from wiser_fhir.db.bodies import open_body
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.life import information_request
from wiser_fhir.db.vault import data_key
from wiser_fhir.egress.scanner import Scanner, ScannerAway, Verdict
from wiser_fhir.priorauth.answers import Answers
from wiser_fhir.priorauth.attached import AttachmentState, is_answered, missing
from wiser_fhir.priorauth.attachments import Attachments, matched, received_change
from wiser_fhir.priorauth.held import lapse
from wiser_fhir.priorauth.in_turn import in_turn
from wiser_fhir.priorauth.information import InformationRequest, RequestState
from wiser_fhir.priorauth.keeping import Actor, CaseChange, keep, locked, note
from wiser_fhir.priorauth.models import CaseStatus
from wiser_fhir.priorauth.repository import Cases, member_of
from wiser_fhir.priorauth.sealed_rows import number_of_delivery

log = logging.getLogger(__name__)

# As long as one worker may take for one file before another tries.
_CLAIMED = timedelta(minutes=5)

# Materialized, or the choice may be made anew for each row and fall on more than one.
_CLAIM = text("""
with next as materialized (
    select organization_id, id from attachment
    where organization_id = :organization_id and state = 'quarantined'
        and (claimed_until is null or claimed_until <= :now)
    order by id limit 1 for update skip locked)
update attachment a set claimed_until = :until from next
where a.organization_id = next.organization_id and a.id = next.id
returning a.id, a.content
""")

_EVENTS = {
    AttachmentState.CLEAR: "attachment-cleared",
    AttachmentState.REFUSED: "attachment-refused",
}


@dataclass(frozen=True, slots=True)
class Clearing:
    """The jobs of a worker. Without a `scanner` everything stays in quarantine.

    `at_once`: how many files of one organization are looked at before it is another's turn.
    """

    engine: AsyncEngine
    recorder: Recorder
    answers: Answers
    clock: Clock
    scanner: Scanner | None
    at_once: int = 100

    async def run(self) -> int:
        """Everything there is to do, once, for each organization. How much was done."""
        return await in_turn(self.engine, self._all_of)

    async def _all_of(self, organization_id: UUID) -> int:
        done = await self.match_held(organization_id)
        done += await self.check_quarantined(organization_id)
        done += await self.resume(organization_id)
        return done + await self.lapse_held(organization_id)

    async def match_held(self, organization_id: UUID) -> int:
        """Bring to requests what came before them."""
        change = received_change(Actor(uuid4()), self.clock())
        async with transaction(self.engine, organization_id) as db:
            return await matched(db, organization_id, change, self.recorder)

    async def lapse_held(self, organization_id: UUID) -> int:
        """Give up what no request has come for in a long time."""
        async with transaction(self.engine, organization_id) as db:
            return await lapse(db, organization_id, self.clock(), self.recorder)

    async def check_quarantined(self, organization_id: UUID) -> int:
        """Have the scanner look at what is in quarantine, one file after the other.

        A scanner that is away ends it; what was claimed is tried again later.
        """
        if self.scanner is None:
            return 0
        for done in range(self.at_once):
            claimed = await self._claimed(organization_id)
            if claimed is None:
                return done
            attachment_id, content = claimed
            try:
                verdict = await self.scanner.scan(content)
            except ScannerAway:
                log.warning("scanner away", extra={"organization": str(organization_id)})
                return done
            await self._decide(organization_id, attachment_id, verdict)
        return self.at_once

    async def resume(self, organization_id: UUID) -> int:
        """Settle the requests for information that what came has answered; tell who listens."""
        async with transaction(self.engine, organization_id) as db:
            waiting = (await db.execute(_WAITING)).scalars().all()
        settled = 0
        for case_id in waiting:
            async with transaction(self.engine, organization_id) as db:
                settled += await self._settle(db, case_id)
        return settled

    async def _claimed(self, organization_id: UUID) -> tuple[UUID, bytes] | None:
        """The next file that no other worker is at."""
        now = self.clock()
        values = {"organization_id": organization_id, "now": now, "until": now + _CLAIMED}
        async with transaction(self.engine, organization_id) as db:
            row = (await db.execute(_CLAIM, values)).one_or_none()
            if row is None:
                return None
            place = ("attachment", "content", row.id)
            return row.id, await open_body(db, organization_id, row.content, *place)

    async def _decide(self, organization_id: UUID, attachment_id: UUID, verdict: Verdict) -> None:
        """Write a verdict, unless another worker has. What is refused is not kept."""
        state = AttachmentState.CLEAR if verdict.clean else AttachmentState.REFUSED
        now = self.clock()
        values = {
            "state": state,
            "checked_at": now,
            "scanner": verdict.scanner,
            "finding": verdict.finding,
            **({} if verdict.clean else {"content": None}),
        }
        async with transaction(self.engine, organization_id) as db:
            decided = await db.execute(
                attachment.update()
                .where(
                    attachment.c.id == attachment_id,
                    attachment.c.state == AttachmentState.QUARANTINED,
                )
                .values(values)
            )
            if decided.rowcount:
                await self._record(db, organization_id, attachment_id, state, verdict, now)

    async def _record(
        self,
        db: AsyncConnection,
        organization_id: UUID,
        attachment_id: UUID,
        state: AttachmentState,
        verdict: Verdict,
        now: datetime,
    ) -> None:
        """In the history of the case it is matched to, else in the audit trail alone."""
        action, request_id = "attachment.check", uuid4()
        delivery = (await db.execute(_CAME_WITH.where(attachment.c.id == attachment_id))).mappings()
        came_with = delivery.one()
        key = await data_key(db, organization_id)
        patient = self.recorder.patient(number_of_delivery(came_with, key))
        if came_with["case_id"] is None:
            row = AuditRow(
                request_id=request_id,
                action=action,
                outcome=state,
                organization_id=organization_id,
                object_kind="attachment",
                object_id=str(attachment_id),
                patient=patient,
                detail={"scanner": verdict.scanner, "finding": verdict.finding},
            )
            await write(db, row)
            return
        (stored,) = await Cases(db).load([came_with["case_id"]])
        change = CaseChange(
            at=now,
            actor=Actor(request_id),
            event=_EVENTS[state],
            action=action,
            outcome=state,
            detail={"attachment": str(attachment_id), "finding": verdict.finding},
            told=False,
            patient=patient,
        )
        await note(db, stored.case, change)

    async def _settle(self, db: AsyncConnection, case_id: UUID) -> int:
        """How many requests of a case are answered by what is there now."""
        stored = await locked(db, case_id)
        received, said_final = await Attachments(db).received(case_id)
        now = self.clock()
        answered = [
            each
            for each in stored.case.requests
            if each.state is RequestState.OPEN and is_answered(each, received, said_final)
        ]
        if not answered or stored.case.status is not CaseStatus.IN_REVIEW:
            return 0
        requests = tuple(_answered(r, now) if r in answered else r for r in stored.case.requests)
        lacking = sum(len(missing(each, received)) for each in answered)
        change = CaseChange(
            at=now,
            actor=Actor(uuid4()),
            event="information-answered",
            action="information.answer",
            outcome="answered",
            detail={"requests": [str(each.id) for each in answered], "missing": lacking},
            patient=self.recorder.patient(await member_of(db, case_id)),
        )
        await keep(db, stored, replace(stored.case, requests=requests), change, self.answers)
        return len(answered)


def _answered(asked: InformationRequest, now: datetime) -> InformationRequest:
    return replace(asked, state=RequestState.ANSWERED, answered_at=now)


# Of an attachment, which the caller names.
_CAME_WITH = select(
    attachment_delivery.c.id, attachment_delivery.c.case_id, attachment_delivery.c.sealed_member
).join(attachment, attachment.c.delivery_id == attachment_delivery.c.id)

# Cases in review that wait for something, and for which something has come.
_WAITING = (
    select(prior_auth_case.c.id)
    .where(
        prior_auth_case.c.status == CaseStatus.IN_REVIEW,
        select(information_request.c.id)
        .where(
            information_request.c.organization_id == prior_auth_case.c.organization_id,
            information_request.c.case_id == prior_auth_case.c.id,
            information_request.c.state == RequestState.OPEN,
        )
        .exists(),
        select(attachment_delivery.c.id)
        .where(
            attachment_delivery.c.organization_id == prior_auth_case.c.organization_id,
            attachment_delivery.c.case_id == prior_auth_case.c.id,
        )
        .exists(),
    )
    .order_by(prior_auth_case.c.decide_by, prior_auth_case.c.id)
)
