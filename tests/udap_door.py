"""UDAP alone, as an application: discovery, registration and the token endpoint, over ASGI.

`UdapPlace` is one process on the real database. Certificates are made at run time, so its clock is
the true one, moved as far as a test likes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from fastapi import FastAPI
from httpx import AsyncClient, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.authorization_app import NoneRevoked, Stored, authorization_app, calling
from tests.hand_made_jwt import Json
from tests.oauth_door import JWT_BEARER, Servers
from tests.udap import (
    BASES,
    COMMUNITY,
    ORIGIN,
    URI,
    assertion_claims,
    authority,
    issued,
    signed,
    statement_claims,
    trust,
)
from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.auth.assertion import ClientAssertions
from wiser_fhir.auth.authenticators import Authenticators
from wiser_fhir.auth.keys import JwksCache
from wiser_fhir.auth.tokens import Authenticator
from wiser_fhir.auth.udap_chain import Trust
from wiser_fhir.auth.udap_communities import Community, Signer
from wiser_fhir.clock import utc_now
from wiser_fhir.oauth import routes, udap_discovery, udap_routes
from wiser_fhir.oauth.endpoints import Endpoints
from wiser_fhir.oauth.server import AuthorizationServer
from wiser_fhir.oauth.udap_door import Udap, UdapDoor
from wiser_fhir.sandbox.authority import Issued

SCOPES = ("system/Claim.cu", "system/ClaimResponse.rs", "system/Task.rs")


def signer_of(holder: Issued) -> Signer:
    """What signs with a certificate."""
    key: Any = load_pem_private_key(holder.key_pem, None)
    return Signer(tuple(x509.load_pem_x509_certificates(holder.chain_pem)), key)


def community(*uris: str, uri: str = COMMUNITY) -> Community:
    """The test community, in which we have a certificate for these base URLs."""
    own = signer_of(issued(*(uris or BASES)))
    return Community(uri, (authority().certificate,), own)


@dataclass
class UdapPlace:
    """One process. `communities` and `trust` are what the settings would have come to."""

    engine: AsyncEngine
    communities: tuple[Community, ...] = field(default_factory=lambda: (community(),))
    trust: Trust = field(default_factory=trust)
    unbound: bool = True
    crl: Path | None = None
    passed: timedelta = timedelta()
    revoked: NoneRevoked = field(default_factory=NoneRevoked)
    off: bool = False

    def now(self) -> datetime:
        """The clock of the server, and of those who call it."""
        return utc_now() + self.passed

    @cached_property
    def app(self) -> FastAPI:
        """The application, made once."""
        routers = [
            ("/fhir", udap_discovery.router_for("/fhir")),
            ("/v2.0/fhir", udap_discovery.router_for("/v2.0/fhir")),
            ("", udap_discovery.crl_router()),
            ("", udap_routes.router),
            ("", routes.router),
        ]
        app = authorization_app(ORIGIN, self.engine, routers, self.revoked)
        state = app.state
        state.authenticator = Authenticators(Authenticator(self.engine, self.now), None)
        state.udap = None if self.off else self._door(state.recorder)
        keys = None if state.udap is None else state.udap.clients
        state.oauth = AuthorizationServer(
            engine=self.engine,
            recorder=state.recorder,
            assertions=ClientAssertions(self.engine, self.now, JwksCache(Servers()), keys),
            endpoints=Endpoints(ORIGIN, registers=True),
            clock=self.now,
            forget=state.authenticator.forget,
            unbound=self.unbound,
        )
        return app

    def _door(self, recorder: Recorder) -> UdapDoor:
        udap = Udap({each.uri: each for each in self.communities}, self.trust, self.crl)
        return UdapDoor.of(udap, ORIGIN, self.engine, recorder, self.now, self.revoked.names)

    def http(self, shown: Issued | None = None) -> AsyncClient:
        """Somebody who calls."""
        return calling(self.app, shown)

    async def get(self, path: str, **parameters: str) -> Response:
        """What is answered to a GET."""
        async with self.http() as client:
            return await client.get(path, params=parameters)

    async def post(self, body: object) -> Response:
        """What is answered to a registration with this body: bytes as they stand, else JSON."""
        content: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
        async with self.http() as client:
            return await client.post("/oauth/register", **content)

    async def register(
        self, holder: Issued | None = None, iss: str = URI, **changes: Any
    ) -> Response:
        """What is answered to a software statement as the public suite makes it, but for changes.

        A change to None leaves a claim out.
        """
        claims = statement_claims(self.now(), iss, **changes)
        return await self.post(body_of(signed(holder or issued(), claims)))

    async def client(self, holder: Issued | None = None, **changes: Any) -> str:
        """The `client_id` of somebody who has registered."""
        answer = await self.register(holder, **changes)
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["client_id"])

    async def ask(
        self,
        client_id: str,
        holder: Issued | None = None,
        shown: Issued | None = None,
        scope: str | None = None,
        **changes: Any,
    ) -> Response:
        """What is answered to a token request as the public suite makes it, but for changes."""
        token = signed(holder or issued(), assertion_claims(self.now(), client_id, **changes))
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": JWT_BEARER,
            "client_assertion": token,
            "udap": "1",
        }
        async with self.http(shown) as client:
            sent = form if scope is None else {**form, "scope": scope}
            return await client.post("/oauth/token", data=sent)


def body_of(statement: str, **changes: Any) -> Json:
    """The body of a registration."""
    return {"software_statement": statement, "certifications": [], "udap": "1", **changes}


@dataclass(frozen=True)
class Books(Stored):
    """What an operator wrote, and what the server did, seen from behind."""

    async def clients(self) -> list[tuple[str, bool, list[str]]]:
        """Name, whether in use, and scopes of each client, the newest last."""
        return await self.rows("select name, active, scopes from client order by created_at, id")


Make = Callable[..., UdapPlace]
