"""Whether a file carries malware: the seam to a scanner, and the client of ClamAV's daemon."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

_CHUNK = 64 * 1024
_LONGEST_REPLY = 4096
_FOUND = re.compile(r"stream: (.+) FOUND")
_NOT_A_NAME = re.compile("[^A-Za-z0-9._:/+-]")
_LONGEST_NAME = 100


class ScannerAway(Exception):
    """The scanner does not answer, or not so that it can be understood: nothing is known."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a scanner says of a file. `finding` is its name for what it found, None for nothing."""

    scanner: str
    finding: str | None = None

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return self.finding is None


class Scanner(Protocol):
    """Looks at a file. Raises ScannerAway."""

    async def scan(self, content: bytes) -> Verdict:
        """The verdict on the whole file."""
        ...


@dataclass(frozen=True, slots=True)
class ScannerAddress:
    """Where a scanner listens: a unix socket's path, or host and port."""

    path: str | None = None
    host: str = ""
    port: int = 0

    @classmethod
    def of(cls, text: str) -> "ScannerAddress":
        """`unix:///run/clamav/clamd.sock` or `tcp://127.0.0.1:3310`. Raises ValueError."""
        parts = urlsplit(text)
        if parts.query or parts.fragment or parts.username is not None:
            raise ValueError("is an address and nothing more")
        if parts.scheme == "unix" and not parts.netloc and len(parts.path) > 1:
            return cls(path=parts.path)
        if parts.scheme == "tcp" and parts.hostname and parts.port and parts.path in ("", "/"):
            return cls(host=parts.hostname, port=parts.port)
        raise ValueError("must be tcp://host:port or unix:///path")


@dataclass(frozen=True, slots=True)
class ClamdScanner:
    """Sends each file to clamd over a connection of its own.

    `seconds` are for all of it, so that a slow daemon holds nobody up for longer.
    Source: clamd(8), INSTREAM.
    """

    address: ScannerAddress
    seconds: float = 60.0

    async def scan(self, content: bytes) -> Verdict:
        """The daemon's verdict. Raises ScannerAway, also where the file is too large for it."""
        try:
            async with asyncio.timeout(self.seconds), self._connected() as (reader, writer):
                writer.write(b"zINSTREAM\0")
                for start in range(0, len(content), _CHUNK):
                    chunk = content[start : start + _CHUNK]
                    writer.write(len(chunk).to_bytes(4) + chunk)
                    await writer.drain()
                writer.write(bytes(4))
                await writer.drain()
                reply = await reader.readuntil(b"\0")
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            raise ScannerAway("no answer") from None
        return _verdict(reply)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        address = self.address
        if address.path is not None:
            streams = await asyncio.open_unix_connection(address.path, limit=_LONGEST_REPLY)
        else:
            streams = await asyncio.open_connection(
                address.host, address.port, limit=_LONGEST_REPLY
            )
        try:
            yield streams
        finally:
            streams[1].transport.abort()


def _verdict(reply: bytes) -> Verdict:
    text = reply.rstrip(b"\0\n").decode("ascii", "replace")
    if text == "stream: OK":
        return Verdict("clamd")
    found = _FOUND.fullmatch(text)
    if found is None:
        raise ScannerAway("an answer that is none")
    return Verdict("clamd", _NOT_A_NAME.sub("-", found[1])[:_LONGEST_NAME])
