"""Lists of revoked certificates: read from a folder, and kept new in it.

A folder, because a list must be at hand before the first certificate of its issuer is shown, and
because what a certificate names as the place of its list is its sender's word: it is never called.
The operator names the places; what is had from there may come by http, as most are published so. It
counts only with its issuer's signature, and until the instant it names itself, so that somebody on
the way can withhold a list but not alter one.
"""

import logging
from base64 import b32encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from os import getpid
from pathlib import Path
from typing import Final, Protocol

import anyio
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from wiser_fhir.clock import Clock
from wiser_fhir.egress.errors import EgressError

log = logging.getLogger(__name__)

_END: Final = b"-----END X509 CRL-----"
_OURS: Final = "fetched-"

Lists = Sequence[x509.CertificateRevocationList]


class Places(Protocol):
    """What `egress.crl.CrlEgress` does."""

    async def get(self, url: str) -> bytes:
        """What is at a URL. Raises EgressError."""
        ...


@dataclass(slots=True)
class FolderLists:
    """The lists in some folders, PEM or DER, read again when a file comes, goes or changes."""

    folders: Sequence[Path]
    _seen: tuple[tuple[Path, int, int], ...] = ()
    _lists: Lists = field(default=(), repr=False)

    def of(self, issuer: x509.Name) -> Lists:
        """All lists that say they are of this issuer, unverified."""
        there = tuple(facts for folder in self.folders for facts in _listing(folder))
        if there != self._seen:
            self._lists = [each for file, _, _ in there for each in _read(file)]
            self._seen = there
        return [each for each in self._lists if each.issuer == issuer]


@dataclass(frozen=True, slots=True)
class ListsKeptNew:
    """The job that gets lists from where the operator says they are.

    An older list stays beside a newer one until it ends: so a forged one, which nobody will take,
    never displaces one that holds.
    """

    folder: Path
    urls: Sequence[str]
    places: Places
    clock: Clock

    async def __call__(self) -> int:
        """Always 0: there is never more to do. What cannot be had or read is logged."""
        for url in self.urls:
            try:
                content = await self.places.get(url)
                await anyio.to_thread.run_sync(self._keep, content)
            except (EgressError, ValueError) as fault:
                reason = fault.reason if isinstance(fault, EgressError) else "no-crl"
                log.warning("list of revoked certificates not had", extra={"error": reason})
        await anyio.to_thread.run_sync(self._forget_ended)
        return 0

    def _keep(self, content: bytes) -> None:
        """Write a list that is not there yet. Raises ValueError for what is none."""
        der = _parsed(content)[0].public_bytes(Encoding.DER)
        # By all of its content: whatever a forged list says of itself, it takes no other's place.
        digest = b32encode(sha256(der).digest()[:20]).decode().lower()
        file = self.folder / f"{_OURS}{digest}.crl"
        if not file.exists():
            _write_whole(file, der)

    def _forget_ended(self) -> None:
        for file in self.folder.glob(f"{_OURS}*.crl"):
            if all(_has_ended(each, self.clock()) for each in _read(file)):
                file.unlink(missing_ok=True)


def _write_whole(file: Path, content: bytes) -> None:
    """Write a file so that nobody ever reads half of it."""
    new = file.with_name(f".{file.name}.{getpid()}")
    new.write_bytes(content)
    new.replace(file)


def _listing(folder: Path) -> list[tuple[Path, int, int]]:
    """The files with time and size of each; none where the folder cannot be read."""
    try:
        files = [each for each in folder.iterdir() if not each.name.startswith(".")]
        return sorted((each, *_state(each)) for each in files)
    except OSError:
        return []


def _state(file: Path) -> tuple[int, int]:
    facts = file.stat()
    return facts.st_mtime_ns, facts.st_size


def _read(file: Path) -> Lists:
    """The lists of a file; none, and a line in the log, if it cannot be read."""
    try:
        return _parsed(file.read_bytes())
    except (OSError, ValueError):
        log.warning("unreadable list of revoked certificates", extra={"error": "no-crl"})
        return ()


def _parsed(content: bytes) -> Lists:
    """Raises ValueError."""
    if _END not in content:
        return [x509.load_der_x509_crl(content)]
    parts = [each + _END for each in content.split(_END)[:-1]]
    return [x509.load_pem_x509_crl(each) for each in parts]


def _has_ended(crl: x509.CertificateRevocationList, now: datetime) -> bool:
    following = crl.next_update_utc
    return following is None or following < now
