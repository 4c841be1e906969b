"""The traps of the libraries, each with a JWT that falls into it; and every other JWT that is none.

Numbers are those of the design's table of traps.
"""

import hashlib
import hmac
import logging
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from httpx import Response
from joserfc.jws import deserialize_compact

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
from tests.oauth_door import ISSUER, JWT_BEARER, KEY, NAME, NOW, TOKEN, Place, Registry, Servers
from wiser_fhir.web import logs

pytestmark = pytest.mark.usefixtures("client")

IN_FIVE_MINUTES = int(NOW.timestamp()) + 300
JWKS_URL = "https://ehr.example/jwks.json"


async def sent(place: Place, token: str) -> Response:
    """What is answered to a token request with this JWT."""
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": JWT_BEARER,
        "client_assertion": token,
    }
    return await place.post("/oauth/token", form)


async def reason(registry: Registry) -> str | None:
    """Why the last one was refused, by the trail."""
    return (await registry.audited())[-1][2]


@pytest.mark.parametrize("pair", [rsa_pair("r"), ec_pair("e")], ids=["RS384", "ES384"])
async def test_trap_1_both_algorithms_of_smart_are_verified(
    place: Place, registry: Registry, pair: Any
) -> None:
    await registry.client("signs", (pair,))
    assert (await place.ask(pair, iss="signs", sub="signs")).status_code == 200


async def test_trap_2_a_header_as_long_as_a_certificate_chain_is_read(place: Place) -> None:
    chain = ["A" * 1_600] * 3
    assert (await place.ask(header=header_for(KEY, x5c=chain))).status_code == 200


async def test_trap_2_a_jwt_beyond_16_kib_is_not(place: Place, registry: Registry) -> None:
    assert (await place.ask(header=header_for(KEY, x5c=["A" * 12_288]))).status_code == 401
    assert await reason(registry) == "size"


@pytest.mark.parametrize("depth", [100, 5_000])
@pytest.mark.parametrize("where", ["header", "claims"])
async def test_trap_3_deep_nesting_is_refused_and_nothing_breaks(
    place: Place, registry: Registry, depth: int, where: str
) -> None:
    nested = b"[" * depth + b"]" * depth
    parts: dict[str, Any] = {"header": header_for(KEY), "claims": place.claims()}
    own = b'{"alg": "ES384", "kid": "client-key", "deep": ' + nested + b"}"
    parts[where] = own if where == "header" else b'{"deep": ' + nested + b"}"
    answer = await sent(place, jwt(KEY, parts["header"], parts["claims"]))
    assert answer.status_code in {200, 401} if depth == 100 and where == "header" else 401
    if depth == 5_000:
        assert answer.status_code == 401
        assert await reason(registry) == "form"


@pytest.mark.parametrize(
    "exp",
    [
        IN_FIVE_MINUTES + 61,
        IN_FIVE_MINUTES + 10 * 365 * 86_400,
        int(NOW.timestamp()),
        int(NOW.timestamp()) - 1,
        None,
        str(IN_FIVE_MINUTES),
        True,
        -1,
        [IN_FIVE_MINUTES],
        2**63,
        10**400,
    ],
)
async def test_trap_4_exp_is_within_five_minutes_and_not_over(
    place: Place, registry: Registry, exp: Any
) -> None:
    assert (await place.ask(exp=exp)).status_code == 401
    assert await reason(registry) in {"life", "form"}


@pytest.mark.parametrize("exp", [IN_FIVE_MINUTES + 60, NOW.timestamp() + 0.5, IN_FIVE_MINUTES - 1])
async def test_trap_4_a_client_s_clock_may_be_a_minute_ahead(place: Place, exp: float) -> None:
    assert (await place.ask(exp=exp)).status_code == 200


