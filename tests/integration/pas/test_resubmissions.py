"""A new request that follows one which was not affirmed, and names its tracking number."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import MEMBERS, Item
from tests.bundles import Json, Line, request_bundle, valid_npi
from tests.clocks import StillClock
from tests.integration.pas.door import (
    CARE_UNMET,
    MET,
    Client,
    MakeClient,
    Rows,
    actions,
    claim_response,
)
from tests.integration.pas.reviewing import a_clinician, determine, review_of
from tests.update_bundles import cancel_of, claim_of, on, update_of
from tests.vaults import VAULT
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.sealed import CONVERSATION
from wiser_fhir.fhir import codes
from wiser_fhir.priorauth.asked import Asked
from wiser_fhir.priorauth.case_file import CaseFile
from wiser_fhir.priorauth.chain import Link, chain_of
from wiser_fhir.priorauth.conversations import Conversations
from wiser_fhir.priorauth.desk import Reviewing
from wiser_fhir.priorauth.information import Material, Wanted
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.peer_to_peer import PeerRequest

TWO = ("64483", "64484")
RENDERING = valid_npi("199999020")


@dataclass(frozen=True)
class World:
    """What a chain of requests is made with; `sender` speaks one line."""

    app: FastAPI
    superuser: AsyncEngine
    sender: Client

    @property
    def line(self) -> Line:
        """The line spoken."""
        return self.sender.line

    async def sent(self, bundle: Json) -> Json:
        """The ClaimResponse to a Bundle."""
        return claim_response(await self.sender.submit(bundle))

    async def not_affirmed(self, bundle: Json, lines: tuple[int, ...] = (1,)) -> tuple[str, str]:
        """The id of a case that a clinician does not affirm, and its number."""
        case_id: str = (await self.sent(bundle))["id"]
        clinician = await a_clinician(self.superuser)
        case = await determine(self.app, clinician, case_id, not_affirmed=lines)
        assert case.utn is not None
        return case_id, case.utn

    async def chain(self, case_id: str) -> list[Link]:
        """The cases before and after a case."""
        organization = self.sender.organization_id
        async with transaction(self.app.state.engine, organization) as db:
            return await chain_of(db, organization, UUID(case_id))

    async def file(self, case_id: str) -> CaseFile:
        """What a reviewer sees."""
        by = Reviewing(await a_clinician(self.superuser), time_ordered_uuid())
        return await review_of(self.app).case_file(by, UUID(case_id))


@pytest.fixture
def world(app: FastAPI, superuser_engine: AsyncEngine, client: Client, line: Line) -> World:
    return World(app, superuser_engine, client.at(line))


async def _findings(rows: Rows) -> list[str]:
    """What of the last case is said about the number it names."""
    *_, case = await rows.cases()
    return [
        finding["text"]
        for finding in case["assessment"]["findings"]
        if finding["criterion"] == "gate-previous-utn"
    ]


async def test_a_resubmission_that_tells_enough_is_affirmed(
    world: World, rows: Rows, clock: StillClock
) -> None:
    _, number = await world.not_affirmed(request_bundle(world.line, answers=CARE_UNMET))
    clock.now += timedelta(days=1)
    again = request_bundle(world.line, seed="again", answers=MET, previous_utn=number)
    assert actions(await world.sent(again)) == {1: "A1"}
    case = (await rows.cases())[-1]
    assert (case["kind"], case["previous_utn"]) == ("resubmission", number)
    assert await _findings(rows) == []


async def test_in_the_newer_line_the_number_may_stand_on_the_claim_itself(
    app: FastAPI, superuser_engine: AsyncEngine, client: Client
) -> None:
    world = World(app, superuser_engine, client)
    _, number = await world.not_affirmed(request_bundle(answers=CARE_UNMET))
    again = request_bundle(seed="again", answers=MET)
    told = {"url": codes.AUTHORIZATION_NUMBER, "valueString": number}
    claim_of(again)["extension"].append(told)
    assert actions(await world.sent(again)) == {1: "A1"}


async def test_so_does_one_of_a_single_line_not_affirmed(world: World, rows: Rows) -> None:
    first = request_bundle(world.line, answers=CARE_UNMET, codes=TWO)
    _, number = await world.not_affirmed(first, (2,))
    lines = (Item("64483"), Item("64484", previous_utn=number))
    again = request_bundle(world.line, seed="again", answers=MET, codes=lines)
    assert actions(await world.sent(again)) == {1: "A1", 2: "A1"}


async def test_it_is_no_duplicate_of_one_in_review(world: World, rows: Rows) -> None:
    _, number = await world.not_affirmed(request_bundle(world.line, answers=CARE_UNMET))
    for seed in ("second", "third"):
        again = request_bundle(world.line, seed=seed, answers=CARE_UNMET, previous_utn=number)
        assert actions(await world.sent(again)) == {1: "A4"}
    assert [case["status"] for case in await rows.cases()] == [
        "non-affirmed",
        "in-review",
        "in-review",
    ]


@pytest.mark.parametrize(
    ("number", "says"),
    [
        ("ZZB00000000001", "The tracking number named is not in the records at hand."),
        ("never", "A resubmission names the tracking number of the request before."),
    ],
)
async def test_a_number_nobody_knows_is_for_the_reviewer(
    world: World, rows: Rows, number: str, says: str
) -> None:
    again = request_bundle(world.line, answers=MET, previous_utn=number)
    assert actions(await world.sent(again)) == {1: "A4"}
    assert await _findings(rows) == [says]


async def test_so_is_that_of_an_affirmed_request(world: World, rows: Rows) -> None:
    affirmed = await world.sent(request_bundle(world.line, answers=MET))
    number = affirmed["preAuthRef"]
    again = request_bundle(world.line, seed="again", answers=MET, previous_utn=number)
    assert actions(await world.sent(again)) == {1: "A4"}
    assert await _findings(rows) == ["The request named as the one before was affirmed."]


async def test_so_is_that_of_another_beneficiary(world: World, rows: Rows) -> None:
    _, number = await world.not_affirmed(request_bundle(world.line, answers=CARE_UNMET))
    again = request_bundle(
        world.line, seed="again", answers=MET, previous_utn=number, member=MEMBERS[1]
    )
    assert actions(await world.sent(again)) == {1: "A4"}
    assert await _findings(rows) == [
        "The tracking number named is that of another beneficiary's request."
    ]


async def test_another_organizations_number_counts_for_whom_it_is_about(
    world: World, make_client: MakeClient, rows: Rows
) -> None:
    """A provider that renders the service resubmits what a clearinghouse had sent."""
    _, number = await world.not_affirmed(request_bundle(world.line, answers=CARE_UNMET))
    clinic = (await make_client(npis=(RENDERING,))).at(world.line)
    again = request_bundle(
        world.line, seed="again", answers=MET, previous_utn=number, requestor_npi=RENDERING
    )
    assert actions(claim_response(await clinic.submit(again))) == {1: "A1"}
    assert ("gate.inquire-by-others", "found") in await rows.audit()


async def test_and_for_nobody_else(world: World, make_client: MakeClient, rows: Rows) -> None:
    _, number = await world.not_affirmed(request_bundle(world.line, answers=CARE_UNMET))
    other = (await make_client()).at(world.line)
    again = request_bundle(world.line, seed="again", answers=MET, previous_utn=number)
    assert actions(claim_response(await other.submit(again))) == {1: "A4"}
    assert await _findings(rows) == ["The tracking number named is not in the records at hand."]


async def test_an_update_of_a_resubmission_still_follows(
    world: World, rows: Rows, clock: StillClock
) -> None:
    _, number = await world.not_affirmed(request_bundle(world.line, answers=CARE_UNMET))
    clock.now += timedelta(hours=1)
    again = request_bundle(world.line, seed="again", answers=CARE_UNMET, previous_utn=number)
    await world.sent(again)
    told = request_bundle(world.line, seed="again", answers=MET, previous_utn=number)
    response = await world.sent(update_of(told, world.line, change={1: on("2026-12-18")}))
    assert actions(response) == {1: "A1"}
    case = (await rows.cases())[-1]
    assert (case["kind"], case["previous_utn"], case["revision"]) == ("resubmission", number, 2)


# The chain


async def test_a_chain_is_walked_from_any_of_its_cases(world: World, clock: StillClock) -> None:
    cases: list[str] = []
    numbers: list[str | None] = [None]
    for seed in ("first", "second", "third"):
        bundle = request_bundle(world.line, seed=seed, answers=CARE_UNMET, previous_utn=numbers[-1])
        case_id, number = await world.not_affirmed(bundle)
        cases.append(case_id)
        numbers.append(number)
        clock.now += timedelta(days=1)
    for place, case_id in enumerate(cases):
        chain = await world.chain(case_id)
        assert [str(link.case_id) for link in chain] == cases
        assert [link.steps for link in chain] == [n - place for n in range(3)]
        assert [link.utn for link in chain] == numbers[1:]
        assert [link.follows and str(link.follows) for link in chain] == [None, *cases[:2]]
        assert {str(link.status) for link in chain} == {"non-affirmed"}


async def test_a_chain_may_branch(world: World, clock: StillClock) -> None:
    first, number = await world.not_affirmed(request_bundle(world.line, answers=CARE_UNMET))
    later = []
    for seed in ("one", "other"):
        clock.now += timedelta(hours=1)
        again = request_bundle(world.line, seed=seed, answers=CARE_UNMET, previous_utn=number)
        later.append((await world.sent(again))["id"])
    assert [str(link.case_id) for link in await world.chain(first)] == [first, *later]
    assert [str(link.case_id) for link in await world.chain(later[1])] == [first, later[1]]


async def test_a_case_that_follows_none_is_alone(world: World) -> None:
    sent = await world.sent(request_bundle(world.line, answers=MET))
    (link,) = await world.chain(sent["id"])
    assert (link.steps, link.follows, link.utn) == (0, None, sent["preAuthRef"])
    assert await world.chain(str(time_ordered_uuid())) == []


async def test_another_beneficiarys_case_is_in_no_chain(world: World) -> None:
    _, number = await world.not_affirmed(request_bundle(world.line, answers=CARE_UNMET))
    again = request_bundle(
        world.line, seed="again", answers=MET, previous_utn=number, member=MEMBERS[1]
    )
    sent = await world.sent(again)
    assert [str(link.case_id) for link in await world.chain(sent["id"])] == [sent["id"]]


async def test_a_number_from_before_an_update_leads_to_its_case(world: World) -> None:
    first = request_bundle(world.line, answers=CARE_UNMET, codes=TWO)
    first_id, number = await world.not_affirmed(first, (2,))
    update = update_of(first, world.line, change={1: on("2026-12-18")})
    assert actions(await world.sent(update)) == {1: "A4", 2: "A4"}
    again = request_bundle(world.line, seed="again", answers=MET, previous_utn=number)
    sent = await world.sent(again)
    assert [str(link.case_id) for link in await world.chain(sent["id"])] == [first_id, sent["id"]]


async def test_what_came_before_is_shown_with_the_new_case(world: World, clock: StillClock) -> None:
    first = request_bundle(world.line, answers=CARE_UNMET)
    first_id, number = await world.not_affirmed(first)
    clock.now += timedelta(days=1)
    again = request_bundle(world.line, seed="again", answers=CARE_UNMET, previous_utn=number)
    second_id = (await world.sent(again))["id"]
    file = await world.file(second_id)
    assert [str(link.case_id) for link in file.chain] == [first_id, second_id]
    (earlier,) = file.earlier
    assert earlier.link == file.chain[0]
    assert [paper.kind for paper in earlier.documents] == ["DocumentReference"]
    assert "esi-conservative" in {each.finding.criterion for each in earlier.criteria}
    (decision,) = earlier.determinations
    assert decision.rationale == "Conservative care is not documented."
    assert [message.kind for message in earlier.messages] == [
        "claim-submit",
        "claim-response",
        "claim-response",
    ]


# What was going on about a case that its provider changes


async def _asks_for_a_conversation(world: World, case_id: str) -> None:
    sender, noon = world.sender.organization_id, datetime(2026, 4, 8, 12, tzinfo=UTC)
    slots = tuple(noon + timedelta(hours=hours) for hours in range(3))
    asked = PeerRequest(slots, contact="555-0100", specialty="207X00000X")
    async with transaction(world.superuser, sender) as db:
        await Conversations(db, sender, UUID(case_id)).ask(asked, noon)


async def test_a_conversation_goes_on_while_the_review_does(world: World, rows: Rows) -> None:
    _, number = await world.not_affirmed(request_bundle(world.line, answers=CARE_UNMET))
    again = request_bundle(world.line, seed="again", answers=CARE_UNMET, previous_utn=number)
    await _asks_for_a_conversation(world, (await world.sent(again))["id"])
    await world.sent(update_of(again, world.line, change={1: on("2026-12-18")}))
    assert await rows.all("select state from peer_to_peer") == [{"state": "asked"}]


async def test_it_ends_with_the_review(world: World, rows: Rows) -> None:
    _, number = await world.not_affirmed(request_bundle(world.line, answers=CARE_UNMET))
    again = request_bundle(world.line, seed="again", answers=CARE_UNMET, previous_utn=number)
    await _asks_for_a_conversation(world, (await world.sent(again))["id"])
    await world.sent(cancel_of(again, world.line))
    (talk,) = await rows.all("select * from peer_to_peer")
    assert (talk["state"], talk["closed_at"] is not None) == ("declined", True)
    told = CONVERSATION.open(await VAULT.key(world.superuser, talk["organization_id"]), talk)
    assert told["outcome"] == "The provider changed the request, which ended its review."


async def test_what_was_asked_for_is_answered_by_an_update_and_lapses_with_a_cancel(
    world: World, rows: Rows
) -> None:
    first = request_bundle(world.line, answers=CARE_UNMET)
    case_id = UUID((await world.sent(first))["id"])
    by = Reviewing(await a_clinician(world.superuser), time_ordered_uuid())
    wanted = (Asked(Material.DOCUMENTS, (Wanted(code="18776-5"),)),)
    review = review_of(world.app)
    await review.request_information(by, case_id, 1, wanted)
    second = update_of(first, world.line, change={1: on("2026-12-18")})
    await world.sent(second)
    await review.request_information(by, case_id, 2, wanted)
    await world.sent(cancel_of(second, world.line))
    asked = await rows.all("select revision, state from information_request order by revision")
    assert [tuple(row.values()) for row in asked] == [(1, "answered"), (2, "lapsed")]
