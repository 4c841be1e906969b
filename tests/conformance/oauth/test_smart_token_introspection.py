"""Introspection, by the tests of the public SMART kit (smart_stu2_2); each has its kit's id.

The kit posts `token` to the advertised endpoint, with a header of the tester's choice: here the
token that was just given out.
"""

from typing import Any

import pytest
from httpx import Response

from tests.oauth_door import ISSUER, NAME, NOW, Place

pytestmark = pytest.mark.usefixtures("client")


async def introspected(place: Place, token: str, own: str) -> Response:
    """What is answered at the endpoint that is advertised."""
    async with place.http() as client:
        said = (await client.get("/fhir/.well-known/smart-configuration")).json()
    path = said["introspection_endpoint"].removeprefix(ISSUER)
    return await place.post(path, {"token": token}, headers={"Authorization": f"Bearer {own}"})


async def new_token(place: Place) -> dict[str, Any]:
    """A token as it was answered."""
    answer = await place.ask(scope="system/Claim.c system/Task.rs system/ClaimResponse.r")
    body: dict[str, Any] = answer.json()
    return body


async def test_smart_token_introspection_request(place: Place) -> None:
    token = (await new_token(place))["access_token"]
    for asked in (token, "invalid_token_value"):
        answer = await introspected(place, asked, own=token)
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("application/json")


async def test_smart_token_introspection_response_active(place: Place) -> None:
    given = await new_token(place)
    said = (await introspected(place, given["access_token"], given["access_token"])).json()
    assert said["active"] is True
    assert said["client_id"] == NAME
    assert said["scope"].split(" ") == given["scope"].split(" ")
    assert said["exp"] == int(NOW.timestamp()) + given["expires_in"]


async def test_smart_token_introspection_response_invalid(place: Place) -> None:
    token = (await new_token(place))["access_token"]
    assert (await introspected(place, "invalid_token_value", token)).json() == {"active": False}