@pytest.mark.parametrize(
    "aud",
    [
        [TOKEN, "https://other.example/token"],
        [TOKEN, ISSUER],
        [TOKEN, TOKEN],
        [],
        [[TOKEN]],
        {"0": TOKEN},
        None,
        "",
        "https://other.example/token",
        f"{TOKEN}//",
        f"{TOKEN}?x",
        f"{ISSUER}/oauth",
        f"{ISSUER}/oauth/introspect",
        f"{ISSUER}/fhir",
        TOKEN.upper(),
        "http://payer.example/oauth/token",
        "http://wrong.host/oauth/token",
        "https://payer.example.evil/oauth/token",
    ],
)
async def test_trap_5_an_audience_that_is_not_us_or_not_us_alone(
    place: Place, registry: Registry, aud: Any
) -> None:
    assert (await place.ask(aud=aud)).status_code == 401
    assert await reason(registry) == "audience"


@pytest.mark.parametrize("aud", [TOKEN, f"{TOKEN}/", ISSUER, f"{ISSUER}/", [TOKEN]])
async def test_trap_5_the_token_endpoint_and_the_issuer_are_us(place: Place, aud: Any) -> None:
    assert (await place.ask(aud=aud)).status_code == 200


def hmac_by_public_key(place: Place) -> str:
    """The oldest confusion: our public key taken for a shared secret."""
    pem = KEY.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = {"alg": "HS384", "kid": KEY.kid}
    message = f"{segment(header)}.{segment(place.claims())}"
    return f"{message}.{base64url(hmac.digest(pem, message.encode(), hashlib.sha384))}"


def unsigned(place: Place, alg: str) -> str:
    return f"{segment({'alg': alg, 'kid': KEY.kid})}.{segment(place.claims())}."


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", ""])
async def test_trap_6_none_is_no_algorithm(place: Place, alg: str) -> None:
    token = unsigned(place, alg)
    assert (await sent(place, token)).status_code == 401
    assert (await sent(place, f"{token}AA")).status_code == 401


async def test_trap_6_a_public_key_is_no_shared_secret(place: Place, registry: Registry) -> None:
    assert (await sent(place, hmac_by_public_key(place))).status_code == 401
    assert await reason(registry) == "algorithm"


@pytest.mark.parametrize(
    "alg", ["HS256", "HS384", "RS256", "ES256", "RS512", "ES512", "PS384", "EdDSA", "ES384 ", 384]
)
async def test_trap_6_other_algorithms_are_not_taken_without_a_certificate(
    place: Place, registry: Registry, alg: Any
) -> None:
    pair = rsa_pair("r")
    await registry.client("signs", (pair,))
    answer = await place.ask(pair, {"alg": alg, "kid": "r"}, iss="signs", sub="signs")
    assert answer.status_code == 401
    assert await reason(registry) == "algorithm"


@pytest.mark.parametrize(
    ("pair", "alg"), [(rsa_pair("r"), "RS256"), (ec_pair("p", "P-256"), "ES256")]
)
async def test_without_udap_a_certificate_in_the_header_allows_no_other_algorithm(
    place: Place, registry: Registry, pair: Pair, alg: str
) -> None:
    await registry.client("signs", (pair,))
    header = {**header_for(pair), "alg": alg, "x5c": ["AA=="]}
    assert (await place.ask(pair, header, iss="signs", sub="signs")).status_code == 401
    assert await reason(registry) == "algorithm"


async def test_trap_6_an_algorithm_that_does_not_go_with_the_key(place: Place) -> None:
    assert (await place.ask(rsa_pair("r"), {"alg": "RS384", "kid": KEY.kid})).status_code == 401
    assert (await place.ask(rsa_pair("r"), {"alg": "ES384", "kid": KEY.kid})).status_code == 401


