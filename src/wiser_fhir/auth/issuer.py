"""Another issuer of tokens than we: what it says of itself, and what it says of a token.

Source: RFC 8414; OpenID Connect Discovery 1.0; RFC 7662; RFC 7523, 2.2.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Protocol
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, UUID, uuid5

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from wiser_fhir.auth.jws import registry
from wiser_fhir.auth.keys import JsonSource
from wiser_fhir.clock import Clock
from wiser_fhir.egress.errors import EgressError
from wiser_fhir.egress.url import read_url
from wiser_fhir.errors import Unavailable
from wiser_fhir.fhir.elements import Json

log = logging.getLogger(__name__)

FRESH_SECONDS: Final = 3_600.0
RETRY_SECONDS: Final = 5.0
FETCH_SECONDS: Final = 3.0
_ASSERTION_LIFE = 60
_BAD_REQUEST = 400
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LEAST_BITS = 2_048
_CURVES: Mapping[str, str] = {"P-256": "ES256", "P-384": "ES384"}
_OIDC = "/.well-known/openid-configuration"
_RFC_8414 = "/.well-known/oauth-authorization-server"
_AWAY = "The issuer of tokens is away."


class FormSource(JsonSource, Protocol):
    """What `egress.client.Egress` does, as far as an issuer needs it."""

    async def post_form(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        headers: Mapping[str, str] = MappingProxyType({}),
        within: Sequence[str],
        tenant: UUID,
        seconds: float = 5.0,
    ) -> dict[str, Any]:
        """The JSON object that a form is answered with. Raises EgressError."""
        ...


class IssuerRefused(ValueError):
    """What was said of an issuer cannot be; the text says why."""


@dataclass(frozen=True, slots=True)
class IssuerMetadata:
    """What an issuer says of itself, as far as we or our clients need it."""

    issuer: str
    token_endpoint: str
    jwks_uri: str | None
    document: Mapping[str, Any] = field(repr=False)


class Issuer:
    """An issuer, by its own metadata: fetched when they are needed, and then held for an hour.

    What cannot be had leaves what is held as it is.
    """

    def __init__(
        self, name: str, source: FormSource, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self.source = source
        # Its share of what goes out, as an organization has one.
        self.tenant = uuid5(NAMESPACE_URL, name)
        self._monotonic = monotonic
        self._held: IssuerMetadata | None = None
        self._fetched = self._tried = float("-inf")
        self._fetching: asyncio.Task[None] | None = None

    async def metadata(self) -> IssuerMetadata:
        """What it says of itself. Raises Unavailable."""
        now = self._monotonic()
        if self._held is None or now - self._fetched >= FRESH_SECONDS:
            if self._fetching is None and now - self._tried >= RETRY_SECONDS:
                self._tried = now
                self._fetching = asyncio.create_task(self._fetch())
            if self._fetching is not None:
                # Others wait for the same answer, so it outlives the one who asked for it.
                await asyncio.shield(self._fetching)
        if self._held is None:
            raise Unavailable(_AWAY)
        return self._held

    async def _fetch(self) -> None:
        try:
            for url in _places(self.name):
                document = await self._document(url)
                if document is not None:
                    self._held, self._fetched = _read(self.name, document), self._monotonic()
                    return
            log.warning("issuer not read", extra={"error": "away"})
        except IssuerRefused as refused:
            log.warning("issuer not read", extra={"error": str(refused)})
        finally:
            self._fetching = None

    async def _document(self, url: str) -> Json | None:
        try:
            found = await self.source.get_document(
                url, within=[url], tenant=self.tenant, seconds=FETCH_SECONDS
            )
        except EgressError:
            return None
        return found.json


def _places(issuer: str) -> tuple[str, str]:
    """Where an issuer's metadata are: the two documents differ in where its path goes."""
    parts = urlsplit(issuer)
    path = parts.path.rstrip("/")
    origin = f"{parts.scheme}://{parts.netloc}"
    return f"{origin}{path}{_OIDC}", f"{origin}{_RFC_8414}{path}"


def _read(issuer: str, document: Json) -> IssuerMetadata:
    """Raises IssuerRefused, also for the metadata of another: it could lend us its keys."""
    if document.get("issuer") != issuer:
        raise IssuerRefused("other-issuer")
    token_endpoint, jwks_uri = document.get("token_endpoint"), document.get("jwks_uri")
    if not isinstance(token_endpoint, str) or read_url(token_endpoint) is None:
        raise IssuerRefused("token-endpoint")
    if jwks_uri is not None and (not isinstance(jwks_uri, str) or read_url(jwks_uri) is None):
        raise IssuerRefused("jwks-uri")
    return IssuerMetadata(issuer, token_endpoint, jwks_uri, MappingProxyType(document))


@dataclass(frozen=True, slots=True)
class OwnKey:
    """The key by which we prove who we are to an issuer, and what it calls us."""

    client_id: str
    key: ECKey | RSAKey = field(repr=False)
    algorithm: str

    @classmethod
    def load(cls, client_id: str, pem: bytes) -> "OwnKey":
        """From a private key, RSA of 2048 bits or more or EC on P-256 or P-384.

        Raises IssuerRefused.
        """
        for kind in (ECKey, RSAKey):
            try:
                key = kind.import_key(pem)
            except (JoseError, ValueError, TypeError):
                continue
            algorithm = _algorithm(key)
            if key.is_private and algorithm is not None:
                return cls(client_id, key, algorithm)
        raise IssuerRefused(
            "needs a private key (PEM), RSA of 2048 bits or more or EC on P-256 or P-384"
        )

    def public_keys(self) -> Json:
        """The public half as a JWKS, for the issuer to know us by."""
        public = self.key.as_dict(
            private=False, kid=self.key.thumbprint(), use="sig", alg=self.algorithm
        )
        return {"keys": [public]}

    def assertion(self, audience: str, now: float) -> str:
        """A JWT that proves to `audience` who we are, once within a minute."""
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "iat": int(now),
            "exp": int(now) + _ASSERTION_LIFE,
            "jti": secrets.token_urlsafe(24),
        }
        header = {"alg": self.algorithm, "typ": "JWT", "kid": self.key.thumbprint()}
        allowed = registry((self.algorithm,))
        return jws.serialize_compact(header, orjson.dumps(claims), self.key, registry=allowed)


def _algorithm(key: ECKey | RSAKey) -> str | None:
    """By what a key of ours signs, None if it is one that should not."""
    if isinstance(key, ECKey):
        return _CURVES.get(key.curve_name)
    return "RS256" if key.raw_value.key_size >= _LEAST_BITS else None


@dataclass(frozen=True, slots=True)
class Introspection:
    """Where an issuer is asked about tokens, and by which key of ours."""

    issuer: Issuer
    url: str
    own: OwnKey
    clock: Clock

    async def of(self, token: str) -> Json | None:
        """What the issuer says of a token, None if it is not live. Raises Unavailable.

        The assertion is for the issuer by its name, so that nobody else could use it. Source: RFC
        7662, 2.
        """
        form = {
            "token": token,
            "token_type_hint": "access_token",
            "client_id": self.own.client_id,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": self.own.assertion(self.issuer.name, self.clock().timestamp()),
        }
        try:
            answer = await self.issuer.source.post_form(
                self.url, form, within=[self.url], tenant=self.issuer.tenant, seconds=FETCH_SECONDS
            )
        except EgressError as error:
            if error.status == _BAD_REQUEST:
                return None  # an issuer that tells about some kinds of token alone says so by this
            log.warning("token not introspected", extra={"error": error.reason})
            raise Unavailable(_AWAY) from None
        return answer if answer.get("active") is True else None
