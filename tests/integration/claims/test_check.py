"""Asking what would be said of a claim."""

from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import ORDERING_NPI, REQUESTER_NPI
from tests.database import MakeCase, MakeOrganization
from tests.integration.claims.door import (
    OTHER_NPI,
    Door,
    MakeDoor,
    affirmed,
    billed,
    claim_for,
    rows,
    statuses,
)


async def test_a_claim_of_an_affirmed_service_is_covered(
    mac: Door, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    found = await affirmed(make_case, await make_organization())
    answer = await mac.check(claim_for(found))
    assert answer.json() == {
        "id": None,
        "lines": [
            {
                "line": 1,
                "status": "covered",
                "covered": True,
                "utn_needed": True,
                "text": "Provisionally affirmed: the number covers this line.",
                "utn": found.utn,
                "service": "epidural-steroid-injection",
                "newer": None,
                "remaining": 2,
                "primary": None,
            }
        ],
        "reviews": [],
    }


async def test_each_line_has_its_own_answer(
    mac: Door, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    found = await affirmed(make_case, await make_organization(), units="1.5")
    lines = [
        billed(),
        billed("64483", 2),
        billed("99213", 3),
        billed(line=4),
        billed(line=5, units=0.5),
        billed(line=6, utn="ZZB99999999999"),
        billed(line=7, place_of_service="12"),
        billed(line=8, service_date="2026-08-05"),
        billed(line=9, service_date="2026-08-04", service_end="2026-08-05"),
    ]
    assert statuses(await mac.check(claim_for(found, *lines))) == [
        *("covered", "wrong-code", "not-wiser", "units-exceeded", "covered", "utn-unknown"),
        *("wrong-site", "expired", "expired"),
    ]


async def test_asking_uses_nothing_up(
    mac: Door,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    superuser_engine: AsyncEngine,
) -> None:
    found = await affirmed(make_case, await make_organization(), units="1")
    for _ in range(3):
        assert statuses(await mac.check(claim_for(found))) == ["covered"]
    assert await rows(superuser_engine, "select * from claim") == []
    assert await rows(superuser_engine, "select * from utn_use") == []


async def test_asking_is_audited_and_so_is_the_look_across_organizations(
    mac: Door,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    superuser_engine: AsyncEngine,
) -> None:
    found = await affirmed(make_case, await make_organization())
    await mac.check(claim_for(found))
    trail = await rows(
        superuser_engine,
        "select action, outcome, patient is not null, detail from audit_event"
        " where organization_id = :mac order by id",
        mac=mac.organization_id,
    )
    assert [tuple(row) for row in trail] == [
        ("gate.claim-authorizations", "found", True, {"asked": 1, "found": 1}),
        ("claim.check", "covered", True, {"lines": 1}),
    ]


@pytest.mark.parametrize(
    ("asker", "claim", "expected"),
    [
        # Whoever sent the request sees it, whatever is wrong with the claim.
        ("sender", {}, "covered"),
        ("sender", {"provider_npi": OTHER_NPI}, "wrong-provider"),
        # A provider of the case sees it, and only for itself.
        ("provider", {}, "covered"),
        ("provider", {"provider_npi": OTHER_NPI}, "utn-unknown"),
        ("provider", {"provider_npi": ORDERING_NPI}, "utn-unknown"),
        # A MAC sees what is wrong.
        ("mac", {}, "covered"),
        ("mac", {"provider_npi": OTHER_NPI}, "wrong-provider"),
        # To strangers the number does not exist; nor to anybody for another member.
        ("stranger", {}, "utn-unknown"),
        ("clearinghouse", {}, "utn-unknown"),
        # Who acts for a provider by name sees what it sent itself, and this it did not.
        ("named", {}, "utn-unknown"),
        ("mac", {"mbi": "1EG4TE5MK73"}, "utn-unknown"),
        ("sender", {"mbi": "1EG4TE5MK73"}, "utn-unknown"),
    ],
)
async def test_who_may_know_of_a_number(
    asker: str,
    claim: dict[str, Any],
    expected: str,
    make_door: MakeDoor,
    make_case: MakeCase,
) -> None:
    sender = await make_door(kind="clearinghouse", acts_for="all")
    found = await affirmed(make_case, sender.organization_id)
    fields: dict[str, dict[str, Any]] = {
        "mac": {},
        "provider": {"kind": "provider", "npis": (REQUESTER_NPI,)},
        "stranger": {"kind": "provider", "npis": (OTHER_NPI,)},
        "clearinghouse": {"kind": "clearinghouse", "acts_for": "all"},
        "named": {"kind": "clearinghouse", "acts_for": "named", "npis": (REQUESTER_NPI,)},
    }
    door = sender if asker == "sender" else await make_door(**fields[asker])
    assert statuses(await door.check(claim_for(found, **claim))) == [expected]


async def test_an_unknown_number_and_another_members_look_the_same(
    mac: Door, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    found = await affirmed(make_case, await make_organization())
    foreign = (await mac.check(claim_for(found, mbi="1EG4TE5MK73"))).json()
    absent = (await mac.check(claim_for(found, mbi="1EG4TE5MK73", utn="ZZB00000000007"))).json()
    absent["lines"][0]["utn"] = found.utn
    assert foreign == absent


async def test_a_put_out_of_use_mac_sees_no_more_than_a_stranger(
    mac: Door,
    make_case: MakeCase,
    make_organization: MakeOrganization,
    superuser_engine: AsyncEngine,
) -> None:
    found = await affirmed(make_case, await make_organization())
    assert statuses(await mac.check(claim_for(found))) == ["covered"]
    async with superuser_engine.begin() as db:
        await db.exec_driver_sql("update organization set active = false where kind = 'mac'")
    assert statuses(await mac.check(claim_for(found))) == ["utn-unknown"]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"mbi": "nobody"}, "mbi"),
        ({"provider_npi": "1234567890"}, "provider_npi"),
        ({"place_of_service": "1"}, "place_of_service"),
        ({"bill_type": "131"}, None),
        ({"place_of_service": None}, None),
        ({"place_of_service": None, "bill_type": "x"}, "bill_type"),
        ({"lines": []}, "lines"),
        ({"lines": [billed(), billed()]}, None),
        ({"lines": [billed(units=0)]}, "lines[0].units"),
        ({"lines": [billed(units="many")]}, "lines[0].units"),
        ({"lines": [billed(service_date=1)]}, "lines[0].service_date"),
        ({"lines": [billed(service_end="2026-05-19")]}, "lines[0]"),
        ({"lines": [{**billed(), "line": "1"}]}, "lines[0].line"),
        ({"lines": [billed("6232")]}, "lines[0].code"),
        ({"lines": [billed(modifiers=["ETX"])]}, "lines[0].modifiers[0]"),
        ({"lines": [billed(units="1")]}, "lines[0].units"),
        ({"lines": [billed(service_date="1767225600")]}, "lines[0].service_date"),
        ({"lines": [billed(service_date="2026-05-20T00:00:00Z")]}, "lines[0].service_date"),
        ({"lines": [billed("\u0661\u0662\u0663\u0664\u0665")]}, "lines[0].code"),
        ({"lines": [billed(utn="ZZB\u0661\u0662")]}, "lines[0].utn"),
        ({"state": "\u017ft"}, "state"),
        ({"mbi": "1EG4TE5M\u212a73"}, "mbi"),
        ({"surprise": True}, "surprise"),
        ({"Ada Canary nobody": True}, None),
    ],
)
async def test_what_cannot_be_read_is_told_with_its_place(
    mac: Door, changes: dict[str, Any], where: str | None
) -> None:
    body = {
        "mbi": "1EG4TE5MK73",
        "provider_npi": REQUESTER_NPI,
        "place_of_service": "11",
        "lines": [billed()],
        **changes,
    }
    answer = await mac.check(body)
    assert answer.status_code == 422
    (issue,) = answer.json()["issue"]
    assert issue.get("expression") == (None if where is None else [where])
    assert "nobody" not in answer.text


