"""What people do with a case under review: look, decide, ask, note, assign."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from wiser_fhir.audit.recorder import write
from wiser_fhir.auth.people import AUDITOR
from wiser_fhir.clock import business_date
from wiser_fhir.db.base import message, prior_auth_case
from wiser_fhir.db.bodies import open_body
from wiser_fhir.errors import Conflict, Forbidden, NotFound, ProfileViolation, Unavailable
from wiser_fhir.priorauth.asked import Asked, asking_problems, requested, sendable
from wiser_fhir.priorauth.case_file import CaseEvent, CaseFile, CaseReader
from wiser_fhir.priorauth.conversations import Conversations
from wiser_fhir.priorauth.deciders import (
    check_may_contribute,
    check_may_decide,
    check_signed_in,
    colleague,
    interests_of,
)
from wiser_fhir.priorauth.deciding import Deciding, decided_case
from wiser_fhir.priorauth.desk import Act, Desk, OpenCase, Reviewing, check_undecided, constraint_of
from wiser_fhir.priorauth.determination import (
    DecidedBy,
    DecidingClinician,
    Determination,
    Outcome,
)
from wiser_fhir.priorauth.determination_rules import Standard, determination_problems
from wiser_fhir.priorauth.information import RequestState
from wiser_fhir.priorauth.keeping import keep, note, post
from wiser_fhir.priorauth.models import (
    CaseStatus,
    Party,
    PartyRole,
    PriorAuthorization,
    Site,
    SiteKind,
)
from wiser_fhir.priorauth.peer_to_peer import OPEN, PeerState
from wiser_fhir.priorauth.rules import decide_by

_NUMBER_TRIES = 3
_HOSPITAL_OUTPATIENT = Site(SiteKind.BILL_TYPE, "13")
_IN_STANDARD_TIME = "Reviewed within the standard time: the risk that would expedite is not seen."


@dataclass(frozen=True)
class ReviewService:
    """Cases, as the people who review them look at them and change them.

    A case that a person has a part in is NotFound to them, at every method.
    """

    desk: Desk

    async def case_file(self, by: Reviewing, case_id: UUID) -> CaseFile:
        """Everything there is to see of a case. Raises NotFound, Unavailable."""
        async with self.desk.seen(by, case_id) as opened:
            case = opened.case
            reader = CaseReader(opened.db, case.organization_id, case_id)
            file = await reader.file(case, self.desk.rules_of(case), opened.now, self.desk.leads)
            await write(opened.db, opened.looked("case.look"))
        return file

    async def events(self, by: Reviewing, case_id: UUID) -> tuple[CaseEvent, ...]:
        """What happened to a case since its first answer. Raises NotFound, Unavailable."""
        async with self.desk.seen(by, case_id) as opened:
            events = await CaseReader(opened.db, opened.case.organization_id, case_id).events()
            await write(opened.db, opened.looked("case.look"))
        return events

    async def message(self, by: Reviewing, case_id: UUID, message_id: UUID) -> tuple[str, bytes]:
        """The media type and the bytes of one message of a case, as it came or went.

        What came is evidence for auditors: it holds the sender's files unchecked.
        Raises NotFound, Forbidden, Unavailable.
        """
        media_type, direction, body = await self._message(by, case_id, message_id)
        if direction == "in" and not by.reviewer.may(AUDITOR):
            raise Forbidden("A message as it came is for an auditor: its files are unchecked.")
        return media_type, body

    async def request_body(self, by: Reviewing, case_id: UUID, message_id: UUID) -> bytes:
        """A request, for software that reads it. Nobody is shown it whole.

        Raises NotFound, Unavailable.
        """
        _, _, body = await self._message(by, case_id, message_id)
        return body

    async def _message(
        self, by: Reviewing, case_id: UUID, message_id: UUID
    ) -> tuple[str, str, bytes]:
        async with self.desk.seen(by, case_id) as opened:
            query = select(message.c.media_type, message.c.direction, message.c.body).where(
                message.c.organization_id == opened.case.organization_id,
                message.c.case_id == case_id,
                message.c.id == message_id,
            )
            row = (await opened.db.execute(query)).one_or_none()
            if row is None:
                raise NotFound("message")
            organization_id = opened.case.organization_id
            body = await open_body(
                opened.db, organization_id, row.body, "message", "body", message_id
            )
            await write(opened.db, opened.looked("case.message"))
        return row.media_type, row.direction, body

    async def determine(
        self, by: Reviewing, case_id: UUID, revision: int, determination: Determination
    ) -> PriorAuthorization:
        """Decide every undecided line of a case; the case as it stands then.

        What was asked for and has not come lapses, and a conversation that was not held is not
        held any more: the decision is made on what is there.

        Raises NotFound, Forbidden, AlreadyDetermined, Conflict, ProfileViolation, Unavailable.
        Source: WISeR Operational Guide 6.0, 4.1; PAS 2.2.1 §spec-51 (pended responses).
        """
        check_may_decide(by.reviewer, business_date(self.desk.clock()))
        for _ in range(_NUMBER_TRIES):
            try:
                async with self.desk.held(by, case_id) as opened:
                    return await self._determine(opened, revision, determination)
            except IntegrityError as error:
                if constraint_of(error) != "uq_utn_utn":
                    raise
        raise Unavailable("No free number was found.")

    async def _determine(
        self, opened: OpenCase, revision: int, determination: Determination
    ) -> PriorAuthorization:
        case, now, process = opened.case, opened.now, self.desk.catalogue.process
        check_undecided(case, revision)
        standard = Standard(process, self.desk.rules_of(case), business_date(now))
        problems = determination_problems(case, determination, standard)
        if problems:
            raise ProfileViolation("This cannot be determined.", problems)
        who = opened.by.reviewer
        if any(each.outcome is Outcome.NON_AFFIRMED for each in determination.items):
            check_signed_in(who, now)
        reader = CaseReader(opened.db, case.organization_id, case.id)
        site = _site(await reader.parties())
        deciding = Deciding(
            at=now,
            by=DecidedBy.CLINICIAN,
            valid_days=process.timeframes.validity_days,
            utn=self.desk.utn_source.new(site),
            clinician=DecidingClinician(who.npi, who.specialty),
        )
        after = _answered(decided_case(case, determination.items, deciding), case, determination)
        act = Act("determined", after.status, determination.note, decides=True)
        await self._end_talks(opened)
        await keep(opened.db, opened.stored, after, opened.change(act), self.desk.answers)
        return after

    async def _end_talks(self, opened: OpenCase) -> None:
        case = opened.case
        talks = Conversations(opened.db, case.organization_id, case.id)
        unheld = [peer.id for peer in await talks.all() if peer.state in OPEN]
        if unheld:
            said = "The case was decided before."
            await talks.end(unheld, PeerState.DECLINED, said, opened.now)

    async def request_information(
        self, by: Reviewing, case_id: UUID, revision: int, asked: Sequence[Asked]
    ) -> PriorAuthorization:
        """Ask the provider for documents or answers; the clock of the case runs on.

        Raises NotFound, Forbidden, AlreadyDetermined, Conflict, ProfileViolation, Unavailable.
        Source: PAS 2.2.1 §ainfo-1 to §ainfo-7.
        """
        check_may_contribute(by.reviewer)
        async with self.desk.held(by, case_id) as opened:
            case, now = opened.case, opened.now
            check_undecided(case, revision)
            problems = asking_problems(case, asked, self.desk.catalogue, now)
            if problems:
                raise ProfileViolation("This cannot be asked for.", problems)
            fresh = requested(asked, case.decide_by or now, now)
            detail = {"requests": [str(each.id) for each in fresh]}
            act = Act("information-requested", "asked", detail=detail)
            return await self._keep(opened, act, requests=(*case.requests, *fresh))

    async def withdraw_request(
        self, by: Reviewing, case_id: UUID, wanted_id: UUID
    ) -> PriorAuthorization:
        """Ask no more for something. Raises NotFound, Forbidden, Conflict, Unavailable."""
        check_may_contribute(by.reviewer)
        async with self.desk.held(by, case_id) as opened:
            requests = {each.id: each for each in opened.case.requests}
            if wanted_id not in requests:
                raise NotFound("request for information")
            if requests[wanted_id].state is not RequestState.OPEN:
                raise Conflict("This request for information is open no more.")
            requests[wanted_id] = replace(requests[wanted_id], state=RequestState.WITHDRAWN)
            act = Act("information-withdrawn", "withdrawn", detail={"request": str(wanted_id)})
            return await self._keep(opened, act, requests=tuple(requests.values()))

    async def confirm_expedite(
        self, by: Reviewing, case_id: UUID, revision: int
    ) -> PriorAuthorization:
        """A clinician sees the risk: the expedited clock, which runs since receipt, holds.

        Raises NotFound, Forbidden, AlreadyDetermined, Conflict, Unavailable.
        Source: WISeR Operational Guide 6.0, 4.2.2.
        """
        check_may_decide(by.reviewer, business_date(self.desk.clock()))
        async with self.desk.held(by, case_id) as opened:
            _check_expedite_open(opened.case, revision)
            act = Act("expedite-confirmed", "confirmed", told=False)
            return await self._keep(opened, act, expedite_confirmed=True)

    async def decline_expedite(
        self, by: Reviewing, case_id: UUID, revision: int, reason: str
    ) -> PriorAuthorization:
        """A clinician does not see the risk: the standard clock holds, counted from receipt.

        The provider is told, with the reason, in its answer and by letter. Where the standard
        deadline is over as well, the case is past it from now on: time that went by is not given
        back.

        Raises NotFound, Forbidden, AlreadyDetermined, Conflict, ProfileViolation, Unavailable.
        Source: WISeR Operational Guide 6.0, 4.2.2, 4.5.
        """
        check_may_decide(by.reviewer, business_date(self.desk.clock()))
        _check_text(reason, "reason")
        async with self.desk.held(by, case_id) as opened:
            case = opened.case
            _check_expedite_open(case, revision)
            timeframes = self.desk.catalogue.process.timeframes
            notes = (*case.answer.notes, _IN_STANDARD_TIME, reason)
            answer = replace(case.answer, notes=notes)
            act = Act("expedite-declined", "declined", reason)
            after = await self._keep(
                opened,
                act,
                expedited=False,
                expedite_confirmed=False,
                decide_by=decide_by(case.received_at, False, timeframes),
                answer=answer,
            )
            await post(opened.db, after, "expedite-notice", "provider", opened.now)
            return after

    async def note(self, by: Reviewing, case_id: UUID, text: str) -> None:
        """Add a note for those who review, whatever state the case is in.

        Raises NotFound, Forbidden, ProfileViolation, Unavailable.
        """
        check_may_contribute(by.reviewer)
        _check_text(text, "text")
        async with self.desk.seen(by, case_id) as opened:
            act = Act("noted", "noted", text, told=False)
            await note(opened.db, opened.case, opened.change(act))

    async def assign(self, by: Reviewing, case_id: UUID, person_id: UUID | None = None) -> None:
        """Give an undecided case to somebody, or take it oneself. It locks nobody else out.

        Raises NotFound, Forbidden, Conflict, Unavailable.
        """
        check_may_contribute(by.reviewer)
        async with self.desk.held(by, case_id) as opened:
            case = opened.case
            _check_in_review(case)
            interests = await interests_of(opened.db, case.organization_id, case_id)
            who = await colleague(opened.db, person_id or by.reviewer.person_id, interests)
            check_may_contribute(who)
            await _set(opened, assigned_to=who.person_id, assigned_at=opened.now)
            detail = {"to": str(who.person_id)}
            act = Act("assigned", "assigned", detail=detail, told=False)
            await note(opened.db, case, opened.change(act))

    async def release(self, by: Reviewing, case_id: UUID) -> None:
        """Take an undecided case from whoever has it. Raises NotFound, Forbidden, Conflict."""
        check_may_contribute(by.reviewer)
        async with self.desk.held(by, case_id) as opened:
            _check_in_review(opened.case)
            await _set(opened, assigned_to=None, assigned_at=None)
            act = Act("released", "released", told=False)
            await note(opened.db, opened.case, opened.change(act))

    async def _keep(self, opened: OpenCase, act: Act, **changes: Any) -> PriorAuthorization:
        after = replace(opened.case, **changes)
        await keep(opened.db, opened.stored, after, opened.change(act), self.desk.answers)
        return after


def _answered(
    after: PriorAuthorization, before: PriorAuthorization, determination: Determination
) -> PriorAuthorization:
    """The decided case with what is said beside: notes told before are still told."""
    said = determination.answer
    last = (determination.note,) if determination.note is not None else ()
    notes = (*before.answer.notes, *said.notes, *last)
    lapsed = tuple(
        replace(each, state=RequestState.LAPSED) if each.state is RequestState.OPEN else each
        for each in before.requests
    )
    return replace(after, answer=replace(said, notes=notes), requests=lapsed)


def _site(parties: Sequence[Party]) -> Site | None:
    """Where the number is for: a facility known by its CCN bills Part A as a hospital outpatient
    department, which the letter in the number tells. Source: Noridian, UTN field requirements."""
    by_ccn = any(each.role is PartyRole.FACILITY and each.ccn for each in parties)
    return _HOSPITAL_OUTPATIENT if by_ccn else None


def _check_in_review(case: PriorAuthorization) -> None:
    if case.status is not CaseStatus.IN_REVIEW:
        raise Conflict(f"This case is {case.status}.")


def _check_expedite_open(case: PriorAuthorization, revision: int) -> None:
    """An expedited review was asked for, and nobody has said yet whether it is due."""
    check_undecided(case, revision)
    if case.expedite_confirmed is not None:
        raise Conflict("Somebody has said already whether the review is expedited.")
    if not case.expedited:
        raise Conflict("No expedited review was asked for.")


def _check_text(text: str, name: str) -> None:
    if not sendable(text):
        raise ProfileViolation(f"{name}: this is text that can be printed, and not blank.")


async def _set(opened: OpenCase, **values: UUID | datetime | None) -> None:
    case = opened.case
    here = prior_auth_case.c.organization_id == case.organization_id
    chosen = update(prior_auth_case).where(here, prior_auth_case.c.id == case.id)
    await opened.db.execute(chosen.values(values))
