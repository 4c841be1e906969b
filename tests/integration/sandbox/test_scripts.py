"""What the sandbox's clinician answers to test members, over HTTP on both lines."""

import asyncio
from datetime import date, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Item, Json, Line, Member, request_bundle
from tests.clocks import StillClock
from tests.conformance.examples.official import OfficialExample, official_examples
from tests.integration.pas.door import MET, Client, MakeClient, Rows, actions, claim_response
from tests.oracle.judge import JudgeUnavailable
from wiser_fhir.fhir import codes
from wiser_fhir.priorauth.utn_life import SourceExchange, UtnLife
from wiser_fhir.sandbox.scripted import Stage

TWO = ("64483", "64484")
AT_ONCE = {
    "9TT9TT9TT01": {1: "A1", 2: "A1"},
    "9TT9TT9TT02": {1: "A3", 2: "A3"},
    "9TT9TT9TT03": {1: "A1", 2: "A3"},
    "9TT9TT9TT04": {1: "A4", 2: "A4"},
    "9TT9TT9TT05": {1: "A4", 2: "A4"},
    "9TT9TT9TT06": {1: "A4", 2: "A4"},
    "9TT9TT9TT10": {1: "A1", 2: "A1"},
    "9TT9TT9TT12": {1: "A6", 2: "A6"},
    "9TT9TT9TT13": {1: "A1", 2: "A1"},
    "9TT9TT9TT14": {1: "A1", 2: "A1"},
    "9TT9TT9TT15": {1: "A4", 2: "A4"},
}
LATER = {
    "9TT9TT9TT51": {1: "affirmed", 2: "affirmed"},
    "9TT9TT9TT52": {1: "non-affirmed", 2: "non-affirmed"},
    "9TT9TT9TT53": {1: "affirmed", 2: "non-affirmed"},
    "9TT9TT9TT60": {1: "affirmed", 2: "affirmed"},
    "9TT9TT9TT62": {1: "affirmed", 2: "affirmed"},
    "9TT9TT9TT63": {1: "affirmed", 2: "affirmed"},
}


def member(number: str) -> Member:
    return Member(number, "Testmember", "Tilda", date(1949, 4, 1), "female")


def asked(line: Line, number: str, **fields: Any) -> Json:
    """A request for two lines; two members' requests share nothing."""
    return request_bundle(line, member=member(number), **{"seed": number, "codes": TWO, **fields})


@pytest.fixture
async def sender(client: Client, line: Line, stage: Stage) -> Client:
    """A clearinghouse at one line, with the clinician behind it."""
    return client.at(line)


async def statuses(rows: Rows) -> dict[int, str]:
    found = await rows.all("select sequence, status from case_item order by sequence")
    return {row["sequence"]: row["status"] for row in found}


@pytest.mark.parametrize("number", AT_ONCE)
async def test_the_answer_of_the_call_says_it_already(number: str, sender: Client) -> None:
    answer = await sender.submit(asked(sender.line, number))
    assert actions(claim_response(answer)) == AT_ONCE[number]


@pytest.mark.parametrize("number", LATER)
async def test_the_answer_comes_after_its_delay(
    number: str, sender: Client, stage: Stage, clock: StillClock, rows: Rows
) -> None:
    answer = await sender.submit(asked(sender.line, number))
    assert actions(claim_response(answer)) == {1: "A4", 2: "A4"}
    clock.now += timedelta(seconds=4)
    assert await stage() == 0
    clock.now += timedelta(seconds=1)
    assert await stage() == 1
    assert await statuses(rows) == LATER[number]
    assert await stage() == 0


async def test_software_affirms_nothing_of_a_test_member(sender: Client, rows: Rows) -> None:
    """A request that meets every criterion is what the script makes of it."""
    answer = await sender.submit(asked(sender.line, "9TT9TT9TT02", codes=None, answers=MET))
    assert actions(claim_response(answer)) == {1: "A3"}
    (decided,) = await rows.all(
        "select d.decided_by, p.name from determination d join person p on p.id = d.clinician_id"
    )
    assert decided == {"decided_by": "clinician", "name": "Rhoda Reviewer"}


async def test_fewer_units_are_granted(sender: Client, rows: Rows) -> None:
    many = (Item("64483", quantity=3), "64484")
    answer = await sender.submit(asked(sender.line, "9TT9TT9TT07", codes=many))
    assert actions(claim_response(answer)) == {1: "A6", 2: "A1"}
    (first, _) = await rows.all("select quantity from determination order by sequence")
    assert int(first["quantity"]) == 1


async def test_another_code_is_granted(sender: Client, rows: Rows) -> None:
    answer = await sender.submit(asked(sender.line, "9TT9TT9TT08", codes=("64483",)))
    assert actions(claim_response(answer)) == {1: "A6"}
    (granted,) = await rows.all("select code from determination")
    assert granted == {"code": "62321"}


