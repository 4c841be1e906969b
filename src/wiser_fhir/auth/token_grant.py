"""What a client is granted that asks for a token: which scopes, bound to which certificate.

Source: RFC 6749, 4.4 and 5; RFC 8705, 3; SMART App Launch 2.2.0, "Backend Services".
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from wiser_fhir.auth.assertion import OAuthRefused, RegisteredClient
from wiser_fhir.auth.bearer import new_token
from wiser_fhir.auth.scopes import ScopeRefused, requested, spelled
from wiser_fhir.auth.tokens import IssuedToken

GRANT_TYPE: Final = "client_credentials"
LIFE: Final = timedelta(seconds=300)


@dataclass(frozen=True, slots=True)
class Shown:
    """The certificate that a client has shown: its thumbprint, and the URIs that it names."""

    thumbprint: str
    uris: Collection[str]


def check_grant_type(form: Mapping[str, str]) -> None:
    """Looked at before it is asked who calls. Raises OAuthRefused."""
    named = form.get("grant_type")
    if named is None:
        raise OAuthRefused("invalid_request", "grant-type")
    if named != GRANT_TYPE:
        raise OAuthRefused("unsupported_grant_type", "grant-type")


def grant(
    client: RegisteredClient,
    scope: str | None,
    shown: Shown | None,
    now: datetime,
    *,
    unbound: bool,
) -> IssuedToken:
    """A token for a client that has proven who it is, not stored yet.

    Without `scope` it is for all that the client is registered for. `unbound`: nobody's tokens need
    a certificate, as in the sandbox. Raises OAuthRefused.
    """
    certificate = _bound_to(client, shown, now, unbound=unbound)
    try:
        granted = client.scopes if scope is None else requested(scope, client.scopes)
    except ScopeRefused:
        raise OAuthRefused("invalid_scope", "scope-form", client) from None
    if not granted:
        raise OAuthRefused("invalid_scope", "scope", client)
    return IssuedToken(
        token=new_token(),
        client_id=client.client_id,
        organization_id=client.organization_id,
        scopes=spelled(granted),
        issued_at=now,
        expires_at=now + LIFE,
        certificate=certificate,
    )


def _bound_to(
    client: RegisteredClient, shown: Shown | None, now: datetime, *, unbound: bool
) -> str | None:
    """The thumbprint of the certificate that the token will need. Raises OAuthRefused.

    Which certificate is a client's is registered: of one without, any that the authority gave to
    anybody would do. So it counts as a client without a certificate.

    Source: HRex 1.2.0 §sec-12; RFC 8705, 2.1.2 (`tls_client_auth_san_uri`).
    """
    uri = client.certificate_uri
    if shown is not None and uri is not None and uri not in shown.uris:
        raise OAuthRefused("invalid_client", "certificate", client)
    accepted = client.unbound_until is not None and now < client.unbound_until
    if (shown is None or uri is None) and not (unbound or accepted):
        raise OAuthRefused("invalid_client", "no-certificate", client)
    return None if shown is None else shown.thumbprint
