"""One Coverage is answered for: the patient's own, in force, of a payer that is ours."""

from typing import Any

import pytest

from tests.chart_resources import PAYERS, Json, chart, concept, order_sign, service_request
from tests.unit.crd.reading import TODAY, request_of
from wiser_fhir.crd.chart import Chart
from wiser_fhir.crd.focal_coverage import FocalCoverage, NoCoverage, focal_coverage
from wiser_fhir.crd.gather import Gathered
from wiser_fhir.priorauth.models import CoverageKind

SOPT = "https://nahdo.org/sopt"
FAILED = Gathered(failed=frozenset({"Coverage", "Organization/payer1"}))


def coverage(**elements: Any) -> Json:
    return chart()["Coverage/c1"] | elements


def payer(value: str = "original-medicare", system: str = PAYERS) -> Json:
    identifier = [{"system": system, "value": value}]
    return {"resourceType": "Organization", "id": "payer1", "identifier": identifier}


def focal(
    *resources: Any, gathered: Gathered | None = None, line: str | None = None, day: str = ""
) -> FocalCoverage:
    prefetch = {str(index): each for index, each in enumerate(resources)}
    order = service_request(occurrenceDateTime=day) if day else service_request()
    if not day:
        del order["occurrenceDateTime"]
    found = Chart.of(request_of(order_sign(order, prefetch=prefetch, line=line)))
    return focal_coverage(found, gathered or Gathered(), TODAY)


def cause(*resources: Any, gathered: Gathered | None = None, line: str | None = None) -> str:
    with pytest.raises(NoCoverage) as caught:
        focal(*resources, gathered=gathered, line=line)
    return caught.value.cause


def test_the_one_in_force() -> None:
    given = coverage(colour="blue")
    found = focal(given, payer())
    assert found.reference == "Coverage/c1"
    assert found.kind is CoverageKind.ORIGINAL_MEDICARE
    assert not found.ended
    assert found.received is not found.resource
    assert found.received == given


@pytest.mark.parametrize("kind", ["original-medicare", "medicare-advantage", "railroad"])
def test_a_payer_is_known_by_its_identifier(kind: str) -> None:
    untyped = {key: value for key, value in coverage().items() if key != "type"}
    assert focal(untyped, payer(kind)).kind == kind
    by_identifier = untyped | {"payor": [{"identifier": {"system": PAYERS, "value": kind}}]}
    assert focal(by_identifier).kind == kind


def test_a_type_tells_as_well() -> None:
    assert focal(coverage()).kind is CoverageKind.ORIGINAL_MEDICARE
    advantage = coverage(type=concept("111", SOPT))
    assert focal(advantage, payer("x")).kind is CoverageKind.MEDICARE_ADVANTAGE


