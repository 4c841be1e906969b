"""The quarterly assessment on a real database: who is counted, who is exempt, who no longer."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import a_submission
from tests.clocks import StillClock
from tests.database import MakeCase, MakeOrganization
from tests.exempting import exempted
from tests.reviewing import (
    CATALOGUE,
    SERVICE,
    affirm,
    by,
    determination,
    non_affirm,
    sent_again,
    signed_in,
)
from tests.vaults import A_SEALED, INDEX
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Conflict, NotFound
from wiser_fhir.priorauth import exemption_store as store
from wiser_fhir.priorauth.exemption import Terms
from wiser_fhir.priorauth.exemption_assessment import ExemptionAssessment, withdraw
from wiser_fhir.priorauth.exemption_list import ExemptionList, ListedRegistry
from wiser_fhir.priorauth.exemption_store import LossReason
from wiser_fhir.priorauth.models import CaseStatus, Party, PartyRole, RequestKind
from wiser_fhir.priorauth.registry import Enrolment, InMemoryRegistry, Membership
from wiser_fhir.priorauth.review import ReviewService

NPI = "1999000122"
OTHER_NPI = "1999000114"
JULY = datetime(2026, 7, 1, 14, 0, tzinfo=UTC)
PROCESS = CATALOGUE.process.exemption
Requests = Any


def job(engine: AsyncEngine, at: datetime = JULY, rate: str | None = "0.9") -> ExemptionAssessment:
    """The job as a worker has it."""
    terms = Terms.of(Decimal(rate), PROCESS) if rate else None
    return ExemptionAssessment(engine, lambda: at, PROCESS, terms)


async def tallies(engine: AsyncEngine) -> list[tuple[Any, ...]]:
    async with engine.connect() as db:
        query = "select npi, decided, affirmed from exemption_tally order by npi"
        return [tuple(row) for row in await db.execute(text(query))]


async def exempt_on(engine: AsyncEngine, day: date) -> list[str]:
    async with transaction(engine) as db:
        return [each.npi for each in await store.exempt_on(db, day)]


@pytest.fixture
def requested(make_case: MakeCase, make_organization: MakeOrganization) -> Requests:
    """Commits so many cases of a provider, each sent by an organization of its own."""

    async def make(
        count: int, npi: str = NPI, status: CaseStatus = CaseStatus.AFFIRMED, **facts: Any
    ) -> list[Any]:
        party = Party(PartyRole.REQUESTER, "Clinic", npi, None, None, None, "NJ")
        made = []
        for _ in range(count):
            organization_id = await make_organization()
            asked = a_submission(organization_id, parties=(party,), **facts)
            made.append(await make_case(status, submission=asked, **SERVICE))
        return made

    return make


async def test_ten_affirmations_through_several_organizations_exempt_a_provider(
    app_engine: AsyncEngine, requested: Requests
) -> None:
    await requested(10)
    await requested(9, OTHER_NPI)
    assert await job(app_engine)() == 1
    assert await tallies(app_engine) == [(OTHER_NPI, 9, 9), (NPI, 10, 10)]
    async with transaction(app_engine) as db:
        (listed,) = await store.exempt_on(db, date(2026, 7, 1))
        (notice,) = await store.notices(db, date(2026, 7, 1), date(2026, 7, 1))
    assert (listed.npi, listed.first_day, listed.last_day) == (NPI, date(2026, 7, 1), None)
    assert (listed.quarter, listed.decided, listed.rate) == (date(2026, 4, 1), 10, "0.9")
    assert (notice.kind, notice.noticed_on, notice.effective_on) == (
        *("grant", date(2026, 7, 1)),
        date(2026, 7, 1),
    )
    assert await exempt_on(app_engine, date(2026, 6, 30)) == []
    assert await exempt_on(app_engine, date(2099, 1, 1)) == [NPI]


async def test_a_partial_affirmation_is_none_and_a_resubmission_is_not_counted(
    app_engine: AsyncEngine,
    requested: Requests,
    review: ReviewService,
    clinician: Reviewer,
) -> None:
    await requested(1)
    await requested(1, kind=RequestKind.RESUBMISSION, previous_utn="ZZB00000000001")
    await requested(1, status=CaseStatus.DISMISSED)
    pended = await requested(3, status=CaseStatus.IN_REVIEW)
    partly, not_at_all = (
        determination(affirm(1), non_affirm(2)),
        determination(non_affirm(1), non_affirm(2)),
    )
    await review.determine(by(clinician), pended[0].id, 1, partly)
    await review.determine(by(clinician), pended[1].id, 1, not_at_all)
    assert await job(app_engine)() == 0
    assert await tallies(app_engine) == [(NPI, 3, 1)]


async def test_a_case_counts_once_by_its_first_determination(
    app_engine: AsyncEngine,
    requested: Requests,
    review: ReviewService,
    clinician: Reviewer,
    now: StillClock,
) -> None:
    (case,) = await requested(1)
    await sent_again(app_engine, case)
    now.now += timedelta(days=1)
    again = by(signed_in(clinician, now.now))
    await review.determine(again, case.id, 2, determination(non_affirm(1), non_affirm(2)))
    await job(app_engine)()
    assert await tallies(app_engine) == [(NPI, 1, 1)]


@pytest.mark.parametrize(
    ("received_at", "counted"),
    [
        (datetime(2026, 4, 1, 3, 59, tzinfo=UTC), 0),
        (datetime(2026, 4, 1, 4, 0, tzinfo=UTC), 1),
        (datetime(2026, 7, 1, 3, 59, tzinfo=UTC), 1),
        (datetime(2026, 7, 1, 4, 0, tzinfo=UTC), 0),
    ],
)
async def test_a_quarter_is_one_of_eastern_days(
    app_engine: AsyncEngine, requested: Requests, received_at: datetime, counted: int
) -> None:
    await requested(1, received_at=received_at)
    await job(app_engine)()
    assert len(await tallies(app_engine)) == counted


async def test_a_quarter_is_assessed_once_whatever_comes_later(
    app_engine: AsyncEngine, requested: Requests, superuser_engine: AsyncEngine
) -> None:
    await requested(10)
    assert await job(app_engine)() == 1
    await requested(10, OTHER_NPI)
    assert await job(app_engine, JULY + timedelta(days=40))() == 0
    assert await tallies(app_engine) == [(NPI, 10, 10)]
    async with superuser_engine.connect() as db:
        trail = await db.execute(
            text("select outcome, detail from audit_event where action = 'exemption.assess'")
        )
    assert [tuple(row) for row in trail] == [
        ("done", {"quarter": "2026-04-01", "granted": 1, "lost": 0})
    ]


async def test_two_workers_at_once_grant_an_exemption_once(
    app_engine: AsyncEngine, requested: Requests
) -> None:
    await requested(10)
    assert sorted(await asyncio.gather(*(job(app_engine)() for _ in range(5)))) == [0, 0, 0, 0, 1]
    assert await exempt_on(app_engine, date(2026, 7, 1)) == [NPI]


async def test_without_a_rate_nobody_is_assessed(
    app_engine: AsyncEngine, requested: Requests
) -> None:
    await requested(10)
    assert await job(app_engine, rate=None)() == 0
    assert await tallies(app_engine) == []


async def test_who_is_exempt_is_not_exempted_again(
    app_engine: AsyncEngine, requested: Requests
) -> None:
    await exempted(app_engine, NPI, date(2026, 4, 2))
    await requested(10)
    assert await job(app_engine)() == 0
    assert await exempt_on(app_engine, date(2026, 7, 1)) == [NPI]


async def test_a_year_later_a_low_rate_ends_an_exemption_with_a_quarter(
    app_engine: AsyncEngine,
    requested: Requests,
    review: ReviewService,
    clinician: Reviewer,
) -> None:
    await exempted(app_engine, NPI, date(2025, 7, 1))
    await requested(8)
    for case in await requested(2, status=CaseStatus.IN_REVIEW):
        await review.determine(by(clinician), case.id, 1, determination(affirm(1), non_affirm(2)))
    assert await job(app_engine)() == 1
    async with transaction(app_engine) as db:
        (listed,) = await store.exempt_on(db, date(2026, 7, 1))
    assert (listed.last_day, listed.loss_noticed_on, listed.loss_reason) == (
        *(date(2026, 9, 30), date(2026, 7, 1)),
        "rate-below",
    )
    assert await exempt_on(app_engine, date(2026, 9, 30)) == [NPI]
    assert await exempt_on(app_engine, date(2026, 10, 1)) == []


async def test_a_year_with_too_little_to_judge_by_costs_nothing(
    app_engine: AsyncEngine, requested: Requests
) -> None:
    await exempted(app_engine, NPI, date(2025, 7, 1))
    await requested(2)
    assert await job(app_engine)() == 0
    async with transaction(app_engine) as db:
        (held,) = await store.standing(db)
    assert (held.first_day, held.checked_on) == (date(2025, 7, 1), date(2026, 7, 1))


async def test_a_young_exemption_is_not_checked(
    app_engine: AsyncEngine, requested: Requests
) -> None:
    await exempted(app_engine, NPI, date(2025, 7, 2))
    assert await job(app_engine)() == 0
    async with transaction(app_engine) as db:
        (held,) = await store.standing(db)
    assert held.checked_on == date(2025, 7, 2)


async def test_reviewed_claims_count_in_the_yearly_check(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, make_organization: MakeOrganization
) -> None:
    await exempted(app_engine, NPI, date(2025, 7, 1))
    mac = await make_organization("A MAC", "mac", "own")
    async with superuser_engine.begin() as db:
        await db.execute(text("set local session_replication_role = replica"))
        for number in range(10):
            values = {"organization_id": mac, "number": f"claim-{number}", "npi": NPI}
            member = {"member": INDEX.of("1EG4TE5MK73").value, "sealed": A_SEALED}
            await db.execute(text(_CLAIM), {**values, **member})
            await db.execute(text(_NO_ANSWER), {**values, "adr": f"ADR{number:014d}"})
    assert await job(app_engine)() == 1
    assert await exempt_on(app_engine, date(2026, 10, 1)) == []


_CLAIM = """
insert into claim (organization_id, id, claim_number, client_id, mbi, sealed_member, provider_npi,
    received_at, request, request_sha256, answer)
