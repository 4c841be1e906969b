import asyncio
import socket
import ssl
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import httpcore
import httpx
import pytest

from tests.unit.egress.peer import OTHER_TENANT, TENANT
from wiser_fhir.egress.addresses import is_public, is_public_or_near
from wiser_fhir.egress.client import Egress
from wiser_fhir.egress.errors import EgressError
from wiser_fhir.egress.transport import CheckedNetwork, CheckedTransport, Resolve, system_resolve

OK = [b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n", b"{}"]


class Recorded(httpcore.AsyncNetworkBackend):
    """Takes down what is connected to; the addresses in `dead` do not answer."""

    def __init__(self, *dead: str, error: type[Exception] = httpcore.ConnectError) -> None:
        self.dead = dead
        self.error = error
        self.connected: list[tuple[str, int, float | None]] = []

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self.connected.append((host, port, timeout))
        if host in self.dead:
            raise self.error
        return httpcore.AsyncMockStream(list(OK))


def answering(*answers: Sequence[str]) -> Resolve:
    """A name server with one answer after the other; asked again it fails the test."""
    left = list(answers)

    async def resolve(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("ehr.example", 443)
        return left.pop(0)

    return resolve


def transport(resolve: Resolve, network: Recorded) -> CheckedTransport:
    checked = CheckedNetwork(resolve, is_public, network)
    return CheckedTransport(checked, ssl.create_default_context())


def request() -> httpx.Request:
    return httpx.Request("GET", "https://ehr.example/fhir/Patient/1")


async def test_the_address_that_was_looked_at_is_the_one_connected_to() -> None:
    network = Recorded()
    resolve = answering(["8.8.8.8"], ["127.0.0.1"])
    response = await transport(resolve, network).handle_async_request(request())
    assert await response.aread() == b"{}"
    assert network.connected == [("8.8.8.8", 443, None)]


async def test_a_name_that_answers_otherwise_the_second_time_is_refused_then() -> None:
    network = Recorded()
    rebound = transport(answering(["8.8.8.8"], ["127.0.0.1"]), network)
    await (await rebound.handle_async_request(request())).aread()
    with pytest.raises(EgressError, match="refused"):
        await rebound.handle_async_request(request())
    assert [host for host, _, _ in network.connected] == ["8.8.8.8"]


@pytest.mark.parametrize(
    "answer",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "10.0.0.1"],
        ["10.0.0.1", "8.8.8.8"],
        ["8.8.8.8", "2606:4700::1111", "169.254.169.254"],
        ["8.8.8.8", "1.1.1.1", "9.9.9.9", "8.8.4.4", "::1"],
        ["::ffff:10.0.0.1"],
        ["64:ff9b::8.8.8.8"],
        ["2606:4700::1111%eth0"],
        ["evil.example"],
    ],
)
async def test_one_address_that_is_not_public_refuses_them_all(answer: Sequence[str]) -> None:
    network = Recorded()
    with pytest.raises(EgressError, match="refused"):
        await transport(answering(answer), network).handle_async_request(request())
    assert network.connected == []


async def test_an_address_for_a_name_is_looked_at_and_not_resolved() -> None:
    network = Recorded()
    checked = CheckedNetwork(answering(), is_public, network)
    await checked.connect_tcp("8.8.8.8", 443)
    await checked.connect_tcp("::ffff:8.8.8.8", 443)
    for near in ("127.0.0.1", "::ffff:127.0.0.1", "::1"):
        with pytest.raises(EgressError, match="refused"):
            await checked.connect_tcp(near, 443)
    assert [host for host, _, _ in network.connected] == ["8.8.8.8", "8.8.8.8"]


@pytest.mark.parametrize("error", [httpcore.ConnectError, httpcore.ConnectTimeout])
async def test_the_next_address_is_tried_and_each_has_its_share_of_the_time(
    error: type[Exception],
) -> None:
    network = Recorded("2606:4700::1111", error=error)
    checked = CheckedNetwork(answering(["2606:4700::1111", "8.8.8.8"]), is_public, network)
    await checked.connect_tcp("ehr.example", 443, timeout=5)
    assert network.connected == [("2606:4700::1111", 443, 2.5), ("8.8.8.8", 443, 2.5)]


