"""An update of a decided request: a new revision of what was decided, by new decisions or old."""

import base64
from collections.abc import Callable
from datetime import date, timedelta
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Json, Line, inquiry_bundle, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.door import (
    CARE_UNMET,
    MET,
    Client,
    Rows,
    actions,
    claim_response,
    found_by,
)
from tests.integration.pas.reviewing import a_clinician, determine
from tests.update_bundles import cancel_of, claim_of, on, update_of
from wiser_fhir.fhir import codes

TWO = ("64483", "64484")


async def _sent(client: Client, bundle: Json) -> Json:
    return claim_response(await client.submit(bundle))


def numbers_before(response: Json) -> dict[int, list[str]]:
    """The number before that each line of an answer names."""
    return {
        item["itemSequence"]: [
            e["valueString"] for e in item["extension"] if e["url"] == codes.AUTHORIZATION_NUMBER
        ]
        for item in response["item"]
    }


async def _numbers(rows: Rows) -> list[tuple[str, int, str]]:
    """Each number with its revision and state, the first one first."""
    found = await rows.all("select utn, revision, state from utn order by revision")
    return [(row["utn"], row["revision"], row["state"]) for row in found]


async def test_what_software_affirmed_it_affirms_again(
    client: Client, line: Line, rows: Rows, clock: StillClock
) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=MET)
    before = await _sent(sender, first)
    clock.now += timedelta(days=5)
    after = await _sent(sender, update_of(first, line, change={1: on("2026-12-18")}))
    assert actions(after) == {1: "A1"}
    assert after["preAuthPeriod"] == {"start": "2026-11-25", "end": "2027-03-24"}
    assert await _numbers(rows) == [
        (before["preAuthRef"], 1, "superseded"),
        (after["preAuthRef"], 2, "assigned"),
    ]
    assert before["preAuthRef"] != after["preAuthRef"]


async def test_the_old_number_finds_the_new_state(client: Client, line: Line) -> None:
    """Source: PAS 2.2.1 §spec-47, §spec-48."""
    sender = client.at(line)
    first = request_bundle(line, answers=MET)
    before = await _sent(sender, first)
    after = await _sent(sender, update_of(first, line, add=("64484",)))
    found = await sender.inquire(inquiry_bundle(line, utn=before["preAuthRef"]))
    (response,) = found_by(found)
    assert response["preAuthRef"] == after["preAuthRef"]
    assert actions(response) == {1: "A1", 2: "A1"}
    told = {1: [before["preAuthRef"]], 2: []}
    assert numbers_before(after) == numbers_before(response) == told


async def test_a_line_that_went_before_the_last_number_does_not_name_it(
    client: Client, line: Line
) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=MET, codes=TWO)
    before = await _sent(sender, first)
    less = update_of(first, line, cancel=(2,))
    between = await _sent(sender, less)
    assert numbers_before(between) == {1: [before["preAuthRef"]], 2: [before["preAuthRef"]]}
    later = update_of(less, line, seed="later", change={1: on("2026-12-18")})
    after = await _sent(sender, later)
    told = {1: [between["preAuthRef"]], 2: []}
    assert numbers_before(after) == told
    found = await sender.inquire(inquiry_bundle(line, utn=after["preAuthRef"]))
    assert numbers_before(found_by(found)[0]) == told


async def test_what_has_to_be_reviewed_again_keeps_its_number_until_then(
    app: FastAPI,
    superuser_engine: AsyncEngine,
    client: Client,
    line: Line,
    rows: Rows,
    clock: StillClock,
) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=CARE_UNMET)
    case_id = (await _sent(sender, first))["id"]
    reviewer = await a_clinician(superuser_engine)
    decided = await determine(app, reviewer, case_id)
    clock.now += timedelta(days=10)
    pended = await _sent(sender, update_of(first, line, change={1: on("2026-12-18")}))
    assert actions(pended) == {1: "A4"}
    assert "preAuthRef" not in pended
    stands = (
        f"The tracking number {decided.utn} stays valid until 2027-03-19, while this is decided."
    )
    assert stands in [note["text"] for note in pended["processNote"]]
    (found,) = found_by(await sender.inquire(inquiry_bundle(line, utn=decided.utn)))
    assert stands in [note["text"] for note in found["processNote"]]
    assert await _numbers(rows) == [(decided.utn, 1, "assigned")]
    (case,) = await rows.cases()
    assert case["decide_by"] - clock.now == timedelta(days=3)
    again = await determine(app, reviewer, case_id, revision=2)
    assert await _numbers(rows) == [
        (decided.utn, 1, "superseded"),
        (again.utn, 2, "assigned"),
    ]
    assert again.valid_from == date(2026, 11, 30)
    (found,) = found_by(await sender.inquire(inquiry_bundle(line, utn=again.utn)))
    assert "stays valid until" not in str(found)


