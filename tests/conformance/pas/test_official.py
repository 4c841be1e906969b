"""Each official example gets exactly the answer that pas_official.toml lists for it."""

from collections.abc import Mapping

import pytest
from fastapi import FastAPI

from tests.bundles import Line
from tests.conformance.examples.official import OfficialExample, official_examples
from tests.integration.pas.door import LINES, MakeClient, found_by
from tests.integration.sandbox.staging import clear_the_stage
from tests.oracle.judge import JudgeUnavailable
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.pas.reject_reasons import RejectReasons

PROFILES = {"submit": codes.REQUEST_BUNDLE, "inquire": codes.INQUIRY_BUNDLE}


@pytest.fixture(scope="module")
def validators() -> Mapping[Line, GuideValidator]:
    return {line: GuideValidator.load(line) for line in LINES}


@pytest.fixture(params=official_examples(), ids=str)
def example(request: pytest.FixtureRequest) -> OfficialExample:
    """A row of the table whose file is at hand."""
    found: OfficialExample = request.param
    try:
        found.body()
    except JudgeUnavailable as missing:
        pytest.skip(str(missing))
    return found


def test_our_validator_says_what_hl7s_engine_says(
    example: OfficialExample, validators: Mapping[Line, GuideValidator]
) -> None:
    problems = validators[example.line].problems(example.bundle(), PROFILES[example.operation])
    errors = [f"{p.expression}: {p.text}" for p in problems if p.severity == "error"]
    assert bool(errors) == (example.engine == "invalid"), errors


async def test_it_gets_the_answer_listed_for_it(
    example: OfficialExample,
    make_client: MakeClient,
    app: FastAPI,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sandbox plays them for its guests; anybody else's server answers so."""
    clear_the_stage(app, monkeypatch)
    client = await make_client(example.line)
    answer = await client.post(f"Claim/${example.operation}", example.body())
    assert answer.status_code == example.status, answer.text
    if example.operation == "inquire":
        assert example.outcome == "no-match"
        assert found_by(answer) == []
        return
    assert (answer.json()["resourceType"] == "Bundle") == (example.status == 200)
    if example.status == 200:
        response = answer.json()["entry"][0]["resource"]
        assert response["outcome"] == example.outcome
        assert _reasons(response.get("error", [])) == _expected(example)


def _reasons(errors: list[dict[str, object]]) -> list[object]:
    return [error["code"]["coding"][0]["code"] for error in errors]  # type: ignore[index]


def _expected(example: OfficialExample) -> list[object]:
    """The X12 code that our reason is sent as."""
    if not example.error_reason:
        return []
    return [RejectReasons.load().reasons[example.error_reason].code]
