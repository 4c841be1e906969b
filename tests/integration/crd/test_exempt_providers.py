"""Who is exempt by the list of the database needs no request, from the moment that it says so."""

import asyncio
from datetime import date

from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import Line
from tests.bundles import request_bundle
from tests.crd_bodies import Record, hook_call
from tests.exempting import exempted
from tests.integration.crd.door import HookClient, Said, answered, told
from tests.integration.crd.scenarios import OFFICE, place
from tests.integration.pas.door import CARE_UNMET, Client, Rows, claim_response
from tests.reviewing import CATALOGUE
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.exemption_assessment import withdraw
from wiser_fhir.priorauth.exemption_store import LossReason, held

NPI = "1999000122"
TODAY = date(2026, 11, 20)
PROCESS = CATALOGUE.process.exemption


async def asked(hooks: HookClient, line: Line) -> Said:
    record = Record.of(line)
    record.perform_by(NPI)
    order = record.order("64483", locationCode=place(OFFICE))
    return told(answered(await hooks.call(hook_call("order-sign", record, order))))


async def answers(hooks: HookClient, line: Line, pa_needed: str) -> Said:
    """What CRD says, once it says this: every process reads the list again each second."""
    for _ in range(200):
        said = await asked(hooks, line)
        if said.pa_needed == pa_needed:
            break
        await asyncio.sleep(0.05)
    return said


async def test_crd_says_so_and_a_request_is_dismissed(
    hooks: HookClient, pas: Client, line: Line, app_engine: AsyncEngine, rows: Rows
) -> None:
    await answers(hooks, line, "auth-needed")
    await exempted(app_engine, NPI, TODAY)
    assert (await answers(hooks, line, "no-auth")).reasons == ("gold-card",)
    sent = request_bundle(line, npi=NPI, site="11", facility_number=None)
    claim_response(await pas.at(line).submit(sent))
    (case,) = await rows.cases()
    assert (case["status"], case["dismissal_reason"]) == ("dismissed", "exempt-provider")


async def test_a_request_in_review_stays_there(
    hooks: HookClient, pas: Client, line: Line, app_engine: AsyncEngine, rows: Rows
) -> None:
    await answers(hooks, line, "auth-needed")
    site = {"npi": NPI, "site": "11", "facility_number": None}
    claim_response(await pas.at(line).submit(request_bundle(line, answers=CARE_UNMET, **site)))
    await exempted(app_engine, NPI, TODAY)
    await answers(hooks, line, "no-auth")
    (case,) = await rows.cases()
    assert case["status"] == "in-review"


async def test_an_exemption_that_ended_counts_no_more(
    hooks: HookClient, line: Line, app_engine: AsyncEngine
) -> None:
    await exempted(app_engine, NPI, date(2025, 10, 1))
    await answers(hooks, line, "no-auth")
    async with transaction(app_engine) as db:
        of = await held(db, NPI)
        lost_on = await withdraw(db, of, date(2026, 8, 2), PROCESS, LossReason.OPERATOR)
    assert lost_on == date(2026, 10, 1)
    await answers(hooks, line, "auth-needed")
