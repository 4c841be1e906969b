"""The lines of an answer that nobody asked for so."""

from dataclasses import replace
from datetime import date

from tests.bundles import Json, Line
from tests.unit.pas import maximal
from tests.unit.pas.maximal import ADDED, AFFIRMED, DETAIL, EARLIER_UTN, SAID, UTN, decision, item
from tests.unit.pas.test_answer_items import action, concept, response, told
from wiser_fhir.coverage.requested import CPT, HCPCS
from wiser_fhir.fhir import codes
from wiser_fhir.priorauth.answer import CaseAnswer, GrantedDetail
from wiser_fhir.priorauth.determination import Outcome
from wiser_fhir.priorauth.models import ItemStatus, PriorAuthorization

X12 = "https://codesystem.x12.org/005010/"


def _added(line: Line, case: PriorAuthorization = AFFIRMED) -> list[Json]:
    found: list[Json] = response(line, case).get("addItem", [])
    return found


def test_what_is_granted_instead_stands_under_the_sequence_asked() -> None:
    """Source: PAS 2.2.1 §spec-37."""
    instead, _ = _added("2.2")
    assert instead["itemSequence"] == [1]
    assert instead["productOrService"] == concept(CPT, "64479")
    assert instead["modifier"] == [concept(CPT, "50"), concept(HCPCS, "RT")]
    assert instead["unitPrice"] == {"value": 250.5, "currency": "USD"}
    assert instead["locationCodeableConcept"] == concept(codes.PLACE_OF_SERVICE, "22")
    assert action(instead) == {
        "number": [UTN],
        "reviewActionCode": [concept(X12 + "306", "A1")],
        "secondSurgicalOpinionFlag": [False],
    }


def test_it_says_everything_that_a_line_can() -> None:
    instead, _ = _added("2.2")
    asked = maximal.request("2.2").claim["item"][0]
    (order,) = told(asked, "requestedService")
    assert told(instead, "itemTraceNumber") == told(asked, "itemTraceNumber")
    assert told(instead, "itemPreAuthIssueDate") == [{"valueDate": "2026-11-22"}]
    assert told(instead, "authorizationNumber") == [{"valueString": EARLIER_UTN}]
    assert told(instead, "administrationReferenceNumber") == [{"valueString": "R00000000000001"}]
    assert told(instead, "epsdtIndicator") == [{"valueBoolean": False}]
    assert told(instead, "revenueUnitRateLimit") == [{"valueDecimal": 100.25}]
    assert told(instead, "requestedService") == [order]
    expected = {
        "nursingHomeLevelOfCare": (X12 + "1337", "1"),
        "nursingHomeResidentialStatus": (X12 + "1345", "2"),
        "serviceItemRequestType": (X12 + "1525", "HS"),
        "certificationType": (X12 + "1322", "I"),
        "itemCategory": (X12 + "1365", "2"),
        "revenueCode": ("https://www.nubc.org/CodeSystem/RevenueCodes", "0360"),
        "productOrServiceCodeEnd": (CPT, "64484"),
    }
    for name, (system, code) in expected.items():
        assert told(instead, name) == [{"valueCodeableConcept": concept(system, code)}], name


def test_narrowed_days_are_served_days() -> None:
    for last, served in (
        (date(2026, 12, 14), {"servicedPeriod": {"start": "2026-12-10", "end": "2026-12-14"}}),
        (date(2026, 12, 10), {"servicedDate": "2026-12-10"}),
    ):
        narrowed = decision(Outcome.AFFIRMED, first_day=date(2026, 12, 10), last_day=last)
        case = replace(AFFIRMED, items=(item(1, ItemStatus.AFFIRMED, decision=narrowed),))
        instead, *_ = _added("2.2", case)
        assert {n: v for n, v in instead.items() if n.startswith("serviced")} == served


def test_what_is_granted_beside_has_a_sequence_of_its_own() -> None:
    _, beside = _added("2.2")
    assert beside["itemSequence"] == [9]
    assert beside["productOrService"] == concept(CPT, "77003")
    assert beside["quantity"] == {"value": 2, "system": X12 + "673", "code": "UN"}
    assert beside["servicedPeriod"] == {"start": "2026-12-15", "end": "2026-12-20"}
    assert told(beside, "itemPreAuthPeriod") == [{"valuePeriod": beside["servicedPeriod"]}]
    assert told(beside, "itemPreAuthIssueDate") == [{"valueDate": "2026-11-22"}]
    assert told(beside, "itemTraceNumber") == []
    known, elsewhere = beside["provider"]
    assert known["reference"].startswith("urn:uuid:")
    assert elsewhere["identifier"]["value"] == maximal.ELSEWHERE


