"""CDS Hooks JSON by HL7's logical models: the guide's samples, the input pack, and faults."""

import copy
import json
import tarfile
from collections.abc import Callable, Iterator

import pytest

from tests.conformance.crd.fields import Json
from tests.conformance.crd.test_shape import full_answer
from tests.conformance.inferno.crd.build import BODIES
from tests.oracle.hooks_judge import (
    BASE_REQUEST,
    BASE_RESPONSE,
    REQUEST,
    RESPONSE,
    SERVICES,
    HooksJudge,
)
from tests.oracle.judge import packages_folder

pytestmark = [pytest.mark.oracle, pytest.mark.xdist_group("hooks-judge")]

SAMPLES = {
    "CRDServiceRequest.json": REQUEST,
    "CRDServiceRequest2.json": REQUEST,
    "CRDServiceRequest3.json": REQUEST,
    "CRDServiceRequest4.json": REQUEST,
    "CRDServiceResponse.json": RESPONSE,
    "CRDServiceResponse2.json": RESPONSE,
    "CRDServices.json": SERVICES,
}


@pytest.fixture(scope="module")
def hooks_judge() -> Iterator[HooksJudge]:
    with HooksJudge() as running:
        yield running


def sample(name: str) -> Json:
    """A sample of CRD 2.2.1."""
    with tarfile.open(packages_folder() / "hl7.fhir.us.davinci-crd#2.2.1.tgz") as package:
        held = package.extractfile(f"package/other/{name}")
        assert held is not None
        found: Json = json.load(held)
        return found


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_of_the_guide_is_valid(name: str, hooks_judge: HooksJudge) -> None:
    assert hooks_judge.errors(sample(name), SAMPLES[name]) == []


@pytest.mark.parametrize("hook", BODIES)
def test_a_request_of_the_pack_is_valid(hook: str, hooks_judge: HooksJudge) -> None:
    for body in BODIES[hook]("2.2"):
        assert hooks_judge.errors(body, REQUEST) == []
        assert hooks_judge.errors(body, BASE_REQUEST) == []


def test_the_answer_that_passes_the_suite_s_tests_is_valid(hooks_judge: HooksJudge) -> None:
    assert hooks_judge.errors(full_answer(), BASE_RESPONSE) == []


FAULTS: dict[str, tuple[str, str, Callable[[Json], object]]] = {
    "no source": ("CRDServiceResponse.json", "cards[0]", lambda a: a["cards"][0].pop("source")),
    "no topic": (
        "CRDServiceResponse.json",
        "cards[0].source",
        lambda a: a["cards"][0]["source"].pop("topic"),
    ),
    "a field of its own": (
        "CRDServiceResponse.json",
        "cards[1]",
        lambda a: a["cards"][1].update(colour="red"),
    ),
    "an extension of its own": (
        "CRDServiceResponse.json",
        "cards[1].extension",
        lambda a: a["cards"][1]["extension"].update({"davinci-crd.colour": "red"}),
    ),
    "a request without context": (
        "CRDServiceRequest.json",
        "CDSHooksRequest",
        lambda a: a.pop("context"),
    ),
    "a request without server": (
        "CRDServiceRequest.json",
        "CDSHooksRequest",
        lambda a: a.pop("fhirServer"),
    ),
    "a service without description": (
        "CRDServices.json",
        "services[0]",
        lambda a: a["services"][0].pop("description"),
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_where_it_is(fault: str, hooks_judge: HooksJudge) -> None:
    name, place, change = FAULTS[fault]
    body = copy.deepcopy(sample(name))
    change(body)
    errors = hooks_judge.errors(body, SAMPLES[name])
    assert [error for error in errors if error.expression.endswith(place)], errors


def test_what_is_inside_a_resource_is_left_to_the_other_judge(hooks_judge: HooksJudge) -> None:
    body = sample("CRDServiceResponse.json")
    body["systemActions"][0]["resource"].pop("subject")
    assert hooks_judge.errors(body, RESPONSE) == []