async def test_to_take_a_line_away_leaves_the_other_decisions(
    app: FastAPI,
    superuser_engine: AsyncEngine,
    client: Client,
    line: Line,
    rows: Rows,
    clock: StillClock,
) -> None:
    """Nothing is said that a clinician would have to look at."""
    sender = client.at(line)
    first = request_bundle(line, answers=CARE_UNMET, codes=TWO)
    case_id = (await _sent(sender, first))["id"]
    reviewer = await a_clinician(superuser_engine)
    decided = await determine(app, reviewer, case_id)
    clock.now += timedelta(days=10)
    response = await _sent(sender, update_of(first, line, cancel=(2,)))
    assert actions(response) == {1: "A1", 2: "C"}
    assert response["preAuthPeriod"] == {"start": "2026-11-20", "end": "2027-03-19"}
    assert await _numbers(rows) == [
        (decided.utn, 1, "superseded"),
        (response["preAuthRef"], 2, "assigned"),
    ]
    made = await rows.all(
        "select sequence, decided_by, clinician_id, decided_at from determination"
        " where revision = 2"
    )
    assert [tuple(row.values()) for row in made] == [
        (1, "clinician", reviewer.person_id, decided.decided_at)
    ]


async def test_what_software_affirmed_stands_without_a_line_too(
    client: Client, line: Line, rows: Rows, clock: StillClock
) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=MET, codes=TWO)
    await sender.submit(first)
    clock.now += timedelta(days=10)
    response = await _sent(sender, update_of(first, line, cancel=(2,)))
    assert actions(response) == {1: "A1", 2: "C"}
    assert response["preAuthPeriod"] == {"start": "2026-11-20", "end": "2027-03-19"}


async def test_decisions_do_not_stand_on_a_licence_that_ended(
    app: FastAPI, superuser_engine: AsyncEngine, client: Client, line: Line, clock: StillClock
) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=CARE_UNMET, codes=TWO)
    case_id = (await _sent(sender, first))["id"]
    await determine(app, await a_clinician(superuser_engine, date(2026, 11, 25)), case_id)
    clock.now += timedelta(days=10)
    response = await _sent(sender, update_of(first, line, cancel=(2,)))
    assert actions(response) == {1: "A4", 2: "C"}


async def test_an_add_on_does_not_stand_without_its_primary(client: Client, line: Line) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=MET, codes=TWO)
    await sender.submit(first)
    response = await _sent(sender, update_of(first, line, cancel=(1,)))
    assert actions(response) == {1: "C", 2: "A4"}


async def test_another_document_lets_no_decision_stand(
    app: FastAPI, superuser_engine: AsyncEngine, client: Client, line: Line
) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=CARE_UNMET, codes=TWO)
    case_id = (await _sent(sender, first))["id"]
    await determine(app, await a_clinician(superuser_engine), case_id)
    other = request_bundle(line, answers=CARE_UNMET, codes=TWO, evidence_text="Another note.")
    response = await _sent(sender, update_of(other, line, cancel=(2,)))
    assert actions(response) == {1: "A4", 2: "C"}


def _another_of_the_same_length(bundle: Json) -> None:
    for entry in bundle["entry"]:
        if entry["resource"]["resourceType"] == "DocumentReference":
            attachment = entry["resource"]["content"][0]["attachment"]
            data = base64.b64decode(attachment["data"])
            attachment["data"] = base64.b64encode(bytes(reversed(data))).decode()


def _another_order(bundle: Json) -> None:
    order = next(
        e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == "ServiceRequest"
    )
    order["code"]["coding"][0]["code"] = "64479"
    order["quantityQuantity"] = {"value": 99}


