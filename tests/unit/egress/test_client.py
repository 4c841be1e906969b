import asyncio
import gc
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.unit.egress.peer import (
    BASE,
    FHIR,
    OTHER_TENANT,
    PATIENT,
    TENANT,
    TOKEN,
    Peer,
    Waiting,
    failure,
    get,
)
from tests.unit.egress.test_url import HOSTILE
from wiser_fhir.egress.client import LARGE, MAX_BODY, PER_TENANT, Egress, EgressError
from wiser_fhir.egress.transport import CheckedTransport


async def test_what_is_below_a_registered_base_is_got() -> None:
    peer = Peer()
    assert await get(peer, within=["https://other.example", BASE]) == {"resourceType": "Patient"}
    assert str(peer.requests[0].url) == PATIENT
    assert peer.requests[0].headers["host"] == "ehr.example"
    assert peer.requests[0].headers["accept-encoding"] == "identity"
    assert "authorization" not in peer.requests[0].headers


@pytest.mark.parametrize(
    ("said", "max_age"),
    [
        (None, None),
        ("", None),
        ("max-age=900", 900.0),
        ("public, Max-Age = 60, must-revalidate", 60.0),
        ('max-age="7"', 7.0),
        ("s-maxage=5", None),
        ("max-age=soon", None),
        ("max-age=-1", None),
        ("no-store", 0.0),
        ("max-age=900, no-cache", 0.0),
        ("private", None),
    ],
)
async def test_how_long_an_answer_is_fresh_is_handed_on(
    said: str | None, max_age: float | None
) -> None:
    headers = FHIR if said is None else {**FHIR, "Cache-Control": said}
    egress = Egress(transport=Peer(headers=headers))
    document = await egress.get_document(PATIENT, within=[BASE], tenant=TENANT)
    assert document.json == {"resourceType": "Patient"}
    assert document.max_age == max_age


@pytest.mark.parametrize(
    ("age", "left"),
    [("0", 60.0), ("20", 40.0), ("60", 0.0), ("4000000000", 0.0), ("20, 50", 40.0), ("old", 60.0)],
)
async def test_what_an_answer_was_kept_for_on_its_way_is_taken_off(age: str, left: float) -> None:
    headers = {**FHIR, "Cache-Control": "max-age=60", "Age": age}
    egress = Egress(transport=Peer(headers=headers))
    document = await egress.get_document(PATIENT, within=[BASE], tenant=TENANT)
    assert document.max_age == left


async def test_the_token_goes_to_the_registered_base() -> None:
    peer = Peer()
    await get(peer, token=TOKEN)
    assert peer.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


@pytest.mark.parametrize(
    "url",
    [
        *HOSTILE,
        "https://ehr.example.evil/fhir/Patient/1",
        "https://ehr.example/fhir-evil/Patient/1",
        "https://ehr.example/Patient/1",
        "https://ehr.example:8443/fhir/Patient/1",
        "https://ehr.example:80/fhir/Patient/1",
        "http://ehr.example/fhir/Patient/1",
        "http://ehr.example:443/fhir/Patient/1",
        "https://evil.example/https://ehr.example/fhir/Patient/1",
        "https://evil.example/?https://ehr.example/fhir/Patient/1",
    ],
)
async def test_what_is_not_below_one_is_sent_nothing(url: str) -> None:
    peer = Peer()
    assert (await failure(peer, url, token=TOKEN)).reason == "refused"
    assert peer.requests == []


async def test_where_nobody_is_registered_nothing_is_got() -> None:
    peer = Peer()
    assert (await failure(peer, within=[])).reason == "refused"
    assert peer.requests == []


@pytest.mark.parametrize(
    "base",
    [
        "http://ehr.example/fhir",
        "http://127.0.0.1:8080",
        "https://127.0.0.1",
        "https://10.0.0.1",
        "https://169.254.169.254",
        "https://100.64.0.1",
        "https://0.0.0.0",
        "https://[::]",
        "https://[::1]",
        "https://[fe80::1]",
        "https://[::ffff:127.0.0.1]",
        "https://[::ffff:a9fe:a9fe]",
        "https://[2002:7f00:1::]",
        "https://[2001::1]",
        "https://[64:ff9b::7f00:1]",
    ],
)
async def test_even_if_registered_only_https_and_public_addresses_are_called(base: str) -> None:
    peer = Peer()
    assert (await failure(peer, f"{base}/Patient/1", within=[base])).reason == "refused"
    assert peer.requests == []


