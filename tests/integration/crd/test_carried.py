"""An order that comes with an answer already: ours, of another, made up, or overtaken.

Source: CRD 2.2.1 §resp-29, §resp-35, §resp-36, §resp-37, §resp-46; CRD 2.0.1, "Primary hooks".
"""

import copy
from uuid import UUID, uuid4

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import Json, Line
from tests.crd_bodies import ORDER_HOOKS, PRIMARY_HOOKS, Record, hook_call
from tests.integration.crd.conftest import AnotherEhr
from tests.integration.crd.door import (
    INFORMATION,
    Ehr,
    HookClient,
    answered,
    extensions_of,
    said_in,
    told,
    without_information,
)
from tests.integration.crd.scenarios import SCENES, Stage
from tests.integration.pas.door import Client, Rows
from tests.vaults import VAULT
from wiser_fhir.db.sealed import ASSERTION


async def first_answer(hooks: HookClient, record: Record, hook: str = "order-sign") -> Json:
    """The order as it comes back from a first call."""
    answer = answered(await hooks.call(hook_call(hook, record, record.order("64483"))))
    [action] = answer["systemActions"]
    resource: Json = action["resource"]
    return resource


def part(order: Json, url: str) -> Json:
    """One part of the only coverage-information of an order."""
    [extension] = extensions_of(order)
    found: list[Json] = [each for each in extension["extension"] if each["url"] == url]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize("hook", ORDER_HOOKS)
async def test_what_the_order_says_already_is_not_said_again(
    hook: str, hooks: HookClient, line: Line, rows: Rows
) -> None:
    record = Record.of(line)
    order = await first_answer(hooks, record, hook)
    kept = await rows.all("select id from coverage_assertion")
    answer = answered(await hooks.call(hook_call(hook, record, order)))
    if line == "2.0" and hook in PRIMARY_HOOKS:
        [action] = answer["systemActions"]
        assert action["resource"] == order
    else:
        assert answer["systemActions"] == []
    assert await rows.all("select id from coverage_assertion") == kept


async def test_it_is_the_same_answer_in_whatever_order_its_parts_come_back(
    hooks: HookClient, line: Line
) -> None:
    record = Record.of(line)
    order = await first_answer(hooks, record)
    [extension] = extensions_of(order)
    extension["extension"].reverse()
    extension["id"] = "of-the-ehr"
    answer = answered(await hooks.call(hook_call("order-sign", record, order)))
    told_again = [action["resource"] for action in answer["systemActions"]]
    assert told_again == {"2.2": [], "2.0": [order]}[line]


async def test_one_order_of_two_that_says_it_already(hooks: HookClient, line: Line) -> None:
    record = Record.of(line)
    known = await first_answer(hooks, record)
    new = record.order("64483", name="new")
    answer = answered(await hooks.call(hook_call("order-sign", record, known, new)))
    names = [action["resource"]["id"] for action in answer["systemActions"]]
    assert names == {"2.2": ["new"], "2.0": ["order", "new"]}[line]


async def test_an_answer_that_is_overtaken_is_replaced(
    hooks: HookClient, line: Line, app: FastAPI, pas: Client, ehr: Ehr, app_engine: AsyncEngine
) -> None:
    order = await first_answer(hooks, Record.of(line))
    scene = await SCENES["satisfied"](Stage(line, app, pas, ehr, app_engine))
    scene.order = order
    answer = answered(await hooks.call(scene.call("order-sign")))
    said = told(answer)  # there is one extension, not two
    assert (said.pa_needed, said.number) == ("satisfied", scene.number)
    assert said.id != part(order, "coverage-assertion-id")["valueString"]
    [action] = answer["systemActions"]
    assert without_information(action["resource"]) == without_information(order)


@pytest.mark.parametrize(
    ("url", "value"),
    [
        ("pa-needed", {"valueCode": "no-auth"}),
        ("covered", {"valueCode": "not-covered"}),
        ("questionnaire", {"valueCanonical": "https://elsewhere.example/Questionnaire/x"}),
    ],
)
async def test_an_answer_that_was_tampered_with_is_put_right(
    url: str, value: Json, hooks: HookClient, line: Line
) -> None:
    record = Record.of(line)
    order = await first_answer(hooks, record)
    changed = copy.deepcopy(order)
    [extension] = extensions_of(changed)
    extension["extension"] = [
        {"url": url, **value} if each["url"] == url else each for each in extension["extension"]
    ]
    said = told(answered(await hooks.call(hook_call("order-sign", record, changed))))
    assert (said.covered, said.pa_needed) == ("covered", "auth-needed")
    assert said.id != part(order, "coverage-assertion-id")["valueString"]


