"""The protocol over real sockets, with deadlines short enough for a test."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from fastapi import FastAPI

from tests.e2e.server.peer import (
    LARGE_ANSWER,
    SHORT,
    answer,
    application,
    connected,
    dribble,
    is_served,
    one_answer,
    pushed,
    running,
    wrapped,
)
from tests.listening import PATIENCE, Address, listening
from tests.pki import client_tls, pki, server_certificate, stored
from wiser_fhir.web.application import Look
from wiser_fhir.web.application import application as shelled
from wiser_fhir.web.tls import TlsFiles


@pytest.fixture(scope="module")
def address() -> Iterator[Address]:
    with running() as found:
        yield found


def test_a_request_is_answered_and_nobody_names_the_server(address: Address) -> None:
    with connected(address) as peer:
        peer.sendall(b"GET /ok HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        received = answer(peer)
    assert received.startswith(b"HTTP/1.1 200")
    assert b"\r\nserver:" not in received.lower()


def test_a_header_of_eight_megabytes_is_cut(address: Address) -> None:
    head = b"GET /ok HTTP/1.1\r\nhost: x\r\nx-long: " + b"a" * 8 * 1024 * 1024
    with connected(address) as peer:
        sent = pushed(peer, head)
        received = answer(peer)
    assert sent < len(head)
    assert received == b"" or received.startswith(b"HTTP/1.1 431")
    assert is_served(address)


def test_a_header_a_little_too_long_gets_431(address: Address) -> None:
    with connected(address) as peer:
        value = b"a" * (SHORT.header_bytes + 1)
        peer.sendall(b"GET /ok HTTP/1.1\r\nhost: x\r\nx-long: " + value + b"\r\n\r\n")
        received = answer(peer)
    assert received.startswith(b"HTTP/1.1 431")
    assert received.endswith(b"\r\n\r\n")


def test_a_hundred_thousand_headers_are_refused_quickly(address: Address) -> None:
    head = b"GET /ok HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 100_000 + b"\r\n"
    started = time.monotonic()
    with connected(address) as peer:
        pushed(peer, head)
        received = answer(peer)
    assert time.monotonic() - started < 1.0
    assert received == b"" or received.startswith(b"HTTP/1.1 431")
    assert is_served(address)


def test_a_hundred_headers_pass_and_one_more_does_not(address: Address) -> None:
    for count, status in ((100, b"200"), (101, b"431")):
        names = b"".join(b"x-%d: y\r\n" % n for n in range(count - 2))
        with connected(address) as peer:
            peer.sendall(b"GET /ok HTTP/1.1\r\nhost: x\r\nconnection: close\r\n" + names + b"\r\n")
            assert answer(peer).startswith(b"HTTP/1.1 " + status)


def test_a_url_too_long_gets_414(address: Address) -> None:
    with connected(address) as peer:
        peer.sendall(b"GET /ok?" + b"a" * SHORT.url_bytes + b" HTTP/1.1\r\nhost: x\r\n\r\n")
        assert answer(peer).startswith(b"HTTP/1.1 414")


@pytest.mark.parametrize("said", [b"", b"\r\n", b"GET /ok HTTP/1.1\r\nhost: x\r\n"])
def test_who_says_too_little_is_cut_at_the_deadline(address: Address, said: bytes) -> None:
    started = time.monotonic()
    with connected(address) as peer:
        peer.sendall(said)
        assert answer(peer) == b""
    assert SHORT.header_seconds * 0.8 < time.monotonic() - started < PATIENCE / 2


@pytest.mark.parametrize("piece", [b"x", b"\r\n"])
def test_dribbling_a_head_buys_no_time(address: Address, piece: bytes) -> None:
    started = time.monotonic()
    with connected(address) as peer:
        if piece == b"x":
            peer.sendall(b"GET /ok HTTP/1.1\r\nx-slow: ")
        dribble(peer, piece)
    assert time.monotonic() - started < PATIENCE / 2


def test_dribbling_a_body_ends_at_its_deadline(address: Address) -> None:
    started = time.monotonic()
    with connected(address) as peer:
        peer.sendall(b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
        dribble(peer, b"x")
    assert time.monotonic() - started < PATIENCE / 2


def test_dribbling_after_an_answer_ends_too(address: Address) -> None:
    started = time.monotonic()
    with connected(address) as peer:
        peer.sendall(b"GET /ok HTTP/1.1\r\nhost: x\r\n\r\n")
        assert one_answer(peer).startswith(b"HTTP/1.1 200")
        dribble(peer, b"\r\n")
    assert time.monotonic() - started < PATIENCE / 2


def test_a_peer_that_reads_no_answer_is_cut(address: Address) -> None:
    with connected(address) as peer:
        peer.sendall(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(SHORT.answer_seconds * 2)
        assert len(answer(peer)) < LARGE_ANSWER


def test_an_early_answer_reaches_a_peer_that_is_still_sending(address: Address) -> None:
    body = bytes(2 * 1024 * 1024)
    with connected(address) as peer:
        peer.sendall(
            b"POST /early HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            % len(body)
        )
        time.sleep(0.1)
        received = answer(peer)
    assert received.startswith(b"HTTP/1.1 413")


def test_a_peer_that_goes_on_sending_after_its_answer_is_cut(address: Address) -> None:
    started = time.monotonic()
    with connected(address) as peer:
        peer.sendall(b"POST /early HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n\r\n")
        assert one_answer(peer).startswith(b"HTTP/1.1 413")
        dribble(peer, bytes(1000))
    assert time.monotonic() - started < PATIENCE / 2


def test_head_and_a_large_body_in_one_piece_pass(address: Address) -> None:
    body = bytes(3 * SHORT.header_bytes)
    with connected(address) as peer:
        peer.sendall(
            b"POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
            % len(body)
            + body
        )
        assert answer(peer).endswith(str(len(body)).encode())


@pytest.mark.parametrize("size", [100_000, 150_000, 200_000, 262_144, 400_000, 5_000_000])
def test_large_bodies_on_one_connection_pass_however_they_are_cut(
    address: Address, size: int
) -> None:
    head = b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size
    with connected(address) as peer:
        for piece in (size, 64_000, 250_000):
            peer.sendall(head)
            time.sleep(0.02)
            pushed(peer, bytes(size), piece)
            assert one_answer(peer).endswith(str(size).encode())


def test_a_hundred_requests_in_one_piece_are_all_answered(address: Address) -> None:
    one = b"GET /ok HTTP/1.1\r\nhost: x\r\nx-fill: " + b"a" * 3_000 + b"\r\n\r\n"
    received = b""
    with connected(address) as peer:
        peer.sendall(one * 100)
        while received.count(b"HTTP/1.1 200") < 100:
            received += peer.recv(65_536)


def test_several_requests_on_one_connection_are_counted_apart(address: Address) -> None:
    names = b"".join(b"x-%d: y\r\n" % n for n in range(90))
    one = b"GET /ok HTTP/1.1\r\nhost: x\r\n" + names + b"\r\n"
    with connected(address) as peer:
        for _ in range(5):
            peer.sendall(one)
            assert one_answer(peer).startswith(b"HTTP/1.1 200")
        peer.sendall(one * 3)
        received = b""
        while received.count(b"HTTP/1.1 200") < 3:
            received += peer.recv(65_536)


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"NOT HTTP AT ALL\r\n\r\n",
        b"GET /ok HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n"
        b"transfer-encoding: chunked\r\n\r\n0\r\n",
        b"GET /ok HTTP/1.1\r\nhost: x\r\nbad header\r\n\r\n",
        b"\x00" * 1000,
    ],
)
def test_garbage_gets_a_short_400(address: Address, garbage: bytes) -> None:
    with connected(address) as peer:
        peer.sendall(garbage)
        received = answer(peer)
    assert received == b"" or received.startswith(b"HTTP/1.1 400")
    assert is_served(address)


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [(b"1.1", 0, 400), (b"1.1", 2, 400), (b"1.0", 2, 400), (b"1.1", 1, 200), (b"1.0", 0, 200)],
)
def test_a_request_names_one_host(
    address: Address, version: bytes, hosts: int, status: int
) -> None:
    with connected(address) as peer:
        head = b"GET /ok HTTP/%s\r\nconnection: close\r\n%s\r\n"
        peer.sendall(head % (version, b"Host: x\r\n" * hosts))
        assert answer(peer).startswith(b"HTTP/1.1 %d" % status)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    folder = tmp_path_factory.mktemp("tls")
    (folder / "ca.pem").write_bytes(pki().certificate_pem)
    return TlsFiles(*stored(server_certificate(), folder, "server"), folder / "ca.pem")


def test_facts_of_tls_reach_the_application(files: TlsFiles) -> None:
    with (
        running(tls=files) as address,
        connected(address) as plain,
        client_tls().wrap_socket(plain, server_hostname="127.0.0.1") as peer,
    ):
        peer.sendall(b"GET /ok HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert b'"tls_version":true' in answer(peer)


@pytest.mark.parametrize("said", [b"", b"\x16\x03\x01\x02\x00\x01"])
def test_who_ends_no_handshake_is_cut(files: TlsFiles, said: bytes) -> None:
    for tls in (files, files.without_clients()):
        with running(tls=tls) as address, connected(address) as peer:
            started = time.monotonic()
            peer.sendall(said)
            assert answer(peer) == b""
            assert time.monotonic() - started < PATIENCE / 2


def test_every_listener_keeps_the_limits(files: TlsFiles) -> None:
    head = b"GET /ok HTTP/1.1\r\nhost: x\r\n"
    both = (files, files.without_clients())
    with listening(application(), *both, limits=SHORT) as addresses:
        for address in addresses:
            with wrapped(address) as peer:
                peer.sendall(head + b"a: b\r\n" * 101 + b"\r\n")
                assert answer(peer).startswith(b"HTTP/1.1 431")
            with wrapped(address) as peer:
                peer.sendall(head)
                assert answer(peer) == b""


def test_a_head_gets_no_body_and_the_connection_goes_on() -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield

    app = shelled(lifespan, [], Look(protected=()))
    with listening(app, None) as [address], connected(address) as peer:
        for method in (b"HEAD", b"GET"):
            peer.sendall(method + b" /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            received = peer.recv(65_536) if method == b"HEAD" else one_answer(peer)
            head, _, body = received.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200")
            assert int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]) > 0
            assert bool(body) == (method == b"GET")


def test_the_uvicorn_this_leans_on_is_the_one_it_was_written_for() -> None:
    assert uvicorn.__version__ == "0.54.0"