async def test_a_public_address_may_stand_for_a_name() -> None:
    base = "https://[2606:4700::1111]:8443/fhir"
    peer = Peer()
    await get(peer, f"{base}/metadata", within=[base])
    assert peer.requests[0].headers["host"] == "[2606:4700::1111]:8443"


async def test_an_extra_origin_may_be_http_and_near_and_is_exact() -> None:
    peer = Peer()
    egress = Egress(["http://127.0.0.1:9000", "https://[::1]:9443"], transport=peer)
    for origin in ("http://127.0.0.1:9000", "https://[::1]:9443"):
        await egress.get_json(f"{origin}/r4/Patient/1", within=[origin], tenant=TENANT)
    for origin in ("http://127.0.0.1:9001", "https://127.0.0.1:9000", "http://127.0.0.2:9000"):
        with pytest.raises(EgressError, match="refused"):
            await egress.get_json(f"{origin}/r4/Patient/1", within=[origin], tenant=TENANT)
    assert len(peer.requests) == 2


async def test_an_extra_origin_is_not_registered_by_being_one() -> None:
    egress = Egress(["http://127.0.0.1:9000"], transport=Peer())
    with pytest.raises(EgressError, match="refused"):
        await egress.get_json("http://127.0.0.1:9000/r4", within=[BASE], tenant=TENANT)


async def test_link_local_is_called_not_even_as_an_extra_origin() -> None:
    metadata = "http://169.254.169.254"
    with pytest.raises(EgressError, match="refused"):
        await Egress([metadata], transport=Peer()).get_json(
            f"{metadata}/latest", within=[metadata], tenant=TENANT
        )


@pytest.mark.parametrize("text", ["127.0.0.1:9000", "http://0x7f.1", "http://a.test/", ""])
def test_an_extra_origin_that_is_none_stops_the_start(text: str) -> None:
    with pytest.raises(ValueError, match="scheme://host"):
        Egress([text], transport=Peer())


@pytest.mark.parametrize("status", [201, 204, 301, 302, 303, 307, 308, 401, 403, 404, 429, 500])
async def test_another_status_is_told_and_no_redirect_followed(status: int) -> None:
    peer = Peer(status=status, headers={**FHIR, "Location": f"{BASE}/Patient/2"})
    error = await failure(peer, token=TOKEN)
    assert (error.reason, error.status) == ("status", status)
    assert str(error) == f"status {status}"
    assert len(peer.requests) == 1


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "Application/JSON ; charset=utf-8",
        "application/fhir+json; fhirVersion=4.0",
        "application/jwk-set+json",
    ],
)
async def test_json_by_any_of_its_names(kind: str) -> None:
    assert await get(Peer(b'{"keys": []}', headers={"Content-Type": kind})) == {"keys": []}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Content-Type": "text/html"},
        {"Content-Type": "application/jsonp"},
        {"Content-Type": "application/fhir+xml"},
        {"Content-Type": "text/plain;application/json"},
        [("Content-Type", "application/json"), ("Content-Type", "text/html")],
        {**FHIR, "Content-Encoding": "gzip"},
        {**FHIR, "Content-Encoding": "identity, gzip"},
        {**FHIR, "Content-Encoding": "br"},
    ],
)
async def test_other_content_and_encoded_content_is_not_read(
    headers: dict[str, str] | Sequence[tuple[str, str]],
) -> None:
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"{}"

    assert (await failure(Peer(body(), headers=headers))).reason == "not-json"
    assert not read


async def test_identity_is_no_encoding() -> None:
    assert await get(Peer(headers={**FHIR, "Content-Encoding": "Identity"}))


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"a":1,"a":2}', b" " * (LARGE + 1)])
async def test_no_sound_object_is_not_json(body: bytes) -> None:
    error = await failure(Peer(body))
    assert error.reason == "not-json"
    assert error.__context__ is None


async def test_a_large_object_is_read_too() -> None:
    text = "x" * LARGE
    assert await get(Peer(b'{"a":"%s"}' % text.encode())) == {"a": text}


async def test_the_largest_is_read_and_a_byte_more_is_too_large() -> None:
    body = b'{"a":""}' + b" " * (MAX_BODY - 8)
    assert await get(Peer(body)) == {"a": ""}
    assert (await failure(Peer(body + b" "))).reason == "too-large"


async def test_an_endless_stream_is_stopped() -> None:
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 64 * 1024
            yield b" " * 64 * 1024

    assert (await failure(Peer(endless()))).reason == "too-large"
    assert sent <= MAX_BODY + 64 * 1024


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (httpx.ConnectError("no"), "away"),
        (httpx.RemoteProtocolError("no"), "away"),
        (httpx.ReadTimeout("no"), "slow"),
        (httpx.PoolTimeout("no"), "slow"),
    ],
)
async def test_what_fails_below_is_told_in_a_word(error: Exception, reason: str) -> None:
    assert (await failure(Peer(error=error))).reason == reason


