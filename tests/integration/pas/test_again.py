"""The same request again, another of the same kind, and many at once."""

import asyncio

import orjson
import pytest

from tests.bundle_values import MEMBERS
from tests.bundles import Json, Line, request_bundle
from tests.integration.pas.door import (
    CARE_UNMET,
    MET,
    Client,
    MakeClient,
    Rows,
    actions,
    claim_response,
    outcome_of,
    reference_number,
)
from wiser_fhir.pas.reject_reasons import RejectReasons
from wiser_fhir.priorauth.models import DismissalReason

AT_ONCE = 50


@pytest.mark.parametrize("answers", [MET, CARE_UNMET], ids=["affirmed", "pended"])
async def test_the_same_bytes_get_the_same_bytes(
    answers: Json, client: Client, line: Line, rows: Rows, clock: object
) -> None:
    sender, body = client.at(line), orjson.dumps(request_bundle(line, answers=answers))
    first = await sender.submit(body)
    before = await rows.counts()
    second = await sender.submit(body)
    assert second.status_code == 200
    assert second.content == first.content
    assert await rows.counts() == before
    assert (await rows.audit())[-1] == ("claim.submit", "replayed")


async def test_a_replay_names_the_case_in_the_audit_trail(client: Client, rows: Rows) -> None:
    body = orjson.dumps(request_bundle(answers=MET))
    first, _ = await client.submit(body), await client.submit(body)
    (row,) = await rows.all("select * from audit_event where outcome = 'replayed'")
    assert row["object_id"] == claim_response(first)["id"]
    assert row["organization_id"] == client.organization_id
    assert row["client_id"] == client.client_id


async def test_a_dismissed_request_is_answered_alike_again(client: Client, rows: Rows) -> None:
    body = orjson.dumps(request_bundle(payer="medicaid"))
    first, second = await client.submit(body), await client.submit(body)
    assert second.content == first.content
    assert (await rows.counts())["prior_auth_case"] == 1


async def test_other_bytes_under_the_same_identifier_conflict(
    client: Client, line: Line, rows: Rows
) -> None:
    body = orjson.dumps(request_bundle(line, answers=MET, identifier="once"))
    await client.at(line).submit(body)
    before = await rows.counts()
    (issue,) = outcome_of(await client.at(line).submit(body + b" "), 409)
    assert issue["code"] == "conflict"
    assert await rows.counts() == before


async def test_two_organizations_may_use_the_same_identifier(
    make_client: MakeClient, rows: Rows
) -> None:
    one, other = await make_client(), await make_client()
    first = await one.submit(request_bundle(answers=MET, identifier="same"))
    second = await other.submit(request_bundle(answers=MET, identifier="same", expedited=True))
    assert claim_response(first)["id"] != claim_response(second)["id"]
    assert (await rows.counts())["prior_auth_case"] == 2


def _is_duplicate(response: Json) -> bool:
    expected = RejectReasons.load().reasons[DismissalReason.DUPLICATE].code
    errors = response.get("error", ())
    return [error["code"]["coding"][0]["code"] for error in errors] == [expected]


async def test_a_second_request_while_the_first_is_open_is_a_duplicate(
    client: Client, line: Line, rows: Rows
) -> None:
    sender = client.at(line)
    await sender.submit(request_bundle(line, answers=CARE_UNMET, identifier="first"))
    second = claim_response(
        await sender.submit(request_bundle(line, answers=CARE_UNMET, identifier="second"))
    )
    assert _is_duplicate(second)
    assert [case["status"] for case in await rows.cases()] == ["in-review", "dismissed"]


async def test_not_for_another_member_or_another_service(client: Client) -> None:
    await client.submit(request_bundle(answers=CARE_UNMET))
    other_member = request_bundle(answers=CARE_UNMET, member=MEMBERS[1], seed="member")
    assert actions(claim_response(await client.submit(other_member))) == {1: "A4"}
    other_service = request_bundle(service="skin-substitutes", seed="service")
    assert actions(claim_response(await client.submit(other_service))) == {1: "A4"}


async def test_once_decided_another_request_is_none(client: Client) -> None:
    await client.submit(request_bundle(answers=MET, identifier="first"))
    second = await client.submit(request_bundle(answers=MET, identifier="second"))
    assert actions(claim_response(second)) == {1: "A1"}


async def test_a_resubmission_is_no_duplicate(client: Client) -> None:
    await client.submit(request_bundle(answers=CARE_UNMET, identifier="first"))
    again = request_bundle(answers=CARE_UNMET, identifier="second", previous_utn="ZZB00000000001")
    assert actions(claim_response(await client.submit(again))) == {1: "A4"}


async def test_a_duplicate_of_another_organizations_request_tells_nothing_of_it(
    make_client: MakeClient, rows: Rows
) -> None:
    one, other = await make_client(), await make_client()
    first = await one.submit(request_bundle(answers=CARE_UNMET, seed="one"))
    second = await other.submit(request_bundle(answers=CARE_UNMET, seed="other"))
    open_case = claim_response(first)
    assert _is_duplicate(claim_response(second))
    for secret in (open_case["id"], reference_number(open_case), str(one.organization_id)):
        assert secret not in second.text
    owners = [case["organization_id"] for case in await rows.cases()]
    assert owners == [one.organization_id, other.organization_id]


@pytest.mark.parametrize("answers", [MET, CARE_UNMET], ids=["affirmed", "pended"])
async def test_many_equal_requests_at_once_make_one_case(
    answers: Json, client: Client, rows: Rows
) -> None:
    body = orjson.dumps(request_bundle(answers=answers))
    answered = await asyncio.gather(*(client.submit(body) for _ in range(AT_ONCE)))
    assert {answer.status_code for answer in answered} == {200}
    assert len({answer.content for answer in answered}) == 1
    counts = await rows.counts()
    assert (counts["prior_auth_case"], counts["submission"], counts["message"]) == (1, 1, 2)
    assert counts["utn"] == (1 if answers is MET else 0)
    trail = await rows.audit()
    acts = [outcome for action, outcome in trail if action == "claim.submit"]
    assert len(acts) == AT_ONCE
    assert acts.count("replayed") == AT_ONCE - 1


async def test_of_many_requests_about_one_member_at_once_one_is_open(
    client: Client, rows: Rows
) -> None:
    bodies = [request_bundle(answers=CARE_UNMET, seed=f"racing-{n}") for n in range(8)]
    answered = await asyncio.gather(*(client.submit(body) for body in bodies))
    responses = [claim_response(answer) for answer in answered]
    assert sum(_is_duplicate(response) for response in responses) == len(bodies) - 1
    statuses = [case["status"] for case in await rows.cases()]
    assert sorted(statuses) == ["dismissed"] * (len(bodies) - 1) + ["in-review"]


async def test_of_two_bodies_at_once_under_one_identifier_one_wins(
    client: Client, rows: Rows
) -> None:
    bodies = [
        orjson.dumps(request_bundle(answers=MET, identifier="one")) + b" " * n for n in range(8)
    ]
    answered = await asyncio.gather(*(client.submit(body) for body in bodies))
    assert sorted(answer.status_code for answer in answered) == [200] + [409] * 7
    assert (await rows.counts())["prior_auth_case"] == 1
