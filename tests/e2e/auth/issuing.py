"""An issuer of tokens that others wrote, in a process of its own, and a client of it."""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from joserfc import jws
from joserfc.jwk import ECKey

from tests.e2e.node.packages import NodePackages

RESOURCE = "https://payer.example/api"
SCOPES = "system/Claim.cu system/ClaimResponse.rs system/Task.rs"
_SCRIPT = Path(__file__).with_name("issuer.mjs")
_ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass(frozen=True)
class Member:
    """Somebody whom the issuer knows by a key. `bound`: it gets no token but for a certificate."""

    name: str
    key: ECKey
    bound: bool = False

    @classmethod
    def new(cls, name: str, *, bound: bool = False) -> "Member":
        """With a key that nobody else has."""
        return cls(name, ECKey.generate_key("P-384"), bound)

    def registration(self) -> dict[str, Any]:
        """As oidc-provider has its clients."""
        public = self.key.as_dict(private=False, kid=self.key.thumbprint(), alg="ES384", use="sig")
        return {
            "client_id": self.name,
            "token_endpoint_auth_method": "private_key_jwt",
            "token_endpoint_auth_signing_alg": "ES384",
            "grant_types": ["client_credentials"],
            "redirect_uris": [],
            "response_types": [],
            "scope": SCOPES,
            "tls_client_certificate_bound_access_tokens": self.bound,
            "jwks": {"keys": [public]},
        }

    def proof(self, audience: str) -> dict[str, str]:
        """The form fields by which it proves who it is."""
        now = int(time.time())
        claims = {
            "iss": self.name,
            "sub": self.name,
            "aud": audience,
            "iat": now,
            "exp": now + 60,
            "jti": secrets.token_urlsafe(16),
        }
        header = {"alg": "ES384", "kid": self.key.thumbprint()}
        allowed = jws.JWSRegistry(algorithms=["ES384"])
        signed = jws.serialize_compact(header, json.dumps(claims), self.key, registry=allowed)
        return {
            "client_id": self.name,
            "client_assertion_type": _ASSERTION_TYPE,
            "client_assertion": signed,
        }


@dataclass(frozen=True)
class RunningIssuer:
    """An issuer that answers at `url`."""

    url: str
    introspection: str
    token_endpoint: str

    def token(self, member: Member, scope: str = SCOPES, certificate: str | None = None) -> str:
        """A token for us. `certificate` (PEM in a URL's coding) is one to bind it to."""
        form = {
            "grant_type": "client_credentials",
            "resource": RESOURCE,
            "scope": scope,
            **member.proof(self.url),
        }
        headers = {"X-Test-Certificate": certificate} if certificate else {}
        answer = httpx.post(self.token_endpoint, data=form, headers=headers)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def revoke(self, member: Member, token: str) -> None:
        """Take a token back."""
        form = {"token": token, **member.proof(self.url)}
        assert httpx.post(f"{self.token_endpoint}/revocation", data=form).status_code == 200


@contextmanager
def issuing(packages: NodePackages, shape: str, *members: Member) -> Iterator[RunningIssuer]:
    """An issuer of JWTs (`jwt`) or of tokens that only it can read (`opaque`)."""
    key = ECKey.generate_key("P-384")
    private = key.as_dict(private=True, kid=key.thumbprint(), use="sig", alg="ES384")
    settings = {
        "port": 0,
        "resource": RESOURCE,
        "format": shape,
        "lifetime": 300,
        "clients": [each.registration() for each in members],
        "jwks": {"keys": [private]},
    }
    with packages.running(_SCRIPT, {"ISSUER_SETTINGS": json.dumps(settings)}) as url:
        described = httpx.get(f"{url}/.well-known/openid-configuration").json()
        yield RunningIssuer(url, described["introspection_endpoint"], described["token_endpoint"])
