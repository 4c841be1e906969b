"""What the authorization server does: issues a token, tells of one, ends one.

Each act is one transaction with the use of the JWT that asked for it and the act's audit row, and
is answered only once that is committed. What is refused is recorded before the answer, too: in a
transaction of its own, for the act's was rolled back.

Source: RFC 6749, RFC 7009, RFC 7662, RFC 8705; SMART App Launch 2.2.0, "Backend Services".
"""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Detail, Recorder, write
from wiser_fhir.auth import assertion, token_grant, tokens
from wiser_fhir.auth.assertion import Assertion, ClientAssertions, OAuthRefused
from wiser_fhir.auth.bearer import token_hash
from wiser_fhir.auth.introspection import introspection
from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.token_grant import Shown
from wiser_fhir.auth.tokens import IssuedToken
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import transaction
from wiser_fhir.fhir.elements import Json
from wiser_fhir.oauth.endpoints import INTROSPECT, REVOKE, TOKEN, Endpoints

ACTIONS: Mapping[str, str] = {
    TOKEN: "token.issue",
    INTROSPECT: "token.introspect",
    REVOKE: "token.revoke",
}

Form = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks about a token: by a JWT, which is used up thereby, or by a token of its own."""

    client_id: UUID
    name: str
    organization_id: UUID
    assertion: Assertion | None = None


@dataclass(frozen=True, slots=True)
class AuthorizationServer:
    """Our own issuer of tokens, for clients that show themselves by a JWT or a token.

    `forget` takes a token that was revoked out of what this process remembers. `unbound`: nobody
    needs a certificate, as in the sandbox.
    """

    engine: AsyncEngine
    recorder: Recorder
    assertions: ClientAssertions
    endpoints: Endpoints
    clock: Clock
    forget: Callable[[str], None]
    unbound: bool = False

    async def token(
        self, form: Form, made: Assertion, shown: Shown | None, request_id: UUID
    ) -> IssuedToken:
        """A token for the client that made a JWT. Raises OAuthRefused, Unavailable."""
        issued = token_grant.grant(
            made.client, form.get("scope"), shown, self.clock(), unbound=self.unbound
        )
        caller = by_jwt(made)
        async with self._used(caller) as db:
            await tokens.put(db, issued)
            detail: Detail = {
                **made.detail,
                "scopes": "|".join(issued.scopes),
                "key": made.thumbprint,
                "certificate": issued.certificate,
            }
            row = _row(TOKEN, request_id, caller, "issued", issued.token, detail)
            await write(db, row)
        return issued

    async def introspect(self, form: Form, caller: Caller, request_id: UUID) -> Json:
        """What there is to tell of a token: of another's no more than of one that never was.

        Raises OAuthRefused, Unavailable.
        """
        token = _token(form, caller)
        async with self._used(caller) as db:
            found = await tokens.of_client(db, caller.client_id, token, self.clock())
            outcome = "inactive" if found is None else "active"
            await write(db, _row(INTROSPECT, request_id, caller, outcome, token))
        return introspection(found, caller.name, self.endpoints.issuer)

    async def revoke(self, form: Form, caller: Caller, request_id: UUID) -> None:
        """End a token of the caller's own; another's stays and the answer does not tell.

        Raises OAuthRefused, Unavailable.
        """
        token = _token(form, caller)
        async with self._used(caller) as db:
            ended = await tokens.revoke(db, caller.client_id, token, self.clock())
            outcome = "revoked" if ended else "none"
            await write(db, _row(REVOKE, request_id, caller, outcome, token))
        if ended:
            self.forget(token)

    async def proof(self, form: Form, path: str) -> Assertion:
        """The JWT by which a client shows itself to the endpoint at `path`.

        Raises OAuthRefused, Unavailable.
        """
        audiences = self.endpoints.audiences(path)
        return await self.assertions.read(form, audiences, for_token=path == TOKEN)

    async def record(self, path: str, refused: OAuthRefused, request_id: UUID) -> None:
        """Put a refusal on the audit trail: of a client that is not known, without what it said.

        Raises Unavailable.
        """
        client = refused.client
        row = AuditRow(
            request_id=request_id,
            action=ACTIONS[path],
            outcome="refused",
            organization_id=client.organization_id if client else None,
            client_id=client.client_id if client else None,
            detail={"error": refused.error, "reason": refused.reason},
        )
        await self.recorder.record(row)

    @asynccontextmanager
    async def _used(self, caller: Caller) -> AsyncIterator[AsyncConnection]:
        """The transaction of an act, in which the JWT that asked for it is used up.

        Last of all: a token that was put down holds its client's row, so of an operator's change at
        the same time either this knows, or the change knows of the token.
        """
        async with transaction(self.engine, caller.organization_id) as db:
            yield db
            made = caller.assertion
            if made is not None and not await assertion.use(db, made):
                raise OAuthRefused("invalid_client", "replay", made.client)


def by_token(principal: Principal) -> Caller:
    """Who asks by a token of its own."""
    return Caller(principal.client_id, principal.client_name, principal.organization_id)


def by_jwt(made: Assertion) -> Caller:
    """Who asks by a JWT."""
    client = made.client
    return Caller(client.client_id, client.name, client.organization_id, made)


def _token(form: Form, caller: Caller) -> str:
    token = form.get("token")
    if token is None:
        made = caller.assertion
        raise OAuthRefused("invalid_request", "token", made.client if made else None)
    return token


def _row(
    path: str,
    request_id: UUID,
    caller: Caller,
    outcome: str,
    token: str,
    detail: Detail | None = None,
) -> AuditRow:
    """The row of an act. A token goes by its hash, as it does in storage."""
    return AuditRow(
        request_id=request_id,
        action=ACTIONS[path],
        outcome=outcome,
        organization_id=caller.organization_id,
        client_id=caller.client_id,
        object_kind="access-token",
        object_id=token_hash(token).hex(),
        detail=detail or {},
    )
