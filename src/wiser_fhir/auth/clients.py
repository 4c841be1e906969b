"""Which clients there are, with which rights and until when: kept by an operator, as the owner
role.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth import organizations
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.auth.scopes import covers, grants, spelled
from wiser_fhir.auth.tokens import end_of_client
from wiser_fhir.errors import NotFound

# A system that can show no certificate is a risk, and is looked at again each year.
LONGEST_UNBOUND: Final = timedelta(days=366)

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}")
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]+")
_LONGEST_URI = 2048
_ISSUER = re.compile("https?://[!-~]{1,2000}")
_SUBJECT = re.compile("[!-~]{1,256}")

_INSERT = text("""
insert into client (id, organization_id, name, scopes, certificate_uri, unbound_until,
    unbound_because)
values (:id, :organization_id, :name, :scopes, :certificate_uri, :unbound_until, :unbound_because)
""")

_CLIENT = text("select id, organization_id from client where name = :name")

_HELD = text("""
select id, organization_id, scopes, active from client where name = :name for update
""")

_SCOPES = text("update client set scopes = :scopes where id = :id")
_CERTIFICATE = text("update client set certificate_uri = :uri where id = :id")
_REVOKE = text("update client set active = false where id = :id")

_ACCEPT = text("""
update client set unbound_until = :until, unbound_because = :because where id = :id
""")

_KNOWN_ELSEWHERE = text("""
insert into external_client as e (issuer, subject, client_id, organization_id)
values (:issuer, :subject, :client_id, :organization_id)
on conflict (issuer, subject) do update set active = true where e.client_id = excluded.client_id
returning client_id
""")

_FORGET_ELSEWHERE = text("""
update external_client set active = false
where issuer = :issuer and subject = :subject and client_id = :client_id and active
""")

_LIST = text("""
select c.name, o.name as organization, c.active and o.active as active, c.scopes,
    coalesce(k.jwks_url, (select string_agg(each ->> 'kid', ' ')
        from jsonb_array_elements(k.jwks -> 'keys') each)) as keys,
    k.revision, c.certificate_uri, c.unbound_until, c.unbound_because, c.notify_hosts,
    case when d.active then d.iss end as cds_issuer,
    array(select e.issuer || ' ' || e.subject from external_client e
        where e.client_id = c.id and e.active order by 1) as external
from client c
join organization o on o.id = c.organization_id
left join client_key k on k.client_id = c.id and k.active
left join cds_client d on d.client_id = c.id
order by c.name
""")

_TAKEN = {
    "uq_client_name": "there is a client of this name",
    "uq_client_certificate_uri": "this certificate URI is another client's",
}


@dataclass(frozen=True, slots=True)
class Acceptance:
    """An operator's word that a client may go without a certificate: until when, and why."""

    until: datetime
    because: str

    def check(self, now: datetime) -> None:
        """Raises RegistrationRefused."""
        if not now < self.until <= now + LONGEST_UNBOUND:
            raise RegistrationRefused("a client goes without a certificate for a year at most")
        if not any(map(str.isalnum, self.because)):
            raise RegistrationRefused("say why the client may go without a certificate")


