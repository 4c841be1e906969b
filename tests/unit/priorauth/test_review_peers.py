"""Who talks to whom about a resubmission, and when."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from wiser_fhir.auth.people import Reviewer
from wiser_fhir.errors import Conflict, Forbidden, ProfileViolation
from wiser_fhir.priorauth.models import CaseStatus, PriorAuthorization, RequestKind
from wiser_fhir.priorauth.peer_to_peer import (
    PeerRequest,
    PeerState,
    PeerToPeer,
    check_end,
    check_peer,
    peer_problems,
)

NOW = datetime(2026, 5, 4, 14, 0, tzinfo=UTC)
DEADLINE = NOW + timedelta(days=3)
SLOTS = tuple(NOW + timedelta(hours=hours) for hours in (20, 22, 44))
ASKED = PeerRequest(SLOTS, "Dr. B, extension 12", "208100000X")
CASE = PriorAuthorization(
    id=UUID(int=1),
    organization_id=UUID(int=2),
    status=CaseStatus.IN_REVIEW,
    reference="R00000000000001",
    received_at=NOW,
    decide_by=DEADLINE,
    expedited=False,
    items=(),
    kind=RequestKind.RESUBMISSION,
)
PEER = PeerToPeer(UUID(int=5), CASE.id, NOW, ASKED)
CLINICIAN = Reviewer(
    person_id=UUID(int=9),
    name="Dr. Reviewer",
    roles=frozenset({"clinician"}),
    npi=None,
    specialty="208100000X",
    organizations=frozenset(),
    licence_expires=date(2026, 5, 5),
)
SCHEDULED = replace(
    PEER,
    state=PeerState.SCHEDULED,
    clinician_id=CLINICIAN.person_id,
    scheduled_at=SLOTS[0],
)


def faults(
    request: PeerRequest = ASKED, case: PriorAuthorization = CASE
) -> list[tuple[str | None, str]]:
    problems = peer_problems(case, request, NOW)
    assert all((p.severity, p.code) == ("error", "business-rule") for p in problems)
    return [(problem.expression, problem.text) for problem in problems]


def at(*instants: datetime) -> PeerRequest:
    return replace(ASKED, slots=instants)


def test_a_conversation_is_asked_for_with_a_resubmission() -> None:
    assert faults() == []
    initial = replace(CASE, kind=RequestKind.INITIAL)
    said = "A conversation is asked for with a resubmission."
    assert faults(case=initial) == [(None, said)]


def test_three_different_times_are_offered() -> None:
    said = [("slots", "Three different times are offered.")]
    first, second, third = SLOTS
    assert faults(at(first, second)) == said
    assert faults(at(first, second, second)) == said
    assert faults(at(first, second, third, third)) == said
    assert faults(at(first, second, third, third + timedelta(hours=1))) == said


def test_each_time_is_to_come_and_within_the_clock() -> None:
    said = "A time lies after now, and by the deadline of the case."
    first, second, _ = SLOTS
    assert faults(at(first, second, DEADLINE)) == []
    late = at(first, second, DEADLINE + timedelta(seconds=1))
    assert faults(late) == [("slots[2]", said)]
    assert faults(at(NOW, second, first)) == [("slots[0]", said)]


@pytest.mark.parametrize("nothing", ["", "  ", "a\x00"])
def test_it_says_how_to_reach_whom(nothing: str) -> None:
    said = "This is text that can be printed, and not blank."
    assert faults(replace(ASKED, contact=nothing)) == [("contact", said)]
    assert faults(replace(ASKED, specialty=nothing)) == [("specialty", said)]


def test_a_clinician_of_the_specialty_takes_one_of_the_times() -> None:
    check_peer(PEER, CLINICIAN, SLOTS[0], NOW)
    check_peer(SCHEDULED, CLINICIAN, SLOTS[1], NOW)


@pytest.mark.parametrize(
    "other",
    [
        replace(CLINICIAN, specialty="207X00000X"),
        replace(CLINICIAN, specialty=None),
        replace(CLINICIAN, roles=frozenset({"coordinator"})),
    ],
)
def test_nobody_else_does(other: Reviewer) -> None:
    with pytest.raises(Forbidden, match="clinician of the specialty"):
        check_peer(PEER, other, SLOTS[0], NOW)


def test_the_licence_is_in_force_at_the_time() -> None:
    with pytest.raises(Forbidden, match="licence"):
        check_peer(PEER, CLINICIAN, SLOTS[2], NOW)


@pytest.mark.parametrize(
    ("slot", "now"), [(DEADLINE, NOW), (SLOTS[0], SLOTS[0])], ids=["not offered", "gone by"]
)
def test_another_time_is_none(slot: datetime, now: datetime) -> None:
    with pytest.raises(ProfileViolation, match="one of those offered"):
        check_peer(PEER, CLINICIAN, slot, now)


@pytest.mark.parametrize("state", [PeerState.HELD, PeerState.DECLINED, PeerState.MISSED])
def test_what_is_over_is_over(state: PeerState) -> None:
    over = replace(SCHEDULED, state=state)
    with pytest.raises(Conflict, match="over"):
        check_peer(over, CLINICIAN, SLOTS[1], NOW)
    with pytest.raises(Conflict, match="over"):
        check_end(over, PeerState.HELD, "Agreed.", CLINICIAN.person_id, SLOTS[1])


def test_its_clinician_tells_what_came_of_it() -> None:
    check_end(SCHEDULED, PeerState.HELD, "Agreed.", CLINICIAN.person_id, SLOTS[0])
    with pytest.raises(Forbidden, match="its clinician"):
        check_end(SCHEDULED, PeerState.HELD, "Agreed.", UUID(int=8), SLOTS[0])
    with pytest.raises(ProfileViolation, match="is told"):
        check_end(SCHEDULED, PeerState.HELD, None, CLINICIAN.person_id, SLOTS[0])


@pytest.mark.parametrize("outcome", ["", " ", "a\x00"])
def test_an_outcome_says_something(outcome: str) -> None:
    with pytest.raises(ProfileViolation, match="printed"):
        check_end(SCHEDULED, PeerState.HELD, outcome, CLINICIAN.person_id, SLOTS[0])


@pytest.mark.parametrize("state", [PeerState.HELD, PeerState.MISSED])
@pytest.mark.parametrize(
    ("peer", "now"),
    [(SCHEDULED, SLOTS[0] - timedelta(seconds=1)), (PEER, SLOTS[2])],
    ids=["too early", "never scheduled"],
)
def test_nobody_held_or_missed_what_was_not_to_be_yet(
    peer: PeerToPeer, now: datetime, state: PeerState
) -> None:
    with pytest.raises(Conflict, match="time has not come"):
        check_end(peer, state, "Agreed.", CLINICIAN.person_id, now)


def test_anybody_keeps_that_it_was_missed_or_declined() -> None:
    check_end(SCHEDULED, PeerState.MISSED, None, UUID(int=8), SLOTS[0])
    check_end(SCHEDULED, PeerState.DECLINED, "Not wanted any more.", UUID(int=8), NOW)
    check_end(PEER, PeerState.DECLINED, None, UUID(int=8), NOW)


@pytest.mark.parametrize("state", [PeerState.ASKED, PeerState.SCHEDULED])
def test_it_does_not_end_open(state: PeerState) -> None:
    with pytest.raises(ProfileViolation, match="ends as"):
        check_end(SCHEDULED, state, None, CLINICIAN.person_id, SLOTS[0])
