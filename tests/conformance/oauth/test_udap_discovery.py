"""The discovery tests of the UDAP kit, by their ids (`udap_security` suite, group discovery)."""

import json
import re
from base64 import b64decode, urlsafe_b64decode
from typing import Any
from urllib.parse import urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from httpx import Response

from tests.udap import BASES, COMMUNITY, authority
from tests.udap_door import UdapPlace
from tests.udap_fixtures import books, registrant, udap

__all__ = ["books", "registrant", "udap"]

PATHS = {base: f"{urlsplit(base).path}/.well-known/udap" for base in BASES}


@pytest.fixture(params=sorted(BASES))
def base(request: pytest.FixtureRequest) -> str:
    """Each base URL."""
    return str(request.param)


@pytest.fixture
async def answer(udap: UdapPlace, base: str) -> Response:
    """What is answered to a client that has shown nothing."""
    return await udap.get(PATHS[base])


@pytest.fixture
def config(answer: Response) -> dict[str, Any]:
    """The document."""
    read: dict[str, Any] = answer.json()
    return read


def parts(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, what is signed, and the signature."""
    header, claims, signature = token.split(".")
    decoded = [urlsafe_b64decode(each + "=" * (-len(each) % 4)) for each in (header, claims)]
    signed = f"{header}.{claims}".encode()
    made = urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    return json.loads(decoded[0]), json.loads(decoded[1]), signed, made


def are_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def is_url(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("https?://[^ ]+", value) is not None


async def test_udap_well_known_endpoint(answer: Response) -> None:
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert isinstance(answer.json(), dict)


async def test_udap_well_known_endpoint_with_a_community(udap: UdapPlace, base: str) -> None:
    known = await udap.get(PATHS[base], community=COMMUNITY)
    assert known.status_code == 200
    for unknown in ("urn:example:nobody", "", "not a uri"):
        assert (await udap.get(PATHS[base], community=unknown)).status_code == 404


async def test_udap_versions_supported_field(config: dict[str, Any]) -> None:
    assert config["udap_versions_supported"] == ["1"]


async def test_grant_types_supported_field(config: dict[str, Any]) -> None:
    assert config["grant_types_supported"] == ["client_credentials"]


async def test_udap_profiles_supported_field(config: dict[str, Any]) -> None:
    assert {"udap_dcr", "udap_authn", "udap_authz"} == set(config["udap_profiles_supported"])


async def test_udap_auth_extensions_supported_field(config: dict[str, Any]) -> None:
    assert config["udap_authorization_extensions_supported"] == ["hl7-b2b"]


async def test_udap_auth_extensions_required_field(config: dict[str, Any]) -> None:
    assert config["udap_authorization_extensions_required"] == ["hl7-b2b"]


async def test_udap_certifications_supported_field(config: dict[str, Any]) -> None:
    assert are_strings(config["udap_certifications_supported"])


async def test_udap_certifications_required_field(config: dict[str, Any]) -> None:
    assert config["udap_certifications_required"] == []


async def test_udap_scopes_supported_field(config: dict[str, Any]) -> None:
    assert are_strings(config["scopes_supported"])
    assert "system/Claim.cu" in config["scopes_supported"]


async def test_udap_authorization_endpoint_field(config: dict[str, Any]) -> None:
    """Required for the grant authorization_code alone, which there is not."""
    assert "authorization_code" not in config["grant_types_supported"]
    assert "authorization_endpoint" not in config


async def test_udap_token_endpoint_field(config: dict[str, Any]) -> None:
    assert is_url(config["token_endpoint"])


async def test_udap_registration_endpoint_field(config: dict[str, Any]) -> None:
    assert is_url(config["registration_endpoint"])


async def test_udap_token_endpoint_auth_methods_supported_field(config: dict[str, Any]) -> None:
    assert config["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]


async def test_udap_token_endpoint_auth_signing_alg_values_supported_field(
    config: dict[str, Any],
) -> None:
    assert "RS256" in config["token_endpoint_auth_signing_alg_values_supported"]


async def test_udap_reg_endpoint_jwt_signing_alg_values_supported_field(
    config: dict[str, Any],
) -> None:
    assert are_strings(config["registration_endpoint_jwt_signing_alg_values_supported"])
    assert "RS256" in config["registration_endpoint_jwt_signing_alg_values_supported"]


async def test_udap_signed_metadata_field(config: dict[str, Any]) -> None:
    assert re.fullmatch(r"[\w-]+\.[\w-]+\.[\w-]+", config["signed_metadata"])


async def test_udap_signed_metadata_contents(config: dict[str, Any], base: str) -> None:
    header, claims, signed, signature = parts(config["signed_metadata"])
    assert header["alg"] == "RS256"
    leaf = x509.load_der_x509_certificate(b64decode(header["x5c"][0], validate=True))
    key = leaf.public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert claims["iss"] in names.get_values_for_type(x509.UniformResourceIdentifier)
    assert (claims["iss"], claims["sub"]) == (base, base)
    assert type(claims["iat"]) is int
    assert type(claims["exp"]) is int
    assert 0 < claims["exp"] - claims["iat"] <= 365 * 86_400
    assert claims["jti"]
    for name in ("token_endpoint", "registration_endpoint"):
        assert claims[name] == config[name]
    assert "authorization_endpoint" not in claims


async def test_udap_signed_metadata_trust_verification(config: dict[str, Any]) -> None:
    """The chain leads to the community's anchor. That lists are found where certificates say is
    shown on the sandbox's own community, which has a place for one.
    """
    header, *_ = parts(config["signed_metadata"])
    chain = [x509.load_der_x509_certificate(b64decode(each)) for each in header["x5c"]]
    for certificate, issuer in zip(chain, [*chain[1:], authority().certificate], strict=True):
        certificate.verify_directly_issued_by(issuer)
