"""Who may register by UDAP, for which organization and scopes: kept by an operator, as the owner
role.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.auth.scopes import common, covers, grants, spelled
from wiser_fhir.errors import NotFound

_ISS = re.compile("[a-z][a-z0-9+.-]*:[!-~]{1,2000}")

_ALLOW = text("""
insert into udap_registrant as r (community, iss, organization_id, scopes)
values (:community, :iss, :organization_id, :scopes)
on conflict (community, iss) do update set organization_id = excluded.organization_id,
    scopes = excluded.scopes, active = true, revision = r.revision + 1
""")

# Whose registration it may no longer be: one for another organization, or for nobody.
_LIVE = text("""
select g.client_id, g.organization_id, c.scopes from udap_registration g
join client c on c.id = g.client_id
where g.community = :community and g.iss = :iss and g.cancelled_at is null
for update of g, c
""")

_NARROW = text("update client set scopes = :scopes where id = :client_id")

_END_TOKENS = text("""
update access_token set revoked_at = now()
where client_id = :client_id and revoked_at is null and issued_at < now()
""")

_END = (
    text("""
    update udap_registration set cancelled_at = now(), changed_at = now()
    where client_id = :client_id
    """),
    text("update client set active = false, certificate_uri = null where id = :client_id"),
    _END_TOKENS,
)

_REMOVE = text("""
update udap_registrant set active = false, revision = revision + 1
where community = :community and iss = :iss and active
returning organization_id
""")

_LIST = text("""
select coalesce(r.community, g.community), coalesce(r.iss, g.iss), o.name,
    coalesce(r.scopes, c.scopes), coalesce(r.active, c.active), c.name, g.client_name, g.changed_at
from udap_registrant r
full join (select * from udap_registration where cancelled_at is null) g
    on g.community = r.community and g.iss = r.iss
left join client c on c.id = g.client_id
join organization o on o.id = coalesce(r.organization_id, c.organization_id)
order by 1, 2
""")

_TAKE_IN_ALL = text("""
insert into udap_community (community, organization_id, scopes)
values (:community, :organization_id, :scopes)
on conflict (community) do update
    set organization_id = excluded.organization_id, scopes = excluded.scopes
""")


@dataclass(frozen=True, slots=True)
class Registrant:
    """Who may register: the URI it goes by, in a community."""

    community: str
    iss: str

    def check(self) -> None:
        """Raises RegistrationRefused."""
        if not _ISS.fullmatch(self.iss):
            raise RegistrationRefused("the registrant is a URI, as its certificate names it")

    @property
    def key(self) -> dict[str, str]:
        """By which rows are found."""
        return {"community": self.community, "iss": self.iss}


@dataclass(frozen=True, slots=True)
class Ended:
    """A registration that was ended: whose, and which client was."""

    organization_id: UUID
    client_id: UUID


@dataclass(frozen=True, slots=True)
class Listed:
    """A registrant, and its client where it has registered; also a member of a community that is
    let in as a whole, once it has.
    """

    community: str
    iss: str
    organization: str
    scopes: tuple[str, ...]
    active: bool
    client: str | None
    client_name: str | None
    changed_at: object


async def allow(
    db: AsyncConnection, registrant: Registrant, organization_id: UUID, scopes: Sequence[str]
) -> Ended | None:
    """Let somebody register for an organization, with these scopes at most, or change that.

    A client that it has already loses what is no longer allowed, and with it its tokens; one of
    another organization ends, which is returned. Raises RegistrationRefused, ScopeRefused.
    """
    registrant.check()
    allowed = grants(scopes)
    if not allowed:
        raise RegistrationRefused("name a scope")
    row = {"organization_id": organization_id, "scopes": list(spelled(allowed))}
    await db.execute(_ALLOW, {**registrant.key, **row})
    live = (await db.execute(_LIVE, registrant.key)).one_or_none()
    if live is None:
        return None
    had = grants(live.scopes)
    left = spelled(common(allowed, had))
    if live.organization_id != organization_id or not left:
        return await _end(db, live.organization_id, live.client_id)
    if not covers(allowed, had):
        await db.execute(_NARROW, {"client_id": live.client_id, "scopes": list(left)})
        await db.execute(_END_TOKENS, {"client_id": live.client_id})
    return None


async def remove(db: AsyncConnection, registrant: Registrant) -> tuple[UUID, Ended | None]:
    """Let somebody register no longer and end its client; whose it was. Raises NotFound."""
    row = (await db.execute(_REMOVE, registrant.key)).one_or_none()
    if row is None:
        raise NotFound("registrant")
    live = (await db.execute(_LIVE, registrant.key)).one_or_none()
    ended = None if live is None else await _end(db, live.organization_id, live.client_id)
    return row.organization_id, ended


async def listed(db: AsyncConnection) -> list[Listed]:
    """Everybody who may or might register, or has, by community."""
    return [
        Listed(row[0], row[1], row[2], tuple(row[3]), *row[4:]) for row in await db.execute(_LIST)
    ]


async def take_in_all(
    db: AsyncConnection, communities: Sequence[str], organization_id: UUID, scopes: Sequence[str]
) -> None:
    """Take in every member of some communities, as the database lets only a sandbox."""
    for community in communities:
        row = {"organization_id": organization_id, "scopes": list(scopes)}
        await db.execute(_TAKE_IN_ALL, {"community": community, **row})


async def _end(db: AsyncConnection, organization_id: UUID, client_id: UUID) -> Ended:
    for statement in _END:
        await db.execute(statement, {"client_id": client_id})
    return Ended(organization_id, client_id)
