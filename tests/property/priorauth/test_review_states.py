"""No sequence of acts, by people, providers or bare SQL, brings a case into a forbidden state."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import StillClock
from tests.database import MakeCase
from tests.reviewing import (
    NOW,
    SERVICE,
    a_desk,
    affirm,
    by,
    determination,
    insert_person,
    non_affirm,
    rows,
    sent_again,
    signed_in,
    stored,
)
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import WiserError
from wiser_fhir.priorauth.asked import Asked
from wiser_fhir.priorauth.clocks import LeadTimes, escalate
from wiser_fhir.priorauth.information import Material, Wanted
from wiser_fhir.priorauth.models import CaseStatus, ItemStatus, PriorAuthorization
from wiser_fhir.priorauth.review import ReviewService

# What may follow what, one act later. An update may leave an undecided case undecided.
MAY_FOLLOW = {
    CaseStatus.IN_REVIEW: {
        CaseStatus.AFFIRMED,
        CaseStatus.PARTIALLY_AFFIRMED,
        CaseStatus.NON_AFFIRMED,
        CaseStatus.CANCELLED,
    },
    CaseStatus.AFFIRMED: {CaseStatus.IN_REVIEW, CaseStatus.CANCELLED},
    CaseStatus.PARTIALLY_AFFIRMED: {CaseStatus.IN_REVIEW, CaseStatus.CANCELLED},
    CaseStatus.NON_AFFIRMED: set(),
    CaseStatus.CANCELLED: set(),
}
DECIDED = {CaseStatus.AFFIRMED, CaseStatus.PARTIALLY_AFFIRMED, CaseStatus.NON_AFFIRMED}
IMAGING = Asked(Material.DOCUMENTS, (Wanted(code="18748-4"),))
DETERMINATIONS = (
    determination(affirm(1), affirm(2)),
    determination(affirm(1), non_affirm(2)),
    determination(non_affirm(1), non_affirm(2)),
    determination(non_affirm(1), affirm(2)),
    determination(affirm(1)),
    determination(),
)


@dataclass(frozen=True)
class World:
    """Who acts, on what. `revision` of an act is the one that is right at its moment."""

    app: AsyncEngine
    watcher: AsyncEngine
    review: ReviewService
    who: Reviewer
    clock: StillClock
    case: PriorAuthorization

    async def now(self) -> PriorAuthorization:
        """The case as it is."""
        return await stored(self.app, self.case)


Act = Callable[[World], Awaitable[object]]


def determines(which: int) -> Act:
    """A clinician decides, sensibly or not."""

    async def act(world: World) -> object:
        revision = (await world.now()).revision
        said = DETERMINATIONS[which]
        return await world.review.determine(
            by(signed_in(world.who, world.clock.now)), world.case.id, revision, said
        )

    return act


def sends_again(*, cancels: bool) -> Act:
    """The provider updates or cancels, whatever state the case is in."""
    return lambda world: sent_again(world.app, world.case, cancels=cancels)


def forces(statement: str) -> Act:
    """Somebody tries bare SQL as the application."""

    async def act(world: World) -> object:
        async with transaction(world.app, world.case.organization_id) as db:
            return await db.execute(text(statement), {"case": world.case.id})

    return act


async def asks(world: World) -> object:
    """A clinician asks for a document."""
    revision = (await world.now()).revision
    return await world.review.request_information(by(world.who), world.case.id, revision, [IMAGING])


async def takes(world: World) -> None:
    """A clinician takes the case up."""
    await world.review.assign(by(world.who), world.case.id)


async def marks(world: World) -> object:
    """The job looks at deadlines."""
    return await escalate(world.app, world.clock, LeadTimes())


ACTS: dict[str, Act] = {
    **{f"determines {which}": determines(which) for which in range(len(DETERMINATIONS))},
    "updates": sends_again(cancels=False),
    "cancels": sends_again(cancels=True),
    "asks": asks,
    "takes": takes,
    "marks": marks,
    **{
        f"forces {status}": forces(
            f"update prior_auth_case set status = '{status}' where id = :case"  # noqa: S608
        )
        for status in CaseStatus
    },
    **{
        f"forces a line {status}": forces(
            f"update case_item set status = '{status}' where case_id = :case"  # noqa: S608
        )
        for status in ItemStatus
    },
    "forces a revision": forces(
        "update prior_auth_case set revision = revision + 1 where id = :case"
    ),
    "forgets the number": forces(
        "update utn set state = 'superseded', ended_at = now() where case_id = :case"
    ),
}


async def check(world: World, before: PriorAuthorization) -> PriorAuthorization:
    """What holds of a case at every moment."""
    after = await world.now()
    assert after.status is before.status or after.status in MAY_FOLLOW[before.status]
    assert after.revision in (before.revision, before.revision + 1)
    if before.status in DECIDED and after.revision == before.revision:
        assert replace(after, utn_state=before.utn_state) == before
    decided = {ItemStatus.AFFIRMED, ItemStatus.NON_AFFIRMED}
    for item in after.items:
        assert (item.status in decided) == (item.decision is not None)
        assert (item.status in decided) == (after.status in DECIDED)
    query = "select count(*) filter (where state in ('pending', 'assigned')), count(*) from utn"
    ((live, numbers),) = await rows(world.watcher, f"{query} where case_id = :case", after.id)
    assert live <= 1
    assert after.status is not CaseStatus.CANCELLED or live == 0
    assert after.status not in DECIDED or numbers >= 1
    return after


async def past(watcher: AsyncEngine, case_id: UUID) -> list[tuple[object, ...]]:
    """Everything ever decided of the case."""
    query = (
        "select revision, sequence, outcome, clinician_id from determination"
        " where case_id = :case order by revision, sequence"
    )
    return await rows(watcher, query, case_id)


@pytest.fixture
async def clinician(superuser_engine: AsyncEngine, clean_database: None) -> Reviewer:
    """Somebody who may decide."""
    async with superuser_engine.begin() as connection:
        return await insert_person(connection)


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(names=st.lists(st.sampled_from(sorted(ACTS)), min_size=1, max_size=8))
async def test_a_case_goes_the_ways_that_are_open_to_it(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    make_case: MakeCase,
    clinician: Reviewer,
    names: list[str],
) -> None:
    clock = StillClock(NOW)
    case = await make_case(CaseStatus.IN_REVIEW, **SERVICE)
    review = ReviewService(a_desk(app_engine, clock))
    world = World(app_engine, superuser_engine, review, clinician, clock, case)
    before, decided = await world.now(), await past(superuser_engine, case.id)
    for name in names:
        try:
            await ACTS[name](world)
        except (WiserError, DBAPIError):
            assert await world.now() == before
        before = await check(world, before)
        known, decided = decided, await past(superuser_engine, case.id)
        assert decided[: len(known)] == known
