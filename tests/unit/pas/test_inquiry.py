"""What an inquiry asks for: numbers name, examples filter."""

from datetime import date
from typing import Any

import pytest

from tests.bundles import Json, Line, inquiry_bundle, valid_npi
from tests.unit.pas.reading import claim, of_kind
from wiser_fhir.fhir import codes
from wiser_fhir.pas.inquiry import inquiry
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.inquiry import Inquiry, ItemExample
from wiser_fhir.priorauth.models import ItemStatus

LINES: tuple[Line, ...] = ("2.2", "2.0")
REQUESTER = valid_npi("199999010")


def _read(bundle: Json) -> Inquiry:
    return inquiry(RequestBundle.of(bundle))


def _example(**elements: Any) -> ItemExample:
    bundle = inquiry_bundle(any_service=True)
    claim(bundle)["item"][0] |= elements
    (example,) = _read(bundle).items
    return example


def test_a_member_and_who_asks() -> None:
    assert _read(inquiry_bundle()) == Inquiry(
        mbi="1EG4TE5MK73", provider_npis=(REQUESTER,), requester_npi=REQUESTER
    )


@pytest.mark.parametrize("line", LINES)
def test_numbers_of_the_items(line: Line) -> None:
    found = _read(inquiry_bundle(line, reference="R1", utn=" ZZB1 "))
    assert found.references == ("R1",)
    assert found.utns == ("ZZB1",)


def test_numbers_of_the_claim_itself() -> None:
    bundle = inquiry_bundle(utn="ZZB1")
    claim(bundle)["extension"] = [
        {"url": codes.AUTHORIZATION_NUMBER, "valueString": "ZZB0"},
        {"url": codes.ADMINISTRATION_REFERENCE_NUMBER, "valueString": "R0"},
    ]
    found = _read(bundle)
    assert found.utns == ("ZZB0", "ZZB1")
    assert found.references == ("R0",)


def test_a_number_without_a_value_names_nothing() -> None:
    bundle = inquiry_bundle(any_service=True)
    claim(bundle)["item"][0]["extension"] = [{"url": codes.AUTHORIZATION_NUMBER}]
    assert _read(bundle).utns == ()


def test_the_identifier_of_the_inquiry_is_no_key() -> None:
    assert _read(inquiry_bundle(trace="one")) == _read(inquiry_bundle(trace="two"))


def test_codes_whatever_their_system() -> None:
    (first, second) = _read(inquiry_bundle(codes=("64483", "C8007"))).items
    assert (first.codes, second.codes) == (("64483",), ("C8007",))


def test_not_applicable_is_no_code() -> None:
    assert _example() == ItemExample()


def test_dates() -> None:
    day = date(2026, 12, 15)
    assert _example(servicedDate="2026-12-15") == ItemExample(starts=day, ends=day)
    period = {"start": "2026-12-01", "end": "2026-12-31"}
    assert _example(servicedPeriod=period) == ItemExample(
        starts=date(2026, 12, 1), ends=date(2026, 12, 31)
    )


@pytest.mark.parametrize(
    ("action", "status"),
    [
        ("A3", ItemStatus.NON_AFFIRMED),
        ("A4", ItemStatus.PENDED),
        ("C", ItemStatus.CANCELLED),
        ("NA", ItemStatus.NOT_APPLICABLE),
    ],
)
def test_a_review_action_is_a_status(action: str, status: ItemStatus) -> None:
    assert _example(extension=[_action(action)]) == ItemExample(status=status)


@pytest.mark.parametrize(("action", "modified"), [("A1", False), ("A6", True)])
def test_what_is_affirmed_is_so_as_asked_or_modified(action: str, modified: bool) -> None:
    expected = ItemExample(status=ItemStatus.AFFIRMED, modified=modified)
    assert _example(extension=[_action(action)]) == expected


@pytest.mark.parametrize("action", ["A2", "CT", "made-up"])
def test_an_action_that_is_never_given_is_like_nothing(action: str) -> None:
    assert _example(extension=[_action(action)]) == ItemExample(never=True)


def _action(code: str, system: str = codes.X12_ACTION) -> Json:
    concept = {"coding": [{"system": system, "code": code}]}
    return {"url": codes.REVIEW_ACTION_CODE, "valueCodeableConcept": concept}


@pytest.mark.parametrize("extension", [_action("A1", "urn:x"), {"url": codes.REVIEW_ACTION_CODE}])
def test_another_systems_action_filters_nothing(extension: Json) -> None:
    assert _example(extension=[extension]) == ItemExample()


def test_a_range_of_codes_has_a_last_one() -> None:
    last = {"coding": [{"system": "http://www.ama-assn.org/go/cpt", "code": "64495"}]}
    url = codes.PRODUCT_OR_SERVICE_CODE_END
    assert _example(extension=[{"url": url, "valueCodeableConcept": last}]).last_code == "64495"
    assert _example(extension=[{"url": url}]).last_code is None


def test_every_provider_named_counts_once() -> None:
    bundle = inquiry_bundle()
    care_team = {"sequence": 1, "provider": claim(bundle)["provider"]}
    number = {"system": codes.NPI, "value": valid_npi("199999055")}
    other = {"sequence": 2, "provider": {"type": "Practitioner", "identifier": number}}
    claim(bundle)["careTeam"] = [care_team, other]
    assert _read(bundle).provider_npis == (REQUESTER, valid_npi("199999055"))


def test_without_a_member_number_there_is_none() -> None:
    bundle = inquiry_bundle()
    patient, coverage = of_kind(bundle, "Patient"), of_kind(bundle, "Coverage")
    patient["identifier"], coverage["identifier"] = [], []
    del coverage["subscriberId"]
    assert _read(bundle).mbi is None
