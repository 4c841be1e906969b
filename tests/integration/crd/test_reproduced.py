"""What an EHR was told can be shown afterwards, and that it is what it was told (R1)."""

from datetime import timedelta
from hashlib import sha256

import orjson
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import Line
from tests.crd_bodies import Record, hook_call, usual_subject
from tests.integration.audit.chained import others_are_done
from tests.integration.crd.door import HookClient, answered
from tests.integration.pas.door import Rows
from tests.vaults import opened_call
from wiser_fhir.audit.chain import Keyring
from wiser_fhir.audit.sealing import TrailSealer
from wiser_fhir.audit.verifying import Verifier
from wiser_fhir.clock import utc_now

KEY = b"k" * 32


@pytest.mark.parametrize("hook", ["order-sign", "order-dispatch"])
async def test_the_answer_is_reproduced_from_the_record_and_the_chain_vouches_for_it(
    hook: str,
    hooks: HookClient,
    line: Line,
    rows: Rows,
    app_engine: AsyncEngine,
    owner_engine: AsyncEngine,
) -> None:
    record = Record.of(line)
    body = orjson.dumps(hook_call(hook, record, usual_subject(hook, record)))
    response = await hooks.call(body, hook)
    answered(response)
    await others_are_done(rows.engine)
    assert await TrailSealer(app_engine, Keyring.of(KEY), utc_now)() > 0

    [row] = await rows.all(f"select * from audit_event where action = 'cds-hooks.{hook}'")  # noqa: S608
    [stored] = await rows.all("select * from hook_call")
    kept = await opened_call(rows.engine, stored)
    assert row["detail"]["call"] == str(kept["id"])
    assert kept["response"] == response.content
    assert row["detail"]["response-sha256"] == sha256(kept["response"]).hexdigest()
    assert row["detail"]["request-sha256"] == sha256(body).hexdigest()
    told = {card["uuid"] for card in response.json()["cards"]}
    cards = await rows.all("select id from hook_card")
    assert {str(each["id"]) for each in cards} == told

    verifier = Verifier(owner_engine, Keyring.of(KEY), lambda: utc_now() + timedelta(hours=1))
    report = await verifier.verify()
    assert report.fault is None
    sealed = await rows.all("select audit_id from audit_seal")
    assert row["id"] in {each["audit_id"] for each in sealed}


async def test_what_was_fetched_is_told_in_the_row(
    hooks: HookClient, line: Line, rows: Rows
) -> None:
    record = Record.of(line)
    hook = "order-sign"
    answered(await hooks.call(hook_call(hook, record, usual_subject(hook, record)), hook))
    [row] = await rows.all("select detail from audit_event where action = 'cds-hooks.order-sign'")
    [kept] = await rows.all("select fetched from hook_call")
    assert row["detail"]["fetched"] == kept["fetched"]