async def test_another_code_leaves_no_add_on_alone(sender: Client) -> None:
    """64484 goes with 64483 only, so that the line is granted as asked."""
    answer = await sender.submit(asked(sender.line, "9TT9TT9TT08"))
    assert actions(claim_response(answer)) == {1: "A1", 2: "A1"}


async def test_one_day_of_a_period_is_granted(sender: Client, rows: Rows) -> None:
    period = (Item("64483", service_end=date(2026, 12, 20)),)
    answer = await sender.submit(asked(sender.line, "9TT9TT9TT09", codes=period))
    assert actions(claim_response(answer)) == {1: "A6"}
    (granted,) = await rows.all("select first_day, last_day from determination")
    assert granted == {"first_day": date(2026, 12, 15), "last_day": date(2026, 12, 15)}


async def test_a_line_is_added(sender: Client) -> None:
    answer = claim_response(await sender.submit(asked(sender.line, "9TT9TT9TT10")))
    (added,) = answer["addItem"]
    assert added["productOrService"]["coding"][0]["code"] == "64483"


async def test_an_error_has_no_lines(sender: Client) -> None:
    answer = claim_response(await sender.submit(asked(sender.line, "9TT9TT9TT11")))
    assert (answer["outcome"], "item" in answer, len(answer["error"])) == ("error", False, 1)


async def test_an_error_beside_hinders_nothing(sender: Client) -> None:
    answer = claim_response(await sender.submit(asked(sender.line, "9TT9TT9TT14")))
    assert (answer["outcome"], actions(answer)) == ("partial", {1: "A1", 2: "A1"})


async def test_the_number_follows(sender: Client, stage: Stage, rows: Rows) -> None:
    body = orjson.dumps(asked(sender.line, "9TT9TT9TT13"))
    answer = await sender.submit(body)
    assert "preAuthRef" not in claim_response(answer)
    assert await rows.all("select utn, state from utn") == [{"utn": None, "state": "pending"}]
    desk, shape = stage.desk, stage.desk.catalogue.process.utn
    exchange = SourceExchange(desk.utn_source)
    assert await UtnLife(desk.engine, desk.clock, exchange, desk.answers, shape).assign() == 1
    (number,) = await rows.all("select utn, state from utn")
    assert (number["utn"][:2], number["state"]) == ("ZZ", "assigned")
    assert (await sender.submit(body)).content == answer.content


@pytest.mark.parametrize(
    ("number", "kinds"),
    [
        ("9TT9TT9TT04", ["documents"]),
        ("9TT9TT9TT05", ["questionnaire"]),
        ("9TT9TT9TT06", ["documents", "questionnaire"]),
    ],
)
async def test_what_is_asked_for_is_awaited_and_then_decided(
    number: str,
    kinds: list[str],
    sender: Client,
    stage: Stage,
    clock: StillClock,
    rows: Rows,
    superuser_engine: AsyncEngine,
) -> None:
    await sender.submit(asked(sender.line, number))
    found = await rows.all("select kind, state from information_request order by kind")
    assert found == [{"kind": kind, "state": "open"} for kind in kinds]
    clock.now += timedelta(seconds=60)
    assert await stage() == 0
    async with superuser_engine.begin() as db:
        come = text("update information_request set state = 'answered', answered_at = :now")
        await db.execute(come, {"now": clock.now})
    assert await stage() == 1
    assert await statuses(rows) == {1: "affirmed", 2: "affirmed"}


async def test_the_same_bytes_get_the_same_answer(sender: Client, rows: Rows) -> None:
    body = orjson.dumps(asked(sender.line, "9TT9TT9TT01"))
    first = await sender.submit(body)
    before = await rows.counts()
    assert (await sender.submit(body)).content == first.content
    assert await rows.counts() == before


async def test_two_at_once_get_one_answer(sender: Client, rows: Rows) -> None:
    body = orjson.dumps(asked(sender.line, "9TT9TT9TT01"))
    answers = await asyncio.gather(*(sender.submit(body) for _ in range(4)))
    assert len({answer.content for answer in answers}) == 1
    assert (await rows.counts())["determination"] == 2


