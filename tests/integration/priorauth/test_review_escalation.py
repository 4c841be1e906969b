"""The periodic job that says of undecided cases, once, that their deadline is near or past."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import RECEIVED, a_submission
from tests.clocks import StillClock
from tests.database import MakeCase, MakeOrganization
from tests.reviewing import SERVICE, affirm, by, determination, history, rows, sent_again
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.clocks import LeadTimes, escalate
from wiser_fhir.priorauth.keeping import locked
from wiser_fhir.priorauth.models import CaseStatus, PriorAuthorization
from wiser_fhir.priorauth.review import ReviewService

LEADS = LeadTimes(standard=timedelta(hours=24), expedited=timedelta(hours=12))
DEADLINE = RECEIVED + timedelta(days=3)
NEAR = DEADLINE - LEADS.standard
PAST = DEADLINE + timedelta(microseconds=1)
MARK = "select escalation from prior_auth_case where id = :case"


@pytest.mark.parametrize(
    ("moment", "mark", "happened"),
    [
        (NEAR - timedelta(microseconds=1), None, []),
        (NEAR, "near", ["deadline-near"]),
        (DEADLINE, "near", ["deadline-near"]),
        (PAST, "past", ["deadline-past"]),
    ],
)
async def test_a_case_is_marked_when_its_time_comes(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    now: StillClock,
    moment: datetime,
    mark: str | None,
    happened: list[str],
) -> None:
    now.now = moment
    assert await escalate(app_engine, now, LEADS) == len(happened)
    assert await rows(superuser_engine, MARK, pended.id) == [(mark,)]
    assert [event[0] for event in await history(superuser_engine, pended.id)] == happened


async def test_each_mark_is_made_once(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    now: StillClock,
) -> None:
    marked = []
    for moment in (NEAR, NEAR, DEADLINE, PAST, PAST, PAST + timedelta(days=9)):
        now.now = moment
        marked.append(await escalate(app_engine, now, LEADS))
    assert marked == [1, 0, 0, 1, 0, 0]
    query = "select kind, person_id, detail from case_event where case_id = :case order by at"
    due = {"decide_by": "2026-04-10T15:30:00+00:00"}
    assert await rows(superuser_engine, query, pended.id) == [
        ("deadline-near", None, due),
        ("deadline-past", None, due),
    ]


async def test_an_expedited_case_has_its_own_lead(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    expedited: PriorAuthorization,
    now: StillClock,
) -> None:
    now.now = NEAR
    assert await escalate(app_engine, now, LEADS) == 0
    now.now = DEADLINE - LEADS.expedited
    assert await escalate(app_engine, now, LEADS) == 1
    assert await rows(superuser_engine, MARK, expedited.id) == [("near",)]


async def test_what_is_decided_or_ended_is_not_marked(
    app_engine: AsyncEngine,
    make_case: MakeCase,
    review: ReviewService,
    clinician: Reviewer,
    pended: PriorAuthorization,
    now: StillClock,
) -> None:
    await make_case(CaseStatus.AFFIRMED, **SERVICE)
    await make_case(CaseStatus.DISMISSED, service=None, rules=None)
    said = determination(affirm(1), affirm(2))
    await review.determine(by(clinician), pended.id, 1, said)
    now.now = PAST
    assert await escalate(app_engine, now, LEADS) == 0


async def test_every_organization_gets_its_turn_and_its_row_in_the_trail(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    make_case: MakeCase,
    now: StillClock,
) -> None:
    cases = [await make_case(CaseStatus.IN_REVIEW, **SERVICE) for _ in range(2)]
    now.now = PAST
    assert await escalate(app_engine, now, LEADS) == 2
    for case in cases:
        trail = (
            "select a.action, a.detail from audit_event a join prior_auth_case c"
            " on c.organization_id = a.organization_id"
            " where c.id = :case and a.action = 'case.escalate'"
        )
        assert await rows(superuser_engine, trail, case.id) == [("case.escalate", {"count": 1})]


async def test_several_workers_mark_each_case_once(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    now: StillClock,
) -> None:
    organization = await make_organization()
    cases = [
        await make_case(CaseStatus.IN_REVIEW, submission=a_submission(organization), **SERVICE)
        for _ in range(12)
    ]
    now.now = PAST
    marked = await asyncio.gather(*(escalate(app_engine, now, LEADS) for _ in range(4)))
    # One that found rows held by another left them for the next turn.
    assert sum(marked) + await escalate(app_engine, now, LEADS) == 12
    for case in cases:
        events = await history(superuser_engine, case.id)
        assert [event[0] for event in events] == ["deadline-past"]


async def test_a_case_somebody_works_on_this_moment_gets_its_turn_later(
    app_engine: AsyncEngine, pended: PriorAuthorization, now: StillClock
) -> None:
    now.now = PAST
    async with transaction(app_engine, pended.organization_id) as db:
        await locked(db, pended.id)
        assert await escalate(app_engine, now, LEADS) == 0
    assert await escalate(app_engine, now, LEADS) == 1


async def test_a_clock_made_longer_is_marked_anew(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    review: ReviewService,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    clinician: Reviewer,
    now: StillClock,
) -> None:
    asked = a_submission(await make_organization(), expedite_requested=True)
    case = await make_case(
        CaseStatus.IN_REVIEW,
        submission=asked,
        expedited=True,
        decide_by=RECEIVED + timedelta(days=2),
        **SERVICE,
    )
    now.now = RECEIVED + timedelta(days=2, seconds=1)
    assert await escalate(app_engine, now, LEADS) == 1
    await review.decline_expedite(by(clinician), case.id, 1, "Pain is stable for weeks.")
    assert await rows(superuser_engine, MARK, case.id) == [(None,)]
    assert await escalate(app_engine, now, LEADS) == 1
    assert await rows(superuser_engine, MARK, case.id) == [("near",)]
    now.now = PAST
    assert await escalate(app_engine, now, LEADS) == 1
    assert [event[0] for event in await history(superuser_engine, case.id)] == [
        "deadline-past",
        "expedite-declined",
        "deadline-near",
        "deadline-past",
    ]


async def test_an_update_of_an_undecided_case_keeps_its_clock_and_its_mark(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    pended: PriorAuthorization,
    now: StillClock,
) -> None:
    now.now = PAST
    assert await escalate(app_engine, now, LEADS) == 1
    await sent_again(app_engine, pended)
    query = "select decide_by, escalation, revision from prior_auth_case where id = :case"
    assert await rows(superuser_engine, query, pended.id) == [(DEADLINE, "past", 2)]
    assert await escalate(app_engine, now, LEADS) == 0
