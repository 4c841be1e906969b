"""Which EHRs may call hooks: registered by an operator, as the owner role."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth.registration import Keys, RegistrationRefused, check_url
from wiser_fhir.egress.url import Origin
from wiser_fhir.errors import NotFound
from wiser_fhir.fhir.elements import Json

_ISS = re.compile("https?://[!-~]{1,2000}")

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
        Keys(self.jwks_url, self.jwks).check(extra)
        for server in self.fhir_servers:
            if check_url("a FHIR server", server, extra):
                raise RegistrationRefused("a FHIR server's base URL has no query")


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