async def test_a_body_that_is_no_json_is_refused(mac: Door) -> None:
    assert (await mac.check(b"{")).status_code == 400


async def test_strangers_and_those_without_the_scope_are_refused(
    mac: Door, make_door: MakeDoor
) -> None:
    stranger = Door(mac.http, "A" * 43, mac.organization_id, mac.client_id)
    assert (await stranger.check({})).status_code == 401
    sender = await make_door(scopes=("system/Claim.c",))
    assert (await sender.check({})).status_code == 403
    reader = await make_door(scopes=("system/ClaimResponse.rs",))
    assert (await reader.record({})).status_code == 403


async def test_small_spellings_make_no_difference(
    mac: Door, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    found = await affirmed(make_case, await make_organization())
    dashed = f"{found.mbi[:4]}-{found.mbi[4:7]}-{found.mbi[7:]}".lower()
    body = claim_for(found, mbi=dashed, utn=f" {found.utn.lower()} ", state="nj")
    assert statuses(await mac.check(body)) == ["covered"]


async def test_a_hospital_bills_by_its_type_of_bill(
    mac: Door, make_case: MakeCase, make_organization: MakeOrganization
) -> None:
    found = await affirmed(make_case, await make_organization())
    hospital = claim_for(found, place_of_service=None, bill_type="131")
    assert statuses(await mac.check(hospital)) == ["wrong-site"]
    physician = claim_for(found, place_of_service="22")
    assert statuses(await mac.check(physician)) == ["professional-claim"]
