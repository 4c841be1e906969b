"""Tokens of another issuer: JWTs made by hand, who they are for in the real database."""

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc.jwk import ECKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeOrganization
from tests.hand_made_jwt import (
    EcPair,
    Json,
    Pair,
    base64url,
    ec_pair,
    header_for,
    jwt,
    rsa_pair,
    segment,
)
from tests.unit.auth.test_issuer import GOOD, NAME, OIDC, Outside
from wiser_fhir.auth import clients, tokens
from wiser_fhir.auth.authenticators import Authenticators
from wiser_fhir.auth.clients import External
from wiser_fhir.auth.external import ExternalAuthenticator, IntrospectedTokens, JwtTokens
from wiser_fhir.auth.issuer import Introspection, Issuer
from wiser_fhir.auth.keys import JwksCache
from wiser_fhir.auth.own_key import OwnKey
from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.scopes import spelled
from wiser_fhir.auth.tokens import Authenticator
from wiser_fhir.clock import utc_now
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Unauthenticated, Unavailable
from wiser_fhir.priorauth.numbers import time_ordered_uuid

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
US = "https://payer.example"
JWKS, ASK = f"{NAME}/jwks", f"{NAME}/introspect"
KEY, FOREIGN = ec_pair("issuer"), ec_pair("foreign")
THUMBPRINT, OTHER = "A" * 43, "B" * 43

Register = Callable[..., Awaitable[None]]


@dataclass
class Place:
    """A server's authenticator, its way out, and a clock that a test moves."""

    engine: AsyncEngine
    outside: Outside
    unbound: bool = True
    passed: float = 0.0
    external: ExternalAuthenticator = field(init=False)

    def __post_init__(self) -> None:
        issuer = Issuer(NAME, self.outside)
        reader = JwtTokens(issuer, JwksCache(self.outside, lambda: self.passed))
        self.external = self.authenticator(reader)

    def authenticator(self, reader: JwtTokens | IntrospectedTokens) -> ExternalAuthenticator:
        return ExternalAuthenticator(self.engine, self.now, NAME, US, reader, unbound=self.unbound)

    def asking(self, own: EcPair) -> ExternalAuthenticator:
        """One that asks about each token."""
        issuer, key = Issuer(NAME, self.outside), OwnKey(_key(own))
        asked = Introspection(issuer, ASK, "the-payer", key, self.now)
        return self.authenticator(IntrospectedTokens(asked))

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.passed)

    async def caller(self, token: str, certificate: str | None = None) -> Principal | None:
        """Who is let in."""
        try:
            return await self.external.principal(token, certificate)
        except Unauthenticated:
            return None


def _key(pair: EcPair) -> Any:
    return ECKey.import_key({**pair.jwk(), **pair.secret()})


@pytest.fixture
def place(app_engine: AsyncEngine) -> Place:
    keys = [KEY.jwk(), rsa_pair().jwk(), ec_pair("p256", "P-256").jwk()]
    return Place(app_engine, Outside(**{OIDC: GOOD, JWKS: {"keys": keys}}))


@pytest.fixture
def register(
    superuser_engine: AsyncEngine, owner_engine: AsyncEngine, make_organization: MakeOrganization
) -> Register:
    """Commits a client of an organization that issuers know by some names."""

    async def make(name: str = "valley", *subjects: str, issuer: str = NAME) -> None:
        organization = await make_organization(f"of {name}", "provider", "own", ("1999000015",))
        async with superuser_engine.begin() as db:
            await db.execute(
                text("insert into client (id, organization_id, name, scopes) values (:c,:o,:n,:s)"),
                {
                    "c": time_ordered_uuid(),
                    "o": organization,
                    "n": name,
                    "s": ["system/Claim.c", "system/ClaimResponse.rs"],
                },
            )
        async with transaction(owner_engine) as db:
            client = await clients.held(db, name)
            for subject in subjects or (name,):
                await clients.know_elsewhere(db, client, External(issuer, subject))

    return make


def claims(**changes: Any) -> Json:
    now = int(NOW.timestamp())
    whole = {
        "iss": NAME,
        "aud": US,
        "iat": now,
        "exp": now + 300,
        "jti": "1",
        "client_id": "valley",
        "sub": "valley",
        "scope": "system/Claim.c system/Task.rs",
        **changes,
    }
    return {name: value for name, value in whole.items() if value is not None}


def signed(pair: Pair = KEY, header: Json | None = None, **changes: Any) -> str:
    return jwt(pair, {**header_for(pair, typ="at+jwt"), **(header or {})}, claims(**changes))


async def run(engine: AsyncEngine, statement: str, **values: Any) -> None:
    async with engine.begin() as db:
        await db.execute(text(statement), values)


