"""Conversations about a resubmission, from the asking to what came of them."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import StillClock
from tests.reviewing import NOW, MakePerson, affirm, by, determination, history, sent_again, told
from wiser_fhir.auth.people import Reviewer
from wiser_fhir.errors import Conflict, Forbidden, NotFound, ProfileViolation
from wiser_fhir.priorauth.models import PriorAuthorization
from wiser_fhir.priorauth.peer_to_peer import PeerRequest, PeerState
from wiser_fhir.priorauth.review import ReviewService
from wiser_fhir.priorauth.talks import TalkService

SLOTS = tuple(NOW + timedelta(hours=hours) for hours in (12, 14, 40))
ASKED = PeerRequest(SLOTS, "Dr. B, extension 12", "208100000X")


async def test_it_is_asked_for_scheduled_and_held(
    talks: TalkService,
    review: ReviewService,
    superuser_engine: AsyncEngine,
    resubmitted: PriorAuthorization,
    clinician: Reviewer,
    coordinator: Reviewer,
    now: StillClock,
) -> None:
    case_id, who = resubmitted.id, clinician.person_id
    asked = await talks.ask(by(coordinator), case_id, 1, ASKED)
    assert (asked.state, asked.request, asked.asked_at) == (PeerState.ASKED, ASKED, NOW)
    planned = await talks.schedule(by(coordinator), case_id, asked.id, who, SLOTS[0])
    assert (planned.state, planned.clinician_id) == (PeerState.SCHEDULED, who)
    moved = await talks.schedule(by(coordinator), case_id, asked.id, who, SLOTS[1])
    assert moved.scheduled_at == SLOTS[1]
    now.now = SLOTS[1] + timedelta(minutes=20)
    held = await talks.end(by(clinician), case_id, asked.id, PeerState.HELD, "They send notes.")
    assert (held.state, held.outcome) == (PeerState.HELD, "They send notes.")
    assert held.closed_at == now.now
    assert (await review.case_file(by(coordinator), case_id)).conversations == (held,)
    assert await history(superuser_engine, case_id) == [
        ("peer-to-peer-asked", coordinator.person_id, None),
        ("peer-to-peer-scheduled", coordinator.person_id, None),
        ("peer-to-peer-scheduled", coordinator.person_id, None),
        ("peer-to-peer-held", clinician.person_id, "They send notes."),
    ]
    assert (await told(review, clinician, case_id))["answers"] == 1


async def test_it_goes_with_a_resubmission(
    talks: TalkService, pended: PriorAuthorization, coordinator: Reviewer
) -> None:
    with pytest.raises(ProfileViolation) as refused:
        await talks.ask(by(coordinator), pended.id, 1, ASKED)
    assert [problem.text for problem in refused.value.problems] == [
        "A conversation is asked for with a resubmission."
    ]


async def test_one_is_asked_for_at_a_time(
    talks: TalkService, resubmitted: PriorAuthorization, coordinator: Reviewer
) -> None:
    first = await talks.ask(by(coordinator), resubmitted.id, 1, ASKED)
    with pytest.raises(Conflict, match="asked for already"):
        await talks.ask(by(coordinator), resubmitted.id, 1, ASKED)
    await talks.end(by(coordinator), resubmitted.id, first.id, PeerState.DECLINED)
    second = await talks.ask(by(coordinator), resubmitted.id, 1, ASKED)
    assert second.id != first.id


async def test_it_is_about_the_request_as_it_is(
    talks: TalkService,
    app_engine: AsyncEngine,
    resubmitted: PriorAuthorization,
    coordinator: Reviewer,
) -> None:
    await sent_again(app_engine, resubmitted)
    with pytest.raises(Conflict, match="revision 2 now"):
        await talks.ask(by(coordinator), resubmitted.id, 1, ASKED)


async def test_it_is_with_a_clinician_of_the_specialty_who_has_no_part_in_the_case(
    talks: TalkService,
    resubmitted: PriorAuthorization,
    make_person: MakePerson,
    coordinator: Reviewer,
) -> None:
    case_id = resubmitted.id
    asked = await talks.ask(by(coordinator), case_id, 1, ASKED)
    surgeon = await make_person(specialty="207X00000X")
    insider = await make_person(organizations=[resubmitted.organization_id])
    for wrong in (surgeon, insider, coordinator):
        with pytest.raises(Forbidden):
            await talks.schedule(by(coordinator), case_id, asked.id, wrong.person_id, SLOTS[0])
    with pytest.raises(NotFound, match="person"):
        await talks.schedule(by(coordinator), case_id, asked.id, case_id, SLOTS[0])


async def test_there_is_no_conversation_of_another_number(
    talks: TalkService, resubmitted: PriorAuthorization, clinician: Reviewer
) -> None:
    nothing, who = resubmitted.id, clinician.person_id
    with pytest.raises(NotFound, match="conversation"):
        await talks.schedule(by(clinician), resubmitted.id, nothing, who, SLOTS[0])
    with pytest.raises(NotFound, match="conversation"):
        await talks.end(by(clinician), resubmitted.id, nothing, PeerState.MISSED)


async def test_a_decision_ends_what_was_not_held(
    talks: TalkService,
    review: ReviewService,
    resubmitted: PriorAuthorization,
    clinician: Reviewer,
    coordinator: Reviewer,
) -> None:
    asked = await talks.ask(by(coordinator), resubmitted.id, 1, ASKED)
    said = determination(affirm(1), affirm(2))
    await review.determine(by(clinician), resubmitted.id, 1, said)
    (ended,) = (await review.case_file(by(clinician), resubmitted.id)).conversations
    assert (ended.id, ended.state) == (asked.id, PeerState.DECLINED)
    assert ended.outcome == "The case was decided before."
    with pytest.raises(Conflict, match="over"):
        await talks.end(by(clinician), resubmitted.id, asked.id, PeerState.MISSED)


async def test_an_auditor_arranges_nothing(
    talks: TalkService, resubmitted: PriorAuthorization, make_person: MakePerson
) -> None:
    auditor = by(await make_person(roles=("auditor",)))
    person_id = auditor.reviewer.person_id
    with pytest.raises(Forbidden, match="Only clinicians and coordinators"):
        await talks.ask(auditor, resubmitted.id, 1, ASKED)
    with pytest.raises(Forbidden, match="Only clinicians and coordinators"):
        await talks.schedule(auditor, resubmitted.id, resubmitted.id, person_id, SLOTS[0])
    with pytest.raises(Forbidden, match="Only clinicians and coordinators"):
        await talks.end(auditor, resubmitted.id, resubmitted.id, PeerState.MISSED)
