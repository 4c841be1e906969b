"""What can be registered as an EHR, before any database is asked."""

import json
from typing import Any

import pytest

from tests.hand_made_jwt import ec_pair, rsa_pair
from wiser_fhir.auth.cds_clients import Registration, RegistrationRefused, read_key_file
from wiser_fhir.auth.keys import KeysRefused

ISS = "https://ehr.example"
KEYS = {"keys": [ec_pair().jwk()]}
NEAR = ("http", "localhost", 4567)


@pytest.mark.parametrize(
    "registration",
    [
        Registration(ISS, jwks=KEYS),
        Registration(ISS, jwks_url=f"{ISS}/jwks.json"),
        Registration(f"{ISS}:8443/a/b", jwks_url=f"{ISS}/jwks?set=1"),
        Registration("http://localhost:4567/custom/crd_server", jwks=KEYS),
        Registration(ISS, jwks_url="http://localhost:4567/custom/crd_server/jwks.json"),
        Registration(ISS, jwks=KEYS, fhir_servers=(f"{ISS}/fhir", "http://localhost:4567")),
    ],
)
def test_what_can_work_is_taken(registration: Registration) -> None:
    registration.check([NEAR])


@pytest.mark.parametrize(
    ("registration", "why"),
    [
        (Registration("", jwks=KEYS), "issuer"),
        (Registration("ehr", jwks=KEYS), "issuer"),
        (Registration("urn:ehr", jwks=KEYS), "issuer"),
        (Registration("https://a b", jwks=KEYS), "issuer"),
        (Registration("https://" + "x" * 2_048, jwks=KEYS), "issuer"),
        (Registration(ISS), "one of the two"),
        (Registration(ISS, jwks=KEYS, jwks_url=f"{ISS}/jwks"), "one of the two"),
        (Registration(ISS, jwks_url="http://ehr.example/jwks"), "https"),
        (Registration(ISS, jwks_url="https://u:p@ehr.example/jwks"), "one way"),
        (Registration(ISS, jwks_url="https://ehr.example/jwks#x"), "one way"),
        (Registration(ISS, jwks_url="file:///etc/passwd"), "one way"),
        (Registration(ISS, jwks_url="https://0x7f.1/jwks"), "one way"),
        (Registration(ISS, jwks=KEYS, fhir_servers=("http://ehr.example/fhir",)), "https"),
        (Registration(ISS, jwks=KEYS, fhir_servers=(f"{ISS}/fhir?x=1",)), "query"),
        (Registration(ISS, jwks=KEYS, fhir_servers=(f"{ISS}/fhir", "ehr")), "one way"),
    ],
)
def test_what_cannot_work_is_said(registration: Registration, why: str) -> None:
    with pytest.raises(RegistrationRefused, match=why):
        registration.check([NEAR])


def test_without_extra_origins_everything_is_https() -> None:
    with pytest.raises(RegistrationRefused):
        Registration(ISS, jwks_url="http://localhost:4567/jwks").check([])


def test_a_key_file_is_reduced_to_its_public_keys() -> None:
    content = json.dumps({"keys": [ec_pair().jwk(x5c=["AA=="]), rsa_pair().jwk()]}).encode()
    kept = [ec_pair().jwk(use="sig"), rsa_pair().jwk(use="sig")]
    assert read_key_file(content) == {"keys": kept}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "sound JSON"),
        (b"\xff", "sound JSON"),
        (b"[" * 60_000, "sound JSON"),
        (b"[]", "a list"),
        (b'{"keys": []}', "no key"),
        (b'{"keys": [], "keys": []}', "sound JSON"),
        (b'{"keys": NaN}', "sound JSON"),
        (b" " * 65_537, "64 KiB"),
        ({"keys": [ec_pair().jwk(**ec_pair().secret())]}, "private"),
        ({"keys": [ec_pair().jwk(), rsa_pair().jwk(**rsa_pair().secret())]}, r"keys\[1\]"),
        ({"keys": [ec_pair().jwk(), ec_pair().jwk()]}, "another key"),
    ],
)
def test_a_key_file_that_cannot_be_used_whole_is_refused(content: Any, why: str) -> None:
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(KeysRefused, match=why):
        read_key_file(content)
