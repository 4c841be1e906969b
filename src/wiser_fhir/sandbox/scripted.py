"""Requests for test members: taken as any other, and answered by a scripted clinician.

The core does not know of it. A request is stored in review first; then the clinician, a person with
a licence, does through the same services what anybody at the review door could have done. Killed in
between, the job of `Stage` finds the case and goes on.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

from sqlalchemy import text

from wiser_fhir.auth.people import Reviewer
from wiser_fhir.clock import business_date
from wiser_fhir.db.blind import index_of
from wiser_fhir.db.bodies import open_body
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Conflict, Forbidden, NotFound, ProfileViolation
from wiser_fhir.notify import outbox
from wiser_fhir.pas.request import RequestBundle, unwrapped
from wiser_fhir.priorauth.decide import Decider
from wiser_fhir.priorauth.desk import Desk, Reviewing
from wiser_fhir.priorauth.in_turn import in_turn
from wiser_fhir.priorauth.information import RequestState
from wiser_fhir.priorauth.models import (
    CaseStatus,
    Dismissal,
    Finding,
    Identifier,
    PriorAuthorization,
    Submission,
)
from wiser_fhir.priorauth.numbers import UtnSource
from wiser_fhir.priorauth.repository import Cases, PriorAuthRepository, StoredCase
from wiser_fhir.priorauth.review import ReviewService
from wiser_fhir.priorauth.rows import identifier_key
from wiser_fhir.priorauth.rules import last_valid_day
from wiser_fhir.priorauth.service import Caller, PriorAuthService, Received, Render
from wiser_fhir.priorauth.updates import Update, UpdateService
from wiser_fhir.sandbox.guest import GuestCatalogue
from wiser_fhir.sandbox.playing import Scene, asked, determination
from wiser_fhir.sandbox.scenarios import Member, Scenarios, Script
from wiser_fhir.sandbox.tenant import Tenant
from wiser_fhir.web.body import parse_json

log = logging.getLogger(__name__)

# A request whose answer is due at once is answered by the call that brought it; the job comes only
# where that call has ended before its time.
_HEALS_AFTER: Final = timedelta(seconds=5)

_IN_REVIEW = text("""
select c.id, c.mbi, m.at as answered_at
from prior_auth_case c
join message m on m.organization_id = c.organization_id and m.id = c.answer_message_id
where c.organization_id = :organization_id and c.status = 'in-review' and c.mbi = any(:numbers)
order by c.id
""")

# What was said of a case after the answer to one of its requests, and before the next request.
_SAID_AFTER = text("""
with asked as (
    select case_id, answer_message_id from submission
    where organization_id = :organization_id and identifier_system = :system
        and identifier_value = :value)
select m.id, m.case_id, m.body from message m join asked on m.case_id = asked.case_id
where m.organization_id = :organization_id and m.direction = 'out' and m.kind = 'claim-response'
    and m.id > asked.answer_message_id
    and not exists (
        select from submission s
        where s.organization_id = m.organization_id and s.case_id = m.case_id
            and s.answer_message_id > asked.answer_message_id and s.answer_message_id <= m.id)
