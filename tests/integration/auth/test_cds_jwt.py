"""Who may call a hook: JWTs made by hand, the registration and the count in the real database."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from joserfc.jws import deserialize_compact
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import Time
from tests.database import MakeOrganization
from tests.hand_made_jwt import (
    Json,
    Pair,
    base64url,
    ec_pair,
    header_for,
    jwt,
    rsa_pair,
    segment,
)
from wiser_fhir.auth import cds_clients, cds_jwt
from wiser_fhir.auth.cds_clients import Registration
from wiser_fhir.auth.cds_jwt import MAX_USES, CdsAuthenticator, CdsCaller
from wiser_fhir.auth.jws import UnverifiedJwt, verify
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import create_engine, transaction
from wiser_fhir.egress.client import Document
from wiser_fhir.egress.errors import EgressError
from wiser_fhir.errors import Unauthenticated, Unavailable
from wiser_fhir.priorauth.numbers import time_ordered_uuid

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
ISS = "https://ehr.example"
JWKS_URL = "https://ehr.example/jwks.json"
AUD = "https://payer.example/cds-services/order-sign"
OTHER_AUD = "https://payer.example/cds-services/order-select"
KEY = ec_pair("key")
FOREIGN = ec_pair("foreign")
RSA = rsa_pair("rsa")

Register = Callable[..., Awaitable[UUID]]


class Ehr:
    """Stands for the way out to an EHR's server."""

    def __init__(self, *pairs: Pair) -> None:
        self.answer: Any = {"keys": [pair.jwk() for pair in pairs]}
        self.asked: list[str] = []

    async def get_document(
        self,
        url: str,
        *,
        within: Sequence[str],
        tenant: UUID,
        token: str | None = None,
        seconds: float = 5.0,
    ) -> Document:
        assert within == [url]
        self.asked.append(url)
        if isinstance(self.answer, Exception):
            raise self.answer
        return Document(self.answer)


@pytest.fixture
def time() -> Time:
    return Time(NOW)


@pytest.fixture
def ehr() -> Ehr:
    return Ehr(KEY)


@pytest.fixture
def authenticator(app_engine: AsyncEngine, time: Time, ehr: Ehr) -> CdsAuthenticator:
    return CdsAuthenticator(app_engine, time.now, ehr, time.monotonic)


@pytest.fixture
def register(
    superuser_engine: AsyncEngine, owner_engine: AsyncEngine, make_organization: MakeOrganization
) -> Register:
    """Commits a client that is registered as an EHR; its id."""

    async def make(iss: str = ISS, pairs: Sequence[Pair] = (KEY,), **changes: Any) -> UUID:
        organization = await make_organization(
            kind="provider", acts_for="own", npis=("1999000015",)
        )
        client = time_ordered_uuid()
        async with superuser_engine.begin() as db:
            await db.execute(
                text("insert into client (id, organization_id, name, scopes) values (:c,:o,:n,:s)"),
                {"c": client, "o": organization, "n": f"ehr {client}", "s": ["system/Claim.c"]},
            )
        values = {"jwks": {"keys": [pair.jwk() for pair in pairs]}, **changes}
        async with transaction(owner_engine) as db:
            await cds_clients.register(db, client, organization, Registration(iss, **values))
        return client

    return make


def claims(**changes: Any) -> Json:
    """What the public conformance suite sends. A change to None takes a name out."""
    now = int(NOW.timestamp())
    sent = {"iss": ISS, "aud": AUD, "exp": now + 300, "iat": now, "jti": "4f2c", **changes}
    return {name: value for name, value in sent.items() if value is not None}


def bearer(pair: Pair = KEY, header: object = None, **changes: Any) -> list[str]:
    return [f"Bearer {jwt(pair, header or header_for(pair), claims(**changes))}"]


async def run(engine: AsyncEngine, statement: str, **values: Any) -> None:
    async with engine.begin() as db:
        await db.execute(text(statement), values)


