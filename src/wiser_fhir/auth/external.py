"""Tokens of another issuer than we: JWTs by its keys, or whatever it tells about when asked.

A token is taken if it is for us, lives an hour at most, and every name that it gives its caller
(`client_id`, `azp`, `sub`) is registered for one and the same client. It allows what it says and
that client is registered for, no more. So a token of a person, whose `sub` nobody registers, opens
nothing.

A JWT is good until it ends, whatever its issuer has done since: that is what introspection is for.

Source: RFC 9068, 4; RFC 7662; RFC 8705, 3.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.auth.bearer import CACHE_SECONDS, CACHE_SIZE, REFUSAL
from wiser_fhir.auth.issuer import Introspection, Issuer
from wiser_fhir.auth.jws import (
    MAX_TOKEN,
    SKEW,
    JwtRefused,
    UnverifiedJwt,
    instant,
    read_jwt,
    verify,
)
from wiser_fhir.auth.keys import JwksCache
from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.remembered import Remembered
from wiser_fhir.auth.scopes import Grants, common, grants, readable
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import raw_connection
from wiser_fhir.errors import Unauthenticated
from wiser_fhir.fhir.elements import Json

log = logging.getLogger(__name__)

ALGORITHMS: Final = ("RS256", "RS384", "ES256", "ES384", "PS256")
KINDS: Final = ("at+jwt", "application/at+jwt")
MAX_LIFE: Final = 3_600
_MAX_SCOPES = 100
_NAMES = ("client_id", "azp", "sub")

# As many rows as names, so that each is registered; of how many clients they are is seen after.
_REGISTERED = """
select c.id as client_id, c.name as client_name, c.scopes, c.unbound_until,
    o.id as organization_id, o.acts_for, o.npis, o.tins
from external_client e
join client c on c.id = e.client_id and c.organization_id = e.organization_id
join organization o on o.id = e.organization_id
where e.issuer = $1 and e.subject = any ($2::text[]) and e.active and c.active and o.active
"""

_ANY_UNBOUND = """
select exists (
    select from external_client e
    join client c on c.id = e.client_id and c.organization_id = e.organization_id
    where e.issuer = $1 and e.active and c.active and c.unbound_until > $2
)
"""

# Around a question to another issuer; to enter it raises Throttled for whoever asks in vain.
Asking = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True)
class ExternalToken:
    """What an issuer says of a live token. `names` are all that it gives its caller."""

    names: frozenset[str]
    scope: str
    certificate: str | None
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Holder:
    """Who holds a token. `unbound_until`: how long its client may go without a certificate."""

    principal: Principal
    expires_at: float
    unbound_until: datetime | None


class Tokens(Protocol):
    """How a token of an issuer is read. `opaque`: whether it need not be a JWT."""

    opaque: bool

    async def claims(self, token: str) -> Json:
        """What its issuer says of it. Raises JwtRefused, Unavailable."""
        ...


class JwtTokens:
    """Tokens that are JWTs, by the keys of their issuer."""

    opaque = False

    def __init__(self, issuer: Issuer, jwks: JwksCache) -> None:
        self._issuer = issuer
        self._jwks = jwks

    async def claims(self, token: str) -> Json:
        """The claims, once the signature held. Raises JwtRefused, Unavailable.

        Source: RFC 9068, 4.
        """
        jwt = read_jwt(token, ALGORITHMS, MAX_TOKEN, KINDS)
        if "typ" not in jwt.header:
            raise JwtRefused("header")
        if jwt.claims.get("iss") != self._issuer.name:
            raise JwtRefused("issuer")
        await self._verify(jwt)
        instant(jwt.claims, "iat")
        return jwt.claims

    async def _verify(self, jwt: UnverifiedJwt) -> None:
        """By the key that `kid` names; nothing else in a header says where a key is.

        Raises JwtRefused, Unavailable.
        """
        kid, jwks_uri = jwt.header.get("kid"), (await self._issuer.metadata()).jwks_uri
        key = None
        if isinstance(kid, str) and jwks_uri is not None:
            key = await self._jwks.key(jwks_uri, self._issuer.tenant, kid)
        if key is None:
            raise JwtRefused("key")
        if key.key.get("alg", jwt.header["alg"]) != jwt.header["alg"]:
            raise JwtRefused("algorithm")
        verify(jwt, key.key, ALGORITHMS, MAX_TOKEN)


class IntrospectedTokens:
    """Tokens about which their issuer is asked, whatever they look like."""

    opaque = True

    def __init__(self, introspection: Introspection) -> None:
        self._introspection = introspection

    async def claims(self, token: str) -> Json:
        """What the issuer tells of a live token. Raises JwtRefused, Unavailable."""
        claims = await self._introspection.of(token)
        if claims is None:
            raise JwtRefused("inactive")
        if claims.get("iss", self._introspection.issuer.name) != self._introspection.issuer.name:
            raise JwtRefused("issuer")
        kind = claims.get("token_type", "Bearer")
        bearer = isinstance(kind, str) and kind.lower() == "bearer"
        if not bearer or claims.get("token_use", "access_token") != "access_token":
            raise JwtRefused("kind")
        return claims


class ExternalAuthenticator:
    """From a token of another issuer to the client that it was issued to.

    What was found out holds for ten seconds at most, and never longer than the token. `unbound`:
    nobody's tokens need a certificate, as in the sandbox.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        issuer: str,
        audience: str,
        tokens: Tokens,
        *,
        unbound: bool,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._issuer = issuer
        self._audience = audience
        self._tokens = tokens
        self._unbound = unbound
        self._known: Remembered[bytes, _Holder] = Remembered(CACHE_SIZE)
        # Apart, so that many that are nothing push out none that is something.
        self._refused: Remembered[bytes, bool] = Remembered(CACHE_SIZE)

    @property
    def takes_opaque(self) -> bool:
        """Whether a token that is no JWT can be one of its."""
        return self._tokens.opaque

    async def principal(
        self, token: str, certificate: str | None, asking: Asking = nullcontext
    ) -> Principal:
        """Who calls. `certificate` is the thumbprint of the one that the connection has shown.

        Raises Unauthenticated, Throttled, Unavailable.
        """
        name = sha256(token.encode()).digest()
        try:
            holder = self._known.get(name) or await self._found(name, token, certificate, asking)
            self._check(holder, certificate)
        except JwtRefused as refused:
            log.info("external token refused", extra={"error": refused.reason})
            raise Unauthenticated(REFUSAL) from None
        return holder.principal

    async def _may_be_unbound(self) -> bool:
        """Whether a token could be good without a certificate, before its issuer is asked about it.

        Whose it is shows only then, so one client that may go without is enough.
        """
        if self._unbound or not self._tokens.opaque:
            return True
        async with raw_connection(self._engine) as connection:
            return bool(await connection.fetchval(_ANY_UNBOUND, self._issuer, self._clock()))

    async def _found(
        self, name: bytes, token: str, certificate: str | None, asking: Asking
    ) -> _Holder:
        if self._refused.get(name):
            raise JwtRefused("before")
        if certificate is None and not await self._may_be_unbound():
            raise JwtRefused("unbound")  # not remembered: with a certificate it may be good
        ends = self._known.now() + CACHE_SECONDS
        try:
            with asking() if self._tokens.opaque else nullcontext():
                claims = await self._tokens.claims(token)
            read = read_claims(claims, self._audience, self._now())
            holder = await self._holder(read)
        except JwtRefused:
            self._refused.put(name, True, ends)
            raise
        self._known.put(name, holder, ends)
        return holder

    async def _holder(self, token: ExternalToken) -> _Holder:
        async with raw_connection(self._engine) as connection:
            rows = await connection.fetch(_REGISTERED, self._issuer, list(token.names))
        if len(rows) != len(token.names) or len({row["client_id"] for row in rows}) != 1:
            raise JwtRefused("client")
        row = rows[0]
        allowed = granted(token.scope, grants(row["scopes"]))
        principal = Principal.of(row, allowed, token.certificate)
        return _Holder(principal, token.expires_at, row["unbound_until"])

    def _check(self, holder: _Holder, certificate: str | None) -> None:
        """Looked at each time: what is remembered was perhaps found out on another connection."""
        if holder.expires_at <= self._now():
            raise JwtRefused("life")
        bound_to = holder.principal.certificate
        if bound_to is not None:
            if bound_to != certificate:
                raise JwtRefused("certificate")
        elif not self._unbound:
            until = holder.unbound_until
            if until is None or until <= self._clock():
                raise JwtRefused("unbound")

    def _now(self) -> float:
        return self._clock().timestamp()


