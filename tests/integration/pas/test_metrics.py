"""The measures of PAS, made of what the doors stored: nothing was written for them."""

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import MEMBERS
from tests.bundles import Json, Line, inquiry_bundle, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.door import (
    CARE_UNMET,
    MET,
    NOW,
    Client,
    MakeClient,
    Rows,
    claim_response,
)
from tests.integration.pas.reviewing import a_clinician, determine
from tests.ledger_values import a_call, an_audit
from tests.metric_models import PAS, misfits
from tests.reviewing import CATALOGUE
from tests.update_bundles import cancel_of, update_of
from wiser_fhir.pas.metric_records import PasRecords
from wiser_fhir.priorauth.ledger import Ledger
from wiser_fhir.priorauth.metric_rows import Days, MetricRows
from wiser_fhir.priorauth.metric_summary import Summary, share

FOR_EVER = Days(date(2020, 1, 1), date(2098, 12, 31))
ADDRESS = "https://payer.example"

Records = Callable[..., Awaitable[list[Json]]]


@pytest.fixture
def records(owner_engine: AsyncEngine) -> Records:
    """Every record there is, each held against its model."""

    async def read(days: Days = FOR_EVER, page: int = 200) -> list[Json]:
        rows = MetricRows(owner_engine, days, page)
        made = [each async for each in PasRecords(rows, ADDRESS, CATALOGUE.process)()]
        assert [misfits(each, PAS) for each in made] == [[] for _ in made]
        return made

    return read


async def summary(engine: AsyncEngine, now: Any = NOW) -> dict[str, Any]:
    found = Summary(now)
    await found.read(MetricRows(engine, FOR_EVER))
    return found.figures()


async def test_an_affirmation_is_final_at_its_first_answer(
    client: Client, line: Line, records: Records
) -> None:
    await client.at(line).submit(request_bundle(line, answers=MET))
    (record,) = await records()
    (exchange,), (item,) = record["exchange"], record["itemDetail"]
    assert record["source"] == "payer-src"
    assert record["payerId"] == {"system": "urn:ietf:rfc:3986", "value": ADDRESS}
    assert exchange == {
        "type": "initial",
        "method": "restful",
        "requestTime": "2026-11-20T16:00:00.000+00:00",
        "responseTime": "2026-11-20T16:00:00.000+00:00",
        "httpResponse": "200",
    }
    assert item["item"]["coding"][0]["code"] == "64483"
    assert (item["result"], item["responsesRequired"]) == ("approved", 1)
    assert item["initialSubmissionTime"] == item["finalResponseTime"]
    assert record["supportingDoc"].endswith("/Questionnaire/epidural-steroid-injection")
    assert record["businessLine"] == {"text": "original-medicare"}


async def test_nobody_is_named(client: Client, line: Line, records: Records) -> None:
    await client.at(line).submit(request_bundle(line, answers=MET))
    (record,) = await records()
    member = MEMBERS[0]
    for secret in (member.mbi, member.family, member.given, member.birth_date.isoformat()):
        assert secret not in str(record)


async def test_a_denial_after_review_has_both_times(
    app: FastAPI,
    client: Client,
    line: Line,
    clock: StillClock,
    records: Records,
    superuser_engine: AsyncEngine,
    owner_engine: AsyncEngine,
) -> None:
    response = claim_response(
        await client.at(line).submit(request_bundle(line, answers=CARE_UNMET))
    )
    (record,) = await records()
    (item,) = record["itemDetail"]
    assert item["result"] == "pended"
    assert "finalResponseTime" not in item
    pended = (await summary(owner_engine, NOW + timedelta(hours=7)))["pended"]
    assert pended == {"count": 1, "median_hours": 7.0, "oldest_hours": 7.0}
    clock.now = NOW + timedelta(hours=30)
    reviewer = await a_clinician(superuser_engine)
    await determine(app, reviewer, response["id"], not_affirmed=(1,))
    (record,) = await records()
    (item,) = record["itemDetail"]
    assert (item["result"], item["responsesRequired"]) == ("denied", 2)
    assert item["initialSubmissionTime"] == "2026-11-20T16:00:00.000+00:00"
    assert item["finalResponseTime"] == "2026-11-21T22:00:00.000+00:00"
    figures = await summary(owner_engine)
    assert figures["standard"] == {
        "decided": 1,
        "approved": 0.0,
        "partially_approved": 0.0,
        "denied": 1.0,
        "average_hours": 30.0,
        "median_hours": 30.0,
    }
    assert figures["final_at_first_answer"] == 0.0