async def test_the_job_heals_what_a_call_did_not_finish(
    sender: Client, stage: Stage, clock: StillClock, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the two steps, the case stands in review until somebody goes on."""

    async def killed(*_: object) -> bool:
        return False

    with monkeypatch.context() as dying:
        dying.setattr(Stage, "act", killed)
        body = orjson.dumps(asked(sender.line, "9TT9TT9TT01"))
        answer = await sender.submit(body)
    assert actions(claim_response(answer)) == {1: "A4", 2: "A4"}
    assert await stage() == 0
    clock.now += timedelta(seconds=5)
    assert sorted(await asyncio.gather(stage(), stage())) == [0, 1]
    again = claim_response(await sender.submit(body))
    assert actions(again) == {1: "A1", 2: "A1"}


async def test_a_script_that_cannot_be_played_is_left_to_people(
    sender: Client, stage: Stage, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    """An add-on alone cannot be affirmed."""
    answer = await sender.submit(asked(sender.line, "9TT9TT9TT01", codes=("64484",)))
    assert actions(claim_response(answer)) == {1: "A4"}
    clock.now += timedelta(seconds=60)
    assert await stage() == 0
    assert [r.msg for r in caplog.records if r.levelname == "WARNING"] == [
        "script cannot be played"
    ]


async def test_a_clinician_who_may_not_decide_leaves_it_to_others(
    sender: Client, superuser_engine: AsyncEngine
) -> None:
    async with superuser_engine.begin() as db:
        over = "update person set licence_expires = '2026-01-31' where name = 'Rhoda Reviewer'"
        await db.execute(text(over))
    answer = await sender.submit(asked(sender.line, "9TT9TT9TT01"))
    assert actions(claim_response(answer)) == {1: "A4", 2: "A4"}


async def test_a_guest_is_reviewed_whatever_it_asks_for(sender: Client, rows: Rows) -> None:
    away: dict[str, Any] = {"codes": ("99212",), "state": "CA", "payer": "medicaid"}
    guest = claim_response(await sender.submit(asked(sender.line, "9TT9TT9TT71", **away)))
    assert actions(guest) == {1: "A1"}
    other = claim_response(await sender.submit(asked(sender.line, "9TT9TT9TT01", **away)))
    assert (other["outcome"], actions(other)) == ("error", {})
    services = [case["service"] for case in await rows.cases()]
    assert services == ["sandbox-guest", None]


async def test_anybody_else_is_answered_as_without_scripts(sender: Client) -> None:
    answer = await sender.submit(request_bundle(sender.line, answers=MET))
    assert actions(claim_response(answer)) == {1: "A1"}


_CHANGES = ("Update", "Differential")
NEW = [
    each
    for each in official_examples()
    if each.operation == "submit" and not any(word in each.file for word in _CHANGES)
]


@pytest.mark.parametrize("example", NEW, ids=str)
async def test_the_guides_examples_are_affirmed(
    example: OfficialExample, make_client: MakeClient, stage: Stage
) -> None:
    client = await make_client(example.line)
    try:
        answer = claim_response(await client.submit(example.body()))
    except JudgeUnavailable as missing:
        pytest.skip(str(missing))
    lines = [item["sequence"] for item in example.bundle()["entry"][0]["resource"]["item"]]
    assert actions(answer) == dict.fromkeys(lines, "A1")


@pytest.mark.parametrize("line", ["2.2", "2.0"])
async def test_the_guides_update_follows_its_request(
    line: Line, make_client: MakeClient, stage: Stage
) -> None:
    """Of three lines one is cancelled and one is new."""
    examples = {e.file: e for e in official_examples() if e.line == line}
    client = await make_client(line)
    try:
        await client.submit(examples["Bundle-HomecareAuthorizationBundleExample.json"].body())
    except JudgeUnavailable as missing:
        pytest.skip(str(missing))
    update = examples["Bundle-HomecareAuthorizationUpdateBundleExample.json"]
    answer = claim_response(await client.submit(update.body()))
    assert actions(answer) == {1: "A1", 2: "C", 3: "A1"}


async def test_an_update_is_answered_by_the_clinician_too(
    client: Client, stage: Stage, rows: Rows
) -> None:
    first = asked("2.2", "9TT9TT9TT01")
    await client.submit(first)
    answer = claim_response(await client.submit(changed(first)))
    assert actions(answer) == {1: "A1", 2: "A1"}
    (case,) = await rows.cases()
    assert (case["revision"], case["status"]) == (2, "affirmed")


def changed(first: Json) -> Json:
    """An update by two units of the first line."""
    earlier = first["entry"][0]
    claim = orjson.loads(orjson.dumps(earlier["resource"]))
    claim["meta"]["profile"] = [codes.CLAIM_UPDATE]
    claim["identifier"][0]["value"] = "second"
    item = claim["item"][0]
    item["quantity"]["value"] = 2
    item["extension"].append({"url": codes.INFO_CHANGED, "valueCode": "changed"})
    prior = {
        "system": "http://terminology.hl7.org/CodeSystem/ex-relatedclaimrelationship",
        "code": "prior",
    }
    claim["related"] = [
        {"claim": {"reference": earlier["fullUrl"]}, "relationship": {"coding": [prior]}}
    ]
    url = "urn:uuid:11111111-2222-4333-8444-555555555555"
    entries = [{"fullUrl": url, "resource": claim}, *first["entry"][1:], earlier]
    return {**first, "identifier": {**first["identifier"], "value": "second"}, "entry": entries}
