"""Whatever came along can be found again, and nothing that came along can break the reading."""

import copy
from typing import Any

import pytest

from tests.chart_resources import SERVER, Json, bundle, order_sign, service_request
from tests.unit.crd.reading import request_of
from wiser_fhir.crd.chart import Chart, lost_its_patient
from wiser_fhir.intake.shapes import readable

PATIENT: Json = {"resourceType": "Patient", "id": "p1"}


def chart_of(prefetch: Any, *orders: Json) -> Chart:
    return Chart.of(request_of(order_sign(*orders, prefetch=prefetch)))


def reference(text: Any) -> Json:
    return {"reference": text}


class TestShapes:
    def test_a_copy_with_what_is_well_shaped(self) -> None:
        found = readable(
            {
                "resourceType": "Patient",
                "id": "p1",
                "name": [None, "x", {"family": 7, "given": ["Ada", None, 3]}],
                "identifier": {"system": "a"},
                "deceasedBoolean": "no",
                "colour": "blue",
            }
        )
        assert found == {
            "resourceType": "Patient",
            "id": "p1",
            "name": [{"given": ["Ada"]}],
            "contained": [],
        }

    @pytest.mark.parametrize("nothing", [None, [], "x", 7, {}, {"resourceType": 7}, {"id": "x"}])
    def test_what_is_no_resource(self, nothing: Any) -> None:
        assert readable(nothing) is None

    def test_a_type_nobody_reads_keeps_what_all_have(self) -> None:
        found = readable({"resourceType": "Basic", "id": "b", "subject": reference("Patient/1")})
        assert found is not None
        assert found["subject"] == reference("Patient/1")

    def test_numbers_and_truths_are_not_mixed_up(self) -> None:
        order = service_request(quantityQuantity={"value": True}, doNotPerform=1)
        found = readable(order) or {}
        assert "quantityQuantity" not in found
        assert "doNotPerform" not in found


class TestPrefetch:
    @pytest.mark.parametrize(
        "value",
        [
            PATIENT,
            bundle(PATIENT),
            [PATIENT],
            [None, bundle(None, 7, PATIENT)],
            {"resourceType": "Bundle", "entry": [None, {"resource": PATIENT, "fullUrl": 7}]},
        ],
    )
    def test_a_resource_in_any_shape_under_any_key(self, value: Any) -> None:
        assert chart_of({"anything": value}).patient["id"] == "p1"

    @pytest.mark.parametrize(
        "value",
        [None, "x", 7, [], [[PATIENT]], {}, bundle(), {"resourceType": "Bundle", "entry": "x"}],
    )
    def test_shapes_that_hold_nothing(self, value: Any) -> None:
        chart = chart_of({"patient": value})
        assert chart.patient == {}
        assert chart.of_type("Patient") == ()

    def test_another_patients_resources_are_dropped(self) -> None:
        other = {
            "resourceType": "Coverage",
            "id": "x",
            "beneficiary": reference(f"{SERVER}/Patient/p2"),
        }
        mine = {"resourceType": "Coverage", "id": "y", "beneficiary": reference("Patient/p1")}
        unsaid = {"resourceType": "Coverage", "id": "z", "beneficiary": reference("urn:uuid:7")}
        chart = chart_of({"coverage": bundle(other, mine, unsaid)})
        assert [each["id"] for each in chart.of_type("Coverage")] == ["y", "z"]

    def test_the_first_of_a_name_counts(self) -> None:
        chart = chart_of({"a": PATIENT | {"birthDate": "1950-01-01"}, "b": PATIENT})
        assert len(chart.of_type("Patient")) == 1
        assert chart.patient["birthDate"] == "1950-01-01"

    def test_a_coverage_search_that_lost_its_patient_is_not_believed(self) -> None:
        coverage = {"resourceType": "Coverage", "id": "c"}
        lost = [{"relation": "self", "url": f"{SERVER}/Coverage?status=active"}]
        kept = [{"relation": "self", "url": f"{SERVER}/Coverage?patient=p1&status=active"}]
        for links, expected in ((lost, 0), (kept, 1), ([], 1)):
            chart = chart_of({"coverage": bundle(coverage) | {"link": links}})
            assert len(chart.of_type("Coverage")) == expected

    @pytest.mark.parametrize(
        ("links", "lost"),
        [
            (None, False),
            ("x", False),
            ([None, 7, {}, {"relation": "self"}, {"relation": "next", "url": "x"}], False),
            ([{"relation": "self", "url": "Coverage"}], True),
            ([{"relation": "self", "url": "Coverage?patient:Patient=p1"}], False),
            ([{"relation": "self", "url": f"{SERVER}/Practitioner?_id=1"}], False),
        ],
    )
    def test_what_a_self_link_tells(self, links: Any, lost: bool) -> None:
        assert lost_its_patient({"link": links}) is lost


