"""`$next-question` through the door: a form walked from package to completion, and what is kept."""

import copy
from typing import Any

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.adaptive_walks import (
    catalogue,
    filled,
    first_choice,
    inside,
    link_ids,
    meeting,
    open_items,
)
from tests.integration.pas.door import LINES, NOW, Client, MakeClient, Rows
from tests.ledger_values import a_call as a_hook_call
from tests.ledger_values import an_assertion, an_audit
from tests.package_bodies import CODES, a_call, an_order, canonical
from wiser_fhir.fhir.codes import Line
from wiser_fhir.priorauth.ledger import AssertionRecord, Ledger

Json = dict[str, Any]
NEXT = "Questionnaire/$next-question"
PACKAGE = "Questionnaire/$questionnaire-package"
FUSION, SKIN = "cervical-fusion", "skin-substitutes"
INFORMATION = "http://hl7.org/fhir/us/davinci-crd/StructureDefinition/ext-coverage-information"
ANSWER: Json = {
    "covered": "covered",
    "pa-needed": "auth-needed",
    "doc-needed": ["clinical"],
    "doc-purpose": [],
    "info-needed": [],
    "missing": [],
    "reasons": [{"text": "Reviewed under the WISeR model.", "code": None}],
    "questionnaires": [],
    "satisfied-pa-id": None,
}


def first(line: Line = "2.2", slug: str = FUSION, **changes: Any) -> Json:
    return {
        "resourceType": "QuestionnaireResponse",
        "questionnaire": canonical(line, f"{slug}-adaptive"),
        "status": "in-progress",
        "subject": {"reference": "Patient/patient-1"},
    } | changes


