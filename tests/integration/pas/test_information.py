"""Reading what was asked for, at the door."""

from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Line, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.attaching import Worker
from tests.integration.pas.door import (
    CARE_UNMET,
    Client,
    MakeClient,
    Rows,
    claim_response,
    outcome_of,
)
from tests.package_bodies import a_call, a_coverage
from tests.update_bundles import update_of
from wiser_fhir.fhir.codes import CANONICAL_BASE
from wiser_fhir.priorauth.information import Material, Wanted

NOBODY = "6f1f3a52-3f7e-4c0a-9d1e-6a1a1c0d2f77"


@pytest.fixture
def worker(app_engine: AsyncEngine, clock: StillClock) -> Worker:
    return Worker(app_engine, clock)


@pytest.fixture
async def paths(client: Client, rows: Rows, worker: Worker) -> list[str]:
    """Where a Task and a CommunicationRequest of the client are."""
    await client.submit(request_bundle(client.line, answers=CARE_UNMET))
    (case,) = await rows.cases()
    asked = await worker.ask(client, case["id"])
    return [f"Task/{asked}", f"CommunicationRequest/{asked}-1"]


async def test_what_is_asked_for_is_read_where_the_answer_says_it_is(
    client: Client, rows: Rows, paths: list[str]
) -> None:
    (case,) = await rows.cases()
    found = (await client.get(f"ClaimResponse/{case['id']}")).json()
    (reference,) = found["communicationRequest"]
    assert reference["reference"].endswith(f"/fhir/{paths[1]}")
    read = (await client.get(paths[1])).json()
    assert f"CommunicationRequest/{read['id']}" == paths[1]
    assert read["payload"] == [{"contentString": "11506-3"}]
    assert [row for row in await rows.audit() if row[1] == "read"][-1] == (
        "communicationrequest.read",
        "read",
    )


async def test_both_lines_read_it_each_in_its_own_way(
    client: Client, line: Line, paths: list[str]
) -> None:
    task = (await client.at(line).get(paths[0])).json()
    base = {"2.2": "/fhir", "2.0": "/v2.0/fhir"}[line]
    assert task["input"][0]["valueUrl"].endswith(f"{base}/$submit-attachment")
    number = {"2.2": "serviceLineNumber", "2.0": "paLineNumber"}[line]
    assert task["input"][1]["extension"][0]["url"].endswith(f"extension-{number}")


async def test_the_context_in_a_task_leads_to_the_form(
    client: Client, line: Line, rows: Rows, worker: Worker
) -> None:
    sender = client.at(line)
    await sender.submit(request_bundle(line, answers=CARE_UNMET))
    (case,) = await rows.cases()
    wanted = Wanted(questionnaire=f"{CANONICAL_BASE[line]}/Questionnaire/{case['service']}")
    asked = await worker.ask(sender, case["id"], wanted, kind=Material.QUESTIONNAIRE)
    task = (await sender.get(f"Task/{asked}")).json()
    (context,) = task["input"][1:]
    value = context.get("valueString") or context["valueIdentifier"]["value"]
    package = a_call(context=value, coverage=a_coverage(subscriberId=case["mbi"]))
    answer = await sender.post("Questionnaire/$questionnaire-package", package)
    assert answer.status_code == 200, answer.text
    assert "Questionnaire" in answer.text


async def test_reading_is_on_the_trail_with_the_beneficiary(
    client: Client, paths: list[str], rows: Rows
) -> None:
    for path in paths:
        await client.get(path)
    trail = await rows.all(
        "select action, patient from audit_event where action in ('claim.submit', 'task.read',"
        " 'communicationrequest.read') order by id"
    )
    assert [row["action"] for row in trail] == [
        *("claim.submit", "task.read", "communicationrequest.read")
    ]
    (patient,) = {row["patient"] for row in trail}
    assert patient is not None


async def test_what_was_asked_for_before_an_update_can_still_be_read(
    client: Client, line: Line, rows: Rows, worker: Worker
) -> None:
    sender = client.at(line)
    before = request_bundle(line, answers=CARE_UNMET)
    await sender.submit(before)
    (case,) = await rows.cases()
    asked = await worker.ask(sender, case["id"])
    answer = await sender.submit(update_of(before, line))
    assert answer.status_code == 200, answer.text
    assert (await rows.cases())[0]["revision"] == 2
    task = (await sender.get(f"Task/{asked}")).json()
    assert task["status"] == "completed"


async def test_another_organizations_looks_like_none(
    make_client: MakeClient, paths: list[str]
) -> None:
    stranger = await make_client()
    for path in paths:
        foreign = outcome_of(await stranger.get(path), 404)
        none = outcome_of(await stranger.get(f"{path.partition('/')[0]}/{uuid4()}-1"), 404)
        assert foreign == none


@pytest.mark.parametrize(
    "path",
    [
        *("Task/0", "Task/..", f"Task/{NOBODY}", "CommunicationRequest/0"),
        *(f"CommunicationRequest/{NOBODY}", f"CommunicationRequest/{NOBODY}-1"),
        "CommunicationRequest/------------------------------------" + "-1",
    ],
)
async def test_what_is_not_there_is_not_found(path: str, client: Client) -> None:
    assert (await client.get(path)).status_code == 404


async def test_a_portion_beyond_the_last_is_not_found(client: Client, paths: list[str]) -> None:
    beyond = paths[1].removesuffix("-1") + "-2"
    assert (await client.get(beyond)).status_code == 404


@pytest.mark.parametrize("kind", ["Task", "CommunicationRequest"])
async def test_reading_has_a_scope_of_its_own(kind: str, make_client: MakeClient) -> None:
    reader = await make_client(scopes=(f"system/{kind}.rs",))
    assert (await reader.get(f"{kind}/{uuid4()}")).status_code == 404
    other = await make_client(scopes=("system/ClaimResponse.rs",))
    assert (await other.get(f"{kind}/{uuid4()}")).status_code == 403


async def test_a_request_that_asks_for_nothing_has_no_task(client: Client) -> None:
    answer = await client.submit(request_bundle(client.line, answers=CARE_UNMET))
    assert "communicationRequest" not in claim_response(answer)
    kinds = {entry["resource"]["resourceType"] for entry in answer.json()["entry"]}
    assert kinds.isdisjoint({"Task", "CommunicationRequest"})
