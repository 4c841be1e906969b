"""Cases as they go over the wire: every element of every kind of answer, on both lines."""

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from tests.bundles import Json, Line, inquiry_bundle, request_bundle
from tests.unit.pas.reading import claim, of_kind
from wiser_fhir.coverage.requested import CPT, Code
from wiser_fhir.fhir import codes
from wiser_fhir.pas.claim_response import Renderer
from wiser_fhir.pas.echo import echoed
from wiser_fhir.pas.reject_reasons import RejectReasons
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.changes import Refused, UpdateRefusal
from wiser_fhir.priorauth.models import (
    Assessment,
    CaseItem,
    CaseStatus,
    Dismissal,
    DismissalReason,
    Finding,
    FindingStatus,
    ItemRole,
    ItemStatus,
    PriorAuthorization,
    Recommendation,
)

LINES: tuple[Line, ...] = ("2.2", "2.0")
BASES: dict[Line, str] = {"2.2": "https://payer.test/fhir", "2.0": "https://payer.test/v2.0/fhir"}
CASE = UUID("0197d6a4-0000-7000-8000-000000000001")
RECEIVED = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
# Past midnight in UTC, the evening before in the East.
DECIDED = datetime(2026, 11, 22, 1, 30, 15, 250000, tzinfo=UTC)
UTN = "ZZB00000000001"
PAS = codes.PAS


def _renderer(line: Line) -> Renderer:
    return Renderer(line, BASES[line], RejectReasons.load())


def _item(sequence: int, status: ItemStatus, **fields: Any) -> CaseItem:
    role = fields.pop("role", ItemRole.PRIMARY)
    code = Code(CPT, "64483")
    return CaseItem(sequence, code, role, status, date(2026, 12, 15), **fields)


def _case(status: CaseStatus, *items: CaseItem, **fields: Any) -> PriorAuthorization:
    return PriorAuthorization(
        id=CASE,
        organization_id=UUID(int=1),
        status=status,
        reference="R00000000000001",
        received_at=RECEIVED,
        decide_by=datetime(2026, 11, 23, 16, 0, tzinfo=UTC),
        expedited=False,
        items=items,
        **fields,
    )


DECISION: dict[str, Any] = {"decided_at": DECIDED, "utn": UTN}
VALIDITY: dict[str, Any] = {"valid_from": date(2026, 11, 21), "valid_until": date(2027, 3, 20)}
PERIOD = {"start": "2026-11-21", "end": "2027-03-20"}
AFFIRMED = _case(CaseStatus.AFFIRMED, _item(1, ItemStatus.AFFIRMED), **DECISION, **VALIDITY)
PENDED = _case(
    CaseStatus.IN_REVIEW,
    _item(1, ItemStatus.PENDED),
    assessment=Assessment(
        Recommendation.REVIEW,
        (
            Finding("met", FindingStatus.MET, "All is well."),
            Finding("care", FindingStatus.UNMET, "Conservative care?"),
            Finding("scale", FindingStatus.UNANSWERED, "A scale?"),
            Finding("form", FindingStatus.NEEDS_JUDGEMENT, "Two forms."),
        ),
    ),
)
DISMISSED = _case(
    CaseStatus.DISMISSED,
    _item(1, ItemStatus.NOT_APPLICABLE, role=ItemRole.NOT_WISER),
    decided_at=DECIDED,
    dismissal=Dismissal(DismissalReason.EXEMPT_PROVIDER, "Bill it."),
)
NON_AFFIRMED = _case(
    CaseStatus.NON_AFFIRMED,
    _item(1, ItemStatus.NON_AFFIRMED, note="No imaging report."),
    reviewed_by_person=True,
    **DECISION,
)
PARTIAL = _case(
    CaseStatus.PARTIALLY_AFFIRMED,
    _item(1, ItemStatus.AFFIRMED),
    _item(2, ItemStatus.NON_AFFIRMED, note="One level is enough."),
    _item(3, ItemStatus.NOT_APPLICABLE, role=ItemRole.ASSOCIATED, note="Follows."),
    reviewed_by_person=True,
    **DECISION,
    **VALIDITY,
)