@pytest.mark.parametrize(
    "brought",
    [
        {"jwk": ec_pair("foreign").jwk()},
        {"jwk": ec_pair("foreign").jwk(kid=KEY.kid)},
        {"jku": "https://attacker.example/jwks.json"},
        {"jku": None},
        {"x5u": "https://attacker.example/chain.pem"},
        {"x5c": ["AA=="]},
        {"crit": ["exp"]},
        {"b64": False},
        {"typ": "at+jwt"},
        {"typ": 7},
    ],
)
async def test_trap_6_no_key_comes_from_a_header(
    place: Place, servers: Servers, brought: Json
) -> None:
    foreign = ec_pair("foreign")
    header = {"alg": "ES384", "kid": KEY.kid, **brought}
    assert (await place.ask(foreign, header)).status_code == 401
    assert servers.asked == []


@pytest.mark.parametrize(
    "kid", [None, "another", "", 7, ["client-key"], "' or 1=1", "../key", "\0"]
)
async def test_trap_6_a_kid_names_a_registered_key_or_none(place: Place, kid: Any) -> None:
    assert (await place.ask(ec_pair("foreign"), header_for(KEY, kid=kid))).status_code == 401
    assert (await place.ask(header=header_for(KEY, kid=kid))).status_code == 401


async def test_trap_6_a_jku_is_the_one_registered(
    place: Place, registry: Registry, servers: Servers
) -> None:
    await registry.client("by-url", jwks_url=JWKS_URL)
    servers.documents[JWKS_URL] = {"keys": [KEY.jwk()]}
    servers.documents[f"{JWKS_URL}?x"] = {"keys": [KEY.jwk()]}
    named: dict[str, Any] = {"iss": "by-url", "sub": "by-url"}
    assert (await place.ask(header=header_for(KEY, jku=f"{JWKS_URL}?x"), **named)).is_client_error
    assert servers.asked == []
    assert (await place.ask(header=header_for(KEY, jku=JWKS_URL), **named)).is_success
    assert (await place.ask(header=header_for(KEY, jku=JWKS_URL))).is_client_error


@pytest.mark.parametrize(
    "entry",
    [
        {"kty": "oct", "k": base64url(b"k" * 48), "kid": "weak"},
        rsa_pair("weak", 1024).jwk(),
        ec_pair("weak").jwk(**ec_pair("weak").secret()),
        ec_pair("weak", "P-521").jwk(),
    ],
    ids=["oct", "RSA-1024", "private", "P-521"],
)
async def test_trap_7_a_key_that_is_not_fit_is_not_used(
    place: Place, registry: Registry, servers: Servers, entry: Json
) -> None:
    await registry.client("weak", jwks_url=JWKS_URL)
    servers.documents[JWKS_URL] = {"keys": [entry]}
    pair = rsa_pair("weak", 1024) if entry["kty"] == "RSA" else ec_pair("weak")
    assert (await place.ask(pair, iss="weak", sub="weak")).status_code == 401
    assert await reason(registry) == "key"


@pytest.mark.parametrize(
    "claims",
    [
        b'{"iss": "nobody", "iss": "an-ehr", "sub": "an-ehr"}',
        b'{"iss": "an-ehr", "sub": "an-ehr", "exp": NaN}',
        b'{"iss": "an-ehr", "sub": "an-ehr", "exp": Infinity}',
        b'{"sub": "an-ehr", "\\u0073ub": "nobody"}',
        b"\xff",
        b"[]",
        b'"an-ehr"',
        b"null",
        b"",
    ],
)
async def test_trap_8_json_that_two_readers_read_in_two_ways(
    place: Place, registry: Registry, claims: bytes
) -> None:
    filled = claims.replace(b'"sub": "an-ehr"}', _rest(place))
    assert (await sent(place, jwt(KEY, header_for(KEY), filled))).status_code == 401
    assert await reason(registry) == "form"


async def test_trap_8_a_number_beyond_all_numbers_is_no_instant(
    place: Place, registry: Registry
) -> None:
    exp = str(int(NOW.timestamp()) + 300).encode()
    claims = b'{"iss": "an-ehr", ' + _rest(place).replace(exp, b"1e999")
    assert (await sent(place, jwt(KEY, header_for(KEY), claims))).status_code == 401
    assert await reason(registry) == "life"


