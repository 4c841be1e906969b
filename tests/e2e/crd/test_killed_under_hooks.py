"""The server is killed under hook calls: an answer that an EHR got is in the ledger, whole."""

import asyncio
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import text

from tests.bundle_resources import concept, procedure
from tests.bundle_values import Json
from tests.conformance.inferno.crd.resources import ICD_10
from tests.e2e.crd.calling import Caller, order_sign, said
from tests.e2e.crd.fake_ehr import ORDER, holdings
from tests.e2e.serving import Running, sandbox, serving
from tests.vaults import engine_of, opened_call
from wiser_fhir import exact
from wiser_fhir.db.embedded import Urls

KILLS = 4
CLIENTS = 6
SEED = 20261122
FIRST_ANSWER_WITHIN = 20.0
NOBODY = "https://ehr.sandbox.example/fhir"
ASKED = (("64483", "M54.16"), ("15275", "E11.621"), ("29877", "M17.11"), ("72148", "M54.16"))


@dataclass
class Journal:
    """What the clients know, by hookInstance: what they sent, and each answer they got in full."""

    sent: set[str] = field(default_factory=set)
    answered: dict[str, bytes] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)


def a_call(dice: random.Random) -> Json:
    """An order-sign of one to four orders, the EHR asked for nothing."""
    body = order_sign(NOBODY, "made-up")
    usual = holdings()[ORDER] | {"performer": [{"reference": "Practitioner/practitioner"}]}
    chosen = dice.sample(ASKED, dice.randint(1, len(ASKED)))
    orders = [
        usual
        | {"id": f"order-{n}", "code": procedure(code), "reasonCode": [concept(ICD_10, diagnosis)]}
        for n, (code, diagnosis) in enumerate(chosen)
    ]
    body["context"]["draftOrders"]["entry"] = [{"resource": each} for each in orders]
    return body


def call_until(stop: threading.Event, caller: Caller, dice: random.Random, log: Journal) -> None:
    """A client that calls, with a new JWT each time, until told or until nobody listens."""
    while not stop.is_set():
        body = a_call(dice)
        log.sent.add(body["hookInstance"])
        try:
            response = caller.call(body)
        except httpx.TransportError:
            return
        if response.status_code == httpx.codes.OK:
            log.answered[body["hookInstance"]] = response.content
        else:
            log.unexpected.append(f"{response.status_code} {response.text[:200]}")


def test_each_answer_is_in_the_ledger_and_none_is_half_there(
    empty_database: Urls, tmp_path: Path
) -> None:
    environment = sandbox(empty_database, tmp_path)
    log, dice = Journal(), random.Random(SEED)  # noqa: S311
    for _ in range(KILLS):
        with serving(environment) as server:
            _kill_under_load(server, Caller.of(server, environment), dice, log)
    assert log.unexpected == []
    assert len(log.answered) > KILLS
    asyncio.run(_check(empty_database, log))


def _kill_under_load(server: Running, caller: Caller, dice: random.Random, log: Journal) -> None:
    stop, before = threading.Event(), len(log.answered)
    clients = [
        threading.Thread(
            target=call_until,
            args=(stop, caller, random.Random(dice.random()), log),  # noqa: S311
        )
        for _ in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    patience = time.monotonic() + FIRST_ANSWER_WITHIN
    while len(log.answered) == before and time.monotonic() < patience:
        time.sleep(0.002)
    time.sleep(dice.uniform(0, 0.5))
    server.kill()
    stop.set()
    for client in clients:
        client.join(timeout=30)


async def _check(urls: Urls, log: Journal) -> None:
    async with engine_of(urls.superuser) as engine:
        async with engine.connect() as connection:
            found = (await connection.execute(text(_CALLS))).mappings().all()
            calls = {str(row["hook_instance"]): await opened_call(connection, row) for row in found}
        assert set(log.answered) <= set(calls) <= log.sent
        for instance, row in calls.items():
            answered = row["response"]
            assert log.answered.setdefault(instance, answered) == answered
            assert exact.loads(row["request"])["hookInstance"] == instance
            _check_parts(exact.loads(answered), row)


def _check_parts(told: Json, row: Any) -> None:
    """Each assertion and each card of an answer has its row, no other, and so has the call."""
    actions = [action["resource"] for action in told["systemActions"]]
    ids = {
        f"{order['resourceType']}/{order['id']}": said(order, "coverage-assertion-id")[0]
        for order in actions
    }
    assert dict(zip(row["orders"], row["assertions"], strict=True)) == ids
    assert set(row["cards"]) == {UUID(card["uuid"]) for card in told["cards"]}
    assert row["audits"] == 1


_CALLS = """
select c.organization_id, c.id, c.hook_instance, c.request, c.response,
    array(select a.id from coverage_assertion a where a.hook_call_id = c.id order by a.id)
        as assertions,
    array(select a.order_reference from coverage_assertion a where a.hook_call_id = c.id
        order by a.id) as orders,
    array(select k.id from hook_card k where k.hook_call_id = c.id) as cards,
    (select count(*) from audit_event e where e.request_id = c.request_id
        and e.action = 'cds-hooks.order-sign' and e.outcome = 'answered') as audits
from hook_call c
"""