def _request(line: Line = "2.2", lines: int = 1) -> RequestBundle:
    """A request with the trace numbers that the expected answers carry."""
    bundle = request_bundle(line, codes=("64483",) * lines, trace="trace")
    for item in claim(bundle)["item"]:
        item["extension"] = [_trace(item["sequence"])]
    return RequestBundle.of(bundle)


def _trace(sequence: int) -> Json:
    identifier = {"system": "urn:trace", "value": f"item-{sequence}"}
    return {"url": PAS + "extension-itemTraceNumber", "valueIdentifier": identifier}


def _frame(line: Line, request: RequestBundle, created: str, *extensions: Json) -> Json:
    """What every ClaimResponse has."""
    trace = {"system": "https://ehr.sandbox.example/trace", "value": "trace"}
    swapped = {
        "url": PAS + "extension-TransmissionIdentifiers",
        "extension": [
            {"url": "applicationReceiverCode", "valueString": "SANDBOX-EHR"},
            {"url": "applicationSenderCode", "valueString": "WISER-FHIR"},
        ],
    }
    found = [swapped, *extensions] if line == "2.2" else []
    return {
        "resourceType": "ClaimResponse",
        "id": str(CASE),
        "meta": {"profile": [PAS + "profile-claimresponse"]},
        **({"extension": found} if found else {}),
        "identifier": [trace],
        "status": "active",
        "type": _concept("http://terminology.hl7.org/CodeSystem/claim-type", "professional"),
        "use": "preauthorization",
        "patient": request.claim["patient"],
        "created": created,
        "insurer": request.claim["insurer"],
        "requestor": request.claim["provider"],
        "request": {"type": "Claim", "identifier": trace},
    }