async def counted(engine: AsyncEngine) -> list[int]:
    async with engine.connect() as db:
        return list((await db.execute(text("select uses from cds_jwt order by jti"))).scalars())


async def refused(
    authenticator: CdsAuthenticator,
    headers: Sequence[str],
    audience: str | Sequence[str] = AUD,
    certificate: str | None = None,
) -> str:
    with pytest.raises(Unauthenticated) as caught:
        await authenticator.caller(headers, audience, certificate)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    return str(caught.value)


async def outcome(
    authenticator: CdsAuthenticator, headers: Sequence[str], audience: str = AUD
) -> bool:
    try:
        await authenticator.caller(headers, audience)
    except Unauthenticated:
        return False
    return True


async def test_a_jwt_tells_who_calls(authenticator: CdsAuthenticator, register: Register) -> None:
    servers = ("https://ehr.example/fhir", "https://ehr.example/other")
    client = await register(fhir_servers=servers)
    caller = await authenticator.caller(bearer(), AUD)
    assert caller.principal.client_id == client
    assert caller.principal.client_name == f"ehr {client}"
    assert caller.principal.grants == {}
    assert caller.principal.acts_for("1999000015")
    assert not caller.principal.acts_for("1999000023")
    assert (caller.issuer, caller.fhir_servers) == (ISS, servers)
    assert await authenticator.caller(bearer(), AUD) == caller


@pytest.mark.parametrize("pair", [KEY, rsa_pair()])
async def test_both_algorithms_are_taken(
    authenticator: CdsAuthenticator, register: Register, pair: Pair
) -> None:
    await register(pairs=(KEY, rsa_pair()))
    assert isinstance(await authenticator.caller(bearer(pair), AUD), CdsCaller)


@pytest.mark.parametrize(
    "change",
    [
        {"aud": [AUD]},
        {"exp": int(NOW.timestamp()) + 1},
        {"iat": int(NOW.timestamp()) + 60, "exp": int(NOW.timestamp()) + 360},
        {"iat": int(NOW.timestamp()) - 299, "exp": int(NOW.timestamp()) + 1},
        {"iat": NOW.timestamp() + 0.5, "exp": NOW.timestamp() + 200.25},
        {"nbf": int(NOW.timestamp()) + 60},
        {"jti": "1"},
        {"jti": "x" * 256},
        {"sub": "whoever", "tenant": "any", "client_id": [1]},
    ],
)
async def test_what_the_guide_leaves_open_is_taken(
    authenticator: CdsAuthenticator, register: Register, change: Json
) -> None:
    await register()
    await authenticator.caller(bearer(**change), AUD)


async def test_of_several_urls_of_one_service_any_will_do(
    authenticator: CdsAuthenticator, register: Register
) -> None:
    await register()
    await authenticator.caller(bearer(), [OTHER_AUD, AUD])
    await refused(authenticator, bearer(jti="other"), [OTHER_AUD])
    await refused(authenticator, bearer(jti="third"), [])


