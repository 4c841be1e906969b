"""The chain over the audit trail: what a seal is made of, and what is wrong with one that is not.

    mac_n = HMAC-SHA256(K, mac_{n-1} || canonical_json_n)

The canonical JSON holds the seal's own facts beside every column of its row, so nothing of either
can be changed. It is made here and not by the database: whoever could replace a function there
could have it say what once stood in a row. A column that is null is left out, so that a column
which is added later does not change what older seals stand for.

No clock, no database: rows come in, faults go out.
"""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Self

import orjson
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

# Every column of a row, as it is handed to `canonical`: `xact_id` and `detail` as Postgres writes
# them, for neither loses anything so.
COLUMNS: Final = (
    *("id", "at", "xact_id", "organization_id", "client_id", "request_id", "action", "outcome"),
    *("object_kind", "object_id", "patient", "detail", "person_id"),
)
GENESIS: Final = bytes(32)

_MAC_PURPOSE = b"wiser-fhir audit chain 1"
_ID_PURPOSE = b"wiser-fhir audit chain key id 1"
_ID_BYTES = 8

Row = Mapping[str, Any]


def _derived(master: bytes, purpose: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=purpose).derive(master)


@dataclass(frozen=True, slots=True)
class ChainKey:
    """A key of the chain. `id` stands in each seal and tells nothing of the key."""

    id: str
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, master: bytes) -> Self:
        """The chain's key of an audit key, which has other uses too."""
        key_id = _derived(master, _ID_PURPOSE, _ID_BYTES).hex()
        return cls(key_id, _derived(master, _MAC_PURPOSE, 32))

    def mac(self, before: bytes, content: bytes) -> bytes:
        """What binds a row to all rows before it."""
        return hmac.digest(self.secret, before + content, "sha256")


@dataclass(frozen=True, slots=True)
class Keyring:
    """The chain's keys, oldest first. The last one seals, all of them verify."""

    keys: tuple[ChainKey, ...]

    @classmethod
    def of(cls, current: bytes, before: Sequence[bytes] = ()) -> Self:
        """The keys of the audit key that is in use and of those `before` it, newest first."""
        return cls(tuple(ChainKey.of(each) for each in (*reversed(before), current)))

    @property
    def current(self) -> ChainKey:
        """The key that seals."""
        return self.keys[-1]

    def age(self, key_id: str) -> int | None:
        """The place of a key among all of them, None for one that is not ours."""
        return next((n for n, key in enumerate(self.keys) if key.id == key_id), None)


def canonical(row: Row, sequence: int, sealed_at: datetime, key_id: str) -> bytes:
    """What a seal covers: names in order, no blanks, bytes in hexadecimal, instants in UTC."""
    event = {name: _plain(row[name]) for name in COLUMNS if row[name] is not None}
    covered = {
        "event": event,
        "key": key_id,
        "sealed_at": _plain(sealed_at),
        "sequence": sequence,
    }
    return orjson.dumps(covered, option=orjson.OPT_SORT_KEYS)


def _plain(value: Any) -> str | int:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, int) else str(value)


@dataclass(frozen=True, slots=True)
class Place:
    """Where in a chain something goes on: behind this seal. `order` is that of its row."""

    sequence: int = 0
    mac: bytes = GENESIS
    key_age: int = 0
    order: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Link:
    """A seal as it is stored, and its row, if there is one."""

    sequence: int
    audit_id: int
    mac: bytes
    sealed_at: datetime
    key_id: str
    row: Row | None

    @property
    def content(self) -> bytes:
        """What the seal ought to cover."""
        return canonical(self.row or {}, self.sequence, self.sealed_at, self.key_id)

    @property
    def order(self) -> tuple[int, int]:
        """What rows are sealed by."""
        row = self.row or {}
        return int(row["xact_id"]), row["id"]


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a chain, and where it begins.

    `kind`: changed, deleted, reordered, forged-seal, unknown-key, inserted, unsealed, truncated,
    rewritten or checkpoint.
    """

    kind: str
    sequence: int | None
    audit_id: int | None
    text: str

    def __str__(self) -> str:
        """One line for whoever looks after it."""
        where = "no sequence" if self.sequence is None else f"sequence {self.sequence}"
        row = "" if self.audit_id is None else f", audit id {self.audit_id}"
        return f"{self.kind} at {where}{row}: {self.text}"


@dataclass(slots=True)
class Verification:
    """Follows a chain seal by seal and stops at the first that is not as it was made.

    To tell a changed row from a changed seal it takes one more link: the next mac was made from
    what the seal held then.
    """

    keys: Keyring
    last: Place = field(default_factory=Place)
    _suspect: tuple[Link, bytes] | None = None

    def follow(self, link: Link) -> Fault | None:
        """The first fault, once it is certain. Nothing is to be asked after one."""
        if self._suspect is not None:
            return self._judged(*self._suspect, link)
        if link.sequence != self.last.sequence + 1:
            text = f"nothing stands between here and sequence {link.sequence}"
            return Fault("deleted", self.last.sequence + 1, None, text)
        if link.row is None:
            return _fault("deleted", link, "its row is not there")
        age = self.keys.age(link.key_id)
        if age is None:
            return _fault(
                "unknown-key", link, f"sealed by key {link.key_id}, which is none of ours"
            )
        if age < self.last.key_age:
            return _fault("forged-seal", link, "sealed by a key that had been replaced before")
        mac = self.keys.keys[age].mac(self.last.mac, link.content)
        if not hmac.compare_digest(mac, link.mac):
            self._suspect = (link, mac)
            return None
        self.last = Place(link.sequence, mac, age, link.order)
        return None

    def end(self) -> Fault | None:
        """The fault of the last seal, if it has one."""
        return None if self._suspect is None else self._judged(*self._suspect, None)

    def _judged(self, bad: Link, expected: bytes, after: Link | None) -> Fault:
        """What became of a seal that does not fit its row."""
        behind = after is not None and after.row is not None and after.order < bad.order
        if bad.order < self.last.order or (behind and after and after.audit_id < bad.audit_id):
            return _fault("reordered", bad, "its row was not written in this place")
        if after is not None and self._continues(expected, after):
            return _fault("forged-seal", bad, "the seal is not the one its row was given")
        return _fault("changed", bad, "the row, or its seal, is not as it was sealed")

    def _continues(self, mac: bytes, after: Link) -> bool:
        age = self.keys.age(after.key_id)
        if age is None or after.row is None:
            return False
        return hmac.compare_digest(self.keys.keys[age].mac(mac, after.content), after.mac)


def _fault(kind: str, link: Link, text: str) -> Fault:
    return Fault(kind, link.sequence, link.audit_id, text)
