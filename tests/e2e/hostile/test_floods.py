"""Floods over sockets: of a client, of strangers, of connections, by those who are slow on purpose.

Whoever floods is held up alone. Attackers call from addresses of their own, for limits on strangers
go by address.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest

from tests.e2e.hostile.key_server import KeyServer
from tests.e2e.hostile.town import ORIGIN, TOKEN, Town, clinic_bundle
from tests.e2e.hostile.wire import Answer, Caller, new_address, statuses
from tests.hand_made_jwt import ec_pair, header_for, jwt
from tests.oauth_door import JWT_BEARER
from wiser_fhir.sandbox.ehr import cds_token, new_key

pytestmark = pytest.mark.xdist_group("hostile")

SUBMIT = "/fhir/Claim/$submit"
READ = f"/fhir/ClaimResponse/{uuid4()}"
HOOK = "/cds-services/order-sign-crd"
ISS = "https://ehr.sandbox.example"
# Vain attempts that an address has at once, and each second after that. Those that are under way
# together are looked at together.
BURST, RATE, TOGETHER = 200, 20, 100

Ask = Callable[[int], Coroutine[Any, Any, Answer]]


async def at_once(ask: Ask, count: int, connections: int = TOGETHER) -> list[Answer]:
    """So many requests, of which so many are under way at a time."""
    room = asyncio.Semaphore(connections)

    async def one(number: int) -> Answer:
        async with room:
            return await ask(number)

    return await asyncio.gather(*map(one, range(count)))


def flood(ask: Ask, count: int, connections: int = TOGETHER) -> tuple[dict[int, int], float]:
    """The answers to a flood by their status, and how long it took."""
    begun = time.monotonic()
    answers = asyncio.run(at_once(ask, count, connections))
    return statuses(answers), time.monotonic() - begun


def held_up(flooded: tuple[dict[int, int], float], refused: int) -> None:
    """Only so many attempts were looked at; the rest of the flood was told to wait."""
    found, seconds = flooded
    assert set(found) <= {refused, 429}
    assert found[429] > 0
    assert 0 < found[refused] <= BURST + RATE * seconds + TOGETHER


def test_a_client_with_two_hundred_requests_at_once_waits_and_nobody_else(town: Town) -> None:
    attacker = town.attacker(new_address())

    async def submit(number: int) -> Answer:
        body = clinic_bundle(f"flood-{uuid4()}")
        return await attacker.post(SUBMIT, orjson.dumps(body))

    with town.watched() as watch:
        found, _ = flood(submit, 200, 200)
    assert set(found) <= {200, 429}
    assert found[429] > 0
    assert found[200] > 0
    watch.check()


def test_who_tries_tokens_is_not_heard_for_a_while(town: Town) -> None:
    stranger = town.stranger(new_address())

    async def with_a_wrong_token(number: int) -> Answer:
        return await replace(stranger, token=f"{number:043d}").get(READ)

    with town.watched() as watch:
        held_up(flood(with_a_wrong_token, 400), 401)
    watch.check()


def form(assertion: str) -> dict[str, str]:
    """A token request."""
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": JWT_BEARER,
        "client_assertion": assertion,
    }


def forged(client: str = "sandbox-ehr", **header: Any) -> str:
    """An assertion by a key that is not the client's."""
    pair = ec_pair("hostile")
    claims = {"iss": client, "sub": client, "aud": TOKEN, "exp": int(time.time()) + 300}
    return jwt(pair, header_for(pair, **header), {**claims, "jti": str(uuid4())})


def test_so_is_who_tries_to_be_a_client(town: Town) -> None:
    stranger = town.stranger(new_address())

    async def ask(_: int) -> Answer:
        return await stranger.form("/oauth/token", form(forged()))

    with town.watched() as watch:
        held_up(flood(ask, 350), 401)
    watch.check()


def test_so_is_who_calls_hooks_by_jwts_of_its_own_making(town: Town) -> None:
    key = new_key()
    stranger = town.stranger(new_address())

    async def ask(number: int) -> Answer:
        iss = ISS if number % 2 else f"https://nobody-{number}.example"
        made = cds_token(key, iss, f"{ORIGIN}{HOOK}", datetime.now(UTC))
        return await replace(stranger, token=made).post(HOOK, b"{}", "application/json")

    with town.watched() as watch:
        held_up(flood(ask, 350), 401)
    watch.check()