SECONDS = int(NOW.timestamp())
HARMFUL_CLAIMS: dict[str, Json] = {
    "aud of another service": {"aud": OTHER_AUD},
    "aud with a slash at the end": {"aud": f"{AUD}/"},
    "aud a part": {"aud": AUD[:-1]},
    "aud in other case": {"aud": AUD.upper()},
    "aud with a query": {"aud": f"{AUD}?x"},
    "aud of this host by another name": {"aud": AUD.replace("https", "http")},
    "aud of two": {"aud": [AUD, OTHER_AUD]},
    "aud twice the same": {"aud": [AUD, AUD]},
    "aud of none": {"aud": []},
    "aud missing": {"aud": None},
    "aud a number": {"aud": 1},
    "aud an object": {"aud": {AUD: AUD}},
    "aud nested": {"aud": [[AUD]]},
    "aud a letter": {"aud": AUD[0]},
    "exp missing": {"exp": None},
    "exp now": {"exp": SECONDS},
    "exp past": {"iat": SECONDS - 200, "exp": SECONDS - 1},
    "exp in ten years": {"exp": SECONDS + 10 * 365 * 86_400},
    "exp a second too late": {"exp": SECONDS + 301},
    "exp without end": {"exp": 10**400},
    "exp text": {"exp": str(SECONDS + 300)},
    "exp true": {"exp": True},
    "exp negative": {"exp": -1},
    "exp a list": {"exp": [SECONDS + 300]},
    "iat missing": {"iat": None},
    "iat in the future": {"iat": SECONDS + 61, "exp": SECONDS + 120},
    "iat after exp": {"iat": SECONDS + 50, "exp": SECONDS + 40},
    "iat long ago": {"iat": SECONDS - 400},
    "iat text": {"iat": str(SECONDS)},
    "nbf in the future": {"nbf": SECONDS + 61},
    "nbf text": {"nbf": "soon"},
    "jti missing": {"jti": None},
    "jti empty": {"jti": ""},
    "jti too long": {"jti": "x" * 257},
    "jti a number": {"jti": 7},
    "jti with U+0000": {"jti": "a\0b"},
    "jti half a character": {"jti": "\ud800"},
    "jti with a blank": {"jti": "a b"},
    "iss unknown": {"iss": "https://nobody.example"},
    "iss with a slash at the end": {"iss": f"{ISS}/"},
    "iss in other case": {"iss": ISS.upper()},
    "iss missing": {"iss": None},
    "iss a list": {"iss": [ISS]},
    "iss with U+0000": {"iss": f"{ISS}\0"},
    "iss half a character": {"iss": "\udfff"},
    "iss a pattern": {"iss": "https://%"},
    "iss too long": {"iss": "x" * 2_049},
}


async def test_every_refusal_says_the_same(
    authenticator: CdsAuthenticator, register: Register, superuser_engine: AsyncEngine
) -> None:
    await register()
    token = bearer()[0].removeprefix("Bearer ")
    message = f"{segment(header_for(KEY, alg='none'))}.{segment(claims())}"
    headers: list[list[str]] = [
        *([], [""], ["Bearer"], ["Bearer "], [token], [f"Basic {token}"]),
        *([f"Bearer {token} "], [f"Bearer {token}x"], [f"Bearer {token}, Bearer {token}"]),
        [f"Bearer {token}", f"Bearer {token}"],
        ["Bearer " + "x" * 100_000],
        ["Bearer " + "." * 100],
        [f"Bearer {message}."],
        [f"Bearer {message}.AA"],
        bearer(FOREIGN),
        bearer(FOREIGN, header_for(FOREIGN, kid="key")),
        bearer(FOREIGN, header_for(FOREIGN, kid="key", jwk=FOREIGN.jwk(kid="key"))),
        bearer(FOREIGN, header_for(FOREIGN, kid="key", x5c=[base64url(bytes(400))])),
        bearer(KEY, header_for(KEY, kid=None)),
        bearer(KEY, header_for(KEY, kid=["key"])),
        bearer(KEY, header_for(KEY, kid="KEY")),
        bearer(KEY, header_for(KEY, jku=JWKS_URL)),
        bearer(KEY, header_for(KEY, jku="")),
        bearer(KEY, header_for(KEY, alg="ES256")),
        bearer(pad="x" * 9_000),
        *(bearer(**change) for change in HARMFUL_CLAIMS.values()),
    ]
    unreadable: list[Json] = [{"jku": None}, {"x5c": {}}, {"x5c": [1]}, {"jwk": "x"}]
    for change in unreadable:
        headers.append(bearer(KEY, {**header_for(KEY), **change}))
    texts = {await refused(authenticator, each) for each in headers}
    assert len(texts) == 1
    assert await counted(superuser_engine) == []


