"""Posting to other servers: what is sent, what counts as taken, and where nothing is sent."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import httpx
import pytest

from tests.unit.egress.peer import TENANT, Content, Peer
from wiser_fhir.egress.client import PER_TENANT, Egress, EgressError

HOST = "https://ehr.example"
URL = f"{HOST}/told?a=b"
BODY = b'{"resourceType":"Bundle"}'
HEADERS = (
    ("Content-Type", "application/fhir+json"),
    ("Authorization", "Bearer canary"),
    ("X-Twice", "1"),
    ("X-Twice", "2"),
)


async def post(
    peer: Peer,
    url: str = URL,
    *,
    headers: Sequence[tuple[str, str]] = HEADERS,
    within: Sequence[str] = (HOST,),
    seconds: float = 5.0,
) -> None:
    egress = Egress(transport=peer)
    await egress.post(url, BODY, headers=headers, within=within, tenant=TENANT, seconds=seconds)


async def test_the_body_is_sent_with_the_headers_as_they_stand() -> None:
    peer = Peer(b"")
    await post(peer)
    [sent] = peer.requests
    assert (sent.method, str(sent.url), sent.content) == ("POST", URL, BODY)
    assert sent.headers.get_list("x-twice") == ["1", "2"]
    assert sent.headers["authorization"] == "Bearer canary"
    assert sent.headers["content-length"] == str(len(BODY))
    assert sent.headers["host"] == "ehr.example"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_taken(status: int) -> None:
    await post(Peer(b"<html>", status=status, headers={"Content-Type": "text/html"}))


@pytest.mark.parametrize(
    "status", [101, 300, 301, 302, 307, 308, 400, 401, 404, 410, 429, 500, 503]
)
async def test_nothing_else_is_and_no_redirect_is_followed(status: int) -> None:
    peer = Peer(b"", status=status, headers={"Location": "https://ehr.example/elsewhere"})
    with pytest.raises(EgressError) as refused:
        await post(peer)
    assert str(refused.value) == f"status {status}"
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    ("url", "within"),
    [
        ("https://other.example/told", [HOST]),
        ("https://ehr.example.evil/told", [HOST]),
        ("http://ehr.example/told", ["http://ehr.example"]),
        ("https://ehr.example:8443/told", [HOST]),
        ("https://127.0.0.1/told", ["https://127.0.0.1"]),
        ("https://169.254.169.254/latest", ["https://169.254.169.254"]),
        ("nothing", [HOST]),
        (URL, []),
    ],
)
async def test_nothing_goes_where_it_may_not(url: str, within: list[str]) -> None:
    peer = Peer(b"")
    with pytest.raises(EgressError, match="refused"):
        await post(peer, url, within=within)
    assert peer.requests == []


async def test_a_header_that_is_no_ascii_is_not_sent() -> None:
    peer = Peer(b"")
    with pytest.raises(EgressError, match="refused"):
        await post(peer, headers=[("X", "☃")])
    assert peer.requests == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [(httpx.ConnectError("x"), "away"), (httpx.ReadTimeout("x"), "slow"), (TimeoutError(), "slow")],
)
async def test_a_network_that_fails_is_told_in_a_word(error: Exception, reason: str) -> None:
    with pytest.raises(EgressError) as refused:
        await post(Peer(b"", error=error))
    assert (refused.value.reason, refused.value.__context__) == (reason, None)


async def test_a_peer_that_never_answers_is_slow() -> None:
    class Silent(Peer):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.sleep(60)
            raise AssertionError

    with pytest.raises(EgressError, match="slow"):
        await post(Silent(b""), seconds=0.05)


async def test_waiting_for_a_turn_is_not_counted_as_the_peer_s_time() -> None:
    class Once(Peer):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.requests.append(request)
            if len(self.requests) <= PER_TENANT:
                await asyncio.sleep(60)
            return httpx.Response(200, stream=Content(b""))

    peer = Once(b"")
    egress = Egress(transport=peer)

    async def one(seconds: float) -> str | None:
        try:
            await egress.post(
                URL, BODY, headers=HEADERS, within=[HOST], tenant=TENANT, seconds=seconds
            )
        except EgressError as error:
            return error.reason
        return None

    found = await asyncio.gather(*(one(0.3) for _ in range(PER_TENANT)), one(0.1))
    assert found == ["slow"] * PER_TENANT + [None]


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"x" * 4_096


async def never() -> AsyncIterator[bytes]:
    await asyncio.sleep(60)
    yield b""


async def breaking_off() -> AsyncIterator[bytes]:
    yield b"x"
    raise httpx.ReadError("gone")


@pytest.mark.parametrize("content", [endless, never, breaking_off])
async def test_the_status_is_the_answer_whatever_follows_it(
    content: Callable[[], AsyncIterator[bytes]],
) -> None:
    peer = Peer(content())
    await post(peer)
    assert peer.body.closed
