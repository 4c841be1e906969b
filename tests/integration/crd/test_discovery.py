"""What discovery names is there, what is there it names, and every template can be read.

Source: CDS Hooks, "Discovery"; CRD 2.2.1 §dev-1, §dev-4 to §dev-9, §found-24, §found-29.
"""

import re
from collections import Counter
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from orjson import loads

from tests.crd_bodies import HOOKS, Record, hook_call, usual_subject
from tests.integration.crd.door import HookClient, service
from wiser_fhir.resources import resource_path

DOCUMENT: dict[str, Any] = loads((resource_path("capability") / "cds-services.json").read_bytes())
SERVICES: dict[str, Any] = {each["hook"]: each for each in DOCUMENT["services"]}
FIXED = ("userId", "patientId", "encounterId", "performer")
HELD: dict[str, tuple[str, ...]] = {
    "order-sign": ("draftOrders",),
    "order-select": ("draftOrders", "selections"),
    "order-dispatch": ("dispatchedOrders", "fulfillmentTasks"),
    "appointment-book": ("appointments",),
    "encounter-start": (),
    "encounter-discharge": (),
}


async def test_what_is_served_is_the_file(stranger: AsyncClient) -> None:
    answer = await stranger.get("/cds-services")
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == "application/json"
    assert answer.json() == DOCUMENT


async def test_every_service_that_is_named_is_there(hooks: HookClient) -> None:
    for each in DOCUMENT["services"]:
        for path in (service(each["hook"]), f"{service(each['hook'])}/feedback"):
            assert path.split("/")[2] == each["id"]
            answer = await hooks.post(path, {})
            assert answer.status_code in (400, 422), path


async def test_every_service_answers_to_its_own_hook_and_to_no_other(hooks: HookClient) -> None:
    for hook in HOOKS:
        record = Record.of("2.2")
        about = usual_subject(hook, record)
        body = hook_call(hook, record, about)
        taken = [each for each in HOOKS if (await hooks.call(body, each)).status_code == 200]
        assert taken == [hook]


def test_every_route_of_hooks_is_one_that_discovery_speaks_of(app: FastAPI) -> None:
    """Two templates and discovery itself; which ids they take is what the file says."""
    found = {
        (path, method)
        for path, methods in app.state.routes.paths().items()
        if path.startswith("/cds-services")
        for method in methods
    }
    assert found == {
        ("/cds-services", "GET"),
        ("/cds-services/{service_id}", "POST"),
        ("/cds-services/{service_id}/feedback", "POST"),
    }
    assert {each["hook"] for each in DOCUMENT["services"]} == set(HOOKS)


def test_ids_hooks_and_options_are_named_once() -> None:
    for name in ("id", "hook"):
        assert set(Counter(each[name] for each in DOCUMENT["services"]).values()) == {1}
    for each in DOCUMENT["services"]:
        options = each["extension"]["davinci-crd.configuration-options"]
        for name in ("code", "name", "description"):
            assert set(Counter(option[name] for option in options).values()) == {1}
        assert all(re.fullmatch("[a-z][a-z-]*", option["code"]) for option in options)
        kinds = {"boolean": bool, "integer": int}
        assert all(type(option["default"]) is kinds[option["type"]] for option in options)


# A template: a FHIR read or search, its one token a union of simple FHIRPath expressions.
# Source: CRD 2.2.1, Foundation, "Prefetch"; CDS Hooks 2.0, "Prefetch tokens".
QUERY = re.compile(
    r"(?P<kind>[A-Z][A-Za-z]+)(?P<sep>/|\?[a-z_]+=)\{\{(?P<token>[^{}]+)\}\}(?P<rest>.*)"
)
STEP = re.compile(r"[a-zA-Z]+|resolve\(\)|ofType\([A-Z][A-Za-z]+\)|extension\('https?://[^' ]+'\)")


def steps_of(expression: str) -> list[str]:
    """An expression, step by step; the dots of a URL part nothing."""
    return re.split(r"\.(?![^(]*\))", expression)


@pytest.mark.parametrize("hook", HOOKS)
def test_every_template_can_be_read(hook: str) -> None:
    told: list[str] = []
    for key, template in SERVICES[hook]["prefetch"].items():
        found = QUERY.fullmatch(template)
        assert found, template
        assert re.fullmatch("(&[a-z_]+=[a-zA-Z]+)*", found["rest"])
        for expression in found["token"].split("|"):
            root, first, *more = steps_of(expression)
            if root == "context":
                assert first in (*FIXED, *HELD[hook]), expression
            else:
                assert root.removeprefix("%") in told, expression
                assert root.startswith("%")
            assert all(STEP.fullmatch(step) for step in (first, *more)), expression
        told.append(key)


@pytest.mark.parametrize("hook", HOOKS)
def test_a_template_asks_for_resources_of_its_own_type(hook: str) -> None:
    for template in SERVICES[hook]["prefetch"].values():
        found = QUERY.fullmatch(template)
        assert found
        for expression in found["token"].split("|"):
            *_, last, end = steps_of(expression)
            wanted = last.removeprefix("ofType(").removesuffix(")")
            assert end in ("id", "patientId", "encounterId"), expression
            assert not last.startswith("ofType(") or wanted == found["kind"], expression
