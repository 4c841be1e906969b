"""Beneficiaries as the database finds them: by a keyed index of their number, never by the number.

Two numbers are one where their indexes are equal, and nothing else can be asked of an index: no
beginning, no order, no number out of it. The index hangs on the engine beside the vault
(`create_engine(url, index=...)`) and is asked for wherever a statement is made (`index_of`), so
that the core never meets one. It is the same for every organization: providers have patients in
common, and the gates look across them.

Another key makes other indexes: see `db.reindexing`.
"""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Dialect, Text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.types import TypeDecorator

KEY_BYTES: Final = 32
PATTERN: Final = "^1[.][A-Za-z0-9_-]{22}$"
_VERSION = "1."
_BYTES = 16  # of 32: two of a hundred million members are alike with a chance of 10^-23
_PURPOSE = b"wiser-fhir members 1"


class NoIndex(RuntimeError):
    """The engine was made without an index: no beneficiary can be found through it."""


@dataclass(frozen=True, slots=True)
class MemberIndex:
    """What stands in the place of a member's number. No string, so that none is taken for it."""

    value: str


class BlindIndex:
    """Makes indexes with one key. Raises ValueError for a secret of fewer than 32 bytes."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < KEY_BYTES:
            raise ValueError(f"a key for the index has at least {KEY_BYTES} bytes")
        self._key = HKDF(SHA256(), KEY_BYTES, salt=None, info=_PURPOSE).derive(secret)

    def of(self, number: str) -> MemberIndex:
        """The index of a member's number, however it is written."""
        normal = number.strip().replace("-", "").upper()
        digest = hmac.digest(self._key, normal.encode(), "sha256")[:_BYTES]
        return MemberIndex(_VERSION + urlsafe_b64encode(digest).rstrip(b"=").decode())

    def of_told(self, number: str | None) -> MemberIndex | None:
        """The same where a number need not be told."""
        return None if number is None else self.of(number)


class Indexed(TypeDecorator[MemberIndex]):
    """A column of indexes. A number cannot be compared with it, nor written."""

    impl = Text
    cache_ok = True

    @property
    def python_type(self) -> type[MemberIndex]:
        """What a row has there."""
        return MemberIndex

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        """The index as text. Raises TypeError for anything else."""
        if value is not None and not isinstance(value, MemberIndex):
            raise TypeError("a member is found by its index alone")
        return None if value is None else value.value

    def process_result_value(self, value: Any, dialect: Dialect) -> MemberIndex | None:
        """The index that was stored."""
        return None if value is None else MemberIndex(value)


def index_of(db: AsyncEngine | AsyncConnection) -> BlindIndex:
    """The index that hangs on the engine. Raises NoIndex."""
    engine = db.sync_engine if isinstance(db, AsyncEngine) else db.engine.sync_engine
    index = engine.get_execution_options().get("index")
    if not isinstance(index, BlindIndex):
        raise NoIndex("this engine was made without an index of members")
    return index
