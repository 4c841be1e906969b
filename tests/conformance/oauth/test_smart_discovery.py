"""Discovery, by the tests of the public SMART kit (suite smart_stu2_2); each has its kit's id.

One cannot pass here and is not claimed: `well_known_capabilities_stu2` wants an
`authorization_endpoint` and the grant `authorization_code`, which SMART asks for only where apps
are launched. What else it looks at is looked at below.
"""

from typing import Any

import pytest
from httpx import Response

from tests.oauth_door import Place

ORIGIN = {"Origin": "https://inferno.example"}
BASES = ("/fhir", "/v2.0/fhir")

pytestmark = pytest.mark.parametrize("base", BASES)


async def got(place: Place, path: str, headers: dict[str, str] | None = None) -> Response:
    async with place.http() as client:
        return await client.get(path, headers=headers)


async def well_known(place: Place, base: str) -> dict[str, Any]:
    answer = await got(place, f"{base}/.well-known/smart-configuration")
    body: dict[str, Any] = answer.json()
    return body


async def test_well_known_endpoint(place: Place, base: str) -> None:
    answer = await got(place, f"{base}/.well-known/smart-configuration")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/json")
    assert isinstance(answer.json(), dict)


async def test_well_known_capabilities_stu2_but_for_app_launch(place: Place, base: str) -> None:
    said = await well_known(place, base)
    assert said["token_endpoint"].strip()
    assert said["grant_types_supported"] == ["client_credentials"]
    assert "S256" in said["code_challenge_methods_supported"]
    assert "plain" not in said["code_challenge_methods_supported"]
    assert all(isinstance(each, str) for each in said["capabilities"])
    assert "client-confidential-asymmetric" in said["capabilities"]
    assert "sso-openid-connect" not in said["capabilities"]
    assert "issuer" not in said
    assert "authorization_endpoint" not in said


async def test_smart_cors_well_known_endpoint(place: Place, base: str) -> None:
    answer = await got(place, f"{base}/.well-known/smart-configuration", ORIGIN)
    assert answer.headers["access-control-allow-origin"] in {"*", ORIGIN["Origin"]}


async def test_smart_cors_metadata_request(place: Place, base: str) -> None:
    answer = await got(place, f"{base}/metadata", ORIGIN)
    assert answer.headers["access-control-allow-origin"] in {"*", ORIGIN["Origin"]}
