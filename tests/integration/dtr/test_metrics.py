"""The measures of DTR, made of what the audit trail holds anyway."""

from datetime import date

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.dtr.test_next_question import NEXT, first, walked
from tests.integration.dtr.test_packages import PACKAGE, V, asserted
from tests.integration.pas.door import Client
from tests.metric_models import DTR, misfits
from tests.package_bodies import Json, a_call, an_order, canonical
from wiser_fhir.dtr.metric_records import DtrRecords
from wiser_fhir.fhir.codes import Line
from wiser_fhir.priorauth.metric_rows import Days, MetricRows

EPIDURAL = "epidural-steroid-injection"
FUSION = "cervical-fusion"


async def records(engine: AsyncEngine) -> list[Json]:
    rows = MetricRows(engine, Days(date(2020, 1, 1), date(2098, 12, 31)))
    made = [each async for each in DtrRecords(rows, "https://payer.example")()]
    assert [misfits(each, DTR) for each in made] == [[] for _ in made]
    return made


async def test_a_package_by_order(client: Client, line: Line, owner_engine: AsyncEngine) -> None:
    await client.at(line).post(PACKAGE, a_call(an_order()))
    (record,) = await records(owner_engine)
    (action,), (form,) = record["action"], record["questionnaire"]
    assert record["orderItem"] == [{"text": EPIDURAL}]
    assert (action["actionDetail"], action["httpResponse"]) == ("qpackage", 200)
    assert action["questionnaire"] == form["reference"] == canonical(line, EPIDURAL, V)
    assert (form["adaptive"], form["populated"]) == (False, False)
    assert "launchMode" not in record


async def test_a_package_by_an_answer_of_crd(
    client: Client, app_engine: AsyncEngine, owner_engine: AsyncEngine
) -> None:
    assertion = await asserted(client, app_engine)
    await client.post(PACKAGE, a_call(context=assertion.id))
    (record,) = await records(owner_engine)
    assert (record["launchMode"], record["assertionId"]) == ("crdlaunch", [assertion.id])


async def test_an_adaptive_form_to_its_end(client: Client, owner_engine: AsyncEngine) -> None:
    await walked(client, first())
    *asked, completed = await records(owner_engine)
    assert {each["action"][0]["actionDetail"] for each in (*asked, completed)} == {"nextq"}
    assert ["enabledQuestions" in each["questionnaire"][0] for each in asked] == [False, False]
    (form,) = completed["questionnaire"]
    assert (form["adaptive"], form["enabledQuestions"]) == (True, 5)
    assert completed["orderItem"] == [{"text": FUSION}]


async def test_a_call_that_was_refused(client: Client, owner_engine: AsyncEngine) -> None:
    await client.post(NEXT, {"resourceType": "Parameters"})
    await client.post(PACKAGE, {"resourceType": "Parameters"})
    asked, package = await records(owner_engine)
    (action,) = asked["action"]
    assert (action["actionDetail"], action["httpResponse"]) == ("nextq", 400)
    assert action["issue"] == [{"code": "structure"}]
    assert package["action"][0]["actionDetail"] == "qpackage"
    assert "questionnaire" not in package
