"""Which Coverage is certainly of no use, and which is let pass."""

from datetime import date
from typing import Any

import pytest

from tests.package_bodies import MBI, Json, a_call, a_coverage, an_order, parameter
from tests.unit.dtr.packing import TODAY, read
from wiser_fhir.dtr.coverage_faults import coverage_faults
from wiser_fhir.fhir.codes import Line
from wiser_fhir.priorauth.registry import BeneficiaryRecord, InMemoryRegistry

NOBODY, DEAD = "2EG4TE5MK73", "3EG4TE5MK73"
REGISTRY = InMemoryRegistry(
    beneficiaries={
        NOBODY: BeneficiaryRecord(mbi=NOBODY, nobody=True),
        DEAD: BeneficiaryRecord(mbi=DEAD, deceased=True),
    }
)
COVERAGE = "Parameters.parameter[0].resource"
NO_NUMBER = (
    "not-found",
    "The Coverage cannot be found: its member's number is no Medicare number.",
    COVERAGE,
)
NOBODY_S = (
    "not-found",
    "The Coverage cannot be found: nobody has its Medicare number.",
    COVERAGE,
)
CANCELLED = ("business-rule", "The Coverage is cancelled.", f"{COVERAGE}.status")
MISTAKEN = ("business-rule", "The Coverage was entered in error.", f"{COVERAGE}.status")
OVER = (
    "business-rule",
    "The Coverage was over before the day of the call and of every order.",
    f"{COVERAGE}.period.end",
)


def faults(call: Json, line: Line = "2.2", on: date = TODAY) -> list[tuple[str, str, str]]:
    found = coverage_faults(read(call, line), REGISTRY, on)
    assert {each.severity for each in found} <= {"error"}
    return [(each.code, each.text, each.expression or "") for each in found]


def without_number(**changes: Any) -> Json:
    return {key: value for key, value in a_coverage(**changes).items() if key != "subscriberId"}


@pytest.mark.parametrize(
    "coverage",
    [
        a_coverage(),
        # A registry that does not know a number says nothing against it.
        a_coverage(subscriberId="4EG4-TE5-MK73"),
        a_coverage(subscriberId=DEAD),
        without_number(),
        a_coverage(status="draft"),
        a_coverage(period={"start": "2030-01-01"}),
        a_coverage(period={"start": "2020-01-01", "end": "2026-06-01"}),
        a_coverage(period={"end": "2026"}),
    ],
)
def test_what_may_be_of_use_is_let_pass(coverage: Json) -> None:
    assert faults(a_call(an_order(), coverage=coverage)) == []


@pytest.mark.parametrize(
    ("coverage", "expected"),
    [
        (a_coverage(subscriberId=NOBODY), [NOBODY_S]),
        (a_coverage(subscriberId="12345"), [NO_NUMBER]),
        (a_coverage(subscriberId=f"{MBI}0"), [NO_NUMBER]),
        (a_coverage(status="cancelled"), [CANCELLED]),
        (without_number(status="entered-in-error"), [MISTAKEN]),
        (a_coverage(period={"end": "2026-05-31"}), [OVER]),
        (a_coverage(period={"end": "2025-12-31T23:59:59-05:00"}), [OVER]),
        (
            a_coverage(status="cancelled", subscriberId="x", period={"end": "2026-05-31"}),
            [CANCELLED, OVER, NO_NUMBER],
        ),
    ],
)
def test_what_is_certainly_of_none_is_told_with_every_reason(
    coverage: Json, expected: list[tuple[str, str, str]]
) -> None:
    for line in ("2.2", "2.0"):
        assert faults(a_call(an_order(), coverage=coverage), line) == expected


def test_a_coverage_that_was_in_force_on_a_day_of_service_is_none_that_is_over() -> None:
    ended = a_coverage(period={"end": "2026-05-31"})
    late = an_order(occurrenceDateTime="2026-05-31")
    assert faults(a_call(late, an_order(id="b"), coverage=ended)) == []
    too_late = an_order(occurrenceDateTime="2026-06-01")
    assert faults(a_call(too_late, coverage=ended)) == [OVER]


def test_one_of_several_is_enough() -> None:
    bad = a_coverage(id="other", status="cancelled")
    other = parameter("coverage", "resource", bad)
    assert faults(a_call(an_order(), more=(other,)), "2.0") == []
    assert faults(a_call(an_order(), coverage=bad, more=(other,)), "2.0") == [
        CANCELLED,
        ("business-rule", "The Coverage is cancelled.", "Parameters.parameter[2].resource.status"),
    ]


def test_the_number_of_the_patient_sent_along_counts() -> None:
    patient = {
        "resourceType": "Patient",
        "id": "patient-1",
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-mbi", "value": NOBODY}],
    }
    call = a_call(
        an_order(), coverage=without_number(), more=(parameter("referenced", "resource", patient),)
    )
    assert faults(call) == [NOBODY_S]