async def test_the_deadline_is_for_all_of_it() -> None:
    async def dribble() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0.01)
            yield b" "

    started = asyncio.get_running_loop().time()
    assert (await failure(Peer(dribble()), seconds=0.1)).reason == "slow"
    assert asyncio.get_running_loop().time() - started < 1


@pytest.mark.parametrize(
    "peer",
    [
        Peer(),
        Peer(status=404),
        Peer(headers={}),
        Peer(b" " * (MAX_BODY + 1)),
        Peer(b"["),
    ],
)
async def test_an_answer_is_closed_whatever_it_was(peer: Peer) -> None:
    with suppress(EgressError):
        await get(peer)
    assert peer.body.closed


async def test_a_flood_of_small_chunks_leaves_room_for_the_deadline_and_for_others() -> None:
    async def flood() -> AsyncIterator[bytes]:
        while True:
            yield b" "

    assert (await failure(Peer(flood()), seconds=0.05)).reason == "slow"


async def test_a_caller_who_gives_up_is_let_go() -> None:
    async def silent() -> AsyncIterator[bytes]:
        await asyncio.sleep(60)
        yield b""

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await get(Peer(silent()))


async def test_a_tenant_has_so_many_at_a_time_and_takes_nothing_from_another() -> None:
    peer = Waiting()
    egress = Egress(transport=peer)

    def ask(tenant: UUID, seconds: float = 5) -> Any:
        return egress.get_json(PATIENT, within=[BASE], tenant=tenant, seconds=seconds)

    async with asyncio.TaskGroup() as group:
        for _ in range(PER_TENANT + 3):
            group.create_task(ask(TENANT))
        await asyncio.sleep(0.01)
        assert peer.waiting == PER_TENANT
        with pytest.raises(EgressError, match="slow"):
            await ask(TENANT, seconds=0.02)
        other = group.create_task(ask(OTHER_TENANT))
        await asyncio.sleep(0.01)
        assert peer.waiting == PER_TENANT + 1
        peer.go.set()
    assert other.result() == {}
    assert peer.waiting == PER_TENANT + 4


async def test_a_tenant_is_forgotten_when_nothing_of_it_is_under_way() -> None:
    egress = Egress(transport=Peer())
    for number in range(100):
        await egress.get_json(PATIENT, within=[BASE], tenant=UUID(int=number))
    gc.collect()
    assert len(egress._turns) == 0


@pytest.mark.parametrize("token", ["", "a b", "a\r\nHost: evil.example", "ä", "a,b", "=a", "a\n"])
async def test_a_token_that_is_none_is_not_sent(token: str) -> None:
    peer = Peer()
    assert (await failure(peer, token=token)).reason == "refused"
    assert peer.requests == []


@pytest.mark.parametrize(
    "peer",
    [
        Peer(status=401),
        Peer(b"not json " + TOKEN.encode()),
        Peer(headers={"Content-Type": "text/html"}),
        Peer(b" " * (MAX_BODY + 1)),
        Peer(error=httpx.ConnectError("x", request=httpx.Request("GET", PATIENT))),
        Peer(error=httpx.ReadTimeout("x", request=httpx.Request("GET", PATIENT))),
    ],
)
async def test_neither_token_nor_path_is_in_an_error_or_a_log(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    error = await failure(peer, token=TOKEN)
    told = f"{error!s} {error!r} {error.args} {vars(error)} {caplog.text}"
    assert "canary" not in told
    assert "ada" not in told
    assert error.__cause__ is None
    assert error.__context__ is None


async def test_the_token_is_in_no_repr() -> None:
    peer = Peer()
    egress = Egress(transport=peer)
    await egress.get_json(PATIENT, within=[BASE], tenant=TENANT, token=TOKEN)
    assert (
        "canary" not in f"{egress!r} {vars(egress)} {peer.requests!r} {peer.requests[0].headers!r}"
    )


async def test_closing_closes_the_transport_once() -> None:
    peer = Peer()
    await Egress(transport=peer).aclose()
    assert peer.closed == 1


async def test_closing_closes_both_pools(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = []

    async def aclose(self: CheckedTransport) -> None:
        closed.append(self)

    monkeypatch.setattr(CheckedTransport, "aclose", aclose)
    await Egress().aclose()
    assert len(set(closed)) == 2
