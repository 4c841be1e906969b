"""What binds a determination to the decision it was: a MAC whose key the database does not have.

The text of reasons is not in it: that is sealed, and opens only as it was written.
"""

import hmac
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from uuid import UUID

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FIELDS: Final = (
    *("organization_id", "case_id", "sequence", "revision", "outcome", "decided_at", "decided_by"),
    *("clinician_id", "signed_in_at", "rules", "input_sha256", "code_system", "code", "quantity"),
    *("first_day", "last_day", "reasons"),
)
_PURPOSE: Final = b"wiser-fhir determination 1"
_KEY_BYTES: Final = 32


@lru_cache(maxsize=8)
def decision_key(audit_key: bytes) -> bytes:
    """The key for determinations, of the audit key, which has other uses too."""
    return HKDF(SHA256(), _KEY_BYTES, salt=None, info=_PURPOSE).derive(audit_key)


def decision_mac(key: bytes, row: Mapping[str, Any]) -> bytes:
    """The MAC of a determination, from its columns; 32 bytes."""
    told = orjson.dumps([_canonical(row[name]) for name in FIELDS])
    return hmac.digest(key, told, "sha256")


def _canonical(value: Any) -> Any:
    """A value in the one way of writing it, however it was made or read."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date | UUID):
        return str(value)
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, list | tuple):
        return [_canonical(each) for each in value]
    return value if value is None or isinstance(value, int) else str(value)
