"""A certificate authority for the sandbox and for tests: who holds one of its keys proves nothing.

Keys are of P-256; RSA on request, for what speaks RS256 only.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wiser_fhir.clock import Clock, utc_now

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_ORGANIZATION = "wiser-fhir sandbox"
_ROOT_DAYS = 3650
_RSA_BITS = 2048
_LONGEST_NAME = 64
# Who receives a certificate may have a clock that is a little behind.
_BEFORE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate with its key. `chain_pem` is it and those above it, without the root."""

    certificate_pem: bytes
    key_pem: bytes
    chain_pem: bytes

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate, read."""
        return x509.load_pem_x509_certificate(self.certificate_pem)

    @property
    def der(self) -> bytes:
        """The certificate as TLS carries it."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def serial(self) -> int:
        """By which a list of revoked certificates names it."""
        return self.certificate.serial_number

    def authority(self, clock: Clock = utc_now) -> "Authority":
        """Who issues with this certificate, which is one of an authority."""
        return Authority(self.certificate, read_key(self.key_pem), self.chain_pem, clock)


@dataclass(frozen=True, slots=True)
class Authority:
    """Issues certificates and lists of those revoked. `chain_pem` goes below each certificate."""

    certificate: x509.Certificate
    key: Key
    chain_pem: bytes = b""
    clock: Clock = utc_now

    @classmethod
    def new(cls, common_name: str, *, rsa: bool = False, clock: Clock = utc_now) -> Self:
        """A root of its own."""
        key = new_key(rsa=rsa)
        builder = _builder(_name(common_name), clock, _ROOT_DAYS).public_key(key.public_key())
        builder = _extended(builder.issuer_name(_name(common_name)), _of_an_authority())
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        return cls(builder.sign(key, hashes.SHA256()), key, clock=clock)

    @property
    def certificate_pem(self) -> bytes:
        """What those who trust this authority are given."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(
        self,
        uris: Sequence[str] = (),
        dns: Sequence[str] = (),
        ips: Sequence[str] = (),
        *,
        client: bool = True,
        server: bool = False,
        days: int = 30,
        ca: bool = False,
        crl_url: str | None = None,
        rsa: bool = False,
        key: Key | None = None,
    ) -> Issued:
        """A certificate for these names; with `ca`, that of an authority below. Without `key` for
        a new one.
        """
        key = key or new_key(rsa=rsa)
        subject = _name((*dns, *uris, *ips, "nobody")[0])
        builder = _builder(subject, self.clock, days).issuer_name(self.certificate.subject)
        builder = builder.public_key(key.public_key())
        builder = _extended(builder, _names(uris, dns, ips), self._ties(key))
        builder = _extended(builder, _of_an_authority() if ca else _of_a_peer(client, server, key))
        if crl_url is not None:
            builder = builder.add_extension(_distribution(crl_url), critical=False)
        signed = builder.sign(self.key, hashes.SHA256())
        own = signed.public_bytes(serialization.Encoding.PEM)
        return Issued(own, key_pem(key), own + self.chain_pem)

    def crl(self, revoked_serials: Iterable[int] = (), days: int = 7) -> bytes:
        """The list of what this authority has revoked, as PEM, good for some days."""
        now = self.clock()
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - _BEFORE)
            .next_update(now + timedelta(days=days))
            .add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
            .add_extension(self._authority_key(), critical=False)
        )
        for serial in revoked_serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def store(self, folder: Path) -> None:
        """Keep it as `ca.pem` and `ca.key` of a folder."""
        write_whole(folder / "ca.key", key_pem(self.key), mode=0o600)
        write_whole(folder / "ca.pem", self.certificate_pem)

    @classmethod
    def load(cls, folder: Path, clock: Clock = utc_now) -> Self:
        """What `store` kept. Raises OSError, ValueError."""
        certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
        key = read_key((folder / "ca.key").read_bytes())
        if certificate.public_key() != key.public_key():
            raise ValueError("the key is another certificate's")
        return cls(certificate, key, clock=clock)

    def _ties(self, key: Key) -> list[tuple[x509.ExtensionType, bool]]:
        """Which key it certifies, and which one signed."""
        own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        return [(own, False), (self._authority_key(), False)]

    def _authority_key(self) -> x509.AuthorityKeyIdentifier:
        own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)


def new_key(*, rsa: bool = False) -> Key:
    """A private key of P-256, or of RSA."""
    return _rsa_key() if rsa else ec.generate_private_key(ec.SECP256R1())


def _rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65_537, _RSA_BITS)


def key_pem(key: Key) -> bytes:
    """A private key as PEM, not encrypted."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def read_key(pem: bytes) -> Key:
    """A private key out of its PEM. Raises ValueError."""
    key = serialization.load_pem_private_key(pem, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise ValueError("neither EC nor RSA")
    return key


def write_whole(file: Path, content: bytes, mode: int = 0o644) -> None:
    """Write a file, whole or not at all."""
    new = file.with_name(f".{file.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.touch(mode=mode)
    new.write_bytes(content)
    new.replace(file)


def _name(common_name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, _ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name[:_LONGEST_NAME]),
        ]
    )


def _builder(subject: x509.Name, clock: Clock, days: int) -> x509.CertificateBuilder:
    now = clock()
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + timedelta(days=days))
    )


def _extended(
    builder: x509.CertificateBuilder, *extensions: Iterable[tuple[x509.ExtensionType, bool]]
) -> x509.CertificateBuilder:
    for extension, critical in (each for some in extensions for each in some):
        builder = builder.add_extension(extension, critical=critical)
    return builder


def _names(
    uris: Sequence[str], dns: Sequence[str], ips: Sequence[str]
) -> list[tuple[x509.ExtensionType, bool]]:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(each) for each in uris]
    names += [x509.DNSName(each) for each in dns]
    names += [x509.IPAddress(ip_address(each)) for each in ips]
    return [(x509.SubjectAlternativeName(names), False)] if names else []


def _of_an_authority() -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (_usage(signs_certificates=True), True),
    ]


def _of_a_peer(client: bool, server: bool, key: Key) -> list[tuple[x509.ExtensionType, bool]]:
    usages = []
    if client:
        usages.append(ExtendedKeyUsageOID.CLIENT_AUTH)
    if server:
        usages.append(ExtendedKeyUsageOID.SERVER_AUTH)
    enciphers = isinstance(key, rsa.RSAPrivateKey)
    extensions: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage(enciphers=enciphers), True),
    ]
    if usages:
        extensions.append((x509.ExtendedKeyUsage(usages), False))
    return extensions


def _usage(*, signs_certificates: bool = False, enciphers: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=enciphers,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _distribution(crl_url: str) -> x509.CRLDistributionPoints:
    place = [x509.UniformResourceIdentifier(crl_url)]
    return x509.CRLDistributionPoints([x509.DistributionPoint(place, None, None, None)])
