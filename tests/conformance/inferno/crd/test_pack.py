"""The input pack: what build.py makes, whole by the suite's tests of a request, valid by CRD."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bundle_values import Json, Line
from tests.conformance.crd.fields import kind_of
from tests.conformance.crd.profiles import errors
from tests.conformance.crd.request_fields import context_faults, optional_faults, required_faults
from tests.conformance.inferno.crd.build import (
    BODIES,
    EXAMPLES,
    FOLDER,
    LINES,
    SUITE,
    any_hook,
    files,
)
from tests.conformance.inferno.crd.resources import SERVICE_DAY
from tests.oracle.judge import Judge
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.crd.card_table import CARD_TYPES
from wiser_fhir.crd.hook_request import Hook, read_hook_request
from wiser_fhir.sandbox.suite import SuiteCards

CASES = [(line, hook) for line in LINES for hook in BODIES]


def resources(value: object) -> Iterator[Json]:
    """Every resource in a body, Bundles aside."""
    if isinstance(value, dict):
        if kind_of(value) not in (None, "Bundle"):
            yield value
        for inner in value.values():
            yield from resources(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from resources(inner)


def test_the_files_are_what_is_built() -> None:
    found = [*FOLDER.rglob("*.json"), *EXAMPLES.glob("*.json")]
    assert {file: file.read_text("utf-8") for file in found} == files()


@pytest.mark.parametrize(("line", "hook"), CASES)
def test_a_request_is_whole(line: Line, hook: str) -> None:
    for body in BODIES[hook](line):
        assert list(required_faults(hook, body)) == []
        assert list(optional_faults(body)) == []
        assert list(context_faults(hook, body["context"], lambda _: [])) == []
        version = body.get("extension", {}).get("davinci-crd.requestedVersion")
        assert version == {"2.2": "2.2", "2.0": None}[line]


@pytest.mark.parametrize(("line", "hook"), CASES)
def test_our_server_can_read_it(line: Line, hook: Hook) -> None:
    for body in BODIES[hook](line):
        request = read_hook_request(body, hook)
        assert (request.line, bool(request.in_scope)) == (line, True)


def test_the_one_body_for_any_hook_is_one() -> None:
    for line in LINES:
        assert list(required_faults(any_hook(line)["hook"], any_hook(line))) == []


def test_no_two_calls_are_one() -> None:
    instances = [b["hookInstance"] for line, hook in CASES for b in BODIES[hook](line)]
    assert len(set(instances)) == len(instances)


def test_every_hook_is_called_for_the_member_with_every_type_of_card() -> None:
    everything = [m.mbi for m in SuiteCards.load().file.members if m.types == CARD_TYPES]
    assert SUITE.mbi in everything
    for line, hook in CASES:
        assert any(f"patient-{SUITE.mbi.lower()}" in str(body) for body in BODIES[hook](line))


@pytest.mark.oracle
@pytest.mark.parametrize(("line", "hook"), CASES)
def test_every_resource_is_valid_for_both_judges(line: Line, hook: str, judge: Judge) -> None:
    for body in BODIES[hook](line):
        held = list(resources(body))
        for resource in held:
            at_hand = held if resource["resourceType"] == "Appointment" else []
            assert errors(judge, resource, line, at_hand) == []


@pytest.mark.parametrize("line", LINES)
def test_the_orders_are_for_services_of_the_catalogue(line: Line) -> None:
    services = Catalogue.load().services_on(SERVICE_DAY)
    known = {entry.code for service in services for entry in service.codes}
    ordered = {
        coding["code"]
        for body in BODIES["order-sign"](line)
        for resource in resources(body["context"])
        for coding in resource.get("code", {}).get("coding", ())
    }
    assert len(ordered & known) >= 6


def test_every_file_is_json_of_the_shape_its_field_takes() -> None:
    for file in FOLDER.rglob("*.json"):
        content = json.loads(Path(file).read_text("utf-8"))
        assert isinstance(content, dict if file.stem == "any-hook" else list)