class TestNone:
    def test_none_at_all(self) -> None:
        assert cause() == "none"
        assert cause(gathered=FAILED) == "unreachable"

    def test_a_payer_of_somebody_else(self) -> None:
        untold = coverage(type=concept("PPO", "http://x.example"))
        assert cause(untold, payer("acme", "http://payers.example")) == "foreign-payer"

    def test_medicaid_is_another_payers(self) -> None:
        by_type = coverage(type=concept("2", SOPT), payor=[{"display": "a state"}])
        assert cause(by_type) == "foreign-payer"
        untyped = {key: value for key, value in coverage().items() if key != "type"}
        assert cause(untyped, payer("medicaid")) == "foreign-payer"

    @pytest.mark.parametrize(
        "unnamed",
        [
            (coverage(), payer() | {"identifier": None}),
            (coverage(), payer() | {"identifier": [{"system": PAYERS}]}),
            (coverage(payor=[{"display": "Medicare"}]),),
            (coverage(payor=None),),
            (coverage(),),
        ],
    )
    def test_in_2_2_a_type_does_not_stand_in_for_a_payers_identifier(
        self, unnamed: tuple[Json, ...]
    ) -> None:
        assert cause(*unnamed, line="2.2") == "no-payer"
        assert focal(*unnamed).kind is CoverageKind.ORIGINAL_MEDICARE

    def test_an_identifier_of_a_contractor_beside_a_medicare_type(self) -> None:
        named = payer("1999000080", "http://hl7.org/fhir/sid/us-npi")
        assert focal(coverage(), named, line="2.2").kind is CoverageKind.ORIGINAL_MEDICARE

    def test_a_payer_that_could_not_be_read_may_have_one(self) -> None:
        found = focal(coverage(), gathered=FAILED, line="2.2")
        assert found.kind is CoverageKind.ORIGINAL_MEDICARE

    def test_no_payer_identifier(self) -> None:
        untold = coverage(type=None)
        assert cause(untold) == "no-payer"
        assert cause(untold, payer() | {"identifier": [{"system": PAYERS}]}) == "no-payer"
        assert cause(untold | {"payor": "x"}) == "no-payer"
        assert cause(untold, gathered=FAILED) == "unreachable"

    def test_several_in_force(self) -> None:
        assert cause(coverage(), coverage(id="c2")) == "several"

    def test_the_same_one_twice_is_one(self) -> None:
        assert focal(coverage(), coverage()).reference == "Coverage/c1"

    @pytest.mark.parametrize("status", ["entered-in-error", "draft"])
    def test_what_never_was_does_not_count(self, status: str) -> None:
        assert cause(coverage(status=status)) == "none"
        assert not focal(coverage(), coverage(id="c2", status=status)).ended

    def test_one_without_a_name_cannot_be_named(self) -> None:
        assert cause(coverage(id=None)) == "none"

    def test_another_patients(self) -> None:
        assert cause(coverage(beneficiary={"reference": "Patient/p2"})) == "none"


class TestEnded:
    def test_a_cancelled_one(self) -> None:
        assert focal(coverage(status="cancelled"), payer()).ended

    @pytest.mark.parametrize(
        ("end", "ended"),
        [("2026-11-19", True), ("2026-11-20", False), ("2026-11-20T01:00:00Z", False)],
    )
    def test_its_last_day_is_included(self, end: str, ended: bool) -> None:
        assert focal(coverage(period={"end": end}), payer()).ended is ended

    def test_the_one_in_force_counts_before_one_that_ended(self) -> None:
        old = coverage(id="c0", period={"end": "2025-12-31"})
        found = focal(old, coverage(), payer())
        assert (found.reference, found.ended) == ("Coverage/c1", False)

    def test_of_several_that_ended_the_last(self) -> None:
        first = coverage(id="c0", period={"end": "2024-12-31"})
        last = coverage(period={"end": "2025-12-31"})
        assert focal(first, last, payer()).reference == "Coverage/c1"

    def test_one_that_has_not_begun(self) -> None:
        assert focal(coverage(period={"start": "2026-11-21"}), payer()).ended
        assert not focal(coverage(period={"start": "2026-11-20"}), payer()).ended

    def test_the_day_of_service_says_which_is_in_force(self) -> None:
        now = coverage(id="now", period={"start": "2026-01-01", "end": "2026-12-31"})
        then = coverage(id="then", period={"start": "2027-01-01"})
        for day, expected in (("2027-01-12", "then"), ("2026-12-01", "now"), ("", "now")):
            found = focal(now, then, payer(), day=day)
            assert (found.reference, found.ended) == (f"Coverage/{expected}", False)
        assert focal(now, payer(), day="2027-01-12").ended


@pytest.mark.parametrize(
    ("covered", "fits"),
    [("1EG4TE5MK73", True), ("1eg4-te5-mk73", True), ("4HK7WH8QN16", False), (None, True)],
)
def test_a_coverage_with_another_medicare_number_is_not_the_patients(
    covered: str | None, fits: bool
) -> None:
    def mbi(value: str) -> list[Json]:
        return [{"system": "http://hl7.org/fhir/sid/us-mbi", "value": value}]

    patient = chart()["Patient/p1"] | {"identifier": mbi("1EG4TE5MK73")}
    told = coverage(identifier=mbi(covered) if covered else [])
    if fits:
        assert focal(patient, told, payer()).reference == "Coverage/c1"
    else:
        assert cause(patient, told, payer()) == "another-member"
