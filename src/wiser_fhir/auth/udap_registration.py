"""Registering by software statement: who is taken in, and what becomes of the client.

Whose the client is and what it may is not settled here but by the database (`gate.udap_register`),
from the row that an operator wrote for the registrant: whoever runs SQL as the application gets no
further than this module does.

Source: UDAP Security 2.0.0, "Registration"; RFC 7591, 3.2.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

import anyio
from anyio import CapacityLimiter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.auth.assertion import AUTH_METHOD
from wiser_fhir.auth.token_grant import GRANT_TYPE
from wiser_fhir.auth.udap_chain import Trust
from wiser_fhir.auth.udap_statement import Metadata, Statement, StatementRefused, read_statement
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import transaction
from wiser_fhir.fhir.elements import Json

# Chains are looked at beside the event loop, by few at a time: strangers may send them.
CHAINS: Final = CapacityLimiter(2)

_USE = text("""
insert into client_assertion (iss, jti, expires_at) values (:iss, :jti, :expires_at)
on conflict do nothing
""")

_REGISTER = text("""
select outcome, name, scopes from gate.udap_register(
    :community, :iss, :certificate, :client_name, :contacts, :logo_uri, :wanted, :request_id)
""")

_CANCEL = text("""
select name from gate.udap_cancel(:community, :iss, :certificate, :request_id)
""")

_UNAPPROVED = "Nobody with this iss is registered to come in by this way."
_NOTHING_GRANTED = "None of the scopes is granted to this client."


@dataclass(frozen=True, slots=True)
class Registered:
    """What became of a statement: the answer, and whether there is a new client."""

    answer: Json = field(repr=False)
    new: bool


@dataclass(frozen=True, slots=True)
class UdapRegistration:
    """Takes software statements. `audiences` are the URLs of the endpoint, `denied` tells of a
    certificate, by its x5t#S256, whether an operator has taken it back.
    """

    engine: AsyncEngine
    clock: Clock
    trust: Trust
    audiences: Collection[str]
    denied: Callable[[str], bool]

    async def register(self, token: str, request_id: UUID) -> Registered:
        """Register, change or cancel, as the statement says; audited where something was done.

        Raises StatementRefused, Unavailable.
        """
        now = self.clock()
        statement = await anyio.to_thread.run_sync(
            read_statement, token, self.trust, self.audiences, now, limiter=CHAINS
        )
        if self.denied(statement.holder.thumbprint):
            raise _unapproved("certificate")
        async with transaction(self.engine) as db:
            await _use(db, statement)
            if statement.metadata is None:
                return await _cancel(db, token, statement, request_id)
            return await _register(db, token, statement, statement.metadata, request_id)


async def _use(db: AsyncConnection, statement: Statement) -> None:
    """Raises StatementRefused for a statement that came before."""
    values = {"iss": statement.iss, "jti": statement.jti, "expires_at": statement.expires_at}
    if (await db.execute(_USE, values)).rowcount == 0:
        text_ = "This jti was used before."
        raise StatementRefused("invalid_software_statement", "replay", text_)


async def _register(
    db: AsyncConnection, token: str, statement: Statement, wanted: Metadata, request_id: UUID
) -> Registered:
    values = {
        **_holder(statement, request_id),
        "client_name": wanted.client_name,
        "contacts": list(wanted.contacts),
        "logo_uri": wanted.logo_uri,
        "wanted": list(wanted.scopes),
    }
    outcome, name, scopes = (await db.execute(_REGISTER, values)).one()
    if outcome == "unapproved":
        raise _unapproved("registrant")
    if outcome == "no-scope":
        raise StatementRefused("invalid_client_metadata", "scope", _NOTHING_GRANTED)
    answer: Json = {
        "client_id": name,
        "software_statement": token,
        "client_name": wanted.client_name,
        "contacts": list(wanted.contacts),
        "grant_types": [GRANT_TYPE],
        "token_endpoint_auth_method": AUTH_METHOD,
        "scope": " ".join(scopes),
    }
    if wanted.logo_uri is not None:
        answer["logo_uri"] = wanted.logo_uri
    return Registered(answer, new=outcome == "registered")


async def _cancel(
    db: AsyncConnection, token: str, statement: Statement, request_id: UUID
) -> Registered:
    row = (await db.execute(_CANCEL, _holder(statement, request_id))).one_or_none()
    if row is None:
        text_ = "There is no registration to cancel: grant_types is empty."
        raise StatementRefused("invalid_client_metadata", "not-registered", text_)
    answer: Json = {"client_id": row.name, "software_statement": token, "grant_types": []}
    return Registered(answer, new=False)


def _holder(statement: Statement, request_id: UUID) -> Json:
    return {
        "community": statement.holder.community,
        "iss": statement.iss,
        "certificate": statement.holder.thumbprint,
        "request_id": request_id,
    }


def _unapproved(reason: str) -> StatementRefused:
    return StatementRefused("unapproved_software_statement", reason, _UNAPPROVED)