async def test_a_token_tells_the_client_that_it_was_issued_to(
    place: Place, register: Register
) -> None:
    await register()
    caller = await place.caller(signed())
    assert caller is not None
    assert (caller.client_name, caller.certificate) == ("valley", None)
    assert spelled(caller.grants) == ("system/Claim.c",)
    assert caller.npis == frozenset({"1999000015"})
    assert await place.caller(signed(header={"typ": "application/at+jwt"}, jti="2"))


@pytest.mark.parametrize(
    ("pair", "algorithm"),
    [(KEY, "ES384"), (ec_pair("p256", "P-256"), "ES256"), (rsa_pair(), "RS256"),
     (rsa_pair(), "RS384"), (rsa_pair(), "PS256")],
)  # fmt: skip
async def test_every_usual_algorithm_is_taken(
    place: Place, register: Register, pair: Pair, algorithm: str
) -> None:
    await register()
    assert await place.caller(signed(pair, {"alg": algorithm}))


def hostile() -> dict[str, str]:
    """Tokens that are refused, by what is wrong with them."""
    none = f"{segment(header_for(KEY, typ='at+jwt', alg='none'))}.{segment(claims())}"
    message = f"{segment(header_for(KEY, typ='at+jwt', alg='HS256'))}.{segment(claims())}"
    whole = signed()
    return {
        "unsigned": f"{none}.",
        "unsigned with something": f"{none}.AA",
        "by a secret": f"{message}.{base64url(bytes(32))}",
        "by a foreign key": signed(FOREIGN),
        "by a foreign key of its name": signed(FOREIGN, {"kid": KEY.kid}),
        "with its own key": signed(FOREIGN, {"kid": KEY.kid, "jwk": FOREIGN.jwk(kid=KEY.kid)}),
        "with a place of keys": signed(FOREIGN, {"kid": KEY.kid, "jku": "https://evil.example/k"}),
        "with a certificate": signed(FOREIGN, {"kid": KEY.kid, "x5c": [base64url(bytes(400))]}),
        "with a place of certificates": signed(FOREIGN, {"x5u": "https://evil.example/c"}),
        "by another algorithm": signed(KEY, {"alg": "ES256"}),
        "by ES512": signed(ec_pair("p521", "P-521")),
        "by RS512": signed(rsa_pair(), {"alg": "RS512"}),
        "with something critical": signed(KEY, {"crit": ["exp"]}),
        "an id token": signed(KEY, {"typ": "JWT"}),
        "of no type": jwt(KEY, header_for(KEY, typ=None), claims()),
        "a client's assertion": jwt(KEY, header_for(KEY), claims()),
        "a logout token": signed(KEY, {"typ": "logout+jwt"}),
        "without kid": jwt(KEY, header_for(KEY, typ="at+jwt", kid=None), claims()),
        "kid a list": signed(KEY, {"kid": [KEY.kid]}),
        "of another issuer": signed(iss="https://other.example"),
        "of an issuer almost": signed(iss=f"{NAME}/"),
        "of nobody": signed(iss=None),
        "for another": signed(aud="https://other.example"),
        "for two": signed(aud=[US, "https://other.example"]),
        "over": signed(iat=int(NOW.timestamp()) - 300, exp=int(NOW.timestamp())),
        "of two hours": signed(exp=int(NOW.timestamp()) + 7_200),
        "without beginning": signed(iat=None),
        "without end": signed(exp=None),
        "of a person": signed(sub="somebody"),
        "of a stranger": signed(client_id="stranger", sub="stranger"),
        "of two clients": signed(client_id="valley", sub="hill"),
        "cut": whole[:-1],
        "longer": f"{whole}A",
        "twice a name": jwt(
            KEY, header_for(KEY, typ="at+jwt"), b'{"iss":"x","iss":"' + NAME.encode() + b'"}'
        ),
        "deep": jwt(KEY, header_for(KEY, typ="at+jwt"), b'{"a":' + b"[" * 2_000),
        "large": signed(pad="x" * 9_000),
        "encrypted": "a.b.c.d.e",
        "nothing": "x",
    }


@pytest.mark.parametrize("wrong", sorted(hostile()))
async def test_no_other_token_lets_anybody_in(place: Place, register: Register, wrong: str) -> None:
    await register()
    await register("hill")
    assert await place.caller(hostile()[wrong]) is None
    assert await place.caller(signed())
    assert set(place.outside.asked) <= {OIDC, JWKS}


