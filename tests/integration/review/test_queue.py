"""The queue at the door: what may be asked for, and what a page holds."""

import pytest

from tests.bundles import MEMBERS, request_bundle
from tests.integration.pas.door import CARE_UNMET, MET, Client, claim_response
from tests.integration.review.door import Json, Person


async def submitted(sender: Client, member: int, **fields: object) -> str:
    asked = {"answers": CARE_UNMET, "member": MEMBERS[member], "seed": str(member), **fields}
    case_id: str = claim_response(await sender.submit(request_bundle("2.2", **asked)))["id"]
    return case_id


def ids(page: Json) -> list[str]:
    return [each["id"] for each in page["cases"]]


async def test_a_line_of_the_queue(clinician: Person, pended: str) -> None:
    page = await clinician.queue()
    (line,) = page["cases"]
    assert page["next"] is None
    assert line.pop("reference")
    assert line == {
        "id": pended,
        "revision": 1,
        "kind": "initial",
        "status": "in-review",
        "service": "epidural-steroid-injection",
        "state": "TX",
        "codes": ["64483"],
        "received_at": "2026-11-20T16:00:00Z",
        "decide_by": "2026-11-23T16:00:00Z",
        "expedite_requested": False,
        "expedited": False,
        "expedite_confirmed": None,
        "escalation": None,
        "assigned_to": None,
        "assigned_name": None,
        "assigned_at": None,
        "asked": False,
    }


async def test_pages_follow_each_other_by_their_cursor(clinician: Person, sender: Client) -> None:
    urgent = await submitted(sender, 0, expedited=True)
    usual = await submitted(sender, 1)
    first = await clinician.queue(size=1)
    assert ids(first) == [urgent]
    second = await clinician.queue(size=1, cursor=first["next"])
    assert ids(second) == [usual]
    assert second["next"] is None
    astray = await clinician.get("cases", size=1, order="age", cursor=first["next"])
    assert astray.status_code == 422


async def test_a_queue_is_ones_own_or_nobodys(
    clinician: Person, coordinator: Person, sender: Client
) -> None:
    mine, free = await submitted(sender, 0), await submitted(sender, 1)
    await clinician.put(f"cases/{mine}/assignment", {})
    assert ids(await clinician.queue(assignee="me")) == [mine]
    assert ids(await clinician.queue(assignee="nobody")) == [free]
    assert ids(await coordinator.queue(assignee="me")) == []
    assert ids(await coordinator.queue(assignee=str(clinician.id))) == [mine]


async def test_filters_are_taken_together(clinician: Person, sender: Client) -> None:
    urgent = await submitted(sender, 0, expedited=True)
    affirmed = await submitted(sender, 1, answers=MET)
    assert ids(await clinician.queue(priority="expedited", state="TX")) == [urgent]
    assert ids(await clinician.queue(priority="standard")) == []
    assert ids(await clinician.queue(service="pild")) == []
    assert ids(await clinician.queue(decide_before="2026-11-22T16:00:00Z")) == []
    assert ids(await clinician.queue(received_from="2026-11-20T16:00:00Z")) == [urgent]
    assert ids(await clinician.queue(status="affirmed")) == [affirmed]


@pytest.mark.parametrize(
    "asked",
    [
        {"size": 0},
        {"size": 201},
        {"size": "many"},
        {"status": "lost"},
        {"service": "\0"},
        {"service": "A service"},
        {"state": "tx"},
        {"priority": "now"},
        {"escalation": "far"},
        {"assignee": "somebody"},
        {"received_from": "2026-11-20"},
        {"received_from": "2026-11-20T16:00:00"},
        {"received_from": "0001-01-01T00:00:00Z"},
        {"received_from": "2026-11-20T16:00:00Z", "received_before": "2026-11-20T16:00:00Z"},
        {"order": "chance"},
        {"cursor": "%"},
        {"cursor": "eA"},
        {"unheard-of": "1"},
        {"status": "affirmed", "order": "deadline"},
        {"status": "affirmed", "assignee": "me"},
    ],
)
async def test_what_cannot_be_asked_is_refused(clinician: Person, asked: Json) -> None:
    answer = await clinician.get("cases", **asked)
    assert answer.status_code == 422
    assert answer.json()["resourceType"] == "OperationOutcome"
