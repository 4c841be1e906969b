"""Where the authorization server is found, and what it says of itself.

All of it is made from the configured origins: a Host header decides nothing. There is no
`authorization_endpoint`: machines alone call, and what does not exist is not advertised.

Source: SMART App Launch 2.2.0, "Conformance"; RFC 8414; RFC 8705, 5.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from wiser_fhir.auth.assertion import AUTH_METHOD
from wiser_fhir.auth.jws import ALGORITHMS
from wiser_fhir.auth.scopes import ALL_SCOPES
from wiser_fhir.auth.token_grant import GRANT_TYPE
from wiser_fhir.fhir.elements import Json

TOKEN: Final = "/oauth/token"  # noqa: S105 (a path)
INTROSPECT: Final = "/oauth/introspect"
REVOKE: Final = "/oauth/revoke"
REGISTER: Final = "/oauth/register"

# A token may be in an answer. Source: RFC 6749, 5.1.
NOT_STORED: Final[Mapping[str, str]] = {"Cache-Control": "no-store", "Pragma": "no-cache"}

_CAPABILITIES = ("client-confidential-asymmetric", "permission-v1", "permission-v2")
_ENDPOINTS: Mapping[str, str] = {
    "token_endpoint": TOKEN,
    "introspection_endpoint": INTROSPECT,
    "revocation_endpoint": REVOKE,
}


@dataclass(frozen=True, slots=True)
class Endpoints:
    """The URLs of the authorization server.

    `issuer` is the public origin, `mtls` that of the listener which asks for client certificates,
    where it is another one. `registers`: systems may register themselves.
    """

    issuer: str
    mtls: str | None = None
    registers: bool = False

    def audiences(self, path: str = TOKEN) -> frozenset[str]:
        """What the `aud` of a client's JWT may be, sent to the endpoint at `path`.

        The server itself, its token endpoint, or the endpoint that is called (RFC 7523, 3 wants a
        value that names the server; RFC 9126, 2 takes these three alike). With one slash too many
        it is the same, for bases are written so.
        """
        origins = [self.issuer] if self.mtls is None else [self.issuer, self.mtls]
        urls = [self.issuer, *(f"{origin}{each}" for origin in origins for each in (TOKEN, path))]
        return frozenset([*urls, *(f"{url}/" for url in urls)])

    def smart_configuration(self) -> Json:
        """`.well-known/smart-configuration`; the same for every base.

        Registration is left out: it is UDAP's, which has a document of its own, and what stands
        here would have to stand in the CapabilityStatement too.
        """
        return {
            **self._common(),
            "capabilities": list(_CAPABILITIES),
            # There is no code to challenge. The guide has the field all the same.
            "code_challenge_methods_supported": ["S256"],
        }

    def server_metadata(self) -> Json:
        """`.well-known/oauth-authorization-server`."""
        register = {"registration_endpoint": f"{self.issuer}{REGISTER}"} if self.registers else {}
        authenticated = {
            f"{each}_endpoint_auth_{name}": value
            for each in ("introspection", "revocation")
            for name, value in _authentication().items()
        }
        return {
            "issuer": self.issuer,
            **self._common(),
            **register,
            **authenticated,
            "response_types_supported": [],
        }

    def _common(self) -> Json:
        described: Json = {
            **_at(self.issuer),
            "grant_types_supported": [GRANT_TYPE],
            **{f"token_endpoint_auth_{name}": each for name, each in _authentication().items()},
            "scopes_supported": list(ALL_SCOPES),
            "tls_client_certificate_bound_access_tokens": True,
        }
        if self.mtls is not None:
            described["mtls_endpoint_aliases"] = _at(self.mtls)
        return described


def _at(origin: str) -> Json:
    return {name: f"{origin}{path}" for name, path in _ENDPOINTS.items()}


def _authentication() -> Json:
    return {
        "methods_supported": [AUTH_METHOD],
        "signing_alg_values_supported": list(ALGORITHMS),
    }
