import asyncio
import gzip
import logging
import tracemalloc
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest

from tests.integration.egress.peer import Answer, Peer, dribbling, serving, whole
from wiser_fhir.egress.client import MAX_BODY, Egress, EgressError
from wiser_fhir.egress.transport import MAX_CONNECTIONS

TENANT = UUID(int=1)
TOKEN = "canary.token-0123456789"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/fhir+json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
MIB = 1024 * 1024


async def get(peer: Peer, path: str = "/fhir/Patient/ada", **more: Any) -> Any:
    egress = Egress([peer.origin])
    asked = {"within": [f"{peer.origin}/fhir"], "tenant": TENANT, "token": TOKEN, **more}
    try:
        return await egress.get_json(f"{peer.origin}{path}", **asked)
    finally:
        await egress.aclose()


async def failure(answer: Answer, **more: Any) -> tuple[str, Peer]:
    async with serving(answer) as peer:
        with pytest.raises(EgressError) as caught:
            await get(peer, **more)
    return str(caught.value), peer


async def test_a_resource_is_got_from_an_extra_origin() -> None:
    async with serving(whole(b'{"resourceType": "Patient"}')) as peer:
        got = await get(peer, "/fhir/Patient?_id=1%7C2")
    assert got == {"resourceType": "Patient"}
    lines = peer.heads[0].lower().split("\r\n")
    assert lines[0] == "get /fhir/patient?_id=1%7c2 http/1.1"
    assert f"host: 127.0.0.1:{peer.port}" in lines
    assert f"authorization: bearer {TOKEN}" in lines
    assert "accept-encoding: identity" in lines
    assert not [line for line in lines if line.startswith(("cookie", "content-", "referer"))]


async def test_a_connection_is_used_again_and_keeps_nothing_of_the_last_request() -> None:
    async with serving(whole(b"{}", more="Set-Cookie: a=b\r\n")) as peer:
        egress = Egress([peer.origin])
        for token in (TOKEN, None):
            await egress.get_json(
                f"{peer.origin}/1", within=[peer.origin], tenant=TENANT, token=token
            )
        await egress.aclose()
    assert peer.connections == 1
    assert TOKEN in peer.heads[0]
    assert "authorization" not in peer.heads[1].lower()
    assert "cookie" not in peer.heads[1].lower()


async def test_without_the_extra_origin_this_machine_is_not_called() -> None:
    async with serving(whole(b"{}")) as peer:
        egress = Egress()
        for host in ("127.0.0.1", "[::ffff:127.0.0.1]", "localhost"):
            base = f"https://{host}:{peer.port}"
            with pytest.raises(EgressError, match="refused"):
                await egress.get_json(f"{base}/x", within=[base], tenant=TENANT, token=TOKEN)
        await egress.aclose()
    assert peer.connections == 0


async def test_what_is_not_registered_is_not_connected_to() -> None:
    async with serving(whole(b"{}")) as peer:
        with pytest.raises(EgressError, match="refused"):
            await get(peer, "/fhir-evil/Patient/1")
    assert peer.connections == 0


async def test_a_redirect_is_not_followed() -> None:
    async with serving(whole(b"{}")) as other:
        target = f"Location: {other.origin}/fhir/Patient/1\r\n"
        told, peer = await failure(whole(b"{}", "302 Found", more=target))
    assert told == "status 302"
    assert len(peer.heads) == 1
    assert other.connections == 0


@pytest.mark.parametrize("status", ["401 Unauthorized", "404 Not Found", "500 Oh"])
async def test_another_status_is_told(status: str) -> None:
    told, _ = await failure(whole(b'{"resourceType": "OperationOutcome"}', status))
    assert told == f"status {status[:3]}"


async def test_what_follows_a_refused_answer_is_not_taken_for_the_next() -> None:
    async with serving(whole(b"{}" * MIB, "404 Not Found")) as peer:
        egress = Egress([peer.origin])
        for _ in range(2):
            with pytest.raises(EgressError, match="status 404"):
                await egress.get_json(peer.origin, within=[peer.origin], tenant=TENANT)
        await egress.aclose()
    assert peer.connections == 2


async def test_an_endless_body_is_stopped_at_its_limit_and_holds_no_memory() -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(HEAD + b"\r\n")
        while True:
            writer.write(b" " * 65_536)
            await writer.drain()
            sent += 65_536

    tracemalloc.start()
    try:
        told, peer = await failure(endless)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert told == "too-large"
    assert peer.broken_off == 1
    assert sent < MAX_BODY + 16 * MIB  # the rest lies in the sockets' buffers
    assert peak < 20 * MIB


async def test_a_body_that_only_claims_to_be_endless_is_slow() -> None:
    told, _ = await failure(
        dribbling(HEAD + b"Content-Length: 9999999999\r\n\r\n", b" "), seconds=0.2
    )
    assert told == "slow"


