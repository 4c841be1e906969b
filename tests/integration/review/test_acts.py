"""What people do to a case, and who may."""

from typing import Any

import pytest

from tests.bundles import MEMBERS, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.door import CARE_UNMET, Client, Rows, claim_response
from tests.integration.review.door import AFFIRM, NON_AFFIRM, Json, MakePerson, Person

DOCUMENTS: Json = {"kind": "documents", "wanted": [{"code": "18776-5"}]}


def decision(*items: Json, revision: int = 1, **more: Any) -> Json:
    return {"revision": revision, "items": list(items), **more}


async def test_an_affirmation_is_recorded_once(clinician: Person, pended: str) -> None:
    url = f"cases/{pended}/determination"
    first = await clinician.put(url, decision(AFFIRM))
    second = await clinician.put(url, decision(AFFIRM))
    assert first.status_code == 200
    assert first.json()["status"] == "affirmed"
    assert first.json()["utn"]["valid_until"] == "2027-03-19"
    assert second.status_code == 409
    assert second.json()["issue"][0]["code"] == "conflict"


async def test_a_non_affirmation_says_why_and_the_provider_reads_it(
    clinician: Person, sender: Client, pended: str
) -> None:
    answer = await clinician.put(f"cases/{pended}/determination", decision(NON_AFFIRM))
    assert answer.json()["status"] == "non-affirmed"
    (made,) = answer.json()["determinations"]
    assert (made["outcome"], made["clinician"]) == ("non-affirmed", clinician.reviewer.name)
    assert made["rationale"] == NON_AFFIRM["rationale"]
    told = (await sender.get(f"ClaimResponse/{pended}")).text
    assert NON_AFFIRM["rationale"] in told


async def test_a_grant_may_be_narrower_than_what_was_asked(
    clinician: Person, sender: Client, pended: str
) -> None:
    narrower = {**AFFIRM, "grant": {"quantity": "1"}}
    answer = await clinician.put(f"cases/{pended}/determination", decision(narrower))
    assert answer.status_code == 200
    (item,) = answer.json()["items"]
    assert item["decision"]["quantity"] == "1"
    assert item["decision"]["decided_by"] == "clinician"


async def test_everything_wrong_with_a_determination_is_told_at_once(
    clinician: Person, pended: str
) -> None:
    bare = {"sequence": 1, "outcome": "non-affirmed"}
    answer = await clinician.put(
        f"cases/{pended}/determination", decision(bare, {"sequence": 7, "outcome": "affirmed"})
    )
    assert answer.status_code == 422
    where = [issue.get("expression") for issue in answer.json()["issue"]]
    assert ["items[0].rationale"] in where
    assert ["items[0].resubmission_steps"] in where
    assert len(where) >= 3


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"revision": 1, "items": []},
        {"revision": 0, "items": [AFFIRM]},
        {"revision": 2**31, "items": [AFFIRM]},
        {"revision": 1, "items": [{**AFFIRM, "outcome": "denied"}]},
        {"revision": 1, "items": [{**AFFIRM, "unheard-of": 1}]},
        {"revision": 1, "items": [{**AFFIRM, "answer": {"unheard-of": 1}}]},
        {"revision": 1, "items": [{**AFFIRM, "grant": {"quantity": "0"}}]},
        {"revision": 1, "items": [{**AFFIRM, "grant": {"first_day": "0001-01-01"}}]},
        {"revision": 1, "items": [AFFIRM], "note": ""},
        {"revision": "1", "items": [AFFIRM]},
        {"revision": 1.0, "items": [AFFIRM]},
        {"revision": True, "items": [AFFIRM]},
        {"revision": 1, "items": [{**AFFIRM, "grant": {"quantity": True}}]},
        {"revision": 1, "items": [{**AFFIRM, "sequence": "1"}]},
        {"revision": 1, "items": [{**AFFIRM, "grant": {"quantity": "\u0661"}}]},
        {"revision": 1, "items": [{**AFFIRM, "grant": {"quantity": "1_0"}}]},
        {"revision": 1, "items": [{**AFFIRM, "grant": {"first_day": 1795305600}}]},
        {"revision": 1, "items": [{**AFFIRM, "answer": {"discharge": 1795305600}}]},
        {"revision": 1, "items": [{**AFFIRM, "answer": {"second_opinion": "true"}}]},
    ],
)
async def test_a_body_that_is_no_determination_is_refused(
    clinician: Person, pended: str, body: Json
) -> None:
    answer = await clinician.put(f"cases/{pended}/determination", body)
    assert answer.status_code == 422
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert (await clinician.case(pended))["status"] == "in-review"