def _concept(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


def _reviewer(by_person: bool) -> Json:
    flag = {"url": "wasHumanReviewedFlag", "valueBoolean": by_person}
    return {"url": PAS + "extension-claimResponseReviewer", "extension": [flag]}


def _adjudication(action: str, number: str | None = None) -> list[Json]:
    code = {
        "url": PAS + "extension-reviewActionCode",
        "valueCodeableConcept": _concept("https://codesystem.x12.org/005010/306", action),
    }
    numbered = [{"url": "number", "valueString": number}] if number else []
    return [
        {
            "extension": [{"url": PAS + "extension-reviewAction", "extension": [*numbered, code]}],
            "category": _concept("http://terminology.hl7.org/CodeSystem/adjudication", "submitted"),
        }
    ]


REQUESTED = {"url": PAS + "extension-itemRequestedServiceDate", "valueDateTime": "2026-12-15"}
ISSUED = {"url": PAS + "extension-itemPreAuthIssueDate", "valueDate": "2026-11-21"}
VALID = {"url": PAS + "extension-itemPreAuthPeriod", "valuePeriod": PERIOD}
AT_DECISION, AT_RECEIPT = "2026-11-22T01:30:15.250Z", "2026-11-20T16:00:00.000Z"


def _rendered(line: Line, case: PriorAuthorization, lines: int = 1) -> tuple[Json, RequestBundle]:
    request = _request(line, lines)
    response = _renderer(line).claim_response(case, request, codes.CLAIM_RESPONSE)
    assert orjson.loads(orjson.dumps(response)) == response
    return response, request


@pytest.mark.parametrize("line", LINES)
def test_affirmed(line: Line) -> None:
    response, request = _rendered(line, AFFIRMED)
    assert response == {
        **_frame(line, request, AT_DECISION, _reviewer(False)),
        "outcome": "complete",
        "disposition": "Provisionally affirmed. Last valid day of service: 2027-03-20.",
        "preAuthRef": UTN,
        "preAuthPeriod": PERIOD,
        "item": [
            {
                "extension": [_trace(1), REQUESTED, ISSUED, VALID],
                "itemSequence": 1,
                "adjudication": _adjudication("A1", UTN),
            }
        ],
    }


@pytest.mark.parametrize("line", LINES)
def test_pended(line: Line) -> None:
    response, request = _rendered(line, PENDED)
    number = {
        "url": PAS + "extension-administrationReferenceNumber",
        "valueString": "R00000000000001",
    }
    assert response == {
        **_frame(line, request, AT_RECEIPT),
        "outcome": "complete",
        "disposition": "Pended: a clinician will review this request."
        " Decision due by 2026-11-23T16:00:00.000Z.",
        "item": [
            {
                "extension": [_trace(1), number, REQUESTED],
                "itemSequence": 1,
                "noteNumber": [1, 2, 3],
                "adjudication": _adjudication("A4"),
            }
        ],
        "processNote": [
            _note(1, "Criterion not met (care): Conservative care?"),
            _note(2, "Not answered (scale): A scale?"),
            _note(3, "For the reviewing clinician (form): Two forms."),
        ],
    }


@pytest.mark.parametrize("line", LINES)
def test_what_keeps_the_payer_from_affirming_is_not_told(line: Line) -> None:
    off = Finding("auto-affirm", FindingStatus.NEEDS_JUDGEMENT, "Switched off.", internal=True)
    case = replace(PENDED, assessment=Assessment(Recommendation.REVIEW, (off,)))
    response, _ = _rendered(line, case)
    assert "processNote" not in response
    assert "noteNumber" not in response["item"][0]


STANDING = "The tracking number ZZB00000000001 stays valid until 2027-03-20, while this is decided."


@pytest.mark.parametrize("line", LINES)
def test_a_number_that_stands_through_a_review_is_told(line: Line) -> None:
    again = replace(PENDED, superseded_utn=UTN, superseded_until=date(2027, 3, 20))
    response, _ = _rendered(line, replace(again, assessment=None))
    assert response["processNote"] == [_note(1, STANDING)]


@pytest.mark.parametrize(
    "case",
    [
        replace(PENDED, assessment=None, superseded_utn=UTN),
        replace(AFFIRMED, superseded_utn=UTN, superseded_until=date(2027, 3, 20)),
    ],
    ids=["no longer valid", "decided"],
)
def test_one_that_does_not_stand_is_not(case: PriorAuthorization) -> None:
    assert "processNote" not in _rendered("2.2", case)[0]


def _note(number: int, text: str) -> Json:
    return {"number": number, "type": "display", "text": text}


@pytest.mark.parametrize("line", LINES)
def test_dismissed(line: Line) -> None:
    response, request = _rendered(line, DISMISSED)
    reject = RejectReasons.load().reasons[DismissalReason.EXEMPT_PROVIDER]
    followup = _concept("https://codesystem.x12.org/005010/889", reject.followup)
    assert response == {
        **_frame(line, request, AT_DECISION),
        "outcome": "error",
        "disposition": "Dismissed without medical review; this is not a denial. Bill it.",
        "processNote": [_note(1, "Bill it.")],
        "error": [
            {
                "extension": [
                    {
                        "url": PAS + "extension-errorFollowupAction",
                        "valueCodeableConcept": followup,
                    },
                    {"url": PAS + "extension-errorPath", "valueString": reject.path},
                ],
                "code": _concept("https://codesystem.x12.org/005010/901", reject.code),
            }
        ],
    }


@pytest.mark.parametrize("line", LINES)
def test_non_affirmed(line: Line) -> None:
    response, request = _rendered(line, NON_AFFIRMED)
    assert response == {
        **_frame(line, request, AT_DECISION, _reviewer(True)),
        "outcome": "complete",
        "disposition": "Not affirmed.",
        "preAuthRef": UTN,
        "item": [
            {
                "extension": [_trace(1), REQUESTED, ISSUED],
                "itemSequence": 1,
                "noteNumber": [1],
                "adjudication": _adjudication("A3", UTN),
            }
        ],
        "processNote": [_note(1, "No imaging report.")],
    }


@pytest.mark.parametrize("line", LINES)
def test_partially_affirmed(line: Line) -> None:
    response, request = _rendered(line, PARTIAL, lines=3)
    assert response == {
        **_frame(line, request, AT_DECISION, _reviewer(True)),
        "outcome": "complete",
        "disposition": "Provisionally affirmed in part. Last valid day of service: 2027-03-20.",
        "preAuthRef": UTN,
        "preAuthPeriod": PERIOD,
        "item": [
            {
                "extension": [_trace(1), REQUESTED, ISSUED, VALID],
                "itemSequence": 1,
                "adjudication": _adjudication("A1", UTN),
            },
            {
                "extension": [_trace(2), REQUESTED, ISSUED],
                "itemSequence": 2,
                "noteNumber": [1],
                "adjudication": _adjudication("A3", UTN),
            },
            {
                "extension": [_trace(3), REQUESTED],
                "itemSequence": 3,
                "noteNumber": [2],
                "adjudication": _adjudication("NA"),
            },
        ],
        "processNote": [_note(1, "One level is enough."), _note(2, "Follows.")],
    }


def test_cancelled() -> None:
    case = _case(CaseStatus.CANCELLED, _item(1, ItemStatus.CANCELLED), decided_at=DECIDED)
    response, _ = _rendered("2.2", case)
    assert response["item"][0]["adjudication"] == _adjudication("C")
    assert "preAuthRef" not in response
    assert response["disposition"] == "Cancelled by the submitter."


def test_a_decided_case_may_wait_for_its_number() -> None:
    response, _ = _rendered("2.2", replace(AFFIRMED, utn=None))
    assert "preAuthRef" not in response
    assert response["item"][0]["adjudication"] == _adjudication("A1")


def test_a_note_of_two_lines_has_one_number() -> None:
    same = [_item(n, ItemStatus.NOT_APPLICABLE, note="Follows.") for n in (2, 3)]
    other = _item(4, ItemStatus.NOT_APPLICABLE, note="Not a WISeR service.")
    case = replace(AFFIRMED, items=(*AFFIRMED.items, *same, other))
    response, _ = _rendered("2.2", case, lines=4)
    assert [item.get("noteNumber") for item in response["item"]] == [None, [1], [1], [2]]
    assert [note["number"] for note in response["processNote"]] == [1, 2]


def test_an_item_keeps_the_period_it_asked_for() -> None:
    request = _request()
    asked = request.claim["item"][0]
    del asked["servicedDate"]
    asked["servicedPeriod"] = {"start": "2026-12-15", "end": "2026-12-17"}
    response = _renderer("2.2").claim_response(AFFIRMED, request, codes.CLAIM_RESPONSE)
    (found,) = [
        e for e in response["item"][0]["extension"] if e["url"].endswith("itemRequestedServiceDate")
    ]
    assert found["valuePeriod"] == asked["servicedPeriod"]


def test_an_item_that_names_no_date_is_answered_without() -> None:
    request = _request()
    del request.claim["item"][0]["servicedDate"]
    response = _renderer("2.2").claim_response(AFFIRMED, request, codes.CLAIM_RESPONSE)
    assert response["item"][0]["extension"] == [_trace(1), ISSUED, VALID]


def test_transmission_identifiers_change_places() -> None:
    request = _request()
    request.claim["extension"] = [
        {
            "url": codes.TRANSMISSION_IDENTIFIERS,
            "extension": [
                {"url": "applicationSenderCode", "valueString": "A"},
                {"url": "applicationReceiverCode", "valueString": "B"},
                {"url": "interchangeSenderID", "valueString": "C"},
                {"url": "interchangeReceiverID", "valueString": "D"},
                {"url": "another", "valueString": "E"},
            ],
        }
    ]
    response = _renderer("2.2").claim_response(PENDED, request, codes.CLAIM_RESPONSE)
    (sent,) = [e for e in response["extension"] if e["url"] == codes.TRANSMISSION_IDENTIFIERS]
    assert {part["url"]: part["valueString"] for part in sent["extension"]} == {
        "applicationReceiverCode": "A",
        "applicationSenderCode": "B",
        "interchangeReceiverID": "C",
        "interchangeSenderID": "D",
    }


def test_a_request_without_them_gets_none() -> None:
    request = _request()
    del request.claim["extension"]
    response = _renderer("2.2").claim_response(PENDED, request, codes.CLAIM_RESPONSE)
    assert "extension" not in response


def test_line_2_0_may_have_no_trace_number() -> None:
    request = _request("2.0")
    del request.claim["identifier"]
    response = _renderer("2.0").claim_response(PENDED, request, codes.CLAIM_RESPONSE)
    assert "identifier" not in response
    assert response["request"] == {"type": "Claim"}


# The Bundle around it


@pytest.mark.parametrize("line", LINES)
def test_the_bundle_of_an_answer(line: Line) -> None:
    request = _request(line)
    bundle = _renderer(line).submit_response(AFFIRMED, request)
    assert bundle["meta"]["profile"] == [PAS + "profile-pas-response-bundle"]
    assert bundle["type"] == "collection"
    assert bundle["timestamp"] == AT_DECISION
    first = bundle["entry"][0]
    assert first["fullUrl"] == f"{BASES[line]}/ClaimResponse/{CASE}"
    assert first["resource"] == _rendered(line, AFFIRMED)[0]
    assert all(set(entry) == {"fullUrl", "resource"} for entry in bundle["entry"])


SENT = {"system": "https://ehr.sandbox.example/transaction", "value": "the sender's own"}


def _sent_as(line: Line = "2.2") -> RequestBundle:
    bundle = request_bundle(line)
    return RequestBundle.of(bundle | {"identifier": dict(SENT)})


def test_line_2_2_answers_under_the_senders_number_of_the_transaction() -> None:
    """Source: PAS 2.2.1, profile-pas-response-bundle (submitted transaction identifier)."""
    answers = [_renderer("2.2").submit_response(case, _sent_as()) for case in (AFFIRMED, PENDED)]
    assert [answer["identifier"] for answer in answers] == [SENT, SENT]
    assert answers[0]["id"] != answers[1]["id"]


def test_so_does_a_refusal_of_an_update() -> None:
    refused = Refused(UpdateRefusal.OUTDATED, "Too late.")
    answer = _renderer("2.2").update_refused(_sent_as(), CASE, RECEIVED, refused)
    assert answer["identifier"] == SENT


def test_on_line_2_0_the_identifier_is_that_of_the_answer_itself() -> None:
    answer = _renderer("2.0").submit_response(AFFIRMED, _sent_as("2.0"))
    assert answer["identifier"] == {
        "system": "https://wiser-fhir.example/fhir/NamingSystem/response-bundle",
        "value": answer["id"],
    }


@pytest.mark.parametrize("line", LINES)
def test_what_an_inquiry_finds_is_no_transaction_of_the_one_who_asks(line: Line) -> None:
    assert "identifier" not in _renderer(line).inquiry_response(AFFIRMED, _sent_as(line))


def test_the_same_answer_has_the_same_identifier_and_another_another() -> None:
    renderer, request = _renderer("2.2"), _request()
    once, again = (renderer.submit_response(AFFIRMED, request) for _ in range(2))
    assert once == again
    assert renderer.inquiry_response(AFFIRMED, request)["id"] != once["id"]
    assert renderer.submit_response(PENDED, request)["id"] != once["id"]


def test_an_inquirys_answer_claims_the_inquirys_profiles() -> None:
    bundle = _renderer("2.2").inquiry_response(AFFIRMED, _request())
    assert bundle["meta"]["profile"] == [PAS + "profile-pas-inquiry-response-bundle"]
    profile = bundle["entry"][0]["resource"]["meta"]["profile"]
    assert profile == [PAS + "profile-claiminquiryresponse"]


# What is echoed


def _echo(request: RequestBundle) -> list[tuple[str, str]]:
    """Type and fullUrl of what comes back of a request."""
    response = _renderer("2.2").claim_response(PENDED, request, codes.CLAIM_RESPONSE)
    found = list(echoed(request, response))
    for entry in found:
        assert entry in request.bundle["entry"]
    return [(entry["resource"]["resourceType"], entry["fullUrl"]) for entry in found]


def _at(bundle: Json, urls: dict[str, str]) -> RequestBundle:
    """A request whose people have these fullUrls: patient, insurer, provider, claim."""
    names = [claim(bundle)[name]["reference"] for name in ("patient", "insurer", "provider")]
    olds = dict(zip(("patient", "insurer", "provider"), names, strict=True))
    olds["claim"] = bundle["entry"][0]["fullUrl"]
    text = orjson.dumps(bundle).decode()
    for name, url in urls.items():
        text = text.replace(olds[name], url)
    return RequestBundle.of(orjson.loads(text))


def test_patient_insurer_and_requestor_come_back_as_they_were() -> None:
    request = _request()
    assert _echo(request) == [
        ("Patient", request.claim["patient"]["reference"]),
        ("Organization", request.claim["insurer"]["reference"]),
        ("Organization", request.claim["provider"]["reference"]),
    ]


def test_absolute_urls_are_kept() -> None:
    base = "https://ehr.test/fhir"
    urls = {
        "patient": f"{base}/Patient/1",
        "insurer": f"{base}/Organization/1",
        "provider": f"{base}/Organization/2",
        "claim": f"{base}/Claim/1",
    }
    request = _at(request_bundle(), urls)
    assert [url for _, url in _echo(request)] == [
        urls["patient"],
        urls["insurer"],
        urls["provider"],
    ]


def test_relative_references_become_the_full_urls_they_mean() -> None:
    base = "https://ehr.test/fhir"
    urls = {"patient": f"{base}/Patient/1", "claim": f"{base}/Claim/1"}
    request = _at(request_bundle(), urls)
    request.claim["patient"] = {"reference": "Patient/1", "display": "Ada"}
    response = _renderer("2.2").claim_response(PENDED, request, codes.CLAIM_RESPONSE)
    assert response["patient"] == {"reference": f"{base}/Patient/1"}
    assert _echo(request)[0] == ("Patient", f"{base}/Patient/1")


def test_who_is_two_things_comes_back_once() -> None:
    request = _request()
    request.claim["insurer"] = request.claim["provider"]
    assert [kind for kind, _ in _echo(request)] == ["Patient", "Organization"]


def test_what_they_refer_to_comes_along_once() -> None:
    bundle = request_bundle()
    role = next(e for e in bundle["entry"] if e["resource"]["resourceType"] == "PractitionerRole")
    claim(bundle)["provider"] = {"reference": role["fullUrl"]}
    patient = of_kind(bundle, "Patient")
    practitioner = role["resource"]["practitioner"]
    patient["generalPractitioner"] = [practitioner, practitioner]
    kinds = [kind for kind, _ in _echo(RequestBundle.of(bundle))]
    assert kinds == [
        "Patient",
        "Organization",
        "PractitionerRole",
        "Practitioner",
        "Organization",
    ]


def test_references_that_go_in_circles_end() -> None:
    bundle = request_bundle()
    patient = of_kind(bundle, "Patient")
    patient["link"] = [{"other": claim(bundle)["patient"], "type": "seealso"}]
    assert len(_echo(RequestBundle.of(bundle))) == 3


def test_who_has_no_entry_is_named_as_in_the_request() -> None:
    request = _request()
    payer = {"identifier": {"system": "urn:payer", "value": "1"}}
    request.claim["insurer"] = payer
    request.claim["provider"] = {"reference": "urn:uuid:nowhere"}
    response = _renderer("2.2").claim_response(PENDED, request, codes.CLAIM_RESPONSE)
    assert response["insurer"] == payer
    assert [kind for kind, _ in _echo(request)] == ["Patient"]


def test_who_is_contained_in_the_claim_is_contained_in_the_answer_once() -> None:
    request = _request()
    payer = {"resourceType": "Organization", "id": "payer", "name": "Payer"}
    request.claim["contained"] = [payer, {"resourceType": "Organization", "id": "other"}]
    request.claim["insurer"] = request.claim["provider"] = {"reference": "#payer"}
    response = _renderer("2.2").claim_response(PENDED, request, codes.CLAIM_RESPONSE)
    assert response["contained"] == [payer]
    assert response["insurer"] == response["requestor"] == {"reference": "#payer"}
    assert [kind for kind, _ in _echo(request)] == ["Patient"]


# An update that is refused


@pytest.mark.parametrize("line", LINES)
def test_a_refused_update(line: Line) -> None:
    request = _request(line)
    refused = Refused(UpdateRefusal.NON_AFFIRMED, "Send a resubmission.")
    bundle = _renderer(line).update_refused(request, CASE, RECEIVED, refused)
    reject = RejectReasons.load().reasons[UpdateRefusal.NON_AFFIRMED]
    response = bundle["entry"][0]["resource"]
    error = response.pop("error")
    assert response == {
        **_frame(line, request, AT_RECEIPT),
        "outcome": "error",
        "disposition": "The update is not taken. Send a resubmission.",
        "processNote": [_note(1, "Send a resubmission.")],
    }
    assert error[0]["code"] == _concept("https://codesystem.x12.org/005010/901", reject.code)
    assert b"[]" not in orjson.dumps(bundle)
    assert b"null" not in orjson.dumps(bundle)


# What an inquiry returns


def _asked(line: Line) -> RequestBundle:
    return RequestBundle.of(inquiry_bundle(line))


def test_line_2_2_returns_a_bundle_for_each() -> None:
    renderer = _renderer("2.2")
    found = [renderer.inquiry_response(case, _request()) for case in (AFFIRMED, PENDED)]
    answer = renderer.inquiry_answer(found, _asked("2.2"), RECEIVED)
    assert answer["resourceType"] == "Parameters"
    assert answer["parameter"] == [{"name": "return", "resource": bundle} for bundle in found]


def test_line_2_2_returns_none_for_nothing() -> None:
    answer = _renderer("2.2").inquiry_answer([], _asked("2.2"), RECEIVED)
    assert set(answer) == {"resourceType", "id"}


def test_line_2_0_returns_one_bundle_for_all() -> None:
    renderer = _renderer("2.0")
    found = [renderer.inquiry_response(case, _request("2.0")) for case in (AFFIRMED, PENDED)]
    answer = renderer.inquiry_answer(found, _asked("2.0"), RECEIVED)
    kinds = [entry["resource"]["resourceType"] for entry in answer["entry"]]
    assert kinds == ["ClaimResponse"] * 2 + ["Patient", "Organization", "Organization"]
    assert answer["type"] == "collection"
    assert answer["timestamp"] == AT_RECEIPT


def test_line_2_0_tells_whom_the_inquiry_named_where_nothing_is_found() -> None:
    asked = _asked("2.0")
    answer = _renderer("2.0").inquiry_answer([], asked, RECEIVED)
    named = [asked.claim[name]["reference"] for name in ("patient", "insurer", "provider")]
    assert [entry["fullUrl"] for entry in answer["entry"]] == named


def test_of_two_editions_of_an_entry_the_newest_requests_stays() -> None:
    renderer, new, old = _renderer("2.0"), _request("2.0"), _request("2.0")
    of_kind(new.bundle, "Patient")["gender"] = "other"
    found = [renderer.inquiry_response(case, r) for case, r in ((AFFIRMED, new), (PENDED, old))]
    answer = renderer.inquiry_answer(found, _asked("2.0"), RECEIVED)
    assert of_kind(answer, "Patient")["gender"] == "other"
