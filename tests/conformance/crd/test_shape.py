"""The suite's tests said again: a full answer passes all of them, a fault fails the right one."""

import copy
from collections.abc import Callable

import pytest

from tests.conformance.crd.fields import Json
from tests.conformance.crd.profiles import COVERAGE_INFORMATION
from tests.conformance.crd.shape import (
    HOOKS,
    Call,
    across_hooks,
    check_response,
    crd_discovery_endpoint_test,
    crd_discovery_services_validation,
    demonstration,
    hook_group,
)

ORDER: Json = {"resourceType": "ServiceRequest", "id": "o1", "status": "draft"}
REQUEST: Json = {
    "hook": "order-sign",
    "hookInstance": "5a5d0b0c-0000-4000-8000-00000000c001",
    "fhirServer": "https://ehr.sandbox.example/fhir",
    "context": {
        "userId": "Practitioner/p1",
        "patientId": "b1",
        "draftOrders": {"resourceType": "Bundle", "entry": [{"resource": ORDER}]},
    },
}
SOURCE: Json = {"label": "Payer", "topic": {"code": "guideline", "system": "https://x.example"}}
TASK: Json = {
    "resourceType": "Task",
    "code": {"coding": [{"code": "complete-questionnaire"}]},
    "input": [{"type": {"text": "questionnaire"}, "valueCanonical": "https://x.example/q"}],
}


def card(**more: object) -> Json:
    return {"summary": "Something", "indicator": "info", "source": SOURCE, **more}


def suggesting(*actions: Json) -> Json:
    suggestions = [{"label": "Do it", "actions": list(actions)}]
    return card(selectionBehavior="any", suggestions=suggestions)


def link(kind: str) -> Json:
    return {"label": "There", "type": kind, "url": "https://x.example/there"}


def action(kind: str, resource: Json) -> Json:
    return {"type": kind, "description": "Does it", "resource": resource}


def informing(coverage: str = "Coverage/c1", assertion: str = "A-1") -> Json:
    parts: list[Json] = [
        {"url": "coverage", "valueReference": {"reference": coverage}},
        {"url": "coverage-assertion-id", "valueString": assertion},
    ]
    return {"url": COVERAGE_INFORMATION, "extension": parts}


def full_answer() -> Json:
    """One of every type of response."""
    return {
        "cards": [
            card(uuid="5a5d0b0c-0000-4000-8000-00000000c002", detail="Read this"),
            card(links=[link("absolute")]),
            card(links=[link("smart")]),
            suggesting(action("update", ORDER)),
            suggesting(action("create", {**ORDER, "id": "o2"})),
            suggesting(action("create", TASK)),
            suggesting(action("update", {"resourceType": "Coverage", "id": "c1"})),
        ],
        "systemActions": [action("update", {**ORDER, "extension": [informing()]})],
    }


def no_errors(_: Json) -> list[str]:
    return []


def outcomes(answer: Json, hook: str = "order-sign", request: Json = REQUEST) -> dict[str, str]:
    results = hook_group(hook, [Call(request, answer)], no_errors)
    return {name: result.outcome for name, result in results.items()}


def test_a_full_answer_passes_every_test() -> None:
    assert len(outcomes(full_answer())) == 15
    assert set(outcomes(full_answer()).values()) == {"pass"}
    assert check_response("order-sign", REQUEST, full_answer()) == []


def test_every_hook_has_its_number_of_tests() -> None:
    counts = {hook: len(hook_group(hook, [], no_errors)) for hook in HOOKS}
    demonstrated = demonstration(Call(REQUEST, full_answer()), no_errors)
    assert counts == dict.fromkeys(HOOKS, 13) | {"order-select": 15, "order-sign": 15}
    assert {r.outcome for r in demonstrated.values()} == {"pass"}
    assert 3 + len(demonstrated) + sum(counts.values()) + len(across_hooks([])) == 92


def test_an_answer_without_anything_to_say() -> None:
    assert check_response("order-select", REQUEST | {"hook": "order-select"}, {"cards": []}) == [
        "crd_service_request_context_validation: the context has no selections"
    ]
    assert outcomes({"cards": [], "systemActions": []}) == outcomes(full_answer()) | {
        "crd_external_reference_card_validation": "fail",
        "crd_launch_smart_app_card_validation": "skip",
        "crd_valid_instructions_card_received": "fail",
        "crd_coverage_info_system_action_received": "fail",
        "crd_coverage_info_system_action_validation": "skip",
        "crd_propose_alternate_request_card_validation": "skip",
        "crd_additional_orders_card_validation": "skip",
        "crd_request_form_completion_response_validation": "skip",
        "crd_create_or_update_coverage_info_response_validation": "skip",
    }
    assert check_response("order-sign", REQUEST, {"cards": [], "systemActions": []}) == [
        "crd_coverage_info_system_action_received: no answer has one"
    ]


