"""Claims that arrived: kept once, counted, and never more than was authorized."""

import asyncio
from decimal import Decimal
from typing import Any

import orjson
import pytest
from httpx import Response
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeCase, MakeOrganization
from tests.integration.claims.door import (
    Affirmed,
    Door,
    MakeDoor,
    affirmed,
    arriving,
    billed,
    claim_for,
    rows,
    statuses,
)
from tests.vaults import A_SEALED_SQL, INDEX
from wiser_fhir.db.bodies import open_body
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.numbers import time_ordered_uuid


@pytest.fixture
async def found(make_case: MakeCase, make_organization: MakeOrganization) -> Affirmed:
    """Two units of one code."""
    return await affirmed(make_case, await make_organization(), "62323", "64483")


async def test_a_claim_uses_up_what_it_bills(mac: Door, found: Affirmed) -> None:
    first = await mac.record(arriving(found, billed(), billed("64483", 2, units=2)))
    assert statuses(first) == ["covered", "covered"]
    second = await mac.record(arriving(found, billed(), billed("64483", 2)))
    assert statuses(second) == ["covered", "units-exceeded"]
    assert [line["remaining"] for line in second.json()["lines"]] == [1, 0]
    assert statuses(await mac.check(claim_for(found))) == ["units-exceeded"]


async def test_what_arrived_is_kept_as_it_came_with_what_was_said(
    mac: Door, found: Affirmed, superuser_engine: AsyncEngine
) -> None:
    body = orjson.dumps(arriving(found, billed(modifiers=["LT"]), number="C-1")) + b"\n"
    answer = await mac.record(body)
    ((kept),) = await rows(superuser_engine, "select * from claim")
    assert (kept.claim_number, kept.client_id) == ("C-1", mac.client_id)
    stored = [
        await open_body(superuser_engine, kept.organization_id, value, "claim", column, kept.id)
        for column, value in (("request", kept.request), ("answer", kept.answer))
    ]
    assert stored == [body, answer.content]
    assert str(kept.id) == answer.json()["id"]
    ((line),) = await rows(superuser_engine, "select * from claim_line")
    assert (line.code, line.modifiers, line.units) == ("62323", ["LT"], Decimal(1))
    assert (line.utn, line.status, line.site_code) == (found.utn, "covered", "11")


async def test_the_same_bytes_again_change_nothing(
    mac: Door, found: Affirmed, superuser_engine: AsyncEngine
) -> None:
    body = orjson.dumps(arriving(found))
    first, again = await mac.record(body), await mac.record(body)
    assert again.content == first.content
    assert len(await rows(superuser_engine, "select * from claim")) == 1
    assert len(await rows(superuser_engine, "select * from utn_use")) == 1


async def test_the_same_number_with_other_content_is_a_conflict(mac: Door, found: Affirmed) -> None:
    await mac.record(arriving(found, number="C-1"))
    other = await mac.record(arriving(found, billed(units=2), number="C-1"))
    assert other.status_code == 409


async def test_another_macs_numbers_are_its_own(
    mac: Door, make_door: MakeDoor, found: Affirmed
) -> None:
    other = await make_door()
    assert statuses(await mac.record(arriving(found, number="C-1"))) == ["covered"]
    assert statuses(await other.record(arriving(found, number="C-1"))) == ["covered"]
    assert statuses(await mac.record(arriving(found))) == ["units-exceeded"]


async def test_twins_at_once_are_one_claim(
    mac: Door, found: Affirmed, superuser_engine: AsyncEngine
) -> None:
    body = orjson.dumps(arriving(found))
    answers = await asyncio.gather(*(mac.record(body) for _ in range(6)))
    assert len({answer.content for answer in answers}) == 1
    assert len(await rows(superuser_engine, "select * from claim")) == 1


async def test_claims_at_once_never_use_more_than_was_authorized(
    mac: Door, make_door: MakeDoor, found: Affirmed, superuser_engine: AsyncEngine
) -> None:
    doors = [mac, await make_door(), await make_door()]
    claims = [door.record(arriving(found)) for door in doors for _ in range(4)]
    said = sorted(status for answer in await asyncio.gather(*claims) for status in statuses(answer))
    assert said == ["covered"] * 2 + ["units-exceeded"] * 10
    ((used),) = await rows(superuser_engine, "select sum(units) as units from utn_use")
    assert used.units == 2