def test_so_is_who_registers_again_and_again(town: Town) -> None:
    stranger = town.stranger(new_address())

    async def ask(_: int) -> Answer:
        body = orjson.dumps({"software_statement": forged(), "udap": "1"})
        return await stranger.post("/oauth/register", body, "application/json")

    with town.watched() as watch:
        held_up(flood(ask, 350), 400)
    watch.check()


def test_whatever_keys_are_named_their_server_is_asked_once_a_minute(
    town: Town, keys_elsewhere: KeyServer
) -> None:
    strangers = [town.stranger(new_address()) for _ in range(10)]

    async def ask(number: int) -> Answer:
        assertion = forged("elsewhere", kid=f"unknown-{number}")
        return await strangers[number % 10].form("/oauth/token", form(assertion))

    with town.watched() as watch:
        found, seconds = flood(ask, 300)
    assert seconds < 60
    assert found == {401: 300}
    assert keys_elsewhere.asked.count("/elsewhere") == 1
    watch.check()


async def _cut(reader: asyncio.StreamReader) -> float:
    """When the server ends a connection."""
    with suppress(ConnectionError):
        while await reader.read(65_536):
            pass
    return time.monotonic()


async def _dribbled(caller: Caller, begin: bytes, piece: bytes, seconds: float) -> float | None:
    """How long the server listened to somebody who sends little by little; None: to the end."""
    reader, writer = await caller.connect()
    begun = time.monotonic()
    writer.write(begin)
    ended = asyncio.create_task(_cut(reader))
    while not ended.done() and time.monotonic() - begun < seconds:
        writer.write(piece)
        await asyncio.sleep(0.2)
    writer.transport.abort()
    return await ended - begun if ended.done() else None


def test_the_slow_are_cut_and_hold_nobody_up(town: Town) -> None:
    head = b"GET / HTTP/1.1\r\nx: "
    body = b"POST /fhir/Claim/$submit HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{"
    slow = town.stranger(new_address())

    async def all_of_them() -> list[float | None]:
        heads = [_dribbled(slow, head, b"x", 12) for _ in range(100)]
        silent = [_dribbled(slow, b"", b"", 12) for _ in range(50)]
        bodies = [_dribbled(slow, body, b" ", 12) for _ in range(50)]
        return list(await asyncio.gather(*heads, *silent, *bodies))

    with town.watched() as watch:
        listened = asyncio.run(all_of_them())
    assert all(each is not None and each < 11 for each in listened)
    watch.check()


def test_who_does_not_read_answers_holds_nobody_up(town: Town) -> None:
    lazy = town.attacker(new_address())

    async def all_of_them() -> None:
        connections = [await lazy.connect() for _ in range(50)]
        for _, writer in connections:
            writer.write(lazy.head("GET", "/fhir/metadata", {}) * 20)
        await asyncio.sleep(3)
        for _, writer in connections:
            writer.transport.abort()

    with town.watched() as watch:
        asyncio.run(all_of_them())
    watch.check()


def test_who_takes_all_places_and_asks_for_nothing_keeps_nobody_out(town: Town) -> None:
    idle, newcomer = town.stranger(new_address()), town.attacker(new_address())

    async def fill() -> int:
        taken = [await idle.connect() for _ in range(520)]
        found = (await newcomer.get(READ)).status
        for _, writer in taken:
            writer.transport.abort()
        return found

    with town.watched() as watch:
        found = asyncio.run(fill())
    assert found in {404, 429}
    watch.check()


def test_bodies_that_do_not_come_keep_others_out_for_seconds_at_most(town: Town) -> None:
    stalled, newcomer = town.stranger(new_address()), town.attacker(new_address())
    begun = b"POST /oauth/token HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\ng"

    async def fill() -> tuple[float, int]:
        started = time.monotonic()
        taken = [await stalled.connect() for _ in range(520)]
        for _, writer in taken:
            writer.write(begun)
        last = max(await asyncio.gather(*(_cut(reader) for reader, _ in taken)))
        for _, writer in taken:
            writer.transport.abort()
        return last - started, (await newcomer.get(READ)).status

    seconds, found = asyncio.run(fill())
    assert seconds < 11
    assert found in {404, 429}
