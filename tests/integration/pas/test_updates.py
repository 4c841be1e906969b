"""Claim/$submit with an update or a cancel: the case of an earlier request goes on."""

from datetime import timedelta

import orjson
import pytest

from tests.bundles import Json, Line, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.door import CARE_UNMET, MET, Client, Rows, actions, claim_response
from tests.update_bundles import cancel_of, claim_of, on, update_of, withdraw
from wiser_fhir.fhir import codes

TWO = ("64483", "64484")


async def _sent(client: Client, bundle: Json) -> Json:
    return claim_response(await client.submit(bundle))


def _sequences(bundle: Json) -> set[int]:
    return {item["sequence"] for item in claim_of(bundle)["item"]}


# A chain, one request after the other


@pytest.mark.parametrize("answers", [MET, CARE_UNMET], ids=["affirmed", "pended"])
async def test_a_chain_of_four(
    client: Client, line: Line, rows: Rows, answers: dict[str, object]
) -> None:
    """The submitted lines are answered, each of them and no other."""
    sender = client.at(line)
    live = "A1" if answers is MET else "A4"
    first = request_bundle(line, answers=answers)
    added = update_of(first, line, seed="add", add=("64484",))
    changed = update_of(added, line, seed="change", change={1: on("2026-12-18")}, cancel=(2,))
    ended = cancel_of(changed, line)
    told = [actions(await _sent(sender, each)) for each in (first, added, changed, ended)]
    assert told == [
        {1: live},
        {1: live, 2: live},
        {1: live, 2: "C"},
        {1: "C", 2: "C"},
    ]
    for bundle, answered in zip((first, added, changed, ended), told, strict=True):
        assert set(answered) == _sequences(bundle)
    (case,) = await rows.cases()
    assert (case["status"], case["revision"]) == ("cancelled", 4)


async def test_every_request_of_a_chain_is_kept(client: Client, line: Line, rows: Rows) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=CARE_UNMET)
    second = update_of(first, line, add=("64484",))
    third = cancel_of(second, line)
    bodies = [orjson.dumps(each) for each in (first, second, third)]
    for body in bodies:
        await sender.submit(body)
    assert await rows.received() == bodies
    kept = await rows.all("select operation, revision from submission order by revision")
    assert [tuple(row.values()) for row in kept] == [("submit", 1), ("update", 2), ("cancel", 3)]
    events = await rows.all("select kind, revision, detail from case_event order by at, revision")
    assert [(row["kind"], row["revision"]) for row in events] == [("updated", 2), ("cancelled", 3)]
    assert events[0]["detail"]["added"] == [2]
    assert events[1]["detail"]["cancelled"] == [1, 2]


# While the request is in review


async def test_an_update_in_review_keeps_the_clock(
    client: Client, line: Line, rows: Rows, clock: StillClock
) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=CARE_UNMET)
    await sender.submit(first)
    (before,) = await rows.cases()
    clock.now += timedelta(days=1)
    response = await _sent(sender, update_of(first, line, change={1: on("2026-12-18")}))
    (after,) = await rows.cases()
    assert (after["received_at"], after["decide_by"]) == (
        before["received_at"],
        before["decide_by"],
    )
    assert "2026-11-23T16:00:00.000Z" in response["disposition"]
    (item,) = await rows.all("select service_date::text, revision, status from case_item")
    assert item == {"service_date": "2026-12-18", "revision": 2, "status": "pended"}


async def test_an_update_that_tells_enough_is_affirmed_by_software(
    client: Client, line: Line, rows: Rows
) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=CARE_UNMET)
    await sender.submit(first)
    told = update_of(request_bundle(line, answers=MET), line)
    response = await _sent(sender, told)
    assert actions(response) == {1: "A1"}
    (number,) = await rows.all("select utn, revision, state from utn")
    assert number == {"utn": response["preAuthRef"], "revision": 2, "state": "assigned"}


async def test_urgency_that_comes_late_is_for_the_reviewer(
    client: Client, line: Line, rows: Rows
) -> None:
    sender = client.at(line)
    await sender.submit(request_bundle(line, answers=CARE_UNMET))
    urgent = update_of(request_bundle(line, answers=MET, expedited=True), line)
    assert actions(await _sent(sender, urgent)) == {1: "A4"}
    (case,) = await rows.cases()
    assert (case["expedited"], case["expedite_requested"]) == (False, True)
    findings = case["assessment"]["findings"]
    assert [f["text"] for f in findings if f["criterion"] == "update"] == [
        "The update asks for an expedited decision; the clock is the one before."
    ]


async def test_urgency_that_was_asked_for_stays(client: Client, line: Line, rows: Rows) -> None:
    sender = client.at(line)
    await sender.submit(request_bundle(line, answers=CARE_UNMET, expedited=True))
    await sender.submit(update_of(request_bundle(line, answers=CARE_UNMET), line))
    (case,) = await rows.cases()
    assert (case["expedited"], case["expedite_requested"]) == (True, True)


# What an update says of lines and materials


async def test_whether_a_line_is_marked_makes_no_difference(client: Client, line: Line) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=MET)
    await sender.submit(first)
    bare = update_of(first, line, add=("64484",), change={1: on("2026-12-18")}, flags=False)
    assert actions(await _sent(sender, bare)) == {1: "A1", 2: "A1"}


