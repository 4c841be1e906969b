"""The input pack through our server, judged as the public suite would: every test of a group."""

import copy
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from httpx import Response

from tests.bundle_values import Json, Line
from tests.conformance.dtr.shape import (
    NO_EXPRESSION,
    TESTS,
    AdaptiveGroup,
    Reply,
    Result,
    StaticGroup,
    adaptive_group,
    packages,
    static_group,
)
from tests.conformance.dtr.suite_judge import SuiteJudge
from tests.conformance.dtr.test_pack import ADAPTIVE, BARE, STATIC, WRAPPED, content
from tests.integration.pas.door import FHIR_JSON, PATHS, Client

PACKAGE = "Questionnaire/$questionnaire-package"
NEXT = "Questionnaire/$next-question"
FILLED_BY_ITEMS = "dtr_v201_payer_adaptive_form_expressions_test"
CQF_LIBRARY = "http://hl7.org/fhir/StructureDefinition/cqf-library"


class Pool:
    """What the engine said of each resource by a profile; each is asked about once."""

    def __init__(self, judge: SuiteJudge, line: Line) -> None:
        self.judge, self.line = judge, line
        self.known: dict[tuple[str, str], list[str]] = {}

    def errors(self, resource: Json, profile: str) -> list[str]:
        """What is wrong with a resource."""
        key = json.dumps(resource, sort_keys=True), profile
        if key not in self.known:
            self.known[key] = self.judge.errors(resource, self.line, profile)
        return self.known[key]


def a_reply(response: Response) -> Reply:
    """An answer as the suite reads it: FHIR JSON."""
    assert response.headers["content-type"].split(";")[0] == FHIR_JSON
    return Reply(response.status_code, response.json())


async def the_static_group(client: Client, line: Line) -> tuple[Json, Reply]:
    [body] = content(line, STATIC)
    return body, a_reply(await client.post(PACKAGE, body))


async def the_adaptive_group(client: Client, line: Line, name: str) -> dict[str, Any]:
    [body] = content(line, ADAPTIVE)
    steps = content(line, name)
    return {
        "request": body,
        "reply": a_reply(await client.post(PACKAGE, body)),
        "next_requests": steps,
        "next_replies": [a_reply(await client.post(NEXT, step)) for step in steps],
    }


def failed(results: Mapping[str, Result]) -> dict[str, tuple[str, ...]]:
    """What did not pass."""
    return {name: each.faults for name, each in results.items() if each.outcome != "pass"}


def as_the_suite_wants_it(reply: Reply, line: Line) -> Reply:
    """2.2 names the version of a library, as its guide wants; the suite tests 2.0 only."""
    if line == "2.0":
        return reply
    body = copy.deepcopy(reply.body)
    for extension in extensions_of(body):
        if extension.get("url") == CQF_LIBRARY:
            extension["valueCanonical"] = extension["valueCanonical"].partition("|")[0]
        value = extension.get("valueExpression", {})
        if value.get("language") == "text/cql-identifier":
            value["language"] = "text/cql"
    return Reply(reply.status, body)


def extensions_of(value: Any) -> Iterator[Json]:
    """Every extension somewhere in a JSON value."""
    if isinstance(value, dict):
        yield from value.get("extension", ())
        for each in value.values():
            yield from extensions_of(each)
    elif isinstance(value, list):
        for each in value:
            yield from extensions_of(each)


@pytest.mark.oracle
@pytest.mark.xdist_group("suite-judge")
async def test_every_test_of_the_static_group_passes(
    client: Client, suite_judge: SuiteJudge
) -> None:
    body, reply = await the_static_group(client.at("2.0"), "2.0")
    group = StaticGroup(body, reply, Pool(suite_judge, "2.0").errors)
    assert failed(static_group(group)) == {}