def _rest(place: Place) -> bytes:
    exp = int(place.time.now().timestamp()) + 300
    return f'"sub": "an-ehr", "aud": "{TOKEN}", "jti": "12345678", "exp": {exp}}}'.encode()


async def test_trap_8_the_same_json_with_each_name_once_is_taken(place: Place) -> None:
    claims = b'{"iss": "an-ehr", ' + _rest(place)
    assert (await sent(place, jwt(KEY, header_for(KEY), claims))).status_code == 200


async def test_trap_9_no_registration_is_taken_at_a_stock_endpoint(place: Place) -> None:
    async with place.http() as client:
        answer = await client.post("/oauth/register", json={"software_statement": "x.y.z"})
        said = (await client.get("/.well-known/oauth-authorization-server")).json()
    assert answer.status_code == 404
    assert "registration_endpoint" not in said


async def test_trap_10_no_token_and_no_jwt_reaches_a_log(
    place: Place, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    logs.configure("debug")
    logging.getLogger().addHandler(caplog.handler)
    form = place.token_form()
    answer = await place.post("/oauth/token", form)
    token = answer.json()["access_token"]
    await place.post("/oauth/token", form)
    about = {"token": token, **place.shown_by_jwt()}
    await place.post("/oauth/introspect", about)
    await place.post(
        "/oauth/revoke", {"token": token}, headers={"Authorization": f"Bearer {token}"}
    )
    told = caplog.text + "".join(capfd.readouterr())
    assert "request" in told
    for secret in (token, form["client_assertion"], about["client_assertion"]):
        assert secret not in told
        assert secret.split(".")[-1] not in told
    for name in ("authlib", "httpx", "httpcore"):
        assert logging.getLogger(name).level == logging.WARNING


async def test_trap_13_a_client_that_is_none_is_answered_401(place: Place) -> None:
    answer = await place.ask(ec_pair("foreign"), header_for(KEY))
    assert answer.status_code == 401
    assert answer.json()["error"] == "invalid_client"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "another"},
        {"iss": None},
        {"iss": [NAME]},
        {"sub": None},
        {"sub": "another"},
        {"sub": [NAME]},
        {"sub": 7},
        {"sub": ""},
        {"sub": "\0", "iss": "\0"},
        {"sub": "\ud800", "iss": "\ud800"},
        {"sub": "é" * 10, "iss": "é" * 10},
        {"sub": "x" * 2_049, "iss": "x" * 2_049},
        {"sub": f"{NAME}\n", "iss": f"{NAME}\n"},
        {"sub": NAME.upper(), "iss": NAME.upper()},
    ],
)
async def test_iss_and_sub_are_both_the_client(place: Place, claims: Json) -> None:
    assert (await place.ask(**claims)).status_code == 401


@pytest.mark.parametrize(
    "jti",
    [None, "", "1234567", "x" * 257, 12_345_678, ["12345678"], "a b c d e", "é" * 8, "\0" * 8],
)
async def test_a_jti_has_eight_to_256_characters(
    place: Place, registry: Registry, jti: Any
) -> None:
    assert (await place.ask(jti=jti)).status_code == 401
    assert await reason(registry) == ("form" if jti == "\0" * 8 else "jti")


@pytest.mark.parametrize(
    "jti", ["12345678", "x" * 256, "0f" * 32, "7f1c3b6e-9a54-4c1e-8a6e-0f9d8c7b6a54"]
)
async def test_a_jti_of_any_usual_kind_will_do(place: Place, jti: str) -> None:
    assert (await place.ask(jti=jti)).status_code == 200


async def test_what_need_not_be_there_need_not_be_there(place: Place) -> None:
    """Neither iat nor nbf nor typ: the public suite sends no iat."""
    assert (await place.ask(header=header_for(KEY, typ=None))).status_code == 200
    assert (await place.ask(header=header_for(KEY, typ="jwt"))).status_code == 200