async def test_claims_that_name_the_same_numbers_in_another_order_do_not_block_each_other(
    mac: Door, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    organization = await make_organization()
    one = await affirmed(make_case, organization, units="20")
    other = await affirmed(make_case, organization, units="20")
    body = claim_for(one, billed(utn=one.utn), billed(line=2, utn=other.utn))
    turned = claim_for(one, billed(utn=other.utn), billed(line=2, utn=one.utn))
    claims = [
        mac.record({**each, "claim_number": f"C-{n}-{m}"})
        for n in range(5)
        for m, each in enumerate((body, turned))
    ]
    answers: list[Response] = await asyncio.gather(*claims)
    assert {answer.status_code for answer in answers} == {200}


async def test_only_a_mac_records(make_door: MakeDoor, found: Affirmed) -> None:
    clinic = await make_door(kind="provider", npis=("1234567893",))
    assert (await clinic.record(arriving(found))).status_code == 403
    assert (await clinic.get("/claims/reviews")).status_code == 403


@pytest.fixture
async def kept(mac: Door, found: Affirmed, superuser_engine: AsyncEngine) -> dict[str, Any]:
    """A recorded claim that used one of two units, and how to use more by direct SQL."""
    answer = await mac.record(arriving(found))
    ((row),) = await rows(superuser_engine, "select revision from utn where utn = :u", u=found.utn)
    return {
        "number": found.utn,
        "sequence": 1,
        "claim": answer.json()["id"],
        "line": 1,
        "units": 1,
        "revision": row.revision,
    }


USE = text(
    "select gate.use_units(:number, :sequence, cast(:claim as uuid), :line, :units, now(),"
    " gen_random_uuid(), null, null)"
)


async def use(engine: AsyncEngine, organization: Any, values: dict[str, Any]) -> None:
    async with transaction(engine, organization) as db:
        await db.execute(USE, {n: v for n, v in values.items() if n != "revision"})


async def refusal(engine: AsyncEngine, organization: Any, values: dict[str, Any]) -> str:
    with pytest.raises(DBAPIError) as error:
        await use(engine, organization, values)
    cause = error.value.orig.__cause__ if error.value.orig else None
    return getattr(cause, "constraint_name", None) or str(cause)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"units": 3}, "units_never_oversold"),
        ({"units": 1}, "units_of_the_line"),
        ({"sequence": 2}, "units_are_authorized"),
        ({"sequence": 9}, "units_are_authorized"),
        ({"number": "ZZB99999999999"}, "units_are_authorized"),
        ({"line": 2}, "units_are_authorized"),
        ({"claim": "00000000-0000-0000-0000-000000000000"}, "units_are_authorized"),
        ({"units": 0}, "ck_utn_use_units"),
    ],
)
async def test_the_database_refuses_units_nobody_authorized(
    mac: Door,
    kept: dict[str, Any],
    app_engine: AsyncEngine,
    changes: dict[str, Any],
    constraint: str,
) -> None:
    assert await refusal(app_engine, mac.organization_id, kept | changes) == constraint


@pytest.mark.parametrize(
    "change",
    [
        "update utn set state = 'superseded', ended_at = now()",
        "update utn set state = 'pending', utn = null, assigned_at = null, delivered_at = null",
        "update prior_auth_case set status = 'cancelled'",
        f"update prior_auth_case set mbi = '{INDEX.of('1EG4TE5MK73').value}'",  # noqa: S608
        "update utn set valid_until = '2026-05-19', valid_from = '2026-01-20'",
        f"update determination set outcome = 'non-affirmed', rationale = {A_SEALED_SQL},"  # noqa: S608
        f" resubmission_steps = {A_SEALED_SQL}, decided_by = 'clinician',"
        " clinician_id = gen_random_uuid()",
        "update determination set code = '64479'",
        "update determination set last_day = '2026-05-19'",
        "update determination set first_day = '2026-05-21'",
        "delete from case_party",
    ],
)
async def test_the_database_looks_at_the_case_itself(
    mac: Door,
    kept: dict[str, Any],
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    change: str,
) -> None:
    async with superuser_engine.begin() as db:
        await db.exec_driver_sql("set local session_replication_role = replica")
        await db.exec_driver_sql("delete from utn_use")
        await db.exec_driver_sql(change)
    said = await refusal(app_engine, mac.organization_id, kept)
    assert said == "units_are_authorized"


async def test_nobody_but_a_mac_uses_units(
    make_organization: MakeOrganization, kept: dict[str, Any], app_engine: AsyncEngine
) -> None:
    organization = await make_organization()
    assert "units are used by claims of a MAC" in await refusal(app_engine, organization, kept)


@pytest.mark.parametrize(
    "statement",
    [
        "insert into utn_use select organization_id, case_id, sequence, revision,"
        " claim_organization_id, gen_random_uuid(), line, units, at from utn_use",
        "update utn_use set units = 1",
        "delete from utn_use",
        "update claim set claim_number = 'x'",
        "delete from claim_line",
        "update utn set valid_until = valid_until + 1",
        "insert into prepayment_document select organization_id, id, id, id, now(), true"
        " from prepayment_review",
    ],
)
async def test_the_application_changes_none_of_it(
    found: Affirmed, kept: dict[str, Any], app_engine: AsyncEngine, statement: str
) -> None:
    with pytest.raises(DBAPIError, match="permission denied"):
        async with transaction(app_engine, found.case.organization_id) as db:
            await db.exec_driver_sql(statement)


async def test_the_gate_changes_no_number(superuser_engine: AsyncEngine, found: Affirmed) -> None:
    with pytest.raises(DBAPIError, match="row-level security"):
        async with superuser_engine.begin() as db:
            await db.exec_driver_sql("set local role wiser_gate")
            await db.exec_driver_sql("update utn set tried_at = now()")


async def test_claims_of_one_mac_are_no_other_macs(
    mac: Door, make_door: MakeDoor, kept: dict[str, Any], app_engine: AsyncEngine
) -> None:
    other = await make_door()
    for table in ("claim", "claim_line"):
        for door, count in ((mac, 1), (other, 0)):
            async with transaction(app_engine, door.organization_id) as db:
                seen = await db.exec_driver_sql(f"select count(*) from {table}")  # noqa: S608
                assert seen.scalar_one() == count


async def test_a_mac_sends_no_requests(superuser_engine: AsyncEngine, mac: Door) -> None:
    insert = text(
        "insert into organization (id, name, kind, acts_for) values (:id, 'x', 'mac', 'named')"
    )
    with pytest.raises(DBAPIError, match="ck_organization_mac_sends_nothing"):
        async with superuser_engine.begin() as db:
            await db.execute(insert, {"id": time_ordered_uuid()})
