"""The authorization server alone, as an application, with clients that tests register and sign for.

`Place` is one process: what a test makes of it, it makes over ASGI, on the real database.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from secrets import token_urlsafe
from typing import Any
from uuid import UUID

import orjson
from fastapi import FastAPI
from httpx import AsyncClient, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.authorization_app import NoneRevoked, Stored, authorization_app, calling
from tests.clocks import Time
from tests.database import MakeOrganization
from tests.hand_made_jwt import Json, Pair, ec_pair, header_for, jwt
from wiser_fhir.auth.assertion import CertificateKeys, ClientAssertions
from wiser_fhir.auth.authenticators import Authenticators
from wiser_fhir.auth.keys import JsonSource, JwksCache
from wiser_fhir.auth.scopes import ALL_SCOPES
from wiser_fhir.auth.tokens import Authenticator
from wiser_fhir.egress.client import Document
from wiser_fhir.egress.errors import EgressError
from wiser_fhir.oauth import discovery, routes
from wiser_fhir.oauth.endpoints import Endpoints
from wiser_fhir.oauth.server import AuthorizationServer
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.sandbox.authority import Issued
from wiser_fhir.web.discovery import metadata_router

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
ISSUER = "https://payer.example"
TOKEN = f"{ISSUER}/oauth/token"
MTLS = "https://mtls.payer.example:8443"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
AT_ISSUER = Endpoints(ISSUER)
KEY = ec_pair("client-key")
NAME = "an-ehr"


@dataclass
class Servers:
    """Stands for the way out: the documents of other servers by their URL."""

    documents: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def get_document(
        self,
        url: str,
        *,
        within: Sequence[str],
        tenant: UUID,
        token: str | None = None,
        seconds: float = 5.0,
    ) -> Document:
        assert list(within) == [url]
        assert token is None
        self.asked.append(url)
        if url not in self.documents:
            raise EgressError("away")
        return Document(self.documents[url])


@dataclass
class Place:
    """One process of the authorization server."""

    engine: AsyncEngine
    time: Time
    servers: JsonSource
    endpoints: Endpoints = AT_ISSUER
    unbound: bool = True
    certificates: CertificateKeys | None = None
    revoked: NoneRevoked = field(default_factory=NoneRevoked)

    @cached_property
    def app(self) -> FastAPI:
        """The application, made once."""
        routers = [
            ("/fhir", discovery.smart_router("smart-2.2", discovery.smart_configuration)),
            ("/v2.0/fhir", discovery.smart_router("smart-2.0", discovery.smart_configuration)),
            ("/fhir", metadata_router("metadata-2.2")),
            ("/v2.0/fhir", metadata_router("metadata-2.0")),
            ("", discovery.server_router()),
            ("", routes.router),
        ]
        app = authorization_app(ISSUER, self.engine, routers, self.revoked)
        state = app.state
        embedded = Authenticator(self.engine, self.time.now, self.time.monotonic)
        state.authenticator = Authenticators(embedded, None)
        jwks = JwksCache(self.servers, self.time.monotonic)
        state.oauth = AuthorizationServer(
            engine=self.engine,
            recorder=state.recorder,
            assertions=ClientAssertions(self.engine, self.time.now, jwks, self.certificates),
            endpoints=self.endpoints,
            clock=self.time.now,
            forget=state.authenticator.forget,
            unbound=self.unbound,
        )
        return app

    def http(self, shown: Issued | None = None) -> AsyncClient:
        """Somebody who calls, showing a certificate or none."""
        return calling(self.app, shown)

    async def post(
        self,
        path: str,
        form: Mapping[str, Any],
        shown: Issued | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """What is answered to a form."""
        async with self.http(shown) as client:
            return await client.post(path, data=dict(form), headers=dict(headers or {}))

    async def ask(
        self, pair: Pair = KEY, header: object = None, *, shown: Issued | None = None, **more: Any
    ) -> Response:
        """What is answered to a token request as `token_form` makes it."""
        return await self.post("/oauth/token", self.token_form(pair, header, **more), shown)

    async def token(self, shown: Issued | None = None, **changes: Any) -> str:
        """A new token."""
        answer = await self.ask(shown=shown, **changes)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def token_form(
        self, pair: Pair = KEY, header: object = None, scope: str | None = None, **claims: Any
    ) -> dict[str, str]:
        """The form of a token request, as the public conformance suite sends it."""
        form = {"grant_type": "client_credentials", **self.shown_by_jwt(pair, header, **claims)}
        return form if scope is None else {"scope": scope, **form}

    def shown_by_jwt(self, pair: Pair = KEY, header: object = None, **claims: Any) -> Json:
        """The two fields by which a client shows itself."""
        signed = jwt(pair, header or header_for(pair), self.claims(**claims))
        return {"client_assertion_type": JWT_BEARER, "client_assertion": signed}

    def claims(self, **changes: Any) -> Json:
        """What the public conformance suite claims. A change to None takes a name out."""
        sent = {
            "iss": NAME,
            "sub": NAME,
            "aud": TOKEN,
            "exp": int(self.time.now().timestamp()) + 300,
            "jti": token_urlsafe(24),
            **changes,
        }
        return {name: value for name, value in sent.items() if value is not None}


@dataclass(frozen=True)
class Registry(Stored):
    """Puts clients on the books, past the commands that an operator has for it."""

    make_organization: MakeOrganization

    async def client(
        self,
        name: str = NAME,
        pairs: Sequence[Pair] = (KEY,),
        scopes: Sequence[str] = ALL_SCOPES,
        jwks_url: str | None = None,
        **columns: Any,
    ) -> UUID:
        """A client with its keys by value, or at a URL; `columns` are more of its row."""
        organization = await self.make_organization(name=f"Of {name}")
        client_id = time_ordered_uuid()
        row = {
            "id": client_id,
            "organization_id": organization,
            "name": name,
            "scopes": list(scopes),
            **columns,
        }
        jwks = None if jwks_url else orjson.dumps({"keys": [each.jwk() for each in pairs]}).decode()
        keys = {"c": client_id, "o": organization, "u": jwks_url, "j": jwks}
        async with self.engine.begin() as db:
            await db.execute(text(_insert("client", row)), row)
            await db.execute(
                text(
                    "insert into client_key (client_id, organization_id, jwks_url, jwks)"
                    " values (:c, :o, :u, cast(:j as jsonb))"
                ),
                keys,
            )
        return client_id


def _insert(table: str, row: Mapping[str, Any]) -> str:
    values = ", ".join(f":{name}" for name in row)
    return f"insert into {table} ({', '.join(row)}) values ({values})"  # noqa: S608
