"""The input pack through the server: every answer judged as the public suites judge it."""

from collections.abc import Sequence
from datetime import timedelta

import pytest
from fastapi import FastAPI
from httpx import Response
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import Json, Line
from tests.clocks import StillClock
from tests.conformance.inferno.pas.build import inputs
from tests.conformance.inferno.pas.updates import STEPS
from tests.conformance.pas.must_support import profile
from tests.conformance.pas.suite_answers import (
    INQUIRE_PROFILES,
    SUBMIT_PROFILES,
    decisions,
    item_sequences,
    judged_by,
    shape_faults,
)
from tests.conformance.pas.suite_input import bundles, is_misplaced, resources
from tests.integration.pas.door import Client
from tests.integration.sandbox.staging import set_the_stage
from tests.oracle.judge import Judge
from wiser_fhir.fhir import codes
from wiser_fhir.sandbox.scripted import Stage

DECIDED = {"approval": "A1", "denial": "A3", "pended": "A4"}


@pytest.fixture
async def stage(
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
    superuser_engine: AsyncEngine,
    clean_database: None,
) -> Stage:
    """The scripted clinician behind both lines."""
    return await set_the_stage(app, monkeypatch, superuser_engine)


@pytest.fixture
async def sender(client: Client, line: Line, stage: Stage) -> Client:
    """A clearinghouse at one line, with the clinician behind it."""
    return client.at(line)


async def submitted(sender: Client, name: str) -> list[Json]:
    """The answers to a field's Bundles, each taken."""
    answers = [await sender.submit(each) for each in bundles(inputs(sender.line)[name])]
    return [taken(answer) for answer in answers]


async def found(sender: Client, name: str) -> list[Json]:
    """The Bundles that a field's inquiries are answered with."""
    answers = [await sender.inquire(each) for each in bundles(inputs(sender.line)[name])]
    return [bundle for answer in answers for bundle in found_in(taken(answer), sender.line)]


def taken(answer: Response) -> Json:
    assert answer.status_code in (200, 201), answer.text
    body: Json = answer.json()
    return body


def found_in(body: Json, line: Line) -> list[Json]:
    if line == "2.0":
        return [body]
    assert body["resourceType"] == "Parameters"
    assert {each["name"] for each in body.get("parameter", ())} <= {"return"}
    return [each["resource"] for each in body.get("parameter", ())]


async def everything_submitted(sender: Client) -> list[Json]:
    names = [f"{each}_pa_submit_request_payload" for each in (*DECIDED, "must_support")]
    return [answer for name in names for answer in await submitted(sender, name)]


async def everything_found(sender: Client) -> list[Json]:
    names = [f"{each}_pa_inquire_request_payload" for each in ("pended", "must_support")]
    return [bundle for name in names for bundle in await found(sender, name)]


@pytest.mark.parametrize("workflow", DECIDED)
async def test_a_workflow_is_decided_as_it_says(workflow: str, sender: Client) -> None:
    (answer,) = await submitted(sender, f"{workflow}_pa_submit_request_payload")
    assert decisions(answer) == {DECIDED[workflow]}


async def test_every_answer_has_the_shape_that_the_suites_want(sender: Client) -> None:
    for answer in await everything_submitted(sender):
        assert list(shape_faults(answer, sender.line, "submit")) == []
    for answer in await everything_found(sender):
        if answer["entry"][0]["resource"]["resourceType"] == "ClaimResponse":
            assert list(shape_faults(answer, sender.line, "inquire")) == []


async def test_the_answers_have_every_must_support(sender: Client) -> None:
    given = resources(await everything_submitted(sender))
    assert missing(sender.line, SUBMIT_PROFILES, given) == {}
    given = resources(await everything_found(sender))
    assert missing(sender.line, INQUIRE_PROFILES, given) == {}


def missing(line: Line, names: Sequence[str], given: list[Json]) -> dict[str, list[str]]:
    absent = {name: profile(line, f"profile-{name}").missing(given) for name in names}
    return {name: elements for name, elements in absent.items() if elements}


@pytest.mark.oracle
async def test_every_answer_is_valid_for_hl7s_engine(sender: Client, judge: Judge) -> None:
    """Each resource by one of the profiles that lead to it, as the suites judge."""
    for answer in await everything_submitted(sender):
        assert faults(judge, answer, sender.line, "submit") == []
    for answer in await everything_found(sender):
        if answer["entry"][0]["resource"]["resourceType"] == "ClaimResponse":
            assert faults(judge, answer, sender.line, "inquire") == []


