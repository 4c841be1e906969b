"""Conversations about a resubmission between the practitioner and a clinician of the specialty.

Source: WISeR Operational Guide 6.0, 4.4.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from wiser_fhir.auth.people import CLINICIAN, Reviewer
from wiser_fhir.clock import business_date
from wiser_fhir.errors import Conflict, Forbidden, Problem, ProfileViolation
from wiser_fhir.priorauth.asked import sendable
from wiser_fhir.priorauth.models import PriorAuthorization, RequestKind

SLOTS = 3


class PeerState(StrEnum):
    """Where a conversation stands. The last three are its ends."""

    ASKED = "asked"
    SCHEDULED = "scheduled"
    HELD = "held"
    DECLINED = "declined"
    MISSED = "missed"


OPEN = (PeerState.ASKED, PeerState.SCHEDULED)


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """What the provider asks for: three times it can talk at, how to reach it, and with whom.

    `specialty` is of the NUCC provider taxonomy, as people at the review door have it.
    """

    slots: tuple[datetime, ...]
    contact: str
    specialty: str


@dataclass(frozen=True, slots=True)
class PeerToPeer:
    """A conversation asked for. `scheduled_at` is one of its slots, `outcome` what came of it."""

    id: UUID
    case_id: UUID
    asked_at: datetime
    request: PeerRequest
    state: PeerState = PeerState.ASKED
    clinician_id: UUID | None = None
    scheduled_at: datetime | None = None
    outcome: str | None = None
    closed_at: datetime | None = None


def peer_problems(
    case: PriorAuthorization, request: PeerRequest, now: datetime
) -> tuple[Problem, ...]:
    """Everything that keeps a conversation from being asked for; none when it may be.

    It is held within the same time limit as the decision, so each slot lies before the deadline.
    """
    return tuple(
        Problem("error", "business-rule", text, expression)
        for expression, text in _faults(case, request, now)
    )


def _faults(
    case: PriorAuthorization, request: PeerRequest, now: datetime
) -> Iterator[tuple[str | None, str]]:
    if case.kind is not RequestKind.RESUBMISSION:
        yield None, "A conversation is asked for with a resubmission."
    if len(set(request.slots)) != SLOTS or len(request.slots) != SLOTS:
        yield "slots", "Three different times are offered."
    for position, slot in enumerate(request.slots):
        if slot <= now or (case.decide_by is not None and slot > case.decide_by):
            yield f"slots[{position}]", "A time lies after now, and by the deadline of the case."
    for name, text in (("contact", request.contact), ("specialty", request.specialty)):
        if not sendable(text):
            yield name, "This is text that can be printed, and not blank."


def check_peer(peer: PeerToPeer, clinician: Reviewer, slot: datetime, now: datetime) -> None:
    """Whether this clinician can talk then. Raises Conflict, ProfileViolation, Forbidden."""
    if peer.state not in OPEN:
        raise Conflict("This conversation is over.")
    if slot not in peer.request.slots or slot <= now:
        raise ProfileViolation("The time is one of those offered, and still to come.")
    if not clinician.may(CLINICIAN) or clinician.specialty != peer.request.specialty:
        raise Forbidden("The conversation is with a clinician of the specialty asked for.")
    if not clinician.licensed(business_date(slot)):
        raise Forbidden("The licence of this clinician is not in force then.")


def check_end(
    peer: PeerToPeer, state: PeerState, outcome: str | None, by: UUID, now: datetime
) -> None:
    """Whether a conversation may end this way.

    What was said is its clinician's to tell. Nobody has missed what is still to come.
    Raises Conflict, ProfileViolation, Forbidden.
    """
    if peer.state not in OPEN:
        raise Conflict("This conversation is over.")
    if state in OPEN:
        raise ProfileViolation("A conversation ends as held, declined or missed.")
    if outcome is not None and not sendable(outcome):
        raise ProfileViolation("An outcome is text that can be printed, and not blank.")
    if state is PeerState.DECLINED:
        return
    if peer.scheduled_at is None or now < peer.scheduled_at:
        raise Conflict("Its time has not come.")
    if state is PeerState.HELD and outcome is None:
        raise ProfileViolation("What came of the conversation is told.")
    if state is PeerState.HELD and by != peer.clinician_id:
        raise Forbidden("What came of the conversation its clinician tells.")
