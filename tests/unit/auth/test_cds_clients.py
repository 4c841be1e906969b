"""What can be registered as an EHR, before any database is asked."""

import pytest

from tests.hand_made_jwt import ec_pair
from wiser_fhir.auth.cds_clients import Registration
from wiser_fhir.auth.registration import RegistrationRefused

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
        (Registration("ehr"), "issuer"),
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
