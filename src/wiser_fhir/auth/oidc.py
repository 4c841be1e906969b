"""Signing in at an OpenID provider: what goes out with the browser, and what comes back with it.

Authlib has the protocol's pieces, and leaves the three that matter to whoever puts them together:
its client asks without PKCE unless told, takes an answer from any issuer, and looks at no ID token
without a nonce. Here none of them can be left out. All calls go through `egress`.

Source: OpenID Connect Core 1.0, 3.1; RFC 7636; RFC 9207; RFC 9700, 2.1 and 4.4.
"""

import time
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote_plus
from uuid import NAMESPACE_URL, UUID, uuid5

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7523.client import ASSERTION_TYPE
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc.errors import JoseError

from wiser_fhir.auth.issuer import FormSource
from wiser_fhir.auth.jws import JwtRefused, read_jwt, verify
from wiser_fhir.auth.keys import ISSUER_GRACE_SECONDS, JwksCache
from wiser_fhir.auth.own_key import OwnKey
from wiser_fhir.auth.sessions import Begun, Taken
from wiser_fhir.clock import Clock
from wiser_fhir.egress.errors import EgressError
from wiser_fhir.egress.url import read_url
from wiser_fhir.errors import Unavailable
from wiser_fhir.fhir.elements import Json

# Never `none`, never an HMAC, whose key would be our own secret.
ALGORITHMS: Final = ("RS256", "ES256", "RS384", "ES384", "PS256")
LEEWAY: Final = timedelta(seconds=60)
METADATA_SECONDS: Final = 3_600.0

_MAX_ID_TOKEN: Final = 16 * 1024
_LONGEST_SUBJECT: Final = 255
_DISCOVERY: Final = "/.well-known/openid-configuration"
_ANSWERS: Final = ("code", "state", "iss", "error")


