"""Calls about nobody or nothing that can be read; and what is no reason to refuse one."""

import copy
from collections.abc import Callable

import pytest

from tests.bundle_values import Json, Line
from tests.crd_bodies import HOOKS, PRIMARY_HOOKS, TOKEN, Record, hook_call, usual_call
from tests.integration.crd.door import (
    Ehr,
    HookClient,
    answered,
    told,
    without_information,
)
from tests.integration.pas.door import outcome_of

Change = Callable[[Json], object]

# CRD 2.2.1 §hook-13: what breaks FHIR or CDS Hooks is 400. CRD 2.0.1, "CRD Hooks": 400 is for what
# is no JSON, 422 for JSON that breaks the rules.
RULES_BROKEN: dict[Line, int] = {"2.2": 400, "2.0": 422}


# Whom it is about


def _two_coverages(record: Record) -> None:
    second = {**copy.deepcopy(record.held["Coverage/coverage"]), "id": "second"}
    record.held["Coverage/second"] = second


def _foreign_payer(record: Record) -> None:
    del record.held["Coverage/coverage"]["type"]
    record.held["Organization/payer"]["identifier"] = [
        {"system": "https://another-payer.example", "value": "1"}
    ]


def _no_payer_identifier(record: Record) -> None:
    del record.held["Coverage/coverage"]["type"]
    del record.held["Organization/payer"]["identifier"]


NO_COVERAGE: dict[str, Callable[[Record], object]] = {
    "none": lambda r: r.held.pop("Coverage/coverage"),
    "several": _two_coverages,
    "foreign-payer": _foreign_payer,
    "no-payer": _no_payer_identifier,
}


@pytest.mark.parametrize("hook", PRIMARY_HOOKS)
@pytest.mark.parametrize("cause", NO_COVERAGE)
async def test_without_one_coverage_of_ours_2_2_refuses_and_2_0_says_it_on_a_card(
    cause: str, hook: str, hooks: HookClient, line: Line
) -> None:
    """Source: CRD 2.2.1 §hook-13; the issue's ruling for 2.0."""
    record = Record.of(line)
    NO_COVERAGE[cause](record)
    about = record.appointment() if hook == "appointment-book" else record.order("64483")
    response = await hooks.call(hook_call(hook, record, about))
    if line == "2.2":
        assert outcome_of(response, 400)
        return
    answer = answered(response)
    assert answer["systemActions"] == []
    [card] = answer["cards"]
    assert card["indicator"] == "info"
    assert set(card) & {"links", "suggestions"} == set()


async def test_a_coverage_that_cannot_be_fetched_is_no_fault_of_the_call(
    hooks: HookClient, ehr: Ehr, line: Line
) -> None:
    """Source: CRD 2.2.1 §found-32, §found-34."""
    record = Record.of(line)
    del record.held["Coverage/coverage"]
    ehr.trouble["Coverage"] = 500
    answer = answered(await hooks.call(hook_call("order-sign", record, record.order("64483"))))
    assert answer["systemActions"] == []
    assert len(answer["cards"]) == 1


async def test_an_order_that_cannot_be_had_is_no_fault_of_the_call(
    hooks: HookClient, ehr: Ehr, line: Line
) -> None:
    """The EHR is in trouble: the answer is still a 200 with what is known. §found-32, §found-34."""
    record = Record.of(line)
    body = hook_call("order-dispatch", record, record.order("64483"))
    del body["prefetch"]["orders"]
    ehr.trouble["ServiceRequest/order"] = 500
    answer = answered(await hooks.call(body))
    assert answer["systemActions"] == []
    assert answer["cards"]


# Orders that are no FHIR

BAD_ORDERS: dict[str, Change] = {
    "a status of another type": lambda o: o.update(status=7),
    "a status that is none": lambda o: o.update(status="thinking"),
    "no subject": lambda o: o.pop("subject"),
    "a code that is a text": lambda o: o.update(code="64483"),
    "a day that is none": lambda o: o.update(occurrenceDateTime="tomorrow"),
    "somebody else's": lambda o: o.update(subject={"reference": "Patient/another"}),
}


@pytest.mark.parametrize("fault", BAD_ORDERS)
async def test_where_no_order_can_be_read_the_call_is_refused(
    fault: str, hooks: HookClient, line: Line
) -> None:
    """FHIR core broken: 400 in 2.2, as for a create; 422 in 2.0. Source: §hook-13; CRD-153."""
    record = Record.of(line)
    order = record.order("64483")
    BAD_ORDERS[fault](order)
    assert outcome_of(await hooks.call(hook_call("order-sign", record, order)), RULES_BROKEN[line])


@pytest.mark.parametrize("fault", BAD_ORDERS)
async def test_a_bad_order_spoils_nothing_for_the_others(
    fault: str, hooks: HookClient, line: Line
) -> None:
    record = Record.of(line)
    bad, good = record.order("64483", name="bad"), record.order("64483", name="good")
    BAD_ORDERS[fault](bad)
    answer = answered(await hooks.call(hook_call("order-sign", record, bad, good)))
    [action] = answer["systemActions"]
    assert without_information(action["resource"]) == good
    assert told(answer, "ServiceRequest/good").pa_needed == "auth-needed"
    about = [
        reference["reference"]
        for card in answer["cards"]
        for reference in card["extension"]["davinci-crd.associated-resource"]
    ]
    assert "ServiceRequest/bad" in about


