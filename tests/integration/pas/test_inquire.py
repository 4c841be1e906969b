"""Claim/$inquire and reading a ClaimResponse: how authorizations stand now."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import MEMBERS, Item
from tests.bundles import Json, Line, inquiry_bundle, request_bundle, valid_npi
from tests.clocks import StillClock
from tests.integration.pas.door import (
    CARE_UNMET,
    LINES,
    MET,
    Client,
    MakeClient,
    Rows,
    actions,
    claim_response,
    found_by,
    reference_number,
)
from tests.integration.pas.reviewing import a_clinician, determine, review_of
from tests.update_bundles import cancel_of, on, update_of
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.fhir import codes
from wiser_fhir.priorauth.answer import GrantedDetail, ItemAnswer
from wiser_fhir.priorauth.desk import Reviewing
from wiser_fhir.priorauth.determination import Determination, Grant, ItemDetermination, Outcome
from wiser_fhir.priorauth.numbers import time_ordered_uuid

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
    client: Client, line: Line, clock: StillClock
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
    assert await _answered(client, line, action) == [sent[status]["id"]]


async def _answered(client: Client, line: Line, action: str) -> list[str]:
    """What an inquiry about lines that got this answer finds."""
    return _ids(found_by(await client.at(line).inquire(_dated(line, extension=[_action(action)]))))


def _action(code: str) -> Json:
    concept = {"coding": [{"system": codes.X12_ACTION, "code": code}]}
    return {"url": codes.REVIEW_ACTION_CODE, "valueCodeableConcept": concept}


@pytest.mark.parametrize("action", ["A2", "CT", "made-up"])
async def test_an_action_that_is_never_given_finds_nothing(
    action: str, client: Client, line: Line
) -> None:
    await _affirmed(client, line, seed="affirmed")
    await _pended(client, line, seed="pended")
    assert await _answered(client, line, action) == []


_DAY = date(2026, 12, 15)
_ONE_DAY = Grant(first_day=_DAY, last_day=_DAY)


@pytest.mark.parametrize(
    ("grant", "detail"),
    [
        (Grant(code=Code(CPT, "64479")), GrantedDetail()),
        (Grant(quantity=Decimal("0.5")), GrantedDetail()),
        (_ONE_DAY, GrantedDetail()),
        (Grant(), GrantedDetail(revenue_code="0360")),
    ],
)
async def test_what_was_modified_is_found_apart_from_what_was_not(
    grant: Grant,
    detail: GrantedDetail,
    client: Client,
    line: Line,
    app: FastAPI,
    superuser_engine: AsyncEngine,
) -> None:
    as_asked = await _affirmed(client, line, seed="affirmed")
    item = Item("64483", service_date=_DAY, service_end=date(2026, 12, 16))
    modified = await _pended(client, line, seed="pended", codes=(item,))
    by = Reviewing(await a_clinician(superuser_engine), time_ordered_uuid())
    decided = ItemDetermination(
        1,
        Outcome.AFFIRMED,
        rationale="Enough for what the record shows.",
        grant=grant,
        answer=ItemAnswer(detail=detail),
    )
    await review_of(app).determine(by, UUID(modified["id"]), 1, Determination((decided,)))
    (now,) = [
        each
        for each in found_by(await client.at(line).inquire(_dated(line)))
        if each["id"] == modified["id"]
    ]
    assert actions(now) == {1: "A6"}
    assert await _answered(client, line, "A6") == [modified["id"]]
    found = await _answered(client, line, "A1")
    assert as_asked["id"] in found
    assert (modified["id"] in found) is (detail != GrantedDetail())


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


async def test_the_present_state_is_told(client: Client, line: Line) -> None:
    """Every item with its own present status, changed and cancelled ones too."""
    first = request_bundle(line, answers=CARE_UNMET, codes=("64483", "64484"))
    pended = claim_response(await client.at(line).submit(first))
    await client.at(line).submit(update_of(first, line, change={1: on("2026-12-18")}, cancel=(2,)))
    (now,) = found_by(await client.at(line).inquire(inquiry_bundle(line, any_service=True)))
    assert actions(pended) == {1: "A4", 2: "A4"}
    assert actions(now) == {1: "A4", 2: "C"}
    assert _told(now["item"][0], codes.ITEM_REQUESTED_SERVICE_DATE)["valueDateTime"] == "2026-12-18"


async def test_a_request_cancelled_as_a_whole_is_found(client: Client, line: Line) -> None:
    first = request_bundle(line, answers=MET, codes=("64483", "64484"))
    affirmed = claim_response(await client.at(line).submit(first))
    await client.at(line).submit(cancel_of(first, line))
    (now,) = found_by(
        await client.at(line).inquire(inquiry_bundle(line, utn=affirmed["preAuthRef"]))
    )
    assert actions(now) == {1: "C", 2: "C"}
    assert now["disposition"] == "Cancelled by the submitter."
    assert now["request"]["identifier"] != affirmed["request"]["identifier"]


def _told(item: Json, url: str) -> Json:
    found: Json
    (found,) = [extension for extension in item["extension"] if extension["url"] == url]
    return found


async def test_a_superseded_number_finds_the_present_authorization(
    client: Client, line: Line
) -> None:
    """Each of a chain of three, and the last answer says which number was before it."""
    first = request_bundle(line, answers=MET)
    second = update_of(first, line, seed="second", change={1: on("2026-12-18")})
    third = update_of(second, line, seed="third", change={1: on("2026-12-19")})
    answers = [
        claim_response(await client.at(line).submit(each)) for each in (first, second, third)
    ]
    numbers = [answer["preAuthRef"] for answer in answers]
    assert len(set(numbers)) == 3
    for number in numbers:
        (now,) = found_by(await client.at(line).inquire(inquiry_bundle(line, utn=number)))
        assert now["id"] == answers[0]["id"]
        assert now["preAuthRef"] == numbers[2]
        assert _told(now["item"][0], codes.AUTHORIZATION_NUMBER)["valueString"] == numbers[1]
        assert now["request"] == answers[2]["request"]


async def test_the_number_of_a_resubmitted_request_finds_what_followed_it(
    client: Client, line: Line, app: FastAPI, superuser_engine: AsyncEngine, clock: StillClock
) -> None:
    """The latest first; its own number finds it alone."""
    pended = await _pended(client, line)
    case = await determine(app, await a_clinician(superuser_engine), pended["id"], not_affirmed=[1])
    clock.now += timedelta(minutes=5)
    again = await _affirmed(client, line, seed="again", previous_utn=case.utn)
    clock.now += timedelta(minutes=5)
    assert await _found(client, line, utn=case.utn) == [again["id"], pended["id"]]
    assert await _found(client, line, reference=case.reference) == [again["id"], pended["id"]]
    (now, before) = found_by(await client.at(line).inquire(inquiry_bundle(line, utn=case.utn)))
    assert _told(now["item"][0], codes.AUTHORIZATION_NUMBER)["valueString"] == case.utn
    assert actions(before) == {1: "A3"}


async def test_a_range_of_codes_filters(client: Client) -> None:
    affirmed = await _affirmed(client)
    for first, last, found in (
        ("64480", "64490", [affirmed["id"]]),
        ("64483", "64484", [affirmed["id"]]),
        ("64400", "64482", []),
        ("6448", "6449", []),
    ):
        bundle = inquiry_bundle("2.2", codes=(first,))
        bundle["entry"][0]["resource"]["item"][0]["extension"] = [_until(last)]
        assert _ids(found_by(await client.inquire(bundle))) == found


def _until(code: str) -> Json:
    last = {"coding": [{"system": CPT, "code": code}]}
    return {"url": codes.PRODUCT_OR_SERVICE_CODE_END, "valueCodeableConcept": last}


@pytest.fixture
def finds_two(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cases are the most that an inquiry is answered with."""
    for line, door in list(app.state.pas.items()):
        few = replace(door, service=replace(door.service, most_found=2))
        monkeypatch.setitem(app.state.pas, line, few)