@pytest.mark.parametrize("forged", ["a UUID of nobody's", "a text", "none"])
async def test_an_id_that_we_never_gave_does_not_count(
    forged: str, hooks: HookClient, line: Line, rows: Rows
) -> None:
    record = Record.of(line)
    order = await first_answer(hooks, record)
    known = part(order, "coverage-assertion-id")
    if forged == "none":
        [extension] = extensions_of(order)
        extension["extension"].remove(known)
    else:
        known["valueString"] = str(uuid4()) if forged.startswith("a UUID") else "../x' or 1=1"
    said = told(answered(await hooks.call(hook_call("order-sign", record, order))))
    given = {row["id"] for row in await rows.all("select id from coverage_assertion")}
    assert said.id in given
    assert said.id != known.get("valueString")


async def test_what_another_payer_said_stays_as_it_is(hooks: HookClient, line: Line) -> None:
    record = Record.of(line)
    theirs = {
        "url": INFORMATION,
        "extension": [
            {"url": "coverage", "valueReference": {"reference": "Coverage/secondary"}},
            {"url": "covered", "valueCode": "covered"},
            {"url": "pa-needed", "valueCode": "no-auth"},
            {"url": "date", "valueDate": "2026-11-01"},
            {"url": "coverage-assertion-id", "valueString": "theirs-1"},
        ],
    }
    order = record.order("64483") | {"extension": [theirs]}
    answer = answered(await hooks.call(hook_call("order-sign", record, order)))
    [action] = answer["systemActions"]
    first, second = extensions_of(action["resource"])
    assert first == theirs
    assert said_in(second).coverage == "Coverage/coverage"
    again = answered(await hooks.call(hook_call("order-sign", record, action["resource"])))
    assert len(again["systemActions"]) == {"2.2": 0, "2.0": 1}[line]


async def test_an_assertion_of_another_organization_does_not_count(
    hooks: HookClient, another_ehr: AnotherEhr, line: Line
) -> None:
    record, other = Record.of(line), await another_ehr()
    order = await first_answer(hooks, record)
    theirs = part(order, "coverage-assertion-id")["valueString"]
    said = told(answered(await other.call(hook_call("order-sign", record, order))))
    assert said.id != theirs


async def test_each_answer_is_in_the_ledger_by_its_id(
    hooks: HookClient, line: Line, rows: Rows, superuser_engine: AsyncEngine
) -> None:
    """Source: CRD 2.2.1 §found-11, §resp-32, §resp-33."""
    record = Record.of(line)
    orders = [record.order("64483", name="one"), record.order("72148", name="two")]
    answer = answered(await hooks.call(hook_call("order-sign", record, *orders)))
    said = {name: told(answer, f"ServiceRequest/{name}") for name in ("one", "two")}
    assert said["one"].id != said["two"].id
    kept = {row["id"]: row for row in await rows.all("select * from coverage_assertion")}
    assert set(kept) == {each.id for each in said.values()}
    row = kept[said["one"].id]
    assert UUID(row["id"])
    assert row["organization_id"] == hooks.organization_id
    assert (row["order_reference"], row["coverage_reference"]) == (
        "ServiceRequest/one",
        "Coverage/coverage",
    )
    assert (row["situation"], row["service"], row["rules"]) == (
        "needs-authorization",
        "epidural-steroid-injection",
        "2026-01-15",
    )
    assert list(row["codes"]) == ["64483"]
    key = await VAULT.key(superuser_engine, hooks.organization_id)
    given = ASSERTION.open(key, row)["told"]["answer"]
    assert given["pa-needed"] == "auth-needed"
    assert given["line"] == line
    assert given["patient"] == f"Patient/{record.chart.patient_id}"
    [sent] = extensions_of(answer["systemActions"][0]["resource"])
    assert given["extension"] == sent
    assert kept[said["two"].id]["situation"] == "not-wiser"
