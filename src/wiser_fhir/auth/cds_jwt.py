"""Who calls a CDS Hooks service: the JWT that an EHR makes for each call, and what becomes of it.

Source: CDS Hooks 2.0, "Trusting CDS Clients"; CRD 2.2.1 §sec-2.
"""

import logging
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.auth.ended import delete_ended
from wiser_fhir.auth.jws import (
    MAX_LIFE,
    MAX_TOKEN,
    SKEW,
    JwtRefused,
    UnverifiedJwt,
    instant,
    one_audience,
    read_jwt,
    spend_as_much,
    verify,
)
from wiser_fhir.auth.keys import JsonSource, JwksCache, PublicKey
from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.remembered import Remembered
from wiser_fhir.auth.scopes import grants
from wiser_fhir.clock import Clock
from wiser_fhir.db.engine import raw_connection
from wiser_fhir.errors import Unauthenticated

log = logging.getLogger(__name__)

MAX_USES: Final = 50
# A verified JWT is remembered this long, so a key that a client took back is used no longer.
REMEMBERED_SECONDS: Final = 60.0
REMEMBERED: Final = 4_096

_BEARER = re.compile("[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]+)")
_LONGEST_HEADER = MAX_TOKEN + 16
_ISS = re.compile("[!-~]{1,2048}")
_JTI = re.compile("[!-~]{1,256}")
# One text for whatever is wrong: who tries learns nothing of who is registered, or with which key.
_REFUSAL = "A CDS Hooks JWT of a registered client is needed."

_REGISTERED = """
select c.organization_id, c.revision, c.jwks_url, c.jwks::text as jwks
from cds_client c
join client k on k.id = c.client_id and k.organization_id = c.organization_id
join organization o on o.id = c.organization_id
where c.iss = $1 and c.active and k.active and o.active
"""

# One statement, so that of all uses at once, in whatever process, none is counted short. Who was
# put out of use, or registered anew, since the JWT was verified finds no row to begin with.
_USE = f"""
with caller as (
    select c.client_id, k.name as client_name, c.organization_id, c.fhir_servers,
        o.acts_for, o.npis, o.tins
    from cds_client c
    join client k on k.id = c.client_id and k.organization_id = c.organization_id
    join organization o on o.id = c.organization_id
    where c.iss = $1 and c.revision = $2 and c.active and k.active and o.active
), used as (
    insert into cds_jwt as j (iss, jti, aud, key_thumbprint, certificate, expires_at, uses)
    select $1, $3::text, $4::text, $5::text, $6::text, $7::timestamptz, 1 from caller
    on conflict (iss, jti) do update set uses = j.uses + 1
    where j.uses < {MAX_USES} and j.aud = excluded.aud
        and j.key_thumbprint = excluded.key_thumbprint
        and j.certificate is not distinct from excluded.certificate
        and j.expires_at = excluded.expires_at
    returning j.uses
)
select caller.* from caller, used
"""  # noqa: S608 (a constant)

_PURGE = delete_ended("cds_jwt")


@dataclass(frozen=True, slots=True)
class CdsCaller:
    """An EHR that calls a hook. `fhir_servers` are the base URLs at which it may be called back.

    The principal has no scopes: a CDS Hooks JWT opens nothing but hooks.
    """

    principal: Principal
    issuer: str
    fhir_servers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Verified:
    """A JWT whose signature held, by the registration of its client as it was then."""

    iss: str
    revision: int
    jti: str
    aud: str
    thumbprint: str
    issued_at: float
    not_before: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Registered:
    """Where a client's keys are found: by URL or by value."""

    organization_id: UUID
    revision: int
    jwks_url: str | None
    jwks: str | None = field(repr=False)


async def purge(db: AsyncConnection, before: datetime) -> int:
    """Forget JWTs that ended before an instant, AT_ONCE at most; the owner role may. How many."""
    return (await db.execute(_PURGE, {"before": before})).rowcount


