"""The sandbox's own provider: what it gives, to whom, and to whom it does not."""

from base64 import urlsafe_b64encode
from datetime import timedelta
from hashlib import sha256
from urllib.parse import urlencode

import pytest
from fastapi import FastAPI
from joserfc.jwk import ECKey

from tests.clocks import StillClock
from tests.integration.sign_in.browsing import ORIGIN, Browser, Json, query
from tests.reviewing import NOW
from tests.unit.auth.a_provider import signed
from wiser_fhir.auth.jws import read_jwt, verify
from wiser_fhir.auth.keys import read_keys

PATH = "/sandbox/issuer"
ISSUER = f"{ORIGIN}{PATH}"
VERIFIER = "v" * 43
CHALLENGE = urlsafe_b64encode(sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
APP = "http://127.0.0.1:5173/back"
ASKED = {
    "response_type": "code",
    "client_id": "sandbox-app",
    "redirect_uri": APP,
    "scope": "openid",
    "state": "s-1",
    "nonce": "n-1",
    "code_challenge": CHALLENGE,
    "code_challenge_method": "S256",
}


def asking(**changes: str | None) -> str:
    said = {name: value for name, value in {**ASKED, **changes}.items() if value is not None}
    return f"{PATH}/authorize?{urlencode(said)}"


async def code_of(browser: Browser, **changes: str) -> str:
    back = await browser.pick(asking(**changes), "rhoda-reviewer")
    return query(back)["code"]


async def token(browser: Browser, code: str, **changes: str) -> tuple[int, Json]:
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": APP,
        "client_id": "sandbox-app",
        "code_verifier": VERIFIER,
        **changes,
    }
    answer = await browser.http.post(f"{PATH}/token", data=form)
    return answer.status_code, answer.json()


async def test_who_is_picked_is_told_to_the_client(browser: Browser) -> None:
    back = await browser.pick(asking(), "rhoda-reviewer")
    assert query(back).keys() == {"code", "state", "iss"}
    assert (query(back)["state"], query(back)["iss"]) == ("s-1", ISSUER)
    status, said = await token(browser, query(back)["code"])
    assert (status, said["token_type"], said["expires_in"]) == (200, "Bearer", 300)
    jwks = (await browser.get(f"{PATH}/jwks")).json()
    jwt = read_jwt(said["id_token"], ("RS256",))
    verify(jwt, read_keys(jwks).keys[jwt.header["kid"]].key, ("RS256",))
    at = int(NOW.timestamp())
    assert jwt.claims == {
        "iss": ISSUER,
        "sub": "rhoda-reviewer",
        "aud": "sandbox-app",
        "iat": at,
        "exp": at + 300,
        "auth_time": at,
        "nonce": "n-1",
        "name": "Rhoda Reviewer",
    }


async def test_it_says_of_itself_what_it_does(browser: Browser) -> None:
    said = (await browser.get(f"{PATH}/.well-known/openid-configuration")).json()
    assert said["issuer"] == ISSUER
    assert said["code_challenge_methods_supported"] == ["S256"]
    assert said["authorization_response_iss_parameter_supported"] is True
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        assert said[name].startswith(f"{ISSUER}/")


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "nobody"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": "https://evil.example/back"},
        {"redirect_uri": "http://127.0.0.1.evil.example/back"},
        {"redirect_uri": "http://127.0.0.1@evil.example/back"},
        {"client_id": "wiser-fhir"},
        {"client_id": "wiser-fhir", "redirect_uri": f"{ORIGIN}/sign-in/callback/x"},
    ],
)
async def test_no_browser_is_sent_to_where_nobody_registered(
    browser: Browser, changes: dict[str, str | None]
) -> None:
    answer = await browser.get(asking(**changes))
    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"scope": "profile"}, "invalid_scope"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"prompt": "none"}, "login_required"),
    ],
)
async def test_what_is_not_granted_is_told_to_the_client(
    browser: Browser, changes: dict[str, str | None], error: str
) -> None:
    answer = await browser.get(asking(**changes))
    assert answer.status_code == 303
    said = query(answer.headers["location"])
    assert said == {"error": error, "state": "s-1", "iss": ISSUER}


