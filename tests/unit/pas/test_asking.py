from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from tests.bundles import Json, Line, request_bundle
from tests.cases import a_case, a_submission
from wiser_fhir.pas.asking import (
    communication_requests,
    one_communication_request,
    one_task,
    tasks,
)
from wiser_fhir.pas.request import RequestBundle
from wiser_fhir.priorauth.information import InformationRequest, Material, RequestState, Wanted
from wiser_fhir.priorauth.models import CaseStatus, ItemStatus, PriorAuthorization

BASE = "https://payer.example/fhir"
LINES: tuple[Line, ...] = ("2.2", "2.0")
ASKED_AT = datetime(2026, 4, 8, 14, 0, tzinfo=UTC)
DUE_AT = datetime(2026, 4, 10, 15, 30, tzinfo=UTC)
NOTES = Wanted(code="11506-3", lines=(2,), diagnosis="M54.16", modifier="18804-5")
IMAGING = Wanted(code="18748-4")
FORM = Wanted(questionnaire="https://wiser-fhir.example/fhir/Questionnaire/cervical-fusion|1")
PAS = "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/"


def asked(*wanted: Wanted, **changes: Any) -> InformationRequest:
    first = InformationRequest(
        UUID(int=1), Material.DOCUMENTS, ASKED_AT, DUE_AT, wanted, "The notes, please."
    )
    return replace(first, **changes)


def waiting(*requests: InformationRequest) -> PriorAuthorization:
    return a_case(
        a_submission(UUID(int=9)),
        CaseStatus.IN_REVIEW,
        requests=requests,
        reference="R00000000000001",
    )


def bundle(line: Line) -> RequestBundle:
    return RequestBundle.of(request_bundle(line))


def resources(entries: list[Json]) -> list[Json]:
    return [entry["resource"] for entry in entries]


def extensions(element: Json) -> dict[str, Any]:
    """The value of each extension by the last part of its url."""
    return {
        each["url"].removeprefix(PAS): next(v for k, v in each.items() if k != "url")
        for each in element.get("extension", ())
    }


def codes(element: Json) -> str:
    found: str = element["coding"][0]["code"]
    return found


@pytest.mark.parametrize("line", LINES)
def test_a_case_that_waits_for_nothing_asks_for_nothing(line: Line) -> None:
    for state in (RequestState.ANSWERED, RequestState.WITHDRAWN, RequestState.LAPSED):
        case = waiting(asked(NOTES, state=state))
        assert tasks(case, bundle(line), BASE, line) == []
        assert communication_requests(case, bundle(line), BASE, line) == []


def test_a_task_says_by_which_numbers_to_answer_until_when_and_where() -> None:
    request = bundle("2.2")
    (entry,) = tasks(waiting(asked(NOTES)), request, BASE, "2.2")
    task = entry["resource"]
    assert entry["fullUrl"] == f"{BASE}/Task/{UUID(int=1)}"
    trace = request.claim["identifier"][0]["value"]
    numbers = [(codes(each["type"]), each["value"]) for each in task["identifier"]]
    assert numbers == [("tracking-id", trace), ("admin-ref-number", "R00000000000001")]
    assert task["restriction"]["period"] == {
        "start": "2026-04-08T14:00:00.000Z",
        "end": "2026-04-10T15:30:00.000Z",
    }
    assert task["input"][0]["valueUrl"] == f"{BASE}/$submit-attachment"
    assert task["reasonReference"]["identifier"]["value"] == trace
    assert task["note"] == [{"text": "The notes, please."}]
    assert (task["status"], task["intent"]) == ("requested", "order")


def test_each_kind_of_material_has_a_task_of_its_own() -> None:
    form = asked(FORM, id=UUID(int=2), kind=Material.QUESTIONNAIRE)
    found = resources(tasks(waiting(asked(NOTES), form), bundle("2.2"), BASE, "2.2"))
    assert [codes(task["code"]) for task in found] == [
        "attachment-request-code",
        "attachment-request-questionnaire",
    ]


