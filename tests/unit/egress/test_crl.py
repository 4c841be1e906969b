"""Getting lists of revoked certificates: only from where the operator said, within bounds."""

import asyncio
from collections.abc import AsyncIterator, Callable

import httpx
import pytest

from wiser_fhir.egress import crl
from wiser_fhir.egress.crl import CrlEgress
from wiser_fhir.egress.errors import EgressError

URL = "http://crl.example.org/root.crl"


def answering(answer: Callable[[httpx.Request], httpx.Response]) -> CrlEgress:
    return CrlEgress([URL], transport=httpx.MockTransport(answer))


async def reason(places: CrlEgress, url: str = URL) -> str:
    with pytest.raises(EgressError) as refused:
        await places.get(url)
    await places.aclose()
    return refused.value.reason


async def test_a_list_is_got_by_http_and_nothing_is_told() -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(b"\x30list"))

    places = answering(answer)
    assert await places.get(URL) == b"\x30list"
    await places.aclose()
    [request] = asked
    assert str(request.url) == URL
    assert {"authorization", "cookie"}.isdisjoint(request.headers)


@pytest.mark.parametrize(
    "url",
    [
        "http://crl.example.org/other.crl",
        "http://crl.example.org/root.crl/",
        "http://crl.example.org/root.crl?x",
        "https://crl.example.org/root.crl",
        "http://crl.example.org:81/root.crl",
        "http://169.254.169.254/latest",
        "file:///etc/passwd",
        "ldap://crl.example.org/root",
        "",
    ],
)
async def test_nothing_else_is_asked_for(url: str) -> None:
    assert await reason(answering(lambda _: httpx.Response(200)), url) == "refused"


async def test_what_can_be_read_in_two_ways_is_not_asked_for_even_if_it_was_named() -> None:
    url = "http://user@crl.example.org/root.crl"
    places = CrlEgress([url], transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    assert await reason(places, url) == "refused"


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1"])
async def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    async def resolve(_host: str, _port: int) -> list[str]:
        return [address]

    assert await reason(CrlEgress([URL], resolve=resolve)) == "refused"


async def test_a_redirect_is_not_followed() -> None:
    headers = {"Location": "http://127.0.0.1/"}
    assert await reason(answering(lambda _: httpx.Response(302, headers=headers))) == "status"


async def test_an_endless_list_is_cut_off() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1024 * 1024

    assert await reason(answering(lambda _: httpx.Response(200, content=endless()))) == "too-large"


async def test_a_slow_one_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crl, "SECONDS", 0.05)

    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(60)

    assert await reason(answering(lambda _: httpx.Response(200, content=slow()))) == "slow"


async def test_one_that_is_away_is_told_apart() -> None:
    def away(_request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no")

    assert await reason(answering(away)) == "away"