def faults(judge: Judge, answer: Json, line: Line, operation: str) -> list[str]:
    around = codes.RESPONSE_BUNDLE if operation == "submit" else codes.INQUIRY_RESPONSE_BUNDLE
    outside = [each for each in wrong(judge, answer, line, around) if ".resource" not in each]
    for resource, profiles in judged_by(answer, line, operation):
        said = [wrong(judge, resource, line, each) for each in profiles]
        outside += [] if [] in said else [each for one in said for each in one]
    return outside


def wrong(judge: Judge, resource: Json, line: Line, profile: str | None) -> list[str]:
    issues = judge.validate(resource, line, profile)
    return [
        f"{resource['resourceType']} {each.expression}: {each.text}"
        for each in issues
        if each.is_error and not is_misplaced(each.text, line)
    ]


async def test_the_pended_request_is_decided_later(
    sender: Client, stage: Stage, clock: StillClock
) -> None:
    (answer,) = await submitted(sender, "pended_pa_submit_request_payload")
    assert decisions(answer) == {"A4"}
    assert await stage() == 0
    clock.now += timedelta(seconds=6)
    assert await stage() == 1
    (now,) = await found(sender, "pended_pa_inquire_request_payload")
    assert decisions(now) == {"A1"}


async def test_a_run_can_be_repeated(sender: Client, stage: Stage, clock: StillClock) -> None:
    """The same Bundles get the same bytes, whatever has become of the requests since."""
    names = [name for name in inputs(sender.line) if name.endswith("submit_request_payload")]
    names += [name for name in inputs(sender.line) if name.startswith("claim_update")]
    sent = [bundle for name in names for bundle in bundles(inputs(sender.line)[name])]
    first = [(await sender.submit(each)).content for each in sent]
    clock.now += timedelta(seconds=6)
    await stage()
    assert [(await sender.submit(each)).content for each in sent] == first


@pytest.mark.parametrize("order", [("2.2", "2.0"), ("2.0", "2.2")])
async def test_both_suites_run_one_after_the_other(
    order: tuple[Line, Line], client: Client, stage: Stage
) -> None:
    """On one server without a reset: no request is the duplicate of one of the other line."""
    expected = {"2.2": ["A1 A6", "A4", "A1", "A1", "A1 C"], "2.0": ["A6", "A4"]}
    for line in order:
        answers = await submitted(client.at(line), "must_support_pa_submit_request_payload")
        decided = [" ".join(sorted(decisions(each))) for each in answers]
        assert decided == expected[line]
        for answer in answers:
            assert list(shape_faults(answer, line, "submit")) == []


async def test_updates_are_answered_line_by_line(client: Client, stage: Stage) -> None:
    """Each with the sequences that were sent, cancelled ones included."""
    sender = client.at("2.2")
    decided = []
    for step in STEPS:
        (sent,) = bundles(inputs("2.2")[f"claim_update_{step}_submit_payload"])
        (answer,) = await submitted(sender, f"claim_update_{step}_submit_payload")
        response = answer["entry"][0]["resource"]
        asked = [item["sequence"] for item in sent["entry"][0]["resource"]["item"]]
        assert item_sequences(response) == asked
        assert list(shape_faults(answer, "2.2", "submit")) == []
        decided.append(decisions(answer))
    assert decided == [{"A1"}, {"A1"}, {"A1", "C"}, {"C"}]


@pytest.mark.oracle
async def test_every_answer_to_an_update_is_valid_for_hl7s_engine(
    client: Client, stage: Stage, judge: Judge
) -> None:
    sender = client.at("2.2")
    for step in STEPS:
        (answer,) = await submitted(sender, f"claim_update_{step}_submit_payload")
        assert faults(judge, answer, "2.2", "submit") == []


@pytest.mark.parametrize("operation", ["submit", "inquire"])
async def test_an_empty_bundle_is_refused(operation: str, sender: Client) -> None:
    empty = {"resourceType": "Bundle", "type": "collection", "entry": []}
    answer = await sender.post(f"Claim/${operation}", empty)
    assert (answer.status_code, answer.json()["resourceType"]) == (400, "OperationOutcome")
