"""Updates that change nothing: refused in the answer, kept, and answered the same when repeated."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import cast

import orjson
import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import MEMBERS
from tests.bundles import Json, Line, request_bundle
from tests.clocks import StillClock
from tests.integration.pas.deciders import decide_with
from tests.integration.pas.door import (
    CARE_UNMET,
    MET,
    Client,
    MakeClient,
    Rows,
    actions,
    claim_response,
    outcome_of,
)
from tests.integration.pas.reviewing import a_clinician, determine
from tests.update_bundles import cancel_of, claim_of, on, update_of
from wiser_fhir.errors import Conflict
from wiser_fhir.fhir import codes
from wiser_fhir.fhir.elements import extension
from wiser_fhir.pas.reject_reasons import RejectReasons
from wiser_fhir.priorauth.changes import UpdateRefusal
from wiser_fhir.priorauth.models import Site

TWO = ("64483", "64484")


@dataclass(frozen=True)
class World:
    """What a case of a refusal is made with; `sender` speaks one line."""

    app: FastAPI
    superuser: AsyncEngine
    sender: Client
    make_client: MakeClient

    @property
    def line(self) -> Line:
        """The line spoken."""
        return self.sender.line

    async def sent(self, bundle: Json) -> Json:
        """The ClaimResponse to a Bundle."""
        return claim_response(await self.sender.submit(bundle))

    async def decided(self, bundle: Json, *not_affirmed: int) -> None:
        """Send it and have a clinician decide it."""
        case_id = (await self.sent(bundle))["id"]
        clinician = await a_clinician(self.superuser)
        await determine(self.app, clinician, case_id, not_affirmed=not_affirmed)


@pytest.fixture
def world(
    app: FastAPI,
    superuser_engine: AsyncEngine,
    client: Client,
    line: Line,
    make_client: MakeClient,
) -> World:
    return World(app, superuser_engine, client.at(line), make_client)


async def _never_sent(world: World) -> Json:
    return update_of(request_bundle(world.line, answers=MET), world.line)


async def _somebody_elses(world: World) -> Json:
    first = request_bundle(world.line, answers=MET)
    other = (await world.make_client()).at(world.line)
    await other.submit(first)
    return update_of(first, world.line)


async def _another_beneficiarys(world: World) -> Json:
    await world.sent(request_bundle(world.line, answers=MET))
    return update_of(request_bundle(world.line, answers=MET, member=MEMBERS[1]), world.line)


async def _unnamed(world: World) -> Json:
    """A Claim before that is referred to and comes neither along nor by its number."""
    first = request_bundle(world.line, answers=MET)
    await world.sent(first)
    update = update_of(first, world.line, named="identifier")
    elsewhere = {"reference": "https://ehr.sandbox.example/fhir/Claim/1"}
    claim_of(update)["related"][0]["claim"] = elsewhere
    return update


async def _of_a_dismissed(world: World) -> Json:
    first = request_bundle(world.line, answers=MET, payer="medicaid")
    await world.sent(first)
    return update_of(request_bundle(world.line, answers=MET), world.line)


async def _of_a_non_affirmed(world: World) -> Json:
    first = request_bundle(world.line, answers=CARE_UNMET)
    await world.decided(first, 1)
    return update_of(first, world.line, change={1: on("2026-12-18")})


async def _of_a_cancelled(world: World) -> Json:
    first = request_bundle(world.line, answers=MET)
    ended = cancel_of(first, world.line)
    for each in (first, ended):
        await world.sent(each)
    return update_of(ended, world.line, seed="again")


async def _of_an_outdated(world: World) -> Json:
    """Two updates of one request: the second does not know of the first."""
    first = request_bundle(world.line, answers=MET)
    for each in (first, update_of(first, world.line, seed="1", add=("64484",))):
        await world.sent(each)
    return update_of(first, world.line, seed="2", add=("64484",))


async def _of_a_line_not_affirmed(world: World) -> Json:
    first = request_bundle(world.line, answers=CARE_UNMET, codes=TWO)
    await world.decided(first, 2)
    return update_of(first, world.line, change={2: on("2026-12-18")})


async def _of_nothing(world: World) -> Json:
    """One that repeats what was decided, and says that it differs."""
    first = request_bundle(world.line, answers=CARE_UNMET)
    await world.decided(first)
    return update_of(first, world.line, change={1: lambda item: None})


async def _of_nothing_after_a_line_went(world: World) -> Json:
    first = request_bundle(world.line, answers=MET, codes=TWO)
    second = update_of(first, world.line, seed="1", cancel=(2,))
    for each in (first, second):
        await world.sent(each)
    return update_of(second, world.line, seed="2")


async def _of_a_refused_update(world: World) -> Json:
    """What was refused never became the request that stands."""
    first = request_bundle(world.line, answers=MET)
    second = update_of(first, world.line, seed="1", add=("64484",))
    for each in (first, second, stray := update_of(first, world.line, seed="2")):
        await world.sent(each)
    return update_of(stray, world.line, seed="3")


REFUSED: dict[str, tuple[UpdateRefusal, Callable[[World], Awaitable[Json]]]] = {
    "never sent": (UpdateRefusal.UNKNOWN, _never_sent),
    "somebody else's": (UpdateRefusal.UNKNOWN, _somebody_elses),
    "another beneficiary's": (UpdateRefusal.UNKNOWN, _another_beneficiarys),
    "unnamed": (UpdateRefusal.UNKNOWN, _unnamed),
    "dismissed": (UpdateRefusal.DISMISSED, _of_a_dismissed),
    "non-affirmed": (UpdateRefusal.NON_AFFIRMED, _of_a_non_affirmed),
    "cancelled": (UpdateRefusal.CANCELLED, _of_a_cancelled),
    "outdated": (UpdateRefusal.OUTDATED, _of_an_outdated),
    "line not affirmed": (UpdateRefusal.LINE_NON_AFFIRMED, _of_a_line_not_affirmed),
    "nothing": (UpdateRefusal.NOTHING_CHANGED, _of_nothing),
    "nothing more": (UpdateRefusal.NOTHING_CHANGED, _of_nothing_after_a_line_went),
    "refused update": (UpdateRefusal.UNKNOWN, _of_a_refused_update),
}


@pytest.mark.parametrize("name", REFUSED)
async def test_an_update_is_refused_in_its_answer(world: World, rows: Rows, name: str) -> None:
    reason, make = REFUSED[name]
    update = orjson.dumps(await make(world))
    before = await rows.counts(), await rows.cases()
    first = await world.sender.submit(update)
    response = claim_response(first)
    assert response["outcome"] == "error"
    assert "item" not in response
    (error,) = response["error"]
    (coding,) = error["code"]["coding"]
    reject = RejectReasons.load().reasons[reason]
    assert coding == {"system": codes.X12_REJECT_REASON, "code": reject.code}
    assert response["disposition"].startswith("The update is not taken. ")
    assert (await rows.audit())[-1] == ("claim.update", reason)
    again = await world.sender.submit(update)
    assert again.content == first.content
    assert (await rows.audit())[-1] == ("claim.update", "replayed")
    after = await rows.counts(), await rows.cases()
    assert after[1] == before[1]
    kept = {"submission": before[0]["submission"] + 1, "message": before[0]["message"] + 2}
    assert after[0] == before[0] | kept


async def test_what_would_be_dismissed_is_refused_and_the_case_stays(
    world: World, rows: Rows
) -> None:
    first = request_bundle(world.line, answers=CARE_UNMET)
    await world.sent(first)
    other = request_bundle(world.line, answers=CARE_UNMET, payer="medicaid")
    response = await world.sent(update_of(other, world.line))
    assert response["outcome"] == "error"
    (coding,) = response["error"][0]["code"]["coding"]
    reject = RejectReasons.load().reasons["medicare-advantage-or-medicaid"]
    assert coding["code"] == reject.code
    (case,) = await rows.cases()
    assert (case["status"], case["revision"]) == ("in-review", 1)
    assert (await rows.audit())[-1] == ("claim.update", "medicare-advantage-or-medicaid")


async def test_an_update_that_leaves_nothing_of_the_model_is_refused(
    world: World, rows: Rows
) -> None:
    """A line that follows the primary service cannot stand without one."""
    first = request_bundle(world.line, answers=MET, codes=("64483", "99213"))
    await world.sent(first)
    response = await world.sent(update_of(first, world.line, cancel=(1,)))
    assert response["outcome"] == "error"
    (case,) = await rows.cases()
    assert (case["status"], case["revision"]) == ("affirmed", 1)


# The same update again, and others at the same time


async def test_an_update_that_is_sent_again_changes_nothing(
    world: World, rows: Rows, clock: StillClock
) -> None:
    first = request_bundle(world.line, answers=MET)
    await world.sent(first)
    update = orjson.dumps(update_of(first, world.line, add=("64484",)))
    answer = await world.sender.submit(update)
    before = await rows.counts()
    clock.now += timedelta(hours=1)
    again = await world.sender.submit(update)
    assert again.content == answer.content
    assert await rows.counts() == before
    (case,) = await rows.cases()
    assert case["revision"] == 2
    assert (await rows.audit())[-1] == ("claim.update", "replayed")


async def test_its_identifier_with_other_bytes_is_a_conflict(world: World) -> None:
    first = request_bundle(world.line, answers=MET)
    await world.sent(first)
    update = orjson.dumps(update_of(first, world.line))
    await world.sender.submit(update)
    (issue,) = outcome_of(await world.sender.submit(update + b" "), 409)
    assert issue["code"] == "conflict"


async def test_so_is_that_of_a_refused_one(world: World) -> None:
    update = orjson.dumps(await _never_sent(world))
    await world.sender.submit(update)
    outcome_of(await world.sender.submit(update + b" "), 409)


@pytest.mark.parametrize("known", [True, False])
async def test_twins_at_the_same_time_get_one_answer(world: World, rows: Rows, known: bool) -> None:
    first = request_bundle(world.line, answers=MET)
    if known:
        await world.sent(first)
    update = orjson.dumps(update_of(first, world.line, add=("64484",)))
    answers = await asyncio.gather(*(world.sender.submit(update) for _ in range(4)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    outcomes = [outcome for action, outcome in await rows.audit() if action == "claim.update"]
    assert outcomes.count("replayed") == 3


async def test_of_two_updates_at_the_same_time_one_is_taken(world: World, rows: Rows) -> None:
    first = request_bundle(world.line, answers=MET)
    await world.sent(first)
    updates = [update_of(first, world.line, seed=seed, add=("64484",)) for seed in ("1", "2")]
    answers = await asyncio.gather(*map(world.sender.submit, updates))
    outcomes = sorted(claim_response(answer)["outcome"] for answer in answers)
    assert outcomes == ["complete", "error"]
    (case,) = await rows.cases()
    assert case["revision"] == 2


async def test_an_update_and_a_determination_at_the_same_time(world: World, rows: Rows) -> None:
    """Whoever comes second finds what the first has done."""
    first = request_bundle(world.line, answers=CARE_UNMET)
    case_id = (await world.sent(first))["id"]
    clinician = await a_clinician(world.superuser)
    update = update_of(first, world.line, add=("64484",))
    answer, decided = await asyncio.gather(
        world.sender.submit(update),
        determine(world.app, clinician, case_id),
        return_exceptions=True,
    )
    assert not isinstance(answer, BaseException)
    assert actions(claim_response(answer)) == {1: "A4", 2: "A4"}
    (case,) = await rows.cases()
    assert (case["status"], case["revision"]) == ("in-review", 2)
    numbers = await rows.all("select state from utn")
    if isinstance(decided, Conflict):
        assert numbers == []
    else:
        assert [row["state"] for row in numbers] == ["assigned"]


async def test_a_cancelled_request_is_not_decided(world: World, rows: Rows) -> None:
    first = request_bundle(world.line, answers=CARE_UNMET)
    case_id = (await world.sent(first))["id"]
    await world.sent(cancel_of(first, world.line))
    with pytest.raises(Conflict):
        await determine(world.app, await a_clinician(world.superuser), case_id, revision=2)
    assert await rows.all("select * from determination") == []


# Where a profile is stricter than the text of its guide


async def test_a_cancel_of_everything_may_leave_the_lines_away(client: Client, rows: Rows) -> None:
    first = request_bundle("2.2", answers=MET, codes=TWO)
    for sent, number in zip(claim_of(first)["item"], ("line-a", "line-b"), strict=True):
        cast(Json, extension(sent, codes.ITEM_TRACE_NUMBER))["valueIdentifier"]["value"] = number
    await client.submit(first)
    response = claim_response(await client.submit(cancel_of(first, with_items=False)))
    assert actions(response) == {1: "C", 2: "C"}
    traces = [extension(item, codes.ITEM_TRACE_NUMBER) for item in response["item"]]
    told = [trace and trace["valueIdentifier"]["value"] for trace in traces]
    assert told == ["line-a", "line-b"]
    (case,) = await rows.cases()
    assert case["status"] == "cancelled"


async def test_other_updates_may_not(client: Client) -> None:
    first = request_bundle("2.2", answers=MET)
    await client.submit(first)
    update = update_of(first)
    del claim_of(update)["item"]
    outcome_of(await client.submit(update), 422)


async def test_what_else_is_wrong_with_a_bare_cancel_is_still_said(client: Client) -> None:
    first = request_bundle("2.2", answers=MET)
    await client.submit(first)
    cancel = cancel_of(first, with_items=False)
    del claim_of(cancel)["priority"]
    issues = outcome_of(await client.submit(cancel), 400)
    wrong = {issue["expression"][0] for issue in issues if issue["severity"] == "error"}
    assert "Bundle.entry[0].resource.priority" in wrong


# The numbers we give


@dataclass
class Scripted:
    """Gives the numbers of a list in turn, the last one for ever."""

    numbers: list[str]

    def new(self, site: Site | None) -> str:
        """The next one."""
        return self.numbers.pop(0) if len(self.numbers) > 1 else self.numbers[0]


async def test_a_taken_number_is_not_given_to_an_update(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = Scripted(["ZZB00000000001", "ZZB00000000001", "ZZB00000000002"])
    decide_with(world.app, monkeypatch, utn_source=numbers)
    first = request_bundle(world.line, answers=MET)
    await world.sent(first)
    response = await world.sent(update_of(first, world.line, add=("64484",)))
    assert response["preAuthRef"] == "ZZB00000000002"


async def test_where_no_number_is_free_the_case_stays(
    world: World, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide_with(world.app, monkeypatch, utn_source=Scripted(["ZZB00000000001"]))
    first = request_bundle(world.line, answers=MET)
    await world.sent(first)
    before = await rows.counts(), await rows.cases()
    answer = await world.sender.submit(update_of(first, world.line, add=("64484",)))
    assert (answer.status_code, answer.content) == (503, b"")
    assert (await rows.counts(), await rows.cases()) == before


async def test_what_the_database_refuses_is_no_lost_race(
    world: World, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A number of another shape than a number has."""
    decide_with(world.app, monkeypatch, utn_source=Scripted(["ZZB00000000001", "none"]))
    first = request_bundle(world.line, answers=MET)
    await world.sent(first)
    answer = await world.sender.submit(update_of(first, world.line, add=("64484",)))
    assert answer.status_code == 500
    (case,) = await rows.cases()
    assert (case["status"], case["revision"]) == ("affirmed", 1)