async def test_a_case_that_has_changed_since_is_not_decided(clinician: Person, pended: str) -> None:
    answer = await clinician.put(f"cases/{pended}/determination", decision(AFFIRM, revision=2))
    assert answer.status_code == 409


async def test_documents_are_asked_for_and_asked_for_no_more(
    clinician: Person, coordinator: Person, pended: str
) -> None:
    asked = await coordinator.post(
        f"cases/{pended}/requests", {"revision": 1, "requests": [DOCUMENTS]}
    )
    assert asked.status_code == 200
    (request,) = asked.json()["requests"]
    assert (request["state"], request["due_at"]) == ("open", "2026-11-23T16:00:00Z")
    assert [each["asked"] for each in (await clinician.queue())["cases"]] == [True]
    gone = await coordinator.delete(f"cases/{pended}/requests/{request['id']}")
    assert [each["state"] for each in gone.json()["requests"]] == ["withdrawn"]
    assert [each["asked"] for each in (await clinician.queue())["cases"]] == [False]


async def test_a_note_stands_in_the_history_and_not_in_the_answer(
    coordinator: Person, sender: Client, pended: str
) -> None:
    noted = await coordinator.post(f"cases/{pended}/notes", {"text": "Called the clinic."})
    assert (noted.status_code, noted.content) == (204, b"")
    (event,) = (await coordinator.case(pended))["history"]
    assert (event["kind"], event["text"]) == ("noted", "Called the clinic.")
    assert event["person"] == coordinator.reviewer.name
    assert "Called the clinic." not in (await sender.get(f"ClaimResponse/{pended}")).text


async def test_a_case_is_given_taken_and_released(
    coordinator: Person, clinician: Person, pended: str
) -> None:
    url = f"cases/{pended}/assignment"
    assert (await coordinator.put(url, {"person_id": str(clinician.id)})).status_code == 204
    assigned = (await coordinator.case(pended))["assigned"]
    assert assigned["name"] == clinician.reviewer.name
    assert (await coordinator.put(url, {})).status_code == 204
    assigned = (await coordinator.case(pended))["assigned"]
    assert assigned["name"] == coordinator.reviewer.name
    assert (await clinician.delete(url)).status_code == 204
    assert (await coordinator.case(pended))["assigned"] is None


async def test_an_expedited_review_is_confirmed_or_turned_into_a_standard_one(
    clinician: Person, sender: Client
) -> None:
    cases = []
    for member in MEMBERS[:2]:
        bundle = request_bundle(
            "2.2", answers=CARE_UNMET, expedited=True, member=member, seed=member.mbi
        )
        cases.append(claim_response(await sender.submit(bundle))["id"])
    yes = await clinician.put(f"cases/{cases[0]}/expedite", {"revision": 1, "confirmed": True})
    assert yes.json()["expedite"] == {"requested": True, "expedited": True, "confirmed": True}
    assert yes.json()["decide_by"] == "2026-11-22T16:00:00Z"
    body = {"revision": 1, "confirmed": False, "reason": "No risk to life or function is told."}
    no = await clinician.put(f"cases/{cases[1]}/expedite", body)
    assert no.json()["expedite"] == {"requested": True, "expedited": False, "confirmed": False}
    assert no.json()["decide_by"] == "2026-11-23T16:00:00Z"
    assert [each["kind"] for each in no.json()["letters"]] == ["expedite-notice"]


async def test_a_reason_goes_with_what_is_not_confirmed(clinician: Person, pended: str) -> None:
    for body in ({"confirmed": False}, {"confirmed": True, "reason": "Why not."}):
        answer = await clinician.put(f"cases/{pended}/expedite", {"revision": 1, **body})
        assert answer.status_code == 422