class CdsAuthenticator:
    """From an Authorization header to the EHR that made its JWT, each use of it counted.

    The public conformance suite sends one JWT with several bodies, so a JWT may come again: to the
    same service, by the same key and certificate, until it ends, fifty times.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        clock: Clock,
        egress: JsonSource,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._jwks = JwksCache(egress, monotonic)
        self._known: Remembered[bytes, _Verified] = Remembered(REMEMBERED, monotonic)
        self._recent: Remembered[str, _Registered] = Remembered(REMEMBERED, monotonic)

    async def caller(
        self,
        authorization: Sequence[str],
        audience: str | Sequence[str],
        certificate: str | None = None,
    ) -> CdsCaller:
        """Who calls, by all Authorization headers of a request.

        `audience` is the public URL of what is called, or several of which any will do, and
        `certificate` the thumbprint of the one that the connection showed.
        Raises Unauthenticated, Unavailable.
        """
        accepted = (audience,) if isinstance(audience, str) else tuple(audience)
        try:
            return await self._caller(_token(authorization), accepted, certificate)
        except JwtRefused as refused:
            log.info("cds jwt refused", extra={"error": refused.reason})
            raise Unauthenticated(_REFUSAL) from None

    async def _caller(
        self, token: str, accepted: tuple[str, ...], certificate: str | None
    ) -> CdsCaller:
        name = sha256(token.encode()).digest()
        remembered = self._known.get(name)
        if remembered is not None:
            self._check_claims(remembered, accepted)
            caller = await self._use(remembered, certificate)
            if caller is not None:
                return caller
            # Used up, or its client was registered anew in the meantime: seen afresh below.
            self._known.forget(name)
        ends = self._known.now() + REMEMBERED_SECONDS
        jwt = read_jwt(token)
        iss = jwt.claims.get("iss")
        if not isinstance(iss, str) or not _ISS.fullmatch(iss):
            raise JwtRefused("issuer")
        recent = self._recent.get(iss)
        verified = caller = refused = None
        if recent is not None:
            # The use is counted for this very registration: one that changed finds no row.
            try:
                verified = await self._verified(jwt, recent, accepted)
                caller = await self._use(verified, certificate)
            except JwtRefused as error:
                refused = error
        if verified is None or caller is None:
            registered = await self._registered(iss)
            if refused is not None and registered == recent:
                raise refused
            verified = await self._verified(jwt, registered, accepted)
            caller = await self._use(verified, certificate)
            if caller is None or registered is None:
                raise JwtRefused("use")
            self._recent.put(iss, registered, math.inf)
        self._known.put(name, verified, ends)
        return caller

    async def _verified(
        self, jwt: UnverifiedJwt, registered: _Registered | None, accepted: tuple[str, ...]
    ) -> _Verified:
        """Everything but the use. Until the signature has held, only `iss`, `jku` and `kid` count,
        and those only to find what was registered.
        """
        try:
            if registered is None:
                raise JwtRefused("issuer")
            key = await self._jwks.registered(
                jwt.header,
                jwks_url=registered.jwks_url,
                jwks=registered.jwks,
                tenant=registered.organization_id,
            )
        except JwtRefused:
            spend_as_much(jwt)
            raise
        verify(jwt, key.key)
        verified = _read_claims(jwt, registered, key)
        self._check_claims(verified, accepted)
        return verified

    async def _registered(self, iss: str) -> _Registered | None:
        async with raw_connection(self._engine) as connection:
            row = await connection.fetchrow(_REGISTERED, iss)
        return None if row is None else _Registered(**row)

    def _check_claims(self, jwt: _Verified, accepted: tuple[str, ...]) -> None:
        if jwt.aud not in accepted:
            raise JwtRefused("audience")
        now = self._clock().timestamp()
        life = jwt.expires_at - jwt.issued_at
        begun = max(jwt.issued_at, jwt.not_before) <= now + SKEW
        if not (begun and now < jwt.expires_at and 0 < life <= MAX_LIFE):
            raise JwtRefused("life")

    async def _use(self, jwt: _Verified, certificate: str | None) -> CdsCaller | None:
        """Count one use. None if it was used up or first came otherwise, or its client is out."""
        async with raw_connection(self._engine) as connection:
            row = await connection.fetchrow(
                _USE,
                *(jwt.iss, jwt.revision, jwt.jti, jwt.aud, jwt.thumbprint, certificate),
                datetime.fromtimestamp(jwt.expires_at, UTC),
            )
        if row is None:
            return None
        principal = Principal.of(row, grants(()), certificate)
        return CdsCaller(principal, jwt.iss, tuple(row["fhir_servers"]))


def _token(authorization: Sequence[str]) -> str:
    header = authorization[0] if len(authorization) == 1 else ""
    match = _BEARER.fullmatch(header) if len(header) <= _LONGEST_HEADER else None
    if match is None:
        raise JwtRefused("header")
    return match[1]


def _read_claims(jwt: UnverifiedJwt, registered: _Registered, key: PublicKey) -> _Verified:
    claims = jwt.claims
    jti = claims.get("jti")
    if not isinstance(jti, str) or not _JTI.fullmatch(jti):
        raise JwtRefused("jti")
    issued_at = instant(claims, "iat")
    return _Verified(
        iss=claims["iss"],
        revision=registered.revision,
        jti=jti,
        aud=one_audience(claims),
        thumbprint=key.thumbprint,
        issued_at=issued_at,
        not_before=instant(claims, "nbf") if "nbf" in claims else issued_at,
        expires_at=instant(claims, "exp"),
    )
