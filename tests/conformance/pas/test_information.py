"""HL7's engine as judge of how we ask for more, and of what we say to attachments."""

import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Json, Line, inquiry_bundle, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.attaching import Worker, attach, attachment, call, document
from tests.integration.pas.door import CARE_UNMET, MET, Client, Rows
from tests.oracle.judge import Judge, Resource
from wiser_fhir.priorauth.information import Material, RequestState, Wanted

pytestmark = [pytest.mark.oracle, pytest.mark.xdist_group("oracle")]

FORM = "https://wiser-fhir.example/fhir/Questionnaire/epidural-steroid-injection|2026-01-15"
EVERYTHING = Wanted(code="11506-3", lines=(1,), diagnosis="M54.16", modifier="18804-5")
_CDEX = "http://hl7.org/fhir/us/davinci-cdex/StructureDefinition/cdex-parameters-submit-attachment"

# PAS 2.0.1 puts this extension on ClaimResponse.item by its profile and forbids it there by the
# extension's own context; the public conformance tests of 2.0.1 want it there.
_DEFECT_OF_2_0_1 = re.compile(
    r"Extension_EXTP_Context_Wrong: .*/extension-administrationReferenceNumber.*"
)


@pytest.fixture
def worker(app_engine: AsyncEngine, clock: StillClock) -> Worker:
    return Worker(app_engine, clock)


def errors(judge: Judge, line: Line, body: Resource, profile: str | None = None) -> list[str]:
    """What the engine has against a resource, and against each Bundle inside Parameters."""
    inside = [p["resource"] for p in body.get("parameter", ()) if p["name"] == "return"]
    issues = [i for each in (body, *inside) for i in judge.validate(each, line, profile)]
    found = [f"{i.id}: {i.expression}: {i.text}" for i in issues if i.is_error]
    return [each for each in found if line != "2.0" or not _DEFECT_OF_2_0_1.match(each)]


async def pended(client: Client, rows: Rows, **fields: Any) -> dict[str, Any]:
    """A case in review."""
    await client.submit(request_bundle(client.line, answers=CARE_UNMET, **fields))
    return (await rows.cases())[-1]


async def asked(client: Client, rows: Rows, worker: Worker) -> tuple[dict[str, Any], UUID, UUID]:
    """A case in which documents and a form are asked for; the ids of the two requests."""
    case = await pended(client, rows)
    plain = Wanted(code="11488-4")
    documents = await worker.ask(client, case["id"], EVERYTHING, plain, note="The notes, please.")
    form = Wanted(questionnaire=FORM)
    answers = await worker.ask(client, case["id"], form, kind=Material.QUESTIONNAIRE)
    return case, documents, answers


def of_type(bundle: Json, kind: str) -> list[Json]:
    return [e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind]


async def latest_answer(rows: Rows) -> Json:
    query = "select * from message where direction = 'out' order by at desc, id desc limit 1"
    found: Json = orjson.loads((await rows.messages(query))[0])
    return found


async def test_an_answer_that_asks_is_valid(
    line: Line, client: Client, rows: Rows, worker: Worker, judge: Judge
) -> None:
    await asked(client.at(line), rows, worker)
    answer = await latest_answer(rows)
    assert len(of_type(answer, "Task")) == 2
    assert len(of_type(answer, "CommunicationRequest")) == {"2.2": 3, "2.0": 2}[line]
    assert errors(judge, line, answer) == []


async def test_an_inquiry_into_a_case_that_waits_is_valid(
    line: Line, client: Client, rows: Rows, worker: Worker, judge: Judge
) -> None:
    case, _, _ = await asked(client.at(line), rows, worker)
    inquiry = inquiry_bundle(line, reference=case["reference"])
    answer = (await client.at(line).inquire(inquiry)).json()
    found = answer["parameter"][0]["resource"] if line == "2.2" else answer
    assert len(of_type(found, "Task")) == 2
    assert of_type(found, "CommunicationRequest") == []
    assert errors(judge, line, answer) == []


@pytest.mark.parametrize("state", RequestState)
async def test_what_is_asked_for_can_be_read_and_is_valid(
    state: RequestState, line: Line, client: Client, rows: Rows, worker: Worker, judge: Judge
) -> None:
    sender = client.at(line)
    case, documents, form = await asked(sender, rows, worker)
    if state is not RequestState.OPEN:
        await worker.set_state(sender, case["id"], state)
    for path in (
        f"Task/{documents}",
        f"Task/{form}",
        f"CommunicationRequest/{documents}-1",
        f"CommunicationRequest/{form}-1",
    ):
        answer = await sender.get(path)
        assert answer.status_code == 200, answer.text
        assert errors(judge, line, answer.json()) == []


@pytest.mark.parametrize("standing", ["held", "matched", "closed", "claim"])
async def test_what_is_said_to_attachments_is_valid(
    standing: str, line: Line, client: Client, rows: Rows, judge: Judge
) -> None:
    sender = client.at(line)
    number, member = "unknown", "1EG4TE5MK73"
    more: dict[str, Any] = {}
    if standing == "matched":
        case = await pended(sender, rows)
        number, member = case["trace_value"], case["mbi"]
    elif standing == "closed":
        await sender.submit(request_bundle(line, answers=MET))
        (case,) = await rows.cases()
        number, member = case["reference"], case["mbi"]
    elif standing == "claim":
        more = {"attach_to": "claim", "service_date": "2026-11-02"}
    body = call(number, member, **more)
    assert errors(judge, "2.2", body, _CDEX) == []
    answer = await attach(sender, body)
    assert answer.status_code == 200
    assert errors(judge, line, answer.json()) == []


@pytest.mark.parametrize(
    ("status", "attached", "changes"),
    [
        (400, [], {"final": "yes"}),
        (422, [], {"attach_to": "elsewhere"}),
        (413, [attachment()] * 101, {}),
        (422, [attachment(document(b"MZ"))], {}),
    ],
)
async def test_every_refusal_of_attachments_is_valid(
    status: int,
    attached: list[Json],
    changes: dict[str, Any],
    line: Line,
    client: Client,
    judge: Judge,
) -> None:
    body = call("unknown", "1EG4TE5MK73", *attached, **changes)
    answer = await attach(client.at(line), body)
    assert answer.status_code == status, answer.text
    assert errors(judge, line, answer.json()) == []


async def test_the_deadline_stands_in_the_task_and_never_moves(
    line: Line, client: Client, rows: Rows, worker: Worker, clock: StillClock
) -> None:
    sender = client.at(line)
    case, documents, _ = await asked(sender, rows, worker)
    clock.now += timedelta(days=1)
    task = (await sender.get(f"Task/{documents}")).json()
    due = case["decide_by"].strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert task["restriction"]["period"]["end"] == due