def read_claims(claims: Json, audience: str, now: float) -> ExternalToken:
    """What counts of a token for `audience`. Raises JwtRefused."""
    certificate = _certificate(claims)
    _check_audience(claims.get("aud"), audience, bound=certificate is not None)
    expires_at = _check_life(claims, now)
    names = [claims[name] for name in _NAMES if claims.get(name) is not None]
    if not names or not all(isinstance(name, str) for name in names):
        raise JwtRefused("client")
    scope = claims.get("scope", "")
    if not isinstance(scope, str):
        raise JwtRefused("scope")
    return ExternalToken(frozenset(names), scope, certificate, expires_at)


def granted(scope: str, registered: Grants) -> Grants:
    """What a token's scopes allow of what its client is registered for.

    Those of other resources, of people or with parameters allow nothing here.
    """
    return common(readable(scope.split(" ")[:_MAX_SCOPES]), registered)


def _certificate(claims: Json) -> str | None:
    """The thumbprint that a token is bound to. Bound to anything else, it is not taken.

    Source: RFC 8705, 3.1.
    """
    confirmation = claims.get("cnf")
    if confirmation is None:
        return None
    thumbprint = confirmation.get("x5t#S256") if type(confirmation) is dict else None
    if not isinstance(thumbprint, str) or not thumbprint or len(confirmation) != 1:
        raise JwtRefused("certificate")
    return thumbprint


def _check_audience(aud: Any, audience: str, *, bound: bool) -> None:
    """Whether a token is for us: for us alone, or, bound to a certificate, for us among others.

    Without a certificate each of the others could use it here.
    Source: RFC 9068, 4 (which lets `aud` name several).
    """
    named = aud if type(aud) is list else [aud]
    if audience not in named or not (bound or len(named) == 1):
        raise JwtRefused("audience")


def _check_life(claims: Json, now: float) -> float:
    """When a token ends. Raises JwtRefused for one that is over, not begun, or lives too long."""
    expires_at = instant(claims, "exp")
    issued_at = instant(claims, "iat") if "iat" in claims else now
    begun = instant(claims, "nbf") if "nbf" in claims else issued_at
    if max(issued_at, begun) > now + SKEW or now >= expires_at:
        raise JwtRefused("life")
    if expires_at - issued_at > MAX_LIFE:
        raise JwtRefused("life")
    return expires_at