class SignInFailed(Exception):
    """Nobody is signed in. `reason` is a word of ours, for the audit trail.

    `away`: it was no fault of the browser's or the person's, and worth trying again.
    """

    def __init__(self, reason: str, *, away: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.away = away


class NotAnew(SignInFailed):
    """The provider told of a sign-in from before, though it was asked for a new one."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Where people sign in, and what we are there.

    With a `key` we authenticate by a JWT, with a `secret` by that; a sandbox may do without.
    `known_as` is what our list of people calls the issuer. `acr` are the ways to authenticate of
    which each sign-in is one; empty leaves them to the provider.
    """

    issuer: str
    client_id: str
    redirect_uri: str
    key: OwnKey | None = field(default=None, repr=False)
    secret: str | None = field(default=None, repr=False)
    known_as: str = ""
    acr: tuple[str, ...] = ()

    @property
    def tenant(self) -> UUID:
        """By what `egress` tells its calls from those for others."""
        return uuid5(NAMESPACE_URL, self.issuer)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signed in: the subject only means something together with its issuer."""

    issuer: str
    subject: str
    signed_in_at: datetime


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the provider says of itself, as far as it is used."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    names_itself: bool
    basic: bool

    @classmethod
    def of(cls, document: Json, issuer: str) -> "Metadata":
        """Checked. Raises SignInFailed.

        Source: OpenID Connect Discovery 1.0, 3 and 4.3.
        """
        if document.get("issuer") != issuer:
            raise SignInFailed("metadata-issuer")
        challenges = document.get("code_challenge_methods_supported", ["S256"])
        if type(challenges) is not list or "S256" not in challenges:
            raise SignInFailed("metadata-pkce")
        methods = document.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        return cls(
            _endpoint(document, "authorization_endpoint", issuer),
            _endpoint(document, "token_endpoint", issuer),
            _endpoint(document, "jwks_uri", issuer),
            names_itself=document.get("authorization_response_iss_parameter_supported") is True,
            basic=type(methods) is list and "client_secret_basic" in methods,
        )


def _endpoint(document: Json, name: str, issuer: str) -> str:
    """A URL of the provider's, by TLS where the issuer itself is."""
    value = document.get(name)
    place, home = (read_url(each) if isinstance(each, str) else None for each in (value, issuer))
    if place is None or home is None or place.scheme not in ("https", home.scheme):
        raise SignInFailed("metadata-endpoint")
    return str(value)


class RelyingParty:
    """Us, towards the provider where people sign in."""

    def __init__(
        self,
        provider: Provider,
        egress: FormSource,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.provider = provider
        self._egress = egress
        self._clock = clock
        self._monotonic = monotonic
        self._keys = JwksCache(egress, monotonic, ISSUER_GRACE_SECONDS)
        self._metadata: tuple[float, Metadata] | None = None

    def public_keys(self) -> Json:
        """The public half of what we authenticate with, as a JWKS."""
        key = self.provider.key
        return {"keys": []} if key is None else key.public_keys()

    async def sign_in_url(self, begun: Begun) -> str:
        """Where to send the browser. Raises SignInFailed.

        The person authenticates anew, whoever is signed in at the provider: that may be somebody
        who has left the keyboard. Source: OpenID Connect Core 1.0, 3.1.2.1.
        """
        metadata = await self._read_metadata()
        asked: dict[str, Any] = {
            "nonce": begun.nonce,
            "code_challenge": create_s256_code_challenge(begun.verifier),
            "code_challenge_method": "S256",
            "prompt": "login",
            # Has the ID token tell when the person authenticated. Some brokers take 0 for never.
            "max_age": str(int(LEEWAY.total_seconds())),
            "acr_values": " ".join(self.provider.acr) or None,
        }
        url: str = prepare_grant_uri(
            metadata.authorization_endpoint,
            self.provider.client_id,
            "code",
            self.provider.redirect_uri,
            "openid",
            begun.state,
            **asked,
        )
        return url

    async def identity(self, answer: Mapping[str, list[str]], taken: Taken) -> Identity:
        """Who signed in, by the parameters that the browser came back with.

        Raises SignInFailed.
        """
        metadata = await self._read_metadata()
        code = self._code(answer, metadata)
        token = await self._exchange(metadata, code, taken.verifier)
        claims = await self._verified(metadata, token)
        return self._identity(claims, token, taken)

    def _code(self, answer: Mapping[str, list[str]], metadata: Metadata) -> str:
        """The code, from the issuer that was asked and no other. Source: RFC 9207, 2.4."""
        said = {name: answer[name] for name in _ANSWERS if name in answer}
        if any(len(values) != 1 for values in said.values()):
            raise SignInFailed("answer")
        issuer = said.get("iss", [None])[0]
        if issuer != self.provider.issuer and (metadata.names_itself or issuer is not None):
            raise SignInFailed("foreign-issuer")
        if "error" in said:
            raise SignInFailed("refused-there")
        if "code" not in said:
            raise SignInFailed("answer")
        return said["code"][0]

    async def _read_metadata(self) -> Metadata:
        held = self._metadata
        if held is not None and self._monotonic() - held[0] < METADATA_SECONDS:
            return held[1]
        url = self.provider.issuer.rstrip("/") + _DISCOVERY
        try:
            found = await self._egress.get_document(url, within=[url], tenant=self.provider.tenant)
        except EgressError as error:
            raise SignInFailed("provider-away", away=True) from error
        metadata = Metadata.of(found.json, self.provider.issuer)
        self._metadata = (self._monotonic(), metadata)
        return metadata

    async def _exchange(self, metadata: Metadata, code: str, verifier: str) -> Json:
        """What the code is worth. Source: RFC 6749, 4.1.3; RFC 7636, 4.5; RFC 7523, 2.2."""
        url = metadata.token_endpoint
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.provider.redirect_uri,
            "code_verifier": verifier,
            "client_id": self.provider.client_id,
        }
        headers: dict[str, str] = {}
        key = self.provider.key
        if key is not None:
            now = self._clock().timestamp()
            form["client_assertion_type"] = ASSERTION_TYPE
            form["client_assertion"] = key.assertion(self.provider.client_id, url, now)
        elif self.provider.secret is not None and metadata.basic:
            headers["Authorization"] = _basic(self.provider.client_id, self.provider.secret)
        elif self.provider.secret is not None:
            form["client_secret"] = self.provider.secret
        try:
            return await self._egress.post_form(
                url, form, headers=headers, within=[url], tenant=self.provider.tenant
            )
        except EgressError as error:
            refused = error.status is not None and error.status < 500
            reason = "code-refused" if refused else "provider-away"
            raise SignInFailed(reason, away=not refused) from error

    async def _verified(self, metadata: Metadata, token: Json) -> CodeIDToken:
        """The claims of the ID token, signed by a key of the provider's and of nobody else."""
        try:
            jwt = read_jwt(str(token.get("id_token", "")), ALGORITHMS, _MAX_ID_TOKEN)
            kid = jwt.header.get("kid")
            found = (
                await self._keys.key(metadata.jwks_uri, self.provider.tenant, kid)
                if isinstance(kid, str)
                else None
            )
            if found is None:
                raise SignInFailed("id-token-key")
            verify(jwt, found.key, ALGORITHMS, _MAX_ID_TOKEN)
        except JwtRefused as refused:
            raise SignInFailed(f"id-token-{refused.reason}") from None
        except Unavailable as error:
            raise SignInFailed("provider-away", away=True) from error
        return CodeIDToken(jwt.claims, jwt.header)

    def _identity(self, claims: CodeIDToken, token: Json, taken: Taken) -> Identity:
        """Whom the claims are about, once all of them hold.

        Source: OpenID Connect Core 1.0, 3.1.3.7.
        """
        provider, now = self.provider, self._clock()
        claims.options = {
            "iss": {"essential": True, "value": provider.issuer},
            "aud": {"essential": True, "value": provider.client_id},
        }
        claims.params = {
            "nonce": taken.nonce,
            "client_id": provider.client_id,
            "max_age": True,
            "access_token": token.get("access_token"),
        }
        try:
            claims.validate(int(now.timestamp()), int(LEEWAY.total_seconds()))
        except (JoseError, TypeError, ValueError) as fault:
            raise SignInFailed(f"id-token-{getattr(fault, 'claim', None) or 'claims'}") from None
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT:
            raise SignInFailed("id-token-sub")
        if provider.acr and claims.get("acr") not in provider.acr:
            raise SignInFailed("id-token-acr")
        return Identity(provider.known_as or provider.issuer, subject, _since(claims, taken, now))


def _since(claims: Mapping[str, Any], taken: Taken, now: datetime) -> datetime:
    """When the person authenticated: after the sign-in was begun. Raises SignInFailed, NotAnew."""
    auth_time = claims["auth_time"]
    if isinstance(auth_time, bool) or not 0 < auth_time <= now.timestamp() + LEEWAY.total_seconds():
        raise SignInFailed("id-token-auth_time")
    since = datetime.fromtimestamp(auth_time, UTC)
    if since < taken.begun_at - LEEWAY:
        raise NotAnew("id-token-auth_time")
    return min(since, now)


def _basic(client_id: str, secret: str) -> str:
    """Source: RFC 6749, 2.3.1: both are form-encoded first."""
    pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {b64encode(pair.encode()).decode()}"
