"""Which EHRs may call hooks: registered by an operator, as the owner role."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth.jws import strict_json
from wiser_fhir.auth.keys import MAX_DOCUMENT, KeysRefused, read_keys
from wiser_fhir.egress.url import Origin, read_url
from wiser_fhir.errors import NotFound
from wiser_fhir.fhir.elements import Json

_ISS = re.compile("https?://[!-~]{1,2000}")

_CLIENT = text("select id, organization_id from client where name = :name")

_REGISTER = text("""
insert into cds_client as c (client_id, organization_id, iss, jwks_url, jwks, fhir_servers)
values (:client_id, :organization_id, :iss, :jwks_url, cast(:jwks as jsonb), :fhir_servers)
on conflict (client_id) do update set iss = excluded.iss, jwks_url = excluded.jwks_url,
    jwks = excluded.jwks, fhir_servers = excluded.fhir_servers, active = true,
    revision = c.revision + 1
""")

_REVOKE = text("""
update cds_client set active = false, revision = revision + 1 where client_id = :client_id
""")

_IS_REGISTERED = text("""
select exists (select from cds_client where client_id = :client_id and iss = :iss and active)
""")

# Neither statement touches what an operator made of a client: its issuer, or that it is revoked.
_SEED = (
    text("""
    insert into cds_client (client_id, organization_id, iss, jwks, fhir_servers)
    values (:client_id, :organization_id, :iss, cast(:jwks as jsonb), :fhir_servers)
    on conflict do nothing
    """),
    text("""
    update cds_client set jwks = cast(:jwks as jsonb), jwks_url = null,
        fhir_servers = :fhir_servers, revision = revision + 1
    where client_id = :client_id and organization_id = :organization_id and iss = :iss
        and (jwks, fhir_servers) is distinct from
            (cast(:jwks as jsonb), cast(:fhir_servers as text[]))
    """),
)


class RegistrationRefused(ValueError):
    """What was to be registered cannot be; the text says why."""


@dataclass(frozen=True, slots=True)
class Registration:
    """What is known of an EHR: exactly one of `jwks_url` and `jwks` is given."""

    iss: str
    jwks_url: str | None = None
    jwks: Json | None = field(default=None, repr=False)
    fhir_servers: tuple[str, ...] = ()

    def check(self, extra: Sequence[Origin]) -> None:
        """Refuse what could never work: http is for the `extra` origins alone.

        Raises RegistrationRefused.
        """
        if not _ISS.fullmatch(self.iss):
            raise RegistrationRefused("the issuer must be an http or https URL")
        if (self.jwks_url is None) == (self.jwks is None):
            raise RegistrationRefused("name the keys by URL or by file: one of the two")
        if self.jwks_url is not None:
            check_url("the JWKS", self.jwks_url, extra)
        for server in self.fhir_servers:
            if check_url("a FHIR server", server, extra):
                raise RegistrationRefused("a FHIR server's base URL has no query")


def check_url(what: str, url: str, extra: Sequence[Origin]) -> str | None:
    """The query of a URL that we would call. Raises RegistrationRefused."""
    read = read_url(url)
    if read is None:
        raise RegistrationRefused(f"{what} needs a URL that can be read in one way only")
    if read.scheme != "https" and read.origin not in extra:
        raise RegistrationRefused(f"{what} needs https")
    return read.query


def read_key_file(content: bytes) -> Json:
    """The public keys in a JWKS file. Here every key must be usable, and none private: whoever
    hands in a file can still change it. Raises KeysRefused.
    """
    if len(content) > MAX_DOCUMENT:
        raise KeysRefused(f"a JWKS file may have {MAX_DOCUMENT // 1024} KiB")
    try:
        document = strict_json(content.decode())
    except (ValueError, RecursionError):
        raise KeysRefused("the JWKS file is not sound JSON") from None
    keys = read_keys(document)
    if keys.left_out or not keys.keys:
        raise KeysRefused("; ".join(keys.left_out) or "the JWKS file holds no key")
    return keys.document()


async def client_named(db: AsyncConnection, name: str) -> tuple[UUID, UUID]:
    """A client and its organization. Raises NotFound."""
    row = (await db.execute(_CLIENT, {"name": name})).one_or_none()
    if row is None:
        raise NotFound("client")
    return row.id, row.organization_id


async def is_registered(db: AsyncConnection, client_id: UUID, iss: str) -> bool:
    """Whether JWTs of a client are taken under this issuer."""
    return bool(await db.scalar(_IS_REGISTERED, {"client_id": client_id, "iss": iss}))


async def register(
    db: AsyncConnection, client_id: UUID, organization_id: UUID, registration: Registration
) -> None:
    """Register a client as an EHR, or change what is registered. One that was revoked is back.

    Raises RegistrationRefused for an issuer that is another client's.
    """
    try:
        await db.execute(_REGISTER, _row(client_id, organization_id, registration))
    except IntegrityError:
        raise RegistrationRefused("this issuer is registered for another client") from None


async def revoke(db: AsyncConnection, client_id: UUID) -> None:
    """Take no JWT of this client from now on. Raises NotFound."""
    if (await db.execute(_REVOKE, {"client_id": client_id})).rowcount == 0:
        raise NotFound("CDS client")


async def seed(
    db: AsyncConnection, client_id: UUID, organization_id: UUID, registration: Registration
) -> None:
    """Register the sandbox's own EHR where it is missing, or renew its keys. Again does no harm."""
    row = _row(client_id, organization_id, registration)
    for statement in _SEED:
        await db.execute(statement, row)


def _row(client_id: UUID, organization_id: UUID, registration: Registration) -> Json:
    jwks = registration.jwks
    return {
        "client_id": client_id,
        "organization_id": organization_id,
        "iss": registration.iss,
        "jwks_url": registration.jwks_url,
        "jwks": None if jwks is None else orjson.dumps(jwks).decode(),
        "fhir_servers": list(registration.fhir_servers),
    }
