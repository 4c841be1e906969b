"""Which client calls the authorization server: the JWT by which it proves that it holds its key.

Three steps, for Authlib decides without I/O: read what is registered under the name that the JWT
gives, let Authlib decide, and use the JWT up in the transaction of the act that it is for. Before
the second step is over nothing of a JWT counts but that name, and `kid`, `jku` and `x5c` to find
what was registered.

Source: RFC 7523, 3; SMART App Launch 2.2.0, "Client Authentication: Asymmetric".
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol
from uuid import UUID

from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey
from joserfc.jwt import JWTClaimsRegistry
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.auth.ended import delete_ended
from wiser_fhir.auth.jws import (
    ALGORITHMS,
    MAX_LIFE,
    MAX_X5C_TOKEN,
    SKEW,
    X5C_ALGORITHMS,
    JwtRefused,
    UnverifiedJwt,
    instant,
    one_audience,
    read_jwt,
    spend_as_much,
    verify,
)
from wiser_fhir.auth.keys import JwksCache, PublicKey
from wiser_fhir.auth.scopes import Grants, grants
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import raw_connection
from wiser_fhir.fhir.elements import Json

AUTH_METHOD: Final = "private_key_jwt"

_CLIENT_ID = re.compile("[ -~]{1,2048}")  # RFC 6749, A.1
_JTI = re.compile("[!-~]{8,256}")

# Who registered by UDAP goes by the URI of that, which another client may have for its own too.
_REGISTERED = """
select c.id as client_id, c.name, c.organization_id, c.scopes, c.unbound_until,
    coalesce(u.iss, c.certificate_uri) as certificate_uri, u.community,
    c.xmin::text as version, k.revision, k.jwks_url, k.jwks::text as jwks
from client c
join organization o on o.id = c.organization_id
left join client_key k on k.client_id = c.id and k.active
left join udap_registration u on u.client_id = c.id
where c.name = $1 and c.active and o.active
"""

# Whose registration was changed in any way since it was read, by which was decided what to grant,
# finds no row to use.
_USE = text("""
insert into client_assertion (iss, jti, expires_at)
select c.name, :jti, :expires_at
from client c
join organization o on o.id = c.organization_id
left join client_key k on k.client_id = c.id and k.active
where c.id = :client_id and c.active and o.active and c.xmin::text = :version
    and k.revision is not distinct from :revision
