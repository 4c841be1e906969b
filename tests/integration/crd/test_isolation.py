"""Nobody sees another organization's cases, assertions or calls; who has a part in one does."""

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import Line, valid_npi
from tests.conformance.inferno.crd.resources import NPIS
from tests.crd_bodies import HOOKS, Record, hook_call, usual_subject
from tests.database import become_app
from tests.integration.crd.conftest import AnotherEhr
from tests.integration.crd.door import Ehr, HookClient, answered, told
from tests.integration.crd.scenarios import SCENES, Stage
from tests.integration.pas.door import Client, Rows

STRANGE_NPI = valid_npi("199900088")
LEDGER = ("hook_call", "coverage_assertion", "hook_card", "card_feedback")


@pytest.fixture
def stage(line: Line, app: FastAPI, pas: Client, ehr: Ehr, app_engine: AsyncEngine) -> Stage:
    """Both doors, for one line."""
    return Stage(line, app, pas, ehr, app_engine)


@pytest.mark.parametrize("name", ["satisfied", "pended", "non-affirmed"])
@pytest.mark.parametrize("npis", [None, (STRANGE_NPI,)], ids=["a clearinghouse", "a provider"])
async def test_another_organization_s_cases_are_not_told(
    name: str,
    npis: tuple[str, ...] | None,
    stage: Stage,
    hooks: HookClient,
    another_ehr: AnotherEhr,
) -> None:
    scene = await SCENES[name](stage)
    other = await another_ehr(npis)
    response = await other.call(scene.call("order-sign"))
    assert told(answered(response)).pa_needed == "auth-needed"
    assert "satisfied" not in response.text
    for number in filter(None, (scene.number, scene.reference)):
        assert number not in response.text
    # It is there for whoever sent it.
    mine = (await hooks.call(scene.call("order-sign"))).text
    assert any(number in mine for number in (scene.number, scene.reference) if number)


async def test_who_performs_the_service_is_told_and_the_look_is_on_the_trail(
    stage: Stage, another_ehr: AnotherEhr, rows: Rows
) -> None:
    scene = await SCENES["satisfied"](stage)
    performer = await another_ehr((NPIS["practitioner"],))
    said = told(answered(await performer.call(scene.call("order-sign"))))
    assert (said.pa_needed, said.number) == ("satisfied", scene.number)
    looks = await rows.all(
        "select outcome, organization_id from audit_event where action = 'gate.standing-by-others'"
    )
    assert looks == [{"outcome": "found", "organization_id": performer.organization_id}]


@pytest.mark.parametrize("hook", HOOKS)
async def test_what_is_kept_of_a_call_is_seen_by_its_organization_alone(
    hook: str, hooks: HookClient, another_ehr: AnotherEhr, line: Line, superuser_engine: AsyncEngine
) -> None:
    record, other = Record.of(line), await another_ehr()
    about = usual_subject(hook, record)
    answered(await hooks.call(hook_call(hook, record, about)))
    for organization_id, seen in ((hooks.organization_id, True), (other.organization_id, False)):
        async with superuser_engine.connect() as db:
            await become_app(db, organization_id)
            for table in LEDGER[:2]:
                count = await db.scalar(text(f"select count(*) from {table}"))  # noqa: S608
                assert (count > 0) is seen, table


async def test_each_call_is_kept_under_who_called(
    hooks: HookClient, another_ehr: AnotherEhr, line: Line, rows: Rows
) -> None:
    record, other = Record.of(line), await another_ehr()
    body = hook_call("order-sign", record, record.order("64483"))
    for client in (hooks, other):
        answered(await client.call(body))
    kept = await rows.all("select organization_id, client_id from hook_call order by id")
    assert kept == [
        {"organization_id": each.organization_id, "client_id": each.client_id}
        for each in (hooks, other)
    ]
