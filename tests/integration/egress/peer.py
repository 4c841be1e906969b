"""Another server on this machine that behaves as a test wants, byte by byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass(slots=True)
class Peer:
    """What a server was sent: one head of a request after the other."""

    port: int = 0
    heads: list[str] = field(default_factory=list)
    connections: int = 0
    closed: int = 0  # while we waited for a request
    broken_off: int = 0  # while we answered

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@asynccontextmanager
async def serving(
    answer: Answer, tls: ssl.SSLContext | None = None, greeting: bytes = b""
) -> AsyncIterator[Peer]:
    """A server that answers every request by `answer`, which writes what it likes."""
    peer = Peer()
    under_way: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer.connections += 1
        under_way.add(asyncio.current_task())
        writer.write(greeting)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                peer.heads.append(head.decode("latin-1"))
                await answer(writer)
                await writer.drain()
        except asyncio.IncompleteReadError:
            peer.closed += 1
        except ConnectionError:
            peer.broken_off += 1
        except asyncio.CancelledError:
            pass  # the test is over
        finally:
            under_way.discard(asyncio.current_task())
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    peer.port = server.sockets[0].getsockname()[1]
    try:
        yield peer
    finally:
        server.close()
        await asyncio.sleep(0.02)  # what the other side just closed is seen to be closed
        tasks = [task for task in under_way if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks)
        await asyncio.sleep(0)  # aborted connections are closed in the loop's next turn


def whole(
    body: bytes, status: str = "200 OK", kind: str = "application/fhir+json", more: str = ""
) -> Answer:
    """An answer as it should be."""
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(head.encode() + body)

    return answer


def dribbling(start: bytes, drop: bytes, seconds: float = 0.02) -> Answer:
    """An answer that never ends: `start`, then `drop` by drop."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(seconds)

    return answer