@dataclass(frozen=True, slots=True)
class External:
    """By what name an issuer of tokens knows a client."""

    issuer: str
    subject: str

    def check(self) -> None:
        """Raises RegistrationRefused."""
        if not _ISSUER.fullmatch(self.issuer):
            raise RegistrationRefused("the issuer must be an http or https URL")
        if not _SUBJECT.fullmatch(self.subject):
            raise RegistrationRefused("a subject is 1 to 256 characters without a space")


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client as it is first registered. `organization` is a name."""

    name: str
    organization: str
    scopes: tuple[str, ...]
    certificate_uri: str | None = None
    unbound: Acceptance | None = None

    def check(self, now: datetime) -> None:
        """Raises RegistrationRefused, ScopeRefused."""
        if not _NAME.fullmatch(self.name):
            raise RegistrationRefused("a name is letters, digits and . _ ~ - without a space")
        checked_scopes(self.scopes)
        if self.certificate_uri is not None:
            check_certificate_uri(self.certificate_uri)
        if self.unbound is not None:
            self.unbound.check(now)


@dataclass(frozen=True, slots=True)
class Held:
    """A client whose row is held until the transaction ends."""

    id: UUID
    organization_id: UUID
    scopes: tuple[str, ...]
    active: bool


@dataclass(frozen=True, slots=True)
class Listed:
    """A client in a list. `keys` is where its keys are, or what they are called."""

    name: str
    organization: str
    active: bool
    scopes: Sequence[str]
    keys: str | None
    revision: int | None
    certificate_uri: str | None
    unbound_until: datetime | None
    unbound_because: str | None
    notify_hosts: Sequence[str]
    cds_issuer: str | None
    external: Sequence[str]


def checked_scopes(scopes: Sequence[str]) -> tuple[str, ...]:
    """Scopes as they are kept. Raises RegistrationRefused for none, ScopeRefused."""
    if not scopes:
        raise RegistrationRefused("a client is registered for a scope at least")
    return spelled(grants(scopes))


def check_certificate_uri(uri: str) -> None:
    """Whether a certificate can name it. Raises RegistrationRefused."""
    if len(uri) > _LONGEST_URI or not _URI.fullmatch(uri):
        raise RegistrationRefused("the certificate's name is a URI, such as https://ehr.example")


async def add(db: AsyncConnection, new: NewClient, now: datetime) -> Held:
    """Register a client of an organization that is open.

    Raises NotFound, RegistrationRefused, ScopeRefused.
    """
    new.check(now)
    row = {
        "id": uuid4(),
        "organization_id": await organizations.open_named(db, new.organization),
        "name": new.name,
        "scopes": list(checked_scopes(new.scopes)),
        "certificate_uri": new.certificate_uri,
        "unbound_until": new.unbound.until if new.unbound else None,
        "unbound_because": new.unbound.because if new.unbound else None,
    }
    await _unless_taken(db, _INSERT, row)
    return await held(db, new.name)


async def client_named(db: AsyncConnection, name: str) -> tuple[UUID, UUID]:
    """A client and its organization. Raises NotFound."""
    row = (await db.execute(_CLIENT, {"name": name})).one_or_none()
    if row is None:
        raise NotFound("client")
    return row.id, row.organization_id


async def held(db: AsyncConnection, name: str) -> Held:
    """A client by its name, held until the transaction ends. Raises NotFound."""
    row = (await db.execute(_HELD, {"name": name})).one_or_none()
    if row is None:
        raise NotFound(f"client as {name}")
    return Held(row.id, row.organization_id, tuple(row.scopes), row.active)


async def in_use(db: AsyncConnection, name: str) -> Held:
    """The same for one that is in use. Raises NotFound, RegistrationRefused."""
    found = await held(db, name)
    if not found.active:
        raise RegistrationRefused(f"{name} is revoked")
    return found


async def rename_certificate(db: AsyncConnection, client: Held, uri: str) -> None:
    """Know a client by another certificate from now on. Raises RegistrationRefused."""
    check_certificate_uri(uri)
    await _unless_taken(db, _CERTIFICATE, {"id": client.id, "uri": uri})


async def accept_unbound(
    db: AsyncConnection, client: Held, acceptance: Acceptance | None, now: datetime
) -> None:
    """Let a client go without a certificate, or no longer. Raises RegistrationRefused."""
    if acceptance is not None:
        acceptance.check(now)
    row = {
        "id": client.id,
        "until": acceptance.until if acceptance else None,
        "because": acceptance.because if acceptance else None,
    }
    await db.execute(_ACCEPT, row)


async def change_scopes(
    db: AsyncConnection, client: Held, scopes: Sequence[str], now: datetime
) -> int:
    """Register a client for these scopes and no others; how many tokens ended.

    Where any is taken away every token of the client ends. Raises RegistrationRefused,
    ScopeRefused.
    """
    wanted = checked_scopes(scopes)
    await db.execute(_SCOPES, {"id": client.id, "scopes": list(wanted)})
    if covers(grants(wanted), grants(client.scopes)):
        return 0
    return await end_of_client(db, client.id, now)


async def know_elsewhere(db: AsyncConnection, client: Held, external: External) -> None:
    """Take tokens of an issuer for a client that it calls by this name.

    Raises RegistrationRefused for a name that is another client's.
    """
    external.check()
    found = await db.scalar(_KNOWN_ELSEWHERE, _elsewhere(client, external))
    if found is None:
        raise RegistrationRefused("that issuer's subject is another client's")


async def forget_elsewhere(db: AsyncConnection, client: Held, external: External) -> None:
    """Take no token of that issuer under this name. Raises NotFound."""
    if (await db.execute(_FORGET_ELSEWHERE, _elsewhere(client, external))).rowcount == 0:
        raise NotFound("subject of that issuer for this client")


async def revoke(db: AsyncConnection, client: Held, now: datetime) -> int:
    """Put a client out of use for good and end its tokens; how many those were."""
    await db.execute(_REVOKE, {"id": client.id})
    return await end_of_client(db, client.id, now)


async def listed(db: AsyncConnection) -> list[Listed]:
    """Every client by name, revoked ones too. Its keys are named, not shown."""
    return [Listed(**row) for row in (await db.execute(_LIST)).mappings()]


def _elsewhere(client: Held, external: External) -> dict[str, Any]:
    return {
        "issuer": external.issuer,
        "subject": external.subject,
        "client_id": client.id,
        "organization_id": client.organization_id,
    }


async def _unless_taken(db: AsyncConnection, statement: Any, row: dict[str, Any]) -> None:
    """Execute. Raises RegistrationRefused where a name is somebody else's."""
    try:
        await db.execute(statement, row)
    except IntegrityError as error:
        cause = getattr(error.orig, "__cause__", None)
        taken = _TAKEN.get(getattr(cause, "constraint_name", None) or "")
        if taken is None:
            raise
        raise RegistrationRefused(taken) from None