@pytest.mark.parametrize(
    ("line", "number"), [("2.2", "extension-serviceLineNumber"), ("2.0", "extension-paLineNumber")]
)
def test_what_is_wanted_for_the_whole_request_is_wanted_for_each_open_line(
    line: Line, number: str
) -> None:
    case = waiting(asked(NOTES, IMAGING))
    first, second = case.items
    (task,) = resources(tasks(case, bundle(line), BASE, line))
    inputs = [(codes(i["valueCodeableConcept"]), extensions(i)[number]) for i in task["input"][1:]]
    assert inputs == [("11506-3", 2), ("18748-4", 1), ("18748-4", 2)]
    half = replace(case, items=(replace(first, status=ItemStatus.NOT_APPLICABLE), second))
    (task,) = resources(tasks(half, bundle(line), BASE, line))
    assert [extensions(i)[number] for i in task["input"][1:]] == [2, 2]


def test_where_no_line_is_open_what_is_wanted_is_for_all() -> None:
    case = waiting(asked(IMAGING, state=RequestState.LAPSED))
    closed = tuple(replace(item, status=ItemStatus.AFFIRMED) for item in case.items)
    task = one_task(replace(case, items=closed), bundle("2.2"), BASE, "2.2", UUID(int=1))
    assert task is not None
    assert len(task["input"]) == 3


def test_the_modifier_of_a_document_is_in_the_task_of_the_later_line() -> None:
    (task,) = resources(tasks(waiting(asked(NOTES)), bundle("2.2"), BASE, "2.2"))
    assert codes(extensions(task["input"][1])["extension-contentModifier"]) == "18804-5"
    (task,) = resources(tasks(waiting(asked(NOTES)), bundle("2.0"), BASE, "2.0"))
    assert "extension-contentModifier" not in extensions(task["input"][1])


def test_a_form_is_led_to_by_the_trace_number() -> None:
    case = waiting(asked(FORM, kind=Material.QUESTIONNAIRE))
    request = bundle("2.2")
    (task,) = resources(tasks(case, request, BASE, "2.2"))
    trace = request.claim["identifier"][0]
    assert [codes(each["type"]) for each in task["input"]] == [
        *("payer-url", "questionnaire-context", "questionnaire-context"),
    ]
    assert task["input"][1]["valueString"] == trace["value"]
    request = bundle("2.0")
    (task,) = resources(tasks(case, request, BASE, "2.0"))
    assert codes(task["input"][1]["type"]) == "questionnaires-needed"
    assert task["input"][1]["valueIdentifier"]["value"] == request.claim["identifier"][0]["value"]


def test_a_request_without_a_trace_number_goes_by_ours() -> None:
    request = bundle("2.0")
    del request.claim["identifier"]
    (task,) = resources(tasks(waiting(asked(NOTES)), request, BASE, "2.0"))
    assert {each["value"] for each in task["identifier"]} == {"R00000000000001"}


def test_on_the_later_line_one_communication_request_asks_for_one_thing_about_one_line() -> None:
    both = Wanted(code="11506-3", lines=(1, 2))
    case = waiting(asked(both, IMAGING))
    found = resources(communication_requests(case, bundle("2.2"), BASE, "2.2"))
    said = [
        (each["payload"][0]["contentString"], extensions(each).get("extension-serviceLineNumber"))
        for each in found
    ]
    assert said == [("11506-3", 1), ("11506-3", 2), ("18748-4", None)]
    assert [each["id"].rpartition("-")[2] for each in found] == ["1", "2", "3"]
    numbers = [each["identifier"][0]["value"] for each in found]
    assert numbers == [f"R00000000000001-{n}" for n in (1, 2, 3)]


def test_on_the_earlier_line_one_communication_request_asks_for_everything() -> None:
    case = waiting(asked(NOTES, IMAGING))
    (found,) = resources(communication_requests(case, bundle("2.0"), BASE, "2.0"))
    first, second = found["payload"]
    assert extensions(found) == {}
    assert first["contentString"] == "11506-3"
    assert {*extensions(first)} == {
        *("extension-serviceLineNumber", "extension-communicatedDiagnosis"),
        "extension-contentModifier",
    }
    assert second == {"contentString": "18748-4"}


@pytest.mark.parametrize("line", LINES)
def test_a_form_is_asked_for_by_its_one_code(line: Line) -> None:
    case = waiting(asked(FORM, kind=Material.QUESTIONNAIRE))
    (found,) = resources(communication_requests(case, bundle(line), BASE, line))
    assert [each["contentString"] for each in found["payload"]] == ["102089-0"]


