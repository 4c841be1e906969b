"""What the server says of itself: only what there is, and the same wherever it says it."""

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import Time
from tests.oauth_door import ISSUER, MTLS, TOKEN, Place, Servers
from wiser_fhir.auth.scopes import ALL_SCOPES
from wiser_fhir.fhir.elements import Json
from wiser_fhir.oauth.endpoints import Endpoints

BASES = ("/fhir", "/v2.0/fhir")
SMART = "/.well-known/smart-configuration"
SERVER = "/.well-known/oauth-authorization-server"


async def said(place: Place, path: str) -> Json:
    """A document, as a browser gets it."""
    async with place.http() as client:
        answer = await client.get(path, headers={"Origin": "https://app.example"})
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"
    document: Json = answer.json()
    return document


async def test_the_smart_document_of_each_base(place: Place) -> None:
    expected = {
        "token_endpoint": TOKEN,
        "introspection_endpoint": f"{ISSUER}/oauth/introspect",
        "revocation_endpoint": f"{ISSUER}/oauth/revoke",
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["ES384", "RS384"],
        "scopes_supported": list(ALL_SCOPES),
        "tls_client_certificate_bound_access_tokens": True,
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
        "code_challenge_methods_supported": ["S256"],
    }
    for base in BASES:
        assert await said(place, f"{base}{SMART}") == expected


async def test_the_server_s_document_agrees_and_names_the_issuer(place: Place) -> None:
    server, smart = await said(place, SERVER), await said(place, f"{BASES[0]}{SMART}")
    assert server["issuer"] == ISSUER
    both = set(server) & set(smart)
    assert {name: server[name] for name in both} == {name: smart[name] for name in both}
    assert set(smart) - both == {"capabilities", "code_challenge_methods_supported"}
    for each in ("token", "introspection", "revocation"):
        assert server[f"{each}_endpoint_auth_methods_supported"] == ["private_key_jwt"]
        algorithms = server[f"{each}_endpoint_auth_signing_alg_values_supported"]
        assert algorithms == ["ES384", "RS384"]


async def test_nothing_is_advertised_that_there_is_not(place: Place) -> None:
    for path in (SERVER, *(f"{base}{SMART}" for base in BASES)):
        document = await said(place, path)
        absent = {"authorization_endpoint", "registration_endpoint", "management_endpoint"}
        assert absent.isdisjoint(document)
        for name, url in document.items():
            if name.endswith("_endpoint"):
                answer = await place.post(str(url).removeprefix(ISSUER), {})
                assert answer.status_code in {400, 401}
        assert "jwks_uri" not in document
        assert "mtls_endpoint_aliases" not in document


async def test_the_host_header_decides_nothing(place: Place) -> None:
    async with place.http() as client:
        answer = await client.get(f"/fhir{SMART}", headers={"Host": "attacker.example"})
    assert "attacker" not in answer.text


async def test_another_listener_for_certificates_is_named(
    app_engine: AsyncEngine, time: Time, servers: Servers
) -> None:
    place = Place(app_engine, time, servers, Endpoints(ISSUER, MTLS, registers=True))
    aliases = {
        "token_endpoint": f"{MTLS}/oauth/token",
        "introspection_endpoint": f"{MTLS}/oauth/introspect",
        "revocation_endpoint": f"{MTLS}/oauth/revoke",
    }
    server = await said(place, SERVER)
    assert server["mtls_endpoint_aliases"] == aliases
    assert server["registration_endpoint"] == f"{ISSUER}/oauth/register"
    smart = await said(place, f"/fhir{SMART}")
    assert smart["mtls_endpoint_aliases"] == aliases
    assert "registration_endpoint" not in smart


@pytest.mark.parametrize("base", BASES)
async def test_the_capability_statement_says_smart_and_leaves_addresses_to_discovery(
    place: Place, base: str
) -> None:
    """The extension that could name them is valid only with an authorization endpoint."""
    [rest] = (await said(place, f"{base}/metadata"))["rest"]
    security = rest["security"]
    assert security["service"] == [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/restful-security-service",
                    "code": "SMART-on-FHIR",
                }
            ]
        }
    ]
    assert "extension" not in security
    assert ".well-known/smart-configuration" in security["description"]
    assert "token_endpoint" in await said(place, f"{base}{SMART}")
