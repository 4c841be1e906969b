"""What a peer has begun has to keep coming, unless it is the application that does not take it."""

import time
from dataclasses import replace

import pytest

from tests.e2e.server.peer import (
    LATER_SECONDS,
    SHORT,
    answer,
    connected,
    dribble,
    is_served,
    one_answer,
    running,
)
from tests.listening import PATIENCE

HEAD = b"POST /%s HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
CHUNKED = b"POST /length HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
LIMITS = replace(SHORT, body_start_seconds=0.4, body_rate=10_000, body_seconds=4.0)
# Nothing is earned by what has come: only the application's pauses count.
EARNING_NOTHING = replace(LIMITS, body_rate=1_000_000_000)


@pytest.mark.parametrize(
    ("head", "piece"), [(HEAD % (b"length", 1_000), b"x"), (CHUNKED, b"1\r\nx\r\n")]
)
def test_a_body_that_hardly_comes_is_cut_long_before_the_last_moment(
    head: bytes, piece: bytes
) -> None:
    with running(LIMITS) as address, connected(address) as peer:
        started = time.monotonic()
        peer.sendall(head)
        dribble(peer, piece)
        took = time.monotonic() - started
    assert LIMITS.body_start_seconds * 0.8 < took < LIMITS.body_seconds / 2


@pytest.mark.parametrize("chunked", [False, True])
def test_a_steady_body_above_the_least_rate_passes(chunked: bool) -> None:
    pieces = [bytes(3_000)] * 12
    with running(LIMITS) as address, connected(address) as peer:
        started = time.monotonic()
        peer.sendall(CHUNKED if chunked else HEAD % (b"length", 36_000))
        for each in pieces:
            time.sleep(0.1)
            peer.sendall(b"%x\r\n%s\r\n" % (len(each), each) if chunked else each)
        if chunked:
            peer.sendall(b"0\r\n\r\n")
        assert one_answer(peer).endswith(b"36000")
    assert time.monotonic() - started > LIMITS.body_start_seconds * 2


def test_a_peer_waits_for_an_application_that_pauses_the_reading() -> None:
    with running(EARNING_NOTHING) as address, connected(address) as peer:
        peer.sendall(HEAD % (b"later", 1_000_000) + bytes(1_000_000))
        assert one_answer(peer).endswith(b"1000000")


def test_but_not_for_ever() -> None:
    limits = replace(EARNING_NOTHING, body_seconds=LATER_SECONDS / 2)
    with running(limits) as address, connected(address) as peer:
        started = time.monotonic()
        peer.sendall(HEAD % (b"later", 1_000_000) + bytes(1_000_000))
        assert answer(peer) == b""
        assert time.monotonic() - started < LATER_SECONDS
        assert is_served(address)


def test_who_waits_to_be_asked_for_the_body_is_not_cut() -> None:
    head = b"POST /later HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"
    with running(EARNING_NOTHING) as address, connected(address) as peer:
        peer.sendall(head)
        assert peer.recv(65_536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        peer.sendall(b"hello")
        assert one_answer(peer).endswith(b"5")


def test_an_answer_read_late_does_not_free_a_peer_of_its_body() -> None:
    with running(LIMITS) as address, connected(address) as peer:
        peer.sendall(b"GET /much HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n")
        one_answer(peer)
        started = time.monotonic()
        dribble(peer, b"x")
    assert time.monotonic() - started < PATIENCE / 2


def test_nor_of_the_head_that_it_has_begun() -> None:
    with running(LIMITS) as address, connected(address) as peer:
        peer.sendall(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(0.2)
        peer.sendall(b"GET /ok HTTP/1.1\r\nx-slow: ")
        one_answer(peer)
        started = time.monotonic()
        assert answer(peer) == b""
    assert time.monotonic() - started < PATIENCE / 2