async def test_a_new_line_may_be_called_changed(client: Client, line: Line) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=MET)
    await sender.submit(first)
    update = update_of(first, line, add=("64484",))
    for told in claim_of(update)["item"][1]["extension"]:
        if told["url"] == codes.INFO_CHANGED:
            told["valueCode"] = "changed"
    assert actions(await _sent(sender, update)) == {1: "A1", 2: "A1"}


async def test_what_was_cancelled_stays_so(client: Client, line: Line) -> None:
    """Also where a later update repeats the line without a word about it."""
    sender = client.at(line)
    first = request_bundle(line, answers=MET, codes=TWO)
    second = update_of(first, line, seed="2", cancel=(2,))
    for each in (first, second):
        await sender.submit(each)
    third = update_of(second, line, seed="3", change={1: on("2026-12-18")})
    line_two = claim_of(third)["item"][1]
    del line_two["modifierExtension"]
    line_two["extension"] = claim_of(first)["item"][1]["extension"]
    assert actions(await _sent(sender, third)) == {1: "A1", 2: "C"}


async def test_a_line_that_comes_and_goes_at_once_is_cancelled(client: Client, line: Line) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=MET)
    await sender.submit(first)
    update = update_of(first, line, add=("64484",))
    withdraw(claim_of(update)["item"][1])
    assert actions(await _sent(sender, update)) == {1: "A1", 2: "C"}


async def test_a_form_that_is_withdrawn_does_not_count(client: Client, line: Line) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=MET)
    await sender.submit(first)
    update = update_of(first, line)
    withdraw(claim_of(update)["supportingInfo"][1])
    assert actions(await _sent(sender, update)) == {1: "A4"}


async def test_what_was_told_before_is_told_again(client: Client, line: Line, rows: Rows) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=MET, codes=TWO)
    await sender.submit(first)
    update = update_of(first, line)
    claim = claim_of(update)
    del claim["item"][1]
    del claim["supportingInfo"][0]
    answer = await sender.submit(update)
    assert answer.status_code == 422
    issues = [issue for issue in answer.json()["issue"] if issue["severity"] == "error"]
    assert [(i["details"]["text"], i["expression"]) for i in issues] == [
        (
            "An update repeats all that was told before; line 2 is missing.",
            ["Bundle.entry[0].resource.item"],
        ),
        (
            "An update repeats all that was told before; supporting information 1 is missing.",
            ["Bundle.entry[0].resource.supportingInfo"],
        ),
    ]
    (case,) = await rows.cases()
    assert case["revision"] == 1


# Which request is meant


async def test_a_claim_may_be_named_by_its_identifier(client: Client, line: Line) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=MET)
    await sender.submit(first)
    update = update_of(first, line, add=("64484",), named="identifier")
    assert actions(await _sent(sender, update)) == {1: "A1", 2: "A1"}


async def test_the_older_line_may_repeat_the_number_and_name_none(client: Client) -> None:
    """As the example of its guide does."""
    sender = client.at("2.0")
    first = request_bundle("2.0", answers=MET)
    await sender.submit(first)
    update = update_of(first, "2.0", add=("64484",), named="none")
    claim_of(update)["identifier"] = claim_of(first)["identifier"]
    assert actions(await _sent(sender, update)) == {1: "A1", 2: "A1"}


async def test_an_update_may_come_by_the_other_line(client: Client, line: Line) -> None:
    other: Line = "2.0" if line == "2.2" else "2.2"
    first = request_bundle(line, answers=MET)
    await client.at(line).submit(first)
    fresh = request_bundle(other, answers=MET, trace="second")
    update = update_of(fresh, other, add=("64484",), named="identifier")
    claim_of(update)["related"][0]["claim"] = {"identifier": claim_of(first)["identifier"][0]}
    assert actions(await _sent(client.at(other), update)) == {1: "A1", 2: "A1"}


async def test_of_two_requests_with_one_number_the_last_is_meant(
    client: Client, line: Line, rows: Rows, clock: StillClock
) -> None:
    sender = client.at(line)
    older = request_bundle(line, seed="older", trace="same", answers=MET)
    newer = request_bundle(line, seed="newer", trace="same", answers=MET)
    await sender.submit(older)
    clock.now += timedelta(hours=1)
    await sender.submit(newer)
    await sender.submit(cancel_of(newer, line))
    assert [case["status"] for case in await rows.cases()] == ["affirmed", "cancelled"]


async def test_a_trace_number_may_be_very_long(client: Client, line: Line, rows: Rows) -> None:
    sender = client.at(line)
    first = request_bundle(line, trace="9" * 5_000, answers=CARE_UNMET)
    unknown = request_bundle(line, seed="other", trace="".join(map(str, range(5_000))))
    await sender.submit(first)
    assert actions(await _sent(sender, update_of(first, line))) == {1: "A4"}
    assert (await _sent(sender, update_of(unknown, line)))["outcome"] == "error"
    (case,) = await rows.cases()
    assert (case["status"], case["revision"]) == ("in-review", 2)
