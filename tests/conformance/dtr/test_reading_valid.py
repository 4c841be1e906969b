"""What is read, found, expanded and refused, as the doors send it: valid for HL7's engine.

The single resources are judged where they are made; here the answers around them are.
"""

import json
from typing import Any

import pytest

from tests.bundles import Json, Line
from tests.integration.pas.door import Client
from tests.oracle.judge import Judge
from wiser_fhir.dtr.conformance_routes import _report_example
from wiser_fhir.resources import resource_path

SETS = "https://wiser-fhir.example/fhir/ValueSet/"
REPORT = "Questionnaire/$log-questionnaire-errors"
REPORTED = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-log-errors-input-parameters"

# A small answer of each kind: a page of a few, one with a further page, none, and the number alone.
SEARCHES = (
    "Questionnaire?url=https://wiser-fhir.example{}/fhir/Questionnaire/knee-arthroscopy-oa",
    "Library?name=WiserKneeArthroscopyOa",
    "ValueSet?_count=3",
    "ValueSet?name:exact=x",
    "Library?_summary=count",
)
EXPANSIONS = (
    f"ValueSet/$expand?url={SETS}skin-substitutes-procedures",
    f"ValueSet/$expand?url={SETS}skin-substitutes-procedures&filter=152&count=2&offset=1",
    f"ValueSet/$expand?url={SETS}skin-substitutes-diagnoses&count=0",
    f"ValueSet/$expand?url={SETS}vagus-nerve-stimulation-diagnoses",
    "ValueSet/epidural-steroid-injection-procedures-2026-01-15/$expand?filter=nothing+at+all",
)
REFUSALS = (
    "Questionnaire/nothing",
    "ValueSet/$expand",
    "ValueSet/$expand?url=nothing",
    "ValueSet?name:in=x&_count=y",
)


def errors(judge: Judge, resource: Json, line: Line, profile: str | None = None) -> list[str]:
    """What the engine finds wrong."""
    issues = judge.validate(resource, line, profile)
    return [f"{each.expression}: {each.text} [{each.id}]" for each in issues if each.is_error]


async def asked(client: Client, query: str, status: int = 200) -> Json:
    response = await client.get(query)
    assert response.status_code == status, response.text
    found: Json = response.json()
    return found


@pytest.mark.parametrize("query", SEARCHES)
async def test_what_a_search_finds(client: Client, line: Line, judge: Judge, query: str) -> None:
    bundle = await asked(client.at(line), query.format("" if line == "2.2" else "/v2.0"))
    assert bundle["type"] == "searchset"
    assert errors(judge, bundle, line) == []


@pytest.mark.parametrize("query", EXPANSIONS)
async def test_what_an_expansion_is(client: Client, line: Line, judge: Judge, query: str) -> None:
    value_set = await asked(client.at(line), query)
    assert "expansion" in value_set
    assert errors(judge, value_set, line) == []


@pytest.mark.parametrize("query", REFUSALS)
async def test_what_is_refused(client: Client, line: Line, judge: Judge, query: str) -> None:
    status = 404 if "nothing" in query else 400
    outcome = await asked(client.at(line), query, status)
    assert outcome["resourceType"] == "OperationOutcome"
    assert errors(judge, outcome, line) == []


async def test_a_report_and_its_answers(client: Client, line: Line, judge: Judge) -> None:
    body = _report_example(line)
    assert errors(judge, body, line, REPORTED) == []
    kept = await client.at(line).post(REPORT, body)
    refused = await client.at(line).post(REPORT, {"resourceType": "Parameters"})
    assert [kept.status_code, refused.status_code] == [200, 400]
    for answer in (kept, refused):
        assert errors(judge, answer.json(), line) == []


@pytest.mark.parametrize("line", ["2.2", "2.0"])
def test_what_metadata_says(judge: Judge, line: Line) -> None:
    statement: dict[str, Any] = json.loads(
        (resource_path("capability") / f"metadata-{line}.json").read_bytes()
    )
    assert errors(judge, statement, line) == []
