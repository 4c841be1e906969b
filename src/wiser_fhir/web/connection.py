"""Which certificate a client has shown: on its own connection, or to a proxy that we know.

A proxy is known by its own certificate, never by its address. From anybody else the headers of a
proxy mean nothing, and a proxy's certificate is no client's.

Source: RFC 8705 §3.1 (`x5t#S256`), HRex 1.2.0 "Security" (names in certificates are URIs).
"""

from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Protocol, cast
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.requests import Request

from wiser_fhir.errors import Unauthenticated

CERTIFICATE_HEADER = "x-client-cert"
VERIFIED_HEADER = "x-client-verify"
_VERIFIED = "SUCCESS"
# OpenSSL is content with some certificates that make no sense to read.
_UNREADABLE = (
    ValueError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


@dataclass(frozen=True, slots=True)
class PeerCertificate:
    """A certificate whose key a client has proven to hold.

    `thumbprint` is its `x5t#S256`; `uris` are those among its subject alternative names.
    """

    thumbprint: str
    der: bytes
    uris: tuple[str, ...]


class Revoked(Protocol):
    """The list of certificates that are taken no longer."""

    def names(self, thumbprint: str) -> bool:
        """Whether it is on the list. Raises Unavailable if the list is too old to tell."""
        ...


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose word on certificates counts. `proxies` are thumbprints."""

    revoked: Revoked
    proxies: frozenset[str] = field(default_factory=frozenset)


def peer_certificate(request: Request) -> PeerCertificate | None:
    """The certificate that the client of this request has shown, worked out once; None if none.

    Raises Unauthenticated for one on the list of those revoked, Unavailable if that is not known.
    """
    if not hasattr(request.state, "peer_certificate"):
        request.state.peer_certificate = _found(request)
    return cast(PeerCertificate | None, request.state.peer_certificate)


def comes_from_proxy(request: Request) -> bool:
    """Whether the connection itself is that of a proxy we know."""
    der = request.scope.get("extensions", {}).get("tls", {}).get("client_cert")
    trust = cast(Trust, request.app.state.trust)
    return der is not None and thumbprint_of(der) in trust.proxies


def thumbprint_of(der: bytes) -> str:
    """The `x5t#S256` of a certificate."""
    return urlsafe_b64encode(sha256(der).digest()).rstrip(b"=").decode()


def _found(request: Request) -> PeerCertificate | None:
    der = request.scope.get("extensions", {}).get("tls", {}).get("client_cert")
    if der is None:
        return None
    trust = cast(Trust, request.app.state.trust)
    peer = _checked(der, trust)
    if peer.thumbprint not in trust.proxies:
        return peer
    forwarded = _forwarded(request)
    return None if forwarded is None else _checked(forwarded, trust)


def _checked(der: bytes, trust: Trust) -> PeerCertificate:
    try:
        peer = _read(der)
    except _UNREADABLE:
        raise Unauthenticated("The client certificate cannot be read.") from None
    if trust.revoked.names(peer.thumbprint):
        raise Unauthenticated("The client certificate is revoked.")
    return peer


def _forwarded(request: Request) -> bytes | None:
    """What a known proxy says, if it says one thing and that it has verified it."""
    verified = request.headers.getlist(VERIFIED_HEADER)
    certificates = request.headers.getlist(CERTIFICATE_HEADER)
    if verified != [_VERIFIED] or len(certificates) != 1:
        return None
    try:
        [certificate] = x509.load_pem_x509_certificates(unquote_to_bytes(certificates[0]))
    except _UNREADABLE:
        return None
    return certificate.public_bytes(Encoding.DER)


@lru_cache(maxsize=256)
def _read(der: bytes) -> PeerCertificate:
    """Raises one of `_UNREADABLE`."""
    try:
        names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        )
    except x509.ExtensionNotFound:
        uris: list[str] = []
    else:
        uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    return PeerCertificate(thumbprint_of(der), der, tuple(uris))
