"""What is kept of a call, byte for byte but for the token, and what happens where it cannot be.

Source: CRD 2.2.1 §found-37, §found-38, §sec-6; security design, I5.
"""

from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.apps import sandbox_app
from tests.bundle_values import MEMBERS, Line
from tests.clocks import StillClock
from tests.crd_bodies import EHR, HOOKS, TOKEN, Record, hook_call, usual_subject
from tests.integration.crd.door import Ehr, HookClient, answered, seed_sandbox, told
from tests.integration.pas.door import NOW, ORIGIN, Rows, caller
from tests.integration.pas.test_failures import Cable, plugged
from tests.vaults import ENVIRONMENT, opened_call
from wiser_fhir import exact
from wiser_fhir.db.embedded import Urls


async def the_call(rows: Rows) -> dict[str, Any]:
    [row] = await rows.all("select * from hook_call")
    return await opened_call(rows.engine, row)


@pytest.mark.parametrize("hook", HOOKS)
async def test_a_call_is_kept_as_it_came_and_as_it_was_answered(
    hook: str, hooks: HookClient, line: Line, rows: Rows
) -> None:
    record = Record.of(line)
    about = usual_subject(hook, record)
    body = orjson.dumps(hook_call(hook, record, about), option=orjson.OPT_INDENT_2)
    response = await hooks.call(body, hook)
    answered(response)
    row = await the_call(rows)
    assert row["response"] == response.content
    assert row["request_sha256"] == sha256(body).digest()
    kept = row["request"]
    assert TOKEN.encode() not in kept
    starred = orjson.loads(body)
    starred["fhirAuthorization"]["access_token"] = "***"
    assert orjson.loads(kept) == starred
    assert (row["hook"], row["line"], row["status"]) == (hook, line, 200)
    assert row["service_id"] == f"{hook}-crd"
    assert row["client_id"] == hooks.client_id
    assert str(row["hook_instance"]) == starred["hookInstance"]
    assert row["received_at"] == NOW


@pytest.mark.parametrize(
    "spelt",
    [
        b'"access_token":"%s"',
        b'"access_token"  :\n "%s"',
        b'"access\\u005ftoken": "%s"',
        b'"access_token": "\\u006dade-up-token-of-the-ehr"',
    ],
)
async def test_no_spelling_of_the_token_is_kept(
    spelt: bytes, hooks: HookClient, line: Line, rows: Rows, ehr: Ehr
) -> None:
    record = Record.of(line)
    body = exact.dumps(hook_call("order-sign", record, record.order("64483")))
    usual = b'"access_token":"%s"' % TOKEN.encode()
    assert usual in body
    told_otherwise = spelt % TOKEN.encode() if b"%s" in spelt else spelt
    answered(await hooks.call(body.replace(usual, told_otherwise)))
    row = await the_call(rows)
    kept = row["request"]
    assert orjson.loads(kept)["fhirAuthorization"]["access_token"] == "***"
    assert b"made-up-token" not in kept
    assert b"ade-up-token" not in kept


@pytest.mark.parametrize(
    "number", ["1.00", "1e2", "0.10", "100.10", "12345678901234567890.5", "-0.0"]
)
async def test_numbers_go_back_and_are_kept_as_they_were_written(
    number: str, hooks: HookClient, line: Line, rows: Rows
) -> None:
    record = Record.of(line)
    order = record.order("64483", quantityQuantity={"value": exact.Number(number)})
    response = await hooks.call(hook_call("order-sign", record, order))
    answered(response)
    written = b'"quantityQuantity":{"value":%s}' % number.encode()
    assert written in response.content
    row = await the_call(rows)
    assert written in row["request"]


async def test_what_was_asked_of_the_ehr_is_counted(
    hooks: HookClient, ehr: Ehr, line: Line, rows: Rows
) -> None:
    """Source: CRD 2.2.1, CRDMetricData."""
    record = Record.of(line)
    ehr.holds = {"Location/location": record.held.pop("Location/location")}
    body = hook_call("order-sign", record, record.order("64483"))
    assert told(answered(await hooks.call(body))).pa_needed == "auth-needed"
    row = await the_call(rows)
    assert (row["fetched"], row["token_use"]) == (1, "used")
    assert ehr.asked == ["Location/location"]