@pytest.mark.parametrize("name", sorted(HARMFUL_CLAIMS))
async def test_harmful_claims_are_refused(
    authenticator: CdsAuthenticator, register: Register, name: str
) -> None:
    await register()
    await refused(authenticator, bearer(**HARMFUL_CLAIMS[name]))


@pytest.mark.parametrize(
    "body",
    [
        b'{"iss":"https://nobody.example","iss":"https://ehr.example"}',
        b'{"aud":NaN}',
        b"[" * 5_000,
        b'{"a":' * 1_000 + b"{}" + b"}" * 1_000,
        b"[]",
    ],
)
async def test_json_bombs_are_refused_like_all_else(
    authenticator: CdsAuthenticator, register: Register, body: bytes
) -> None:
    await register()
    known = await refused(authenticator, [])
    header = header_for(KEY)
    assert await refused(authenticator, [f"Bearer {jwt(KEY, header, body)}"]) == known
    assert await refused(authenticator, [f"Bearer {jwt(KEY, body, claims())}"]) == known


@pytest.mark.parametrize(
    "end",
    [
        "update cds_client set active = false",
        "update client set active = false",
        "update organization set active = false",
        "delete from cds_client",
        "update cds_client set iss = 'https://moved.example'",
    ],
)
async def test_who_was_put_out_of_use_is_refused_at_once(
    authenticator: CdsAuthenticator,
    register: Register,
    superuser_engine: AsyncEngine,
    end: str,
) -> None:
    await register()
    remembered, fresh = bearer(), bearer(jti="fresh")
    await authenticator.caller(remembered, AUD)
    await run(superuser_engine, end)
    texts = {await refused(authenticator, each) for each in (remembered, fresh, [])}
    assert len(texts) == 1
    assert await counted(superuser_engine) == [1]


async def test_a_key_by_value_that_was_taken_back_is_refused_at_once(
    authenticator: CdsAuthenticator, register: Register, owner_engine: AsyncEngine
) -> None:
    client = await register()
    header = bearer()
    caller = await authenticator.caller(header, AUD)
    organization = caller.principal.organization_id
    other = Registration(ISS, jwks={"keys": [FOREIGN.jwk()]})
    async with transaction(owner_engine) as db:
        await cds_clients.register(db, client, organization, other)
    await refused(authenticator, header)
    await authenticator.caller(bearer(FOREIGN, jti="new"), AUD)


async def test_a_change_that_leaves_the_key_leaves_the_jwt_too(
    authenticator: CdsAuthenticator, register: Register, owner_engine: AsyncEngine
) -> None:
    client = await register()
    header = bearer()
    organization = (await authenticator.caller(header, AUD)).principal.organization_id
    changed = Registration(ISS, jwks={"keys": [KEY.jwk()]}, fhir_servers=("https://x.example",))
    async with transaction(owner_engine) as db:
        await cds_clients.register(db, client, organization, changed)
    assert (await authenticator.caller(header, AUD)).fhir_servers == ("https://x.example",)


async def test_keys_by_url_are_those_at_the_registered_one(
    authenticator: CdsAuthenticator, register: Register, ehr: Ehr
) -> None:
    await register(jwks=None, jwks_url=JWKS_URL)
    await authenticator.caller(bearer(KEY, header_for(KEY, jku=JWKS_URL)), AUD)
    await authenticator.caller(bearer(KEY, jti="without-jku"), AUD)
    assert ehr.asked == [JWKS_URL]
    for wrong in (f"{JWKS_URL}/", f"{JWKS_URL}?", JWKS_URL.upper(), "https://evil.example/jwks", 1):
        await refused(authenticator, bearer(KEY, header_for(KEY, jku=wrong), jti="wrong-jku"))
    assert ehr.asked == [JWKS_URL]