RESPONSE = "crd_service_response_validation"
OPTIONAL = "crd_card_optional_fields_validation"
INFORMATION = "crd_coverage_info_system_action_validation"
ALTERNATE = "crd_propose_alternate_request_card_validation"
FORM = "crd_request_form_completion_response_validation"
DELETE: Json = {"type": "delete", "description": "Away", "resourceId": "ServiceRequest/o1"}


def resource(answer: Json) -> Json:
    found: Json = answer["systemActions"][0]["resource"]
    return found


FAULTS: dict[str, tuple[str, Callable[[Json], object]]] = {
    "no cards": (RESPONSE, lambda a: a.pop("cards")),
    "cards as an object": (RESPONSE, lambda a: a.update(cards={"summary": "x"})),
    "no system actions": (RESPONSE, lambda a: a.pop("systemActions")),
    "system actions as an object": (RESPONSE, lambda a: a.update(systemActions={})),
    "a summary of 140": (RESPONSE, lambda a: a["cards"][0].update(summary="x" * 140)),
    "an indicator of its own": (RESPONSE, lambda a: a["cards"][0].update(indicator="hint")),
    "an empty summary": (RESPONSE, lambda a: a["cards"][0].update(summary="")),
    "no label": (RESPONSE, lambda a: a["cards"][0].update(source={"topic": SOURCE["topic"]})),
    "no topic": (RESPONSE, lambda a: a["cards"][0].update(source={"label": "Payer"})),
    "a topic without system": (
        RESPONSE,
        lambda a: a["cards"][0].update(source={"label": "Payer", "topic": {"code": "x"}}),
    ),
    "an action without description": (RESPONSE, lambda a: a["systemActions"][0].pop("description")),
    "an action without resource": (RESPONSE, lambda a: a["systemActions"][0].pop("resource")),
    "an action of its own": (RESPONSE, lambda a: a["systemActions"][0].update(type="replace")),
    "a deletion of nothing": (
        RESPONSE,
        lambda a: a["systemActions"].append({**DELETE, "resourceId": "o1"}),
    ),
    "an empty detail": (OPTIONAL, lambda a: a["cards"][0].update(detail="")),
    "an empty list of links": (OPTIONAL, lambda a: a["cards"][0].update(links=[])),
    "a link to nowhere": (OPTIONAL, lambda a: a["cards"][1]["links"][0].update(url="there")),
    "a link of its own": (OPTIONAL, lambda a: a["cards"][1]["links"][0].update(type="relative")),
    "a page with a context": (OPTIONAL, lambda a: a["cards"][1]["links"][0].update(appContext="x")),
    "a reason without display": (
        OPTIONAL,
        lambda a: a["cards"][0].update(overrideReasons=[{"code": "x", "system": "y"}]),
    ),
    "no selection behaviour": (OPTIONAL, lambda a: a["cards"][3].pop("selectionBehavior")),
    "a suggestion without label": (
        OPTIONAL,
        lambda a: a["cards"][3]["suggestions"][0].pop("label"),
    ),
    "an empty list of actions": (
        OPTIONAL,
        lambda a: a["cards"][3]["suggestions"][0].update(actions=[]),
    ),
    "links of both types": (
        "crd_external_reference_card_validation",
        lambda a: a["cards"][1]["links"].append(link("smart")),
    ),
    "no card to read": (
        "crd_valid_instructions_card_received",
        lambda a: a["cards"].pop(0),
    ),
    "information about another type": (
        "crd_coverage_info_system_action_received",
        lambda a: resource(a).update(resourceType="Appointment"),
    ),
    "information that creates": (
        INFORMATION,
        lambda a: a["systemActions"][0].update(type="create"),
    ),
    "two assertions of a coverage": (
        INFORMATION,
        lambda a: resource(a)["extension"].append(informing(assertion="A-2")),
    ),
    "an assertion of two coverages": (
        INFORMATION,
        lambda a: resource(a)["extension"].append(informing("Coverage/c2")),
    ),
    "a change of an order not sent": (
        ALTERNATE,
        lambda a: a["cards"][3]["suggestions"][0]["actions"][0].update(
            resource={**ORDER, "id": "o9"}
        ),
    ),
    "a deletion with another type in its place": (
        ALTERNATE,
        lambda a: a["cards"].append(
            suggesting(DELETE, action("create", {"resourceType": "Device", "id": "d1"}))
        ),
    ),
    "a suggestion without actions": (
        FORM,
        lambda a: a["cards"][5]["suggestions"].append({"label": "No"}),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_fails_the_test_that_is_for_it(fault: str) -> None:
    test, change = FAULTS[fault]
    answer = full_answer()
    change(answer)
    assert outcomes(answer)[test] == "fail"


CARRIERS = {
    INFORMATION: "ServiceRequest",
    ALTERNATE: "ServiceRequest",
    "crd_additional_orders_card_validation": "ServiceRequest",
    FORM: "Task",
    "crd_create_or_update_coverage_info_response_validation": "Coverage",
}


@pytest.mark.parametrize("test", CARRIERS)
def test_an_invalid_resource_fails_the_test_that_looks_at_it(test: str) -> None:
    def errors(found: Json) -> list[str]:
        return ["invalid"] if found["resourceType"] == CARRIERS[test] else []

    results = hook_group("order-sign", [Call(REQUEST, full_answer())], errors)
    assert results[test].faults == ("invalid",)
    assert f"{test}: invalid" in check_response("order-sign", REQUEST, full_answer(), errors)


def test_what_one_answer_lacks_another_may_have() -> None:
    nothing: Json = {"cards": [], "systemActions": []}
    calls = [Call(REQUEST, nothing), Call(REQUEST, full_answer())]
    assert {r.outcome for r in hook_group("order-sign", calls, no_errors).values()} == {"pass"}
    failed = hook_group("order-sign", [*calls, Call(REQUEST, nothing, 422)], no_errors)
    assert failed["crd_service_call_test"].faults == ("status 422",)


def test_one_hook_is_enough_for_what_is_wanted_across_hooks() -> None:
    good = hook_group("order-sign", [Call(REQUEST, full_answer())], no_errors)
    assert {r.outcome for r in across_hooks([{}, good]).values()} == {"pass"}
    assert {r.outcome for r in across_hooks([{}]).values()} == {"skip"}


REQUEST_FAULTS: dict[str, tuple[str, Callable[[Json], object]]] = {
    "another hook": ("required_fields", lambda r: r.update(hook="order-select")),
    "an instance that is no UUID": ("required_fields", lambda r: r.update(hookInstance="1")),
    "a token for nowhere": (
        "required_fields",
        lambda r: (r.pop("fhirServer"), r.update(fhirAuthorization={"access_token": "t"})),
    ),
    "half a token": ("optional_fields", lambda r: r.update(fhirAuthorization={"scope": "s"})),
    "an empty prefetch": ("optional_fields", lambda r: r.update(prefetch={})),
    "no user": ("context", lambda r: r["context"].pop("userId")),
    "a user of another type": ("context", lambda r: r["context"].update(userId="Device/d")),
    "a patient by reference": ("context", lambda r: r["context"].update(patientId="Patient/b1")),
    "no orders": ("context", lambda r: r["context"]["draftOrders"].update(entry=[])),
    "an order without id": (
        "context",
        lambda r: r["context"]["draftOrders"]["entry"][0]["resource"].pop("id"),
    ),
}


@pytest.mark.parametrize("fault", REQUEST_FAULTS)
def test_a_faulty_request_is_known(fault: str) -> None:
    part, change = REQUEST_FAULTS[fault]
    request = copy.deepcopy(REQUEST)
    change(request)
    found = outcomes(full_answer(), request=request)
    assert found[f"crd_service_request_{part}_validation"] == "fail"


def test_discovery_lists_services_that_say_what_they_are() -> None:
    service = {"hook": "order-sign", "description": "Says", "id": "crd-order-sign"}
    body: Json = {"services": [service]}
    assert crd_discovery_endpoint_test(200, body).outcome == "pass"
    assert crd_discovery_endpoint_test(401, body).outcome == "fail"
    assert crd_discovery_services_validation(body).outcome == "pass"
    assert crd_discovery_services_validation({"services": []}).outcome == "skip"
    assert crd_discovery_services_validation({}).outcome == "fail"
    for name in service:
        lacking = {"services": [service, {**service, name: ""}]}
        assert crd_discovery_services_validation(lacking).outcome == "fail"
