"""The input pack for the public suites: as built, whole, valid, and with every must support."""

import json
from datetime import date

import pytest

from tests.bundle_values import Json, Line
from tests.conformance.inferno.pas.build import (
    AFFIRMED,
    ASKED,
    EVERYTHING,
    FOLDER,
    LINES,
    NON_AFFIRMED,
    PENDED,
    UPDATED,
    VERSIONS,
    files,
    inputs,
)
from tests.conformance.pas.must_support import profile
from tests.conformance.pas.suite_input import (
    INQUIRE_PROFILES,
    ORDERS,
    SUBMIT_PROFILES,
    bundles,
    held,
    is_misplaced,
    resources,
    structure_faults,
)
from tests.oracle.judge import Issue, Judge, JudgeUnavailable
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.pas.operation_rules import submit_problems
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.rules import is_mbi
from wiser_fhir.sandbox.scenarios import Scenarios

NAMES = {line: list(inputs(line)) for line in LINES}
BUNDLES = [(line, name) for line in LINES for name in NAMES[line] if "payload" in name]
SUBSCRIPTIONS: dict[Line, str] = {
    "2.2": "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/profile-subscription",
    "2.0": "http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription",
}


def operation_of(name: str) -> str:
    return "inquire" if "inquire" in name else "submit"


def profile_of(name: str) -> str:
    return codes.INQUIRY_BUNDLE if operation_of(name) == "inquire" else codes.REQUEST_BUNDLE


def sent(line: Line, operation: str) -> list[Json]:
    """Every resource that a suite sends to an operation."""
    found = [
        bundle
        for name, content in inputs(line).items()
        if "payload" in name and operation_of(name) == operation
        for bundle in bundles(content)
    ]
    return resources(found)


def test_the_files_are_what_build_writes() -> None:
    found = sorted(FOLDER.rglob("*.json"))
    assert {file: file.read_text("utf-8") for file in found} == files()


def test_every_field_of_a_suite_has_its_file() -> None:
    common = {
        "subscription_resource",
        *(f"{each}_pa_submit_request_payload" for each in ("approval", "denial", "pended")),
        "pended_pa_inquire_request_payload",
        "must_support_pa_submit_request_payload",
        "must_support_pa_inquire_request_payload",
    }
    steps = ("initial", "add_item", "modify_cancel", "cancel_all")
    updates = {f"claim_update_{step}_submit_payload" for step in steps}
    found = {each: {f.stem for f in (FOLDER / each).glob("*.json")} for each in VERSIONS.values()}
    assert found == {"2.0.1": common, "2.2.1": common | updates}


@pytest.mark.parametrize(("line", "name"), BUNDLES)
def test_a_bundle_is_complete_in_its_references(line: Line, name: str) -> None:
    for bundle in bundles(inputs(line)[name]):
        assert list(structure_faults(bundle, operation_of(name))) == []


@pytest.mark.parametrize(("line", "name"), BUNDLES)
def test_our_server_can_read_it(line: Line, name: str) -> None:
    validator = GuideValidator.load(line)
    for bundle in bundles(inputs(line)[name]):
        problems = validator.problems(bundle, profile_of(name))
        assert [str(each) for each in problems if each.severity == "error"] == []
        if operation_of(name) == "submit":
            assert submit_problems(RequestBundle.of(bundle)) == []


@pytest.mark.oracle
@pytest.mark.parametrize(("line", "name"), BUNDLES)
def test_every_resource_is_valid_for_hl7s_engine(line: Line, name: str, judge: Judge) -> None:
    """Each by the profiles it claims, and the Bundle around them: as the suites judge."""
    for bundle in bundles(inputs(line)[name]):
        around = judge.validate(bundle, line, profile_of(name))
        outside = [i for i in wrong(around, line) if ".resource" not in i.expression]
        inside = [i for each in held(bundle) for i in wrong(judge.validate(each, line), line)]
        assert [i.text for i in (*outside, *inside)] == []