async def test_without_keys_to_be_had_nobody_is_let_in(
    authenticator: CdsAuthenticator, register: Register, ehr: Ehr, time: Time
) -> None:
    await register(jwks=None, jwks_url=JWKS_URL)
    keys, ehr.answer = ehr.answer, EgressError("away")
    assert await refused(authenticator, bearer()) == await refused(authenticator, [])
    ehr.answer = keys
    time.passed = 5
    await authenticator.caller(bearer(), AUD)
    ehr.answer = EgressError("slow")
    time.passed = 200
    await authenticator.caller(bearer(jti="later"), AUD)


async def test_a_flood_of_unknown_keys_is_one_fetch_a_minute(
    authenticator: CdsAuthenticator, register: Register, ehr: Ehr
) -> None:
    await register(jwks=None, jwks_url=JWKS_URL)
    await authenticator.caller(bearer(), AUD)
    for i in range(30):
        await refused(authenticator, bearer(KEY, header_for(KEY, kid=f"k{i}"), jti=f"j{i}"))
    assert ehr.asked == [JWKS_URL]


async def test_a_remembered_jwt_ends_on_the_second(
    authenticator: CdsAuthenticator, register: Register, time: Time
) -> None:
    await register()
    header = bearer()
    for passed in (0, 59, 61, 245, 299):
        time.passed = passed
        await authenticator.caller(header, AUD)
    time.passed = 300
    await refused(authenticator, header)