def test_days_that_nobody_narrowed_are_those_of_the_authorization() -> None:
    added = replace(ADDED, first_day=None, last_day=None)
    (beside,) = _added("2.2", _with(added))
    valid = {"start": "2026-11-22", "end": "2027-03-21"}
    assert told(beside, "itemPreAuthPeriod") == [{"valuePeriod": valid}]
    assert "servicedPeriod" not in beside


def test_days_outside_the_authorization_stand_alone() -> None:
    added = replace(ADDED, first_day=date(2027, 5, 1), last_day=None)
    (beside,) = _added("2.2", _with(added))
    assert told(beside, "itemPreAuthPeriod") == [{"valuePeriod": {"start": "2027-05-01"}}]


def test_an_undecided_case_has_no_days_to_tell() -> None:
    added = replace(ADDED, first_day=None, last_day=None)
    (beside,) = _added("2.2", replace(maximal.PENDED, answer=CaseAnswer(added=(added,))))
    assert told(beside, "itemPreAuthPeriod") == told(beside, "itemPreAuthIssueDate") == []


def _with(*added: object) -> PriorAuthorization:
    """A case with nothing modified and this beside it."""
    plain = item(1, ItemStatus.AFFIRMED, decision=decision(Outcome.AFFIRMED))
    return replace(AFFIRMED, items=(plain,), answer=CaseAnswer(added=added))  # type: ignore[arg-type]


def test_line_2_0_has_a_note_where_it_has_no_word() -> None:
    answer = response("2.0", AFFIRMED)
    (beside,) = answer["addItem"]
    assert set(beside) == {
        *("provider", "productOrService", "modifier", "servicedPeriod", "unitPrice"),
        *("locationCodeableConcept", "quantity", "noteNumber", "adjudication"),
    }
    assert beside["adjudication"] == [
        {"category": concept("http://terminology.hl7.org/CodeSystem/adjudication", "submitted")}
    ]
    notes = {note["number"]: note["text"] for note in answer["processNote"]}
    assert [notes[number] for number in beside["noteNumber"]] == [
        "Affirmed though not asked for: 77003.",
        "Admission authorized: 2026-12-15 to 2026-12-16.",
        "Discharge authorized: 2026-12-16.",
        "Authorized, last code of the range: 64484.",
        "Authorized, EPSDT: no.",
        "Authorized, nursing home level of care: 1.",
        "Authorized, nursing home residential status: 2.",
        "Authorized, rate limit: 100.25.",
        "Authorized, type of request: HS.",
        "Authorized, certification type: I.",
        "Authorized, place of service: 22.",
        "Guidance goes with it.",
    ]


def test_what_is_said_as_asked_is_no_modification() -> None:
    """A detail that repeats the request's own codes changes nothing."""
    request = maximal.request("2.2")
    asked = request.claim["item"][0]
    (trace,) = told(asked, "requestedService")
    same = GrantedDetail(
        modifiers=tuple(m["coding"][0]["code"] for m in asked["modifier"]),
        revenue_code=asked["revenue"]["coding"][0]["code"],
        place_of_service=asked["locationCodeableConcept"]["coding"][0]["code"],
        order=trace["valueReference"]["reference"],
    )
    plain = decision(Outcome.AFFIRMED, answer=replace(SAID, detail=same))
    case = replace(AFFIRMED, items=(item(1, ItemStatus.AFFIRMED, decision=plain),))
    assert [each["itemSequence"] for each in _added("2.2", case)] == [[9]]


def test_a_type_of_bill_is_a_site_too() -> None:
    detail = replace(DETAIL, place_of_service=None, bill_type="131")
    added = replace(ADDED, answer=replace(SAID, detail=detail))
    (beside,) = _added("2.2", _with(added))
    assert beside["locationCodeableConcept"] == concept(codes.TYPE_OF_BILL, "131")


def test_what_is_no_order_of_the_request_is_not_named() -> None:
    for reference in ("urn:uuid:nowhere", maximal.request("2.2").claim["patient"]["reference"]):
        added = replace(ADDED, answer=replace(SAID, detail=replace(DETAIL, order=reference)))
        (beside,) = _added("2.2", _with(added))
        assert told(beside, "requestedService") == []