@pytest.mark.parametrize("line", LINES)
def test_the_payer_asks_and_the_provider_answers(line: Line) -> None:
    request = bundle(line)
    (found,) = resources(communication_requests(waiting(asked(NOTES)), request, BASE, line))
    assert found["requester"] == {"reference": request.claim["insurer"]["reference"]}
    assert found["recipient"] == [found["requester"]]
    assert found["sender"] == {"reference": request.claim["provider"]["reference"]}
    (task,) = resources(tasks(waiting(asked(NOTES)), request, BASE, line))
    assert task["owner"]["identifier"]["system"] == "http://hl7.org/fhir/sid/us-npi"


def test_a_number_stays_with_its_request_when_an_earlier_one_is_answered() -> None:
    later = asked(IMAGING, id=UUID(int=2))
    case = waiting(asked(NOTES, state=RequestState.ANSWERED), later)
    (found,) = resources(communication_requests(case, bundle("2.2"), BASE, "2.2"))
    assert found["identifier"][0]["value"] == "R00000000000001-2"


@pytest.mark.parametrize(
    ("state", "task_status", "request_status"),
    [
        (RequestState.OPEN, "requested", "active"),
        (RequestState.ANSWERED, "completed", "completed"),
        (RequestState.WITHDRAWN, "rejected", "revoked"),
        (RequestState.LAPSED, "failed", "revoked"),
    ],
)
def test_what_became_of_it_can_be_read(
    state: RequestState, task_status: str, request_status: str
) -> None:
    case, request = waiting(asked(NOTES, state=state)), bundle("2.2")
    task = one_task(case, request, BASE, "2.2", UUID(int=1))
    found = one_communication_request(case, request, BASE, "2.2", f"{UUID(int=1)}-1")
    assert task is not None
    assert found is not None
    assert (task["status"], found["status"]) == (task_status, request_status)
    assert task["statusReason"]["text"]
    assert ("meta" in found) == (state is RequestState.OPEN)


def test_nothing_is_found_under_another_id() -> None:
    case, request = waiting(asked(NOTES)), bundle("2.2")
    assert one_task(case, request, BASE, "2.2", UUID(int=7)) is None
    assert one_communication_request(case, request, BASE, "2.2", f"{UUID(int=1)}-2") is None


def test_who_is_contained_in_the_claim_is_named_by_identifier() -> None:
    request = bundle("2.2")
    claim = request.claim
    npi = {"system": "http://hl7.org/fhir/sid/us-npi", "value": "1234567893"}
    claim["contained"] = [
        {"resourceType": "Organization", "id": "payer", "identifier": [npi]},
        {"resourceType": "Organization", "id": "nobody"},
    ]
    claim["insurer"] = {"reference": "#payer"}
    claim["provider"] = {"reference": "#nobody"}
    case = waiting(asked(NOTES))
    (found,) = resources(communication_requests(case, request, BASE, "2.2"))
    (task,) = resources(tasks(case, request, BASE, "2.2"))
    assert found["requester"] == {"type": "Organization", "identifier": npi}
    assert task["requester"] == {"identifier": npi}
    (absent,) = task["owner"]["identifier"]["extension"]
    assert absent["valueCode"] == "unknown"


def test_who_is_named_by_identifier_alone_stays_so() -> None:
    request = bundle("2.2")
    payer = {
        "type": "Organization",
        "identifier": {"system": "https://payer.example", "value": "1"},
    }
    request.claim["insurer"] = payer
    case = waiting(asked(NOTES))
    (found,) = resources(communication_requests(case, request, BASE, "2.2"))
    (task,) = resources(tasks(case, request, BASE, "2.2"))
    assert found["requester"] == payer
    assert task["requester"]["identifier"]["value"] == "1"


def test_who_is_named_by_nothing_we_know_is_unknown() -> None:
    request = bundle("2.2")
    request.claim["insurer"] = {"display": "Somebody"}
    (task,) = resources(tasks(waiting(asked(NOTES)), request, BASE, "2.2"))
    assert "extension" in task["requester"]["identifier"]
