"""Which keys of a JWKS are used, and how often one is fetched."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from tests.hand_made_jwt import base64url, ec_pair, number, rsa_pair
from wiser_fhir.auth import keys
from wiser_fhir.auth.jws import JwtRefused
from wiser_fhir.auth.keys import JwksCache, KeysRefused, read_keys
from wiser_fhir.egress.client import Document
from wiser_fhir.egress.errors import EgressError
from wiser_fhir.errors import Unavailable

URL = "https://ehr.example/jwks.json"
TENANT = UUID(int=1)
OTHER_TENANT = UUID(int=2)


def usable(*entries: Any) -> set[str]:
    return set(read_keys({"keys": list(entries)}).keys)


def rsa_of(bits: int, exponent: int = 65_537) -> dict[str, Any]:
    """An RSA public key of a size: what looks like one is enough to be read."""
    return {"kty": "RSA", "n": number((1 << (bits - 1)) | 1), "e": number(exponent), "kid": "r"}


def test_keys_of_both_kinds_are_read() -> None:
    entries = [ec_pair("a").jwk(), ec_pair("b", "P-256").jwk(), rsa_pair("c").jwk()]
    assert usable(*entries) == {"a", "b", "c"}


def test_only_what_is_needed_of_a_key_is_kept() -> None:
    entry = ec_pair().jwk(
        alg="ES384", use="sig", key_ops=["verify"], ext=True, x5c=["AA=="], x5u="https://x.example"
    )
    kept = read_keys({"keys": [entry]}).document()
    assert kept == {"keys": [ec_pair().jwk(alg="ES384", use="sig")]}
    assert read_keys(kept).document() == kept


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ({"kty": "oct", "k": base64url(bytes(48)), "kid": "x"}, "secret"),
        ({"kty": "oct", "kid": "x"}, "neither RSA nor EC"),
        ({"kty": "OKP", "crv": "Ed25519", "x": base64url(bytes(32)), "kid": "x"}, "neither RSA"),
        ({"kty": ["EC"], "kid": "x"}, "neither RSA nor EC"),
        (ec_pair().jwk(**ec_pair().secret()), "private"),
        (rsa_pair().jwk(**rsa_pair().secret()), "private"),
        (rsa_pair().jwk(oth=[]), "private"),
        (ec_pair(crv="P-521").jwk(), "another curve"),
        (ec_pair().jwk(crv="secp256k1"), "another curve"),
        (ec_pair().jwk(kid=None), "no `kid`"),
        (ec_pair().jwk(kid=7), "no `kid`"),
        (ec_pair().jwk(kid=""), "no `kid`"),
        (ec_pair().jwk(kid="k" * 257), "no `kid`"),
        (ec_pair().jwk(kid="\0"), "no `kid`"),
        (ec_pair().jwk(use="enc"), "not for signatures"),
        (ec_pair().jwk(use=None), "not for signatures"),
        (ec_pair().jwk(key_ops=["deriveKey"]), "not for signatures"),
        (ec_pair().jwk(key_ops="verify"), "not for signatures"),
        (ec_pair().jwk(alg=["ES384"]), "not a key"),
        (ec_pair().jwk(y=ec_pair().jwk()["x"]), "not a key"),
        (ec_pair().jwk(x="A" * 2_000), "not a key"),
        (ec_pair().jwk(x=1), "not a key"),
        (ec_pair().jwk(x="=+/"), "not a key"),
        (rsa_pair().jwk(n=""), "not a key"),
        (rsa_of(1_024), "size"),
        (rsa_of(2_047), "size"),
        (rsa_of(8_193), "size"),
        (rsa_of(32_768), "not a key"),
        (rsa_of(2_048, 1), "size"),
        (rsa_of(2_048, 3), "size"),
        (rsa_of(2_048, 65_538), "size"),
        (rsa_of(2_048, 2**40 + 1), "size"),
        ("EC", "no `kid`"),
        (None, "no `kid`"),
        ([[[]]], "no `kid`"),
    ],
)
def test_a_key_that_cannot_be_used_leaves_the_others_usable(entry: Any, why: str) -> None:
    read = read_keys({"keys": [entry, ec_pair("good").jwk()]})
    assert set(read.keys) == {"good"}
    assert len(read.left_out) == 1
    assert read.left_out[0].startswith("keys[0] ")
    assert why in read.left_out[0]


@pytest.mark.parametrize("bits", [2_048, 3_072, 8_192])
def test_rsa_keys_of_these_sizes_are_used(bits: int) -> None:
    assert usable(rsa_of(bits)) == {"r"}


def test_a_kid_that_stands_twice_names_no_key() -> None:
    twice = [ec_pair("a").jwk(), rsa_pair("a").jwk(), ec_pair("b").jwk()]
    assert usable(*twice) == {"b"}
    assert usable(ec_pair("a").jwk(**ec_pair("a").secret()), ec_pair("a").jwk()) == set()


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "keys",
        {},
        {"keys": {}},
        {"keys": "EC"},
        {"keys": [ec_pair().jwk()] * 21},
        {"keys": [], "more": "x" * 65_536},
        {"keys": [], "more": 10**30},
    ],
)
def test_what_is_no_jwks_or_too_large_is_refused(document: Any) -> None:
    with pytest.raises(KeysRefused):
        read_keys(document)


def test_a_jwks_nested_beyond_measure_is_refused() -> None:
    nested: Any = []
    for _ in range(5_000):
        nested = [nested]
    with pytest.raises(KeysRefused):
        read_keys({"keys": [], "more": nested})


def test_twenty_keys_are_not_too_many() -> None:
    assert len(usable(*(ec_pair("k").jwk(kid=str(i)) for i in range(20)))) == 20


class Ehr:
    """An EHR's server: says what it was told to, and counts."""

    def __init__(self, *entries: Any) -> None:
        self.answer: Any = {"keys": list(entries)}
        self.asked: list[tuple[str, tuple[str, ...], UUID]] = []
        self.max_age: float | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def get_document(
        self,
        url: str,
        *,
        within: Sequence[str],
        tenant: UUID,
        token: str | None = None,
        seconds: float = 5.0,
    ) -> Document:
        self.asked.append((url, tuple(within), tenant))
        assert token is None
        await self.answers.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return Document(self.answer, self.max_age)