async def test_updates_and_cancels_are_exchanges_of_the_request(
    client: Client, line: Line, clock: StillClock, records: Records, owner_engine: AsyncEngine
) -> None:
    sent = request_bundle(line, answers=CARE_UNMET)
    await client.at(line).submit(sent)
    clock.now = NOW + timedelta(hours=1)
    second = update_of(sent, line, add=("64484",))
    await client.at(line).submit(second)
    (record,) = await records()
    assert [each["type"] for each in record["exchange"]] == ["initial", "update"]
    assert [each["initialSubmissionTime"] for each in record["itemDetail"]] == [
        "2026-11-20T16:00:00.000+00:00",
        "2026-11-20T17:00:00.000+00:00",
    ]
    clock.now = NOW + timedelta(hours=2)
    claim_response(await client.at(line).submit(cancel_of(second, line)))
    (record,) = await records()
    assert [each["type"] for each in record["exchange"]] == ["initial", "update", "cancel"]
    assert {each["result"] for each in record["itemDetail"]} == {"cancelled"}
    assert {each["finalResponseTime"] for each in record["itemDetail"]} == {
        "2026-11-20T18:00:00.000+00:00"
    }
    figures = await summary(owner_engine)
    assert figures["cancelled"] == 1
    assert figures["exchanges"] == {
        "initial": 1,
        "update": 1,
        "cancel": 1,
        "query": 0,
        "refused": 0,
        "refused_share": 0.0,
    }


async def test_inquiries_and_refusals_are_records_of_their_own(
    make_client: MakeClient, line: Line, records: Records, owner_engine: AsyncEngine
) -> None:
    client = (await make_client(npis=("1999000122",))).at(line)
    await client.inquire(inquiry_bundle(line))
    await client.submit(b'{"resourceType": "Bundle"}')
    query, refused = await records()
    (asked,), (turned_away,) = query["exchange"], refused["exchange"]
    assert (asked["type"], asked["httpResponse"]) == ("query", "200")
    assert query["groupId"]["value"] == "1999000122"
    assert (turned_away["type"], turned_away["httpResponse"]) == ("initial", "400")
    assert {"code": "invariant"} in refused["issue"]
    assert asked["requestTime"] <= asked["responseTime"] <= turned_away["requestTime"]
    assert (await summary(owner_engine))["exchanges"] == {
        "initial": 0,
        "update": 0,
        "cancel": 0,
        "query": 1,
        "refused": 1,
        "refused_share": 0.5,
    }


async def test_an_update_of_nothing_we_know_is_a_record_of_its_own(
    client: Client, line: Line, records: Records
) -> None:
    await client.at(line).submit(update_of(request_bundle(line, answers=MET), line))
    (record,) = await records()
    assert [each["type"] for each in record["exchange"]] == ["update"]
    assert "itemDetail" not in record


async def test_what_was_dismissed_was_not_reviewed(
    client: Client, line: Line, records: Records, owner_engine: AsyncEngine
) -> None:
    mbi = "9XX9XX9XX91"
    await client.at(line).submit(request_bundle(line, answers=MET, mbi=mbi))
    (record,) = await records()
    assert ["result" in each for each in record["itemDetail"]] == [False]
    figures = await summary(owner_engine)
    assert (figures["dismissed"], figures["standard"]["decided"]) == (1, 0)
    assert figures["standard"]["average_hours"] is None


async def test_pages_lose_nothing_and_repeat_nothing(
    make_client: MakeClient, records: Records, clock: StillClock
) -> None:
    for member in MEMBERS[:2]:
        client = await make_client()
        for number in range(3):
            sent = request_bundle(answers=CARE_UNMET, member=member, seed=f"{member.mbi}-{number}")
            await client.submit(sent)
            await client.inquire(inquiry_bundle())
    whole = await records()
    for page in (1, 2, 3):
        assert await records(page=page) == whole


async def test_days_are_eastern(client: Client, records: Records, clock: StillClock) -> None:
    await client.submit(request_bundle(answers=MET))
    assert len(await records(Days(date(2026, 11, 20), date(2026, 11, 20)))) == 1
    assert await records(Days(date(2019, 1, 1), date(2019, 12, 31))) == []


async def test_the_hot_write_writes_no_row_for_measures(client: Client, rows: Rows) -> None:
    await client.submit(request_bundle(answers=MET))
    acts = await rows.audit()
    assert sorted(acts) == [("claim.submit", "affirmed"), ("gate.open-twin", "none")]


async def test_hook_calls_are_read_by_their_days(
    client: Client, app_engine: AsyncEngine, owner_engine: AsyncEngine
) -> None:
    organization, call = client.organization_id, a_call(client.client_id)
    await Ledger(app_engine).record(organization, call, [], [], an_audit(organization))
    (row,) = [each async for each in MetricRows(owner_engine, FOR_EVER).hook_calls()]
    assert (row["id"], row["status"], row["assertions"]) == (call.id, 200, None)
    earlier = MetricRows(owner_engine, Days(date(2020, 1, 1), date(2020, 12, 31)))
    assert [each async for each in earlier.hook_calls()] == []


async def test_that_measures_were_read_is_audited(owner_engine: AsyncEngine, rows: Rows) -> None:
    read = MetricRows(owner_engine, Days(date(2026, 11, 1), date(2026, 11, 30)))
    await read.record("crd", "done", 0)
    (row,) = await rows.all("select action, outcome, detail from audit_event")
    assert (row["action"], row["outcome"]) == ("metrics.crd", "done")
    assert row["detail"] == {"from": "2026-11-01", "to": "2026-11-30", "count": 0}


def test_a_share_of_nothing_is_none() -> None:
    assert (share(0, 0), share(1, 3), share(0, 2)) == (None, 0.3333, 0.0)