@pytest.mark.oracle
@pytest.mark.xdist_group("suite-judge")
@pytest.mark.parametrize("name", [BARE, WRAPPED])
async def test_every_test_of_the_adaptive_group_passes_but_one(
    name: str, client: Client, suite_judge: SuiteJudge
) -> None:
    """The adaptive form as packaged has no items, so none of them is filled: the released suite
    would fail two other tests if one were."""
    asked = await the_adaptive_group(client.at("2.0"), "2.0", name)
    group = AdaptiveGroup(**asked, errors=Pool(suite_judge, "2.0").errors)
    assert failed(adaptive_group(group)) == {FILLED_BY_ITEMS: (NO_EXPRESSION,)}


@pytest.mark.oracle
@pytest.mark.xdist_group("suite-judge")
@pytest.mark.parametrize("name", [BARE, WRAPPED])
async def test_2_2_differs_in_the_names_of_versions_and_languages_only(
    name: str, client: Client, suite_judge: SuiteJudge
) -> None:
    errors = Pool(suite_judge, "2.2").errors
    body, reply = await the_static_group(client, "2.2")
    static = StaticGroup(body, as_the_suite_wants_it(reply, "2.2"), errors)
    assert failed(static_group(static)) == {}
    asked = await the_adaptive_group(client, "2.2", name)
    asked["reply"] = as_the_suite_wants_it(asked["reply"], "2.2")
    asked["next_replies"] = [as_the_suite_wants_it(each, "2.2") for each in asked["next_replies"]]
    group = AdaptiveGroup(**asked, errors=errors)
    assert failed(adaptive_group(group)) == {FILLED_BY_ITEMS: (NO_EXPRESSION,)}


async def test_the_order_gets_one_package(client: Client, line: Line) -> None:
    _, reply = await the_static_group(client.at(line), line)
    [package] = packages(reply.body)
    kinds = [entry["resource"]["resourceType"] for entry in package["entry"]]
    assert kinds[:2] == ["Questionnaire", "QuestionnaireResponse"]


async def test_every_reply_keeps_the_form_it_is_about(client: Client, line: Line) -> None:
    asked = await the_adaptive_group(client.at(line), line, BARE)
    for reply in asked["next_replies"]:
        inside = [f"#{each['id']}" for each in reply.body["contained"]]
        assert reply.body["questionnaire"] in inside
    statuses = [reply.body["status"] for reply in asked["next_replies"]]
    assert statuses == ["in-progress", "in-progress", "completed"]


async def test_the_pack_is_what_a_client_of_ours_would_send(client: Client, line: Line) -> None:
    """Each step answers what the reply before it asked, and nothing else."""
    asked = await the_adaptive_group(client.at(line), line, BARE)
    for reply, step in zip(asked["next_replies"], asked["next_requests"][1:], strict=False):
        questions = [item["linkId"] for item in reply.body["item"]]
        assert questions == [item["linkId"] for item in step["item"]]
        given = [item for item in reply.body["item"] if "answer" in item]
        assert all(item in step["item"] for item in given)


async def test_a_question_sent_again_gets_the_same_answer(client: Client, line: Line) -> None:
    at = client.at(line)
    for bare, held in zip(content(line, BARE), content(line, WRAPPED), strict=True):
        first = await at.post(NEXT, bare)
        again = await at.post(NEXT, bare)
        inside = await at.post(NEXT, held)
        assert first.content == again.content == inside.content


async def test_the_last_step_alone_completes_the_form(client: Client, line: Line) -> None:
    reply = a_reply(await client.at(line).post(NEXT, content(line, BARE)[-1]))
    assert (reply.status, reply.body["status"]) == (200, "completed")


@pytest.mark.parametrize("operation", [PACKAGE, NEXT])
async def test_nobody_gets_it_without_a_token(operation: str, client: Client, line: Line) -> None:
    [body] = content(line, STATIC)
    path = f"{PATHS[line]}/{operation}"
    answer = await client.http.post(path, json=body, headers={"content-type": FHIR_JSON})
    assert answer.status_code == 401


def test_the_suite_has_nineteen_tests() -> None:
    assert {group: len(tests) for group, tests in TESTS.items()} == {
        "payer_server_static_package": 6,
        "payer_server_adaptive_questionnaire": 13,
    }
