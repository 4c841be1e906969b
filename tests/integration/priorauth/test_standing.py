"""How a beneficiary's cases stand: one's own, and those of others in which one has a part."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import (
    ORDERING_NPI,
    RECEIVED,
    RENDERING_NPI,
    REQUESTER_NPI,
    a_submission,
    an_item,
    an_mbi,
)
from tests.database import MakeCase, MakeOrganization
from tests.ledger_values import an_audit
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.models import (
    Beneficiary,
    CaseStatus,
    ItemStatus,
    Party,
    PartyRole,
    PriorAuthorization,
)
from wiser_fhir.priorauth.standing import Standing, standing

ALL = (REQUESTER_NPI, RENDERING_NPI, ORDERING_NPI)
OTHER_NPI = "1245319599"
Ask = Callable[..., Awaitable[tuple[Standing, ...]]]


@pytest.fixture
def ask(app_engine: AsyncEngine) -> Ask:
    async def ask(
        organization_id: UUID, mbi: str | None, *npis: str, **options: Any
    ) -> tuple[Standing, ...]:
        audit = an_audit(organization_id)
        return await standing(app_engine, organization_id, mbi, npis, audit, **options)

    return ask


@pytest.fixture
def clinic(make_organization: MakeOrganization) -> Callable[..., Awaitable[UUID]]:
    """A provider that acts for itself."""

    async def make(*npis: str) -> UUID:
        return await make_organization("Clinic", "provider", "own", npis)

    return make


def about(organization_id: UUID, mbi: str, **changes: Any) -> Any:
    return a_submission(
        organization_id, beneficiary=Beneficiary(mbi, "Doe", "Jane", None), **changes
    )


async def gate_rows(superuser: AsyncEngine) -> list[dict[str, Any]]:
    query = text("select * from audit_event where action = 'gate.standing-by-others' order by id")
    async with superuser.connect() as connection:
        return [dict(row) for row in (await connection.execute(query)).mappings()]


def expected(case: PriorAuthorization) -> Standing:
    """What a case says to who asks how things stand."""
    return Standing(
        case_id=case.id,
        reference=case.reference,
        status=case.status,
        utn=case.utn,
        valid_from=case.valid_from,
        valid_until=case.valid_until,
        decide_by=case.decide_by,
        service=case.service,
        codes=tuple((item.code.code, item.status) for item in case.items),
        npis=(RENDERING_NPI,),
        received_at=case.received_at,
        state="NJ",
        quantities=tuple(Decimal("1.5") for _ in case.items),
    )


async def test_one_s_own_cases_the_latest_first(
    ask: Ask, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    mine, mbi = await make_organization(), an_mbi()
    old = await make_case(CaseStatus.AFFIRMED, submission=about(mine, mbi))
    later = RECEIVED + timedelta(hours=1)
    new = await make_case(CaseStatus.IN_REVIEW, submission=about(mine, mbi, received_at=later))
    await make_case(CaseStatus.DISMISSED, submission=about(mine, mbi))
    await make_case(CaseStatus.AFFIRMED, submission=about(mine, an_mbi()))
    assert await ask(mine, mbi) == (expected(new), expected(old))
    assert await ask(mine, mbi, at_most=1) == (expected(new),)
    assert (await ask(mine, mbi))[0].of_code("62321") == {ItemStatus.PENDED}


async def test_a_case_nobody_is_named_in(
    ask: Ask, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    mine, mbi = await make_organization(), an_mbi()
    item = an_item(1, "62321")
    silent = replace(item, service=replace(item.service, state=None, quantity=None))
    bare = about(mine, mbi, parties=(), items=(silent,))
    case = await make_case(CaseStatus.AFFIRMED, submission=bare)
    [found] = await ask(mine, mbi)
    assert (found.case_id, found.npis) == (case.id, ())
    assert (found.state, found.quantities) == (None, (None,))


REQUESTER = Party(PartyRole.REQUESTER, npi=REQUESTER_NPI)
ORDERING = Party(PartyRole.ORDERING, npi=ORDERING_NPI)
RENDERING = Party(PartyRole.RENDERING, npi=RENDERING_NPI)
FACILITY = Party(PartyRole.FACILITY, npi=OTHER_NPI)


@pytest.mark.parametrize(
    ("parties", "npis"),
    [
        ((REQUESTER, ORDERING, RENDERING, FACILITY), (RENDERING_NPI, OTHER_NPI)),
        ((REQUESTER, FACILITY, ORDERING), (OTHER_NPI,)),
        ((REQUESTER, ORDERING), (ORDERING_NPI,)),
        ((REQUESTER,), (REQUESTER_NPI,)),
        ((REQUESTER, Party(PartyRole.RENDERING)), ()),
    ],
)
async def test_a_case_is_who_performs_or_bills_s(
    ask: Ask,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    clinic: Callable[..., Awaitable[UUID]],
    parties: tuple[Party, ...],
    npis: tuple[str, ...],
) -> None:
    mine, mbi, requester = await make_organization(), an_mbi(), await clinic(REQUESTER_NPI)
    case = await make_case(CaseStatus.AFFIRMED, submission=about(mine, mbi, parties=parties))
    told = replace(expected(case), npis=npis)
    assert await ask(mine, mbi) == (told,)
    assert await ask(requester, mbi, REQUESTER_NPI) == (told,)


async def test_without_a_number_there_is_nothing(
    ask: Ask, make_case: MakeCase, superuser_engine: AsyncEngine
) -> None:
    case = await make_case(CaseStatus.AFFIRMED)
    assert await ask(case.organization_id, None, *ALL) == ()
    assert await gate_rows(superuser_engine) == []


async def test_a_cancelled_case_is_nothing(
    ask: Ask, make_case: MakeCase, make_organization: MakeOrganization, app_engine: AsyncEngine
) -> None:
    mine, mbi = await make_organization(), an_mbi()
    case = await make_case(CaseStatus.IN_REVIEW, submission=about(mine, mbi))
    async with transaction(app_engine, mine) as connection:
        for change in (
            "update case_item set status = 'cancelled' where case_id = :id",
            "update prior_auth_case set status = 'cancelled', revision = 2 where id = :id",
        ):
            await connection.execute(text(change), {"id": case.id})
    assert await ask(mine, mbi) == ()


@pytest.mark.parametrize("state", ["expired", "superseded"])
async def test_a_number_that_ended_is_not_named(
    ask: Ask,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    superuser_engine: AsyncEngine,
    state: str,
) -> None:
    mine, mbi = await make_organization(), an_mbi()
    case = await make_case(CaseStatus.AFFIRMED, submission=about(mine, mbi))
    ended = (
        "update utn set state = :state, ended_at = valid_until + interval '2 days'"
        " where case_id = :id"
    )
    async with superuser_engine.begin() as connection:
        await connection.execute(text("set local session_replication_role = replica"))
        await connection.execute(text(ended), {"state": state, "id": case.id})
    [found] = await ask(mine, mbi)
    assert found.utn is None
    assert not found.is_live(RECEIVED.date())


# Others' cases


@pytest.mark.parametrize("npi", ALL)
async def test_who_has_a_part_in_a_case_sees_how_it_stands(
    ask: Ask,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    clinic: Callable[..., Awaitable[UUID]],
    superuser_engine: AsyncEngine,
    npi: str,
) -> None:
    mbi, asking = an_mbi(), await clinic(npi)
    case = await make_case(CaseStatus.AFFIRMED, submission=about(await make_organization(), mbi))
    assert await ask(asking, mbi, npi, OTHER_NPI) == (expected(case),)
    [trail] = await gate_rows(superuser_engine)
    assert (trail["organization_id"], trail["outcome"]) == (asking, "found")
    assert trail["patient"] == b"\1" * 32
    assert trail["detail"] == {"npis": [npi], "found": 1}


async def test_a_look_that_finds_nothing_is_on_the_trail_too(
    ask: Ask, clinic: Callable[..., Awaitable[UUID]], superuser_engine: AsyncEngine
) -> None:
    asking = await clinic(RENDERING_NPI)
    assert await ask(asking, an_mbi(), RENDERING_NPI) == ()
    [trail] = await gate_rows(superuser_engine)
    assert (trail["outcome"], trail["detail"]["found"]) == ("none", 0)


async def test_only_for_a_provider_one_acts_for(
    ask: Ask,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    clinic: Callable[..., Awaitable[UUID]],
    superuser_engine: AsyncEngine,
) -> None:
    mbi = an_mbi()
    await make_case(CaseStatus.AFFIRMED, submission=about(await make_organization(), mbi))
    stranger, clearinghouse = await clinic(OTHER_NPI), await make_organization()
    part_taker = await clinic(RENDERING_NPI)
    assert await ask(stranger, mbi, *ALL) == ()
    assert await ask(clearinghouse, mbi, *ALL) == ()
    assert await ask(part_taker, mbi) == ()
    assert await ask(part_taker, mbi, REQUESTER_NPI) == ()
    assert await gate_rows(superuser_engine) == []
    assert await ask(stranger, mbi, OTHER_NPI, *ALL) == ()
    assert [row["detail"]["npis"] for row in await gate_rows(superuser_engine)] == [[OTHER_NPI]]


async def test_a_clearinghouse_for_named_providers_sees_what_it_sent_alone(
    ask: Ask,
    app_engine: AsyncEngine,
    make_case: MakeCase,
    make_organization: MakeOrganization,
) -> None:
    mbi = an_mbi()
    await make_case(CaseStatus.AFFIRMED, submission=about(await make_organization(), mbi))
    named = await make_organization("By name", "clearinghouse", "named", ALL)
    assert await ask(named, mbi, *ALL) == ()
    through = text(
        "select * from gate.standing_by_others(:mbi, :npis, 50, gen_random_uuid(), null, null)"
    )
    async with transaction(app_engine, named) as connection:
        found = await connection.execute(through, {"mbi": mbi, "npis": list(ALL)})
        assert found.all() == []
    own = await make_case(CaseStatus.AFFIRMED, submission=about(named, mbi))
    assert await ask(named, mbi, *ALL) == (expected(own),)


async def test_an_organization_that_is_closed_sees_nothing_of_others(
    ask: Ask,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    clinic: Callable[..., Awaitable[UUID]],
    superuser_engine: AsyncEngine,
) -> None:
    mbi, asking = an_mbi(), await clinic(RENDERING_NPI)
    await make_case(CaseStatus.AFFIRMED, submission=about(await make_organization(), mbi))
    async with superuser_engine.begin() as connection:
        await connection.execute(
            text("update organization set active = false where id = :id"), {"id": asking}
        )
    assert await ask(asking, mbi, RENDERING_NPI) == ()


async def test_the_gate_itself_asks_whom_one_acts_for(
    app_engine: AsyncEngine,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    clinic: Callable[..., Awaitable[UUID]],
) -> None:
    mbi = an_mbi()
    await make_case(CaseStatus.AFFIRMED, submission=about(await make_organization(), mbi))
    through = text(
        "select * from gate.standing_by_others(:mbi, :npis, 50, gen_random_uuid(), null, null)"
    )
    for asking in (await clinic(OTHER_NPI), await make_organization(), None):
        async with transaction(app_engine, asking) as connection:
            found = await connection.execute(through, {"mbi": mbi, "npis": list(ALL)})
            assert found.all() == []


async def test_one_s_own_case_is_told_once(
    ask: Ask, make_case: MakeCase, clinic: Callable[..., Awaitable[UUID]]
) -> None:
    mbi, mine = an_mbi(), await clinic(*ALL)
    case = await make_case(CaseStatus.AFFIRMED, submission=about(mine, mbi))
    assert await ask(mine, mbi, *ALL) == (expected(case),)


async def test_the_connection_keeps_nothing_of_who_asked(
    ask: Ask, make_case: MakeCase, app_engine: AsyncEngine
) -> None:
    case = await make_case(CaseStatus.AFFIRMED)
    await ask(case.organization_id, an_mbi())
    async with transaction(app_engine) as connection:
        assert await connection.scalar(text("select count(*) from prior_auth_case")) == 0


async def test_nobody_but_the_application_asks(owner_engine: AsyncEngine) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with owner_engine.begin() as connection:
            await connection.execute(text("set local role wiser_gate"))
            await connection.execute(
                text("select * from standing_of(gen_random_uuid(), 'x', '{}', 1, null, null, null)")
            )