async def test_a_key_s_own_word_on_its_algorithm_counts(
    app_engine: AsyncEngine, register: Register
) -> None:
    await register()
    keys = {"keys": [rsa_pair().jwk(alg="PS256")]}
    place = Place(app_engine, Outside(**{OIDC: GOOD, JWKS: keys}))
    assert await place.caller(signed(rsa_pair(), {"alg": "RS256"})) is None
    assert await place.caller(signed(rsa_pair(), {"alg": "PS256"}))


async def test_a_flood_of_unknown_keys_is_one_fetch(place: Place, register: Register) -> None:
    await register()
    assert await place.caller(signed())
    for i in range(50):
        assert await place.caller(signed(header={"kid": f"k{i}"})) is None
    assert place.outside.asked == [OIDC, JWKS]


async def test_every_name_of_a_token_is_registered_for_one_client(
    place: Place, register: Register
) -> None:
    await register("valley", "valley", "5a5d0b0c")
    await register("hill")
    assert await place.caller(signed(azp="valley", sub="5a5d0b0c"))
    assert await place.caller(signed(azp="hill")) is None
    assert await place.caller(signed(sub="another-person")) is None


async def test_the_same_name_at_another_issuer_is_somebody_else(
    place: Place, register: Register
) -> None:
    await register("valley", issuer="https://other.example")
    assert await place.caller(signed()) is None


@pytest.mark.parametrize(
    "change",
    [
        "update external_client set active = false",
        "update client set active = false",
        "update organization set active = false",
    ],
)
async def test_who_is_put_out_of_use_is_out_within_ten_seconds(
    place: Place, register: Register, superuser_engine: AsyncEngine, change: str
) -> None:
    await register()
    assert await place.caller(signed())
    await run(superuser_engine, change)
    assert await place.caller(signed(jti="fresh")) is None
    restarted = Place(place.engine, place.outside)
    assert await restarted.caller(signed()) is None


async def test_a_bound_token_is_good_with_its_certificate_alone(
    place: Place, register: Register
) -> None:
    await register()
    token = signed(cnf={"x5t#S256": THUMBPRINT}, aud=[US, "https://other.example"])
    caller = await place.caller(token, THUMBPRINT)
    assert caller is not None
    assert caller.certificate == THUMBPRINT
    assert await place.caller(token, OTHER) is None  # though it is remembered
    assert await place.caller(token) is None
    assert await place.caller(token, THUMBPRINT)


async def test_in_production_a_token_is_bound_or_it_is_written_down_why_not(
    app_engine: AsyncEngine, superuser_engine: AsyncEngine, register: Register, place: Place
) -> None:
    await register()
    strict = Place(app_engine, place.outside, unbound=False)
    assert await strict.caller(signed()) is None
    assert await strict.caller(signed(), THUMBPRINT) is None
    assert await strict.caller(signed(cnf={"x5t#S256": THUMBPRINT}), THUMBPRINT)
    accept = "update client set unbound_until = :until, unbound_because = 'old proxy'"
    await run(superuser_engine, accept, until=NOW + timedelta(seconds=5))
    assert await strict.caller(signed(jti="accepted"))
    strict.passed = 5
    assert await strict.caller(signed(jti="accepted")) is None


async def test_a_token_ends_on_the_second_though_it_is_remembered(
    place: Place, register: Register
) -> None:
    await register()
    token = signed(exp=int(NOW.timestamp()) + 2)
    assert await place.caller(token)
    place.passed = 2
    assert await place.caller(token) is None


async def test_an_issuer_that_is_away_is_no_refusal(
    app_engine: AsyncEngine, register: Register
) -> None:
    await register()
    with pytest.raises(Unavailable):
        await Place(app_engine, Outside()).caller(signed())


async def test_keys_that_are_away_are_no_refusal_and_soon_looked_for_again(
    place: Place, register: Register
) -> None:
    await register()
    keys = place.outside.answers.pop(JWKS)
    for _ in range(3):
        with pytest.raises(Unavailable):
            await place.caller(signed())
    place.outside.answers[JWKS] = keys
    place.passed = 5
    assert await place.caller(signed())
    assert place.outside.asked == [OIDC, JWKS, JWKS]


async def test_an_opaque_token_is_asked_about_once_in_ten_seconds(
    place: Place, register: Register
) -> None:
    await register()
    asking = place.asking(FOREIGN)
    place.outside.answers[ASK] = {**claims(), "active": True, "token_type": "Bearer"}
    for _ in range(5):
        assert (await asking.principal("opaque", None)).client_name == "valley"
    assert place.outside.asked == [ASK]
    place.outside.answers[ASK] = {"active": False}
    for _ in range(5):
        with pytest.raises(Unauthenticated):
            await asking.principal("another", None)
    assert place.outside.asked == [ASK, ASK]


