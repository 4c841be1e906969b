"""Backend services, by the tests of the public SMART kit (smart_stu2_2, group 3); each has its id.

The assertion is the kit's: header `alg`, `kid`, `typ`; `iss`, `sub`, `aud`, `exp`, `jti`, no `iat`.
"""

import pytest

from tests.hand_made_jwt import Pair, ec_pair, rsa_pair
from tests.oauth_door import JWT_BEARER, Place, Registry

PAIRS = (ec_pair("es"), rsa_pair("rs"))
SCOPE = "system/Claim.cu system/ClaimResponse.rs"

pytestmark = [
    pytest.mark.usefixtures("kit"),
    pytest.mark.parametrize("pair", PAIRS, ids=["ES384", "RS384"]),
]


@pytest.fixture
async def kit(registry: Registry) -> None:
    """The kit as a client, its keys registered by value."""
    await registry.client("inferno", PAIRS)


def form(place: Place, pair: Pair) -> dict[str, str]:
    """The form, in the kit's order, for the token endpoint that is advertised."""
    return place.token_form(pair, scope=SCOPE, iss="inferno", sub="inferno")


async def test_smart_backend_services_invalid_grant_type(place: Place, pair: Pair) -> None:
    sent = {**form(place, pair), "grant_type": "not_a_grant_type"}
    answer = await place.post("/oauth/token", sent)
    assert answer.status_code == 400
    assert answer.json()["error"] == "unsupported_grant_type"


async def test_smart_backend_services_invalid_client_assertion(place: Place, pair: Pair) -> None:
    sent = {**form(place, pair), "client_assertion_type": "not_an_assertion_type"}
    assert (await place.post("/oauth/token", sent)).status_code in {400, 401}


async def test_smart_backend_services_invalid_jwt(place: Place, pair: Pair) -> None:
    sent = {**form(place, pair), "client_assertion_type": f"{JWT_BEARER}.invalid"}
    assert (await place.post("/oauth/token", sent)).status_code in {400, 401}
    sent = {**form(place, pair), "client_assertion": "not.a.jwt"}
    assert (await place.post("/oauth/token", sent)).status_code in {400, 401}


async def test_smart_backend_services_auth_request_success(place: Place, pair: Pair) -> None:
    answer = await place.post("/oauth/token", form(place, pair))
    assert answer.status_code in {200, 201}


async def test_smart_backend_services_auth_response_body(place: Place, pair: Pair) -> None:
    body = (await place.post("/oauth/token", form(place, pair))).json()
    assert body["access_token"].strip()
    assert body["token_type"].lower() == "bearer"
    assert type(body["expires_in"]) is int
    assert body["expires_in"] > 0
    assert body["scope"] == SCOPE


async def test_smart_token_response_headers(place: Place, pair: Pair) -> None:
    answer = await place.post("/oauth/token", form(place, pair))
    assert "no-store" in answer.headers["cache-control"]
    assert "no-cache" in answer.headers["pragma"]
