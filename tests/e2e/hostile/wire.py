"""HTTP by hand over asyncio: from any address of this machine, and as rude as a test likes."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from urllib.parse import urlencode, urlsplit

Json = dict[str, Any]
FORM = "application/x-www-form-urlencoded"
FHIR_JSON = "application/fhir+json"

_hosts = count(2)


def new_address() -> str:
    """An address of this machine that nobody has called from: limits on strangers go by it."""
    number = next(_hosts)
    return f"127.0.{number // 250 + 1}.{number % 250 + 1}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0 where the server cut the connection without a word."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    seconds: float

    def json(self) -> Json:
        """The body, which is an object."""
        found: Json = json.loads(self.body)
        return found


@dataclass(frozen=True, slots=True)
class Caller:
    """Somebody at an address of this machine, with a token or without."""

    url: str
    token: str | None = None
    address: str = "127.0.0.1"

    async def post(self, path: str, body: bytes, kind: str = FHIR_JSON, **more: str) -> Answer:
        """What is answered to a body on a connection of its own."""
        return await self.ask("POST", path, body, {"Content-Type": kind, **more})

    async def form(self, path: str, fields: Mapping[str, str]) -> Answer:
        """What is answered to a form."""
        return await self.post(path, urlencode(fields).encode(), FORM)

    async def get(self, path: str) -> Answer:
        """What is at a path."""
        return await self.ask("GET", path, b"", {})

    async def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """What is answered on a connection of its own, from its first byte on."""
        begun = time.monotonic()
        try:
            reader, writer = await self.connect()
        except OSError:
            return Answer(0, {}, b"", time.monotonic() - begun)
        writer.write(self.head(method, path, {**headers, "Content-Length": str(len(body))}))
        sending = asyncio.create_task(_sent(writer, body))
        try:
            status, received, content = await answer(reader)
        finally:
            sending.cancel()
            writer.transport.abort()
            await asyncio.sleep(0)
        return Answer(status, received, content, time.monotonic() - begun)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection from the caller's address."""
        place = urlsplit(self.url)
        return await asyncio.open_connection(
            place.hostname, place.port, local_addr=(self.address, 0)
        )

    def head(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        """The head of a request, whole."""
        shown = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        lines = [f"{name}: {value}" for name, value in {**shown, **headers}.items()]
        text = "\r\n".join([f"{method} {path} HTTP/1.1", "Host: payer", *lines])
        return f"{text}\r\n\r\n".encode()


async def _sent(writer: asyncio.StreamWriter, body: bytes) -> None:
    with suppress(ConnectionError):
        for start in range(0, len(body), 1 << 18):
            writer.write(body[start : start + (1 << 18)])
            await writer.drain()


async def answer(reader: asyncio.StreamReader) -> tuple[int, Mapping[str, str], bytes]:
    """One answer off a connection; status 0 if it ends before one came."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (ConnectionError, asyncio.IncompleteReadError):
        return 0, {}, b""
    return int(head[0].split()[1]), headers, body


def statuses(answers: Sequence[Answer]) -> dict[int, int]:
    """How many answers there were of each status."""
    found = [each.status for each in answers]
    return {status: found.count(status) for status in sorted(set(found))}
