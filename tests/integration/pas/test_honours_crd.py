"""What CRD answered is kept with the case; where the decision differs, the answer says why."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import MEMBERS, Json, Line, inquiry_bundle, request_bundle, valid_npi
from tests.coverage_information import coverage_information
from tests.integration.pas.door import (
    CARE_UNMET,
    MET,
    NOW,
    Client,
    MakeClient,
    Rows,
    actions,
    claim_response,
    found_by,
)
from tests.ledger_values import a_call, an_audit
from tests.ledger_values import an_assertion as any_assertion
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.priorauth.ledger import AssertionRecord, Ledger

EXEMPT_NPI = valid_npi("199900005")
FACTS: Mapping[str, Any] = {
    "date": "2026-12-15",
    "state": "TX",
    "site": "place-of-service:24",
    "performers": [valid_npi("199999020"), valid_npi("199999030")],
    "diagnoses": ["M54.16"],
}


@cache
def validator(line: Line) -> GuideValidator:
    return GuideValidator.load(line)


def faults(line: Line, resource: Json, profile: str) -> list[str]:
    """Errors by the guide, less the one it makes itself: see tests/conformance/pas/test_answers.

    PAS 2.0.1 has a slice for the reference number on an item, which its own context does not allow.
    """
    found = [p for p in validator(line).problems(resource, profile) if p.severity == "error"]
    return [
        f"{problem.expression}: {problem.text}"
        for problem in found
        if line == "2.2" or "administrationReferenceNumber" not in problem.text
    ]


def an_assertion(situation: str, **changes: Any) -> AssertionRecord:
    """What CRD said of the usual order two days before."""
    usual = any_assertion(
        mbi=MEMBERS[0].mbi,
        situation=situation,
        asked=FACTS,
        made_at=NOW - timedelta(days=2),
        expires_on=None,
    )
    return replace(usual, **changes)


async def said(engine: AsyncEngine, client: Client, *assertions: AssertionRecord) -> None:
    """CRD answered the client so."""
    await Ledger(engine).record(
        client.organization_id,
        a_call(client.client_id),
        assertions,
        (),
        an_audit(client.organization_id),
    )


def naming(bundle: Json, line: Line, *ids: str, on: str = "ServiceRequest") -> Json:
    """The request, its order carrying what CRD answered."""
    claim = bundle["entry"][0]["resource"]
    holder = next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == on)
    coverage = claim["insurance"][0]["coverage"]
    told = [coverage_information(line, each, coverage) for each in ids]
    holder["extension"] = [*holder.get("extension", ()), *told]
    return bundle


def notes(response: Json) -> list[str]:
    return [note["text"] for note in response.get("processNote", ())]


def from_crd(response: Json) -> list[str]:
    return [text for text in notes(response) if text.startswith("Coverage information of ")]


async def kept(rows: Rows, answer: Json) -> tuple[list[str], list[str]]:
    [case] = await rows.all(
        "select assertions, remarks from prior_auth_case where id = :id", id=UUID(answer["id"])
    )
    return case["assertions"], case["remarks"]


@pytest.mark.parametrize("on", ["ServiceRequest", "QuestionnaireResponse"])
async def test_an_answer_that_holds_is_kept_without_a_word(
    client: Client, line: Line, rows: Rows, app_engine: AsyncEngine, on: str
) -> None:
    assertion = an_assertion("needs-authorization")
    await said(app_engine, client, assertion)
    bundle = naming(request_bundle(line, answers=MET), line, assertion.id, on=on)
    response = claim_response(await client.at(line).submit(bundle))
    assert (actions(response), notes(response)) == ({1: "A1"}, [])
    assert await kept(rows, response) == ([assertion.id], [])


SAID_TO_NEED_NONE: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "exempt before": ({"situation": "exempt"}, {}, "the provider is not exempt any more"),
    "another day": (
        {"situation": "date-outside", "asked": {**FACTS, "date": "2026-01-10"}},
        {},
        "the date of service is another",
    ),
    "another state": (
        {"situation": "state-outside", "asked": {**FACTS, "state": "CA"}},
        {},
        "the state of the service is another",
    ),
    "another place": (
        {"situation": "site-outside", "asked": {**FACTS, "site": "place-of-service:21"}},
        {},
        "the place of service is another",
    ),
    "another code": (
        {"situation": "not-wiser", "codes": ("99213",), "service": None, "rules": None},
        {},
        "the code is another",
    ),
    "older rules": (
        {"situation": "not-wiser", "rules": "2026-01-05"},
        {},
        "the rules of 2026-01-15 are in force now",
    ),
    "over": (
        {"situation": "exempt", "expires_on": date(2026, 11, 19)},
        {},
        "that held until 2026-11-19",
    ),
    "there already": ({"situation": "satisfied"}, {}, "this is a request by itself"),
}


@pytest.mark.parametrize("name", SAID_TO_NEED_NONE)
@pytest.mark.parametrize("answers", [MET, CARE_UNMET], ids=["affirmed", "pended"])
async def test_a_request_taken_all_the_same_says_why_and_stays_valid(
    client: Client,
    line: Line,
    rows: Rows,
    app_engine: AsyncEngine,
    name: str,
    answers: Mapping[str, Any],
) -> None:
    changes, fields, words = SAID_TO_NEED_NONE[name]
    assertion = an_assertion(**changes)
    await said(app_engine, client, assertion)
    bundle = naming(request_bundle(line, answers=answers, **fields), line, assertion.id)
    answer = await client.at(line).submit(bundle)
    response = claim_response(answer)
    [remark] = from_crd(response)
    assert f"({assertion.id})" in remark
    assert words in remark
    assert await kept(rows, response) == ([assertion.id], [remark])
    assert faults(line, answer.json(), codes.RESPONSE_BUNDLE) == []
    numbers = [note["number"] for note in response["processNote"]]
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"npi": EXEMPT_NPI, "site": "11"}, "the provider is"),
        ({"state": "CA"}, "the state of the service is another"),
    ],
)
async def test_a_request_dismissed_all_the_same_says_why_and_stays_valid(
    client: Client,
    line: Line,
    rows: Rows,
    app_engine: AsyncEngine,
    fields: dict[str, Any],
    words: str,
) -> None:
    assertion = an_assertion("needs-authorization")
    await said(app_engine, client, assertion)
    bundle = naming(request_bundle(line, answers=MET, **fields), line, assertion.id)
    answer = await client.at(line).submit(bundle)
    response = claim_response(answer)
    assert response["outcome"] == "error"
    [remark] = from_crd(response)
    assert words in remark
    assert notes(response)[-1] == remark
    assert len(notes(response)) == 2
    assert await kept(rows, response) == ([assertion.id], [remark])
    assert faults(line, answer.json(), codes.RESPONSE_BUNDLE) == []


async def test_the_explanation_is_there_whenever_the_case_is_asked_for(
    client: Client, line: Line, app_engine: AsyncEngine
) -> None:
    assertion = an_assertion("exempt")
    await said(app_engine, client, assertion)
    bundle = naming(request_bundle(line, answers=CARE_UNMET), line, assertion.id)
    sender = client.at(line)
    response = claim_response(await sender.submit(bundle))
    read = await sender.get(f"ClaimResponse/{response['id']}")
    assert from_crd(read.json()) == from_crd(response) != []
    assert faults(line, read.json(), codes.CLAIM_RESPONSE) == []
    again = await sender.submit(bundle)
    assert from_crd(claim_response(again)) == from_crd(response)
    asked = await sender.inquire(inquiry_bundle(line))
    [found] = found_by(asked)
    assert from_crd(found) == from_crd(response)


@pytest.mark.parametrize("strange", [None, "unheard-of", "x' or 'a'='a"])
async def test_what_is_not_one_s_own_is_ignored(
    client: Client,
    make_client: MakeClient,
    line: Line,
    rows: Rows,
    app_engine: AsyncEngine,
    strange: str | None,
) -> None:
    theirs = an_assertion("exempt")
    await said(app_engine, await make_client(), theirs)
    bundle = naming(request_bundle(line, answers=MET), line, strange or theirs.id)
    response = claim_response(await client.at(line).submit(bundle))
    assert notes(response) == []
    assert await kept(rows, response) == ([], [])


@pytest.mark.parametrize("situation", ["exempt", "needs-authorization"])
async def test_what_is_another_beneficiary_s_is_ignored(
    client: Client, line: Line, rows: Rows, app_engine: AsyncEngine, situation: str
) -> None:
    theirs = an_assertion(situation, mbi=MEMBERS[1].mbi)
    await said(app_engine, client, theirs)
    bundle = naming(request_bundle(line, answers=MET), line, theirs.id)
    response = claim_response(await client.at(line).submit(bundle))
    assert (actions(response), notes(response)) == ({1: "A1"}, [])
    assert await kept(rows, response) == ([], [])


async def test_several_answers_are_weighed_each_by_itself(
    client: Client, line: Line, rows: Rows, app_engine: AsyncEngine
) -> None:
    """The profile of an order has room for one answer, a form for its own."""
    fits, differs = an_assertion("pended"), an_assertion("exempt")
    await said(app_engine, client, fits, differs)
    bundle = naming(request_bundle(line, answers=CARE_UNMET), line, differs.id)
    naming(bundle, line, fits.id, on="QuestionnaireResponse")
    response = claim_response(await client.at(line).submit(bundle))
    [remark] = from_crd(response)
    assert differs.id in remark
    ids, remarks = await kept(rows, response)
    assert (sorted(ids), remarks) == (sorted([fits.id, differs.id]), [remark])


async def test_a_duplicate_is_one_whatever_was_said(
    client: Client, line: Line, app_engine: AsyncEngine
) -> None:
    needs, exempt = an_assertion("needs-authorization"), an_assertion("exempt")
    await said(app_engine, client, needs, exempt)
    sender = client.at(line)
    await sender.submit(request_bundle(line, answers=CARE_UNMET, seed="first"))
    twin = naming(request_bundle(line, answers=CARE_UNMET, seed="second"), line, needs.id)
    assert from_crd(claim_response(await sender.submit(twin))) == []
    third = naming(request_bundle(line, answers=CARE_UNMET, seed="third"), line, exempt.id)
    assert len(from_crd(claim_response(await sender.submit(third)))) == 1


async def test_a_request_that_names_none_asks_the_ledger_nothing(
    client: Client, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("the ledger was asked")

    monkeypatch.setattr(Ledger, "assertions", never)
    answer = await client.at(line).submit(request_bundle(line, answers=MET))
    assert actions(claim_response(answer)) == {1: "A1"}
    assert b"Coverage information" not in orjson.dumps(answer.json())
