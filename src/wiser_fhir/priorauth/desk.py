"""The desk people review at: whose case it is, holding it, and what an act leaves behind.

Nobody locks a case. Whoever changes what a provider is told names the revision they looked at, the
row is held for the length of the transaction, and the second of two finds the case changed.
"""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.decision_mac import decision_key
from wiser_fhir.audit.recorder import AuditRow, Recorder
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.clock import Clock
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.coverage.models import ServiceRules
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Conflict, Forbidden
from wiser_fhir.priorauth.answers import Answers
from wiser_fhir.priorauth.clocks import LeadTimes
from wiser_fhir.priorauth.keeping import Actor, CaseChange, locked
from wiser_fhir.priorauth.models import CaseStatus, PriorAuthorization
from wiser_fhir.priorauth.numbers import UtnSource
from wiser_fhir.priorauth.queue import organization_of
from wiser_fhir.priorauth.repository import Cases, StoredCase, member_of

# What the database refuses although the person's token, looked up a moment ago, said otherwise.
_REFUSALS = {
    "determination_live_licence": "The licence of this clinician is not in force.",
    "determination_by_an_outsider": "Nobody decides a case of an organization they belong to.",
    "peer_to_peer_with_a_peer": "The conversation is with a licensed clinician of the specialty.",
}


class AlreadyDetermined(Conflict):
    """The case is decided: what is decided changes by a new request of the provider's only."""

    def __init__(self) -> None:
        super().__init__("This case is decided already.")


@dataclass(frozen=True, slots=True)
class Reviewing:
    """Who reviews, and the id this one request is known by in log and audit."""

    reviewer: Reviewer
    request_id: UUID


@dataclass(frozen=True, slots=True)
class Act:
    """What somebody did: the history's word for it, and the audit trail's.

    `told` is False where the provider's answer stays as it is. `decides` where a clinician decided.
    """

    event: str
    outcome: str
    text: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    told: bool = True
    decides: bool = False


@dataclass(frozen=True, slots=True)
class OpenCase:
    """A case in a transaction of its organization, and who looks at it.

    `now` is an instant after the row was got hold of.
    """

    db: AsyncConnection
    stored: StoredCase
    by: Reviewing
    now: datetime
    patient: bytes | None
    decision_key: bytes = field(repr=False)

    @property
    def case(self) -> PriorAuthorization:
        """The case as stored."""
        return self.stored.case

    def change(self, act: Act) -> CaseChange:
        """The change that an act makes."""
        reviewer = self.by.reviewer
        who = reviewer.person_id
        return CaseChange(
            at=self.now,
            actor=Actor(self.by.request_id, person_id=who),
            event=act.event,
            action=f"case.{act.event}",
            outcome=act.outcome,
            text=act.text,
            detail=act.detail,
            told=act.told,
            clinician_id=who if act.decides else None,
            signed_in_at=reviewer.signed_in_at if act.decides else None,
            decision_key=self.decision_key,
            patient=self.patient,
        )

    def looked(self, action: str) -> AuditRow:
        """The audit row of having looked."""
        return AuditRow(
            request_id=self.by.request_id,
            action=action,
            outcome="read",
            organization_id=self.case.organization_id,
            person_id=self.by.reviewer.person_id,
            object_kind="prior-auth-case",
            object_id=str(self.case.id),
            patient=self.patient,
        )


@dataclass(frozen=True, slots=True)
class Desk:
    """What reviewing needs. `leads` say when a deadline is near."""

    engine: AsyncEngine
    recorder: Recorder
    clock: Clock
    answers: Answers
    utn_source: UtnSource
    catalogue: Catalogue
    leads: LeadTimes = field(default_factory=LeadTimes)

    @asynccontextmanager
    async def held(self, by: Reviewing, case_id: UUID) -> AsyncIterator[OpenCase]:
        """The case, its row held until the block ends and commits.

        Raises NotFound also for a case the person has a part in; Forbidden, Unavailable.
        """
        async with self._opened(by, case_id, hold=True) as opened:
            yield opened

    @asynccontextmanager
    async def seen(self, by: Reviewing, case_id: UUID) -> AsyncIterator[OpenCase]:
        """The case, which others may change meanwhile. Raises as `held`."""
        async with self._opened(by, case_id, hold=False) as opened:
            yield opened

    def rules_of(self, case: PriorAuthorization) -> ServiceRules | None:
        """The rule file pinned to a case."""
        if case.service is None or case.rules is None:
            return None
        return self.catalogue.version(case.service, case.rules)

    @asynccontextmanager
    async def _opened(self, by: Reviewing, case_id: UUID, *, hold: bool) -> AsyncIterator[OpenCase]:
        sender = await organization_of(self.engine, by.reviewer, case_id, by.request_id)
        with refusals():
            async with transaction(self.engine, sender) as db:
                stored = await (locked(db, case_id) if hold else Cases(db).by_id(case_id))
                patient = self.recorder.patient(await member_of(db, case_id))
                key = decision_key(self.recorder.key)
                yield OpenCase(db, stored, by, self.clock(), patient, key)


def check_undecided(case: PriorAuthorization, revision: int) -> None:
    """Whether the case still is what somebody looked at. Raises Conflict, AlreadyDetermined."""
    if case.decided:
        raise AlreadyDetermined
    if case.status is not CaseStatus.IN_REVIEW:
        raise Conflict(f"This case is {case.status}.")
    if case.revision != revision:
        raise Conflict(f"The provider changed the request: it is at revision {case.revision} now.")


@contextmanager
def refusals() -> Iterator[None]:
    """Says in our words what the database refuses about a person."""
    try:
        yield
    except IntegrityError as error:
        said = _REFUSALS.get(constraint_of(error) or "")
        if said is None:
            raise
        raise Forbidden(said) from error


def constraint_of(error: IntegrityError) -> str | None:
    """The name of the constraint that refused."""
    cause = error.orig.__cause__ if error.orig else None
    return getattr(cause, "constraint_name", None)
