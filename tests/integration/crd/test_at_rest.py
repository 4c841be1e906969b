"""A dump of the database names nobody: after a whole journey no word about a patient can be read.

What a member, their clinicians and those who review wrote is canaries here, in every place where
somebody may write.
"""

from base64 import b64encode
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Json, Line, as_bytes, inquiry_bundle, request_bundle
from tests.canaries import readable_in
from tests.cases import an_mbi
from tests.clocks import StillClock
from tests.crd_bodies import LONG, Record, hook_call
from tests.integration.crd.door import HookClient, answered
from tests.integration.crd.test_feedback import overridden
from tests.integration.pas.attaching import Worker, attach, attachment, call, document
from tests.integration.pas.door import CARE_UNMET, Client, Rows, claim_response
from tests.integration.pas.reviewing import a_clinician, review_of
from tests.integration.pas.subscribing import HOST, may_be_told, subscribed
from tests.reviewing import by
from tests.subscriptions import SECRET, a_subscription
from wiser_fhir.priorauth.determination import Determination, ItemDetermination, Outcome

NAME, BORN, STREET = "Canarybird", "1931-03-07", "Nightingale Street"
SAID = "Robin Redbreast says so"
DELIVERIES = "select case_id from attachment_delivery"


def about_a_canary(body: Json, mbi: str) -> bytes:
    """The body with another patient in it, who is described in every place."""
    told: Json = orjson.loads(as_bytes(body))
    for patient in _of_type(told, "Patient"):
        patient["name"] = [{"family": NAME, "given": [f"{NAME}-Anne"]}]
        patient["birthDate"] = BORN
        patient["address"] = [{"line": [f"1 {STREET}"], "state": "NJ"}]
        for each in patient.get("identifier", ()):
            each["value"] = mbi
    for coverage in _of_type(told, "Coverage"):
        coverage["subscriberId"] = mbi
        for each in coverage.get("identifier", ()):
            each["value"] = mbi
    for order in _of_type(told, "ServiceRequest"):
        order["note"] = [{"text": SAID}]
    return orjson.dumps(told)


def _of_type(told: Any, kind: str) -> list[Json]:
    if isinstance(told, list):
        return [found for each in told for found in _of_type(each, kind)]
    if not isinstance(told, dict):
        return []
    own = [told] if told.get("resourceType") == kind else []
    return own + [found for each in told.values() for found in _of_type(each, kind)]


async def a_hook_call(hooks: HookClient, line: Line, mbi: str) -> None:
    """A call that is answered, and what somebody made of its card."""
    record = Record.of(line)
    body = hook_call("order-sign", record, record.order("64483", **LONG))
    cards = answered(await hooks.call(about_a_canary(body, mbi)))["cards"]
    reason = {"reason": {"code": "not-now", "system": "urn:x"}, "userComment": SAID}
    said = await hooks.feedback("order-sign", overridden(cards[0], overrideReason=reason))
    assert said.status_code == 200, said.text


async def a_pended_request(pas: Client, mbi: str) -> Json:
    body = request_bundle(pas.line, answers=CARE_UNMET)
    answer = await pas.submit(about_a_canary(body, mbi))
    found = claim_response(answer)
    inquiry = about_a_canary(inquiry_bundle(pas.line), mbi)
    assert (await pas.inquire(inquiry)).status_code == 200
    return found


async def its_papers(pas: Client, case: dict[str, Any], mbi: str, worker: Worker) -> None:
    """A document that is asked for, comes, and is cleared."""
    await worker.ask(pas, case["id"], note=SAID)
    paper = document(b"%PDF-1.7 " + NAME.encode())
    said = await attach(pas, call(case["reference"], mbi, attachment(paper)))
    assert said.status_code == 200, said.text
    await worker.run()


async def its_decision(
    app: FastAPI, superuser: AsyncEngine, pended: Json, clock: StillClock
) -> None:
    reviewer = by(replace(await a_clinician(superuser), signed_in_at=clock()))
    review = review_of(app)
    case = (await review.case_file(reviewer, UUID(pended["id"]))).case
    decided = tuple(
        ItemDetermination(
            item.sequence,
            Outcome.NON_AFFIRMED,
            rationale=SAID,
            resubmission_steps=SAID,
            reasons=("0M",),
        )
        for item in case.items
    )
    await review.determine(reviewer, case.id, case.revision, Determination(decided, note=SAID))


async def test_nobody_can_be_read_out_of_the_database(
    app: FastAPI,
    hooks: HookClient,
    pas: Client,
    line: Line,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    clock: StillClock,
    rows: Rows,
) -> None:
    mbi, pas = an_mbi(), pas.at(line)
    await may_be_told(superuser_engine, pas, HOST)
    await subscribed(pas, a_subscription(line))
    await a_hook_call(hooks, line, mbi)
    pended = await a_pended_request(pas, mbi)
    [case] = await rows.cases()
    await its_papers(pas, case, mbi, Worker(app_engine, clock))
    assert [row["case_id"] for row in await rows.all(DELIVERIES)] == [case["id"]]
    await its_decision(app, superuser_engine, pended, clock)
    for table in ("hook_call", "message", "attachment", "determination", "subscription"):
        async with superuser_engine.connect() as db:
            assert await db.scalar(text(f"select count(*) from {table}")) > 0  # noqa: S608
    canaries = (mbi, NAME, BORN, STREET, SAID, SECRET)
    assert await readable_in(superuser_engine, *canaries) == set()


@pytest.mark.parametrize(
    "written", [NAME, NAME.upper(), NAME.encode().hex(), b64encode(f"x {NAME}".encode()).decode()]
)
async def test_what_can_be_read_is_found(
    hooks: HookClient, superuser_engine: AsyncEngine, written: str
) -> None:
    async with superuser_engine.begin() as db:
        await db.execute(
            text("update client set name = :name || id::text"), {"name": f"<{written}>"}
        )
    assert await readable_in(superuser_engine, NAME) == {"client.name"}
