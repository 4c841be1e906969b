"""Which of CRD's answers a request names."""

from typing import Any

import pytest

from tests.bundles import Json, Line, request_bundle
from tests.coverage_information import CRD, coverage_information
from wiser_fhir.pas.assertions import MOST, assertion_ids
from wiser_fhir.pas.request import RequestBundle

LINES: tuple[Line, ...] = ("2.2", "2.0")
ANYWHERE: Json = {"reference": "Coverage/1"}


def of_kind(bundle: Json, kind: str) -> Json:
    found: Json = next(
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind
    )
    return found


def named(bundle: Json) -> tuple[str, ...]:
    return assertion_ids(RequestBundle.of(bundle))


def test_most_requests_name_none() -> None:
    for line in LINES:
        assert named(request_bundle(line, answers={"esi-purpose": True})) == ()


@pytest.mark.parametrize("line", LINES)
def test_on_orders_and_forms_each_once(line: Line) -> None:
    bundle = request_bundle(line, answers={"esi-purpose": True})
    order, form = of_kind(bundle, "ServiceRequest"), of_kind(bundle, "QuestionnaireResponse")
    order["extension"] = [
        coverage_information(line, "a", ANYWHERE),
        coverage_information(line, "b", ANYWHERE),
    ]
    form.setdefault("extension", []).append(coverage_information(line, "b", ANYWHERE))
    form["contained"] = [
        {"resourceType": "Basic", "extension": [coverage_information(line, "c", ANYWHERE)]}
    ]
    assert sorted(named(bundle)) == ["a", "b", "c"]


def test_inside_a_bundle_of_forms() -> None:
    bundle = request_bundle("2.2")
    form = {
        "resourceType": "QuestionnaireResponse",
        "extension": [coverage_information("2.2", "deep", ANYWHERE)],
    }
    inner = {"resourceType": "Bundle", "entry": [{"resource": form}]}
    bundle["entry"].append({"fullUrl": "urn:uuid:1", "resource": inner})
    assert named(bundle) == ("deep",)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [{"url": "coverage-assertion-id"}],
        [{"url": "coverage-assertion-id", "valueString": ""}],
        [{"url": "coverage-assertion-id", "valueString": "x" * 201}],
        [{"url": "satisfied-pa-id", "valueString": "x"}],
    ],
)
def test_what_is_no_id_is_left(parts: list[dict[str, Any]]) -> None:
    bundle = request_bundle("2.2")
    told = {"url": f"{CRD}ext-coverage-information", "extension": parts}
    of_kind(bundle, "ServiceRequest")["extension"] = [told, {"url": "urn:another"}]
    assert named(bundle) == ()


def test_of_very_many_the_first_are_read() -> None:
    bundle = request_bundle("2.2")
    of_kind(bundle, "ServiceRequest")["extension"] = [
        coverage_information("2.2", f"id-{n}", ANYWHERE) for n in range(MOST + 5)
    ]
    assert len(named(bundle)) == MOST
