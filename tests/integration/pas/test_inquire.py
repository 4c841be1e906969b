"""Claim/$inquire and reading a ClaimResponse: how authorizations stand now."""

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import MEMBERS, Item
from tests.bundles import Json, Line, inquiry_bundle, request_bundle, valid_npi
from tests.integration.pas.door import (
    CARE_UNMET,
    LINES,
    MET,
    Client,
    FixedClock,
    MakeClient,
    Rows,
    actions,
    claim_response,
    found_by,
    reference_number,
)
from wiser_fhir.fhir import codes

RENDERING = valid_npi("199999020")
ORDERING = valid_npi("199999055")
REQUESTER = valid_npi("199999010")


async def _affirmed(client: Client, line: Line = "2.2", **fields: Any) -> Json:
    sent = request_bundle(line, **{"answers": MET, **fields})
    return claim_response(await client.at(line).submit(sent))


async def _pended(client: Client, line: Line = "2.2", **fields: Any) -> Json:
    return await _affirmed(client, line, answers=CARE_UNMET, **fields)


def _ids(responses: list[Json]) -> list[str]:
    return [response["id"] for response in responses]


async def _found(client: Client, line: Line = "2.2", **fields: Any) -> list[str]:
    return _ids(found_by(await client.at(line).inquire(inquiry_bundle(line, **fields))))


async def test_a_pended_request_is_found_by_our_number(client: Client, line: Line) -> None:
    pended = await _pended(client, line)
    await _affirmed(client, line, seed="another")
    assert await _found(client, line, reference=reference_number(pended)) == [pended["id"]]


async def test_a_decided_one_by_its_utn(client: Client, line: Line) -> None:
    affirmed = await _affirmed(client, line)
    await _affirmed(client, line, seed="another")
    assert await _found(client, line, utn=affirmed["preAuthRef"]) == [affirmed["id"]]


@pytest.mark.parametrize("number", [{"utn": "ZZB99999999999"}, {"reference": "R00000000000000"}])
async def test_an_unknown_number_finds_nothing(
    number: dict[str, str], client: Client, line: Line
) -> None:
    await _affirmed(client, line)
    assert await _found(client, line, **number) == []


async def test_a_number_with_another_member_finds_nothing(client: Client, line: Line) -> None:
    affirmed = await _affirmed(client, line)
    utn = affirmed["preAuthRef"]
    assert await _found(client, line, utn=utn, member=MEMBERS[1]) == []


async def test_a_member_finds_everything_latest_first(
    client: Client, line: Line, clock: FixedClock
) -> None:
    first = await _affirmed(client, line, seed="first")
    clock.now += timedelta(minutes=5)
    second = await _affirmed(client, line, seed="second")
    clock.now += timedelta(minutes=5)
    third = await _pended(client, line, seed="third")
    await _affirmed(client, line, seed="other", member=MEMBERS[1])
    assert await _found(client, line, any_service=True) == _ids([third, second, first])


async def test_an_inquiry_without_items_filters_nothing(client: Client) -> None:
    affirmed = await _affirmed(client)
    assert await _found(client) == [affirmed["id"]]


async def test_not_applicable_filters_no_service(client: Client, line: Line) -> None:
    affirmed = await _affirmed(client, line)
    bundle = inquiry_bundle(line, any_service=True)
    (item,) = bundle["entry"][0]["resource"]["item"]
    assert item["productOrService"]["coding"][0]["code"] == "not-applicable"
    assert _ids(found_by(await client.at(line).inquire(bundle))) == [affirmed["id"]]


async def test_a_code_filters(client: Client, line: Line) -> None:
    injection = await _affirmed(client, line)
    skin = await _affirmed(client, line, service="skin-substitutes", answers=None, seed="skin")
    assert await _found(client, line, codes=("64483",)) == [injection["id"]]
    assert await _found(client, line, codes=("15275",)) == [skin["id"]]
    assert set(await _found(client, line, codes=("64483", "15275"))) == {
        injection["id"],
        skin["id"],
    }
    assert await _found(client, line, codes=("99213",)) == []


def _dated(line: Line, **elements: Any) -> Json:
    bundle = inquiry_bundle(line, any_service=True)
    bundle["entry"][0]["resource"]["item"][0] |= elements
    return bundle


@pytest.mark.parametrize(
    ("elements", "found"),
    [
        ({"servicedDate": "2026-12-15"}, True),
        ({"servicedDate": "2026-12-16"}, False),
        ({"servicedPeriod": {"start": "2026-12-01", "end": "2026-12-31"}}, True),
        ({"servicedPeriod": {"start": "2026-12-16", "end": "2026-12-31"}}, False),
        ({"servicedPeriod": {"start": "2026-12-01", "end": "2026-12-14"}}, False),
        ({"servicedPeriod": {"end": "2026-12-15"}}, True),
    ],
)
async def test_a_date_filters(
    elements: dict[str, Any], found: bool, client: Client, line: Line
) -> None:
    affirmed = await _affirmed(client, line, service_date=date(2026, 12, 15))
    answer = await client.at(line).inquire(_dated(line, **elements))
    assert _ids(found_by(answer)) == ([affirmed["id"]] if found else [])


