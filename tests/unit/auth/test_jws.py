"""Reading and verifying a JWT, with signatures made by another hand than joserfc's."""

import hashlib
import hmac
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

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
from wiser_fhir.auth.jws import (
    MAX_TOKEN,
    REGISTRY,
    JwtRefused,
    one_audience,
    read_jwt,
    strict_json,
    verify,
)
from wiser_fhir.auth.keys import PublicKey, read_keys

CLAIMS: Json = {"iss": "https://ehr.example", "jti": "one"}


def key_of(pair: Pair) -> PublicKey:
    return read_keys({"keys": [pair.jwk()]}).keys[pair.kid]


def check(token: str, pair: Pair) -> Json:
    read = read_jwt(token)
    verify(read, key_of(pair).key)
    return read.claims


def refusal(token: str, pair: Pair) -> str:
    with pytest.raises(JwtRefused) as caught:
        check(token, pair)
    return caught.value.reason


@pytest.mark.parametrize("pair", [ec_pair(), rsa_pair(), rsa_pair("large", 3_072)])
def test_both_algorithms_are_verified(pair: Pair) -> None:
    assert check(jwt(pair, header_for(pair), CLAIMS), pair) == CLAIMS


def test_a_certificate_chain_in_the_header_fits_and_is_ignored() -> None:
    chain = [base64url(bytes(900)), base64url(bytes(900))]
    token = jwt(ec_pair(), header_for(ec_pair(), x5c=chain), CLAIMS)
    assert check(token, ec_pair()) == CLAIMS


def test_a_signature_of_the_largest_key_fits() -> None:
    REGISTRY.validate_signature_size(base64url(bytes(8_192 // 8)).encode())


def test_a_parameter_nobody_registered_is_ignored() -> None:
    token = jwt(ec_pair(), header_for(ec_pair(), ehr_vendor="x"), CLAIMS)
    assert check(token, ec_pair()) == CLAIMS


@pytest.mark.parametrize("alg", ["ES256", "ES512", "RS256", "RS512", "PS384", "EdDSA", "ES384 "])
def test_any_other_algorithm_is_refused(alg: str) -> None:
    pair = rsa_pair() if alg[0] in "RP" else ec_pair()
    assert refusal(jwt(pair, header_for(pair, alg=alg), CLAIMS), pair) == "algorithm"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "", None, 384, ["ES384"], {}, True])
def test_no_signature_is_no_algorithm(alg: Any) -> None:
    header = segment({"alg": alg, "kid": "ec"})
    signed = jwt(ec_pair(), header_for(ec_pair()), CLAIMS).split(".")[2]
    for signature in ("", "AA", signed):
        token = f"{header}.{segment(CLAIMS)}.{signature}"
        assert refusal(token, ec_pair()) in ("algorithm", "form")


@pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
@pytest.mark.parametrize("pair", [ec_pair(), rsa_pair()])
def test_the_public_key_is_no_secret(alg: str, pair: Pair) -> None:
    public = pair.private.public_key()
    forms = [
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(pair.jwk()).encode(),
    ]
    message = f"{segment(header_for(pair, alg=alg))}.{segment(CLAIMS)}"
    for secret in forms:
        mac = hmac.digest(secret, message.encode(), getattr(hashlib, f"sha{alg[2:]}"))
        assert refusal(f"{message}.{base64url(mac)}", pair) == "algorithm"


def test_an_algorithm_does_not_take_the_other_s_key() -> None:
    assert refusal(jwt(ec_pair(), header_for(ec_pair()), CLAIMS), rsa_pair()) == "signature"
    assert refusal(jwt(rsa_pair(), header_for(rsa_pair()), CLAIMS), ec_pair()) == "signature"


def test_es384_wants_its_own_curve() -> None:
    short = ec_pair("short", "P-256")
    token = jwt(short, header_for(short, alg="ES384"), CLAIMS)
    assert refusal(token, short) == "signature"


def test_a_key_for_another_algorithm_is_not_used() -> None:
    key = read_keys({"keys": [rsa_pair().jwk(alg="RS256")]}).keys["rsa"]
    with pytest.raises(JwtRefused):
        verify(read_jwt(jwt(rsa_pair(), header_for(rsa_pair()), CLAIMS)), key.key)


def test_keys_that_a_header_brings_are_not_used() -> None:
    foreign = ec_pair("foreign")
    for brought in (
        {"jwk": foreign.jwk(kid="ec")},
        {"x5c": [base64url(bytes(600))]},
        {"x5u": "https://evil.example/cert"},
        {"jku": "https://evil.example/jwks"},
    ):
        token = jwt(foreign, header_for(foreign, kid="ec", **brought), CLAIMS)
        assert refusal(token, ec_pair()) == "signature"


def test_a_changed_token_is_refused() -> None:
    header, _, signature = jwt(ec_pair(), header_for(ec_pair()), CLAIMS).split(".")
    other = segment({**CLAIMS, "jti": "two"})
    assert refusal(f"{header}.{other}.{signature}", ec_pair()) == "signature"
    for size in (0, 1, 95, 97, 1_000):
        token = f"{header}.{segment(CLAIMS)}.{base64url(bytes(size))}"
        assert refusal(token, ec_pair()) in ("signature", "form")
    zeros = f"{header}.{segment(CLAIMS)}.{base64url(bytes(96))}"
    assert refusal(zeros, ec_pair()) == "signature"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["b64"], "b64": False},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"b64": True},
        {"typ": "at+jwt"},
        {"typ": "dpop+jwt"},
        {"typ": 1},
    ],
)
def test_a_header_we_do_not_understand_is_refused(header: Json) -> None:
    token = jwt(ec_pair(), header_for(ec_pair(), **header), CLAIMS)
    assert refusal(token, ec_pair()) == "header"


