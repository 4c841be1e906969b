"""The register of tracking numbers."""

from datetime import UTC, date, datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeCase, MakeOrganization
from tests.integration.claims.door import a_request, rows
from wiser_fhir.priorauth.models import UtnState
from wiser_fhir.priorauth.register import RegisterEntry, entries

APRIL_7 = date(2026, 4, 7)


async def all_of(
    engine: AsyncEngine, first: date = APRIL_7, last: date = APRIL_7, page: int = 500
) -> list[RegisterEntry]:
    return [entry async for entry in entries(engine, first, last, page)]


async def test_every_order_is_listed_with_what_became_of_it(
    owner_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    case = await make_case(organization_id=await make_organization("Spine Clinic"))
    (entry,) = await all_of(owner_engine)
    assert entry.number == case.utn
    assert (entry.state, entry.decision, entry.organization) == (
        *("assigned", "affirmed"),
        "Spine Clinic",
    )
    assert (entry.requested_at, entry.delivered_at) == (case.decided_at, case.decided_at)
    assert (entry.valid_from, entry.valid_until) == (APRIL_7, date(2026, 8, 4))
    assert Decimal(entry.units_used) == 0


async def test_an_order_without_a_number_is_listed_too(
    owner_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    request = a_request(await make_organization())
    await make_case(submission=request, utn=None, utn_state=UtnState.PENDING)
    (entry,) = await all_of(owner_engine)
    assert (entry.number, entry.state, entry.assigned_at) == (None, "pending", None)


async def test_pages_lose_nothing_and_repeat_nothing(
    owner_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    organizations = [await make_organization(), await make_organization()]
    cases = [
        await make_case(submission=a_request(organization))
        for organization in organizations
        for _ in range(4)
    ]
    for page in (1, 2, 3, 4, 5):
        listed = [entry.number for entry in await all_of(owner_engine, page=page)]
        assert sorted(map(str, listed)) == sorted(str(case.utn) for case in cases)


async def test_days_are_eastern_and_both_included(
    owner_engine: AsyncEngine, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    late = datetime(2026, 4, 8, 3, 59, tzinfo=UTC)
    await make_case(submission=a_request(await make_organization(), received_at=late))
    assert len(await all_of(owner_engine)) == 1
    assert await all_of(owner_engine, date(2026, 4, 8), date(2026, 4, 9)) == []
    assert await all_of(owner_engine, date(2026, 4, 1), date(2026, 4, 6)) == []


async def test_reading_the_register_is_audited(
    owner_engine: AsyncEngine, make_case: MakeCase, superuser_engine: AsyncEngine
) -> None:
    await make_case()
    await all_of(owner_engine)
    trail = await rows(
        superuser_engine,
        "select outcome, detail from audit_event where action = 'utn.register' order by id",
    )
    span = {"from": "2026-04-07", "to": "2026-04-07"}
    assert [tuple(row) for row in trail] == [("begun", span), ("done", span | {"count": 1})]