@pytest.mark.parametrize(("action", "status"), [("A1", "affirmed"), ("A4", "pended")])
async def test_a_review_action_filters(
    action: str, status: str, client: Client, line: Line
) -> None:
    sent = {
        "affirmed": await _affirmed(client, line, seed="affirmed"),
        "pended": await _pended(client, line, seed="pended"),
    }
    concept = {"coding": [{"system": codes.X12_ACTION, "code": action}]}
    wanted = {"url": codes.REVIEW_ACTION_CODE, "valueCodeableConcept": concept}
    answer = await client.at(line).inquire(_dated(line, extension=[wanted]))
    assert _ids(found_by(answer)) == [sent[status]["id"]]


async def test_another_requester_of_the_same_organization_is_not_asked_about(
    client: Client, line: Line
) -> None:
    """A clearinghouse asks for one provider at a time."""
    await _affirmed(client, line)
    assert await _found(client, line, requestor_npi=valid_npi("199999088")) == []


async def test_nothing_found_is_an_answer(client: Client) -> None:
    new = await client.inquire(inquiry_bundle("2.2"))
    assert new.status_code == 200
    assert new.json()["resourceType"] == "Parameters"
    assert "parameter" not in new.json()
    old = await client.at("2.0").inquire(inquiry_bundle("2.0"))
    assert old.status_code == 200
    assert old.json()["resourceType"] == "Bundle"
    kinds = {entry["resource"]["resourceType"] for entry in old.json()["entry"]}
    assert kinds == {"Patient", "Organization"}


async def test_line_2_2_wraps_each_answer_in_parameters(client: Client) -> None:
    await _affirmed(client, seed="one")
    await _affirmed(client, seed="two")
    body = (await client.inquire(inquiry_bundle())).json()
    assert [parameter["name"] for parameter in body["parameter"]] == ["return", "return"]
    for parameter in body["parameter"]:
        bundle = parameter["resource"]
        assert bundle["type"] == "collection"
        assert bundle["meta"]["profile"] == [codes.INQUIRY_RESPONSE_BUNDLE]
        assert bundle["entry"][0]["resource"]["meta"]["profile"] == [codes.CLAIM_INQUIRY_RESPONSE]


async def test_line_2_0_answers_one_bundle_with_each_entry_once(client: Client) -> None:
    await _affirmed(client, "2.0", seed="same", identifier="one")
    await _affirmed(client, "2.0", seed="same", identifier="two")
    body = (await client.at("2.0").inquire(inquiry_bundle("2.0"))).json()
    kinds = [entry["resource"]["resourceType"] for entry in body["entry"]]
    assert kinds == ["ClaimResponse"] * 2 + ["Patient", "Organization", "Organization"]
    urls = [entry["fullUrl"] for entry in body["entry"]]
    assert len(urls) == len(set(urls))


async def test_a_case_of_one_line_is_found_at_the_other(client: Client) -> None:
    for sent_at, asked_at in zip(LINES, reversed(LINES), strict=True):
        affirmed = await _affirmed(client, sent_at, seed=sent_at)
        assert affirmed["id"] in await _found(client, asked_at, any_service=True)


async def test_the_trace_number_of_an_inquiry_is_no_search_key(client: Client) -> None:
    affirmed = await _affirmed(client, trace="of-the-request")
    assert await _found(client, trace="of-the-inquiry") == [affirmed["id"]]


async def test_the_present_state_is_told(
    client: Client, line: Line, superuser_engine: AsyncEngine
) -> None:
    """Every item with its own present status, cancelled ones too."""
    pended = await _pended(client, line, codes=("64483", "64484"))
    async with superuser_engine.begin() as connection:
        await connection.execute(
            text("update case_item set status = 'cancelled' where sequence = 2")
        )
    (now,) = found_by(await client.at(line).inquire(inquiry_bundle(line, any_service=True)))
    assert actions(pended) == {1: "A4", 2: "A4"}
    assert actions(now) == {1: "A4", 2: "C"}


async def test_a_superseded_number_finds_the_present_authorization(
    client: Client, line: Line, superuser_engine: AsyncEngine
) -> None:
    affirmed = await _affirmed(client, line)
    async with superuser_engine.begin() as connection:
        await connection.execute(text("set local session_replication_role = replica"))
        await connection.execute(
            text("update utn set state = 'superseded', ended_at = now() where state = 'assigned'")
        )
        await connection.execute(
            text(
                "insert into utn select 'ZZB77777777777', organization_id, case_id, 2, source,"
                " 'assigned', assigned_at, valid_from, valid_until, null from utn"
            )
        )
        await connection.execute(text("update prior_auth_case set revision = 2"))
    old = inquiry_bundle(line, utn=affirmed["preAuthRef"])
    (now,) = found_by(await client.at(line).inquire(old))
    assert now["id"] == affirmed["id"]
    assert now["preAuthRef"] == "ZZB77777777777"


