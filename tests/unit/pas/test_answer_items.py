"""The lines of an answer that were asked for, element by element, on both lines."""

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.bundles import Json, Line
from tests.unit.pas import maximal
from tests.unit.pas.maximal import AFFIRMED, EARLIER_UTN, PARTIAL, UTN, decision, item, renderer
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.fhir import codes
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.answer import ItemAnswer, Stay
from wiser_fhir.priorauth.determination import DecidedBy, Outcome
from wiser_fhir.priorauth.models import ItemStatus, PriorAuthorization

LINES: tuple[Line, ...] = ("2.2", "2.0")
PAS = codes.PAS


def response(line: Line, case: PriorAuthorization, profile: str = codes.CLAIM_RESPONSE) -> Json:
    """The ClaimResponse of a case."""
    return renderer(line).claim_response(case, maximal.request(line), profile)


def lines_of(line: Line, case: PriorAuthorization, **more: Any) -> dict[int, Json]:
    """The items of the answer by their sequence."""
    return {each["itemSequence"]: each for each in response(line, case, **more)["item"]}


def told(part: Json, name: str) -> list[Json]:
    """What the extensions of a name say, without their url."""
    found = [e for e in part.get("extension", ()) if e["url"].endswith(name)]
    return [{key: value for key, value in e.items() if key != "url"} for e in found]


def action(part: Json) -> dict[str, Any]:
    """What a reviewAction says, by the last word of each url."""
    ((review,),) = (told(a, "extension-reviewAction") for a in part["adjudication"])
    said: dict[str, Any] = {}
    for each in review["extension"]:
        (value,) = (each[key] for key in each if key != "url")
        said.setdefault(each["url"].rpartition("-")[2], []).append(value)
    return said