class TestTargets:
    @pytest.mark.parametrize(
        "text",
        [
            "Practitioner/1",
            f"{SERVER}/Practitioner/1",
            "Practitioner/1/_history/3",
            " Practitioner/1 ",
            "https://proxy.example/r4/Practitioner/1",
        ],
    )
    def test_a_reference_in_any_form(self, text: str) -> None:
        chart = chart_of({"x": {"resourceType": "Practitioner", "id": "1"}})
        assert (chart.target({}, reference(text)) or {}).get("id") == "1"

    def test_full_urls(self) -> None:
        place = {"resourceType": "Location", "id": "1"}
        entry = {"fullUrl": "urn:uuid:abc", "resource": place}
        chart = chart_of({"x": {"resourceType": "Bundle", "entry": [entry]}})
        assert chart.get("urn:uuid:abc") == chart.get("Location/1")
        assert chart.received("urn:uuid:abc") == place
        assert chart.get("https://a.example/Location/1") == chart.get("Location/1")

    def test_a_resource_of_another_host_is_another(self) -> None:
        place = {"resourceType": "Location", "id": "1"}
        entry = {"fullUrl": "https://one.example/fhir/Location/1", "resource": place}
        chart = chart_of({"x": {"resourceType": "Bundle", "entry": [entry]}})
        assert chart.get("https://two.example/fhir/Location/1") is None
        assert chart.get("https://one.example/other/Location/1") is not None

    @pytest.mark.parametrize(
        "broken", [None, {}, reference(""), reference("#"), reference("#x"), reference("Patient")]
    )
    def test_what_leads_nowhere(self, broken: Any) -> None:
        chart = chart_of({})
        assert chart.target({"resourceType": "ServiceRequest"}, broken) is None
        assert chart.get("urn:uuid:none") is chart.received("x") is None
        assert chart.as_received({}) is None

    def test_contained_resources_that_lead_in_a_circle(self) -> None:
        role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": reference("#d")}
        doctor = {"resourceType": "Practitioner", "id": "d", "contained": [{"id": 7}]}
        order = service_request(contained=[role, doctor, None, 7], requester=reference("#r"))
        chart = chart_of({}, order)
        view = chart.get("ServiceRequest/sr1") or {}
        found = chart.target(view, view["requester"]) or {}
        assert found["id"] == "r"
        assert (chart.target(found, found["practitioner"]) or {})["id"] == "d"
        assert chart.target(found, reference("#r")) is found

    def test_the_very_resource_goes_back(self) -> None:
        body = order_sign(service_request(colour="blue"))
        chart = Chart.of(request_of(body))
        received = chart.received("ServiceRequest/sr1")
        assert received is body["context"]["draftOrders"]["entry"][0]["resource"]
        view = chart.get("ServiceRequest/sr1")
        assert view is not None
        assert "colour" not in view
        assert chart.as_received(view) is received


def test_what_is_read_is_read_once() -> None:
    body = order_sign(service_request())
    chart = Chart.of(request_of(body))
    order = body["context"]["draftOrders"]["entry"][0]["resource"]
    view = chart.get("ServiceRequest/sr1") or {}
    assert chart.view_of(order) is view
    assert chart.facts(view) is chart.facts(view)
    assert chart.facts(view).reasons
    assert chart.view_of({"resourceType": "ServiceRequest"}) is chart.view_of(7) is None


def test_what_was_not_at_hand_is_found_once_it_came() -> None:
    chart = chart_of({})
    assert chart.get("Location/1") is None
    assert chart.add({"resourceType": "Location", "id": "1"})
    assert chart.get("Location/1") is not None


def test_reading_changes_nothing() -> None:
    body = order_sign()
    before = copy.deepcopy(body)
    chart = Chart.of(request_of(body))
    assert chart.add({"resourceType": "Patient", "id": "p1"})
    assert not chart.add(None)
    assert body == before
