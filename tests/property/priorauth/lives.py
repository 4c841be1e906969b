"""Lives of requests, as their providers, reviewers and jobs make them; every act is a real service.

A world has one organization with two subscriptions, one clinician and the cases that came up so
far. Acts are about the latest case, unless the world looks back at the first.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import StillClock
from tests.reviewing import CATALOGUE, Told, a_desk, insert_person
from tests.unit.priorauth.wiser_requests import (
    EVERYWHERE,
    FIRST_INJECTION,
    REGISTRY,
    form,
    line,
    request,
)
from tests.vaults import A_SEALED
from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.auth.principal import Principal
from wiser_fhir.clock import business_date
from wiser_fhir.db.engine import transaction
from wiser_fhir.egress.scanner import Verdict
from wiser_fhir.priorauth.changes import Content, Earlier, Refused
from wiser_fhir.priorauth.decide import Decider, Policy
from wiser_fhir.priorauth.models import (
    Identifier,
    PriorAuthorization,
    RequestedItem,
    Site,
    Submission,
)
from wiser_fhir.priorauth.numbers import LocalUtnSource, time_ordered_uuid
from wiser_fhir.priorauth.repository import Cases, StoredCase
from wiser_fhir.priorauth.review import ReviewService
from wiser_fhir.priorauth.service import Caller, PriorAuthService, Received
from wiser_fhir.priorauth.updates import Update, UpdateService
from wiser_fhir.priorauth.utn_life import UtnFailed, UtnOrder

# Before the day from which lines are decided differently, and after it.
STARTS = (datetime(2026, 3, 20, 14, 0, tzinfo=UTC), datetime(2026, 5, 4, 14, 0, tzinfo=UTC))
BUNDLES, TRACES = "https://ehr.example/bundles", "https://ehr.example/traces"
NOTES = "11506-3"  # LOINC
UNMET = {**FIRST_INJECTION, "esi-conservative": "none"}


@dataclass
class NumbersAtTimes:
    """Gives numbers at once, or has them come later."""

    at_once: bool = True

    def new(self, site: Site | None) -> str | None:
        """A number, or None for later."""
        return LocalUtnSource().new(site) if self.at_once else None


@dataclass(frozen=True)
class Refusing:
    """Where no number is to be had."""

    async def number(self, order: UtnOrder) -> str | None:
        """Never."""
        raise UtnFailed("away")


@dataclass(frozen=True)
class Cleared:
    """A scanner that finds nothing."""

    async def scan(self, content: bytes) -> Verdict:
        """Clean."""
        return Verdict("test")


@dataclass
class World:
    """Everybody and everything. `sent` are the requests by the bytes they were sent as."""

    app: AsyncEngine
    organization_id: UUID
    client_id: UUID
    who: Reviewer
    clock: StillClock
    numbers: NumbersAtTimes = field(default_factory=NumbersAtTimes)
    sent: dict[bytes, Submission] = field(default_factory=dict)
    cases: list[UUID] = field(default_factory=list)
    looks_back: bool = False

    @property
    def case_id(self) -> UUID:
        """The case that acts are about."""
        return self.cases[0 if self.looks_back else -1]

    @property
    def caller(self) -> Caller:
        """The provider's system, at a request of its own."""
        principal = Principal(self.client_id, "ehr", self.organization_id, {}, None)
        return Caller(principal, time_ordered_uuid())

    @property
    def decider(self) -> Decider:
        """Software, which may affirm."""
        return Decider(CATALOGUE, REGISTRY, Policy(EVERYWHERE, True, False), self.numbers)

    @property
    def recorder(self) -> Recorder:
        """The audit trail."""
        return Recorder(self.app, b"a key of thirty-two bytes, all ours")

    @property
    def review(self) -> ReviewService:
        """The clinician's door."""
        return ReviewService(a_desk(self.app, self.clock, self.numbers))

    async def stored(self, case_id: UUID | None = None) -> StoredCase:
        """A case as it is."""
        async with transaction(self.app, self.organization_id) as db:
            return await Cases(db).by_id(case_id or self.case_id)

    async def submit(self, submission: Submission) -> None:
        """A new request; the case that it becomes is the latest."""
        made: list[UUID] = []

        def render(case: PriorAuthorization) -> bytes:
            made.append(case.id)
            return Told().response(case, "2.2", b"", self.clock())

        service = PriorAuthService(self.app, self.decider, self.recorder, self.clock)
        await service.submit(self.caller, submission, self._received(submission), render)
        self.cases.append(made[-1])

    async def update(self, submission: Submission) -> None:
        """An update of the latest request."""
        service = UpdateService(self.app, self.decider, self.recorder, self.clock, Told())
        received = self._received(submission)
        update = Update(submission, received, told(submission), self._read, _worded)
        await service.update(self.caller, update)

    def _received(self, submission: Submission) -> Received:
        body = submission.identifier.value.encode()
        self.sent[body] = submission
        return Received("2.2", body)

    def _read(self, body: bytes) -> Earlier:
        return Earlier(self.sent[body], frozenset(), told(self.sent[body]))