@pytest.mark.parametrize(
    "answer",
    [
        dribbling(b"", b"", 60),
        dribbling(b"", b"H", 60),
        dribbling(HEAD, b"X-A: b\r\n"),
        dribbling(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        dribbling(HEAD + b"\r\n", b" "),
        dribbling(CHUNKED, b"1\r\n \r\n"),
        dribbling(CHUNKED + b"0\r\n", b"X-A: b\r\n"),
    ],
    ids=["silent", "one byte", "headers", "continue", "body", "chunks", "trailers"],
)
async def test_a_slow_peer_has_its_time_and_no_more(answer: Answer) -> None:
    started = asyncio.get_running_loop().time()
    told, _ = await failure(answer, seconds=0.3)
    assert told == "slow"
    assert asyncio.get_running_loop().time() - started < 1.5


async def test_a_flood_of_one_byte_chunks_has_its_time_too() -> None:
    told, _ = await failure(dribbling(CHUNKED, b"1\r\n \r\n" * 10_000, 0), seconds=0.5)
    assert told == "slow"


async def test_a_flood_of_headers_is_cut_off() -> None:
    told, _ = await failure(dribbling(HEAD, b"X-A: b\r\n" * 10_000, 0))
    assert told == "away"


async def test_a_bomb_is_not_unpacked() -> None:
    bomb = gzip.compress(b" " * 50 * MIB)
    told, _ = await failure(whole(bomb, more="Content-Encoding: gzip\r\n"))
    assert told == "not-json"
    told, _ = await failure(whole(bomb))
    assert told == "not-json"


async def test_another_content_type_is_not_read() -> None:
    told, _ = await failure(whole(b"{}", kind="text/html"))
    assert told == "not-json"


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"garbage\r\n\r\n",
        b"HTTP/1.1 200",
        HEAD + b"Content-Length: 10\r\n\r\n{}",
        HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        CHUNKED + b"zz\r\n",
    ],
)
async def test_a_connection_that_breaks_off_is_away(start: bytes) -> None:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await writer.drain()
        raise ConnectionResetError

    told, _ = await failure(answer)
    assert told == "away"


async def test_nobody_there_is_away() -> None:
    async with serving(whole(b"{}")) as peer:
        pass
    with pytest.raises(EgressError, match="away"):
        await get(peer)


async def test_proxies_of_the_environment_are_none_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(whole(b'{"proxy": true}')) as proxy, serving(whole(b"{}")) as peer:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.origin)
            monkeypatch.setenv(name.lower(), proxy.origin)
        assert await get(peer) == {}
    assert proxy.connections == 0


async def test_a_caller_who_gives_up_leaves_no_connection() -> None:
    async with serving(dribbling(HEAD + b"\r\n", b" ")) as peer:
        egress = Egress([peer.origin])
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await egress.get_json(peer.origin, within=[peer.origin], tenant=TENANT)
        await asyncio.sleep(0.2)
        assert peer.broken_off == 1
        await egress.aclose()


async def test_slow_peers_of_one_tenant_keep_no_other_from_its_answer() -> None:
    async with serving(dribbling(b"", b"", 60)) as slow, serving(whole(b"{}")) as quick:
        egress = Egress([slow.origin, quick.origin])

        async def ask_slow() -> None:
            with pytest.raises(EgressError, match="slow"):
                await egress.get_json(slow.origin, within=[slow.origin], tenant=TENANT, seconds=1)

        async with asyncio.TaskGroup() as group:
            for _ in range(100):
                group.create_task(ask_slow())
            await asyncio.sleep(0.1)
            other = UUID(int=2)
            got = await egress.get_json(
                quick.origin, within=[quick.origin], tenant=other, seconds=0.7
            )
            assert slow.connections == 8
        await egress.aclose()
    assert got == {}


async def test_what_was_given_up_takes_no_room_for_ever() -> None:
    async with serving(dribbling(HEAD, b"")) as slow, serving(whole(b"{}")) as quick:
        egress = Egress([slow.origin, quick.origin])

        async def ask_slow(tenant: int) -> None:
            with pytest.raises(EgressError, match="slow"):
                await egress.get_json(
                    slow.origin, within=[slow.origin], tenant=UUID(int=tenant), seconds=0.4
                )

        async with asyncio.TaskGroup() as group:
            for number in range(2 * MAX_CONNECTIONS):
                group.create_task(ask_slow(number))
        for _ in range(2):
            got = await egress.get_json(quick.origin, within=[quick.origin], tenant=TENANT)
        await egress.aclose()
    assert got == {}
    assert slow.connections >= MAX_CONNECTIONS // 2


@pytest.mark.parametrize("answer", [whole(b"{}"), whole(b"{}", "401 No"), whole(b"canary")])
async def test_neither_token_nor_path_is_logged_by_us_or_anyone_below(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(answer) as peer:
        with suppress(EgressError):
            await get(peer)
    assert "httpcore" in {record.name.partition(".")[0] for record in caplog.records}
    assert "canary" not in caplog.text
    assert "ada" not in caplog.text
