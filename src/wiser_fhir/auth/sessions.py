"""Sessions of people who signed in: an opaque id in a cookie, everything else in the database.

Nothing is remembered in between, so what ends a session ends it everywhere at once. A sign-in that
was begun is a row too: its state is good once, for ten minutes, in the browser it was begun in.
"""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.auth.bearer import new_token, token_hash
from wiser_fhir.auth.ended import delete_ended
from wiser_fhir.auth.people import Reviewer, reviewer_of
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Unauthenticated

BEGUN_FOR: Final = timedelta(minutes=10)
IDLE: Final = timedelta(minutes=15)
LIFE: Final = timedelta(hours=8)
# That somebody was there is written this often, so a session may end so much before its time.
SEEN_EVERY: Final = timedelta(seconds=30)
# So much the clocks of two hosts may be apart. What begins later than that would outlive `IDLE`.
SKEW: Final = timedelta(seconds=60)

_REFUSAL = "Sign in: there is no live session."

_BEGIN = text("""
insert into sign_in_begun (state_hash, browser_hash, verifier, nonce, return_to, step_up, begun_at,
    expires_at)
values (:state_hash, :browser_hash, :verifier, :nonce, :return_to, :step_up, :begun_at, :expires_at)
""")

_TAKE = text("""
with taken as (delete from sign_in_begun where browser_hash = :browser_hash
    and exists (select from sign_in_begun b where b.state_hash = :state_hash
        and b.browser_hash = :browser_hash)
    returning *)
select verifier, nonce, return_to, step_up, begun_at from taken
where state_hash = :state_hash and expires_at > :now
""")

_KNOWN = text("select id from person where issuer = :issuer and subject = :subject and active")

_OPEN = text("""
insert into person_session (session_hash, person_id, signed_in_at, begun_at, seen_at, expires_at)
values (:session_hash, :person_id, :signed_in_at, :now, :now, :expires_at)
""")

_LOOK_UP = text("""
select least(s.signed_in_at, :now) as signed_in_at, s.seen_at, p.id, p.name, p.roles, p.npi,
    p.specialty, p.organizations, p.licence_expires
from person_session s join person p on p.id = s.person_id
where s.session_hash = :session_hash and s.ended_at is null and s.begun_at <= :begun_by
    and s.expires_at > :now and s.seen_at > :idle_since and p.active
""")

_SEEN = text("""
update person_session set seen_at = :now
where session_hash = :session_hash and ended_at is null and seen_at < :now
""")

_END = text("""
update person_session set ended_at = :now where session_hash = :session_hash and ended_at is null
returning person_id
""")

_PURGE_BEGUN = delete_ended("sign_in_begun")
_PURGE_SESSIONS = delete_ended("person_session")


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in on its way: what goes out with the browser, and what stays here."""

    state: str = field(repr=False)
    browser: str = field(repr=False)
    verifier: str = field(repr=False)
    nonce: str = field(repr=False)

    @classmethod
    def anew(cls) -> "Begun":
        """256 bits each, that nobody has had."""
        return cls(new_token(), new_token(), new_token(), new_token())


@dataclass(frozen=True, slots=True)
class Taken:
    """What was kept of a sign-in, taken back once."""

    verifier: str = field(repr=False)
    nonce: str = field(repr=False)
    return_to: str
    step_up: bool
    begun_at: datetime


async def begin(
    db: AsyncConnection, begun: Begun, return_to: str, now: datetime, *, step_up: bool
) -> None:
    """Keep a sign-in until its answer comes."""
    row = {
        "state_hash": token_hash(begun.state),
        "browser_hash": token_hash(begun.browser),
        "verifier": begun.verifier,
        "nonce": begun.nonce,
        "return_to": return_to,
        "step_up": step_up,
        "begun_at": now,
        "expires_at": now + BEGUN_FOR,
    }
    await db.execute(_BEGIN, row)


async def take(db: AsyncConnection, state: str, browser: str, now: datetime) -> Taken | None:
    """What was kept under a state, for the browser it was begun in; nobody gets it again.

    All that was begun in that browser is over with it.
    """
    keys = {"state_hash": token_hash(state), "browser_hash": token_hash(browser), "now": now}
    row = (await db.execute(_TAKE, keys)).one_or_none()
    return None if row is None else Taken(*row)


async def person_known_as(db: AsyncConnection, issuer: str, subject: str) -> UUID | None:
    """The person in service whom an issuer calls so. Another issuer's same word is another's."""
    found: UUID | None = await db.scalar(_KNOWN, {"issuer": issuer, "subject": subject})
    return found


async def open_session(
    db: AsyncConnection, person_id: UUID, signed_in_at: datetime, now: datetime
) -> str:
    """A new session; its id is shown to nobody but the browser."""
    session = new_token()
    row = {
        "session_hash": token_hash(session),
        "person_id": person_id,
        "signed_in_at": signed_in_at,
        "now": now,
        "expires_at": now + LIFE,
    }
    await db.execute(_OPEN, row)
    return session


async def end_session(db: AsyncConnection, session: str, now: datetime) -> UUID | None:
    """End it for good; whose it was, None where there was none that lived."""
    found: UUID | None = await db.scalar(_END, {"session_hash": token_hash(session), "now": now})
    return found


async def purge(db: AsyncConnection, before: datetime) -> int:
    """Delete what ended before an instant, AT_ONCE at most; the owner role may. How many."""
    begun = (await db.execute(_PURGE_BEGUN, {"before": before})).rowcount
    return begun + (await db.execute(_PURGE_SESSIONS, {"before": before})).rowcount


def csrf_token(session: str) -> str:
    """What a page of ours sends back with every change: of the session, and not telling its id."""
    digest = hmac.digest(session.encode(), b"wiser-fhir csrf", sha256)
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_csrf_token(given: str, session: str) -> bool:
    """Whether it is the session's, compared in constant time."""
    return hmac.compare_digest(given.encode(), csrf_token(session).encode())


@dataclass(frozen=True, slots=True)
class Sessions:
    """From a session's id to who signed in."""

    engine: AsyncEngine
    clock: Clock

    async def reviewer(self, session: str) -> Reviewer:
        """Whose session it is; that somebody was there is noted. Raises Unauthenticated."""
        now = self.clock()
        keys = {
            "session_hash": token_hash(session),
            "now": now,
            "begun_by": now + SKEW,
            "idle_since": now - IDLE,
        }
        async with transaction(self.engine) as db:
            row = (await db.execute(_LOOK_UP, keys)).mappings().one_or_none()
            if row is None:
                raise Unauthenticated(_REFUSAL)
            if row["seen_at"] <= now - SEEN_EVERY:
                await db.execute(_SEEN, {"session_hash": keys["session_hash"], "now": now})
        return reviewer_of(row)
