"""A subscriber that takes notifications from this server alone: by certificate and secret header.

The peer is a server of the standard library that demands both, and counts what it has taken.
"""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.clocks import StillClock
from tests.integration.notify.listening import Listener, listening, status
from tests.integration.notify.subscribers import MakeSender, MakeSubscriber, deliver
from tests.pki import EHR_URI, days_ago, pki, rogue, server_certificate, stored
from tests.subscriptions import SECRET
from wiser_fhir.egress.client import Egress, EgressError
from wiser_fhir.egress.tls import EgressTlsRefused, outgoing
from wiser_fhir.notify.sender import Sender
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.sandbox.authority import Issued

OUR_URI = "https://wiser.example.org"


def ours() -> Issued:
    return pki().issue((OUR_URI,))


class Gate:
    """Takes what carries the secret header; `taken` counts it."""

    def __init__(self) -> None:
        self.taken = 0
        self.listener: Listener | None = None

    async def __call__(self, writer: asyncio.StreamWriter) -> None:
        assert self.listener is not None
        secret = SECRET in self.listener.heard[-1].head.split("\r\n")
        self.taken += secret
        await status("200 OK" if secret else "401 Unauthorized")(writer)


@asynccontextmanager
async def guarded(folder: Path, shown: Issued | None = None) -> AsyncIterator[Gate]:
    """A subscriber's server that wants a certificate of `pki()`, and shows one of its own."""
    (folder / "ca.pem").write_bytes(pki().certificate_pem)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=folder / "ca.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_cert_chain(*stored(shown or server_certificate(), folder, "subscriber"))
    gate = Gate()
    async with listening(gate, tls) as listener:
        gate.listener = listener
        yield gate


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    async with guarded(tmp_path) as found:
        yield found


def listener_of(gate: Gate) -> Listener:
    assert gate.listener is not None
    return gate.listener


def tls_with(folder: Path, certificate: Issued | None) -> ssl.SSLContext:
    """What the settings make of our certificate and the subscriber's authority."""
    shown = None if certificate is None else stored(certificate, folder, "ours")
    return outgoing(folder / "ca.pem", shown)


@asynccontextmanager
async def calling(tls: ssl.SSLContext, gate: Gate) -> AsyncIterator[Egress]:
    egress = Egress([listener_of(gate).origin], tls=tls)
    yield egress
    await egress.aclose()


async def told(
    make_subscriber: MakeSubscriber, sender: Sender, gate: Gate, clock: StillClock
) -> object:
    """How a subscription stands after the first handshake was tried."""
    subscriber = await make_subscriber(listener_of(gate).origin)
    await subscriber.subscribe(listener_of(gate).origin)
    clock.wait(seconds=2)
    await deliver(sender)
    return (await subscriber.state())["status"]


async def test_who_demands_our_certificate_and_its_secret_header_is_told(
    tmp_path: Path,
    gate: Gate,
    make_sender: MakeSender,
    make_subscriber: MakeSubscriber,
    clock: StillClock,
) -> None:
    async with calling(tls_with(tmp_path, ours()), gate) as egress:
        sender = replace(make_sender(), egress=egress)
        assert await told(make_subscriber, sender, gate, clock) == "active"
    assert gate.taken == 1


STRANGERS: dict[str, Callable[[], Issued | None]] = {
    "no certificate": lambda: None,
    "of an unknown authority": lambda: rogue().issue((OUR_URI,)),
    "expired": lambda: days_ago(pki(), 40).issue((OUR_URI,), days=30),
    "for servers only": lambda: pki().issue((OUR_URI,), client=False, server=True),
}


@pytest.mark.parametrize("kind", STRANGERS)
async def test_a_notification_without_our_certificate_is_not_taken(
    tmp_path: Path,
    gate: Gate,
    make_sender: MakeSender,
    make_subscriber: MakeSubscriber,
    clock: StillClock,
    kind: str,
) -> None:
    async with calling(tls_with(tmp_path, STRANGERS[kind]()), gate) as egress:
        sender = replace(make_sender(), egress=egress)
        assert await told(make_subscriber, sender, gate, clock) == "requested"
    assert listener_of(gate).heard == []


@pytest.mark.parametrize("headers", [[], [("Authorization", "Bearer guessed")]], ids=len)
async def test_a_notification_without_the_secret_is_not_taken(
    tmp_path: Path, gate: Gate, headers: list[tuple[str, str]]
) -> None:
    origin = listener_of(gate).origin
    async with calling(tls_with(tmp_path, ours()), gate) as egress:
        with pytest.raises(EgressError, match="status 401"):
            await egress.post(
                f"{origin}/told",
                b'{"resourceType": "Bundle"}',
                headers=headers,
                within=[origin],
                tenant=time_ordered_uuid(),
                seconds=5,
            )
    assert gate.taken == 0


FALSE: dict[str, Callable[[], Issued]] = {
    "of an unknown authority": lambda: rogue().issue(ips=("127.0.0.1",), server=True),
    "expired": lambda: days_ago(pki(), 40).issue(ips=("127.0.0.1",), server=True),
    "of another name": lambda: pki().issue(dns=("other.example",), server=True),
    "for clients only": lambda: pki().issue(ips=("127.0.0.1",)),
}


@pytest.mark.parametrize("kind", FALSE)
async def test_who_plays_the_subscriber_is_told_nothing(
    tmp_path: Path,
    make_sender: MakeSender,
    make_subscriber: MakeSubscriber,
    clock: StillClock,
    kind: str,
) -> None:
    async with (
        guarded(tmp_path, FALSE[kind]()) as gate,
        calling(tls_with(tmp_path, ours()), gate) as egress,
    ):
        sender = replace(make_sender(), egress=egress)
        assert await told(make_subscriber, sender, gate, clock) == "requested"
    assert listener_of(gate).heard == []


async def test_an_authority_is_believed_only_when_it_is_named(
    tmp_path: Path,
    gate: Gate,
    make_sender: MakeSender,
    make_subscriber: MakeSubscriber,
    clock: StillClock,
) -> None:
    tls = outgoing(certificate=stored(ours(), tmp_path, "ours"))
    async with calling(tls, gate) as egress:
        sender = replace(make_sender(), egress=egress)
        assert await told(make_subscriber, sender, gate, clock) == "requested"
    assert listener_of(gate).heard == []


def test_files_that_make_no_sense_are_named(tmp_path: Path) -> None:
    chain, key = stored(ours(), tmp_path, "ours")
    other = stored(pki().issue((EHR_URI,)), tmp_path, "other")[1]
    empty = tmp_path / "empty.pem"
    empty.write_bytes(b"")
    with pytest.raises(EgressTlsRefused, match=r"other\.key"):
        outgoing(certificate=(chain, other))
    with pytest.raises(EgressTlsRefused, match="absent"):
        outgoing(certificate=(chain, tmp_path / "absent"))
    with pytest.raises(EgressTlsRefused, match=r"empty\.pem"):
        outgoing(empty)
    outgoing(certificate=(chain, key))
