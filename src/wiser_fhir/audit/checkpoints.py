"""Checkpoints: signed statements of how far the chain had come, kept where nobody changes them.

Whoever can delete rows can cut the end off a chain without leaving a trace in what remains. So the
worker writes the last sequence and its mac to a folder, each time into a new file that is never
opened for writing again, and signs them with a key that only it holds. The folder is meant to be a
mount of write-once storage elsewhere.

A file is named by its sequence: two workers, or the same one twice, write one. An empty file is
what a worker leaves that is killed between making and writing it; it vouches for nothing, and the
next checkpoint stands for what it would have said.
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

import orjson
from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.sealing import head_of
from wiser_fhir.clock import Clock

log = logging.getLogger(__name__)

_ALGORITHM = "ES384"
_TYPE = "audit-checkpoint+jws"
_REGISTRY = jws.JWSRegistry(algorithms=[_ALGORITHM])
_DIGITS = 16
_LARGEST = 16 * 1024
_PEM_END = "-----END"
SUFFIX: Final = ".jws"


class KeyRefused(ValueError):
    """A file that holds no key which could sign or verify a checkpoint; the text says why."""


@dataclass(frozen=True, slots=True)
class SigningKeys:
    """Keys of checkpoints: that which signs, if it is known, and all that verify."""

    signing: ECKey | None
    verifying: tuple[ECKey, ...]

    @classmethod
    def read(cls, pem: str) -> Self:
        """The keys of a PEM file: those of earlier days may follow the one in use.

        Raises KeyRefused.
        """
        keys = tuple(_key(block) for block in _blocks(pem))
        if not keys:
            raise KeyRefused("holds no key in PEM")
        return cls(keys[0] if keys[0].is_private else None, keys)


def new_signing_key() -> bytes:
    """A private key for checkpoints, as PEM."""
    return ECKey.generate_key("P-384").as_pem(private=True)


def _blocks(pem: str) -> Iterator[str]:
    lines: list[str] = []
    for line in pem.splitlines():
        lines.append(line)
        if line.startswith(_PEM_END):
            yield "\n".join(lines) + "\n"
            lines = []


def _key(block: str) -> ECKey:
    try:
        key = ECKey.import_key(block)
    except (JoseError, ValueError) as fault:
        raise KeyRefused("holds something that is no key of an elliptic curve") from fault
    if key.curve_name != "P-384":
        raise KeyRefused("holds a key of another curve than P-384")
    return key


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far the chain had come. `count`: rows sealed since the checkpoint before."""

    sequence: int
    mac: bytes
    key_id: str
    at: datetime
    count: int

    def signed(self, key: ECKey) -> bytes:
        """The checkpoint as a JWS in compact form."""
        told = {
            "sequence": self.sequence,
            "mac": self.mac.hex(),
            "key": self.key_id,
            "at": self.at.astimezone(UTC).isoformat(timespec="seconds"),
            "count": self.count,
        }
        header = {"alg": _ALGORITHM, "typ": _TYPE, "kid": key.thumbprint()}
        return jws.serialize_compact(header, orjson.dumps(told), key, registry=_REGISTRY).encode()

    @classmethod
    def of(cls, token: bytes, keys: SigningKeys) -> Self:
        """The checkpoint of a JWS that one of the keys signed. Raises ValueError."""
        for key in keys.verifying:
            try:
                found = jws.deserialize_compact(token, key, registry=_REGISTRY)
            except (JoseError, ValueError):
                continue
            if found.protected.get("typ") != _TYPE:
                raise ValueError("is signed, and no checkpoint")
            told = orjson.loads(found.payload)
            return cls(
                sequence=int(told["sequence"]),
                mac=bytes.fromhex(told["mac"]),
                key_id=str(told["key"]),
                at=datetime.fromisoformat(told["at"]),
                count=int(told["count"]),
            )
        raise ValueError("is not signed by a key of ours")


@dataclass(frozen=True, slots=True)
class CheckpointFolder:
    """Where checkpoints are kept."""

    path: Path

    def files(self) -> list[Path]:
        """All checkpoints, in the order of their sequence."""
        return sorted(self.path.glob(f"{'[0-9]' * _DIGITS}{SUFFIX}"))

    def last_before(self, sequence: int) -> int:
        """The sequence of the last checkpoint before this one, 0 for none."""
        found = (int(file.stem) for file in self.files())
        return max((each for each in found if each < sequence), default=0)

    def file(self, sequence: int) -> Path:
        """The file of a sequence."""
        return self.path / f"{sequence:0{_DIGITS}d}{SUFFIX}"

    def write(self, sequence: int, content: bytes) -> bool:
        """Write a checkpoint, unless there is one of this sequence. It is on the disk afterwards.

        Raises OSError.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            file = os.open(self.file(sequence), flags, 0o444)
        except FileExistsError:
            return False
        try:
            os.write(file, content)
            os.fsync(file)
        finally:
            os.close(file)
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return True


def read_checkpoint(file: Path, keys: SigningKeys) -> Checkpoint | None:
    """The checkpoint in a file, None in an empty one. Raises ValueError, OSError."""
    with file.open("rb") as opened:
        content = opened.read(_LARGEST)
    if not content:
        return None
    try:
        found = Checkpoint.of(content, keys)
    except (KeyError, TypeError) as fault:
        raise ValueError("lacks what a checkpoint says") from fault
    if file.stem.isdigit() and int(file.stem) != found.sequence:
        raise ValueError(f"vouches for sequence {found.sequence}, not for that of its name")
    return found


@dataclass(frozen=True, slots=True)
class CheckpointWriter:
    """Writes a checkpoint of the chain as it stands, as a job."""

    engine: AsyncEngine
    folder: CheckpointFolder
    key: ECKey
    clock: Clock

    async def __call__(self) -> int:
        """Always 0: there is nothing more to do at once. Raises Unavailable, OSError."""
        end = await head_of(self.engine)
        if end.sequence == 0 or end.key_id is None:
            return 0
        count = end.sequence - self.folder.last_before(end.sequence)
        made = Checkpoint(end.sequence, end.mac, end.key_id, self.clock(), count)
        if self.folder.write(end.sequence, made.signed(self.key)):
            log.info("audit checkpoint written", extra={"count": end.sequence})
        return 0
