"""The trust communities of this server: whom each vouches for, and our own certificate in it.

A setting names a file for each community, `<URI of the community>=<path>`; without a URI it is the
community that goes by none, or, for our own certificate, whatever community has none of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from wiser_fhir.auth.certificates import uris_of

_LEAST_BITS = 2_048


class CommunityRefused(ValueError):
    """What was configured cannot be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Our own certificate, with those above it, and its key: RSA, for metadata is signed by RS256.

    Source: UDAP Security 2.0.0, "Signed metadata elements".
    """

    chain: tuple[x509.Certificate, ...]
    key: RSAPrivateKey = field(repr=False)

    @classmethod
    def load(cls, certificate: Path, key: Path) -> "Signer":
        """From PEM files, the leaf first. Raises CommunityRefused, OSError."""
        chain = _certificates(certificate)
        try:
            private = load_pem_private_key(key.read_bytes(), None)
        except (TypeError, ValueError):
            raise CommunityRefused("the key is no PEM file without a password") from None
        if not isinstance(private, RSAPrivateKey) or private.key_size < _LEAST_BITS:
            raise CommunityRefused("the key must be RSA, of 2048 bits or more")
        if private.public_key() != chain[0].public_key():
            raise CommunityRefused("the key is not that of the first certificate")
        return cls(tuple(chain), private)

    @property
    def uris(self) -> tuple[str, ...]:
        """What it may speak for."""
        return uris_of(self.chain[0])


@dataclass(frozen=True, slots=True)
class Community:
    """A community: its URI, empty for the one that has none; its anchors; our certificate there."""

    uri: str
    anchors: tuple[x509.Certificate, ...]
    signer: Signer | None = None


def communities(
    anchors: Sequence[str], certificates: Sequence[str] = (), keys: Sequence[str] = ()
) -> dict[str, Community]:
    """What the settings name, by URI, in their order. Raises CommunityRefused, OSError."""
    signers = _signers(by_community(certificates), by_community(keys))
    found = {
        uri: Community(uri, _anchors(path), signers.get(uri, signers.get("")))
        for uri, path in by_community(anchors).items()
    }
    for uri in signers:
        if uri not in found and uri:
            raise CommunityRefused(f"a certificate for {uri}, which has no anchors")
    return found


def by_community(entries: Iterable[str]) -> dict[str, Path]:
    """The path for each community. Raises CommunityRefused for one that is named twice."""
    found: dict[str, Path] = {}
    for entry in entries:
        uri, _, path = entry.rpartition("=")
        if uri in found:
            raise CommunityRefused(f"{uri or 'the community without a URI'} is named twice")
        if uri and ":" not in uri:
            raise CommunityRefused(f"{uri} is no URI")
        found[uri] = Path(path)
    return found


def _signers(certificates: Mapping[str, Path], keys: Mapping[str, Path]) -> dict[str, Signer]:
    if certificates.keys() != keys.keys():
        raise CommunityRefused("each certificate needs its key, and each key its certificate")
    return {uri: Signer.load(path, keys[uri]) for uri, path in certificates.items()}


def _anchors(path: Path) -> tuple[x509.Certificate, ...]:
    """Those in a PEM file, or in all PEM files of a folder."""
    files = sorted(path.glob("*.pem")) if path.is_dir() else [path]
    found = tuple(each for file in files for each in _certificates(file))
    if not found:
        raise CommunityRefused(f"no certificate in {path}")
    return found


def _certificates(file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(file.read_bytes())
    except ValueError:
        raise CommunityRefused(f"no PEM certificates in {file}") from None