async def test_a_token_that_the_ehr_does_not_take_is_noted(
    hooks: HookClient, ehr: Ehr, line: Line, rows: Rows
) -> None:
    record = Record.of(line)
    del record.held["Location/location"]
    ehr.trouble["Location/location"] = 401
    answered(await hooks.call(hook_call("order-sign", record, record.order("64483"))))
    row = await the_call(rows)
    assert (row["fetched"], row["token_use"]) == (0, "rejected")


async def test_every_answer_is_on_the_trail_and_nobody_is_named_there(
    hooks: HookClient, line: Line, rows: Rows
) -> None:
    record = Record.of(line)
    answered(await hooks.call(hook_call("order-sign", record, record.order("64483"))))
    assert ("cds-hooks.order-sign", "answered") in await rows.audit()
    trail = str(await rows.all("select * from audit_event"))
    for personal in (MEMBERS[0].mbi, MEMBERS[0].family, record.chart.patient_id, TOKEN):
        assert personal not in trail
    patients = await rows.all("select distinct patient from audit_event where patient is not null")
    assert len(patients) == 1


async def test_nobody_and_no_token_is_named_in_the_log(
    hooks: HookClient, line: Line, capfd: pytest.CaptureFixture[str]
) -> None:
    record = Record.of(line)
    answered(await hooks.call(hook_call("order-sign", record, record.order("64483"))))
    bad = hook_call("order-sign", record, record.order("64483")) | {"hookInstance": "Canarybird"}
    assert (await hooks.call(bad)).status_code in (400, 422)
    told_in_log = "".join(capfd.readouterr())
    for personal in (MEMBERS[0].mbi, MEMBERS[0].family, TOKEN, "Canarybird", EHR):
        assert personal not in told_in_log


# What cannot be kept is not said


@pytest.fixture
async def no_ledger(superuser_engine: AsyncEngine) -> AsyncIterator[None]:
    """Every transaction that writes an assertion fails at its very end."""
    steps = (
        "create function refuse_crd() returns trigger language plpgsql as"
        " $$ begin raise exception 'not today'; end $$",
        "create constraint trigger refuses_crd after insert on coverage_assertion"
        " deferrable initially deferred for each row execute function refuse_crd()",
    )
    async with superuser_engine.begin() as db:
        for step in steps:
            await db.execute(text(step))
    yield
    async with superuser_engine.begin() as db:
        await db.execute(text("drop trigger refuses_crd on coverage_assertion"))
        await db.execute(text("drop function refuse_crd"))


async def test_what_is_not_kept_is_not_said(
    hooks: HookClient, line: Line, rows: Rows, no_ledger: None
) -> None:
    record = Record.of(line)
    response = await hooks.call(hook_call("order-sign", record, record.order("64483")))
    assert response.status_code == 500
    assert response.content == b""
    assert await rows.all("select * from hook_call") == []


@pytest.fixture
async def cabled(
    database: Urls, clock: StillClock, tmp_path: Path, clean_database: None
) -> AsyncIterator[tuple[FastAPI, AsyncClient, Cable]]:
    """The app with its database behind a cable."""
    async with plugged(database.app, tmp_path) as (url, cable):
        running = sandbox_app(url, clock, tmp_path, ORIGIN, **ENVIRONMENT)
        async with running as app, caller(app) as http:
            yield app, http, cable


@pytest.mark.parametrize("known", [True, False], ids=["a known JWT", "a new JWT"])
async def test_without_its_database_it_asks_to_come_back(
    known: bool,
    cabled: tuple[FastAPI, AsyncClient, Cable],
    line: Line,
    superuser_engine: AsyncEngine,
    owner_engine: AsyncEngine,
    rows: Rows,
) -> None:
    _, http, cable = cabled
    hooks = await seed_sandbox(superuser_engine, owner_engine, http)
    record = Record.of(line)
    body = hook_call("order-sign", record, record.order("64483"))
    body.pop("fhirServer")
    body.pop("fhirAuthorization")
    path = "/cds-services/order-sign-crd"
    token = hooks.token(path)
    if known:
        answered(await hooks.post(path, body, token))
    await cable.pull()
    _is_transient(await hooks.post(path, body, token))
    _is_transient(await hooks.post(f"{path}/feedback", {"feedback": []}, token))
    assert (await http.get("/cds-services")).status_code == 200
    assert len(await rows.all("select * from hook_call")) == known


def _is_transient(answer: Response) -> None:
    assert (answer.status_code, answer.content) == (503, b"")
    assert int(answer.headers["retry-after"]) > 0