values (:organization_id, gen_random_uuid(), :number, gen_random_uuid(), :member, :sealed, :npi,
    '2026-03-01', :sealed, decode(repeat('00', 32), 'hex'), :sealed)
"""
_NO_ANSWER = """
insert into prepayment_review (organization_id, id, claim_id, service, adr_number, state, asked_at,
    documents_due, due_at, ended_at)
select organization_id, gen_random_uuid(), id, 'epidural-steroid-injection', :adr, 'no-response',
    '2026-03-01', '2026-04-15', '2026-04-16 04:00+00', '2026-04-16 05:00+00'
from claim where claim_number = :number and provider_npi = :npi
"""


async def test_a_list_in_memory_follows_the_database(
    app_engine: AsyncEngine, clean_database: None
) -> None:
    listed = ExemptionList(app_engine)
    assert await listed.refresh() == 0
    await exempted(app_engine, NPI, date(2026, 4, 2))
    assert await listed.refresh() == 1
    assert await listed.refresh() == 0
    days = (date(2026, 4, 1), date(2026, 4, 2), date(2030, 1, 1))
    assert [listed.names(NPI, day) for day in days] == [False, True, True]
    assert not listed.names(OTHER_NPI, date(2026, 4, 2))


async def test_a_registry_knows_the_list_besides_its_own(
    app_engine: AsyncEngine, clean_database: None
) -> None:
    listed = ExemptionList(app_engine)
    registry = ListedRegistry(InMemoryRegistry(), listed)
    day, service = date(2026, 4, 2), "epidural-steroid-injection"
    assert registry.exempt(NPI, service, day) is None
    await exempted(app_engine, NPI, day)
    await listed.refresh()
    assert registry.exempt(NPI, service, day) is True
    assert registry.beneficiary("1EG4TE5MK73") is Membership.UNKNOWN
    assert registry.medicare_advantage("1EG4TE5MK73", day) is None
    assert registry.provider(NPI) is Enrolment.UNKNOWN


async def test_an_operator_ends_an_exemption_once(
    app_engine: AsyncEngine, clean_database: None
) -> None:
    await exempted(app_engine, NPI, date(2026, 4, 2))
    async with transaction(app_engine) as db:
        with pytest.raises(NotFound):
            await store.held(db, OTHER_NPI)
        of = await store.held(db, NPI)
        told = date(2026, 12, 1)
        lost_on = await withdraw(db, of, told, PROCESS, LossReason.OPERATOR, date(2027, 7, 2))
        assert lost_on == date(2027, 10, 1)
        with pytest.raises(Conflict):
            await store.held(db, NPI)
    assert await exempt_on(app_engine, date(2027, 9, 30)) == [NPI]
    assert await exempt_on(app_engine, date(2027, 10, 1)) == []