async def test_nobody_else_is_picked(browser: Browser) -> None:
    answer = await browser.http.post(f"{PATH}/authorize", data={**ASKED, "person": "king"})
    assert query(answer.headers["location"])["error"] == "access_denied"


async def test_a_code_is_good_once(browser: Browser) -> None:
    code = await code_of(browser)
    assert (await token(browser, code))[0] == 200
    assert await token(browser, code) == (400, {"error": "invalid_grant"})


async def test_a_code_that_was_tried_is_good_no_more(browser: Browser) -> None:
    code = await code_of(browser)
    assert (await token(browser, code, code_verifier="w" * 43))[0] == 400
    assert (await token(browser, code))[0] == 400


async def test_a_code_is_good_for_a_minute(browser: Browser, clock: StillClock) -> None:
    code = await code_of(browser)
    clock.now = NOW + timedelta(seconds=60)
    assert await token(browser, code) == (400, {"error": "invalid_grant"})


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"code_verifier": "w" * 43}, 400, "invalid_grant"),
        ({"code_verifier": ""}, 400, "invalid_grant"),
        ({"redirect_uri": "http://127.0.0.1:5173/else"}, 400, "invalid_grant"),
        ({"grant_type": "refresh_token"}, 400, "unsupported_grant_type"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_id": "wiser-fhir"}, 401, "invalid_client"),
        ({"client_assertion": "x"}, 401, "invalid_client"),
    ],
)
async def test_a_token_is_for_who_asked(
    browser: Browser, changes: dict[str, str], status: int, error: str
) -> None:
    code = await code_of(browser)
    assert await token(browser, code, **changes) == (status, {"error": error})


async def test_a_code_of_one_client_is_none_of_another(browser: Browser, app: FastAPI) -> None:
    code = await code_of(browser, client_id="wiser-fhir", redirect_uri=f"{ORIGIN}/sign-in/callback")
    assert (await token(browser, code, redirect_uri=f"{ORIGIN}/sign-in/callback"))[0] == 400


async def test_another_key_proves_nobody_to_be_us(browser: Browser) -> None:
    at, other = int(NOW.timestamp()), ECKey.generate_key("P-384")
    claims = {"iss": "wiser-fhir", "sub": "wiser-fhir", "aud": ISSUER, "exp": at + 60, "jti": "1"}
    assertion = signed(claims, other, "ES384", kid=other.thumbprint())
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    told = {"client_assertion": assertion, "client_assertion_type": kind}
    assert (await token(browser, "x", **told))[1] == {"error": "invalid_client"}


async def test_what_proves_us_is_good_once_and_here(browser: Browser, app: FastAPI) -> None:
    key = app.state.sign_in.party.provider.key.key
    at = int(NOW.timestamp())
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

    async def tried(**changes: object) -> str:
        claims = {"iss": "wiser-fhir", "sub": "wiser-fhir", "aud": ISSUER, "exp": at + 60}
        assertion = signed({**claims, **changes}, key, "ES384", kid=key.thumbprint())
        told = {"client_assertion": assertion, "client_assertion_type": kind}
        error: str = (await token(browser, "x", **told))[1]["error"]
        return error

    assert await tried(jti="a") == "invalid_grant"
    assert await tried(jti="a") == "invalid_client"
    for wrong in (
        {"jti": "b", "aud": "https://other.example"},
        {"jti": "c", "aud": [ISSUER, "https://other.example"]},
        {"jti": "d", "exp": at},
        {"jti": "e", "exp": at + 600},
        {"jti": "f", "iss": "another"},
        {"jti": 7},
    ):
        assert await tried(**wrong) == "invalid_client", wrong