def wrong(issues: list[Issue], line: Line) -> list[Issue]:
    return [each for each in issues if each.is_error and not is_misplaced(each.text, line)]


@pytest.mark.oracle
@pytest.mark.parametrize("line", LINES)
def test_the_subscription_is_valid_for_hl7s_engine(line: Line, judge: Judge) -> None:
    asked = inputs(line)["subscription_resource"]
    assert isinstance(asked, dict)
    assert wrong(judge.validate(asked, line, SUBSCRIPTIONS[line]), line) == []


@pytest.mark.parametrize(
    ("line", "name"), [(line, name) for line in LINES for name in SUBMIT_PROFILES]
)
def test_the_requests_have_every_must_support(line: Line, name: str) -> None:
    assert missing(line, name, sent(line, "submit")) == []


@pytest.mark.parametrize(
    ("line", "name"), [(line, name) for line in LINES for name in INQUIRE_PROFILES]
)
def test_the_inquiries_have_every_must_support(line: Line, name: str) -> None:
    assert missing(line, name, sent(line, "inquire")) == []


def missing(line: Line, name: str, given: list[Json]) -> list[str]:
    try:
        return profile(line, f"profile-{name}").missing(given)
    except JudgeUnavailable as absent:
        pytest.skip(str(absent))


@pytest.mark.parametrize("line", LINES)
def test_orders_are_of_the_one_kind_that_is_complete(line: Line) -> None:
    """A suite wants every kind that it meets to be complete."""
    kinds = {each["resourceType"] for each in sent(line, "submit")}
    assert kinds & ORDERS == {"ServiceRequest"}


def test_no_two_bundles_of_a_line_share_an_identifier() -> None:
    for line in LINES:
        content = {name: inputs(line)[name] for name in NAMES[line] if "must_support" not in name}
        found = [
            bundle["identifier"]["value"]
            for name, each in content.items()
            if "payload" in name
            for bundle in bundles(each)
        ]
        assert len(set(found)) == len(found)


def test_each_update_names_the_claim_before_it() -> None:
    chain = [
        inputs("2.2")[f"claim_update_{step}_submit_payload"]
        for step in ("initial", "add_item", "modify_cancel", "cancel_all")
    ]
    claims = [next(held(each)) for each in chain if isinstance(each, dict)]
    assert [[item["sequence"] for item in claim["item"]] for claim in claims] == [
        [1, 2],
        [1, 2, 3],
        [1, 2, 3],
        [1, 2, 3],
    ]
    traces = [claim["identifier"][0]["value"] for claim in claims]
    for bundle, before in zip(chain[1:], traces[:-1], strict=True):
        assert isinstance(bundle, dict)
        *_, earlier = held(bundle)
        assert earlier["identifier"][0]["value"] == before
    assert "related" not in claims[0]


def test_the_members_are_test_members_of_the_sandbox() -> None:
    """Their numbers have the right shape, and the scripts are those that the suites need."""
    scripts = Scenarios.load()
    expected = {
        AFFIRMED: ("affirm", 0),
        NON_AFFIRMED: ("non-affirm", 0),
        PENDED: ("affirm", 5),
        EVERYTHING: ("everything", 0),
        ASKED["2.2"]: ("both", 0),
        ASKED["2.0"]: ("both", 0),
        UPDATED: ("affirm", 0),
    }
    for member, (script, seconds) in expected.items():
        found = scripts.of(member.mbi)
        assert found is not None
        assert (found.script, found.delay.total_seconds()) == (script, seconds)
        assert is_mbi(member.mbi)
        assert member.birth_date < date(1960, 1, 1)


def test_every_file_is_json_of_the_shape_its_field_takes() -> None:
    for file in FOLDER.rglob("*.json"):
        content = json.loads(file.read_text("utf-8"))
        assert isinstance(content, list if file.stem.startswith("must_support") else dict)