@pytest.mark.parametrize("typ", ["JWT", "jwt", None])
def test_the_type_is_jwt_if_it_is_said(typ: str | None) -> None:
    assert check(jwt(ec_pair(), header_for(ec_pair(), typ=typ), CLAIMS), ec_pair())


@pytest.mark.parametrize(
    "text",
    [
        b'{"alg":"ES384","alg":"ES384"}',
        b'{"alg":"none","alg":"ES384"}',
        b'{"alg":"ES384","x":{"y":1,"y":2}}',
        b'{"alg":"ES384","x":NaN}',
        b'{"alg":"ES384","x":-Infinity}',
        b'{"alg":"ES384","x":' + b"9" * 5_000 + b"}",
        b'{"alg":"ES384","x":' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b"[" * 5_000,
        b'{"a":' * 1_000 + b"1" + b"}" * 1_000,
        b'["alg"]',
        b'"alg b64"',
        b"null",
        b"1",
        b"",
        b" ",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe",
        b'{"alg":"ES384"',
    ],
)
def test_json_that_two_readers_could_read_differently_is_refused(text: bytes) -> None:
    for header, claims in ((text, CLAIMS), (header_for(ec_pair()), text)):
        token = jwt(ec_pair(), header, claims)
        assert refusal(token, ec_pair()) in ("form", "size")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t + ".",
        lambda t: t + ".AA",
        lambda t: t.rsplit(".", 1)[0],
        lambda t: t.replace(".", "..", 1),
        lambda t: t + "=",
        lambda t: t + "\n",
        lambda t: t + "é",
        lambda t: " " + t,
        lambda t: t.replace(".", ".+", 1),
        lambda t: "",
        lambda t: "..",
        lambda t: json.dumps({"payload": "e30", "signatures": []}),
    ],
)
def test_only_the_compact_form_is_read(change: Any) -> None:
    token = jwt(ec_pair(), header_for(ec_pair()), CLAIMS)
    assert refusal(change(token), ec_pair()) == "form"


def test_eight_kibibytes_are_the_most() -> None:
    def padded(size: int) -> str:
        return jwt(ec_pair(), header_for(ec_pair()), {**CLAIMS, "pad": "x" * size})

    room = (MAX_TOKEN - len(padded(0))) * 3 // 4
    fits = next(t for t in (padded(room - i) for i in range(4)) if len(t) <= MAX_TOKEN)
    assert check(fits, ec_pair())["jti"] == "one"
    assert refusal(padded(room + 4), ec_pair()) == "size"


@pytest.mark.parametrize("aud", ["us", ["us"]])
def test_a_jwt_is_for_one_alone(aud: Any) -> None:
    assert one_audience({"aud": aud}) == "us"


@pytest.mark.parametrize("aud", [None, 7, [], [7], ["us", "us"], ["us", "another"], {"us": 1}])
def test_for_nobody_or_for_several_it_is_refused(aud: Any) -> None:
    with pytest.raises(JwtRefused, match="audience"):
        one_audience({"aud": aud})


def test_a_token_shows_in_no_trace() -> None:
    token = jwt(ec_pair(), header_for(ec_pair()), CLAIMS)
    assert token.split(".")[2] not in repr(read_jwt(token))


@pytest.mark.parametrize("text", [r'{"a":"\ud800"}', r'{"\udfff":1}', r'{"a":["\u0000"]}'])
def test_what_no_text_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        strict_json(text)


def test_other_escapes_are_read() -> None:
    assert strict_json(r'{"a":"\u00e9 \ud83d\ude00 \\u12"}') == {"a": "é 😀 \\u12"}
