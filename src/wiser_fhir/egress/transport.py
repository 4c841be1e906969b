"""An httpx transport that looks at every address before it connects, and connects to just that.

httpx alone would resolve a name after we had checked it, and a name can answer otherwise the second
time. Here a name is resolved once for a connection, inside it; TLS and `Host` still say the name.
"""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

import anyio
import httpcore
import httpx

from wiser_fhir.egress.addresses import Allowed, read_address
from wiser_fhir.egress.errors import EgressError

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

MAX_CONNECTIONS = 64
_KEPT_OPEN = 16
_KEPT_OPEN_SECONDS = 15.0
_TRIED = 4

# Threads of their own: a name server that hangs must not hold up whatever else runs in threads.
_RESOLVERS = ThreadPoolExecutor(8, thread_name_prefix="resolve")
# A tenant names hosts, and so the servers that are asked for their addresses: it has some of them.
_RESOLVERS_PER_TENANT = 2
_SHARES: WeakValueDictionary[UUID | None, asyncio.Semaphore] = WeakValueDictionary()
_TENANT: ContextVar[UUID | None] = ContextVar("tenant", default=None)


@contextmanager
def looking_up_for(tenant: UUID) -> Iterator[None]:
    """Names are looked up on a tenant's account. A variable, for httpcore hands nothing through."""
    before = _TENANT.set(tenant)
    try:
        yield
    finally:
        _TENANT.reset(before)


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """The addresses the system knows for a name, in its order. Raises OSError.

    Who gives up waiting for them leaves a thread behind, which is the tenant's until it ends.
    """
    loop = asyncio.get_running_loop()
    share = _SHARES.setdefault(_TENANT.get(), asyncio.Semaphore(_RESOLVERS_PER_TENANT))
    await share.acquire()
    lookup = _RESOLVERS.submit(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)

    def ended(_: object) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            loop.call_soon_threadsafe(share.release)

    lookup.add_done_callback(ended)
    found = await asyncio.wrap_future(lookup)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connections to names all of whose addresses are allowed."""

    def __init__(
        self,
        resolve: Resolve,
        allowed: Allowed,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._resolve = resolve
        self._allowed = allowed
        self._network = network or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that lets us; each gets its share of `timeout`.

        Raises EgressError for an address that is not allowed, OSError, httpcore's errors.
        """
        addresses = (await self._addresses(host, port))[:_TRIED]
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return _Connection(await self._network.connect_tcp(address, port, share))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return _Connection(await self._network.connect_tcp(addresses[-1], port, share))

    async def _addresses(self, host: str, port: int) -> list[str]:
        literal = read_address(host)
        found = [host] if literal is not None else await self._resolve(host, port)
        if not found:
            raise httpcore.ConnectError
        addresses = [read_address(each) for each in found]
        allowed = [str(each) for each in addresses if each is not None and self._allowed(each)]
        if len(allowed) < len(addresses):
            raise EgressError("refused")
        return allowed


class _Connection(httpcore.AsyncNetworkStream):
    """A connection that is closed when its handshake is given up.

    httpcore's own then stays open for as long as the other side likes.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._stream.aclose()
            raise


class CheckedTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over a bounded pool of checked connections. Knows no proxy and no redirect."""

    def __init__(self, network: CheckedNetwork, tls: ssl.SSLContext) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=tls,
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=_KEPT_OPEN,
            keepalive_expiry=_KEPT_OPEN_SECONDS,
            network_backend=network,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request whose body is at hand. Raises EgressError, httpx.TransportError."""
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        sent = httpcore.Request(
            request.method,
            url,
            headers=request.headers.raw,
            content=request.content,
            extensions=request.extensions,
        )
        with _errors_of_httpx():
            answer = await self._pool.handle_async_request(sent)
        return httpx.Response(answer.status, headers=answer.headers, stream=_Body(answer))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    """What is left to read of an answer."""

    def __init__(self, answer: httpcore.Response) -> None:
        self._answer = answer

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _errors_of_httpx():
            async for chunk in self._answer.aiter_stream():
                yield chunk

    async def aclose(self) -> None:
        await self._answer.aclose()


@contextmanager
def _errors_of_httpx() -> Iterator[None]:
    """What goes wrong below, as a transport of httpx says it. A broken TLS record is an OSError."""
    try:
        yield
    except httpcore.TimeoutException:
        raise httpx.TimeoutException("slow") from None
    except (httpcore.NetworkError, httpcore.ProtocolError, OSError):
        raise httpx.TransportError("away") from None