async def test_only_so_many_addresses_are_tried() -> None:
    many = [f"8.8.8.{n}" for n in range(1, 100)]
    network = Recorded(*many)
    with pytest.raises(httpcore.ConnectError):
        await CheckedNetwork(answering(many), is_public, network).connect_tcp("ehr.example", 443)
    assert len(network.connected) == 4


async def test_a_name_without_an_address_is_away() -> None:
    with pytest.raises(httpx.TransportError):
        await transport(answering([]), Recorded()).handle_async_request(request())


async def test_a_name_that_cannot_be_resolved_is_away() -> None:
    async def unknown(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror

    with pytest.raises(httpx.TransportError):
        await transport(unknown, Recorded()).handle_async_request(request())


async def test_what_times_out_below_is_a_timeout() -> None:
    network = Recorded("8.8.8.8", error=httpcore.ConnectTimeout)
    with pytest.raises(httpx.TimeoutException):
        await transport(answering(["8.8.8.8"]), network).handle_async_request(request())


async def test_the_system_knows_this_machine() -> None:
    addresses = await system_resolve("localhost", 80)
    assert "127.0.0.1" in addresses
    assert len(set(addresses)) == len(addresses)


async def test_this_machine_is_connected_to_only_where_that_is_allowed() -> None:
    network = Recorded()
    await CheckedNetwork(system_resolve, is_public_or_near, network).connect_tcp("localhost", 80)
    assert len(network.connected) == 1
    with pytest.raises(EgressError, match="refused"):
        await CheckedNetwork(system_resolve, is_public, network).connect_tcp("localhost", 80)
    assert len(network.connected) == 1


@dataclass
class NameServers:
    """What the system asks: one says nothing until it is told to, the others lead inside."""

    speak: Event = field(default_factory=Event)
    asked: list[str] = field(default_factory=list)

    def getaddrinfo(self, host: str, port: int, **_: Any) -> list[Any]:
        self.asked.append(host)
        if host == "tarpit.example":
            self.speak.wait(30)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def name_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServers]:
    servers = NameServers()
    monkeypatch.setattr(socket, "getaddrinfo", servers.getaddrinfo)
    yield servers
    servers.speak.set()


async def test_a_name_server_that_is_silent_holds_up_the_tenant_who_named_it_alone(
    name_servers: NameServers,
) -> None:
    egress = Egress()

    async def reason(host: str, seconds: float, tenant: Any) -> str:
        """`refused`: there is an address, and it is not public."""
        url = f"https://{host}/"
        asked: dict[str, Any] = {"within": [url], "tenant": tenant, "seconds": seconds}
        with pytest.raises(EgressError) as failed:
            if host == "told.example":
                await egress.post(url, b"{}", headers=(), **asked)
            else:
                await egress.get_json(url, **asked)
        return failed.value.reason

    stuck = [reason("tarpit.example", 0.1, TENANT) for _ in range(12)]
    assert await asyncio.gather(*stuck) == ["slow"] * 12
    assert await reason("ehr.example", 0.1, TENANT) == "slow"
    assert await reason("told.example", 0.1, TENANT) == "slow"
    assert name_servers.asked == ["tarpit.example"] * 2
    for host in ("ehr.example", "told.example"):
        assert await reason(host, 10, OTHER_TENANT) == "refused"
    name_servers.speak.set()
    for host in ("ehr.example", "told.example"):
        assert await reason(host, 10, TENANT) == "refused"
    await egress.aclose()


async def test_a_lookup_that_was_given_up_is_not_begun_or_ends_in_silence(
    name_servers: NameServers, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    resolvers = ThreadPoolExecutor(1)
    monkeypatch.setattr("wiser_fhir.egress.transport._RESOLVERS", resolvers)

    async def give_up() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await asyncio.gather(
                    system_resolve("tarpit.example", 443), system_resolve("ehr.example", 443)
                )

    await asyncio.to_thread(lambda: asyncio.run(give_up()))
    name_servers.speak.set()
    await asyncio.to_thread(resolvers.shutdown)
    assert name_servers.asked == ["tarpit.example"]
    assert caplog.records == []
