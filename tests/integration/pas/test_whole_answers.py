"""A determination that says everything, through the whole door: told, kept, read and inquired."""

from dataclasses import replace
from uuid import UUID

import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Json, Line, inquiry_bundle, request_bundle
from tests.integration.pas.door import (
    CARE_UNMET,
    LINES,
    Client,
    Rows,
    actions,
    claim_response,
    found_by,
)
from tests.integration.pas.reviewing import NPI, SPECIALTY, a_clinician, just_signed_in, review_of
from tests.unit.pas.maximal import ADDED, ANSWER, DETAIL, SAID
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.fhir import codes
from wiser_fhir.priorauth.determination import Determination, Grant, ItemDetermination, Outcome

TWO = ("64483", "64484")
SAYS_ALL = Determination(
    (
        ItemDetermination(
            1,
            Outcome.AFFIRMED,
            rationale="Half a unit is enough.",
            reasons=("T1",),
            grant=Grant(),
            answer=replace(SAID, detail=DETAIL),
        ),
        ItemDetermination(
            2,
            Outcome.NON_AFFIRMED,
            rationale="No imaging report shows a second level.",
            resubmission_steps="Send the report of the MRI.",
            reasons=("documentation-missing", "not-considered"),
        ),
    ),
    note="Keep the report with the chart.",
    answer=replace(
        ANSWER, added=(replace(ADDED, code=Code(CPT, "64484"), first_day=None, last_day=None),)
    ),
)


async def _determined(app: FastAPI, superuser: AsyncEngine, client: Client) -> Json:
    """The first answer of a case that is then decided so."""
    sent = request_bundle(client.line, answers=CARE_UNMET, codes=TWO)
    pended = claim_response(await client.submit(sent))
    by = just_signed_in(app, await a_clinician(superuser))
    await review_of(app).determine(by, UUID(pended["id"]), 1, SAYS_ALL)
    return pended


@pytest.fixture
async def pended(app: FastAPI, superuser_engine: AsyncEngine, client: Client, line: Line) -> Json:
    return await _determined(app, superuser_engine, client.at(line))


async def _kept(rows: Rows) -> Json:
    """The latest answer that was kept."""
    *_, last = await rows.messages("select * from message where direction = 'out' order by at, id")
    return claim_response(orjson.loads(last))


async def test_the_answer_that_is_kept_says_it_all(pended: Json, line: Line, rows: Rows) -> None:
    kept = await _kept(rows)
    assert kept["outcome"] == "partial"
    assert actions(kept) == {1: "A6", 2: "A3"}
    texts = [note["text"] for note in kept["processNote"]]
    for said in (
        "Half a unit is enough.",
        "To ask again: Send the report of the MRI.",
        "Keep the report with the chart.",
    ):
        assert said in texts
    sequences = [each.get("itemSequence") for each in kept["addItem"]]
    assert sequences == ([[1], [9]] if line == "2.2" else [None])


async def test_it_is_read_as_it_was_kept(
    pended: Json, line: Line, client: Client, rows: Rows
) -> None:
    read = await client.at(line).get(f"ClaimResponse/{pended['id']}")
    assert read.json() == await _kept(rows)


async def test_an_inquiry_tells_the_same(
    pended: Json, line: Line, client: Client, rows: Rows
) -> None:
    """But for the one diagnosis that it has room for, and the note of the other."""
    (found,) = found_by(await client.at(line).inquire(inquiry_bundle(line, any_service=True)))
    kept = await _kept(rows)
    assert found["meta"]["profile"] == [codes.CLAIM_INQUIRY_RESPONSE]
    assert actions(found) == actions(kept)
    same = {"id", "created", "outcome", "disposition", "preAuthRef", "preAuthPeriod", "request"}
    assert {name: found[name] for name in same} == {name: kept[name] for name in same}
    assert [each["itemSequence"] for each in found["item"]] == [1, 2]
    assert len(found["error"]) == 1


async def test_the_clinician_is_named_on_line_2_2(pended: Json, line: Line, rows: Rows) -> None:
    kept = await _kept(rows)
    reviewers = [e for e in kept.get("extension", ()) if e["url"] == codes.CLAIM_RESPONSE_REVIEWER]
    if line == "2.0":
        assert reviewers == []
        return
    (reviewer,) = reviewers
    parts = {part["url"]: part for part in reviewer["extension"]}
    assert parts["wasHumanReviewedFlag"]["valueBoolean"] is True
    assert parts["reviewerNPI"]["valueIdentifier"] == {"system": codes.NPI, "value": NPI}
    (coding,) = parts["reviewerSpecialty"]["valueCodeableConcept"]["coding"]
    assert coding["code"] == SPECIALTY


async def test_it_is_told_at_the_other_line_too(pended: Json, line: Line, client: Client) -> None:
    (other,) = set(LINES) - {line}
    found = found_by(await client.at(other).inquire(inquiry_bundle(other, any_service=True)))
    assert [actions(each) for each in found] == [{1: "A6", 2: "A3"}]
