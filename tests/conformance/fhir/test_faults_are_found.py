"""Faults put into the guide's own request: each is found, named, and told where."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from wiser_fhir.fhir.validation.packages import examples
from wiser_fhir.fhir.validation.validator import GuideValidator

Json = dict[str, Any]
PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"
PROFILE = PAS + "profile-pas-request-bundle"


@pytest.fixture(scope="module")
def request_bundle(packages: Path) -> Json:
    found = dict(examples(packages, "hl7.fhir.us.davinci-pas#2.2.1.tgz"))
    return found["Bundle-ReferralAuthorizationBundleExample.json"]


def entry(bundle: Json, kind: str) -> Json:
    found: Json = next(
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind
    )
    return found


def claim(bundle: Json) -> Json:
    return entry(bundle, "Claim")


def item(bundle: Json) -> Json:
    found: Json = claim(bundle)["item"][0]
    return found


def without_extension(node: Json, url: str) -> None:
    node["extension"] = [e for e in node["extension"] if not e["url"].endswith(url)]


def _twice(node: Json, url: str) -> None:
    node["extension"] += [copy.deepcopy(e) for e in node["extension"] if e["url"].endswith(url)][:1]


FAULTS: list[tuple[str, Callable[[Json], Any], str, str, str]] = [
    (
        "a number as a string",
        lambda b: item(b).update(sequence="1"),
        "Bundle.entry[0].resource.item[0].sequence",
        "value",
        "whole number",
    ),
    (
        "a whole number with a fraction",
        lambda b: item(b).update(sequence=1.0),
        "Bundle.entry[0].resource.item[0].sequence",
        "value",
        "whole number",
    ),
    (
        "an unknown gender",
        lambda b: entry(b, "Patient").update(gender="M"),
        "Bundle.entry[4].resource.gender",
        "code-invalid",
        "one of female, male, other, unknown expected",
    ),
    (
        "a slice missing",
        lambda b: without_extension(item(b), "serviceItemRequestType"),
        "Bundle.entry[0].resource.item[0].extension",
        "required",
        "slice requestType: 1..1 expected, 0 found",
    ),
    (
        "a slice twice",
        lambda b: _twice(item(b), "certificationType"),
        "Bundle.entry[0].resource.item[0].extension",
        "structure",
        "slice certificationType: 1..1 expected, 2 found",
    ),
    (
        "an element that the profile closes",
        lambda b: claim(b).update(related=[{"id": "x", "claim": {"reference": "Claim/1"}}]),
        "Bundle.entry[0].resource.related",
        "structure",
        "not allowed in profile-claim",
    ),
    (
        "an unknown element",
        lambda b: item(b).update(colour="red"),
        "Bundle.entry[0].resource.item[0].colour",
        "structure",
        "not known",
    ),
    (
        "a required element missing",
        lambda b: claim(b).pop("insurer"),
        "Bundle.entry[0].resource.insurer",
        "required",
        "at least 1 expected",
    ),
    (
        "another fixed code",
        lambda b: claim(b).update(use="claim"),
        "Bundle.entry[0].resource.use",
        "value",
        '"preauthorization" expected',
    ),
    (
        "an NPI of nine digits",
        lambda b: entry(b, "Organization")["identifier"][0].update(value="123456789"),
        "Bundle.entry[1].resource.identifier[0]",
        "invariant",
        "us-core-16",
    ),
    (
        "a reference to another type",
        lambda b: claim(b)["insurance"][0].update(
            coverage={"reference": claim(b)["patient"]["reference"]}
        ),
        "Bundle.entry[0].resource.insurance[0].coverage",
        "structure",
        "a reference to Coverage expected, Patient found",
    ),
    (
        "a day that no calendar has",
        lambda b: claim(b).update(created="2024-02-30"),
        "Bundle.entry[0].resource.created",
        "value",
        "dateTime",
    ),
    (
        "an empty array",
        lambda b: claim(b).update(diagnosis=[]),
        "Bundle.entry[0].resource.diagnosis",
        "structure",
        "empty array",
    ),
    (
        "null",
        lambda b: claim(b).update(billablePeriod=None),
        "Bundle.entry[0].resource.billablePeriod",
        "structure",
        "null",
    ),
    (
        "an extension where it may not stand",
        lambda b: (
            entry(b, "Patient")
            .setdefault("extension", [])
            .append(
                {"url": PAS + "extension-levelOfServiceCode", "valueCodeableConcept": {"text": "x"}}
            )
        ),
        "Bundle.entry[4].resource.extension[1]",
        "structure",
        "extension-levelOfServiceCode is not allowed here",
    ),
    (
        "an extension of the lines on the Claim itself",
        lambda b: claim(b).update(
            extension=[
                *claim(b).get("extension", ()),
                {"url": PAS + "extension-itemTraceNumber", "valueIdentifier": {"value": "x"}},
            ]
        ),
        "Bundle.entry[0].resource.extension[2]",
        "structure",
        "extension-itemTraceNumber is not allowed here",
    ),
    (
        "an unknown modifier extension",
        lambda b: claim(b).update(
            modifierExtension=[{"url": "https://x.example/stop", "valueBoolean": True}]
        ),
        "Bundle.entry[0].resource.modifierExtension[0]",
        "extension",
        "not known",
    ),
    (
        "a full URL twice",
        lambda b: b["entry"][1].update(fullUrl=b["entry"][2]["fullUrl"]),
        "Bundle",
        "invariant",
        "bdl-7",
    ),
    (
        "no full URL",
        lambda b: b["entry"][1].pop("fullUrl"),
        "Bundle.entry[1].fullUrl",
        "required",
        "at least 1 expected",
    ),
    (
        "another resource first",
        lambda b: b["entry"].reverse(),
        "Bundle",
        "invariant",
        "ClaimFirst",
    ),
    (
        "a target that breaks its profile",
        lambda b: entry(b, "Coverage").pop("payor"),
        "Bundle.entry[0].resource.insurance[0].coverage",
        "structure",
        "does not conform to profile-coverage",
    ),
    (
        "a code that its system does not have",
        lambda b: claim(b)["priority"]["coding"][0].update(code="bogus"),
        "Bundle.entry[0].resource.priority",
        "code-invalid",
        "'bogus' of http://terminology.hl7.org/CodeSystem/processpriority",
    ),
]


@pytest.mark.parametrize(
    ("change", "expression", "code", "words"),
    [case[1:] for case in FAULTS],
    ids=[case[0] for case in FAULTS],
)
def test_a_fault_is_named(
    change: Callable[[Json], Any],
    expression: str,
    code: str,
    words: str,
    request_bundle: Json,
    validators: dict[str, GuideValidator],
) -> None:
    bundle = copy.deepcopy(request_bundle)
    change(bundle)
    validator = validators["2.2"]
    assert not validator.accepts(bundle, PROFILE)
    problems = [p for p in validator.problems(bundle, PROFILE) if p.severity == "error"]
    found = [(p.expression, p.code) for p in problems if words in p.text]
    assert (expression, code) in found, problems


def test_every_problem_is_named_at_once_in_order_and_once(
    request_bundle: Json, validators: dict[str, GuideValidator]
) -> None:
    bundle = copy.deepcopy(request_bundle)
    for _, change, _, _, _ in FAULTS[:8]:
        change(bundle)
    problems = validators["2.2"].problems(bundle, PROFILE)
    assert len(set(problems)) == len(problems)
    assert {p.code for p in problems} >= {"value", "code-invalid", "required", "structure"}
    entries = [
        int(p.expression[13 : p.expression.index("]")])
        for p in problems
        if p.expression and "[" in p.expression
    ]
    assert entries == sorted(entries)


def test_no_problem_repeats_what_a_person_is_called(
    request_bundle: Json, validators: dict[str, GuideValidator]
) -> None:
    bundle = copy.deepcopy(request_bundle)
    patient = entry(bundle, "Patient")
    patient["name"] = [{"family": ["Mustermann"], "given": "Erika", "suffix": [7]}]
    patient["birthDate"] = "12. August 1964"
    patient["identifier"] = [{"system": "no uri", "value": {"secret": "T22000129"}}]
    text = " ".join(p.text for p in validators["2.2"].problems(bundle, PROFILE))
    for word in ("Mustermann", "Erika", "1964", "T22000129", "no uri"):
        assert word not in text


def test_only_base_faults_are_base_problems(
    request_bundle: Json, validators: dict[str, GuideValidator]
) -> None:
    bundle = copy.deepcopy(request_bundle)
    assert not [p for p in validators["2.2"].base_problems(bundle) if p.severity == "error"]
    without_extension(item(bundle), "serviceItemRequestType")
    claim(bundle)["use"] = "claim"
    assert not [p for p in validators["2.2"].base_problems(bundle) if p.severity == "error"]
    claim(bundle)["created"] = 7
    assert [p for p in validators["2.2"].base_problems(bundle) if p.severity == "error"]
    assert validators["2.2"].base_problems({"resourceType": "Nothing"})


def test_an_unknown_profile_is_a_key_error(validators: dict[str, GuideValidator]) -> None:
    with pytest.raises(KeyError):
        validators["2.2"].accepts({"resourceType": "Claim"}, "https://x.example/no-profile")


@pytest.mark.parametrize("line", ["2.2", "2.0"])
def test_supporting_resources_may_follow_any_us_core(
    line: str, validators: dict[str, GuideValidator]
) -> None:
    patient = {
        "resourceType": "Patient",
        "identifier": [{"system": "https://x.example/mrn", "value": "1"}],
        "name": [{"family": "F"}],
        "gender": "female",
    }
    canonical = "http://hl7.org/fhir/us/core/StructureDefinition/us-core-patient"
    for version in ("3.1.1", "6.1.0", "7.0.0"):
        assert validators[line].accepts(patient, f"{canonical}|{version}")
    assert not validators[line].accepts({**patient, "name": []}, canonical)
