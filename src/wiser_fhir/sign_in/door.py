"""Signing people in and out: the provider's answer becomes a session, and all of it is audited.

No call to the provider is made inside a transaction. A session and its audit row are written in
one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Recorder, write
from wiser_fhir.auth import sessions
from wiser_fhir.auth.oidc import Identity, RelyingParty, SignInFailed
from wiser_fhir.auth.sessions import Begun, Taken
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import transaction

_SUBJECT_DIGITS = 32


class NotOnTheList(Exception):
    """Somebody signed in whom our list does not name, or names as out of use."""


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new session, and where its browser wanted to go."""

    session: str
    return_to: str


@dataclass(frozen=True, slots=True)
class SignInDoor:
    """What the routes of signing in work with."""

    party: RelyingParty
    engine: AsyncEngine
    recorder: Recorder
    clock: Clock

    async def begin(self, return_to: str, *, step_up: bool) -> tuple[str, str]:
        """Where to send the browser, and the id that its cookie keeps until it is back.

        Raises SignInFailed, Unavailable.
        """
        begun = Begun.anew()
        url = await self.party.sign_in_url(begun)
        async with transaction(self.engine) as db:
            await sessions.begin(db, begun, return_to, self.clock(), step_up=step_up)
        return url, begun.browser

    async def finish(
        self,
        answer: Mapping[str, list[str]],
        browser: str | None,
        before: str | None,
        request_id: UUID,
    ) -> SignedIn:
        """A new session for who signed in; `before` is the one the browser had, which ends.

        Raises SignInFailed, NotOnTheList, Unavailable; either is on the audit trail by then.
        """
        try:
            taken = await self._taken(answer.get("state", []), browser)
            identity = await self.party.identity(answer, taken)
        except SignInFailed as failed:
            await self._refused(request_id, {"reason": failed.reason})
            raise
        async with transaction(self.engine) as db:
            known = sessions.person_known_as(db, identity.issuer, identity.subject)
            person_id = await known
            if person_id is not None:
                return await self._let_in(db, person_id, identity, taken, before, request_id)
        await self._refused(request_id, {"reason": "not-on-the-list", "subject": _digest(identity)})
        raise NotOnTheList

    async def sign_out(self, session: str, request_id: UUID) -> None:
        """End a session for good; nothing happens to one that has ended. Raises Unavailable."""
        async with transaction(self.engine) as db:
            person_id = await sessions.end_session(db, session, self.clock())
            if person_id is not None:
                await write(db, _act("person.sign-out", request_id, person_id))

    async def _taken(self, state: list[str], browser: str | None) -> Taken:
        if len(state) != 1 or browser is None:
            raise SignInFailed("state")
        async with transaction(self.engine) as db:
            taken = await sessions.take(db, state[0], browser, self.clock())
        if taken is None:
            raise SignInFailed("state")
        return taken

    async def _let_in(
        self,
        db: AsyncConnection,
        person_id: UUID,
        identity: Identity,
        taken: Taken,
        before: str | None,
        request_id: UUID,
    ) -> SignedIn:
        now = self.clock()
        if before is not None:
            await sessions.end_session(db, before, now)
        session = await sessions.open_session(db, person_id, min(identity.signed_in_at, now), now)
        action = "person.step-up" if taken.step_up else "person.sign-in"
        await write(db, _act(action, request_id, person_id))
        return SignedIn(session, taken.return_to)

    async def _refused(self, request_id: UUID, detail: Mapping[str, str]) -> None:
        row = AuditRow(
            request_id=request_id, action="person.sign-in", outcome="refused", detail=detail
        )
        await self.recorder.record(row)


def _act(action: str, request_id: UUID, person_id: UUID) -> AuditRow:
    return AuditRow(
        request_id=request_id,
        action=action,
        outcome="done",
        person_id=person_id,
        object_kind="person",
        object_id=str(person_id),
    )


def _digest(identity: Identity) -> str:
    """What stands for an unknown account in the trail: its subject may be an address."""
    named = f"{identity.issuer} {identity.subject}".encode()
    return sha256(named).hexdigest()[:_SUBJECT_DIGITS]
