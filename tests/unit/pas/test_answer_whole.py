"""What an answer says of the request as a whole: numbers, people, errors, notes, its Bundle."""

from dataclasses import replace
from typing import Any

import pytest

from tests.bundles import Json, Line, valid_npi
from tests.unit.pas import maximal
from tests.unit.pas.maximal import (
    AFFIRMED,
    ANSWER,
    BY_FAX,
    CANCELLED,
    DISMISSED,
    ERROR,
    PENDED,
    UTN,
    WAITING,
    renderer,
)
from tests.unit.pas.test_answer_items import concept, response, told
from wiser_fhir.fhir import codes
from wiser_fhir.priorauth.answer import AuthorizedProvider, CaseAnswer, StatedError
from wiser_fhir.priorauth.determination import DecidingClinician
from wiser_fhir.priorauth.models import PriorAuthorization

LINES: tuple[Line, ...] = ("2.2", "2.0")
X12 = "https://codesystem.x12.org/005010/"


@pytest.mark.parametrize("line", LINES)
def test_number_and_days_of_the_whole(line: Line) -> None:
    found = response(line, AFFIRMED)
    assert found["preAuthRef"] == UTN
    assert found["preAuthPeriod"] == {"start": "2026-11-22", "end": "2027-03-21"}


@pytest.mark.parametrize("line", LINES)
def test_a_number_that_is_on_its_way(line: Line) -> None:
    found = response(line, WAITING)
    assert "preAuthRef" not in found
    assert found["disposition"] == (
        "Provisionally affirmed. The tracking number follows."
        " Last valid day of service: 2027-03-21."
    )


def test_the_reviewer_is_told_on_line_2_2() -> None:
    ((reviewer,),) = (told(response("2.2", AFFIRMED), "claimResponseReviewer"),)
    assert reviewer["extension"] == [
        {"url": "wasHumanReviewedFlag", "valueBoolean": True},
        {
            "url": "reviewerNPI",
            "valueIdentifier": {"system": codes.NPI, "value": valid_npi("199999066")},
        },
        {
            "url": "reviewerSpecialty",
            "valueCodeableConcept": concept("http://nucc.org/provider-taxonomy", "208VP0000X"),
        },
    ]
    assert told(response("2.0", AFFIRMED), "claimResponseReviewer") == []


def test_of_a_reviewer_only_what_is_known_is_told() -> None:
    unknown = replace(AFFIRMED, clinician=DecidingClinician(None, None))
    ((reviewer,),) = (told(response("2.2", unknown), "claimResponseReviewer"),)
    assert [part["url"] for part in reviewer["extension"]] == ["wasHumanReviewedFlag"]


@pytest.mark.parametrize("case", [DISMISSED, PENDED], ids=["dismissed", "pended"])
def test_nobody_has_reviewed_what_is_not_decided(case: PriorAuthorization) -> None:
    assert told(response("2.2", case), "claimResponseReviewer") == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (CaseAnswer(), None),
        (CaseAnswer(overall=True), [{"url": "number", "valueString": UTN}]),
        (
            CaseAnswer(second_opinion=True),
            [{"url": "secondSurgicalOpinionFlag", "valueBoolean": True}],
        ),
    ],
)
def test_the_whole_may_be_told_once_more(answer: CaseAnswer, said: list[Json] | None) -> None:
    found = response("2.2", replace(AFFIRMED, answer=answer))
    if said is None:
        assert "adjudication" not in found
        return
    (adjudication,) = found["adjudication"]
    ((review,),) = (told(adjudication, "extension-reviewAction"),)
    assert review["extension"] == said
    assert "adjudication" not in response("2.0", replace(AFFIRMED, answer=answer))


def test_a_request_that_came_as_no_claim_names_none() -> None:
    """Source: PAS 2.2.1 §spec-44."""
    absent = {
        "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
        "valueCode": "unknown",
    }
    assert response("2.2", BY_FAX)["request"] == {"extension": [absent]}
    assert "request" not in response("2.0", BY_FAX)
    assert response("2.2", AFFIRMED)["request"]["type"] == "Claim"


# What is wrong beside the items


@pytest.mark.parametrize("line", LINES)
def test_errors_stand_beside_the_items(line: Line) -> None:
    found = response(line, AFFIRMED)
    assert found["outcome"] == "partial"
    assert len(found["item"]) == 2
    (error,) = found["error"]
    assert error["code"] == concept(X12 + "901", "33")
    assert error["itemSequence"] == 2
    assert told(error, "errorFollowupAction") == [
        {"valueCodeableConcept": concept(X12 + "889", "C")}
    ]
    path = "Bundle.entry[0].resource.item[1].quantity"
    assert told(error, "errorPath") == [{"valueString": path}]


