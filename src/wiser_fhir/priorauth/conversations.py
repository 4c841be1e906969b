"""The conversations about a case as they are kept."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.db.life import peer_to_peer
from wiser_fhir.db.sealed import CONVERSATION
from wiser_fhir.db.vault import DataKey, data_key
from wiser_fhir.errors import Conflict, NotFound
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.peer_to_peer import OPEN, PeerRequest, PeerState, PeerToPeer
from wiser_fhir.priorauth.rows import Row


@dataclass(frozen=True, slots=True)
class Conversations:
    """Those about one case, in a transaction of its organization. Never commits."""

    connection: AsyncConnection
    organization_id: UUID
    case_id: UUID

    async def all(self) -> tuple[PeerToPeer, ...]:
        """Those asked for, the earliest first."""
        query = select(peer_to_peer).where(*self._here()).order_by(peer_to_peer.c.asked_at)
        key = await self._key()
        rows = (await self.connection.execute(query)).mappings()
        return tuple(_peer(CONVERSATION.open(key, row)) for row in rows)

    async def locked(self, peer_id: UUID) -> PeerToPeer:
        """One, its row held until the transaction ends. Raises NotFound."""
        query = select(peer_to_peer).where(*self._here(), peer_to_peer.c.id == peer_id)
        row = (await self.connection.execute(query.with_for_update())).mappings().one_or_none()
        if row is None:
            raise NotFound("conversation")
        return _peer(CONVERSATION.open(await self._key(), row))

    async def ask(self, request: PeerRequest, now: datetime) -> PeerToPeer:
        """Keep what was asked for. Raises Conflict while an earlier one is open."""
        if any(peer.state in OPEN for peer in await self.all()):
            raise Conflict("A conversation about this case is asked for already.")
        peer = PeerToPeer(time_ordered_uuid(), self.case_id, now, request)
        row = {
            "organization_id": self.organization_id,
            "id": peer.id,
            "case_id": peer.case_id,
            "asked_at": peer.asked_at,
            "slots": list(request.slots),
            "contact": request.contact,
            "specialty": request.specialty,
        }
        sealed = CONVERSATION.seal(await self._key(), row)
        await self.connection.execute(insert(peer_to_peer).values(sealed))
        return peer

    async def schedule(self, peer_id: UUID, clinician_id: UUID, slot: datetime) -> None:
        """Who talks, and when."""
        scheduled = {"clinician_id": clinician_id, "scheduled_at": slot}
        await self._change(peer_id, state=PeerState.SCHEDULED, **scheduled)

    async def end(
        self, peers: Sequence[UUID], state: PeerState, outcome: str | None, now: datetime
    ) -> None:
        """What became of them."""
        key = await self._key()
        for peer_id in peers:
            said = CONVERSATION.seal(key, {"id": peer_id, "outcome": outcome})["outcome"]
            await self._change(peer_id, state=state, outcome=said, closed_at=now)

    async def _change(self, peer_id: UUID, **values: Any) -> None:
        chosen = update(peer_to_peer).where(*self._here(), peer_to_peer.c.id == peer_id)
        await self.connection.execute(chosen.values(values))

    async def _key(self) -> DataKey:
        return await data_key(self.connection, self.organization_id)

    def _here(self) -> tuple[Any, Any]:
        return (
            peer_to_peer.c.organization_id == self.organization_id,
            peer_to_peer.c.case_id == self.case_id,
        )


def _peer(row: Row) -> PeerToPeer:
    return PeerToPeer(
        id=row["id"],
        case_id=row["case_id"],
        asked_at=row["asked_at"],
        request=PeerRequest(tuple(row["slots"]), row["contact"], row["specialty"]),
        state=PeerState(row["state"]),
        clinician_id=row["clinician_id"],
        scheduled_at=row["scheduled_at"],
        outcome=row["outcome"],
        closed_at=row["closed_at"],
    )
