"""The queue over committed cases: filters, orders, pages, and who sees what."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import RECEIVED, a_submission, following
from tests.database import MakeCase, MakeOrganization
from tests.reviewing import MakePerson
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.errors import NotFound, ProfileViolation
from wiser_fhir.priorauth import queue
from wiser_fhir.priorauth.clocks import Nearness
from wiser_fhir.priorauth.models import CaseStatus, Party, PartyRole
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.queue import (
    QueueFilter,
    QueueOrder,
    QueuePage,
    ReviewQueue,
    organization_of,
)

HOUR = timedelta(hours=1)
ALL = QueueFilter()

Waiting = Callable[..., Awaitable[UUID]]
Change = Callable[..., Awaitable[None]]


@pytest.fixture
def review_queue(app_engine: AsyncEngine) -> ReviewQueue:
    return ReviewQueue(app_engine)


@pytest.fixture
def change(superuser_engine: AsyncEngine) -> Change:
    """Sets columns of a case, past everything that forbids it."""

    async def set_columns(case_id: UUID, **values: Any) -> None:
        columns = ", ".join(f"{name} = :{name}" for name in values)
        async with superuser_engine.begin() as db:
            await db.execute(
                text(f"update prior_auth_case set {columns} where id = :id"),  # noqa: S608
                {"id": case_id, **values},
            )

    return set_columns


@pytest.fixture
async def waiting(make_case: MakeCase, make_organization: MakeOrganization) -> Waiting:
    """Commits a case in review: `await waiting(due=3)` is due three hours after receipt."""
    organization = await make_organization()

    async def make(due: int = 72, received: int = 0, **changes: Any) -> UUID:
        asked = a_submission(organization, received_at=RECEIVED + received * HOUR)
        at = asked.received_at
        case = await make_case(
            changes.pop("status", CaseStatus.IN_REVIEW),
            submission=asked,
            decide_by=at + due * HOUR,
            **changes,
        )
        return case.id

    return make


async def shown(
    review_queue: ReviewQueue,
    reviewer: Reviewer,
    wanted: QueueFilter = ALL,
    order: QueueOrder = QueueOrder.DEADLINE,
) -> list[UUID]:
    page = await review_queue.page(reviewer, time_ordered_uuid(), wanted, order)
    return [each.id for each in page.cases]


async def test_the_next_deadline_comes_first(
    review_queue: ReviewQueue, waiting: Waiting, clinician: Reviewer
) -> None:
    late, soon, between = await waiting(72), await waiting(3), await waiting(48)
    assert await shown(review_queue, clinician) == [soon, between, late]


async def test_expedited_requests_come_first_by_priority(
    review_queue: ReviewQueue, waiting: Waiting, clinician: Reviewer, change: Change
) -> None:
    soon, urgent, more_urgent = await waiting(3), await waiting(48), await waiting(40)
    for case_id in (urgent, more_urgent):
        await change(case_id, expedited=True, expedite_requested=True)
    order = QueueOrder.PRIORITY
    assert await shown(review_queue, clinician, order=order) == [more_urgent, urgent, soon]
    expedited = QueueFilter(expedited=True)
    assert await shown(review_queue, clinician, expedited) == [more_urgent, urgent]
    assert await shown(review_queue, clinician, QueueFilter(expedited=False)) == [soon]


async def test_the_oldest_or_the_newest_come_first(
    review_queue: ReviewQueue, waiting: Waiting, clinician: Reviewer
) -> None:
    new, old = await waiting(received=5), await waiting(received=1)
    assert await shown(review_queue, clinician, order=QueueOrder.AGE) == [old, new]
    assert await shown(review_queue, clinician, order=QueueOrder.NEWEST) == [new, old]


async def test_filters_narrow_the_queue(
    review_queue: ReviewQueue, waiting: Waiting, clinician: Reviewer, change: Change
) -> None:
    mine = await waiting(1, received=1)
    other = await waiting(2, received=2)
    await change(
        mine,
        service="pild",
        state="TX",
        escalation="near",
        assigned_to=clinician.person_id,
        assigned_at=RECEIVED,
    )
    await change(other, state="OH", escalation="past")
    due = RECEIVED + 2 * HOUR
    narrowed = {
        QueueFilter(service="pild"): [mine],
        QueueFilter(state="OH"): [other],
        QueueFilter(escalation=Nearness.NEAR): [mine],
        QueueFilter(escalation=Nearness.PAST): [other],
        QueueFilter(assignee=clinician.person_id): [mine],
        QueueFilter(unassigned=True): [other],
        QueueFilter(received_from=RECEIVED + 2 * HOUR): [other],
        QueueFilter(received_before=RECEIVED + 2 * HOUR): [mine],
        QueueFilter(decide_before=due): [],
        QueueFilter(decide_before=due + timedelta(microseconds=1)): [mine],
        QueueFilter(service="pild", state="OH"): [],
    }
    for wanted, expected in narrowed.items():
        assert await shown(review_queue, clinician, wanted) == expected, wanted


async def test_cases_that_ended_are_listed_by_what_became_of_them(
    review_queue: ReviewQueue, waiting: Waiting, clinician: Reviewer
) -> None:
    first = await waiting(status=CaseStatus.AFFIRMED, received=1)
    second = await waiting(status=CaseStatus.AFFIRMED, received=2)
    await waiting(status=CaseStatus.DISMISSED)
    affirmed = QueueFilter(status=CaseStatus.AFFIRMED)
    assert await shown(review_queue, clinician, affirmed, QueueOrder.NEWEST) == [second, first]
    assert await shown(review_queue, clinician, affirmed, QueueOrder.AGE) == [first, second]


@pytest.mark.parametrize(
    ("wanted", "order"),
    [
        (QueueFilter(status=CaseStatus.AFFIRMED), QueueOrder.DEADLINE),
        (QueueFilter(status=CaseStatus.AFFIRMED), QueueOrder.PRIORITY),
        (QueueFilter(status=CaseStatus.AFFIRMED, unassigned=True), QueueOrder.AGE),
        (QueueFilter(status=CaseStatus.AFFIRMED, expedited=False), QueueOrder.AGE),
        (QueueFilter(status=CaseStatus.AFFIRMED, escalation=Nearness.NEAR), QueueOrder.AGE),
    ],
)
async def test_what_only_a_case_in_review_has_is_not_asked_of_others(
    review_queue: ReviewQueue, clinician: Reviewer, wanted: QueueFilter, order: QueueOrder
) -> None:
    with pytest.raises(ProfileViolation, match="Cases that ended"):
        await shown(review_queue, clinician, wanted, order)


async def pages(
    review_queue: ReviewQueue, reviewer: Reviewer, order: QueueOrder, size: int
) -> list[UUID]:
    found: list[UUID] = []
    cursor = None
    while True:
        page = await review_queue.page(reviewer, time_ordered_uuid(), ALL, order, size, cursor)
        assert len(page.cases) <= size
        found += [each.id for each in page.cases]
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize("order", QueueOrder)
async def test_pages_together_are_the_whole_whatever_the_order(
    review_queue: ReviewQueue,
    waiting: Waiting,
    clinician: Reviewer,
    change: Change,
    order: QueueOrder,
) -> None:
    cases = [await waiting(due=5, received=n // 3) for n in range(7)]
    for case_id in cases[::2]:
        await change(case_id, expedited=True, expedite_requested=True)
    whole = await shown(review_queue, clinician, order=order)
    assert sorted(whole) == sorted(cases)
    for size in (1, 2, 3, 7):
        assert await pages(review_queue, clinician, order, size) == whole


async def test_a_page_goes_on_where_the_last_one_ended_though_cases_came_and_went(
    review_queue: ReviewQueue, waiting: Waiting, clinician: Reviewer, change: Change
) -> None:
    first, second, third = [await waiting(due) for due in (10, 20, 30)]
    page = await review_queue.page(clinician, time_ordered_uuid(), ALL, size=2)
    assert [each.id for each in page.cases] == [first, second]
    await waiting(due=5)
    between = await waiting(due=25)
    await change(second, decide_by=RECEIVED)
    rest = await review_queue.page(clinician, time_ordered_uuid(), ALL, size=2, cursor=page.next)
    assert [each.id for each in rest.cases] == [between, third]
    assert rest.next is None


async def a_page_with_more(
    review_queue: ReviewQueue, waiting: Waiting, reviewer: Reviewer
) -> QueuePage:
    await waiting()
    await waiting()
    return await review_queue.page(reviewer, time_ordered_uuid(), ALL, size=1)


async def test_a_cursor_goes_with_its_own_question_only(
    review_queue: ReviewQueue, waiting: Waiting, clinician: Reviewer
) -> None:
    page = await a_page_with_more(review_queue, waiting, clinician)
    for wanted, order in (
        (QueueFilter(state="TX"), QueueOrder.DEADLINE),
        (ALL, QueueOrder.AGE),
    ):
        with pytest.raises(ProfileViolation, match="A cursor goes with"):
            await review_queue.page(clinician, time_ordered_uuid(), wanted, order, cursor=page.next)


@pytest.mark.parametrize(
    "said",
    [
        b"not json",
        b"{}",
        b"[]",
        b"1",
        b'["DIGEST",2,"2026-11-20T16:00:00+00:00","5a5d0b0c-0000-4000-8000-000000000999"]',
        b'["DIGEST",0,"9999-12-31T23:59:59-23:00","5a5d0b0c-0000-4000-8000-000000000999"]',
        b'["DIGEST",0,"yesterday","5a5d0b0c-0000-4000-8000-000000000999"]',
        b'["DIGEST",0,"2026-11-20T16:00:00+00:00","nobody"]',
        b'["DIGEST",0,"2026-11-20T16:00:00+00:00",7]',
        b'["DIGEST",0,7,"5a5d0b0c-0000-4000-8000-000000000999"]',
    ],
)
async def test_a_cursor_that_was_not_ours_is_refused(
    review_queue: ReviewQueue, clinician: Reviewer, said: bytes
) -> None:
    digest = queue._digest(ALL, QueueOrder.DEADLINE).encode()
    cursor = urlsafe_b64encode(said.replace(b"DIGEST", digest)).decode().rstrip("=")
    for each in (cursor, "é", "x"):
        with pytest.raises(ProfileViolation, match="A cursor goes with"):
            await review_queue.page(clinician, time_ordered_uuid(), ALL, cursor=each)


async def test_a_cursor_holds_nothing_about_a_patient(
    review_queue: ReviewQueue, waiting: Waiting, clinician: Reviewer
) -> None:
    page = await a_page_with_more(review_queue, waiting, clinician)
    assert page.next is not None
    said = orjson.loads(urlsafe_b64decode(page.next + "=" * (-len(page.next) % 4)))
    (case,) = page.cases
    assert case.decide_by is not None
    assert said[1:] == [1, case.decide_by.isoformat(), str(case.id)]


async def test_a_line_tells_what_a_reviewer_chooses_by(
    review_queue: ReviewQueue, waiting: Waiting, clinician: Reviewer, change: Change
) -> None:
    case_id = await waiting()
    await change(case_id, assigned_to=clinician.person_id, assigned_at=RECEIVED)
    (line,) = (await review_queue.page(clinician, time_ordered_uuid(), ALL)).cases
    assert line.codes == ("62321", "77003")
    assert (line.status, line.kind, line.revision) == ("in-review", "initial", 1)
    assert line.received_at == datetime(2026, 4, 7, 15, 30, tzinfo=UTC)
    assert (line.assigned_to, line.assigned_name) == (clinician.person_id, clinician.name)
    assert (line.escalation, line.asked) == (None, False)


async def test_nobody_is_shown_what_they_have_a_part_in(
    review_queue: ReviewQueue,
    app_engine: AsyncEngine,
    waiting: Waiting,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    make_person: MakePerson,
) -> None:
    clinic = await make_organization("Clinic", "provider", "own", ("1234567893",))
    elsewhere = await make_organization("Elsewhere")
    own = (await make_case(CaseStatus.IN_REVIEW, organization_id=clinic)).id
    named = await waiting()
    belongs = await make_person(organizations=[elsewhere, clinic])
    is_named = await make_person(npi="1112223338")
    outsider = await make_person(npi="1999000213", organizations=[elsewhere])
    assert await shown(review_queue, belongs) == []
    assert await shown(review_queue, is_named) == []
    assert sorted(await shown(review_queue, outsider)) == sorted([own, named])
    for insider in (belongs, is_named):
        for case_id in (own, named):
            with pytest.raises(NotFound):
                await organization_of(app_engine, insider, case_id, time_ordered_uuid())
    assert await organization_of(app_engine, outsider, own, time_ordered_uuid()) == clinic


async def test_nobody_is_shown_what_follows_a_case_they_have_a_part_in(
    review_queue: ReviewQueue,
    app_engine: AsyncEngine,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    make_person: MakePerson,
) -> None:
    clinic = await make_organization("Clinic", "provider", "own", ("1999000213",))
    first = a_submission(clinic, parties=(Party(PartyRole.RENDERING, "Dr. C", "1999000221"),))
    second = following(first, await make_case(submission=first), await make_organization())
    third = following(second, await make_case(submission=second), second.organization_id)
    last = (await make_case(CaseStatus.IN_REVIEW, submission=third)).id
    for facts in ({"organizations": [clinic]}, {"npi": "1999000221"}, {"npi": "1987654329"}):
        insider = await make_person(**facts)
        assert await shown(review_queue, insider) == []
        with pytest.raises(NotFound):
            await organization_of(app_engine, insider, last, time_ordered_uuid())
    outsider = await make_person(npi="1999000239", organizations=[await make_organization()])
    assert await shown(review_queue, outsider) == [last]
    found = await organization_of(app_engine, outsider, last, time_ordered_uuid())
    assert found == third.organization_id


async def test_the_number_of_another_beneficiarys_case_leads_to_nobody(
    review_queue: ReviewQueue,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    make_person: MakePerson,
) -> None:
    clinic = await make_organization("Clinic", "provider", "own", ("1999000213",))
    first = a_submission(clinic)
    other = a_submission(await make_organization())
    named = following(first, await make_case(submission=first), other.organization_id)
    asked = replace(named, beneficiary=other.beneficiary)
    last = (await make_case(CaseStatus.IN_REVIEW, submission=asked)).id
    assert await shown(review_queue, await make_person(organizations=[clinic])) == [last]


async def test_who_is_out_of_use_sees_nothing(
    review_queue: ReviewQueue, app_engine: AsyncEngine, waiting: Waiting, make_person: MakePerson
) -> None:
    case_id = await waiting()
    gone = await make_person(active=False)
    assert await shown(review_queue, gone) == []
    with pytest.raises(NotFound):
        await organization_of(app_engine, gone, case_id, time_ordered_uuid())


async def test_every_page_and_every_look_is_on_the_trail(
    review_queue: ReviewQueue,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    waiting: Waiting,
    clinician: Reviewer,
) -> None:
    case_id = await waiting()
    await shown(review_queue, clinician)
    await shown(review_queue, clinician, QueueFilter(state="OH"))
    await organization_of(app_engine, clinician, case_id, time_ordered_uuid())
    nowhere = time_ordered_uuid()
    with pytest.raises(NotFound):
        await organization_of(app_engine, clinician, nowhere, time_ordered_uuid())
    query = "select person_id, action, outcome, object_id, detail from audit_event order by id"
    async with superuser_engine.connect() as db:
        trail = [tuple(row) for row in await db.execute(text(query))]
    who = clinician.person_id
    assert [row for row in trail if row[0] is not None] == [
        (who, "gate.review-queue", "found", None, {"found": 1}),
        (who, "gate.review-queue", "none", None, {"found": 0}),
        (who, "gate.case-organization", "found", str(case_id), {}),
        (who, "gate.case-organization", "none", str(nowhere), {}),
    ]