class Time:
    passed = 0.0

    def __call__(self) -> float:
        return self.passed


@pytest.fixture
def time() -> Time:
    return Time()


async def test_a_key_is_fetched_once_in_five_minutes(time: Time) -> None:
    ehr = Ehr(ec_pair("a").jwk())
    cache = JwksCache(ehr, time)
    for passed in (0.0, 1.0, keys.FRESH_SECONDS - 0.1):
        time.passed = passed
        found = await cache.key(URL, TENANT, "a")
        assert found is not None
    assert ehr.asked == [(URL, (URL,), TENANT)]
    time.passed = keys.FRESH_SECONDS
    await cache.key(URL, TENANT, "a")
    assert len(ehr.asked) == 2


@pytest.mark.parametrize(
    ("said", "fresh"),
    [
        (None, 300.0),
        (0.0, 1.0),
        (1.0, 1.0),
        (30.0, 30.0),
        (900.0, 900.0),
        (86_400.0, 86_400.0),
        (10_000_000.0, 86_400.0),
    ],
)
async def test_a_server_says_how_long_its_keys_are_fresh_within_bounds(
    time: Time, said: float | None, fresh: float
) -> None:
    ehr = Ehr(ec_pair("a").jwk())
    ehr.max_age = said
    cache = JwksCache(ehr, time)
    for passed in (0.0, fresh - 0.1):
        time.passed = passed
        assert await cache.key(URL, TENANT, "a")
        assert len(ehr.asked) == 1
    time.passed = fresh
    await cache.key(URL, TENANT, "a")
    assert len(ehr.asked) == 2


