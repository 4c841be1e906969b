"""The committed examples and the builder behind them: reproducible, valid, or broken on purpose."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bundle_values import MEMBERS, USUAL, Form, Item, valid_npi
from tests.bundles import (
    Json,
    Line,
    affirming_answers,
    as_bytes,
    inquiry_bundle,
    request_bundle,
)
from tests.conformance.examples import recipes
from tests.oracle.judge import Judge
from wiser_fhir.fhir.validation.validator import GuideValidator
from wiser_fhir.pas.operation_rules import submit_problems
from wiser_fhir.pas.request import RequestBundle

PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
PACKAGE = "http://hl7.org/fhir/us/davinci-dtr/StructureDefinition/dtr-qpackage-input-parameters"
LINES: tuple[Line, ...] = ("2.2", "2.0")
ANSWERS = affirming_answers(recipes.EPIDURAL)
# HL7's engine follows no urn:uuid that leads nowhere; that all is in the Bundle is PAS §spec-13.
ENGINE_LETS_PASS = {"_dangling_reference"}

REQUESTS: dict[str, dict[str, Any]] = {
    **{service: {"service": service, "answers": affirming_answers(service)} for service in USUAL},
    "no form": {},
    "no evidence": {"evidence": False, "answers": ANSWERS},
    "no order": {"order": False, "answers": ANSWERS},
    "hospital": {"site": "22", "answers": ANSWERS},
    "type of bill": {"site": "131"},
    "office": {"site": "11", "facility_number": None},
    "no state": {"state": None, "requestor_state": None},
    "foreign state": {"state": "CA"},
    "advantage plan": {"payer": "medicare-advantage"},
    "medicaid": {"payer": "medicaid"},
    "railroad": {"payer": "railroad"},
    "expedited": {"expedited": True},
    "resubmission": {"previous_utn": "ZZA12345678901", "answers": ANSWERS},
    "many items": {
        "codes": (
            "64483",
            Item("64484", quantity=2),
            Item("C1767", modifiers=("59", "LT"), revenue="0450", site="11"),
            Item("01937", quantity=None, service_end=recipes.DAYS["service_date"]),
        ),
        **recipes.DAYS,
    },
    "two diagnoses": {"diagnoses": ("M54.16", "M48.061")},
    "no diagnosis": {"diagnoses": ()},
    "bad MBI": {"mbi": "0EG4TE5MK73"},
    "another member": {"member": MEMBERS[4], "npi": valid_npi("199999077"), "ptan": None},
    "ordering clinician": {"ordering_npi": valid_npi("199999055")},
    "DTR Bundle": {"forms": (Form(ANSWERS, in_bundle=True),)},
    "two forms": {"forms": (Form(ANSWERS), Form(ANSWERS, origin="auto", version="2025-01-01"))},
    "form about another": {"forms": (Form(ANSWERS, about_another=True),)},
    "form without origins": {"forms": (Form(ANSWERS, origin=None),)},
    "form in progress": {"forms": (Form(ANSWERS, origin="override", status="in-progress"),)},
    "form without version": {"forms": (Form(ANSWERS, version=None),)},
}
INQUIRIES: dict[str, dict[str, Any]] = {
    "by reference": {"reference": "REF-1"},
    "by UTN": {"utn": "ZZA12345678901"},
    "by member": {},
    "any service": {"any_service": True},
    "by code": {"codes": ("64483", "C8007")},
}


def _built() -> dict[str, tuple[Line, str, Json]]:
    """Every Bundle that has to be valid: id -> line, profile, Bundle."""
    request, inquiry = (
        PAS + "profile-pas-request-bundle",
        PAS + "profile-pas-inquiry-request-bundle",
    )
    return {
        **{
            f"{line} request: {name}": (line, request, request_bundle(line, **fields))
            for line in LINES
            for name, fields in REQUESTS.items()
        },
        **{
            f"{line} inquiry: {name}": (line, inquiry, inquiry_bundle(line, **fields))
            for line in LINES
            for name, fields in INQUIRIES.items()
        },
        **{
            f"{line} example: {name}": (line, inquiry if "inquiry" in name else request, made(line))
            for line in LINES
            for name, made in recipes.RECIPES.items()
            if name != "epidural-broken"
        },
        **{f"{line} package": (line, PACKAGE, recipes.package_by_order(line)) for line in LINES},
    }


BUILT = _built()
FAULTS = [(line, fault) for line in LINES for fault in recipes.FAULTS[line]]
Fault = Callable[[Json], None]


@pytest.fixture(scope="module")
def validators() -> dict[Line, GuideValidator]:
    return {line: GuideValidator.load(line) for line in LINES}


@pytest.mark.parametrize("path", recipes.FILES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_the_builder_makes_the_committed_file(path: Path) -> None:
    assert path.read_bytes() == as_bytes(recipes.FILES[path]())


def test_no_file_lies_under_examples_without_a_recipe() -> None:
    hook_calls = set((recipes.FOLDER / "cds").glob("*.json"))  # held to their recipe elsewhere
    assert set(recipes.FOLDER.rglob("*.json")) - hook_calls == set(recipes.FILES)


def test_no_two_bundles_share_an_identifier_or_a_resource() -> None:
    made = [recipe() for recipe in recipes.BUNDLES.values()]
    names = [bundle["identifier"]["value"] for bundle in made]
    names += [entry["fullUrl"] for bundle in made for entry in bundle["entry"]]
    assert len(names) == len(set(names))


def test_licensed_wording_is_nowhere() -> None:
    for line, _, bundle in BUILT.values():
        assert b'"display"' not in as_bytes(bundle), line


@pytest.mark.parametrize("name", BUILT)
def test_our_validator_accepts_what_is_built(
    name: str, validators: dict[Line, GuideValidator]
) -> None:
    line, profile, bundle = BUILT[name]
    assert [p for p in validators[line].problems(bundle, profile) if p.severity == "error"] == []
    assert validators[line].accepts(bundle, profile)


@pytest.mark.parametrize(("line", "fault"), FAULTS, ids=lambda v: getattr(v, "__name__", v))
def test_our_validator_sees_each_fault_of_the_broken_example(
    line: Line, fault: Fault, validators: dict[Line, GuideValidator]
) -> None:
    bundle = recipes.affirmed(line)
    fault(bundle)
    refused = not validators[line].accepts(bundle, PAS + "profile-pas-request-bundle")
    assert refused or submit_problems(RequestBundle.of(bundle))


@pytest.mark.oracle
def test_the_engine_accepts_what_is_built(judge: Judge) -> None:
    asked = {name: judge.submit(bundle, line) for name, (line, _, bundle) in BUILT.items()}
    errors = {name: [i for i in said.result() if i.is_error] for name, said in asked.items()}
    assert {name: found for name, found in errors.items() if found} == {}


@pytest.mark.oracle
@pytest.mark.parametrize(("line", "fault"), FAULTS, ids=lambda v: getattr(v, "__name__", v))
def test_the_engine_sees_each_fault_of_the_broken_example(
    line: Line, fault: Fault, judge: Judge
) -> None:
    bundle = recipes.affirmed(line)
    fault(bundle)
    assert judge.is_valid(bundle, line) == (fault.__name__ in ENGINE_LETS_PASS)
