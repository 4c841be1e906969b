"""The discovery document: what it promises is what we do."""

import re
from typing import Any, get_args

import orjson
import pytest

from wiser_fhir.crd.card_table import Topic
from wiser_fhir.crd.configuration import DEFAULT_MAX_CARDS, MAX_CARDS, SWITCHES
from wiser_fhir.crd.hook_request import HOOKS, ORDER_TYPES
from wiser_fhir.fhir.codes import LINES
from wiser_fhir.resources import resource_path

DOCUMENT = orjson.loads((resource_path("capability") / "cds-services.json").read_bytes())
SERVICES: dict[str, Any] = {service["hook"]: service for service in DOCUMENT["services"]}
CARD_TYPES = frozenset(
    (
        *("coverage-info", "unsolicited-determ", "claim", "insurance", "limits", "network"),
        *("appropriate-use", "cost", "therapy-alternatives-opt", "therapy-alternatives-req"),
        *("clinical-reminder", "duplicate-therapy", "contraindication", "guideline"),
        "off-guideline",
    )
)
STANDARD_KEYS = frozenset(
    (
        *("patient", "encounter", "coverage", "devices", "medications", "practitionerRoles"),
        *("practitioners", "organizations", "locations", "deviceRequests", "serviceRequests"),
        *("medicationRequests", "nutritionOrders", "visionPrescriptions"),
        "communicationRequests",
    )
)
TOKEN = re.compile(r"\{\{(.+?)\}\}")


def test_there_is_one_service_for_each_hook() -> None:
    assert len(DOCUMENT["services"]) == len(HOOKS)
    assert set(SERVICES) == set(HOOKS)
    assert {hook: service["id"] for hook, service in SERVICES.items()} == {
        hook: f"{hook}-crd" for hook in HOOKS
    }


@pytest.mark.parametrize("hook", HOOKS)
def test_a_service_says_what_it_is_and_which_versions_it_speaks(hook: str) -> None:
    service = SERVICES[hook]
    assert service["title"].strip()
    assert service["description"].strip()
    assert sorted(service["extension"]["davinci-crd.version"]) == sorted(LINES)


@pytest.mark.parametrize("hook", HOOKS)
def test_the_options_offered_are_those_that_are_heard(hook: str) -> None:
    options = SERVICES[hook]["extension"]["davinci-crd.configuration-options"]
    assert [option["code"] for option in options] == [*SWITCHES, MAX_CARDS]
    assert [option["type"] for option in options] == ["boolean"] * len(SWITCHES) + ["integer"]
    assert [option["default"] for option in options] == [True] * len(SWITCHES) + [DEFAULT_MAX_CARDS]
    for field in ("code", "name", "description"):
        assert len({option[field] for option in options}) == len(options)
        assert all(option[field].strip() for option in options)


def test_options_for_kinds_of_answers_have_the_guides_own_codes() -> None:
    assert set(SWITCHES) <= CARD_TYPES
    assert set(get_args(Topic)) <= set(SWITCHES)


def test_the_options_are_the_same_on_every_hook() -> None:
    offered = [s["extension"]["davinci-crd.configuration-options"] for s in SERVICES.values()]
    assert all(options == offered[0] for options in offered)


@pytest.mark.parametrize("hook", HOOKS)
def test_prefetch_has_the_standard_keys_each_a_query_with_one_token_and_fixed_parts(
    hook: str,
) -> None:
    prefetch = SERVICES[hook]["prefetch"]
    assert {"patient", "encounter", "coverage"} <= set(prefetch) <= STANDARD_KEYS
    assert prefetch["coverage"] == "Coverage?patient={{context.patientId}}&status=active"
    for query in prefetch.values():
        assert len(TOKEN.findall(query)) == 1
        assert re.fullmatch(r"[A-Za-z]+(/|\?_id=|\?patient=)", query.partition("{{")[0])


@pytest.mark.parametrize("hook", HOOKS)
def test_a_token_names_only_the_context_and_keys_that_stand_before_it(hook: str) -> None:
    seen: set[str] = set()
    for key, query in SERVICES[hook]["prefetch"].items():
        for expression in TOKEN.findall(query)[0].split("|"):
            root = expression.partition(".")[0]
            assert root == "context" or root.removeprefix("%") in seen
            assert expression.endswith((".id", "patientId", "encounterId"))
        seen.add(key)


def test_every_type_of_order_can_be_dispatched() -> None:
    queries = SERVICES["order-dispatch"]["prefetch"].values()
    asked = {query.partition("?")[0] for query in queries if "dispatchedOrders" in query}
    assert asked == ORDER_TYPES
