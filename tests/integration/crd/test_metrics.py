"""The measures of CRD, made of the calls as they were kept."""

from datetime import date

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import Json, Line
from tests.crd_bodies import Record, hook_call, usual_call
from tests.integration.crd.door import HookClient
from tests.integration.crd.test_feedback import accepted, cards_of, overridden
from tests.metric_models import CRD, misfits
from wiser_fhir.crd.metric_records import CrdRecords
from wiser_fhir.priorauth.metric_rows import Days, MetricRows


async def records(engine: AsyncEngine, *lacks: str) -> list[Json]:
    rows = MetricRows(engine, Days(date(2020, 1, 1), date(2098, 12, 31)))
    made = [each async for each in CrdRecords(rows, "https://payer.example")()]
    assert [misfits(each, CRD) for each in made] == [list(lacks) for _ in made]
    return made


async def test_an_answer_tells_what_was_asserted(
    hooks: HookClient, line: Line, owner_engine: AsyncEngine
) -> None:
    body = usual_call(line)
    await hooks.call(body)
    (record,) = await records(owner_engine)
    assert (record["hookType"], record["hookInstance"]) == ("order-sign", body["hookInstance"])
    assert (record["httpResponse"], record["tokenUse"]) == (200, "not-used")
    assert record["requestTime"] == record["responseTime"] == "2026-11-20T16:00:00.000+00:00"
    (request,) = record["request"]
    assert (request["type"], request["orderDetail"]["coding"]) == (
        "ServiceRequest",
        [{"code": "64483"}],
    )
    information = request["response"][0]["coverageInfo"][0]
    assert (information["covered"], information["paNeeded"]) == ("covered", "auth-needed")
    assert information["questionnaire"][0]["response"] is False


async def test_cards_tell_what_became_of_them(
    hooks: HookClient, line: Line, owner_engine: AsyncEngine
) -> None:
    to_read, to_take = await cards_of(hooks, line)
    await hooks.feedback("order-sign", overridden(to_read))
    (record,) = await records(owner_engine)
    action, *cards = record["request"][0]["response"]
    assert action["type"] == "coverage-info"
    assert sorted(each["engagement"] for each in cards) == ["ignore", "override"]
    await hooks.feedback("order-sign", accepted(to_take))
    (record,) = await records(owner_engine)
    _, *cards = record["request"][0]["response"]
    assert sorted(each["engagement"] for each in cards) == ["accept", "override"]


async def test_an_order_without_a_code(
    hooks: HookClient, line: Line, owner_engine: AsyncEngine
) -> None:
    record = Record.of(line)
    order = record.order("64483") | {"code": {"text": "an injection"}}
    await hooks.call(hook_call("order-sign", record, order))
    (told,) = await records(owner_engine)
    assert told["request"][0]["orderDetail"] == {"text": "no code was told"}


async def test_a_refused_call(hooks: HookClient, line: Line, owner_engine: AsyncEngine) -> None:
    body = usual_call(line)
    del body["context"]["patientId"]
    answer = await hooks.call(body)
    (record,) = await records(owner_engine, "request: missing")
    assert record["httpResponse"] == answer.status_code
    assert record["issue"] == [{"code": answer.json()["issue"][0]["code"]}]
