"""Sockets: a protocol with a limit on everything a peer can choose, and the run until a signal.

uvicorn with httptools takes a header of 8 MB, 100,000 headers, and keeps peers that send nothing;
no option changes that. HTTP/1.1 only. The subclass leans on private callbacks of uvicorn, whose
version is pinned exactly; tests over real sockets hold the two together.
"""

import asyncio
import ctypes
import gc
import socket
import ssl
from asyncio import TimerHandle
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import FrameType

import uvicorn
import uvloop
from fastapi import FastAPI
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from wiser_fhir.auth.certificates import thumbprint_of

_GRACE_SECONDS = 10
_KEEP_ALIVE_SECONDS = 30
_BACKLOG = 1024
_LOOK_SECONDS = 1.0
# M_TRIM_THRESHOLD, M_MMAP_THRESHOLD and M_ARENA_MAX of glibc's malloc.h.
_MALLOC_OPTIONS = ((-1, 128 * 1024), (-3, 256 * 1024), (-8, 2))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may take. Seconds count from the start of what they bound.

    A body has `body_start_seconds`, and a second more for each `body_rate` bytes that have come;
    while the application pauses the reading that stands still. `body_seconds` ends it all the same,
    so it lies above the slowest upload accepted.
    """

    connections: int = 512
    header_bytes: int = 64 * 1024
    header_count: int = 100
    url_bytes: int = 8 * 1024
    header_seconds: float = 5.0
    body_start_seconds: float = 5.0
    body_rate: int = 64 * 1024
    body_seconds: float = 120.0
    answer_seconds: float = 30.0
    linger_seconds: float = 5.0


class _Refused(Exception):
    """Ends the parsing of a request; the status is on the protocol."""


class SecureProtocol(HttpToolsProtocol):
    """One connection, bounded in bytes and in time.

    Phases: headers (from the first moment of a connection), body, answer, and keep-alive, which is
    uvicorn's. At most one deadline runs; past it the connection is cut. Where all places are taken
    a newcomer gets that of whoever has waited longest with no request under way.
    """

    limits = Limits()

    _timer: TimerHandle | None = None
    _tls: dict[object, object] | None = None
    _in_headers = True
    _whole = True
    _header_count = 0
    _header_bytes = 0
    _raw_bytes = 0
    _turns = 0
    _refusal = 400
    _waiting_since = 0.0
    _body_bytes = 0
    _body_until = 0.0
    _body_end = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A peer has connected; it has a few seconds for its first request."""
        super().connection_made(transport)
        self._tls = _tls_facts(transport)
        self._waiting_since = self.loop.time()
        if len(self.connections) > self.limits.connections and not self._take_a_place():
            self._refuse(503, b"retry-after: 2\r\n")
            return
        self._arm(self.limits.header_seconds)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer is gone."""
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; then see whether an unfinished head has grown too large."""
        if self.transport.is_closing():
            return
        if self._in_headers and self._timer is None:
            self._arm(self.limits.header_seconds)
        turns = self._turns
        super().data_received(data)
        if not self._in_headers or turns != self._turns:
            return  # what belongs to the head is not known; the next piece will tell
        self._raw_bytes += len(data)
        if self._raw_bytes > 2 * self.limits.header_bytes and not self.transport.is_closing():
            self._refuse(431)

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._header_count = self._header_bytes = self._raw_bytes = 0
        self._turns += 1
        self._in_headers, self._whole = True, False
        self._arm(self.limits.header_seconds)
        if self._tls is not None:
            self.scope["extensions"] = {"tls": self._tls}

    def on_url(self, url: bytes) -> None:
        """A piece of the URL."""
        super().on_url(url)
        if len(self.url) > self.limits.url_bytes:
            self._refusal = 414
            raise _Refused

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, whole."""
        self._header_count += 1
        self._header_bytes += len(name) + len(value)
        limits = self.limits
        if self._header_count > limits.header_count or self._header_bytes > limits.header_bytes:
            self._refusal = 431
            raise _Refused
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is read; the body may follow."""
        if not self._names_its_host():
            raise _Refused
        self._in_headers = False
        super().on_headers_complete()
        now = self.loop.time()
        self._body_bytes = 0
        self._body_until = now + self.limits.body_start_seconds
        self._body_end = now + self.limits.body_seconds
        self._look_at_body()

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is read."""
        self._in_headers, self._whole, self._raw_bytes = True, True, 0
        self._turns += 1
        self._disarm()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is written. A peer still sending gets a moment to finish, then is cut.

        Closing at once would reset the connection and lose the answer on its way.
        """
        super().on_response_complete()
        self._waiting_since = self.loop.time()
        if not self._whole and not self.transport.is_closing():
            self._arm(self.limits.linger_seconds)

    def pause_writing(self) -> None:
        """The peer does not read its answer."""
        super().pause_writing()
        self._arm(self.limits.answer_seconds)

    def resume_writing(self) -> None:
        """The peer reads again. What it has not sent to the end is due as before."""
        super().resume_writing()
        if self._whole:
            self._disarm()
        elif self._in_headers:
            self._arm(self.limits.header_seconds)
        elif self.cycle.response_complete:
            self._arm(self.limits.linger_seconds)
        else:
            self._look_at_body()

    def timeout_keep_alive_handler(self) -> None:
        """No further request came. A peer that has not read the last answer never will."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        super().timeout_keep_alive_handler()

    def send_400_response(self, msg: str) -> None:
        """Answer what could not be parsed, or was refused while parsing."""
        self._refuse(self._refusal)

    def _names_its_host(self) -> bool:
        """Whether there is one Host; HTTP/1.0 may do without. Source: RFC 9112, 3.2."""
        hosts = [name for name, _ in self.headers].count(b"host")
        return hosts == 1 or (hosts == 0 and self.parser.get_http_version() == "1.0")

    def _take_a_place(self) -> bool:
        """Cut whoever has waited longest; False if everybody has a request under way."""
        others = (each for each in self.connections if isinstance(each, SecureProtocol))
        waiting = [each for each in others if each is not self and each._waits()]
        if not waiting:
            return False
        min(waiting, key=lambda each: each._waiting_since).transport.abort()
        return True

    def _waits(self) -> bool:
        """Whether no request is read or answered, and the last answer is out."""
        answered = self.cycle is None or self.cycle.response_complete
        if not self._in_headers or not answered or self.transport.is_closing():
            return False
        return not self.transport.get_write_buffer_size()

    def _look_at_body(self) -> None:
        """Cut a peer whose body is not coming; else look again.

        It is not to blame while the application does not read, or has not asked for the body yet.
        """
        now = self.loop.time()
        self._body_until += self._body_bytes / self.limits.body_rate
        self._body_bytes = 0
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self._body_until = max(self._body_until, now + self.limits.body_start_seconds)
        left = min(self._body_until, self._body_end) - now
        if left <= 0:
            self.transport.abort()
        else:
            self._arm(min(left, _LOOK_SECONDS), self._look_at_body)

    def _refuse(self, status: int, header: bytes = b"") -> None:
        """A short answer without the application. Amid another answer: none, just the cut."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.abort()
            return
        head = STATUS_LINE[status] + header + b"content-length: 0\r\nconnection: close\r\n\r\n"
        self.transport.write(head)
        self.transport.close()

    def _arm(self, seconds: float, due: Callable[[], None] | None = None) -> None:
        self._disarm()
        if not self.transport.is_closing():
            self._timer = self.loop.call_later(seconds, due or self.transport.abort)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _tls_facts(transport: asyncio.Transport) -> dict[object, object] | None:
    """What the connection says of the peer: TLS version, its certificate and that one's SHA-256."""
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return None
    asked = tls.context.verify_mode != ssl.CERT_NONE
    certificate = tls.getpeercert(binary_form=True) if asked else None
    return {
        "tls_version": tls.version(),
        "client_cert": certificate,
        "x5t#S256": thumbprint_of(certificate) if certificate else None,
    }