def test_line_2_2_points_from_an_error_to_its_note() -> None:
    found = response("2.2", AFFIRMED)
    (number,) = (note["number"] for note in found["processNote"] if note["text"] == ERROR.note)
    ((element,),) = (told(found["error"][0], "errorElement"),)
    assert element["extension"] == [
        {"url": "processNote", "valuePositiveInt": number},
        {"url": "error", "valueString": "2000F SV107"},
    ]


def test_line_2_0_names_the_element_alone() -> None:
    (error,) = response("2.0", AFFIRMED)["error"]
    assert told(error, "errorElement") == [{"valueString": "2000F SV107"}]


@pytest.mark.parametrize("line", LINES)
def test_an_error_may_be_a_code_and_nothing_else(line: Line) -> None:
    case = replace(AFFIRMED, answer=CaseAnswer(errors=(StatedError("33"),)))
    assert response(line, case)["error"] == [{"code": concept(X12 + "901", "33")}]


def test_an_answer_without_errors_is_complete() -> None:
    assert response("2.2", PENDED)["outcome"] == "complete"
    assert response("2.2", DISMISSED)["outcome"] == "error"


def test_notes_are_numbered_once_in_their_order() -> None:
    found = response("2.2", replace(AFFIRMED, remarks=("It departs from what CRD said.",)))
    assert found["processNote"] == [
        {"number": number, "type": "display", "text": text}
        for number, text in enumerate(
            (
                "One level of another region.",
                "Affirmed for the level asked for.",
                "Guidance goes with it.",
                "More units were asked for than one visit takes.",
                "Keep the imaging report with the chart.",
                "It departs from what CRD said.",
            ),
            start=1,
        )
    ]


# Who may deliver it


def _providers(line: Line, *providers: AuthorizedProvider) -> list[Json]:
    """What a first line says of the provider of an item that names just these."""
    answer = replace(ANSWER, providers=providers, added=())
    case = replace(AFFIRMED, answer=answer)
    found = response(line, case)
    holder = found if line == "2.2" else found["item"][1]
    parts = [part["extension"] for part in told(holder, "itemAuthorizedProvider")]
    return [{p["url"]: next(p[k] for k in p if k != "url") for p in part} for part in parts]