def concept(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _a(code: str) -> Json:
    return concept("https://codesystem.x12.org/005010/306", code)


def _one(status: ItemStatus, **decided: Any) -> PriorAuthorization:
    """A case whose first line is decided as told."""
    _, other = AFFIRMED.items
    found = item(1, status, decision=decision(Outcome.AFFIRMED, **decided))
    return replace(AFFIRMED, items=(found, replace(other, status=ItemStatus.CANCELLED)))


@pytest.mark.parametrize("line", LINES)
def test_each_line_of_the_case_is_answered_once(line: Line) -> None:
    assert list(lines_of(line, AFFIRMED)) == [1, 2]


@pytest.mark.parametrize("line", LINES)
def test_an_affirmed_line_says_all_that_was_said_of_it(line: Line) -> None:
    found = lines_of(line, AFFIRMED)[2]
    assert told(found, "itemPreAuthIssueDate") == [{"valueDate": "2026-11-22"}]
    valid = {"start": "2026-11-22", "end": "2027-03-21"}
    assert told(found, "itemPreAuthPeriod") == [{"valuePeriod": valid}]
    assert told(found, "authorizationNumber") == [{"valueString": EARLIER_UTN}]
    reference = [{"valueString": "R00000000000001"}]
    assert told(found, "administrationReferenceNumber") == reference
    diagnoses = [e["valueCodeableConcept"] for e in told(found, "communicatedDiagnosis")]
    icd = "http://hl7.org/fhir/sid/icd-10-cm"
    assert diagnoses == [concept(icd, "M54.16"), concept(icd, "M48.061")]
    assert len(told(found, "itemAuthorizedProvider")) == 2
    assert action(found) == {
        "number": [UTN],
        "reviewActionCode": [_a("A1")],
        "secondSurgicalOpinionFlag": [False],
    }


def test_a_stay_has_its_elements_on_line_2_2() -> None:
    found = lines_of("2.2", AFFIRMED)[2]
    days = {"start": "2026-12-15", "end": "2026-12-16"}
    assert told(found, "admissionDates") == [{"valuePeriod": days}]
    assert told(found, "dischargeDate") == [{"valueDate": "2026-12-16"}]


def test_an_admission_of_one_day_is_a_date() -> None:
    said = ItemAnswer(admission=Stay(date(2026, 12, 15)))
    found = lines_of("2.2", _one(ItemStatus.AFFIRMED, answer=said))[1]
    assert told(found, "admissionDates") == [{"valueDate": "2026-12-15"}]
    assert told(found, "dischargeDate") == []


def test_an_inquirys_answer_has_room_for_one_diagnosis() -> None:
    profile = codes.CLAIM_INQUIRY_RESPONSE
    found = response("2.2", AFFIRMED, profile)
    assert len(told(found["item"][1], "communicatedDiagnosis")) == 1
    assert "Diagnosis: M48.061" in [note["text"] for note in found["processNote"]]


@pytest.mark.parametrize("line", LINES)
def test_a_non_affirmed_line_says_why_and_how_to_ask_again(line: Line) -> None:
    answer = response(line, PARTIAL)
    (found,) = (each for each in answer["item"] if each["itemSequence"] == 2)
    notes = {note["number"]: note["text"] for note in answer["processNote"]}
    texts = [notes[number] for number in found["noteNumber"]]
    assert texts[:2] == [
        "No imaging report shows a second level.",
        "To ask again: Send the report of the MRI.",
    ]
    reasons = "https://codesystem.x12.org/external/886"
    assert action(found) == {
        "number": [UTN],
        "reviewActionCode": [_a("A3")],
        "reasonCode": [concept(reasons, "25"), concept(reasons, "T1")],
        "secondSurgicalOpinionFlag": [False],
    }
    assert told(found, "itemPreAuthPeriod") == []


@pytest.mark.parametrize("line", LINES)
def test_what_software_decides_was_never_under_review(line: Line) -> None:
    found = lines_of(line, _one(ItemStatus.AFFIRMED, decided_by=DecidedBy.SOFTWARE))[1]
    assert told(found, "administrationReferenceNumber") == []


def _numbered(case: PriorAuthorization, *numbers: str | None) -> PriorAuthorization:
    """The case with the number that each of its lines was last decided under."""
    lines = zip(case.items, numbers, strict=True)
    return replace(case, items=tuple(replace(i, former_utn=number) for i, number in lines))


def _numbers_before(case: PriorAuthorization, line: Line = "2.2") -> dict[int, list[Json]]:
    return {n: told(each, "authorizationNumber") for n, each in lines_of(line, case).items()}


@pytest.mark.parametrize("line", LINES)
def test_only_a_line_that_stood_under_the_number_before_names_it(line: Line) -> None:
    added = _numbered(replace(AFFIRMED, superseded_utn="ZZB2"), "ZZB2", None)
    assert _numbers_before(added, line) == {1: [{"valueString": "ZZB2"}], 2: []}


def test_a_line_that_was_cancelled_before_that_number_does_not_name_it() -> None:
    first, other = AFFIRMED.items
    gone = replace(other, status=ItemStatus.CANCELLED, decision=None)
    case = replace(AFFIRMED, superseded_utn="ZZB2", items=(first, gone))
    assert _numbers_before(_numbered(case, "ZZB2", "ZZB1")) == {1: [{"valueString": "ZZB2"}], 2: []}


def test_a_line_that_is_cancelled_under_it_does() -> None:
    first, other = AFFIRMED.items
    gone = replace(other, status=ItemStatus.CANCELLED, decision=None)
    case = replace(AFFIRMED, superseded_utn="ZZB2", items=(first, gone))
    assert _numbers_before(_numbered(case, "ZZB2", "ZZB2"))[2] == [{"valueString": "ZZB2"}]


def test_the_lines_of_a_resubmission_name_the_number_that_it_follows() -> None:
    case = replace(AFFIRMED, superseded_utn=None, previous_utn="ZZB1")
    assert _numbers_before(_numbered(case, None, None)) == {
        1: [{"valueString": "ZZB1"}],
        2: [{"valueString": "ZZB1"}],
    }


def test_a_line_that_its_update_adds_does_not() -> None:
    request = maximal.request("2.2")
    added = {"url": codes.INFO_CHANGED, "valueCode": "added"}
    request.claim["item"][1].setdefault("extension", []).append(added)
    case = replace(AFFIRMED, superseded_utn=None, previous_utn="ZZB1")
    answer = renderer("2.2").claim_response(case, request, codes.CLAIM_RESPONSE)
    numbers = [told(each, "authorizationNumber") for each in answer["item"]]
    assert numbers == [[{"valueString": "ZZB1"}], []]


def test_a_line_that_is_none_of_the_programs_has_no_number_before() -> None:
    first, other = AFFIRMED.items
    case = replace(AFFIRMED, items=(first, replace(other, status=ItemStatus.NOT_APPLICABLE)))
    assert told(lines_of("2.2", case)[2], "authorizationNumber") == []


# Granted otherwise than asked


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize(
    ("decided", "modified"),
    [
        ({}, False),
        ({"code": Code(CPT, "64483"), "quantity": Decimal(1)}, False),
        ({"code": Code(CPT, "64479")}, True),
        ({"quantity": Decimal("0.5")}, True),
        ({"first_day": date(2026, 12, 16)}, True),
        ({"last_day": date(2026, 12, 14)}, True),
        ({"first_day": date(2026, 12, 15), "last_day": date(2026, 12, 15)}, False),
    ],
)
def test_a_line_is_modified_where_something_else_is_granted(
    line: Line, decided: dict[str, Any], modified: bool
) -> None:
    found = lines_of(line, _one(ItemStatus.AFFIRMED, **decided))[1]
    assert action(found)["reviewActionCode"] == [_a("A6" if modified else "A1")]
    assert len(told(found, "itemAuthorizedDetail")) == modified


def test_narrower_days_that_leave_nothing_out_are_only_told() -> None:
    days = {"first_day": date(2026, 12, 15), "last_day": date(2026, 12, 31)}
    found = lines_of("2.2", _one(ItemStatus.AFFIRMED, **days))[1]
    period = {"start": "2026-12-15", "end": "2026-12-31"}
    assert told(found, "itemPreAuthPeriod") == [{"valuePeriod": period}]


def test_line_2_2_repeats_what_was_asked_on_a_modified_line() -> None:
    """Source: PAS 2.2.1 §spec-36."""
    ((detail),) = told(lines_of("2.2", AFFIRMED)[1], "itemAuthorizedDetail")
    said = {part["url"]: part for part in detail["extension"]}
    assert said["productOrServiceCode"]["valueCodeableConcept"] == concept(CPT, "64483")
    assert said["quantity"]["valueQuantity"]["value"] == 1


def test_line_2_0_tells_what_is_granted_on_the_line_itself() -> None:
    found = lines_of("2.0", AFFIRMED)[1]
    ((detail),) = told(found, "itemAuthorizedDetail")
    said = {part["url"]: part for part in detail["extension"]}
    assert said["productOrServiceCode"]["valueCodeableConcept"] == concept(CPT, "64479")
    assert said["unitPrice"]["valueMoney"] == {"value": 250.5, "currency": "USD"}
    assert said["revenue"]["valueCodeableConcept"] == concept(
        "https://www.nubc.org/revenue-code", "0360"
    )
    assert len(told(found, "requestedService")) == 1


def test_a_line_that_the_newest_request_does_not_name_is_told_as_it_is_known() -> None:
    request = maximal.request("2.2")
    del request.claim["item"]
    days = {"date_of_service": date(2026, 12, 15), "service_end": date(2026, 12, 17)}
    items = (
        item(1, ItemStatus.CANCELLED),
        item(2, ItemStatus.CANCELLED, **days),
        item(3, ItemStatus.CANCELLED, date_of_service=None, service_end=None),
    )
    case = replace(maximal.CANCELLED, items=items)
    answer = renderer("2.2").claim_response(case, request, codes.CLAIM_RESPONSE)
    assert [told(each, "itemRequestedServiceDate") for each in answer["item"]] == [
        [{"valueDateTime": "2026-12-15"}],
        [{"valuePeriod": {"start": "2026-12-15", "end": "2026-12-17"}}],
        [],
    ]
    assert [action(each)["reviewActionCode"] for each in answer["item"]] == [[_a("C")]] * 3


def _bare_cancel(earlier: Json) -> RequestBundle:
    """A cancel of everything that names no line, with the Claim before it in its Bundle."""
    bundle = maximal.request("2.2").bundle
    claim = bundle["entry"][0]["resource"]
    del claim["item"]
    claim["related"] = [{"claim": {"reference": "urn:uuid:the-one-before"}}]
    bundle["entry"].append({"fullUrl": "urn:uuid:the-one-before", "resource": earlier})
    return RequestBundle.of(bundle)


def test_a_line_that_a_cancel_leaves_away_keeps_its_trace_number() -> None:
    trace = {"system": "https://ehr.sandbox.example/item-trace", "value": "the line's own"}
    told_before = {
        "resourceType": "Claim",
        "item": [
            {"sequence": 2},
            {
                "sequence": 1,
                "extension": [{"url": codes.ITEM_TRACE_NUMBER, "valueIdentifier": trace}],
            },
        ],
    }
    answer = renderer("2.2").claim_response(
        maximal.CANCELLED, _bare_cancel(told_before), codes.CLAIM_RESPONSE
    )
    assert [told(each, "itemTraceNumber") for each in answer["item"]] == [
        [{"valueIdentifier": trace}],
        [],
    ]


def test_what_is_named_as_the_claim_before_may_be_none() -> None:
    request = _bare_cancel({"resourceType": "Organization"})
    answer = renderer("2.2").claim_response(maximal.CANCELLED, request, codes.CLAIM_RESPONSE)
    assert [told(each, "itemTraceNumber") for each in answer["item"]] == [[], []]


def test_line_2_0_names_the_providers_of_the_whole_request_on_each_affirmed_line() -> None:
    only_whole = replace(
        AFFIRMED,
        items=tuple(replace(i, decision=decision(Outcome.AFFIRMED)) for i in AFFIRMED.items),
    )
    assert [
        len(told(each, "itemAuthorizedProvider")) for each in response("2.0", only_whole)["item"]
    ] == [2, 2]
    newer = response("2.2", only_whole)
    assert [len(told(each, "itemAuthorizedProvider")) for each in newer["item"]] == [0, 0]
    assert len(told(newer, "itemAuthorizedProvider")) == 2
    denied = replace(PARTIAL, answer=maximal.ANSWER)
    assert len(told(lines_of("2.0", denied)[2], "itemAuthorizedProvider")) == 2
    assert denied.items[1].decision is not None
    silent = replace(denied.items[1].decision, answer=ItemAnswer())
    denied = replace(denied, items=(denied.items[0], replace(denied.items[1], decision=silent)))
    assert told(lines_of("2.0", denied)[2], "itemAuthorizedProvider") == []