async def test_a_jwt_is_remembered_since_its_key_was_asked_for(
    authenticator: CdsAuthenticator,
    register: Register,
    ehr: Ehr,
    time: Time,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await register(jwks=None, jwks_url=JWKS_URL)
    fetch, verified = ehr.get_document, []

    async def slow(url: str, **asked: Any) -> Document:
        time.passed += 2
        return await fetch(url, **asked)

    def noted(jwt: UnverifiedJwt, key: Any) -> None:
        verified.append(jwt)
        verify(jwt, key)

    monkeypatch.setattr(ehr, "get_document", slow)
    monkeypatch.setattr(cds_jwt, "verify", noted)
    header = bearer()
    for passed, times in ((0, 1), (59.9, 1), (60, 2)):
        time.passed = passed
        await authenticator.caller(header, AUD)
        assert len(verified) == times


async def test_a_remembered_jwt_is_refused_elsewhere(
    authenticator: CdsAuthenticator, register: Register
) -> None:
    await register()
    header = bearer()
    await authenticator.caller(header, AUD)
    await refused(authenticator, header, OTHER_AUD)
    await authenticator.caller(header, AUD)


async def test_a_jwt_stays_with_the_certificate_it_first_came_with(
    authenticator: CdsAuthenticator, register: Register
) -> None:
    await register()
    with_one, without = bearer(jti="with"), bearer(jti="without")
    await authenticator.caller(with_one, AUD, "thumb-a")
    await authenticator.caller(with_one, AUD, "thumb-a")
    await refused(authenticator, with_one, AUD, "thumb-b")
    await refused(authenticator, with_one, AUD)
    await authenticator.caller(without, AUD)
    await refused(authenticator, without, AUD, "thumb-a")


async def test_a_jti_stays_with_its_first_service_key_and_end(
    authenticator: CdsAuthenticator, register: Register
) -> None:
    await register(pairs=(KEY, rsa_pair()))
    await authenticator.caller(bearer(), AUD)
    await refused(authenticator, bearer(aud=OTHER_AUD), OTHER_AUD)
    await refused(authenticator, bearer(rsa_pair()))
    await refused(authenticator, bearer(exp=SECONDS + 299))
    await authenticator.caller(bearer(), AUD)


async def test_two_issuers_may_choose_the_same_jti(
    authenticator: CdsAuthenticator, register: Register
) -> None:
    first = await register()
    second = await register("https://other.example", (FOREIGN,))
    assert first != second
    await authenticator.caller(bearer(), AUD)
    other = bearer(FOREIGN, iss="https://other.example")
    assert (await authenticator.caller(other, AUD)).principal.client_id == second
    await refused(authenticator, bearer(FOREIGN, iss=ISS, jti="x"))
    await refused(authenticator, bearer(KEY, iss="https://other.example", jti="y"))


async def test_sixty_uses_are_exactly_fifty(
    app_engine: AsyncEngine,
    authenticator: CdsAuthenticator,
    register: Register,
    superuser_engine: AsyncEngine,
    time: Time,
    ehr: Ehr,
) -> None:
    await register()
    header = bearer()
    taken = [await outcome(authenticator, header) for _ in range(60)]
    assert taken == [True] * MAX_USES + [False] * 10
    restarted = CdsAuthenticator(app_engine, time.now, ehr, time.monotonic)
    assert not await outcome(restarted, header)
    assert await counted(superuser_engine) == [MAX_USES] == [50]


@pytest.fixture
async def two_processes(database: Urls, time: Time, ehr: Ehr) -> Any:
    """Two authenticators that share nothing but the database."""
    engines = [create_engine(database.app, pool_size=5) for _ in range(2)]
    yield [CdsAuthenticator(engine, time.now, ehr, time.monotonic) for engine in engines]
    for engine in engines:
        await engine.dispose()


async def test_sixty_uses_at_once_in_two_processes_are_exactly_fifty(
    two_processes: list[CdsAuthenticator], register: Register, superuser_engine: AsyncEngine
) -> None:
    await register()
    header = bearer()
    taken = await asyncio.gather(*(outcome(two_processes[i % 2], header) for i in range(60)))
    assert sum(taken) == 50
    assert await counted(superuser_engine) == [50]


async def test_fifty_replays_at_once_at_another_service_are_all_refused(
    two_processes: list[CdsAuthenticator], register: Register, superuser_engine: AsyncEngine
) -> None:
    await register()
    assert await outcome(two_processes[0], bearer())
    elsewhere = bearer(aud=OTHER_AUD)
    taken = await asyncio.gather(
        *(outcome(two_processes[i % 2], elsewhere, OTHER_AUD) for i in range(50))
    )
    assert sum(taken) == 0
    assert await counted(superuser_engine) == [1]


async def test_of_two_services_in_a_race_for_a_jti_one_wins(
    two_processes: list[CdsAuthenticator], register: Register
) -> None:
    await register()
    audiences = [AUD, OTHER_AUD] * 10
    taken = await asyncio.gather(
        *(outcome(two_processes[i % 2], bearer(aud=a), a) for i, a in enumerate(audiences))
    )
    winners = {aud for aud, won in zip(audiences, taken, strict=True) if won}
    assert len(winners) == 1
    assert sum(taken) == 10


async def test_the_database_counts_no_further(
    register: Register, authenticator: CdsAuthenticator, superuser_engine: AsyncEngine
) -> None:
    await register()
    await authenticator.caller(bearer(), AUD)
    with pytest.raises(IntegrityError, match="ck_cds_jwt_uses"):
        await run(superuser_engine, "update cds_jwt set uses = 51")


@pytest.mark.parametrize("uses", [49, 50, 1])
async def test_the_application_may_not_take_a_use_back(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, clean_database: None, uses: int
) -> None:
    row = "insert into cds_jwt values ('https://x.example', 'j', 'a', 'k', null, now(), 50)"
    async with superuser_engine.begin() as db:
        await db.execute(text(row))
    with pytest.raises(DBAPIError, match="only grow"):
        async with app_engine.begin() as db:
            await db.execute(text("update cds_jwt set uses = :uses"), {"uses": uses})


async def test_what_is_remembered_is_bounded(
    authenticator: CdsAuthenticator, register: Register, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(authenticator._known, "_size", 3)
    await register()
    for i in range(10):
        await authenticator.caller(bearer(jti=f"j{i}"), AUD)
    assert len(authenticator._known) == 3


@pytest.mark.parametrize("seen", [True, False])
@pytest.mark.parametrize(
    ("pair", "header", "changes"),
    [
        (KEY, {}, {"iss": "https://nobody.example"}),
        (RSA, {}, {"iss": "https://nobody.example"}),
        (KEY, {"kid": "unknown"}, {}),
        (KEY, {"jku": "https://foreign.example/jwks.json"}, {}),
        (FOREIGN, {"kid": KEY.kid}, {}),
        (KEY, {}, {"aud": OTHER_AUD}),
    ],
)
async def test_one_signature_is_looked_at_of_whoever_is_refused(
    authenticator: CdsAuthenticator,
    register: Register,
    monkeypatch: pytest.MonkeyPatch,
    seen: bool,
    pair: Pair,
    header: Json,
    changes: Json,
) -> None:
    await register()
    if seen:
        await authenticator.caller(bearer(jti="before"), AUD)
    looked_at = []

    def deserialized(token: str, key: Any, **options: Any) -> Any:
        looked_at.append(token)
        return deserialize_compact(token, key, **options)

    monkeypatch.setattr("joserfc.jws.deserialize_compact", deserialized)
    await refused(authenticator, bearer(pair, header_for(pair, **header), **changes))
    assert len(looked_at) == 1


async def test_why_is_told_to_the_log_in_our_words_alone(
    authenticator: CdsAuthenticator, register: Register, caplog: pytest.LogCaptureFixture
) -> None:
    await register()
    caplog.set_level(logging.DEBUG)
    await refused(authenticator, bearer(aud="https://canary.example"))
    reasons = [record.__dict__["error"] for record in caplog.records if "refused" in record.msg]
    assert reasons == ["audience"]
    assert "canary" not in caplog.text
    assert bearer()[0][-40:] not in caplog.text


async def test_a_database_that_is_away_is_no_refusal(
    authenticator: CdsAuthenticator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(engine: AsyncEngine) -> Any:
        raise Unavailable("The database is away.")

    monkeypatch.setattr(cds_jwt, "raw_connection", away)
    with pytest.raises(Unavailable):
        await authenticator.caller(bearer(), AUD)


async def test_a_jwks_that_somebody_wrote_by_hand_is_filtered_again(
    authenticator: CdsAuthenticator, register: Register, superuser_engine: AsyncEngine
) -> None:
    await register()
    secret = '{"keys": [{"kty": "oct", "k": "AAAA", "kid": "key"}]}'
    await run(superuser_engine, "update cds_client set jwks = cast(:jwks as jsonb)", jwks=secret)
    await refused(authenticator, bearer())
    await run(
        superuser_engine,
        "update cds_client set jwks = cast(:jwks as jsonb)",
        jwks='{"keys": [' + ", ".join(["{}"] * 21) + "]}",
    )
    await refused(authenticator, bearer())


async def test_the_owner_forgets_ended_jwts(
    authenticator: CdsAuthenticator,
    register: Register,
    app_engine: AsyncEngine,
    owner_engine: AsyncEngine,
) -> None:
    await register()
    await authenticator.caller(bearer(), AUD)
    async with transaction(owner_engine) as db:
        assert await cds_jwt.purge(db, NOW + timedelta(seconds=300)) == 0
        assert await cds_jwt.purge(db, NOW + timedelta(seconds=301)) == 1


async def test_of_two_certificates_in_a_race_for_a_jti_one_wins(
    two_processes: list[CdsAuthenticator], register: Register
) -> None:
    await register()

    async def taken(i: int) -> str | None:
        shown = ("thumb-a", "thumb-b", None)[i % 3]
        try:
            await two_processes[i % 2].caller(bearer(), AUD, shown)
        except Unauthenticated:
            return "refused"
        return shown

    found = await asyncio.gather(*(taken(i) for i in range(30)))
    winners = {each for each in found if each != "refused"}
    assert len(winners) == 1
    assert found.count("refused") == 20
