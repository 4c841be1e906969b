"""An OpenID provider that a test has under its thumb: it says and signs what it is told to."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

import httpx
import orjson
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

from wiser_fhir.auth.jws import registry

ISSUER = "https://login.example/realm"
CLIENT = "wiser"

Json = dict[str, Any]


@cache
def key(kind: str = "P-384") -> ECKey | RSAKey:
    """A private key, the same one all along."""
    return RSAKey.generate_key(2_048) if kind == "RSA" else ECKey.generate_key(kind)


def metadata(**changes: Any) -> Json:
    """What the provider says of itself; None leaves something out."""
    said: Json = {
        "issuer": ISSUER,
        "authorization_endpoint": f"{ISSUER}/authorize",
        "token_endpoint": f"{ISSUER}/token",
        "jwks_uri": f"{ISSUER}/jwks",
        "code_challenge_methods_supported": ["plain", "S256"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt", "client_secret_basic"],
        "authorization_response_iss_parameter_supported": True,
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}


def signed(
    claims: Json, by: ECKey | RSAKey | OctKey, algorithm: str, kid: str | None = None, **header: Any
) -> str:
    """A JWT; `kid` is that of the provider's own key unless told otherwise."""
    head = {"alg": algorithm, "typ": "JWT", "kid": kid or key().thumbprint(), **header}
    known = registry((algorithm,))
    return jws.serialize_compact(head, orjson.dumps(claims), by, registry=known)


@dataclass
class FakeProvider:
    """Answers what it is asked, and keeps the form that the token endpoint got."""

    says: Json = field(default_factory=metadata)
    id_token: str | None = None
    token_status: int = 200
    keys_status: int = 200
    access_token: str = "opaque"
    asked: list[Mapping[str, str]] = field(default_factory=list)
    authorization: list[str | None] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)

    def transport(self) -> httpx.MockTransport:
        """The network as it is with this provider in it."""
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.fetched.append(path)
        if path.endswith("/.well-known/openid-configuration"):
            return _json(200, self.says)
        if path.endswith("/jwks"):
            public = key().as_dict(private=False, kid=key().thumbprint(), use="sig")
            return _json(self.keys_status, {"keys": [public]})
        if path.endswith("/token"):
            self.asked.append(dict(parse_qsl(request.content.decode())))
            self.authorization.append(request.headers.get("authorization"))
            if self.token_status != 200:
                return _json(self.token_status, {"error": "invalid_grant"})
            said = {"access_token": self.access_token, "token_type": "Bearer"}
            if self.id_token is not None:
                said["id_token"] = self.id_token
            return _json(200, said)
        return httpx.Response(404)


def _json(status: int, said: Json) -> httpx.Response:
    """An answer that has not been read yet, as one from the network has not."""
    headers = {"content-type": "application/json"}
    return httpx.Response(status, headers=headers, stream=httpx.ByteStream(orjson.dumps(said)))


def id_claims(now: datetime, nonce: str, /, **changes: Any) -> Json:
    """The claims of a good ID token; None leaves one out."""
    at = int(now.timestamp())
    said: Json = {
        "iss": ISSUER,
        "sub": "rhoda",
        "aud": CLIENT,
        "iat": at,
        "exp": at + 300,
        "auth_time": at,
        "nonce": nonce,
        **changes,
    }
    return {name: value for name, value in said.items() if value is not None}