def _entry(kind: str) -> str:
    bundle = maximal.request("2.2").bundle
    found: str = next(
        e["fullUrl"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind
    )
    return found


def test_a_provider_is_the_requests_own_entry_where_it_has_one() -> None:
    practitioner = _entry("Practitioner")
    for named in (
        AuthorizedProvider(npi=maximal.RENDERING),
        AuthorizedProvider(reference=practitioner),
        AuthorizedProvider(reference=_entry("PractitionerRole")),
    ):
        (found,) = _providers("2.2", named)
        assert found == {"provider": {"reference": practitioner}}


@pytest.mark.parametrize(
    ("named", "told_as"),
    [
        (
            {"npi": "1999990777", "name": "Elsewhere"},
            {
                "identifier": {"system": codes.NPI, "value": "1999990777"},
                "display": "Elsewhere",
            },
        ),
        ({"npi": "1999990777"}, {"identifier": {"system": codes.NPI, "value": "1999990777"}}),
        ({"reference": "urn:uuid:nowhere", "name": "Elsewhere"}, {"display": "Elsewhere"}),
        ({"reference": "urn:uuid:nowhere"}, {"display": "urn:uuid:nowhere"}),
    ],
)
def test_a_provider_without_an_entry_is_named(named: dict[str, Any], told_as: Json) -> None:
    assert _providers("2.2", AuthorizedProvider(**named)) == [{"provider": told_as}]


def test_who_is_neither_person_nor_organization_is_no_entry_for_it() -> None:
    patient = AuthorizedProvider(reference=_entry("Patient"), name="Somebody")
    assert _providers("2.2", patient) == [{"provider": {"display": "Somebody"}}]


def test_what_a_provider_is_to_it_is_told_as_each_line_can() -> None:
    full, _ = maximal.PROVIDERS
    role = concept("http://terminology.hl7.org/CodeSystem/claimcareteamrole", "primary")
    taxonomy = concept("http://nucc.org/provider-taxonomy", "208VP0000X")
    (whole,) = _providers("2.2", full)
    assert {k: v for k, v in whole.items() if k != "provider"} == {
        "role": role,
        "qualification": taxonomy,
    }
    found = response("2.2", AFFIRMED)["item"][1]
    kinds = [part["url"] for part in told(found, "itemAuthorizedProvider")[0]["extension"]]
    assert kinds == ["provider", codes.AUTHORIZED_PROVIDER_TYPE, "role", "qualification"]
    older = response("2.0", AFFIRMED)["item"][1]
    kinds = [part["url"] for part in told(older, "itemAuthorizedProvider")[0]["extension"]]
    assert kinds == ["provider", "providerType"]


# The Bundle


def _kinds(bundle: Json) -> list[str]:
    return [entry["resource"]["resourceType"] for entry in bundle["entry"]]


@pytest.mark.parametrize("line", LINES)
def test_what_is_asked_for_comes_with_the_answer(line: Line) -> None:
    request = maximal.request(line)
    bundle = renderer(line).submit_response(PENDED, request)
    asked = [e["fullUrl"] for e in bundle["entry"] if "CommunicationRequest/" in e["fullUrl"]]
    named = bundle["entry"][0]["resource"]["communicationRequest"]
    assert [reference["reference"] for reference in named] == asked
    assert _kinds(bundle).count("Task") == 2


@pytest.mark.parametrize("line", LINES)
def test_an_inquirys_answer_asks_by_tasks_alone(line: Line) -> None:
    """Source: PAS 2.2.1 §spec-9."""
    bundle = renderer(line).inquiry_response(PENDED, maximal.request(line))
    assert "communicationRequest" not in bundle["entry"][0]["resource"]
    assert "CommunicationRequest" not in _kinds(bundle)
    assert _kinds(bundle).count("Task") == 2


@pytest.mark.parametrize("line", LINES)
def test_all_that_the_answer_refers_to_is_there_once_as_it_came(line: Line) -> None:
    request = maximal.request(line)
    bundle = renderer(line).submit_response(AFFIRMED, request)
    urls = [entry["fullUrl"] for entry in bundle["entry"]]
    assert len(urls) == len(set(urls))
    echoed = bundle["entry"][1:]
    assert all(entry in request.bundle["entry"] for entry in echoed)
    assert set(_kinds(bundle)) == {
        *("ClaimResponse", "Patient", "Organization", "Practitioner", "PractitionerRole"),
        *("ServiceRequest", "Coverage", "Location", "Endpoint"),
    }


def test_the_claim_does_not_come_back() -> None:
    request = maximal.request("2.2")
    order = next(
        e["resource"]
        for e in request.bundle["entry"]
        if e["resource"]["resourceType"] == "ServiceRequest"
    )
    order["supportingInfo"] = [{"reference": request.bundle["entry"][0]["fullUrl"]}]
    assert "Claim" not in _kinds(renderer("2.2").submit_response(AFFIRMED, request))


def test_an_answer_is_of_the_time_that_made_it() -> None:
    request = maximal.request("2.2")
    created = {
        case.status: renderer("2.2").submit_response(case, request)["timestamp"]
        for case in (AFFIRMED, PENDED, CANCELLED)
    }
    assert created == {
        "affirmed": "2026-11-22T14:30:00.000Z",
        "in-review": "2026-11-21T15:00:00.000Z",
        "cancelled": "2026-11-22T14:30:00.000Z",
    }
    later = renderer("2.2").submit_response(PENDED, request, maximal.DECIDED)
    assert later["timestamp"] == "2026-11-22T14:30:00.000Z"


def test_that_there_are_more_is_told_in_the_last_bundle() -> None:
    request = maximal.request("2.2")
    found = [renderer("2.2").inquiry_response(case, request) for case in (AFFIRMED, PENDED)]
    answer = renderer("2.2").inquiry_answer(found, request, maximal.DECIDED, more=True)
    first, last = (parameter["resource"] for parameter in answer["parameter"])
    assert first == found[0]
    assert last["entry"][:-1] == found[1]["entry"]
    (issue,) = last["entry"][-1]["resource"]["issue"]
    assert issue["severity"] == "warning"


def test_of_nothing_there_is_no_more() -> None:
    request = maximal.request("2.2")
    answer = renderer("2.2").inquiry_answer([], request, maximal.DECIDED, more=True)
    assert "parameter" not in answer
