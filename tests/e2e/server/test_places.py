"""Whose place a newcomer gets when all are taken: that of who asks for nothing."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.server.peer import (
    LARGE_ANSWER,
    OK,
    answer,
    application,
    connected,
    is_eventually,
    is_served,
    one_answer,
    running,
    wrapped,
)
from tests.listening import Address, listening
from tests.pki import pki, server_certificate, stored
from wiser_fhir.server import Limits
from wiser_fhir.web.tls import TlsFiles

# No deadline ends within a test: who is cut has lost its place.
PATIENT = Limits(connections=3, header_seconds=60, body_start_seconds=60, answer_seconds=60)
UNDER_WAY = b"POST /length HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhel"


@contextmanager
def three(address: Address, *said: bytes) -> Iterator[list[socket.socket]]:
    """Three peers who came one after the other and have said so much."""
    with ExitStack() as held:
        peers = []
        for each in said:
            peer = held.enter_context(connected(address))
            peer.sendall(each)
            time.sleep(0.1)
            peers.append(peer)
        yield peers


@pytest.mark.parametrize("said", [b"", b"GET /ok HTTP/1.1\r\nx-slow: ", OK])
def test_a_newcomer_gets_the_place_of_who_has_waited_longest(said: bytes) -> None:
    with running(PATIENT) as address, three(address, b"", said, b"") as (first, second, third):
        if said == OK:
            one_answer(second)
        for each in (third, first):
            each.sendall(OK)
            assert one_answer(each).startswith(b"HTTP/1.1 200")
        assert is_served(address)
        assert answer(second) == b""
        for each in (first, third):
            each.sendall(OK)
            assert one_answer(each).startswith(b"HTTP/1.1 200")


def test_who_has_a_request_under_way_keeps_its_place() -> None:
    later = b"POST /later HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"
    with (
        running(PATIENT) as address,
        three(address, UNDER_WAY, later + OK[:10], b"") as (reading, answering, idle),
    ):
        assert is_served(address)
        assert answer(idle) == b""
        reading.sendall(b"lo")
        assert one_answer(reading).endswith(b"5")
        assert one_answer(answering).endswith(b"0")


def test_one_connection_too_many_gets_503() -> None:
    with running(PATIENT) as address:
        with three(address, UNDER_WAY, UNDER_WAY, UNDER_WAY) as peers:
            with connected(address) as newcomer:
                received = answer(newcomer)
            assert received.startswith(b"HTTP/1.1 503")
            assert b"retry-after" in received
            for each in peers:
                each.sendall(b"lo")
                assert one_answer(each).endswith(b"5")
        assert is_eventually(lambda: is_served(address))


def test_an_answer_on_its_way_is_not_cut() -> None:
    with running(replace(PATIENT, connections=1)) as address, connected(address) as reader:
        reader.sendall(b"GET /much HTTP/1.1\r\nhost: x\r\n\r\n")
        time.sleep(0.3)
        assert not is_served(address)
        assert len(one_answer(reader)) > LARGE_ANSWER


def test_listeners_share_the_limit_of_connections(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(pki().certificate_pem)
    files = TlsFiles(*stored(server_certificate(), tmp_path, "server"), tmp_path / "ca.pem")
    both = (files, files.without_clients())
    limits = replace(PATIENT, connections=2)
    with listening(application(), *both, limits=limits) as addresses, ExitStack() as held:
        for address in addresses:
            held.enter_context(wrapped(address)).sendall(UNDER_WAY)
        time.sleep(0.1)
        for address in addresses:
            assert answer(held.enter_context(wrapped(address))).startswith(b"HTTP/1.1 503")
