"""A small application on a server of its own, and a rude peer of it, over real sockets."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse, Response

from tests.listening import PATIENCE, Address, listening
from tests.pki import client_tls
from wiser_fhir.server import Limits
from wiser_fhir.web.tls import TlsFiles

OK = b"GET /ok HTTP/1.1\r\nhost: x\r\n\r\n"
LATER_SECONDS = 1.5
SHORT = Limits(
    connections=20,
    header_seconds=0.6,
    body_seconds=1.0,
    answer_seconds=0.6,
    linger_seconds=0.6,
)
LARGE_ANSWER = 64 * 1024 * 1024


def application() -> FastAPI:
    app = FastAPI()

    @app.get("/ok")
    async def ok(request: Request) -> dict[str, Any]:
        tls = request.scope.get("extensions", {}).get("tls")
        return {"tls": tls and {k: bool(v) for k, v in tls.items()}}

    @app.post("/length")
    async def length(request: Request) -> int:
        return len(await request.body())

    @app.post("/early")
    async def early() -> Response:
        return PlainTextResponse("no", 413)

    @app.post("/later")
    async def later(request: Request) -> int:
        await asyncio.sleep(LATER_SECONDS)
        return len(await request.body())

    @app.get("/much")
    async def much() -> Response:
        return Response(bytes(LARGE_ANSWER))

    return app


@contextmanager
def running(limits: Limits = SHORT, tls: TlsFiles | None = None) -> Iterator[Address]:
    """A server of one listener."""
    with listening(application(), tls, limits=limits) as [address]:
        yield address


@contextmanager
def connected(address: Address) -> Iterator[socket.socket]:
    with socket.create_connection(address, timeout=PATIENCE) as peer:
        yield peer


def answer(peer: socket.socket) -> bytes:
    """Everything until the server closes, b"" also when it resets."""
    received = b""
    try:
        while chunk := peer.recv(65_536):
            received += chunk
    except ConnectionError:
        pass
    return received


def one_answer(peer: socket.socket) -> bytes:
    """One answer on a connection that stays, by its content-length."""
    received = b""
    while b"\r\n\r\n" not in received:
        piece = peer.recv(65_536)
        assert piece, "cut before an answer"
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    rest = bytearray(body)
    while len(rest) < length:
        piece = peer.recv(1 << 20)
        assert piece, "cut amid an answer"
        rest += piece
    return head + b"\r\n\r\n" + rest


def pushed(peer: socket.socket, data: bytes, chunk: int = 65_536) -> int:
    """How much of `data` could be sent before the server had enough."""
    for start in range(0, len(data), chunk):
        try:
            peer.sendall(data[start : start + chunk])
        except (ConnectionError, TimeoutError):
            return start
    return len(data)


def dribble(peer: socket.socket, piece: bytes) -> None:
    """Send a little again and again, until the server cuts the connection."""
    deadline = time.monotonic() + PATIENCE
    try:
        while time.monotonic() < deadline:
            peer.sendall(piece)
            time.sleep(0.05)
    except ConnectionError:
        return
    pytest.fail("the server goes on listening")


def is_served(address: Address) -> bool:
    with connected(address) as peer:
        peer.sendall(b"GET /ok HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        return answer(peer).startswith(b"HTTP/1.1 200")


def is_eventually(true: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@contextmanager
def wrapped(address: Address) -> Iterator[ssl.SSLSocket]:
    with (
        connected(address) as plain,
        client_tls().wrap_socket(plain, server_hostname="127.0.0.1") as peer,
    ):
        yield peer
