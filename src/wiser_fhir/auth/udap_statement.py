"""The software statement by which a system asks to be registered. Pure but for the files of Trust.

Source: UDAP Security 2.0.0, "Software Statement"; UDAP Dynamic Client Registration, 2 and 4.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlsplit

from wiser_fhir.auth.assertion import AUTH_METHOD
from wiser_fhir.auth.jws import (
    MAX_LIFE,
    MAX_X5C_TOKEN,
    SKEW,
    X5C_ALGORITHMS,
    JwtRefused,
    UnverifiedJwt,
    instant,
    one_audience,
    read_jwt,
    verify,
)
from wiser_fhir.auth.scopes import ALL_SCOPES, ScopeRefused, grants, requested, spelled
from wiser_fhir.auth.token_grant import GRANT_TYPE
from wiser_fhir.auth.udap_chain import ChainRefused, Holder, Trust
from wiser_fhir.fhir.elements import Json

Error = Literal[
    "invalid_software_statement", "unapproved_software_statement", "invalid_client_metadata"
]

# Of a chain: what cannot be read is invalid, what nobody vouches for is not approved.
_UNREADABLE_CHAINS = frozenset({"x5c", "key"})
_URI = re.compile("[a-z][a-z0-9+.-]*:[!-~]{1,2000}")
_JTI = re.compile("[!-~]{8,256}")
_MAIL = re.compile("mailto:[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,255}")
_NAME = re.compile("[^\x00-\x1f\x7f]{1,200}")
_MOST_CONTACTS = 10
_LONGEST_URI = 2_048
_MOST_SCOPES = 100
_ALL = grants(ALL_SCOPES)


class StatementRefused(Exception):
    """A statement that is not taken.

    `error` and the text are for the sender, `reason` is a word of ours for the audit trail.
    """

    def __init__(self, error: Error, reason: str, text: str) -> None:
        super().__init__(text)
        self.error: Error = error
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Metadata:
    """What a client asks to be registered with. `scopes` are those we know of the ones it named."""

    client_name: str
    contacts: tuple[str, ...]
    logo_uri: str | None
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement that its holder did make. `metadata` is None for one that ends a registration."""

    iss: str
    holder: Holder
    jti: str = field(repr=False)
    expires_at: datetime
    metadata: Metadata | None


def read_statement(
    token: str, trust: Trust, audiences: Collection[str], now: datetime
) -> Statement:
    """What a software statement says, once chain, signature and claims hold.

    `audiences` are the URLs of our registration endpoint. It takes some milliseconds of a
    processor. Raises StatementRefused.
    """
    try:
        jwt = read_jwt(token, X5C_ALGORITHMS, MAX_X5C_TOKEN)
        holder = trust.holder(jwt.header, now)
        verify(jwt, holder.key.key, X5C_ALGORITHMS, MAX_X5C_TOKEN)
        iss, jti, expires = _claimed(jwt, holder, audiences, now.timestamp())
    except ChainRefused as refused:
        raise _of_chain(refused.reason) from None
    except JwtRefused as refused:
        raise StatementRefused(
            "invalid_software_statement", refused.reason, _TEXTS.get(refused.reason, _UNSOUND)
        ) from None
    ends = datetime.fromtimestamp(expires + SKEW, UTC)
    return Statement(iss, holder, jti, ends, _metadata(jwt.claims))


_UNSOUND = "The software statement is not a sound JWT of an algorithm that is taken here."
_TEXTS = {
    "signature": "The signature is not by the key of the first certificate in x5c.",
    "issuer": "iss must be a URI among the names of the certificate, and sub the same.",
    "audience": "aud must be this registration endpoint.",
    "life": "exp must lie ahead, and at most 300 seconds after iat.",
    "jti": "jti must be 8 to 256 printable characters.",
}


def _of_chain(reason: str) -> StatementRefused:
    if reason in _UNREADABLE_CHAINS:
        text = "x5c must hold one to six certificates with keys that are taken here."
        return StatementRefused("invalid_software_statement", reason, text)
    text = "No community that is known here vouches for the certificate at this time."
    return StatementRefused("unapproved_software_statement", reason, text)


