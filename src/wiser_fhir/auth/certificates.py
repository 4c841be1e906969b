"""What is read off a certificate, whoever showed it: its thumbprint, and the URIs that it names.

Source: RFC 8705, 3.1 (`x5t#S256`).
"""

import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Final

from cryptography import x509

# What reading a certificate raises: OpenSSL is content with some that make no sense to read.
UNREADABLE: Final = (
    ValueError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)

_THUMBPRINT: Final = re.compile("[A-Za-z0-9_-]{43}")
_HEXADECIMAL: Final = re.compile("[0-9A-Fa-f]{64}")


def thumbprint_of(der: bytes) -> str:
    """The `x5t#S256` of a certificate."""
    return _text(sha256(der).digest())


def read_thumbprint(value: str) -> str:
    """A certificate's `x5t#S256`, also from the SHA-256 fingerprint that OpenSSL prints.

    Raises ValueError.
    """
    if _THUMBPRINT.fullmatch(value):
        return value
    digits = value.replace(":", "")
    if _HEXADECIMAL.fullmatch(digits) is None:
        raise ValueError("a thumbprint is SHA-256: 43 characters, or 64 hex digits")
    return _text(bytes.fromhex(digits))


def uris_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The URIs among the names of a certificate. Raises one of `UNREADABLE`."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return tuple(names.get_values_for_type(x509.UniformResourceIdentifier))


def _text(digest: bytes) -> str:
    return urlsafe_b64encode(digest).rstrip(b"=").decode()