order by m.id limit 1
""")


class _NumbersFollow:
    """Gives no number with the decision: it comes from wherever numbers come from, later."""

    def new(self, site: object) -> None:
        """None, always."""


@dataclass(frozen=True)
class Stage:
    """The scripted clinician at work, through the services of the review door."""

    scenarios: Scenarios
    desk: Desk
    clinician: Reviewer
    given_up: set[tuple[UUID, int]] = field(default_factory=set)

    @classmethod
    def of(cls, scenarios: Scenarios, desk: Desk, tenant: Tenant) -> "Stage":
        """With the person of the tenant whom the scenarios name. Raises ValueError without one."""
        for each in tenant.people:
            if each.name == scenarios.clinician:
                who = Reviewer(
                    person_id=each.id,
                    name=each.name,
                    roles=frozenset(each.roles),
                    npi=each.npi,
                    specialty=each.specialty,
                    organizations=frozenset(each.organizations),
                    licence_expires=each.licence_expires,
                )
                return cls(scenarios, desk, who)
        raise ValueError(f"the tenant has no {scenarios.clinician}")

    def member_of(self, submission: Submission, body: bytes) -> Member | None:
        """The test member that a request is about, None for anybody else.

        By the number it is known by; a guest without one, by any number of a Patient in it.
        """
        number = submission.beneficiary.mbi
        if number is not None:
            return self.scenarios.of(number)
        found = filter(None, map(self.scenarios.of, _patient_numbers(body)))
        return next((member for member in found if member.guest), None)

    def decider_for(self, member: Member, asked_for: Submission, usual: Decider) -> Decider:
        """How a member's request is looked at before the clinician: software affirms nothing."""
        script = self.scenarios.script_of(member)
        policy = replace(usual.policy, auto_affirm=False)
        decider = replace(usual, policy=policy)
        if member.guest:
            codes = (code for item in asked_for.items for code in item.service.codes)
            decider = replace(decider, catalogue=GuestCatalogue.of(usual.catalogue, codes))
        if script.dismissal is None:
            return decider
        said = Dismissal(script.dismissal.reason, script.dismissal.detail)
        parts = (decider.catalogue, decider.registry, decider.policy, decider.utn_source)
        return _Dismissing(*parts, said)

    async def answer(
        self, organization_id: UUID, identifier: Identifier, member: Member, first: bytes
    ) -> bytes:
        """The answer to a member's request, given the one it was stored with.

        Without a delay the clinician answers now, and a request that comes again gets the same
        bytes. With one the answer stays, and who subscribed since hears what was said later.
        """
        said = await self._said_after(organization_id, identifier)
        if said is None and not member.after:
            known = await PriorAuthRepository(self.desk.engine).answered(
                organization_id, identifier
            )
            if known is None or known.case_id is None:
                return first
            await self.act(organization_id, known.case_id, member)
            said = await self._said_after(organization_id, identifier)
        if said is None:
            return first
        if not member.after:
            return said.body
        await self._tell_again(organization_id, said)
        return first

    async def act(self, organization_id: UUID, case_id: UUID, member: Member) -> bool:
        """Do the next thing of a member's script; whether there was one."""
        async with transaction(self.desk.engine, organization_id) as db:
            stored = await Cases(db).by_id(case_id)
        case, script = stored.case, self.scenarios.script_of(member)
        if case.status is not CaseStatus.IN_REVIEW or (case.id, case.revision) in self.given_up:
            return False
        try:
            return await self._play(script, self._scene(stored))
        except Conflict:
            return False  # another worker, a person, or an update was quicker
        except (Forbidden, NotFound, ProfileViolation):
            # What may not be said, or by somebody who may not say it of this case.
            self.given_up.add((case.id, case.revision))
            log.warning("script cannot be played", extra={"case": case.id, "script": member.script})
            return False

    async def _play(self, script: Script, scene: Scene) -> bool:
        signed_in = replace(self.clinician, signed_in_at=self.desk.clock())
        case, by = scene.case, Reviewing(signed_in, uuid4())
        if any(each.state is RequestState.OPEN for each in case.requests) or not scene.lines:
            return False
        if case.revision == 1 and not case.requests and (wanted := asked(script, scene)):
            await self._review(script).request_information(by, case.id, case.revision, wanted)
            return True
        if not script.lines:
            return False
        decided = determination(script, scene)
        await self._review(script).determine(by, case.id, case.revision, decided)
        return True

    def _review(self, script: Script) -> ReviewService:
        source: UtnSource = _NumbersFollow() if script.number_later else self.desk.utn_source
        return ReviewService(replace(self.desk, utn_source=source))

    def _scene(self, stored: StoredCase) -> Scene:
        today = business_date(self.desk.clock())
        days = self.desk.catalogue.process.timeframes.validity_days
        request = RequestBundle.of(unwrapped(parse_json(stored.request_body)))
        rules = self.desk.rules_of(stored.case)
        return Scene(stored.case, request, rules, today, last_valid_day(today, days))

    async def _said_after(self, organization_id: UUID, identifier: Identifier) -> "_Said | None":
        named = {
            "organization_id": organization_id,
            "system": identifier_key(identifier.system),
            "value": identifier_key(identifier.value),
        }
        async with transaction(self.desk.engine, organization_id) as db:
            row = (await db.execute(_SAID_AFTER, named)).one_or_none()
            if row is None:
                return None
            body = await open_body(db, organization_id, row.body, "message", "body", row.id)
        return _Said(row.case_id, row.id, body)

    async def _tell_again(self, organization_id: UUID, said: "_Said") -> None:
        """Queue what was said for subscriptions that were made since."""
        about = (organization_id, said.case_id, said.message_id, self.desk.clock())
        async with transaction(self.desk.engine, organization_id) as db:
            for subscription_id in await outbox.unheard(db, *about):
                await outbox.put(db, *about, only=subscription_id)

    async def __call__(self) -> int:
        """The job: do what is due of every member's script. How much it was. Raises Unavailable."""
        return await in_turn(self.desk.engine, self._due_in)

    async def _due_in(self, organization_id: UUID) -> int:
        index = index_of(self.desk.engine)
        members = {index.of(n).value: self.scenarios.of(n) for n in self.scenarios.numbers}
        named = {"organization_id": organization_id, "numbers": list(members)}
        async with transaction(self.desk.engine, organization_id) as db:
            rows = (await db.execute(_IN_REVIEW, named)).all()
        now = self.desk.clock()
        due = [
            (row.id, member)
            for row in rows
            if (member := members[row.mbi]) is not None
            and row.answered_at + (member.delay or _HEALS_AFTER) <= now
        ]
        return sum([await self.act(organization_id, *each) for each in due])