def _claimed(
    jwt: UnverifiedJwt, holder: Holder, audiences: Collection[str], now: float
) -> tuple[str, str, float]:
    """Issuer, `jti` and end of a statement. Raises JwtRefused."""
    claims = jwt.claims
    iss, jti = claims.get("iss"), claims.get("jti")
    if not isinstance(iss, str) or not _URI.fullmatch(iss) or iss not in holder.uris:
        raise JwtRefused("issuer")
    if claims.get("sub") != iss:
        raise JwtRefused("issuer")
    if one_audience(claims) not in audiences:
        raise JwtRefused("audience")
    issued, expires = instant(claims, "iat"), instant(claims, "exp")
    if not (issued <= now + SKEW and now < expires and 0 < expires - issued <= MAX_LIFE):
        raise JwtRefused("life")
    if "nbf" in claims and instant(claims, "nbf") > now + SKEW:
        raise JwtRefused("life")
    if not isinstance(jti, str) or not _JTI.fullmatch(jti):
        raise JwtRefused("jti")
    return iss, jti, expires


def _metadata(claims: Json) -> Metadata | None:
    """Raises StatementRefused."""
    grant_types = claims.get("grant_types")
    if grant_types == []:
        return None
    if grant_types != [GRANT_TYPE]:
        raise _metadata_refused("grant-types", "grant_types must be client_credentials alone.")
    if "redirect_uris" in claims or "response_types" in claims:
        text = "redirect_uris and response_types do not go with client_credentials."
        raise _metadata_refused("redirect-uris", text)
    if claims.get("token_endpoint_auth_method") != AUTH_METHOD:
        raise _metadata_refused("auth-method", "token_endpoint_auth_method: private_key_jwt.")
    name = claims.get("client_name")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not any(map(str.isalnum, name)):
        raise _metadata_refused("client-name", "client_name must be a name, of 200 characters.")
    return Metadata(name, _contacts(claims), _logo(claims), _scopes(claims))


def _metadata_refused(reason: str, text: str) -> StatementRefused:
    return StatementRefused("invalid_client_metadata", reason, text)


def _contacts(claims: Json) -> tuple[str, ...]:
    contacts = claims.get("contacts")
    if (
        isinstance(contacts, list)
        and 0 < len(contacts) <= _MOST_CONTACTS
        and all(isinstance(each, str) and _URI.fullmatch(each) for each in contacts)
        and any(_MAIL.fullmatch(each) for each in contacts)
    ):
        return tuple(contacts)
    text = "contacts must be one to ten URIs, a mailto: among them."
    raise _metadata_refused("contacts", text)


def _logo(claims: Json) -> str | None:
    """Kept as it was sent and never fetched."""
    logo: Any = claims.get("logo_uri")
    if logo is None:
        return None
    if isinstance(logo, str) and len(logo) <= _LONGEST_URI and _is_https(logo):
        return logo
    raise _metadata_refused("logo-uri", "logo_uri must be an https URL.")


def _is_https(url: str) -> bool:
    if not _URI.fullmatch(url):
        return False
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme == "https" and bool(parts.hostname)


def _scopes(claims: Json) -> tuple[str, ...]:
    """What is known here of the scopes that were asked for; a wildcard is refused with all.

    Source: UDAP Security 2.0.0, "Scope negotiation".
    """
    scope = claims.get("scope")
    asked = scope.split(" ") if isinstance(scope, str) else []
    if "*" in str(scope) or len(asked) > _MOST_SCOPES:
        raise _metadata_refused("scope", "Wildcards are not among the scopes of this server.")
    known = [known for each in asked for known in _known(each)]
    if not known:
        raise _metadata_refused("scope", "None of the scopes is one of this server.")
    return spelled(grants(known))


def _known(scope: str) -> tuple[str, ...]:
    """What there is here of a scope."""
    try:
        return spelled(requested(scope, _ALL))
    except ScopeRefused:
        return ()
