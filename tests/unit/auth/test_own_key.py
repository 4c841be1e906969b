"""The key by which we prove who we are: which ones are taken, and what one signs."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc import jws
from joserfc.jwk import JWKRegistry, RSAKey

from tests.hand_made_jwt import Pair, ec_pair, rsa_pair
from wiser_fhir.auth.jws import strict_json
from wiser_fhir.auth.own_key import OwnKey

NAME = "https://sso.example/realms/payer"


def pem(pair: Pair) -> bytes:
    return pair.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(pair: Pair) -> bytes:
    public = pair.private.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize(
    ("pair", "algorithm"),
    [(ec_pair(), "ES384"), (ec_pair("x", "P-256"), "ES256"), (rsa_pair(), "RS256")],
)
def test_we_prove_who_we_are_by_a_key_of_any_usual_kind(pair: Pair, algorithm: str) -> None:
    own = OwnKey.load(pem(pair))
    public = own.public_keys()
    assert not {"d", "p", "q"} & set(public["keys"][0])
    assert public["keys"][0]["alg"] == own.algorithm == algorithm
    allowed = jws.JWSRegistry(algorithms=[algorithm])
    read = jws.deserialize_compact(
        own.assertion("the-payer", NAME, 1_000.5),
        JWKRegistry.import_key(public["keys"][0]),
        registry=allowed,
    )
    claims = strict_json(read.payload.decode())
    assert len(claims.pop("jti")) >= 32
    assert claims == {
        "iss": "the-payer",
        "sub": "the-payer",
        "aud": NAME,
        "iat": 1_000,
        "exp": 1_060,
    }


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a key",
        public_pem(ec_pair()),
        public_pem(rsa_pair()),
        pem(ec_pair("y", "P-521")),
        Path(__file__).read_bytes(),
    ],
    ids=["nothing", "text", "a public key", "a public key of RSA", "another curve", "a long text"],
)
def test_what_is_no_private_key_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="is no private key"):
        OwnKey.load(content)


@pytest.mark.filterwarnings("ignore:Key size should be")
def test_a_short_key_is_refused() -> None:
    short = RSAKey.generate_key(1_024).as_pem(private=True)
    with pytest.raises(ValueError, match="2048 bits or more"):
        OwnKey.load(short)
    assert OwnKey.load(pem(rsa_pair())).key.is_private