async def test_a_conversation_is_asked_for_scheduled_and_held(
    make_person: MakePerson, coordinator: Person, sender: Client, clock: StillClock
) -> None:
    surgeon = await make_person(specialty="207X00000X")
    asked = request_bundle("2.2", answers=CARE_UNMET, previous_utn="ZZB00000000001")
    case_id = claim_response(await sender.submit(asked))["id"]
    slots = [f"2026-11-21T{hour}:00:00Z" for hour in (14, 15, 16)]
    body = {"revision": 1, "slots": slots, "contact": "555-0100", "specialty": "207X00000X"}
    opened = await coordinator.post(f"cases/{case_id}/peer-to-peer", body)
    assert opened.status_code == 201
    url = f"cases/{case_id}/peer-to-peer/{opened.json()['id']}"
    fixed = await coordinator.put(
        url, {"state": "scheduled", "slot": slots[1], "clinician_id": str(surgeon.id)}
    )
    assert (fixed.json()["state"], fixed.json()["scheduled_at"]) == ("scheduled", slots[1])
    clock.now = clock.now.replace(day=21, hour=17)
    held = await surgeon.put(url, {"state": "held", "outcome": "The notes will follow."})
    assert (held.json()["state"], held.json()["outcome"]) == ("held", "The notes will follow.")
    (shown,) = (await surgeon.case(case_id))["conversations"]
    assert shown == held.json()


ACTS: list[tuple[str, str, Json | None]] = [
    ("PUT", "determination", decision(AFFIRM)),
    ("PUT", "expedite", {"revision": 1, "confirmed": True}),
    ("POST", "requests", {"revision": 1, "requests": [DOCUMENTS]}),
    ("DELETE", "requests/5a5d0b0c-0000-4000-8000-000000000999", None),
    ("POST", "notes", {"text": "Seen."}),
    ("PUT", "assignment", {}),
    ("DELETE", "assignment", None),
    (
        "POST",
        "peer-to-peer",
        {
            "revision": 1,
            "slots": ["2026-11-21T14:00:00Z", "2026-11-21T15:00:00Z", "2026-11-21T16:00:00Z"],
            "contact": "555-0100",
            "specialty": "207X00000X",
        },
    ),
    ("PUT", "peer-to-peer/5a5d0b0c-0000-4000-8000-000000000999", {"state": "declined"}),
]


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
async def test_an_auditor_looks_and_changes_nothing(
    auditor: Person, pended: str, rows: Rows, method: str, path: str, body: Json | None
) -> None:
    answer = await auditor._send(
        method, f"cases/{pended}/{path}", **({"json": body} if body is not None else {})
    )
    assert answer.status_code == 403
    assert (await auditor.case(pended))["history"] == []
    (refused,) = await rows.all(
        "select person_id, outcome from audit_event where action = 'request.refused'"
    )
    assert refused == {"person_id": auditor.id, "outcome": "forbidden"}


@pytest.mark.parametrize(("method", "path", "body"), ACTS[:2])
async def test_a_coordinator_decides_nothing(
    coordinator: Person, pended: str, method: str, path: str, body: Json
) -> None:
    answer = await coordinator._send(method, f"cases/{pended}/{path}", json=body)
    assert answer.status_code == 403


@pytest.mark.parametrize(("method", "path", "body"), ACTS)
async def test_an_insider_finds_no_case_to_act_on(
    make_person: MakePerson,
    sender: Client,
    pended: str,
    method: str,
    path: str,
    body: Json | None,
) -> None:
    insider = await make_person(organizations=[sender.organization_id])
    answer = await insider._send(
        method, f"cases/{pended}/{path}", **({"json": body} if body is not None else {})
    )
    assert answer.status_code == 404


async def test_a_licence_that_is_over_decides_nothing(
    make_person: MakePerson, pended: str, clock: StillClock
) -> None:
    last_day = clock.now.date().replace(day=19)
    lapsed = await make_person(licence_expires=last_day)
    answer = await lapsed.put(f"cases/{pended}/determination", decision(AFFIRM))
    assert answer.status_code == 403
    assert (await lapsed.get("me")).json()["licensed"] is False
