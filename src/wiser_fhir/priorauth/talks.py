"""Arranging a conversation about a resubmission, and keeping what came of it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from wiser_fhir.errors import ProfileViolation
from wiser_fhir.priorauth.conversations import Conversations
from wiser_fhir.priorauth.deciders import check_may_contribute, colleague, interests_of
from wiser_fhir.priorauth.desk import Act, Desk, OpenCase, Reviewing, check_undecided
from wiser_fhir.priorauth.keeping import note
from wiser_fhir.priorauth.peer_to_peer import (
    PeerRequest,
    PeerState,
    PeerToPeer,
    check_end,
    check_peer,
    peer_problems,
)


@dataclass(frozen=True)
class TalkService:
    """Conversations: asked for by the provider, kept by whoever took the call.

    Source: WISeR Operational Guide 6.0, 4.4.
    """

    desk: Desk

    async def ask(
        self, by: Reviewing, case_id: UUID, revision: int, request: PeerRequest
    ) -> PeerToPeer:
        """Keep that a conversation is asked for, with the three times offered.

        Raises NotFound, Forbidden, AlreadyDetermined, Conflict, ProfileViolation, Unavailable.
        """
        check_may_contribute(by.reviewer)
        async with self.desk.held(by, case_id) as opened:
            check_undecided(opened.case, revision)
            problems = peer_problems(opened.case, request, opened.now)
            if problems:
                raise ProfileViolation("This conversation cannot be asked for.", problems)
            peer = await _talks(opened).ask(request, opened.now)
            await _noted(opened, "peer-to-peer-asked", peer.id)
        return peer

    async def schedule(
        self, by: Reviewing, case_id: UUID, peer_id: UUID, clinician_id: UUID, slot: datetime
    ) -> PeerToPeer:
        """Fix one of the times offered, and who of the specialty talks; it may be changed again.

        Raises NotFound, Forbidden, Conflict, ProfileViolation, Unavailable.
        """
        check_may_contribute(by.reviewer)
        async with self.desk.held(by, case_id) as opened:
            talks = _talks(opened)
            peer = await talks.locked(peer_id)
            interests = await interests_of(opened.db, opened.case.organization_id, case_id)
            clinician = await colleague(opened.db, clinician_id, interests)
            check_peer(peer, clinician, slot, opened.now)
            await talks.schedule(peer_id, clinician_id, slot)
            await _noted(opened, "peer-to-peer-scheduled", peer_id)
            return await talks.locked(peer_id)

    async def end(
        self,
        by: Reviewing,
        case_id: UUID,
        peer_id: UUID,
        state: PeerState,
        outcome: str | None = None,
    ) -> PeerToPeer:
        """Keep what became of a conversation: held, declined or missed.

        Raises NotFound, Forbidden, Conflict, ProfileViolation, Unavailable.
        """
        check_may_contribute(by.reviewer)
        async with self.desk.held(by, case_id) as opened:
            talks = _talks(opened)
            peer = await talks.locked(peer_id)
            check_end(peer, state, outcome, by.reviewer.person_id, opened.now)
            await talks.end([peer_id], state, outcome, opened.now)
            await _noted(opened, f"peer-to-peer-{state}", peer_id, outcome)
            return await talks.locked(peer_id)


def _talks(opened: OpenCase) -> Conversations:
    return Conversations(opened.db, opened.case.organization_id, opened.case.id)


async def _noted(opened: OpenCase, event: str, peer_id: UUID, text: str | None = None) -> None:
    outcome = event.rpartition("-")[2]
    act = Act(event, outcome, text, {"conversation": str(peer_id)}, told=False)
    await note(opened.db, opened.case, opened.change(act))
