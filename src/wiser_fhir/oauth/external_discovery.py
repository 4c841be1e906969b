"""What is said of authorization where another issuer alone gives the tokens."""

from collections.abc import Mapping
from typing import Any, Final, cast

from fastapi import Request, Response

from wiser_fhir.auth.assertion import AUTH_METHOD
from wiser_fhir.auth.issuer import Issuer, IssuerMetadata
from wiser_fhir.auth.scopes import ALL_SCOPES
from wiser_fhir.auth.token_grant import GRANT_TYPE
from wiser_fhir.fhir.elements import Json
from wiser_fhir.oauth.discovery import sent

# Taken over from the issuer's own document. What people need to sign in there is no matter of ours.
_PASSED_ON: Final = (
    "token_endpoint_auth_methods_supported",
    "token_endpoint_auth_signing_alg_values_supported",
    "introspection_endpoint",
    "revocation_endpoint",
    "tls_client_certificate_bound_access_tokens",
    "mtls_endpoint_aliases",
)
_CAPABILITIES: Mapping[str, str] = {AUTH_METHOD: "client-confidential-asymmetric"}


async def smart_configuration(request: Request) -> Response:
    """How to get a token, from the issuer that gives it.

    Raises Unavailable. Source: SMART App Launch 2.2.0, "Using .well-known".
    """
    issuer = cast(Issuer, request.app.state.other_issuer)
    return sent(_described(await issuer.metadata()))


def _described(metadata: IssuerMetadata) -> Json:
    said = metadata.document
    passed_on: dict[str, Any] = {name: said[name] for name in _PASSED_ON if name in said}
    methods = passed_on.get("token_endpoint_auth_methods_supported", [])
    capabilities = [_CAPABILITIES[each] for each in methods if each in _CAPABILITIES]
    return {
        "token_endpoint": metadata.token_endpoint,
        **passed_on,
        "grant_types_supported": [GRANT_TYPE],
        "scopes_supported": list(ALL_SCOPES),
        "capabilities": [*capabilities, "permission-v1", "permission-v2"],
        "code_challenge_methods_supported": ["S256"],
    }