on conflict do nothing
""")

_PURGE = delete_ended("client_assertion")


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """What is registered of a client, as of a `version` of its row.

    `revision` is that of its keys, None where it has none. `certificate_uri` must stand in each
    TLS certificate that it shows; None: any will do. `community` is that of UDAP under which it
    registered itself, None where an operator wrote it down.
    """

    client_id: UUID
    name: str
    organization_id: UUID
    scopes: Grants
    certificate_uri: str | None = None
    community: str | None = None
    unbound_until: datetime | None = None
    version: str = ""
    revision: int | None = None
    jwks_url: str | None = None
    jwks: str | None = field(default=None, repr=False)

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        """Whether it authenticates so; Authlib asks. There is one way."""
        return method == _Assertion.CLIENT_AUTH_METHOD


class CertificateKeys(Protocol):
    """Finds the key of a client that registered by certificate: its JWTs carry `x5c`, not `kid`."""

    async def key(self, header: Json, client: RegisteredClient) -> PublicKey:
        """The key of the leaf in the header's `x5c`, once the chain was checked.

        Raises JwtRefused, Unavailable.
        """
        ...

    def check(
        self, claims: Json, client: RegisteredClient, *, for_token: bool
    ) -> Mapping[str, str]:
        """Look at the verified claims that only such a client sends; words for the audit trail.

        Raises JwtRefused, or OAuthRefused where another error than `invalid_client` is due.
        """
        ...


class OAuthRefused(Exception):
    """A refusal by the authorization server.

    `error` is the word of RFC 6749, 5.2 for the caller. `reason` is a word of ours for the audit
    trail and nobody else, `client` who it is for, where that is known or was at least claimed.
    """

    def __init__(self, error: str, reason: str, client: RegisteredClient | None = None) -> None:
        super().__init__(error)
        self.error = error
        self.reason = reason
        self.client = client


@dataclass(frozen=True, slots=True)
class Assertion:
    """A JWT that a client did make, not yet used up. `detail` are words for the audit trail."""

    client: RegisteredClient
    jti: str = field(repr=False)
    expires_at: datetime
    thumbprint: str
    detail: Mapping[str, str]


@dataclass(slots=True)
class _Form:
    """What Authlib takes for a request."""

    form: Mapping[str, str]
    client: RegisteredClient | None = None


class _Assertion(JWTBearerClientAssertion):  # type: ignore[misc]
    """Authlib's decision on one JWT, with what its own class lets pass or cannot read.

    Its own verifies neither RS384 nor ES384, reads no header of more than 512 bytes, raises
    RecursionError for deep nesting, takes any `exp`, and an `aud` that names others too.
    """

    CLIENT_AUTH_METHOD = AUTH_METHOD

    def __init__(
        self,
        jwt: UnverifiedJwt,
        algorithms: Collection[str],
        audiences: Collection[str],
        now: int,
        key: ECKey | RSAKey,
    ) -> None:
        super().__init__(leeway=SKEW)
        self._jwt = jwt
        self._algorithms = tuple(algorithms)
        self._audiences = audiences
        self._now = now
        self._key = key
        self.jti = ""

    def extract_assertion(self, _assertion: str) -> tuple[Json, Json]:
        return self._jwt.header, self._jwt.claims

    def resolve_client_public_key(self, _client: RegisteredClient) -> ECKey | RSAKey:
        return self._key

    def process_assertion_claims(self, _assertion: str, key: ECKey | RSAKey) -> Json:
        verify(self._jwt, key, self._algorithms, MAX_X5C_TOKEN)
        self.verify_claims(self._jwt.claims)
        return self._jwt.claims

    def verify_claims(self, claims: Json) -> None:
        if one_audience(claims) not in self._audiences:
            raise JwtRefused("audience")
        if not self._now < instant(claims, "exp") <= self._now + MAX_LIFE + self.leeway:
            raise JwtRefused("life")
        if claims["sub"] != claims.get("iss"):
            raise JwtRefused("issuer")
        if not self.validate_jti(claims, claims.get("jti")):
            raise JwtRefused("jti")
        try:
            # What need not be there, where it is: nbf, iat.
            JWTClaimsRegistry(self._now, self.leeway).validate(claims)
        except JoseError:
            raise JwtRefused("claims") from None

    def validate_jti(self, _claims: Json, jti: Any) -> bool:
        """Noted here; whether it came before is for the database to say."""
        if not isinstance(jti, str) or not _JTI.fullmatch(jti):
            return False
        self.jti = jti
        return True


class ClientAssertions:
    """From a form to the client that sent it: the first two steps of three."""

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        jwks: JwksCache,
        certificates: CertificateKeys | None = None,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._jwks = jwks
        self._certificates = certificates

    async def read(
        self, form: Mapping[str, str], audiences: Collection[str], *, for_token: bool = True
    ) -> Assertion:
        """Who sent the form. `audiences` are the URLs that a JWT may be for, as they stand.

        `for_token`: whether it asks for a token. Raises OAuthRefused, Unavailable.
        """
        if form.get("client_assertion_type") != _Assertion.CLIENT_ASSERTION_TYPE:
            raise OAuthRefused("invalid_client", "assertion-type")
        client = None
        try:
            jwt = read_jwt(form.get("client_assertion", ""), X5C_ALGORITHMS, MAX_X5C_TOKEN)
            client = await self._registered(jwt, form.get("client_id"))
            return await self._decide(form, client, jwt, audiences, for_token=for_token)
        except JwtRefused as refused:
            raise OAuthRefused("invalid_client", refused.reason, client) from None

    async def _decide(
        self,
        form: Mapping[str, str],
        client: RegisteredClient,
        jwt: UnverifiedJwt,
        audiences: Collection[str],
        *,
        for_token: bool,
    ) -> Assertion:
        # How a client registered tells, and no header: some libraries put `x5c` beside `kid`.
        by_certificate = None if client.community is None else self._certificates
        algorithms = ALGORITHMS if by_certificate is None else X5C_ALGORITHMS
        if jwt.header["alg"] not in algorithms:
            _spend_as_much(jwt)
            raise JwtRefused("algorithm")
        find = self._key if by_certificate is None else by_certificate.key
        try:
            key = await find(jwt.header, client)
        except JwtRefused:
            _spend_as_much(jwt)
            raise
        now = int(self._clock().timestamp())
        assertion = _Assertion(jwt, algorithms, audiences, now, key.key)
        assertion(lambda _name: client, _Form(form))
        detail: Mapping[str, str] = {}
        if by_certificate is not None:
            detail = by_certificate.check(jwt.claims, client, for_token=for_token)
        ends = datetime.fromtimestamp(instant(jwt.claims, "exp") + SKEW, UTC)
        return Assertion(client, assertion.jti, ends, key.thumbprint, detail)

    async def _registered(self, jwt: UnverifiedJwt, named: str | None) -> RegisteredClient:
        name = jwt.claims.get("sub")
        if not isinstance(name, str) or not _CLIENT_ID.fullmatch(name):
            raise JwtRefused("client")
        if named is not None and named != name:
            raise JwtRefused("client-id")
        async with raw_connection(self._engine) as connection:
            row = await connection.fetchrow(_REGISTERED, name)
        if row is None:
            _spend_as_much(jwt)
            raise JwtRefused("client")
        return RegisteredClient(**{**row, "scopes": grants(row["scopes"])})

    async def _key(self, header: Json, client: RegisteredClient) -> PublicKey:
        return await self._jwks.registered(
            header, jwks_url=client.jwks_url, jwks=client.jwks, tenant=client.organization_id
        )


async def use(db: AsyncConnection, assertion: Assertion) -> bool:
    """Use a JWT up, in the transaction of what it is for: the third step.

    False if it was used before, by whatever process, or its client is registered otherwise now.
    """
    values = {
        "client_id": assertion.client.client_id,
        "version": assertion.client.version,
        "revision": assertion.client.revision,
        "jti": assertion.jti,
        "expires_at": assertion.expires_at,
    }
    return (await db.execute(_USE, values)).rowcount == 1


async def purge(db: AsyncConnection, before: datetime) -> int:
    """Forget JWTs that ended before an instant, AT_ONCE at most; the owner role may. How many."""
    return (await db.execute(_PURGE, {"before": before})).rowcount


def _spend_as_much(jwt: UnverifiedJwt) -> None:
    spend_as_much(jwt, X5C_ALGORITHMS, MAX_X5C_TOKEN)
