"""From the `x5c` of a JWT to a certificate that a trust community vouches for.

The chain is built by `cryptography` from what the header brings to a configured anchor; nothing is
fetched that a certificate names. It does not look at revocation, so that is done here, for every
certificate below the anchor, and without a current list there is no trust.

Source: UDAP Security 2.0.0, "JWT headers", "JWT validation"; RFC 5280, 6.
"""

import binascii
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from joserfc.jwk import ECKey, RSAKey

from wiser_fhir.auth.certificates import UNREADABLE, thumbprint_of
from wiser_fhir.auth.keys import PublicKey, read_keys
from wiser_fhir.fhir.elements import Json

MAX_CERTIFICATES: Final = 6

_UNREADABLE = (*UNREADABLE, UnsupportedAlgorithm, VerificationError)


class ChainRefused(Exception):
    """A chain that nobody vouches for. `reason` is a word of ours, for the audit trail."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose certificate it is: the URIs it names, in the community that vouches for it.

    `thumbprint` is x5t#S256, which is not the one of the key.
    """

    community: str
    uris: tuple[str, ...]
    key: PublicKey = field(repr=False)
    thumbprint: str


class Lists(Protocol):
    """Where lists of revoked certificates are found."""

    def of(self, issuer: x509.Name) -> Sequence[x509.CertificateRevocationList]:
        """All lists that say they are of this issuer, unverified."""
        ...


@dataclass(frozen=True, slots=True)
class Trust:
    """Anchors by community, in the order in which they are tried, and what they have revoked."""

    anchors: Mapping[str, Sequence[x509.Certificate]]
    lists: Lists

    def holder(self, header: Json, now: datetime, community: str | None = None) -> Holder:
        """Whose the first certificate of a header is; `community` leaves only that one's anchors.

        It takes some milliseconds of a processor. Raises ChainRefused.
        """
        certificates = read_x5c(header)
        reason = "community"
        for name in self.anchors if community is None else [community]:
            try:
                return self._vouched(name, certificates, now)
            except ChainRefused as refused:
                # What an anchor took back tells more than that another one never gave it.
                reason = refused.reason if reason in ("community", "chain") else reason
        raise ChainRefused(reason)

    def _vouched(
        self, community: str, certificates: Sequence[x509.Certificate], now: datetime
    ) -> Holder:
        leaf, *others = certificates
        try:
            verified = (
                PolicyBuilder()
                .store(Store(list(self.anchors.get(community, ()))))
                .time(now)
                .max_chain_depth(MAX_CERTIFICATES)
                .build_client_verifier()
                .verify(leaf, others)
            )
        except _UNREADABLE:
            raise ChainRefused("chain") from None
        for certificate, issuer in zip(verified.chain, verified.chain[1:], strict=False):
            self._check_revocation(certificate, issuer, now)
        if len(verified.chain) == 1:
            raise ChainRefused("chain")  # an anchor is nobody's certificate
        uris = (each.value for each in verified.subjects or () if _is_uri(each))
        shown = thumbprint_of(leaf.public_bytes(Encoding.DER))
        return Holder(community, tuple(uris), _public_key(leaf), shown)

    def _check_revocation(
        self, certificate: x509.Certificate, issuer: x509.Certificate, now: datetime
    ) -> None:
        """Raises ChainRefused, also where no list of the issuer is current."""
        current = [each for each in self.lists.of(certificate.issuer) if _holds(each, issuer, now)]
        if not current:
            raise ChainRefused("revocation-unknown")
        serial = certificate.serial_number
        if any(each.get_revoked_certificate_by_serial_number(serial) for each in current):
            raise ChainRefused("revoked")


def read_x5c(header: Json) -> list[x509.Certificate]:
    """The certificates of a header, that of the signer first. Raises ChainRefused."""
    entries = header.get("x5c")
    if type(entries) is not list or not 0 < len(entries) <= MAX_CERTIFICATES:
        raise ChainRefused("x5c")
    if not all(isinstance(each, str) for each in entries):
        raise ChainRefused("x5c")
    try:
        return [x509.load_der_x509_certificate(b64decode(each, validate=True)) for each in entries]
    except (binascii.Error, *_UNREADABLE):
        raise ChainRefused("x5c") from None


def _is_uri(name: Any) -> bool:
    return isinstance(name, x509.UniformResourceIdentifier)


def _public_key(certificate: x509.Certificate) -> PublicKey:
    """Its key, if it is one that keys in a JWKS may be. Raises ChainRefused."""
    key = certificate.public_key()
    pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    read = (RSAKey if isinstance(key, RSAPublicKey) else ECKey).import_key(pem)
    entry = {**read.as_dict(private=False), "kid": "x5c"}
    found = read_keys({"keys": [entry]}).keys.get("x5c")
    if found is None:
        raise ChainRefused("key")
    return found


def _holds(crl: x509.CertificateRevocationList, issuer: x509.Certificate, now: datetime) -> bool:
    """Whether a list is the issuer's, and current. One that cannot be read is neither.

    The signature first: what anybody may have made is read no further.
    """
    try:
        return _is_signed_by(crl, issuer) and _is_current(crl, now)
    except _UNREADABLE:
        return False


def _is_current(crl: x509.CertificateRevocationList, now: datetime) -> bool:
    """Whether a list holds now, for everything of its issuer.

    One that covers a part, or only adds to another, says so in a critical extension; we read none.
    """
    following = crl.next_update_utc
    if following is None or not crl.last_update_utc <= now <= following:
        return False
    return not any(each.critical for each in crl.extensions)


def _is_signed_by(crl: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Of an issuer that the verifier let pass: with a KeyUsage, and a key of RSA or on a curve."""
    usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    key = cast(EllipticCurvePublicKey | RSAPublicKey, issuer.public_key())
    return usage.crl_sign and crl.is_signature_valid(key)