async def test_they_are_as_old_as_the_question(time: Time) -> None:
    ehr = Ehr(ec_pair("a").jwk())
    ehr.max_age = 30.0
    ehr.answers.clear()
    cache = JwksCache(ehr, time)
    asking = asyncio.create_task(cache.key(URL, TENANT, "a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.passed = 3.0
    ehr.answers.set()
    assert await asking
    time.passed = 30.0
    await cache.key(URL, TENANT, "a")
    assert len(ehr.asked) == 2


async def test_keys_that_are_not_to_be_kept_are_fetched_once_a_second(time: Time) -> None:
    ehr = Ehr(ec_pair("a").jwk())
    ehr.max_age = 0.0
    cache = JwksCache(ehr, time)
    for tenth in range(20):
        time.passed = tenth / 10
        found = await asyncio.gather(*(cache.key(URL, TENANT, kid) for kid in "ab" * 10))
        assert [each is None for each in found] == [False, True] * 10
    assert len(ehr.asked) == 2


def test_keys_by_value_that_cannot_be_used_are_none() -> None:
    assert set(keys.keys_by_value(json.dumps({"keys": [ec_pair("a").jwk()]}))) == {"a"}
    assert not keys.keys_by_value('{"keys": 7}')


@pytest.mark.parametrize("jwks_url", [URL, None])
async def test_a_header_names_a_key_that_was_registered(time: Time, jwks_url: str | None) -> None:
    cache, jwks = (
        JwksCache(Ehr(ec_pair("a").jwk()), time),
        json.dumps({"keys": [ec_pair("a").jwk()]}),
    )
    found = await cache.registered(
        {"kid": "a"}, jwks_url=jwks_url, jwks=None if jwks_url else jwks, tenant=TENANT
    )
    assert found.kid == "a"


@pytest.mark.parametrize(
    ("header", "jwks_url", "why"),
    [
        ({"kid": "a", "jku": "https://foreign.example"}, URL, "jku"),
        ({"kid": "a", "jku": URL}, None, "jku"),
        ({"kid": "b"}, None, "key"),
        ({"kid": "b"}, URL, "keys-away"),
        ({"kid": ["a"]}, None, "key"),
        ({"jwk": ec_pair("a").jwk()}, None, "key"),
    ],
)
async def test_it_brings_none(time: Time, header: Any, jwks_url: str | None, why: str) -> None:
    ehr = Ehr()
    ehr.answer = FAILURES[0]
    jwks = None if jwks_url else json.dumps({"keys": [ec_pair("a").jwk()]})
    with pytest.raises(JwtRefused, match=why):
        await JwksCache(ehr, time).registered(header, jwks_url=jwks_url, jwks=jwks, tenant=TENANT)


async def test_who_registered_no_keys_has_none(time: Time) -> None:
    with pytest.raises(JwtRefused, match="key"):
        await JwksCache(Ehr(), time).registered(
            {"kid": "a"}, jwks_url=None, jwks=None, tenant=TENANT
        )


async def test_a_key_taken_back_is_used_five_minutes_at_most(time: Time) -> None:
    ehr = Ehr(ec_pair("a").jwk())
    cache = JwksCache(ehr, time)
    assert await cache.key(URL, TENANT, "a")
    ehr.answer = {"keys": []}
    time.passed = keys.FRESH_SECONDS
    assert await cache.key(URL, TENANT, "a") is None


async def test_a_new_key_is_found_by_its_name(time: Time) -> None:
    ehr = Ehr(ec_pair("a").jwk())
    cache = JwksCache(ehr, time)
    await cache.key(URL, TENANT, "a")
    ehr.answer = {"keys": [ec_pair("b").jwk()]}
    time.passed = keys.MISS_SECONDS
    assert await cache.key(URL, TENANT, "b")
    assert await cache.key(URL, TENANT, "a") is None


async def test_a_flood_of_unknown_names_is_one_fetch_a_minute(time: Time) -> None:
    ehr = Ehr(ec_pair("a").jwk())
    cache = JwksCache(ehr, time)
    for second in range(120):
        time.passed = float(second)
        found = await asyncio.gather(*(cache.key(URL, TENANT, f"{second}-{i}") for i in range(20)))
        assert found == [None] * 20
        assert await cache.key(URL, TENANT, "a")
    assert len(ehr.asked) == 2


async def test_all_who_wait_get_the_one_answer_though_the_first_gives_up(time: Time) -> None:
    ehr = Ehr(ec_pair("a").jwk())
    ehr.answers.clear()
    cache = JwksCache(ehr, time)
    waiting = [asyncio.create_task(cache.key(URL, TENANT, "a")) for _ in range(10)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    ehr.answers.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(found[0], asyncio.CancelledError)
    assert all(isinstance(each, keys.PublicKey) for each in found[1:])
    assert len(ehr.asked) == 1


FAILURES = [EgressError("away"), EgressError("status", 500), {"no": 1}, 7]


@pytest.mark.parametrize("answer", FAILURES)
async def test_keys_outlive_a_server_that_fails_by_an_hour_if_it_said_nothing(
    time: Time, answer: Any
) -> None:
    ehr = Ehr(ec_pair("a").jwk())
    cache = JwksCache(ehr, time)
    assert await cache.key(URL, TENANT, "a")
    ehr.answer = answer
    over = keys.FRESH_SECONDS + keys.GRACE_SECONDS
    for time.passed in (keys.FRESH_SECONDS, over - 0.1):
        assert await cache.key(URL, TENANT, "a")
        with pytest.raises(Unavailable):  # whether it has come since, nobody knows
            await cache.key(URL, TENANT, "b")
    time.passed = over
    with pytest.raises(Unavailable):
        await cache.key(URL, TENANT, "a")


@pytest.mark.parametrize("answer", FAILURES)
@pytest.mark.parametrize(("said", "over"), [(0.0, 1.0), (30.0, 30.0), (900.0, 900.0)])
async def test_they_do_not_outlive_what_it_said(
    time: Time, answer: Any, said: float, over: float
) -> None:
    ehr = Ehr(ec_pair("a").jwk())
    ehr.max_age = said
    cache = JwksCache(ehr, time)
    assert await cache.key(URL, TENANT, "a")
    ehr.answer = answer
    time.passed = over - 0.1
    assert await cache.key(URL, TENANT, "a")
    time.passed = over
    with pytest.raises(Unavailable):
        await cache.key(URL, TENANT, "a")


async def test_those_of_an_issuer_do_by_the_grace_it_is_given(time: Time) -> None:
    issuer = Ehr(ec_pair("a").jwk())
    issuer.max_age = 0.0
    cache = JwksCache(issuer, time, keys.ISSUER_GRACE_SECONDS)
    assert await cache.key(URL, TENANT, "a")
    issuer.answer = EgressError("away")
    time.passed = 300.9
    assert await cache.key(URL, TENANT, "a")
    time.passed = 301.0
    with pytest.raises(Unavailable):
        await cache.key(URL, TENANT, "a")


async def test_a_server_that_fails_is_asked_again_after_five_seconds(time: Time) -> None:
    ehr = Ehr()
    ehr.answer = EgressError("refused")
    cache = JwksCache(ehr, time)
    for second in range(11):
        time.passed = float(second)
        for _ in range(3):
            with pytest.raises(Unavailable):
                await cache.key(URL, TENANT, "a")
    assert len(ehr.asked) == 3
    ehr.answer = {"keys": [ec_pair("a").jwk()]}
    time.passed = 15.0
    assert await cache.key(URL, TENANT, "a")


async def test_while_keys_are_fresh_a_failure_is_no_reason_to_ask_more_often(time: Time) -> None:
    ehr = Ehr(ec_pair("a").jwk())
    cache = JwksCache(ehr, time)
    assert await cache.key(URL, TENANT, "a")
    ehr.answer = EgressError("away")
    for second in range(60, 120):
        time.passed = float(second)
        assert await cache.key(URL, TENANT, "b") is None
        assert await cache.key(URL, TENANT, "a")
    assert len(ehr.asked) == 2


async def test_two_organizations_do_not_share_what_one_url_said(time: Time) -> None:
    ehr = Ehr(ec_pair("a").jwk())
    cache = JwksCache(ehr, time)
    await cache.key(URL, TENANT, "a")
    ehr.answer = {"keys": []}
    assert await cache.key(URL, OTHER_TENANT, "a") is None


async def test_what_is_held_is_bounded(time: Time, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "MAX_HELD", 3)
    cache = JwksCache(Ehr(), time)
    for i in range(10):
        await cache.key(f"{URL}?{i}", TENANT, "a")
    assert len(cache._held) == 3


async def test_what_goes_wrong_is_logged_without_what_was_received(
    time: Time, caplog: pytest.LogCaptureFixture
) -> None:
    ehr = Ehr()
    ehr.answer = {"keys": "Canary"}
    with pytest.raises(Unavailable):
        await JwksCache(ehr, time).key(URL, TENANT, "a")
    assert "keys not fetched" in caplog.text
    assert "Canary" not in caplog.text
    assert caplog.records[0].__dict__["error"] == "no-jwks"