@pytest.mark.parametrize("change", [_another_of_the_same_length, _another_order])
@pytest.mark.parametrize("cancel", [(), (2,)])
async def test_what_no_line_tells_lets_no_decision_stand_either(
    app: FastAPI,
    superuser_engine: AsyncEngine,
    client: Client,
    line: Line,
    rows: Rows,
    change: Callable[[Json], None],
    cancel: tuple[int, ...],
) -> None:
    """The clinician signed what was there, whether the sender marks it as changed or not."""
    sender = client.at(line)
    first = request_bundle(line, answers=CARE_UNMET, codes=TWO)
    case_id = (await _sent(sender, first))["id"]
    decided = await determine(app, await a_clinician(superuser_engine), case_id)
    update = update_of(first, line, cancel=cancel)
    change(update)
    assert actions(await _sent(sender, update))[1] == "A4"
    assert await _numbers(rows) == [(decided.utn, 1, "assigned")]
    assert await rows.all("select * from determination where revision = 2") == []


async def test_nor_does_one_that_is_said_to_be_another(
    app: FastAPI, superuser_engine: AsyncEngine, client: Client
) -> None:
    first = request_bundle("2.2", answers=CARE_UNMET, codes=TWO)
    case_id = (await _sent(client, first))["id"]
    await determine(app, await a_clinician(superuser_engine), case_id)
    update = update_of(first, cancel=(2,))
    info = claim_of(update)["supportingInfo"][0]
    info["extension"].append(
        {
            "url": "http://hl7.org/fhir/us/davinci-pas/StructureDefinition/extension-infoChanged",
            "valueCode": "changed",
        }
    )
    assert actions(await _sent(client, update)) == {1: "A4", 2: "C"}


async def test_a_line_not_affirmed_goes_and_leaves_the_case_affirmed(
    app: FastAPI, superuser_engine: AsyncEngine, client: Client, line: Line, rows: Rows
) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=CARE_UNMET, codes=TWO)
    case_id = (await _sent(sender, first))["id"]
    await determine(app, await a_clinician(superuser_engine), case_id, not_affirmed=(2,))
    response = await _sent(sender, update_of(first, line, cancel=(2,)))
    assert actions(response) == {1: "A1", 2: "C"}
    (case,) = await rows.cases()
    assert (case["status"], case["revision"]) == ("affirmed", 2)


async def test_a_line_affirmed_goes_and_leaves_the_case_non_affirmed(
    app: FastAPI, superuser_engine: AsyncEngine, client: Client, line: Line, rows: Rows
) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=CARE_UNMET, codes=("64483", "64479"))
    case_id = (await _sent(sender, first))["id"]
    await determine(app, await a_clinician(superuser_engine), case_id, not_affirmed=(2,))
    response = await _sent(sender, update_of(first, line, cancel=(1,)))
    assert actions(response) == {1: "C", 2: "A3"}
    assert "preAuthPeriod" not in response
    (case,) = await rows.cases()
    assert (case["status"], case["valid_from"]) == ("non-affirmed", None)


async def test_software_does_not_affirm_beside_what_a_clinician_has_not(
    app: FastAPI, superuser_engine: AsyncEngine, client: Client, line: Line, rows: Rows
) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=CARE_UNMET, codes=TWO)
    case_id = (await _sent(sender, first))["id"]
    reviewer = await a_clinician(superuser_engine)
    await determine(app, reviewer, case_id, not_affirmed=(2,))
    told = request_bundle(line, answers=MET, codes=TWO)
    second = update_of(told, line, seed="2", change={1: on("2026-12-18")})
    assert actions(await _sent(sender, second)) == {1: "A4", 2: "A4"}
    third = update_of(second, line, seed="3", change={1: on("2026-12-19")})
    assert actions(await _sent(sender, third)) == {1: "A4", 2: "A4"}
    again = await determine(app, reviewer, case_id, revision=3, not_affirmed=(2,))
    assert str(again.status) == "partially-affirmed"


async def test_a_decided_request_is_cancelled_with_its_number(
    client: Client, line: Line, rows: Rows
) -> None:
    sender = client.at(line)
    first = request_bundle(line, answers=MET, codes=TWO)
    before = await _sent(sender, first)
    response = await _sent(sender, cancel_of(first, line))
    assert actions(response) == {1: "C", 2: "C"}
    assert "preAuthRef" not in response
    assert "preAuthPeriod" not in response
    assert await _numbers(rows) == [(before["preAuthRef"], 1, "superseded")]
    (case,) = await rows.cases()
    assert (case["status"], case["valid_from"]) == ("cancelled", None)
    assert UUID(response["id"]) == case["id"]
