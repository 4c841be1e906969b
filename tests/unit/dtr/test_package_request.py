"""What a call for packages says, and what is wrong with it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.package_bodies import MBI, Json, a_call, a_coverage, an_order, parameter
from tests.unit.dtr.packing import read
from wiser_fhir.errors import InvalidResource, ProfileViolation, TooLarge, WiserError
from wiser_fhir.fhir.codes import LINES, Line


def refused(call: Json, line: Line = "2.2") -> tuple[type[WiserError], list[tuple[str, str]]]:
    """The refusal with code and place of each problem."""
    with pytest.raises(WiserError) as refusal:
        read(call, line)
    problems = refusal.value.problems
    assert {each.severity for each in problems} == {"error"}
    return type(refusal.value), [(each.code, each.expression or "") for each in problems]


@pytest.mark.parametrize("line", LINES)
def test_a_whole_call(line: Line) -> None:
    patient = {
        "resourceType": "Patient",
        "id": "patient-1",
        "identifier": [{"system": "http://hl7.org/fhir/sid/us-mbi", "value": "1eg4-te5-mk73"}],
    }
    call = a_call(
        an_order(),
        coverage=a_coverage(subscriberId="other"),
        questionnaires=("https://wiser-fhir.example/fhir/Questionnaire/a|1",),
        context="an-id",
        since="2026-05-01T12:00:00-04:00",
        more=(parameter("referenced", "resource", patient), parameter("x", "valueInteger", 1)),
    )
    found = read(call, line)
    assert [each.reference for each in found.coverages] == [{"reference": "Coverage/coverage-1"}]
    assert [each.reference for each in found.orders] == [{"reference": "ServiceRequest/order-1"}]
    assert found.orders[0].kind == "ServiceRequest"
    assert [each.canonical for each in found.asked] == [
        "https://wiser-fhir.example/fhir/Questionnaire/a|1"
    ]
    assert found.context == "an-id"
    assert found.changed_since == datetime(2026, 5, 1, 16, 0, tzinfo=UTC)
    assert found.mbi == MBI
    assert found.subject == {"reference": "Patient/patient-1"}


@pytest.mark.parametrize("line", LINES)
def test_nothing_to_answer(line: Line) -> None:
    assert refused(a_call(), line) == (
        ProfileViolation,
        [("required", "Parameters.parameter")],
    )


@pytest.mark.parametrize("line", LINES)
def test_every_problem_is_told_at_once(line: Line) -> None:
    call = a_call(context="a", more=(parameter("context", "valueString", "b"),))
    call["parameter"][0] = parameter("questionnaire", "valueBoolean", True)
    call["parameter"].append(parameter("changedsince", "valueString", "some day"))
    call["parameter"].append(parameter("order", "valueString", "an order"))
    assert refused(call, line) == (
        ProfileViolation,
        [
            ("structure", "Parameters.parameter[4].value"),
            ("structure", "Parameters.parameter[0].value"),
            ("structure", "Parameters.parameter[2].value"),
            ("value", "Parameters.parameter[3].value"),
            ("required", "Parameters.parameter"),
        ],
    )


def test_several_coverages_are_for_line_2_0_alone() -> None:
    second = parameter("coverage", "resource", a_coverage(id="coverage-2"))
    call = a_call(an_order(), more=(second,))
    assert refused(call) == (ProfileViolation, [("structure", "Parameters.parameter")])
    assert [each.reference["reference"] for each in read(call, "2.0").coverages] == [
        "Coverage/coverage-1",
        "Coverage/coverage-2",
    ]


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ({"resourceType": "Bundle", "type": "collection"}, ("structure", "")),
        ({"resourceType": "Parameters", "parameter": {}}, ("structure", "Parameters.parameter")),
        (
            a_call(an_order(status=3)),
            ("value", "Parameters.parameter[1].resource.status"),
        ),
        (
            a_call(an_order(), coverage={"resourceType": "Coverage", "status": "active"}),
            ("required", "Parameters.parameter[0].resource.beneficiary"),
        ),
        (
            a_call(an_order(), more=(parameter("referenced", "resource", {"id": "x"}),)),
            ("structure", "Parameters.parameter[2].resource"),
        ),
        (
            a_call(an_order(), since="yesterday"),
            ("value", "Parameters.parameter[2].value.ofType(instant)"),
        ),
        (a_call(an_order()) | {"entry": []}, ("structure", "Parameters.entry")),
        (
            a_call(an_order(), more=({"name": "context", "valueString": "a", "valueUri": "b"},)),
            ("structure", "Parameters.parameter[2]"),
        ),
    ],
)
def test_what_is_no_sound_fhir_is_told_with_its_place(call: Json, problem: tuple[str, str]) -> None:
    kind, problems = refused(call)
    assert kind is InvalidResource
    assert problem in problems


def test_more_than_anybody_needs() -> None:
    with pytest.raises(TooLarge):
        read(a_call(*(an_order(id=f"order-{n}") for n in range(200))))


@pytest.mark.parametrize("line", LINES)
def test_what_a_profile_wants_and_nobody_needs(line: Line) -> None:
    # Neither subscriber nor relationship, no period; an order without author, date and requester.
    order = {
        "resourceType": "DeviceRequest",
        "intent": "order",
        "codeCodeableConcept": {"text": "a device"},
        "subject": {"reference": "Patient/patient-1"},
        "meta": {"profile": ["https://ehr.example/StructureDefinition/unknown"]},
        "extension": [{"url": "https://ehr.example/broken"}],
    }
    found = read(a_call(order), line)
    assert found.orders[0].reference == {
        "type": "DeviceRequest",
        "display": "The DeviceRequest of the request",
    }


@pytest.mark.parametrize(
    ("changes", "reference"),
    [
        ({}, {"reference": "Coverage/coverage-1"}),
        ({"id": None}, {"type": "Coverage", "identifier": {"value": MBI}}),
        (
            {"id": None, "identifier": [{"system": "urn:oid:1.2", "value": "7"}]},
            {"type": "Coverage", "identifier": {"system": "urn:oid:1.2", "value": "7"}},
        ),
        (
            {"id": None, "subscriberId": None},
            {"type": "Coverage", "display": "The Coverage of the request"},
        ),
    ],
)
def test_how_a_response_names_the_coverage(changes: Json, reference: Json) -> None:
    told = {key: value for key, value in a_coverage(**changes).items() if value is not None}
    assert read(a_call(an_order(), coverage=told)).coverages[0].reference == reference


def test_an_order_for_another_patient_is_refused() -> None:
    call = a_call(an_order(subject={"reference": "https://ehr.example/fhir/Patient/patient-2"}))
    assert refused(call) == (ProfileViolation, [("invalid", "Parameters.parameter[1].resource")])
    same = a_call(an_order(subject={"reference": "https://ehr.example/fhir/Patient/patient-1"}))
    assert read(same).subject == {"reference": "Patient/patient-1"}
    # What does not say whom it is about may be about the same.
    by_name = a_call(an_order(subject={"display": "Somebody"}))
    assert len(read(by_name).orders) == 1


def test_the_patient_of_an_appointment() -> None:
    appointment = {
        "resourceType": "Appointment",
        "id": "a",
        "status": "proposed",
        "participant": [
            {"actor": {"reference": "Practitioner/p"}, "status": "accepted"},
            {"actor": {"reference": "Patient/patient-2"}, "status": "accepted"},
        ],
    }
    assert refused(a_call(appointment))[1] == [("invalid", "Parameters.parameter[1].resource")]


@pytest.mark.parametrize(
    ("beneficiary", "subject"),
    [
        ({"reference": "#p"}, {"reference": "Patient/patient-1"}),
        ({"display": "Somebody"}, {"reference": "Patient/patient-1"}),
        ({"identifier": {"value": "7"}}, {"identifier": {"value": "7"}}),
    ],
)
def test_whom_a_response_is_about(beneficiary: Json, subject: Json) -> None:
    contained = [{"resourceType": "Patient", "id": "p"}]
    coverage = a_coverage(beneficiary=beneficiary)
    if beneficiary.get("reference") == "#p":
        coverage["contained"] = contained
    assert read(a_call(an_order(), coverage=coverage)).subject == subject
    alone = read(a_call(coverage=coverage, context="a")).subject
    if "identifier" not in beneficiary:
        assert alone == {"type": "Patient", "display": "The beneficiary of the Coverage"}


@pytest.mark.parametrize(
    ("key", "told", "instant"),
    [
        ("valueInstant", "2026-05-01T00:00:00Z", datetime(2026, 5, 1, tzinfo=UTC)),
        ("valueDateTime", "2026-05-01T00:00:00.123Z", datetime(2026, 5, 1, 0, 0, 0, 123000, UTC)),
        ("valueDateTime", "2026-05-03", datetime(2026, 5, 3, tzinfo=UTC)),
        ("valueDateTime", "2026-05", datetime(2026, 5, 1, tzinfo=UTC)),
        ("valueDateTime", "2026", datetime(2026, 1, 1, tzinfo=UTC)),
        ("valueString", "2026-05-03", datetime(2026, 5, 3, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("line", LINES)
def test_since_when(line: Line, key: str, told: str, instant: datetime) -> None:
    call = a_call(an_order(), more=(parameter("changedsince", key, told),))
    assert read(call, line).changed_since == instant


@pytest.mark.parametrize("key", ["valueCanonical", "valueUri", "valueUrl", "valueString"])
def test_a_canonical_by_any_other_type(key: str) -> None:
    call = a_call(more=(parameter("questionnaire", key, "https://x.example/q"),))
    assert [each.canonical for each in read(call).asked] == ["https://x.example/q"]


@pytest.mark.parametrize(
    ("coverage", "code"),
    [
        ({"coding": [{"system": "https://nahdo.org/sopt", "code": "111"}]}, "not-supported"),
        ({"coding": [{"system": "https://nahdo.org/sopt", "code": "12"}]}, None),
    ],
)
def test_another_payer_s_coverage(coverage: Json, code: str | None) -> None:
    call = a_call(an_order(), coverage=a_coverage(type=coverage))
    if code is None:
        assert read(call).mbi == MBI
    else:
        assert refused(call)[1] == [(code, "Parameters.parameter[0].resource")]


def test_what_an_order_leads_to() -> None:
    device: dict[str, Any] = {"resourceType": "Device", "id": "d", "type": {"text": "a device"}}
    inside = device | {"id": "inside"}
    order = {
        "resourceType": "DeviceRequest",
        "id": "order-1",
        "intent": "order",
        "codeReference": {"reference": "https://ehr.example/fhir/Device/d"},
        "subject": {"reference": "Patient/patient-1"},
        "contained": [inside],
    }
    found = read(a_call(order, more=(parameter("referenced", "resource", device),)))
    view = found.orders[0].view
    assert (found.target(view, view["codeReference"]) or {})["id"] == "d"
    assert (found.target(view, {"reference": "#inside"}) or {})["id"] == "inside"
    assert found.target(view, {"reference": "#nowhere"}) is None
    assert found.target(view, {"reference": "Device/other"}) is None
    assert found.target(view, None) is None