@dataclass(frozen=True, slots=True)
class Listener:
    """A bound socket, and the TLS spoken on it; None for plain HTTP."""

    bound: socket.socket
    tls: ssl.SSLContext | None = None


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet, so the port is known before anybody can connect.

    Port 0 takes a free one. Raises OSError.
    """
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def address_of(bound: socket.socket, host: str, *, tls: bool) -> str:
    """The address a bound socket is reached at, as `scheme://host:port`."""
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if tls else 'http'}://{shown}:{bound.getsockname()[1]}"


class _Server(uvicorn.Server):
    """uvicorn that says when it answers, and for which a signal is an orderly end, not an error.

    The limit of connections is one for all listeners.
    """

    def __init__(
        self,
        config: Config,
        listeners: Sequence[Listener],
        limits: Limits,
        ready: Callable[[], None],
    ) -> None:
        super().__init__(config)
        self._listeners = listeners
        self._limits = limits
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.servers = [await self._listening(each) for each in self._listeners]
        self.started = True
        gc.collect()
        gc.freeze()  # what is there now stays: the collector need not walk it again
        gc.enable()
        self._ready()

    async def _listening(self, listener: Listener) -> asyncio.Server:
        tls = listener.tls
        return await asyncio.get_running_loop().create_server(
            self._protocol,
            sock=listener.bound,
            ssl=tls,
            backlog=self.config.backlog,
            ssl_handshake_timeout=self._limits.header_seconds if tls else None,
            ssl_shutdown_timeout=self._limits.linger_seconds if tls else None,
        )

    def _protocol(self) -> SecureProtocol:
        protocol = SecureProtocol(self.config, self.server_state, {})
        protocol.limits = self._limits
        return protocol

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.should_exit:
            self.force_exit = True
        self.should_exit = True


def build(
    app: FastAPI, listeners: Sequence[Listener], ready: Callable[[], None], limits: Limits
) -> uvicorn.Server:
    """The server for an application; `ready` is called once it answers on every listener."""
    config = Config(
        app,
        http=SecureProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    return _Server(config, listeners, limits, ready)


def _give_memory_back() -> None:
    """Have what a large body took go back to the system. glibc keeps more with each, for the next
    to be quicker; other libraries have no such option.
    """
    process = ctypes.CDLL(None)
    if hasattr(process, "mallopt"):
        for option, value in _MALLOC_OPTIONS:
            process.mallopt(option, value)


def run(
    app: FastAPI, listeners: Sequence[Listener], ready: Callable[[], None], limits: Limits
) -> None:
    """Serve on bound sockets until SIGTERM or SIGINT.

    The application's own start is awaited first and its errors are raised here.
    """
    server = build(app, listeners, ready, limits)
    _give_memory_back()
    gc.disable()  # until it answers: next to nothing of what a start makes is garbage

    async def serve() -> None:
        async with app.router.lifespan_context(app):
            await server.serve([each.bound for each in listeners])

    with ExitStack() as held:
        for each in listeners:
            held.enter_context(each.bound)
        runner = held.enter_context(asyncio.Runner(loop_factory=uvloop.new_event_loop))
        runner.run(serve())
