"""Claim/$submit: a Bundle goes in, a ClaimResponse comes out, the case stands in Postgres."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi import FastAPI

from tests.bundle_values import MEMBERS, USUAL, Form, Member
from tests.bundles import Json, Line, inquiry_bundle, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.deciders import decide_with, serve_only
from tests.integration.pas.dismissals import DISMISSALS, EACH
from tests.integration.pas.door import (
    CARE_UNMET,
    LINES,
    MET,
    Client,
    MakeClient,
    Rows,
    actions,
    claim_response,
    found_by,
    reference_number,
)
from tests.unit.coverage.made_up import make_folder
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.pas.reject_reasons import RejectReasons


@pytest.fixture(scope="module")
def validators() -> Mapping[Line, GuideValidator]:
    return {line: GuideValidator.load(line) for line in LINES}


def _faults(validator: GuideValidator, answer: Json) -> list[str]:
    """The errors, less one that PAS 2.0.1 makes inevitable.

    Its profile-claimresponse has a slice for the reference number on items, where the extension's
    own context does not allow it.
    """
    found = validator.problems(answer, answer["meta"]["profile"][0])
    errors = [f"{p.expression}: {p.text}" for p in found if p.severity == "error"]
    allowed = ".item[0].extension[1]: extension extension-administrationReferenceNumber is not"
    return [error for error in errors if allowed not in error]


async def test_every_criterion_met_is_affirmed(client: Client, line: Line, rows: Rows) -> None:
    answer = await client.at(line).submit(request_bundle(line, answers=MET))
    response = claim_response(answer)
    assert response["outcome"] == "complete"
    assert actions(response) == {1: "A1"}
    assert response["preAuthPeriod"] == {"start": "2026-11-20", "end": "2027-03-19"}
    (case,) = await rows.cases()
    assert (case["status"], case["line"], case["service"]) == (
        "affirmed",
        line,
        "epidural-steroid-injection",
    )
    assert (case["valid_until"] - case["valid_from"]).days == 119
    (number,) = await rows.all("select utn, state from utn")
    assert number == {"utn": response["preAuthRef"], "state": "assigned"}
    assert str(case["id"]) == response["id"]


async def test_all_of_a_case_is_stored_at_once(client: Client, line: Line, rows: Rows) -> None:
    bundle = request_bundle(line, answers=MET, codes=("64483", "64484"), evidence=True)
    await client.at(line).submit(bundle)
    assert await rows.counts() == {
        "submission": 1,
        "prior_auth_case": 1,
        "case_item": 2,
        "case_party": 4,
        "determination": 2,
        "utn": 1,
        "message": 2,
        "document": 1,
        "letter": 1,
    }
    organizations = await rows.all(
        "select organization_id from prior_auth_case union select organization_id from utn"
    )
    assert [row["organization_id"] for row in organizations] == [client.organization_id]


async def test_a_criterion_unmet_is_pended_and_named(
    client: Client, line: Line, rows: Rows
) -> None:
    answer = await client.at(line).submit(request_bundle(line, answers=CARE_UNMET))
    response = claim_response(answer)
    assert response["outcome"] == "complete"
    assert actions(response) == {1: "A4"}
    assert "preAuthRef" not in response
    assert "preAuthPeriod" not in response
    (case,) = await rows.cases()
    assert (case["status"], case["reference"]) == ("in-review", reference_number(response))
    assert case["decide_by"].isoformat() == "2026-11-23T16:00:00+00:00"
    notes = [note["text"] for note in response["processNote"]]
    assert any("esi-conservative" in note for note in notes)
    assert response["item"][0]["noteNumber"] == [n["number"] for n in response["processNote"]]
    assert (await rows.counts())["utn"] == 0


async def test_an_urgent_request_is_due_a_day_earlier(client: Client, rows: Rows) -> None:
    await client.submit(request_bundle(answers=CARE_UNMET, expedited=True))
    (case,) = await rows.cases()
    assert case["decide_by"].isoformat() == "2026-11-22T16:00:00+00:00"


async def test_nothing_optional_is_demanded(client: Client, line: Line) -> None:
    """No form, no document, no order, no PTAN, no facility: pended, never refused."""
    bundle = request_bundle(
        line, evidence=False, order=False, ptan=None, facility_number=None, diagnoses=()
    )
    assert actions(claim_response(await client.at(line).submit(bundle))) == {1: "A4"}


async def test_each_line_of_a_request_is_answered(client: Client, line: Line) -> None:
    """A primary, its add-on, a code that follows, and one that is none of the model's."""
    bundle = request_bundle(line, answers=MET, codes=("64483", "64484", "99152", "99213"))
    response = claim_response(await client.at(line).submit(bundle))
    assert actions(response) == {1: "A1", 2: "A1", 3: "NA", 4: "NA"}


