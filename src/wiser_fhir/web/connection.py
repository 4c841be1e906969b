"""Which certificate a client has shown: on its own connection, or to a proxy that we know.

A proxy is known by its own certificate, never by its address. From anybody else the headers of a
proxy mean nothing, and a proxy's certificate is no client's.

Source: RFC 8705 §3.1 (`x5t#S256`), HRex 1.2.0 "Security" (names in certificates are URIs).
"""

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol, cast
from urllib.parse import unquote_to_bytes

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.requests import Request

from wiser_fhir.auth.certificates import UNREADABLE, thumbprint_of, uris_of
from wiser_fhir.errors import Unauthenticated

CERTIFICATE_HEADER = "x-client-cert"
VERIFIED_HEADER = "x-client-verify"
_VERIFIED = "SUCCESS"


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
    except UNREADABLE:
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
    except UNREADABLE:
        return None
    return certificate.public_bytes(Encoding.DER)


@lru_cache(maxsize=256)
def _read(der: bytes) -> PeerCertificate:
    """Raises one of `UNREADABLE`."""
    uris = uris_of(x509.load_der_x509_certificate(der))
    return PeerCertificate(thumbprint_of(der), der, uris)
