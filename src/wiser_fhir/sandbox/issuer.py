"""The sandbox's own OpenID provider: whoever comes picks one of its made-up people.

It proves nothing about anybody, so production has none. What is on its way, a code or the id of a
client's JWT, is remembered by this process alone.

Source: OpenID Connect Core 1.0, 3.1; RFC 7636; RFC 9207; RFC 7523, 2.2.
"""

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

import orjson
from authlib.oauth2.rfc7523.client import ASSERTION_TYPE
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from wiser_fhir.auth.jws import JwtRefused, read_jwt, registry, verify
from wiser_fhir.auth.keys import PublicKey
from wiser_fhir.clock import Clock
from wiser_fhir.egress.url import read_url
from wiser_fhir.fhir.elements import Json

PATH: Final = "/sandbox/issuer"
# What the list of people calls it, wherever the sandbox is served.
KNOWN_AS: Final = "urn:wiser-fhir:sandbox-issuer"
OUR_CLIENT: Final = "wiser-fhir"
ANY_APP: Final = "sandbox-app"

_CLIENT_ALGORITHMS: Final = ("ES256", "ES384", "RS256")
_CODE_LIFE: Final = timedelta(seconds=60)
_TOKEN_LIFE: Final = timedelta(minutes=5)
_LONGEST_ASSERTION: Final = timedelta(minutes=5)
_MOST: Final = 1_000
_RSA_BITS: Final = 2_048
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class Refused(Exception):
    """A request that is not granted. `error` is OAuth's word for it."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class Unknown(Exception):
    """A client, or an address to come back to, that nobody registered: no browser is sent there."""


@dataclass(frozen=True, slots=True)
class App:
    """A client. Without a `redirect_uri` any on the loopback; without a `key` it is public."""

    client_id: str
    redirect_uri: str | None = None
    key: PublicKey | None = field(default=None, repr=False)

    def may_come_back_to(self, uri: str) -> bool:
        """Whether a browser may be sent there. Source: RFC 8252, 7.3."""
        if self.redirect_uri is not None:
            return uri == self.redirect_uri
        place = read_url(uri)
        return place is not None and place.scheme == "http" and place.host in _LOOPBACK


@dataclass(frozen=True, slots=True)
class Asked:
    """A sign-in that a client asks for."""

    client_id: str
    redirect_uri: str
    state: str | None
    nonce: str | None
    challenge: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Code:
    asked: Asked
    subject: str
    at: datetime


def new_key() -> bytes:
    """A private key to sign ID tokens with, as PEM."""
    return RSAKey.generate_key(_RSA_BITS).as_pem(private=True)


@dataclass(slots=True)
class Issuer:
    """The provider. `people` are names by subject."""

    origin: str
    key: RSAKey = field(repr=False)
    apps: Mapping[str, App]
    people: Mapping[str, str]
    clock: Clock
    _codes: dict[str, _Code] = field(default_factory=dict, repr=False)
    _used: dict[str, datetime] = field(default_factory=dict, repr=False)

    @property
    def issuer(self) -> str:
        """Its name, below which its endpoints are."""
        return f"{self.origin}{PATH}"

    def metadata(self) -> Json:
        """Source: OpenID Connect Discovery 1.0, 3; RFC 9207, 3."""
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid"],
            "claims_supported": ["iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "name"],
            "token_endpoint_auth_methods_supported": ["private_key_jwt", "none"],
            "token_endpoint_auth_signing_alg_values_supported": list(_CLIENT_ALGORITHMS),
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
            "claims_parameter_supported": False,
        }

    def jwks(self) -> Json:
        """The public half of its key."""
        named = {"kid": self.key.thumbprint(), "use": "sig", "alg": "RS256"}
        return {"keys": [dict(self.key.as_dict(private=False, **named))]}

    def destination(self, query: Mapping[str, str]) -> str:
        """Where the browser comes back to, whatever else is asked. Raises Unknown."""
        app = self.apps.get(query.get("client_id", ""))
        uri = query.get("redirect_uri", "")
        if app is None or not app.may_come_back_to(uri):
            raise Unknown
        return uri

    def asked(self, query: Mapping[str, str]) -> Asked:
        """What a client asks for. Raises Unknown, Refused."""
        uri = self.destination(query)
        if query.get("response_type") != "code":
            raise Refused("unsupported_response_type")
        if "openid" not in query.get("scope", "").split():
            raise Refused("invalid_scope")
        challenge = query.get("code_challenge", "")
        if not challenge or query.get("code_challenge_method") != "S256":
            raise Refused("invalid_request")
        if "none" in query.get("prompt", "").split():
            raise Refused("login_required")
        return Asked(query["client_id"], uri, query.get("state"), query.get("nonce"), challenge)

    def code(self, asked: Asked, subject: str) -> str:
        """A code for who was picked, good once, for a minute. Raises Refused."""
        if subject not in self.people:
            raise Refused("access_denied")
        now = self.clock()
        self._codes = {c: each for c, each in self._codes.items() if each.at + _CODE_LIFE > now}
        while len(self._codes) >= _MOST:
            del self._codes[next(iter(self._codes))]
        code = secrets.token_urlsafe(32)
        self._codes[code] = _Code(asked, subject, now)
        return code

    def token(self, form: Mapping[str, str]) -> Json:
        """What a code is worth to the client it was made for. Raises Refused."""
        app = self._authenticated(form)
        if form.get("grant_type") != "authorization_code":
            raise Refused("unsupported_grant_type")
        kept = self._codes.pop(form.get("code", ""), None)
        verifier = form.get("code_verifier", "")
        if (
            kept is None
            or kept.at + _CODE_LIFE <= self.clock()
            or kept.asked.client_id != app.client_id
            or kept.asked.redirect_uri != form.get("redirect_uri")
            or not hmac.compare_digest(create_s256_code_challenge(verifier), kept.asked.challenge)
        ):
            raise Refused("invalid_grant")
        return {
            "access_token": secrets.token_urlsafe(32),
            "token_type": "Bearer",
            "expires_in": int(_TOKEN_LIFE.total_seconds()),
            "scope": "openid",
            "id_token": self._id_token(kept),
        }

    def _id_token(self, kept: _Code) -> str:
        now = int(self.clock().timestamp())
        claims = {
            "iss": self.issuer,
            "sub": kept.subject,
            "aud": kept.asked.client_id,
            "iat": now,
            "exp": now + int(_TOKEN_LIFE.total_seconds()),
            "auth_time": int(kept.at.timestamp()),
            "name": self.people[kept.subject],
        }
        if kept.asked.nonce is not None:
            claims["nonce"] = kept.asked.nonce
        header = {"alg": "RS256", "typ": "JWT", "kid": self.key.thumbprint()}
        known = registry(("RS256",))
        return jws.serialize_compact(header, orjson.dumps(claims), self.key, registry=known)

    def _authenticated(self, form: Mapping[str, str]) -> App:
        """Which client asks. Raises Refused, by the same word for everything that is wrong."""
        if "client_assertion" not in form:
            app = self.apps.get(form.get("client_id", ""))
            if app is None or app.key is not None:
                raise Refused("invalid_client")
            return app
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise Refused("invalid_client")
        try:
            jwt = read_jwt(form["client_assertion"], _CLIENT_ALGORITHMS)
            app = self.apps.get(str(jwt.claims.get("sub")))
            if app is None or app.key is None or jwt.claims.get("iss") != app.client_id:
                raise Refused("invalid_client")
            verify(jwt, app.key.key, _CLIENT_ALGORITHMS)
        except JwtRefused:
            raise Refused("invalid_client") from None
        self._use_up(jwt.claims)
        return app

    def _use_up(self, claims: Json) -> None:
        """An assertion for this endpoint or this issuer, within its time, once. Raises Refused."""
        now, expires, jti = self.clock(), claims.get("exp"), claims.get("jti")
        addressed = claims.get("aud") in (
            *(f"{self.issuer}/token", self.issuer),
            *([f"{self.issuer}/token"], [self.issuer]),
        )
        if type(expires) is not int or not isinstance(jti, str) or not addressed:
            raise Refused("invalid_client")
        left = expires - now.timestamp()
        self._used = {each: until for each, until in self._used.items() if until > now}
        if not 0 < left <= _LONGEST_ASSERTION.total_seconds() or jti in self._used:
            raise Refused("invalid_client")
        while len(self._used) >= _MOST:
            del self._used[next(iter(self._used))]
        self._used[jti] = now + timedelta(seconds=left)


def our_app(origin: str, callback: str, key: ECKey | RSAKey) -> App:
    """The client that this server itself is."""
    public = type(key).import_key(dict(key.as_dict(private=False)))
    thumbprint = public.thumbprint()
    return App(OUR_CLIENT, f"{origin}{callback}", PublicKey(thumbprint, thumbprint, public))
