"""A subscriber on this machine: takes notifications, and answers each as a test tells it to."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson

from tests.bundle_values import Json
from tests.subscriptions import parameters

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Heard:
    """One request as it came."""

    head: str
    notification: Json

    @property
    def kind(self) -> str:
        return str(parameters(self.notification)["type"])

    @property
    def numbers(self) -> list[int]:
        events = parameters(self.notification)["notification-event"]
        return [int(event["event-number"]) for event in events]


@dataclass(slots=True)
class Listener:
    """What was heard, taken or not, in its order. `answer` is asked for every request."""

    answer: Answer
    scheme: str = "http"
    port: int = 0
    heard: list[Heard] = field(default_factory=list)

    @property
    def origin(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def kinds(self) -> list[str]:
        return [each.kind for each in self.heard]

    @property
    def numbers(self) -> list[int]:
        return [number for each in self.heard for number in each.numbers]


@asynccontextmanager
async def listening(answer: Answer, tls: ssl.SSLContext | None = None) -> AsyncIterator[Listener]:
    """A listener on a free port."""
    listener = Listener(answer, "https" if tls else "http")
    under_way: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                body = await reader.readexactly(_length(head))
                listener.heard.append(Heard(head, orjson.loads(body)))
                await listener.answer(writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            under_way.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    listener.port = server.sockets[0].getsockname()[1]
    try:
        yield listener
    finally:
        server.close()
        for task in list(under_way):
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await asyncio.sleep(0)


def _length(head: str) -> int:
    [line] = [each for each in head.split("\r\n") if each.lower().startswith("content-length:")]
    return int(line.partition(":")[2])


def status(line: str, more: str = "") -> Answer:
    """An answer without a body, such as `status("204 No Content")`."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        length = "" if line.startswith("204") else "Content-Length: 0\r\n"
        writer.write(f"HTTP/1.1 {line}\r\n{length}{more}\r\n".encode())

    return answer


TAKEN = status("200 OK")


async def endless(writer: asyncio.StreamWriter) -> None:
    """Takes it, and then talks for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n")
    while True:
        writer.write(b"x" * 4_096)
        await writer.drain()


async def silent(writer: asyncio.StreamWriter) -> None:
    """Never answers."""
    await asyncio.sleep(60)


async def hanging_up(writer: asyncio.StreamWriter) -> None:
    """Ends the connection without an answer."""
    writer.transport.abort()
