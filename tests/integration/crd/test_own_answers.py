"""Whose an answer is that an order carries, and that nothing asked about stays without a word.

Source: CRD 2.2.1 §hook-16, §hook-19, §resp-29, §resp-35, §dev-24.
"""

import copy

import pytest

from tests.bundle_resources import concept, procedure
from tests.bundle_values import MEMBERS, Json, Line
from tests.crd_bodies import ENCOUNTER_HOOKS, Record, hook_call
from tests.integration.crd.door import Ehr, HookClient, answered, extensions_of, told


async def signed(hooks: HookClient, record: Record) -> Json:
    """An order as it comes back from order-sign."""
    body = hook_call("order-sign", record, record.order("64483"))
    [action] = answered(await hooks.call(body))["systemActions"]
    resource: Json = action["resource"]
    return resource


async def test_a_copied_order_gets_an_answer_of_its_own(hooks: HookClient, line: Line) -> None:
    record = Record.of(line)
    first = await signed(hooks, record)
    copied = copy.deepcopy(first) | {"id": "copy"}
    said = told(answered(await hooks.call(hook_call("order-sign", record, copied))))
    assert said.id != told({"systemActions": [{"resource": first}]}).id


async def test_another_patient_s_answer_is_none_of_this_order(
    hooks: HookClient, line: Line
) -> None:
    first = await signed(hooks, Record.of(line))
    other = Record.of(line, MEMBERS[1])
    order = other.order("64483") | {"extension": first["extension"]}
    said = told(answered(await hooks.call(hook_call("order-sign", other, order))))
    assert said.id != told({"systemActions": [{"resource": first}]}).id


async def test_a_supporting_hook_leaves_the_form_of_the_primary_one(
    hooks: HookClient, line: Line
) -> None:
    record = Record.of(line)
    order = await signed(hooks, record)
    answer = answered(await hooks.call(hook_call("order-select", record, order)))
    assert answer["systemActions"] == []
    moved = order | {"occurrenceDateTime": "2027-01-20"}
    assert answered(await hooks.call(hook_call("order-select", record, moved)))["systemActions"]


@pytest.mark.parametrize("status", [404, 500])
async def test_an_order_that_could_not_be_had_is_told_of_on_a_card(
    status: int, hooks: HookClient, ehr: Ehr, line: Line
) -> None:
    record = Record.of(line)
    body = hook_call("order-dispatch", record, record.order("64483"))
    del body["prefetch"]["orders"]
    ehr.trouble["ServiceRequest/order"] = status
    [card] = answered(await hooks.call(body))["cards"]
    assert card["summary"] == "One of the orders could not be had and has no answer"


async def test_an_order_about_somebody_else_is_not_said_to_break_fhir(
    hooks: HookClient, line: Line
) -> None:
    record = Record.of(line)
    bad, good = record.order("64483", name="bad"), record.order("64483", name="good")
    bad["subject"] = {"reference": "Patient/another"}
    answer = answered(await hooks.call(hook_call("order-sign", record, bad, good)))
    [card] = [each for each in answer["cards"] if "no answer" in each["summary"]]
    assert "could not be used" in card["summary"]
    assert "FHIR" not in card["detail"]
    assert "draftOrders" not in card["detail"]


@pytest.mark.parametrize("hook", ENCOUNTER_HOOKS)
async def test_a_visit_that_names_no_procedure_gets_no_action(
    hook: str, hooks: HookClient, line: Line
) -> None:
    record = Record.of(line)
    visit = concept("http://snomed.info/sct", "185349003")
    body = hook_call(hook, record, record.encounter(hook, type=[visit]))
    assert answered(await hooks.call(body)) == {"cards": [], "systemActions": []}
    named = record.encounter(hook, type=[procedure("64483")])
    assert told(answered(await hooks.call(hook_call(hook, record, named)))).billing == ("64483",)


@pytest.mark.parametrize(("line", "code"), [("2.2", "64483:50"), ("2.0", "64483")])
async def test_a_modifier_stands_behind_the_billing_code(
    code: str, line: Line, hooks: HookClient
) -> None:
    record = Record.of(line)
    order = record.order("64483") | {"code": procedure("64483-50")}
    answer = answered(await hooks.call(hook_call("order-sign", record, order)))
    said = told(answer)
    assert said.billing == (code,)
    assert any("with modifier 50" in str(detail["value"]) for detail in said.details)
    [action] = answer["systemActions"]
    assert len(extensions_of(action["resource"])) == 1