@dataclass(frozen=True, slots=True)
class _Said:
    """An answer that came after the one a request was stored with."""

    case_id: UUID
    message_id: UUID
    body: bytes


@dataclass(frozen=True)
class ScriptedPriorAuth(PriorAuthService):
    """The service, with a clinician at hand who answers for test members."""

    stage: Stage = field(kw_only=True)

    async def submit(
        self, caller: Caller, submission: Submission, received: Received, render: Render
    ) -> bytes:
        """As for everybody; for a test member with what the clinician makes of it.

        Raises Forbidden, Conflict, Unavailable.
        """
        member = self.stage.member_of(submission, received.body)
        if member is None:
            return await super().submit(caller, submission, received, render)
        known = _known_by(submission, member)
        decider = self.stage.decider_for(member, known, self.decider)
        usual = replace(self, decider=decider)
        first = await super(ScriptedPriorAuth, usual).submit(caller, known, received, render)
        organization_id, identifier = caller.organization_id, submission.identifier
        return await self.stage.answer(organization_id, identifier, member, first)


@dataclass(frozen=True)
class ScriptedUpdates(UpdateService):
    """Updates and cancels, with the same clinician."""

    stage: Stage = field(kw_only=True)

    async def update(self, caller: Caller, update: Update) -> bytes:
        """As for everybody; for a test member with what the clinician makes of it.

        Raises Conflict, ProfileViolation, Unavailable.
        """
        member = self.stage.member_of(update.submission, update.received.body)
        if member is None:
            return await super().update(caller, update)
        known = _known_by(update.submission, member)
        decider = self.stage.decider_for(member, known, self.decider)
        usual = replace(self, decider=decider)
        changed = replace(update, submission=known)
        first = await super(ScriptedUpdates, usual).update(caller, changed)
        organization_id, identifier = caller.organization_id, known.identifier
        return await self.stage.answer(organization_id, identifier, member, first)


@dataclass(frozen=True)
class _Dismissing(Decider):
    """Dismisses whatever comes."""

    said: Dismissal

    def decide(
        self,
        submission: Submission,
        now: datetime,
        *,
        on: date | None = None,
        findings: tuple[Finding, ...] = (),
    ) -> PriorAuthorization:
        """A dismissed case."""
        return self.dismissed(submission, self.said, now)


def _known_by(submission: Submission, member: Member) -> Submission:
    """The request, with the number by which its guest is known here."""
    known = replace(submission.beneficiary, mbi=member.number)
    return replace(submission, beneficiary=known)


def _patient_numbers(body: bytes) -> Iterator[str]:
    """Every number of a Patient in a request."""
    for entry in unwrapped(parse_json(body))["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            yield from (i["value"] for i in entry["resource"].get("identifier", ()) if "value" in i)