@pytest.mark.parametrize("name", ["nbf", "iat"])
async def test_what_is_there_is_looked_at(place: Place, name: str) -> None:
    now = int(NOW.timestamp())
    assert (await place.ask(**dict[str, Any]({name: now + 60}))).status_code == 200
    for wrong in (now + 61, "soon", True):
        assert (await place.ask(**dict[str, Any]({name: wrong}))).status_code == 401


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "x",
        "..",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "a.b.c.d.e",
        " ",
        "\0",
        "é.é.é",
        '{"payload": "", "signatures": []}',
    ],
)
async def test_what_is_no_jwt(place: Place, broken: str) -> None:
    assert (await sent(place, broken)).status_code == 401


async def test_a_jwt_that_was_changed(place: Place) -> None:
    header, claims, signature = place.shown_by_jwt()["client_assertion"].split(".")
    other = segment(place.claims(jti="another-jti"))
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    for token in (
        f"{header}.{other}.{signature}",
        f"{header}.{claims}.{flipped}",
        f"{header}.{claims}.{signature[:-4]}",
        f"{header}.{claims}.{signature}=",
        f"{header}.{claims}.{base64url(bytes(96))}",
    ):
        assert (await sent(place, token)).status_code == 401
    assert (await sent(place, f"{header}.{claims}.{signature}")).status_code == 200


async def test_keys_at_a_url_are_fetched_from_the_registered_url_alone(
    place: Place, registry: Registry, servers: Servers
) -> None:
    await registry.client("by-url", jwks_url=JWKS_URL)
    for _ in range(5):
        assert (await place.ask(iss="by-url", sub="by-url")).status_code == 401
    assert servers.asked == [JWKS_URL]
    servers.documents[JWKS_URL] = {"keys": [KEY.jwk()]}
    place.time.passed += timedelta(minutes=1).total_seconds()
    assert (await place.ask(iss="by-url", sub="by-url")).status_code == 200


async def test_a_client_whose_keys_are_away_is_refused_as_any_other_for_five_seconds(
    place: Place, registry: Registry, servers: Servers
) -> None:
    await registry.client("by-url", jwks_url=JWKS_URL)
    away = await place.ask(iss="by-url", sub="by-url")
    unknown = await place.ask(iss="nobody", sub="nobody")
    assert (away.status_code, away.content) == (401, unknown.content)
    assert away.json()["error"] == "invalid_client"
    assert ("token.issue", "refused", "keys-away") in await registry.audited()
    servers.documents[JWKS_URL] = {"keys": [KEY.jwk()]}
    place.time.passed += 5
    assert (await place.ask(iss="by-url", sub="by-url")).status_code == 200


async def test_a_signature_is_looked_at_once_whoever_asks(
    place: Place, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How long an answer takes tells nobody who is registered, or by which key."""
    looked: list[str] = []

    def counted(token: str, key: Any, **options: Any) -> Any:
        looked.append(token)
        return deserialize_compact(token, key, **options)

    monkeypatch.setattr("joserfc.jws.deserialize_compact", counted)
    await registry.client("keyless")
    await registry.run(
        "update client_key set active = false where client_id ="
        " (select id from client where name = 'keyless')"
    )
    for claims, header in (
        ({"iss": "nobody", "sub": "nobody"}, None),
        ({"iss": "nobody", "sub": "nobody"}, header_for(KEY, alg="RS256")),
        ({}, header_for(KEY, alg="RS256")),
        ({"iss": "keyless", "sub": "keyless"}, None),
        ({}, header_for(KEY, kid="another")),
        ({}, header_for(KEY, kid=None)),
        ({}, header_for(KEY, jku=JWKS_URL)),
        ({"aud": "https://other.example"}, None),
        ({}, None),
    ):
        looked.clear()
        await place.ask(header=header, **dict[str, Any](claims))
        assert len(looked) == 1
