"""What may not lie about readable: the headers by which subscribers know us, and where they are.

AES-256-GCM. What is sealed names what it belongs to, so that it opens nowhere else. The first byte
tells the format; a key is never used for anything but this.
"""

from os import urandom
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32
_FORMAT = b"\x01"
_NONCE_BYTES = 12
_PURPOSE = b"wiser-fhir subscriptions 1"


class CannotOpen(Exception):
    """Sealed with another key, for something else, or changed since."""


class Sealer:
    """Seals and opens with one key. Raises ValueError for a secret of fewer than 32 bytes."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < KEY_BYTES:
            raise ValueError(f"a key for secrets has at least {KEY_BYTES} bytes")
        derived = HKDF(SHA256(), KEY_BYTES, salt=None, info=_PURPOSE).derive(secret)
        self._cipher = AESGCM(derived)

    def seal(self, plain: bytes, about: bytes) -> bytes:
        """`plain` as it may be stored; `about` names what it belongs to."""
        nonce = urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, plain, about)

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """What was sealed for `about`. Raises CannotOpen."""
        nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        if sealed[:1] != _FORMAT or len(nonce) < _NONCE_BYTES:
            raise CannotOpen
        try:
            return self._cipher.decrypt(nonce, rest, about)
        except InvalidTag:
            raise CannotOpen from None