def told(submission: Submission) -> Content:
    """All of it but its names, less some lines."""

    def content(without: Collection[int]) -> bytes:
        items = [replace(i, change=None) for i in submission.items if i.sequence not in without]
        facts = (submission.diagnoses, submission.parties, submission.forms, submission.documents)
        return repr((submission.beneficiary, items, *facts)).encode()

    return content


def _worded(refusal: Refused) -> bytes:
    return refusal.reason.encode()


Act = Callable[[World], Awaitable[object]]


def a_line(sequence: int, code: str, day: date) -> RequestedItem:
    """Two units."""
    asked = line(code, sequence=sequence, day=day)
    return replace(asked, service=replace(asked.service, quantity=Decimal(2)))


def a_request(world: World, *, met: bool, codes: tuple[str, ...], **changes: object) -> Submission:
    """A request of these codes, every criterion met or one not."""
    now = world.clock()
    day = business_date(now) + timedelta(days=16)
    told = form(FIRST_INJECTION if met else UNMET, authored=now - timedelta(hours=1))
    facts: dict[str, object] = {
        "organization_id": world.organization_id,
        "identifier": Identifier(BUNDLES, str(time_ordered_uuid())),
        "trace": Identifier(TRACES, str(time_ordered_uuid())),
        "received_at": now,
        "items": tuple(a_line(n, code, day) for n, code in enumerate(codes, 1)),
        "forms": (told,),
    }
    return request(**{**facts, **changes})


_ORGANIZATION = """
insert into organization (id, name, kind, acts_for) values (:id, 'Sender', 'clearinghouse', 'all')
"""
_CLIENT = """
insert into client (id, organization_id, name, scopes)
values (:client, :id, cast(cast(:client as uuid) as text), '{}')
"""
_TOKENS = """
insert into access_token (token_hash, client_id, organization_id, scopes, issued_at, expires_at,
    revoked_at)
values (sha256(uuid_send(:client)), :client, :id, '{}', '2026-01-01',
    '2027-01-01', '2026-02-01')
"""
_PERSON_TOKENS = """
insert into person_token (token_hash, person_id, issued_at, expires_at, revoked_at)
values (sha256(uuid_send(:person)), :person, '2026-01-01', '2027-01-01',
    '2026-02-01')
"""
_SUBSCRIPTION = """
insert into subscription (organization_id, id, client_id, line, status, content, sealed, host,
    base_url, created_at, updated_at)
values (:id, :own, :client, '2.2', 'active', :content, :sealed,
    'https://ehr.example', 'https://payer.example/fhir', '2026-01-01', '2026-01-01')
"""


async def a_world(app: AsyncEngine, superuser: AsyncEngine, start: datetime) -> World:
    """A world without a case. Whoever had a token has it no more."""
    ids = {"id": time_ordered_uuid(), "client": time_ordered_uuid()}
    async with superuser.begin() as db:
        who = await insert_person(db)
        ids["person"] = who.person_id
        for statement in (_ORGANIZATION, _CLIENT, _TOKENS, _PERSON_TOKENS):
            asked = text(statement)
            await db.execute(asked, {k: v for k, v in ids.items() if f":{k}" in statement})
        for content in ("id-only", "full-resource"):
            own = {"own": time_ordered_uuid(), "content": content, "sealed": A_SEALED}
            about = {"id": ids["id"], "client": ids["client"]}
            await db.execute(text(_SUBSCRIPTION), own | about)
    return World(app, ids["id"], ids["client"], who, StillClock(start))