@pytest.mark.parametrize("live", [True, False])
async def test_what_it_told_is_as_old_as_the_question(
    place: Place, register: Register, monkeypatch: pytest.MonkeyPatch, live: bool
) -> None:
    await register()
    asking = place.asking(FOREIGN)
    tell = asking._tokens.claims

    async def slow(token: str) -> Json:
        place.passed += 4
        return await tell(token)

    monkeypatch.setattr(asking._tokens, "claims", slow)
    for known in (asking._known, asking._refused):
        monkeypatch.setattr(known, "_monotonic", lambda: place.passed)
    place.outside.answers[ASK] = {**claims(), "active": live, "token_type": "Bearer"}
    for passed, asked in ((0, 1), (9.9, 1), (10, 2)):
        place.passed = passed
        with nullcontext() if live else pytest.raises(Unauthenticated):
            await asking.principal("opaque", None)
        assert place.outside.asked == [ASK] * asked


async def test_in_production_no_issuer_is_asked_about_what_could_not_be_good(
    place: Place, register: Register, superuser_engine: AsyncEngine
) -> None:
    await register()
    await register("hill", issuer="https://other.example")
    strict = Place(place.engine, place.outside, unbound=False)
    asking = strict.asking(FOREIGN)
    bound = {**claims(cnf={"x5t#S256": THUMBPRINT}), "active": True}
    place.outside.answers[ASK] = bound
    accept = "update client set unbound_until = :until, unbound_because = 'r' where name = :name"
    soon = NOW + timedelta(seconds=5)
    for name, until in (("hill", soon), ("valley", NOW)):
        await run(superuser_engine, accept, until=until, name=name)
        with pytest.raises(Unauthenticated):
            await asking.principal("opaque", None)
    assert place.outside.asked == []
    assert (await asking.principal("opaque", THUMBPRINT)).client_name == "valley"
    assert place.outside.asked == [ASK]
    await run(superuser_engine, accept, until=soon, name="valley")
    place.outside.answers[ASK] = {**claims(), "active": True}
    assert (await asking.principal("accepted", None)).client_name == "valley"
    await run(superuser_engine, "update external_client set active = false")
    with pytest.raises(Unauthenticated):
        await asking.principal("another", None)
    assert place.outside.asked == [ASK, ASK]


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"token_type": "DPoP"},
        {"token_type": ["Bearer"]},
        {"token_use": "refresh_token"},
        {"aud": None},
        {"exp": None},
        {"sub": "somebody"},
    ],
)
async def test_what_an_issuer_tells_is_looked_at_too(
    place: Place, register: Register, changes: Json
) -> None:
    await register()
    place.outside.answers[ASK] = {**claims(**changes), "active": True}
    with pytest.raises(Unauthenticated):
        await place.asking(FOREIGN).principal("opaque", None)


async def own_token(engine: AsyncEngine, client: str) -> str:
    async with transaction(engine) as db:
        return (await tokens.issue(db, client, (), timedelta(hours=1), utc_now())).token


async def test_of_two_issuers_each_knows_its_own(
    place: Place, register: Register, app_engine: AsyncEngine
) -> None:
    await register()
    ours = [f"Bearer {await own_token(app_engine, 'valley')}"]
    theirs = [f"bearer {signed()}"]
    embedded = Authenticator(app_engine, utc_now)
    both = Authenticators(embedded, place.external)
    for headers in (ours, theirs):
        assert (await both.principal(headers)).client_name == "valley"
    only_ours, only_theirs = Authenticators(embedded, None), Authenticators(None, place.external)
    assert (await only_ours.principal(ours)).client_name == "valley"
    assert (await only_theirs.principal(theirs)).client_name == "valley"
    wrong: tuple[list[str], ...] = (
        [],
        [*ours, *ours],
        ["Bearer"],
        ["Basic eDp5"],
        [f"{theirs[0]},"],
        ["Bearer é"],
    )
    for authenticator, headers in [
        (only_ours, theirs),
        (only_theirs, ours),
        *((each, header) for each in (both, only_ours, only_theirs) for header in wrong),
    ]:
        with pytest.raises(Unauthenticated):
            await authenticator.principal(headers)


async def test_what_looks_like_ours_and_is_not_is_asked_about_where_all_are(
    place: Place, register: Register, app_engine: AsyncEngine
) -> None:
    await register()
    embedded = Authenticator(app_engine, utc_now)
    place.outside.answers[ASK] = {**claims(), "active": True}
    asked = Authenticators(embedded, place.asking(FOREIGN))
    assert (await asked.principal([f"Bearer {'x' * 43}"])).client_name == "valley"
    not_asked = Authenticators(embedded, place.external)
    with pytest.raises(Unauthenticated):
        await not_asked.principal([f"Bearer {'x' * 43}"])