@pytest.mark.parametrize(("sent", "told"), [(2, False), (3, True)])
async def test_that_there_are_more_is_told(
    sent: int, told: bool, client: Client, line: Line, finds_two: None
) -> None:
    for number in range(sent):
        await _affirmed(client, line, seed=f"{number}")
    answer = await client.at(line).inquire(inquiry_bundle(line, any_service=True))
    assert len(found_by(answer)) == 2
    warnings = _outcomes(answer.json())
    assert [issue["severity"] for issue in warnings] == (["warning"] if told else [])
    assert all("narrow the inquiry" in issue["details"]["text"] for issue in warnings)


def _outcomes(body: Json) -> list[Json]:
    """The issues of every OperationOutcome in an answer."""
    parameters = body.get("parameter", [{"resource": body}])
    entries = (e["resource"] for p in parameters for e in p["resource"]["entry"])
    return [i for r in entries if r["resourceType"] == "OperationOutcome" for i in r["issue"]]


async def test_of_others_cases_the_most_counts_too(
    make_client: MakeClient, finds_two: None
) -> None:
    sender = await make_client()
    for number in range(3):
        await _affirmed(sender, seed=f"{number}")
    clinic = await make_client(npis=(RENDERING,))
    answer = await clinic.inquire(inquiry_bundle(requestor_npi=RENDERING))
    assert len(found_by(answer)) == 2
    assert len(_outcomes(answer.json())) == 1


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


@pytest.mark.parametrize(
    ("action", "found"), [("A1", True), ("A6", True), ("A3", False), ("A2", False), ("CT", False)]
)
async def test_a_review_action_filters_anothers_by_its_status(
    action: str, found: bool, make_client: MakeClient, line: Line
) -> None:
    affirmed = await _affirmed(await make_client(), line)
    clinic = await make_client(npis=(RENDERING,))
    bundle = inquiry_bundle(line, requestor_npi=RENDERING, any_service=True)
    bundle["entry"][0]["resource"]["item"][0]["extension"] = [_action(action)]
    answer = await clinic.at(line).inquire(bundle)
    assert _ids(found_by(answer)) == ([affirmed["id"]] if found else [])


async def test_a_range_of_codes_filters_nothing_of_anothers(make_client: MakeClient) -> None:
    affirmed = await _affirmed(await make_client())
    clinic = await make_client(npis=(RENDERING,))
    bundle = inquiry_bundle("2.2", requestor_npi=RENDERING, codes=("64400",))
    assert found_by(await clinic.inquire(bundle)) == []
    bundle["entry"][0]["resource"]["item"][0]["extension"] = [_until("64410")]
    assert _ids(found_by(await clinic.inquire(bundle))) == [affirmed["id"]]


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


async def test_nor_does_one_that_acts_for_the_provider_by_name(make_client: MakeClient) -> None:
    await _affirmed(await make_client())
    named = await make_client(npis=(RENDERING, REQUESTER), clearinghouse=True)
    assert await _found(named, requestor_npi=RENDERING) == []
    own = await _affirmed(named, seed="its own")
    assert await _found(named, requestor_npi=REQUESTER) == [own["id"]]
