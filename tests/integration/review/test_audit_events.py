"""The audit trail at the review door: for auditors alone, who leave a row by looking."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import inquiry_bundle, request_bundle
from tests.integration.pas.door import CARE_UNMET, Client, Rows
from tests.integration.review.door import MakePerson, Person
from wiser_fhir.db.engine import transaction

Json = dict[str, Any]
MBI = "1EG4TE5MK73"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


async def search(auditor: Person, **parameters: Any) -> Json:
    answer = await auditor.get("audit/AuditEvent", **parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/fhir+json"
    bundle: Json = answer.json()
    return bundle


async def by_form(person: Person, http: AsyncClient, body: str) -> Response:
    headers = {"Authorization": f"Bearer {person.token}", **FORM}
    return await http.post("/review/audit/AuditEvent/_search", content=body, headers=headers)


def events(bundle: Json) -> list[Json]:
    return [entry["resource"] for entry in bundle.get("entry", ())]


def actions(bundle: Json) -> list[str]:
    """Our own words for what happened, newest first, without looks at the trail itself."""
    found = [event["subtype"][-1]["code"] for event in events(bundle)]
    return [each for each in found if not each.startswith(("audit.", "gate."))]


def entity(event: Json, kind: str) -> Json:
    [found] = [each for each in event["entity"] if each["type"]["code"] == kind]
    return dict(found)


@pytest.fixture
async def case_id(sender: Client, pended: str, clinician: Person) -> str:
    """A case that came, was asked for, and was looked at; and a refusal."""
    await sender.inquire(inquiry_bundle("2.2", any_service=True))
    await sender.get(f"ClaimResponse/{pended}")
    await sender.get("ClaimResponse/nothing")
    await clinician.case(pended)
    return pended


async def test_what_happened_is_told_newest_first(auditor: Person, case_id: str) -> None:
    assert actions(await search(auditor)) == [
        *("case.message", "case.look", "request.refused", "claim-response.read", "claim.inquire"),
        "claim.submit",
    ]


async def test_a_submission_is_a_create_about_a_patient(
    auditor: Person, sender: Client, case_id: str
) -> None:
    [event] = events(await search(auditor, subtype="claim.submit"))
    assert event["meta"]["profile"] == [
        "https://profiles.ihe.net/ITI/BALP/StructureDefinition/IHE.BasicAudit.PatientCreate"
    ]
    assert (event["action"], event["outcome"], event["outcomeDesc"]) == ("C", "0", "in-review")
    assert entity(event, "2")["what"]["identifier"]["value"] == case_id
    client, server = event["agent"]
    assert client["who"]["identifier"]["value"] == str(sender.client_id)
    assert (client["requestor"], server["requestor"]) == (True, False)


async def test_a_refusal_says_why(auditor: Person, case_id: str) -> None:
    [event] = events(await search(auditor, outcome="4"))
    assert "profile" not in event.get("meta", {})
    [contained] = event["contained"]
    assert contained["issue"] == [{"severity": "error", "code": "not-found"}]
    assert entity(event, "OperationOutcome")["what"] == {"reference": f"#{contained['id']}"}


async def test_the_request_id_of_the_answer_leads_to_the_event(
    auditor: Person, sender: Client
) -> None:
    answer = await sender.submit(request_bundle("2.2", answers=CARE_UNMET))
    [event] = events(await search(auditor, subtype="claim.submit"))
    assert (
        entity(event, "XrequestId")["what"]["identifier"]["value"]
        == (answer.headers["x-request-id"])
    )


FILTERS: dict[str, tuple[Callable[[Client, Person, str], Json], list[str]]] = {
    "agent: client": (
        lambda client, person, case: {"agent": f"Device/{client.client_id}"},
        ["request.refused", "claim-response.read", "claim.inquire", "claim.submit"],
    ),
    "agent: person": (
        lambda client, person, case: {"agent": f"Practitioner/{person.id}"},
        ["case.message", "case.look"],
    ),
    "action: create": (lambda client, person, case: {"action": "C"}, ["claim.submit"]),
    "action: read": (
        lambda client, person, case: {"action": "R"},
        ["case.message", "case.look", "claim-response.read"],
    ),
    "action: execute": (
        lambda client, person, case: {"action": "E"},
        ["request.refused", "claim.inquire"],
    ),
    "entity": (
        lambda client, person, case: {"entity": case},
        ["case.message", "case.look", "claim-response.read", "claim.submit"],
    ),
    "outcome: well": (
        lambda client, person, case: {"outcome": "0", "action": "C"},
        ["claim.submit"],
    ),
    "outcome: ours": (lambda client, person, case: {"outcome": "8"}, []),
    "past days": (lambda client, person, case: {"date": "lt2020-01-01"}, []),
    "future days": (lambda client, person, case: {"date": "ge2190-01-01"}, []),
    "a span": (
        lambda client, person, case: {
            "date": ["ge2020-01-01", "lt2190-01-01T00:00:00Z"],
            "subtype": "claim.submit",
        },
        ["claim.submit"],
    ),
}


@pytest.mark.parametrize("name", FILTERS)
async def test_events_are_found_by(
    name: str, auditor: Person, sender: Client, clinician: Person, case_id: str
) -> None:
    asked, expected = FILTERS[name]
    assert actions(await search(auditor, **asked(sender, clinician, case_id))) == expected


async def test_a_beneficiary_is_found_by_a_number_in_a_form_and_by_the_hash_in_a_url(
    auditor: Person, stranger: AsyncClient, case_id: str
) -> None:
    expected = ["case.message", "case.look", "claim.inquire", "claim.submit"]
    for number in (MBI, "1eg4-te5-mk73"):
        bundle = (await by_form(auditor, stranger, f"patient={number}")).json()
        assert actions(bundle) == expected
        assert number not in str(bundle)
    hashed = entity(events(bundle)[0], "1")["what"]["identifier"]["value"]
    assert actions(await search(auditor, patient=hashed)) == expected
    [link] = [each["url"] for each in bundle["link"] if each["relation"] == "self"]
    assert f"patient={hashed}" in link
    other = (await by_form(auditor, stranger, "patient=1EG4TE5MK72")).json()
    assert actions(other) == []


async def test_a_number_in_a_url_is_refused(auditor: Person) -> None:
    answer = await auditor.get("audit/AuditEvent", patient=MBI)
    assert answer.status_code == 422
    assert "POST _search" in answer.text
    assert MBI not in answer.text


async def test_pages_show_every_event_once(
    auditor: Person, stranger: AsyncClient, case_id: str
) -> None:
    whole = [event["id"] for event in events(await search(auditor))]
    seen: list[str] = []
    bundle = await search(auditor, _count=2, date="lt2190-01-01")
    newest = int(whole[0])
    headers = {"Authorization": f"Bearer {auditor.token}"}
    while True:
        seen += [event["id"] for event in events(bundle)]
        following = [each["url"] for each in bundle["link"] if each["relation"] == "next"]
        if not following:
            break
        bundle = (await stranger.get(following[0], headers=headers)).json()
    assert [each for each in seen if int(each) <= newest] == whole
    assert len(seen) == len(set(seen))


async def test_one_event_is_read(auditor: Person, case_id: str) -> None:
    [event] = events(await search(auditor, subtype="claim.submit"))
    answer = await auditor.get(f"audit/AuditEvent/{event['id']}")
    assert answer.json() == event
    assert (await auditor.get("audit/AuditEvent/999999999")).status_code == 404


@pytest.mark.parametrize(
    "parameters",
    [
        {"nothing": "1"},
        {"_count": "0"},
        {"_count": "501"},
        {"_count": "x"},
        {"_before": "-1"},
        {"agent": "Device/1"},
        {"action": "X"},
        {"outcome": "12"},
        {"date": "yesterday"},
        {"date": "2026-02-30"},
        {"date": "1999-01-01"},
        {"date": "ne2026-01-01"},
        {"subtype": "a b"},
        {"entity": "a b"},
        {"agent": ["1", "2"]},
    ],
    ids=str,
)
async def test_what_is_not_understood_is_refused(auditor: Person, parameters: Json) -> None:
    answer = await auditor.get("audit/AuditEvent", **parameters)
    assert answer.status_code == 422
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("role", ["clinician", "coordinator", "operations"])
async def test_it_is_for_auditors_alone(
    role: str, make_person: MakePerson, stranger: AsyncClient, rows: Rows
) -> None:
    person = await make_person(roles=(role,))
    assert (await person.get("audit/AuditEvent")).status_code == 403
    assert (await person.get("audit/AuditEvent/1")).status_code == 403
    assert (await by_form(person, stranger, "")).status_code == 403
    assert await rows.audit() == [("request.refused", "forbidden")] * 3


async def test_looking_is_on_the_trail(
    auditor: Person, stranger: AsyncClient, case_id: str, rows: Rows
) -> None:
    await search(auditor, subtype="claim.submit")
    await by_form(auditor, stranger, f"patient={MBI}")
    await auditor.get("audit/AuditEvent/999999999")
    looks = await rows.all(
        "select person_id, action, outcome, object_id, patient is not null as named,"
        " detail ->> 'found' as found from audit_event where action like 'audit.%' order by id"
    )
    assert [tuple(each.values()) for each in map(dict, looks)] == [
        (auditor.id, "audit.search", "found", None, False, "1"),
        (auditor.id, "audit.search", "found", None, True, "5"),
        (auditor.id, "audit.read", "none", "999999999", False, "0"),
    ]


async def test_the_gate_opens_for_nobody_else(
    app_engine: AsyncEngine, clinician: Person, auditor: Person, superuser_engine: AsyncEngine
) -> None:
    """Whatever the application thinks of somebody."""
    async with superuser_engine.begin() as db:
        await db.execute(
            text("update person set active = false where id = :id"), {"id": auditor.id}
        )
    for reader in (clinician.id, auditor.id, uuid4()):
        with pytest.raises(DBAPIError, match="for auditors"):
            async with transaction(app_engine) as db:
                await db.execute(
                    text(
                        "select * from gate.audit_trail(:reader, :reader, null, null, null, null,"
                        " null, null, null, null, null, 'x', null, null, 5)"
                    ),
                    {"reader": reader},
                )


async def test_an_auditor_sees_what_its_own_organization_did(
    make_person: MakePerson, sender: Client, case_id: str
) -> None:
    person = await make_person(roles=("auditor",), organizations=[sender.organization_id])
    assert "claim.submit" in actions(await search(person))


async def test_what_was_decided_is_told_without_its_words(
    auditor: Person, clinician: Person, pended: str
) -> None:
    shown = await clinician.case(pended)
    body = {
        "revision": shown["revision"],
        "items": [{"sequence": 1, "outcome": "affirmed", "rationale": "Canarybird."}],
    }
    answer = await clinician.put(f"cases/{pended}/determination", body)
    assert answer.status_code == 200, answer.text
    bundle = await search(auditor, agent=str(clinician.id))
    assert "case.determined" in actions(bundle)
    assert "Canarybird" not in str(bundle)