async def test_no_orders_at_all_is_an_answer_without_any(hooks: HookClient, line: Line) -> None:
    record = Record.of(line)
    answer = answered(await hooks.call(hook_call("order-sign", record)))
    assert (answer["systemActions"], answer["cards"]) == ([], [])


# What is no reason to refuse


@pytest.mark.parametrize("hook", HOOKS)
async def test_what_nobody_expects_is_passed_over(hook: str, hooks: HookClient, line: Line) -> None:
    """Source: CRD 2.2.1 §found-33, §hook-23, §dev-17."""
    body = usual_call(line, hook)
    plain = told(answered(await hooks.call(copy.deepcopy(body))))
    odd = {"deep": [{"x": [1, None, "y"]}]}
    body |= {"userPreferences": odd, "n": 1.50}
    body["context"]["weather"] = odd
    body["prefetch"] |= {"nothing": None, "odd": odd, "text": "x", "list": [None, 3], "patient2": 1}
    body["fhirAuthorization"]["audience"] = "x"
    body.setdefault("extension", {})["com.example.x"] = odd
    said = told(answered(await hooks.call(body)))
    assert (said.covered, said.pa_needed) == (plain.covered, plain.pa_needed)


@pytest.mark.parametrize("kind", [" ", "", "\t", 7, None, [], {}, "Nonsense", "patient", "x" * 300])
async def test_a_resource_of_no_type_is_passed_over_wherever_it_stands(
    kind: object, hooks: HookClient, line: Line
) -> None:
    """Source: CRD 2.2.1 §found-33."""
    record = Record.of(line)
    odd = {"resourceType": kind, "id": "odd"}
    body = hook_call("order-sign", record, record.order("64483"))
    body["prefetch"] |= {
        "odd": odd,
        "among": {"resourceType": "Bundle", "entry": [{"resource": odd}]},
    }
    body["context"]["draftOrders"]["entry"].append({"resource": odd})
    answer = answered(await hooks.call(body))
    assert told(answer, "ServiceRequest/order").pa_needed == "auth-needed"


async def test_an_element_that_fhir_does_not_know_is_passed_over_and_goes_back(
    hooks: HookClient, line: Line
) -> None:
    record = Record.of(line)
    own = {"url": "https://ehr.sandbox.example/own", "valueString": "x"}
    order = record.order("64483") | {"favouriteColour": "red", "extension": [own]}
    order["code"]["weight"] = {"value": 3}
    answer = answered(await hooks.call(hook_call("order-sign", record, order)))
    [action] = answer["systemActions"]
    assert without_information(action["resource"]) == order
    assert told(answer).pa_needed == "auth-needed"


BUSINESS: dict[str, Callable[[Record, Json], object]] = {
    "no birth date": lambda r, o: r.held[f"Patient/{r.chart.patient_id}"].pop("birthDate"),
    "a diagnosis in words": lambda r, o: o.update(reasonCode=[{"text": "Back pain"}]),
    "no diagnosis": lambda r, o: o.pop("reasonCode"),
    "a code in words": lambda r, o: o.update(code={"text": "An injection into the back"}),
    "no code": lambda r, o: o.pop("code"),
    "nobody at hand": lambda r, o: [
        r.held.pop(name) for name in list(r.held) if name.startswith(("Pra", "Loc"))
    ],
    "another status": lambda r, o: o.update(status="active"),
}


@pytest.mark.parametrize("what", BUSINESS)
async def test_what_business_lacks_is_an_answer_and_no_error(
    what: str, hooks: HookClient, line: Line
) -> None:
    """Source: CRD-155, CRD-030, CRD-046, CRD-183."""
    record = Record.of(line)
    order = record.order("64483")
    BUSINESS[what](record, order)
    answer = answered(await hooks.call(hook_call("order-sign", record, order)))
    assert told(answer).covered == "covered"


async def test_no_prefetch_at_all_is_asked_of_the_ehr(
    hooks: HookClient, ehr: Ehr, line: Line
) -> None:
    record = Record.of(line)
    body = hook_call("order-sign", record, record.order("64483"))
    del body["prefetch"]
    ehr.holds = record.held
    assert told(answered(await hooks.call(body))).pa_needed == "auth-needed"
    assert ehr.tokens == {f"Bearer {TOKEN}"}


async def test_a_server_that_is_not_registered_is_asked_nothing(
    hooks: HookClient, ehr: Ehr, line: Line
) -> None:
    record = Record.of(line)
    body = hook_call("order-sign", record, record.order("64483"))
    del body["prefetch"]["locations"]
    body["fhirServer"] = "https://elsewhere.example/fhir"
    answered(await hooks.call(body))
    assert ehr.asked == []