@pytest.mark.parametrize(("gate", "line"), EACH)
async def test_a_dismissal_is_an_answer_with_its_reason(
    gate: str,
    line: Line,
    app: FastAPI,
    client: Client,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dismissed = DISMISSALS[gate]
    serve_only(app, monkeypatch, dismissed.serves)
    response = claim_response(await client.at(line).submit(dismissed.bundle(line)))
    assert response["outcome"] == "error"
    assert "item" not in response
    (error,) = response["error"]
    expected = RejectReasons.load().reasons[dismissed.reason]
    assert error["code"]["coding"] == [{"system": codes.X12_REJECT_REASON, "code": expected.code}]
    assert dismissed.says in response["disposition"]
    (case,) = await rows.cases()
    assert (case["status"], case["dismissal_reason"]) == ("dismissed", dismissed.reason)
    counts = await rows.counts()
    assert (counts["utn"], counts["determination"]) == (0, 0)


@pytest.mark.parametrize(
    "fields",
    [{"answers": MET}, {"answers": CARE_UNMET}, {"payer": "medicaid"}],
    ids=["affirmed", "pended", "dismissed"],
)
async def test_every_answer_meets_its_profile(
    fields: dict[str, Any],
    line: Line,
    client: Client,
    validators: Mapping[Line, GuideValidator],
) -> None:
    answer = await client.at(line).submit(request_bundle(line, **fields))
    assert _faults(validators[line], answer.json()) == []


@pytest.mark.parametrize("service", USUAL)
async def test_every_service_takes_requests(service: str, client: Client) -> None:
    """Without a form a person looks; no service is forgotten by the door."""
    response = claim_response(await client.submit(request_bundle(service=service)))
    assert actions(response) == {1: "A4"}


async def test_a_request_may_come_inside_parameters(client: Client, line: Line) -> None:
    bundle = request_bundle(line, answers=MET)
    wrapped = {
        "resourceType": "Parameters",
        "parameter": [{"name": "resource", "resource": bundle}],
    }
    assert actions(claim_response(await client.at(line).submit(wrapped))) == {1: "A1"}


async def test_the_bytes_received_are_kept_as_they_were(client: Client, rows: Rows) -> None:
    """Digits, order of keys, white space: what came is what is kept."""
    bundle = request_bundle(answers=MET)
    bundle["entry"][0]["resource"]["item"][0]["quantity"]["value"] = 12345
    odd = dict(reversed(bundle.items()))
    body = orjson.dumps(odd, option=orjson.OPT_INDENT_2).replace(b"12345", b"100.10") + b" \r\n\t"
    assert b'"value": 100.10' in body
    claim_response(await client.submit(body))
    assert await rows.received() == [body]
    (item,) = await rows.all("select quantity from case_item")
    assert item["quantity"] == Decimal("100.10")


async def test_a_byte_order_mark_harms_nobody(client: Client, rows: Rows) -> None:
    body = b"\xef\xbb\xbf" + orjson.dumps(request_bundle(answers=MET))
    response = claim_response(await client.submit(body))
    assert await rows.received() == [body]
    again = await client.get(f"ClaimResponse/{response['id']}")
    assert again.json() == response


async def test_a_service_is_added_by_adding_a_folder(
    app: FastAPI, client: Client, line: Line, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line of code knows the service: a folder of data makes it a service of the API."""
    types = {"agreed": "boolean", "way": "choice", "signs": "multi_choice", "begun": "date",
             "seen": "date"}  # fmt: skip
    answers = {"agreed": True, "way": "left", "signs": ["one"], "begun": "2026-09-01",
               "seen": "2026-10-01"}  # fmt: skip

    async def sent(member: Member, **changes: Any) -> Json:
        bundle = request_bundle(
            line,
            service="made-up",
            codes=("99990", "99991"),
            diagnoses=("M54.16",),
            forms=(Form({**answers, **changes}, types=types),),
            seed=member.mbi,
            member=member,
        )
        return claim_response(await client.at(line).submit(bundle))

    before = await sent(MEMBERS[0])
    assert "No line carries a code of the model" in before["disposition"]
    decide_with(app, monkeypatch, catalogue=Catalogue.load(make_folder(tmp_path)))
    assert actions(await sent(MEMBERS[1])) == {1: "A1", 2: "A1"}
    assert actions(await sent(MEMBERS[2], agreed=False)) == {1: "A4", 2: "A4"}


@pytest.mark.parametrize("switch", [{"auto_affirm": False}, {"require_reviewed": True}])
async def test_how_the_payer_works_is_not_told(
    app: FastAPI,
    client: Client,
    line: Line,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
    switch: dict[str, bool],
) -> None:
    """Those who review see it."""
    policy = app.state.pas["2.2"].service.decider.policy
    decide_with(app, monkeypatch, policy=replace(policy, **switch))
    sender = client.at(line)
    response = claim_response(await sender.submit(request_bundle(line, answers=MET)))
    assert actions(response) == {1: "A4"}
    assert "processNote" not in response
    inquiry = inquiry_bundle(line, reference=reference_number(response))
    (found,) = found_by(await sender.inquire(inquiry))
    assert "processNote" not in found
    (case,) = await rows.cases()
    kept = [each for each in case["assessment"]["findings"] if each["status"] != "met"]
    assert [each["internal"] for each in kept] == [True]


async def test_a_day_counts_by_eastern_time(
    make_client: MakeClient, rows: Rows, clock: StillClock
) -> None:
    """An hour after midnight in UTC it is still the evening before where days are counted."""
    client = await make_client(ttl=timedelta(hours=24))
    clock.now = clock.now.replace(day=21, hour=1)
    response = claim_response(await client.submit(request_bundle(answers=MET)))
    assert response["preAuthPeriod"]["start"] == "2026-11-20"
    (case,) = await rows.cases()
    assert case["valid_from"] == date(2026, 11, 20)