async def test_any_number_of_checks_is_answered(client: Client) -> None:
    affirmed = await _affirmed(client)
    for _ in range(30):
        assert await _found(client) == [affirmed["id"]]


async def test_an_inquiry_may_come_inside_parameters(client: Client, line: Line) -> None:
    affirmed = await _affirmed(client, line)
    inner = {"name": "resource", "resource": inquiry_bundle(line, any_service=True)}
    wrapped = {"resourceType": "Parameters", "parameter": [inner]}
    assert _ids(found_by(await client.at(line).inquire(wrapped))) == [affirmed["id"]]


async def test_an_inquiry_names_a_member(client: Client, line: Line) -> None:
    """Without a member number nothing is found, however many there are."""
    await _affirmed(client, line)
    bundle = inquiry_bundle(line, any_service=True)
    for entry in bundle["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] in ("Patient", "Coverage"):
            resource.pop("subscriberId", None)
            numbers = resource["identifier"]
            numbers[:] = [n for n in numbers if n["system"] != codes.MBI]
            if not numbers:
                del resource["identifier"]
    answer = await client.at(line).inquire(bundle)
    assert answer.status_code == 422 or found_by(answer) == []


# Others than the sender


async def test_who_renders_a_service_may_ask_about_it(
    make_client: MakeClient, line: Line, rows: Rows
) -> None:
    sender = await make_client()
    affirmed = await _affirmed(sender, line)
    clinic = await make_client(npis=(RENDERING,))
    assert await _found(clinic, line, requestor_npi=RENDERING, any_service=True) == [affirmed["id"]]
    assert ("gate.inquire-by-others", "found") in await rows.audit()


async def test_so_may_who_ordered_it(make_client: MakeClient) -> None:
    sender = await make_client()
    affirmed = await _affirmed(sender, ordering_npi=ORDERING)
    clinic = await make_client(npis=(ORDERING,))
    assert await _found(clinic, requestor_npi=ORDERING) == [affirmed["id"]]


@pytest.mark.parametrize(
    "fields",
    [
        {"requestor_npi": RENDERING, "member": MEMBERS[1]},
        {"requestor_npi": REQUESTER},
        {"requestor_npi": RENDERING, "utn": "ZZB99999999999"},
        {"requestor_npi": RENDERING, "codes": ("99213",)},
    ],
    ids=["another member", "not a provider of its own", "another number", "another code"],
)
async def test_nobody_else_finds_it(make_client: MakeClient, fields: dict[str, Any]) -> None:
    sender = await make_client()
    await _affirmed(sender)
    clinic = await make_client(npis=(RENDERING,))
    assert await _found(clinic, **fields) == []


async def test_a_provider_with_no_part_in_it_finds_nothing(make_client: MakeClient) -> None:
    sender = await make_client()
    affirmed = await _affirmed(sender)
    stranger = valid_npi("199999044")
    clinic = await make_client(npis=(stranger,))
    assert await _found(clinic, requestor_npi=stranger) == []
    assert await _found(clinic, requestor_npi=RENDERING) == []
    assert await _found(clinic, requestor_npi=stranger, utn=affirmed["preAuthRef"]) == []


async def test_a_clearinghouse_sees_only_what_it_sent(make_client: MakeClient) -> None:
    await _affirmed(await make_client())
    assert await _found(await make_client(), requestor_npi=RENDERING) == []


# Reading one


async def test_a_claim_response_is_read_at_both_lines(client: Client, line: Line) -> None:
    affirmed = await _affirmed(client, line)
    for each in LINES:
        read = await client.at(each).get(f"ClaimResponse/{affirmed['id']}")
        assert read.status_code == 200
        assert read.json()["id"] == affirmed["id"]
        assert read.json()["preAuthRef"] == affirmed["preAuthRef"]
    own = await client.at(line).get(f"ClaimResponse/{affirmed['id']}")
    assert own.json() == affirmed


async def test_a_dismissed_case_is_read_as_it_was_answered(client: Client, line: Line) -> None:
    dismissed = await _affirmed(client, line, payer="medicaid", codes=(Item("64483"),))
    read = await client.at(line).get(f"ClaimResponse/{dismissed['id']}")
    assert read.json() == dismissed


async def test_a_pended_case_is_read_as_it_was_answered(client: Client, line: Line) -> None:
    pended = await _pended(client, line)
    read = await client.at(line).get(f"ClaimResponse/{pended['id']}")
    assert read.json() == pended
