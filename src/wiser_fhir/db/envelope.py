"""Envelopes: what is stored about people is sealed with a data key, data keys with the ring.

AES-256-GCM throughout, with a random nonce of 96 bits. What is sealed names what it belongs to, so
that it opens nowhere else: a value moved to another row, column or organization does not open. A
key of this kind seals at most 2^32 values (NIST SP 800-38D, 8.3); rotate it long before.

    sealed value   format (1)  data key (4)  nonce (12)  ciphertext and tag
    wrapped key    nonce (12)  ciphertext and tag
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from os import urandom
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES: Final = 32
FORMAT: Final = b"\x02"
OVERHEAD: Final = 1 + 4 + 12 + 16
_NONCE_BYTES = 12
_PURPOSE = b"wiser-fhir data keys 1"


class CannotOpen(Exception):
    """Sealed with a key that is not here, for something else, or changed since."""


class Erased(CannotOpen):
    """The key was destroyed on purpose, and with it what it sealed."""


def about(*place: object) -> bytes:
    """What a value belongs to: table, column, and the rest of the row's key after the organization.

    Parts of a key are UUIDs, numbers and days: nothing that contains the separator.
    """
    return "|".join(map(str, place)).encode()


def data_key_id(sealed: bytes) -> int:
    """Which of the organization's keys sealed the value. Raises CannotOpen."""
    if sealed[:1] != FORMAT or len(sealed) < OVERHEAD:
        raise CannotOpen("not a sealed value")
    return int.from_bytes(sealed[1:5])


class KeyRing:
    """The keys that wrap data keys: one that wraps, and older ones that still unwrap.

    Raises ValueError for a secret of fewer than 32 bytes.
    """

    def __init__(self, secret: bytes, before: Iterable[bytes] = ()) -> None:
        self._ciphers: dict[str, AESGCM] = {}
        for each in (*before, secret):
            if len(each) < KEY_BYTES:
                raise ValueError(f"a key for secrets has at least {KEY_BYTES} bytes")
            derived = HKDF(SHA256(), KEY_BYTES, salt=None, info=_PURPOSE).derive(each)
            self.current = sha256(derived).hexdigest()[:12]
            self._ciphers[self.current] = AESGCM(derived)

    def wrap(self, key: bytes, organization_id: UUID, number: int) -> bytes:
        """A data key as it may be stored, under the current key of the ring."""
        nonce = urandom(_NONCE_BYTES)
        cipher = self._ciphers[self.current]
        return nonce + cipher.encrypt(
            nonce, key, about("data_key", "wrapped", organization_id, number)
        )

    def unwrap(self, wrapped: bytes, key_id: str, organization_id: UUID, number: int) -> bytes:
        """The data key. Raises CannotOpen where the ring lacks the key, or the row was changed."""
        if key_id not in self._ciphers:
            raise CannotOpen(
                f"a data key is wrapped with the key {key_id}, which is not in the ring"
            )
        nonce, rest = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        belongs = about("data_key", "wrapped", organization_id, number)
        try:
            return self._ciphers[key_id].decrypt(nonce, rest, belongs)
        except (InvalidTag, ValueError):
            raise CannotOpen("a wrapped data key was changed") from None


@dataclass(frozen=True, slots=True)
class DataKey:
    """What seals and opens for one organization: `number` seals, all that are here open.

    Hold it for one transaction only; the vault keeps it and learns of newer keys.
    """

    organization_id: UUID
    number: int
    ciphers: Mapping[int, AESGCM | None]  # None: erased

    def seal(self, plain: bytes, about: bytes) -> bytes:
        """`plain` as it may be stored; `about` (see the function) names where."""
        head = FORMAT + self.number.to_bytes(4)
        nonce = urandom(_NONCE_BYTES)
        cipher = self.ciphers[self.number]
        if cipher is None:
            raise Erased("the organization's data key was erased")
        return head + nonce + cipher.encrypt(nonce, plain, self._bound(head, about))

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """What was sealed for `about`. Raises CannotOpen, Erased."""
        number = data_key_id(sealed)
        if number not in self.ciphers:
            raise CannotOpen(f"data key {number} is not here")
        cipher = self.ciphers[number]
        if cipher is None:
            raise Erased(f"data key {number} was erased")
        try:
            return cipher.decrypt(sealed[5:17], sealed[17:], self._bound(sealed[:5], about))
        except InvalidTag:
            raise CannotOpen("sealed for something else, or changed since") from None

    def _bound(self, head: bytes, about: bytes) -> bytes:
        return head + self.organization_id.bytes + about
