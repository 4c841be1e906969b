"""What the guides say in their text, and no profile or other test of ours says."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.bundle_resources import concept
from tests.bundles import TEMP_CODES, Json, Line, inquiry_bundle, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.door import (
    CARE_UNMET,
    LINES,
    MET,
    Client,
    MakeClient,
    actions,
    claim_response,
    found_by,
    outcome_of,
    reference_number,
)
from tests.unit.pas import maximal
from tests.update_bundles import claim_of, update_of

COMPILED = Path(__file__).parents[3] / "igs" / "compiled"
REVENUE: dict[Line, str] = {
    "2.2": "https://www.nubc.org/CodeSystem/RevenueCodes",
    "2.0": "https://www.nubc.org/revenue-code",
}


async def test_a_pended_request_is_found_a_year_after_its_service(
    make_client: MakeClient, line: Line, clock: StillClock
) -> None:
    """Source: PAS 2.2.1 §spec-73 (at least six months)."""
    client = await make_client(line, ttl=timedelta(days=500))
    pended = claim_response(await client.submit(request_bundle(line, answers=CARE_UNMET)))
    clock.now += timedelta(days=400)
    inquiry = inquiry_bundle(line, reference=reference_number(pended))
    (found,) = found_by(await client.inquire(inquiry))
    assert found["id"] == pended["id"]


async def test_each_line_has_its_own_system_of_revenue_codes(client: Client, line: Line) -> None:
    sender = client.at(line)
    for owner, system in REVENUE.items():
        bundle = request_bundle(line, answers=MET, seed=owner)
        bundle["entry"][0]["resource"]["item"][0]["revenue"] = concept(system, "0360")
        answer = await sender.submit(bundle)
        if owner == line:
            assert set(actions(claim_response(answer))) == {1}
        else:
            issues = outcome_of(answer, 422)
            assert any("item[0].revenue" in issue["expression"][0] for issue in issues)


@pytest.mark.parametrize("word", ["prior", "replaces"])
async def test_line_2_0_takes_either_word_for_the_claim_before(word: str, client: Client) -> None:
    sender = client.at("2.0")
    first = request_bundle("2.0", answers=MET)
    await sender.submit(first)
    update = update_of(first, "2.0", add=("64484",))
    claim_of(update)["related"][0]["relationship"]["coding"][0]["code"] = word
    assert actions(claim_response(await sender.submit(update))) == {1: "A1", 2: "A1"}


async def test_line_2_2_knows_one_word_for_it(client: Client) -> None:
    first = request_bundle("2.2", answers=MET)
    await client.submit(first)
    update = update_of(first, "2.2", add=("64484",))
    claim_of(update)["related"][0]["relationship"]["coding"][0]["code"] = "replaces"
    issues = outcome_of(await client.submit(update), 422)
    wrong = {issue["expression"][0] for issue in issues if issue["severity"] == "error"}
    assert any("related[0].relationship" in place for place in wrong)


def _told(code: str, **value: Any) -> Json:
    return {"sequence": 40, "category": concept(TEMP_CODES, code), **value}


STAYS: dict[str, Json] = {
    "an encounter among the information": _told("institutionalEncounter", valueString="none"),
    "a discharge of several days": _told(
        "dischargeDates", timingPeriod={"start": "2026-12-16", "end": "2026-12-18"}
    ),
}


@pytest.mark.parametrize("name", STAYS)
async def test_line_2_2_tells_of_a_stay_otherwise(name: str, client: Client) -> None:
    """The encounter stands on the Claim, a discharge is a day."""
    found: dict[Line, int] = {}
    for line in LINES:
        bundle = request_bundle(line, answers=MET)
        bundle["entry"][0]["resource"]["supportingInfo"].append(STAYS[name])
        found[line] = (await client.at(line).submit(bundle)).status_code
    assert found["2.0"] == 200
    assert found["2.2"] in (400, 422)


def _codings(value: Any) -> Iterator[Json]:
    if isinstance(value, dict):
        if "x12.org" in str(value.get("system")):
            yield value
        value = list(value.values())
    if isinstance(value, list):
        for inner in value:
            yield from _codings(inner)


@pytest.mark.parametrize("line", ["2.2", "2.0"])
def test_codes_of_x12_are_sent_without_its_words(line: Line) -> None:
    request, writer = maximal.request(line), maximal.renderer(line)
    found = [
        coding
        for case in maximal.CASES.values()
        for coding in _codings(writer.claim_response(case, request, "made-up"))
    ]
    assert len(found) > 10
    assert [each for each in found if each.keys() - {"system", "code", "value"}] == []


def test_the_guides_are_compiled_without_the_words_of_x12() -> None:
    files = COMPILED.rglob("*.jsonl")
    lines = [line for file in files for line in file.read_text("utf-8").splitlines()]
    named = [line for line in lines if "x12.org" in line]
    assert named
    assert [line for line in named if '"display":' in line] == []