async def answered(client: Client, body: Json | bytes, path: str = NEXT) -> Json:
    response = await client.post(path, body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/fhir+json"
    found: Json = response.json()
    assert found["resourceType"] == "QuestionnaireResponse"
    return found


async def problems(client: Client, body: Json | bytes, status: int = 400) -> list[Json]:
    response = await client.post(NEXT, body)
    assert response.status_code == status, response.text
    outcome: Json = response.json()
    assert outcome["resourceType"] == "OperationOutcome"
    found: list[Json] = outcome["issue"]
    return found


async def drafted(client: Client, slug: str, context: str | None = None) -> Json:
    """The response that a package brings."""
    asked = (canonical(client.line, f"{slug}-adaptive"),)
    body = a_call(an_order(CODES[slug]), questionnaires=asked, context=context)
    response = await client.post(PACKAGE, body)
    assert response.status_code == 200, response.text
    package = response.json()
    if package["resourceType"] == "Parameters":
        package = package["parameter"][0]["resource"]
    found: Json = next(
        e["resource"]
        for e in package["entry"]
        if e["resource"]["resourceType"] == "QuestionnaireResponse"
    )
    return found


async def asserted(engine: AsyncEngine, client: Client, **changes: Any) -> AssertionRecord:
    """An answer of CRD to the client's organization."""
    usual: Json = {"service": FUSION, "answer": ANSWER, "expires_on": None}
    record = an_assertion(**(usual | changes))
    organization = client.organization_id
    call = a_hook_call(client.client_id)
    await Ledger(engine).record(organization, call, [record], [], an_audit(organization))
    return record


def information(response: Json) -> list[Json]:
    return [each for each in response.get("extension", ()) if each["url"] == INFORMATION]


async def walked(client: Client, response: Json, slug: str = FUSION) -> Json:
    """To its end, every criterion met."""
    rules = catalogue().versions(slug)[-1]
    for _ in range(10):
        response = await answered(client, response)
        if response["status"] == "completed":
            return response
        response = filled(response, rules, meeting(rules))
    raise AssertionError


@pytest.mark.parametrize("path", [NEXT, "$next-question"])
async def test_a_packaged_form_is_walked_to_its_end(client: Client, line: Line, path: str) -> None:
    client = client.at(line)
    rules = catalogue().versions(SKIN)[-1]
    draft = await drafted(client, SKIN)
    told = await answered(client, draft, path)
    asked = link_ids(told)
    assert (asked[0], told["status"]) == ("ctp-wound", "in-progress")
    for _ in range(4):
        told = await answered(client, filled(told, rules, first_choice), path)
        assert link_ids(told)[: len(asked)] == asked
        asked = link_ids(told)
        if told["status"] == "completed":
            break
    assert told["status"] == "completed"
    assert open_items(told) == []
    assert inside(told)["derivedFrom"] == [
        f"{canonical(line, 'skin-substitutes-adaptive')}|2026-01-15"
    ]
    assert told["subject"] == draft["subject"]


@pytest.mark.parametrize("name", ["questionnaire-response", "questionnaire-response-in", "in"])
async def test_a_response_comes_bare_or_in_parameters_and_goes_bare(
    client: Client, line: Line, name: str
) -> None:
    client = client.at(line)
    bare = await answered(client, first(line))
    parameter = {"name": name, "resource": first(line)}
    assert bare == await answered(client, {"resourceType": "Parameters", "parameter": [parameter]})


async def test_numbers_come_back_as_they_were_written(client: Client) -> None:
    rules = catalogue().versions(SKIN)[-1]
    sent = filled(await answered(client, first(slug=SKIN)), rules, first_choice)
    body = orjson.dumps(sent)
    item = body.rindex(b'"linkId":"ctp-area"')
    number = body.index(b'"valueDecimal":30', item)
    body = body[:number] + b'"valueDecimal":100.10' + body[number + len(b'"valueDecimal":30') :]
    response = await client.post(NEXT, b"\xef\xbb\xbf" + body)
    assert response.status_code == 200, response.text
    assert b'"valueDecimal":100.10}' in response.content


async def test_a_number_is_judged_as_it_was_written(client: Client) -> None:
    rules = catalogue().versions("hypoglossal-nerve-stimulation")[-1]
    sent = filled(
        await answered(client, first(slug="hypoglossal-nerve-stimulation")), rules, first_choice
    )
    body = orjson.dumps(sent)
    start = body.index(b'"valueDecimal":30', body.rindex(b'"linkId":"hgns-central"'))
    over = b'"valueDecimal":100.00000000000000000001'
    body = body[:start] + over + body[start + len(b'"valueDecimal":30') :]
    (problem,) = await problems(client, body)
    assert problem["code"] == "value"


async def test_everything_wrong_is_told_with_its_place(client: Client, line: Line) -> None:
    client = client.at(line)
    told = await answered(client, first(line))
    told["item"][0]["answer"] = [{"valueString": "trauma"}]
    told["item"].append({"linkId": "elsewhere"})
    found = await problems(client, told)
    assert [(each["code"], each["expression"]) for each in found] == [
        ("value", ["QuestionnaireResponse.item[0].answer[0].value"]),
        ("structure", ["QuestionnaireResponse.item[2]"]),
        ("required", ["QuestionnaireResponse.item[1]"]),
    ]
    assert all(each["severity"] == "error" for each in found)


async def test_what_breaks_base_fhir_is_refused_at_its_place(client: Client) -> None:
    broken = first(status="busy", item=[{"answer": [{"valueBoolean": "yes"}]}])
    held = {"resourceType": "Parameters", "parameter": [{"name": "in", "resource": broken}]}
    places = {each["expression"][0] for each in await problems(client, held)}
    inner = "Parameters.parameter[0].resource"
    assert {f"{inner}.status", f"{inner}.item[0].answer[0].value.ofType(boolean)"} <= places
    assert all(place.startswith(inner) for place in places)


@pytest.mark.parametrize(
    "body",
    [
        {"resourceType": "Patient"},
        {"resourceType": "Parameters", "parameter": []},
        {"resourceType": "Parameters", "parameter": 7},
        {"resourceType": "QuestionnaireResponse"},
        first(questionnaire="https://elsewhere.example/Questionnaire/x"),
        first(questionnaire=canonical("2.2", FUSION)),
        first("2.0"),
        first(questionnaire=None),
        first(questionnaire="#x", contained=[{"resourceType": "Questionnaire"}]),
        first(contained=[7]),
        first(contained={}),
        first(item="x"),
        first(item=[7]),
        first(item=[{"linkId": 7}]),
        first(item=[{"linkId": "cf-path", "answer": {}}]),
        first(item=[{"linkId": "cf-path", "answer": [{"valueCoding": 7}]}]),
        first(author=7),
        first(extension=7, status="x"),
        {},
    ],
)
async def test_hostile_bodies_are_refused(client: Client, body: Json) -> None:
    assert await problems(client, body)


@pytest.mark.parametrize("extension", [7, [7], [{"url": INFORMATION, "extension": 7}]])
async def test_what_nobody_reads_is_checked_as_well(client: Client, extension: Any) -> None:
    assert await problems(client, first(extension=extension))
    told = await answered(client, first())
    sent = filled(told, catalogue().versions(FUSION)[-1], first_choice)
    sent["item"][1]["answer"][0]["extension"] = extension
    assert await problems(client, sent)


async def test_faults_of_fhir_and_of_the_form_are_told_together(client: Client) -> None:
    told = await answered(client, first())
    told["authored"] = "yesterday"
    assert [each["expression"] for each in await problems(client, told)] == [
        ["QuestionnaireResponse.authored"],
        ["QuestionnaireResponse.item[0]"],
        ["QuestionnaireResponse.item[1]"],
    ]


async def test_a_hundred_faults_are_told_and_how_many_more_there_are(client: Client) -> None:
    told = await answered(client, first())
    told["item"] += [{"linkId": f"z{number}"} for number in range(500)]
    found = await problems(client, told)
    assert len(found) == 101
    assert found[-1]["details"]["text"] == "And 402 more."


async def test_more_extensions_than_anybody_sends_are_refused(client: Client) -> None:
    many = [{"url": "http://ehr.example/own", "valueString": "x"}] * 9_000
    (problem,) = await problems(client, first(extension=many))
    assert problem["expression"] == ["QuestionnaireResponse.extension"]


async def test_too_large_a_response_is_refused(client: Client) -> None:
    large = first(language="en", text={"status": "generated", "div": "x" * 1_100_000})
    (problem,) = await problems(client, large, 413)
    assert problem["code"] == "too-long"


async def test_a_large_response_is_read_beside(client: Client) -> None:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{"x" * 100_000}</div>'
    large = first(text={"status": "generated", "div": div})
    assert link_ids(await answered(client, large)) == ["cf-path", "cf-instability"]


async def test_who_may_ask(make_client: MakeClient, client: Client) -> None:
    other = await make_client(scopes=("system/Claim.c",))
    for path in (NEXT, "$next-question"):
        assert (await other.post(path, first())).status_code == 403
        response = await client.http.post(f"/fhir/{path}", json=first())
        assert response.status_code == 401


async def test_only_that_it_was_asked_is_kept(client: Client, rows: Rows) -> None:
    before = await rows.counts()
    told = await walked(client, first())
    assert told["status"] == "completed"
    await problems(client, first("2.0"))
    assert await rows.counts() == before
    kept = await rows.all(
        "select action, outcome, object_kind, object_id, patient, detail, organization_id"
        " from audit_event order by id"
    )
    asked = [(each["action"], each["outcome"]) for each in kept]
    assert asked == [
        ("dtr.next-question", "asked"),
        ("dtr.next-question", "asked"),
        ("dtr.next-question", "completed"),
        ("request.refused", "not-found"),
    ]
    assert kept[0]["object_kind"] == "questionnaire"
    assert kept[0]["object_id"] == "cervical-fusion-adaptive-2026-01-15"
    assert (kept[0]["patient"], kept[0]["detail"]) == (None, {"line": "2.2", "ms": 0})
    assert set(kept[2]["detail"]) == {
        *("assertion", "questions", "auto", "override", "manual", "line", "ms")
    }
    assert kept[0]["organization_id"] == client.organization_id


# Coverage


async def test_a_completed_form_tells_what_crd_asserted(
    client: Client, line: Line, app_engine: AsyncEngine
) -> None:
    client = client.at(line)
    record = await asserted(app_engine, client)
    draft = await drafted(client, FUSION, record.id)
    begun = await answered(client, draft)
    assert information(begun) == information(draft)
    rules = catalogue().versions(FUSION)[-1]
    told = await walked(client, filled(begun, rules, meeting(rules)))
    (said,) = information(told)
    parts = {part["url"]: part for part in said["extension"]}
    assert parts["coverage-assertion-id"]["valueString"] == record.id
    assert parts["coverage"]["valueReference"] == {"reference": record.coverage}
    assert parts["pa-needed"]["valueCode"] == "auth-needed"
    assert parts["doc-needed"]["valueCode"] == "clinical"
    assert parts["date"]["valueDate"] == NOW.date().isoformat()
    assert said == information(draft)[0]
    assert "satisfied-pa-id" not in parts
    again = await answered(client, told)
    assert again == told


def claimed(name: str) -> Json:
    """What a client might make up."""
    return {
        "url": INFORMATION,
        "extension": [
            {"url": "coverage", "valueReference": {"reference": "Coverage/c-1"}},
            {"url": "covered", "valueCode": "covered"},
            {"url": "pa-needed", "valueCode": "satisfied"},
            {"url": "date", "valueDate": "2026-05-04"},
            {"url": "coverage-assertion-id", "valueString": name},
            {"url": "satisfied-pa-id", "valueString": "ZZB12345678901"},
        ],
    }


async def test_nothing_is_told_that_crd_did_not_assert_to_the_caller(
    client: Client, make_client: MakeClient, app_engine: AsyncEngine
) -> None:
    others = await asserted(app_engine, await make_client())
    elsewhere = await asserted(app_engine, client, service=SKIN)
    satisfied = ANSWER | {"pa-needed": "satisfied", "satisfied-pa-id": "ZZB12345678901"}
    settled = await asserted(app_engine, client, answer=satisfied)
    mine = await asserted(app_engine, client)
    names = (others.id, elsewhere.id, settled.id, "made-up", mine.id)
    told = await walked(client, first(extension=[claimed(name) for name in names]))
    (said,) = information(told)
    assert said["extension"][-1] == {"url": "coverage-assertion-id", "valueString": mine.id}
    assert "satisfied" not in orjson.dumps(told).decode()


async def test_what_is_claimed_elsewhere_is_taken_out_when_a_form_is_completed(
    client: Client,
) -> None:
    claim = claimed("made-up")
    hidden = claim | {"url": f"{INFORMATION}/"}
    told = await answered(client, first())
    doctor = {"resourceType": "Practitioner", "id": "doctor", "extension": [hidden]}
    told["contained"].append(doctor)
    told["author"] = {"reference": "#doctor"}
    told["extension"] = [claim, {"url": "http://ehr.example/own", "extension": [hidden]}, hidden]
    for holder in (told["subject"], told["item"][0]):
        holder["extension"] = [hidden]
    told["_status"] = {"extension": [hidden]}
    rules = catalogue().versions(FUSION)[-1]
    done = await walked(client, filled(told, rules, meeting(rules)))
    assert "coverage-information" not in orjson.dumps(done).decode()
    assert not {"extension", "_status"} & done.keys()
    assert done["contained"][1] == {"resourceType": "Practitioner", "id": "doctor"}


@pytest.mark.parametrize("patient", ["Patient/patient-1", "Patient/another", None])
async def test_an_assertion_is_told_of_its_own_patient(
    client: Client, app_engine: AsyncEngine, patient: str | None
) -> None:
    kept = ANSWER | ({"patient": patient} if patient else {})
    record = await asserted(app_engine, client, answer=kept)
    told = await walked(client, first(extension=[claimed(record.id)]))
    assert len(information(told)) == (0 if patient == "Patient/another" else 1)


async def test_a_form_in_progress_keeps_what_it_came_with(client: Client) -> None:
    told = await answered(client, first(extension=[claimed("made-up")]))
    assert information(told) == [claimed("made-up")]


async def test_a_form_without_an_assertion_tells_nothing(client: Client) -> None:
    told = await walked(client, await drafted(client, FUSION))
    assert information(told) == []


async def test_changing_an_earlier_answer_loses_nothing_until_the_form_ends(
    client: Client,
) -> None:
    rules = catalogue().versions(FUSION)[-1]
    told = {"cf-path": "trauma", "cf-instability": False, "cf-trauma": "neither"}
    current = await answered(client, first())
    for _ in range(2):
        sent = filled(current, rules, lambda question: told.get(question.id, "neither"))
        current = await answered(client, sent)
    assert current["status"] == "completed"
    changed = copy.deepcopy(current)
    changed["item"][0]["answer"][0]["valueCoding"]["code"] = "tumor"
    again = await answered(client, changed)
    assert link_ids(again) == ["cf-path", "cf-instability", "cf-trauma", "cf-tumor"]
    assert again["item"][2] == current["item"][2]
    done = await answered(client, filled(again, rules, first_choice))
    assert link_ids(done) == ["cf-path", "cf-instability", "cf-tumor"]


def test_both_lines_are_walked() -> None:
    assert LINES == ("2.2", "2.0")
