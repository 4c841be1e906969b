"""Everybody who might call, and what they show: tokens of all kinds, cookies, certificates."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text

from tests.integration.isolation.rows import Row
from tests.integration.isolation.world import Tenant, World
from tests.integration.pas.door import NOW, ORIGIN, Client
from tests.integration.review.door import Person, arrive
from tests.pki import issued
from wiser_fhir.auth import tokens
from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.auth.people import issue_person_token
from wiser_fhir.auth.scopes import ALL_SCOPES, covers, grants, spelled
from wiser_fhir.auth.sessions import csrf_token, end_session, open_session
from wiser_fhir.sandbox.authority import Issued

HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Shown:
    """What a caller shows of itself. `certificate` is that of its connection."""

    headers: Mapping[str, str] = field(default_factory=dict)
    certificate: Issued | None = None


def bearer(token: str, certificate: Issued | None = None) -> Shown:
    """Somebody with a token."""
    return Shown({"authorization": f"Bearer {token}"}, certificate)


NOBODY = Shown()
# Tokens that are none, for every door alike.
BAD: Mapping[str, Shown] = {
    "malformed token": bearer("not.a token"),
    "unknown token": bearer("A" * 43),
}


@dataclass
class Callers:
    """Makes callers of a world."""

    world: World

    def of(self, tenant: Tenant, row: Row) -> Client:
        """The system that a row is about."""
        return tenant.mac if row.as_mac else tenant.client

    async def token(
        self,
        client: Client,
        scopes: Sequence[str] = (),
        *,
        at: datetime = NOW,
        certificate: Issued | None = None,
        revoked: bool = False,
    ) -> str:
        """A token of a client's, as if it had been given so."""
        async with self.world.superuser.begin() as db:
            query = text("select name from client where id = :id")
            name = await db.scalar(query, {"id": client.client_id})
            made = await tokens.issue(db, name, scopes, HOUR, at)
            if certificate is not None:
                made = replace(
                    made,
                    token=made.token[::-1],
                    certificate=thumbprint_of(certificate.der),
                )
                await tokens.put(db, made)
            if revoked:
                assert await tokens.revoke(db, client.client_id, made.token, NOW)
        return made.token

    async def clients(self, row: Row) -> dict[str, Callable[[], Awaitable[Shown]]]:
        """Those who are no client of ours, though they may look like one."""
        ours, mine = self.of(self.world.ours, row), issued()

        async def expired() -> Shown:
            return bearer(await self.token(ours, at=NOW - 2 * HOUR))

        async def revoked() -> Shown:
            return bearer(await self.token(ours, revoked=True))

        async def unshown() -> Shown:
            return bearer(await self.token(ours, certificate=mine))

        async def another() -> Shown:
            return bearer(await self.token(ours, certificate=mine), issued(number=2))

        async def person() -> Shown:
            return bearer((await self.person("clinician")).token)

        async def session() -> Shown:
            return await self.session("clinician")

        return {
            "expired token": expired,
            "revoked token": revoked,
            "bound token without its certificate": unshown,
            "bound token with another certificate": another,
            "token of a person": person,
            "session of a person": session,
        }

    async def too_little(self, row: Row) -> list[Shown]:
        """For each scope that is needed, a token with every scope but that."""
        client, found = self.of(self.world.ours, row), []
        for scope in row.scopes:
            ((resource, letters),) = grants((scope,)).items()
            everything = dict(grants(ALL_SCOPES))
            for letter in letters:
                less = {**everything, resource: everything[resource] - {letter}}
                kept = {name: left for name, left in less.items() if left}
                assert not covers(kept, grants((scope,)))
                found.append(bearer(await self.token(client, spelled(kept))))
        return found

    async def person(
        self, role: str, *, of: Tenant | None = None, at: datetime = NOW, revoked: bool = False
    ) -> Person:
        """Somebody new with a role; who belongs to an organization sees nothing of it."""
        owners: tuple[UUID, ...] = ()
        if of is not None:
            owners = (of.client.organization_id, of.mac.organization_id)
        if role.startswith("provider") and not owners:
            owners = (self.world.ours.client.organization_id,)
        found = await arrive(
            self.world.superuser, self.world.http, roles=(role,), organizations=list(owners)
        )
        async with self.world.superuser.begin() as db:
            if at != NOW:
                made = await issue_person_token(db, found.reviewer.name, HOUR, at)
                found = replace(found, token=made.token)
            if revoked:
                query = text("update person_token set revoked_at = :now where person_id = :id")
                await db.execute(query, {"now": NOW, "id": found.id})
        return found

    async def who_may(self, row: Row, url: str) -> Shown:
        """Whoever may call a route, and see nothing of the other organization's there.

        People see what they have no part in, so it is somebody who belongs to it; for each role
        always the same.
        """
        match row.door:
            case "client" | "oauth":
                return bearer(self.of(self.world.ours, row).token)
            case "people" | "page":
                role = (*row.roles, "clinician")[0]
                if role not in self.world.people:
                    self.world.people[role] = await self.person(role, of=self.world.theirs)
                return bearer(self.world.people[role].token)
            case "hook":
                return bearer(self.world.ours.hooks.token(url))
        return NOBODY

    async def people(self) -> dict[str, Callable[[], Awaitable[Shown]]]:
        """Those who are nobody on the list, though they may look like it."""

        async def expired() -> Shown:
            return bearer((await self.person("clinician", at=NOW - 2 * HOUR)).token)

        async def revoked() -> Shown:
            return bearer((await self.person("clinician", revoked=True)).token)

        async def client() -> Shown:
            return bearer(await self.token(self.world.ours.client))

        async def ended() -> Shown:
            return await self.session("clinician", ended=True)

        return {
            "expired token": expired,
            "revoked token": revoked,
            "token of a client": client,
            "ended session": ended,
        }

    async def session(self, role: str, *, csrf: bool = True, ended: bool = False) -> Shown:
        """Somebody at a browser; without `csrf` on a page of somebody else's."""
        person = await self.person(role)
        async with self.world.superuser.begin() as db:
            made = await open_session(db, person.id, NOW, NOW)
            if ended:
                await end_session(db, made, NOW)
        name = self.world.app.state.cookies.name("session")
        own = {"origin": ORIGIN, "x-csrf-token": csrf_token(made)} if csrf else {}
        return Shown({"cookie": f"{name}={made}", **own})
