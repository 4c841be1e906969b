"""Signing in at a provider that may lie: what is sent out, and what is taken back."""

import hmac
from base64 import b64decode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc.jwk import ECKey, OctKey

from tests.hand_made_jwt import base64url, segment
from tests.unit.auth.a_provider import (
    CLIENT,
    ISSUER,
    FakeProvider,
    id_claims,
    key,
    metadata,
    signed,
)
from wiser_fhir.auth.jws import read_jwt, verify
from wiser_fhir.auth.oidc import (
    ALGORITHMS,
    METADATA_SECONDS,
    NotAnew,
    Provider,
    RelyingParty,
    SignInFailed,
)
from wiser_fhir.auth.own_key import OwnKey
from wiser_fhir.auth.sessions import Begun, Taken
from wiser_fhir.egress.client import Egress

NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
BACK = "https://review.example/sign-in/callback"
OURS = Provider(ISSUER, CLIENT, BACK, secret="s3cret/+ of ours")
TAKEN = Taken("v" * 43, "n" * 43, "/", step_up=False, begun_at=NOW)
ANSWER = {"code": ["c-1"], "state": ["s"], "iss": [ISSUER]}
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def provider() -> FakeProvider:
    """A provider that knows Rhoda."""
    return FakeProvider(id_token=signed(id_claims(NOW, TAKEN.nonce), key(), "ES384"))


def party(provider: FakeProvider, ours: Provider = OURS, seconds: float = 0.0) -> RelyingParty:
    egress = Egress(transport=provider.transport())
    return RelyingParty(ours, egress, lambda: NOW, lambda: seconds)


async def refused(provider: FakeProvider, answer: Any = ANSWER, taken: Taken = TAKEN) -> str:
    """Why nobody is signed in."""
    with pytest.raises(SignInFailed) as failed:
        await party(provider).identity(answer, taken)
    return failed.value.reason


def says(provider: FakeProvider, **claims: Any) -> None:
    """Have the provider sign other claims."""
    provider.id_token = signed(id_claims(NOW, TAKEN.nonce, **claims), key(), "ES384")


async def test_the_browser_takes_along_state_nonce_and_challenge(provider: FakeProvider) -> None:
    begun = Begun.anew()
    url = urlsplit(await party(provider).sign_in_url(begun))
    asked = parse_qs(url.query)
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{ISSUER}/authorize"
    assert asked == {
        "response_type": ["code"],
        "client_id": [CLIENT],
        "redirect_uri": [BACK],
        "scope": ["openid"],
        "state": [begun.state],
        "nonce": [begun.nonce],
        "code_challenge": [create_s256_code_challenge(begun.verifier)],
        "code_challenge_method": ["S256"],
        "prompt": ["login"],
        "max_age": ["60"],
    }


async def test_the_person_is_asked_for_in_a_way_that_the_operator_trusts(
    provider: FakeProvider,
) -> None:
    ours = replace(OURS, acr=("phr", "mfa"))
    url = await party(provider, ours).sign_in_url(Begun.anew())
    assert parse_qs(urlsplit(url).query)["acr_values"] == ["phr mfa"]


def test_nobody_guesses_what_a_sign_in_goes_by() -> None:
    one, two = Begun.anew(), Begun.anew()
    parts = [*(one.state, one.browser, one.verifier, one.nonce), two.state, two.nonce]
    assert len(set(parts)) == len(parts)
    assert all(len(part) == 43 for part in parts)
    assert not any(part in repr(one) for part in parts)


async def test_who_signed_in_is_known_by_issuer_and_subject(provider: FakeProvider) -> None:
    found = await party(provider).identity(ANSWER, TAKEN)
    assert (found.issuer, found.subject, found.signed_in_at) == (ISSUER, "rhoda", NOW)
    [form] = provider.asked
    assert form == {
        "grant_type": "authorization_code",
        "code": "c-1",
        "redirect_uri": BACK,
        "code_verifier": TAKEN.verifier,
        "client_id": CLIENT,
    }
    assert "secret" not in str(form)
    [sent] = provider.authorization
    assert b64decode((sent or "").removeprefix("Basic ")) == b"wiser:s3cret%2F%2B+of+ours"


async def test_a_secret_goes_in_the_form_where_the_provider_wants_it_there(
    provider: FakeProvider,
) -> None:
    provider.says = metadata(token_endpoint_auth_methods_supported=["client_secret_post"])
    await party(provider).identity(ANSWER, TAKEN)
    assert provider.asked[0]["client_secret"] == OURS.secret
    assert provider.authorization == [None]


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("P-256", "ES256"), ("P-384", "ES384"), ("RSA", "RS256")]
)
async def test_with_a_key_we_prove_ourselves_by_a_jwt_of_a_minute(
    provider: FakeProvider, kind: str, algorithm: str
) -> None:
    ours = party(provider, replace(OURS, key=OwnKey.load(key(kind).as_pem(private=True))))
    await ours.identity(ANSWER, TAKEN)
    form = provider.asked[0]
    jwt = read_jwt(form["client_assertion"], (algorithm,))
    verify(jwt, key(kind), (algorithm,))
    assert form["client_assertion_type"].endswith("jwt-bearer")
    assert (jwt.claims["iss"], jwt.claims["sub"]) == (CLIENT, CLIENT)
    assert jwt.claims["aud"] == f"{ISSUER}/token"
    assert jwt.claims["exp"] - NOW.timestamp() == 60
    [public] = ours.public_keys()["keys"]
    assert (public["kid"], "d" in public) == (jwt.header["kid"], False)
    assert provider.authorization == [None]


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({**ANSWER, "iss": ["https://evil.example"]}, "foreign-issuer"),
        ({**ANSWER, "iss": [f"{ISSUER}/"]}, "foreign-issuer"),
        ({"code": ["c-1"], "state": ["s"]}, "foreign-issuer"),
        ({**ANSWER, "iss": [ISSUER, ISSUER]}, "answer"),
        ({**ANSWER, "code": ["c-1", "c-2"]}, "answer"),
        ({"state": ["s"], "iss": [ISSUER]}, "answer"),
        ({"state": ["s"], "iss": [ISSUER], "error": ["access_denied"]}, "refused-there"),
        ({**ANSWER, "error": ["access_denied"]}, "refused-there"),
        ({"error": ["x"], "iss": ["https://evil.example"]}, "foreign-issuer"),
    ],
)
async def test_an_answer_from_elsewhere_is_not_taken_to_the_token_endpoint(
    provider: FakeProvider, answer: Any, reason: str
) -> None:
    assert await refused(provider, answer) == reason
    assert provider.asked == []


async def test_a_provider_that_never_names_itself_may_be_silent_but_not_another(
    provider: FakeProvider,
) -> None:
    provider.says = metadata(authorization_response_iss_parameter_supported=None)
    silent = {name: value for name, value in ANSWER.items() if name != "iss"}
    assert (await party(provider).identity(silent, TAKEN)).subject == "rhoda"
    other = {**ANSWER, "iss": ["https://evil.example"]}
    assert await refused(provider, other) == "foreign-issuer"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"issuer": "https://evil.example"}, "metadata-issuer"),
        ({"issuer": f"{ISSUER}/"}, "metadata-issuer"),
        ({"issuer": None}, "metadata-issuer"),
        ({"code_challenge_methods_supported": ["plain"]}, "metadata-pkce"),
        ({"code_challenge_methods_supported": "S256"}, "metadata-pkce"),
        ({"token_endpoint": None}, "metadata-endpoint"),
        ({"token_endpoint": "http://login.example/token"}, "metadata-endpoint"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "metadata-endpoint"),
        ({"jwks_uri": ["https://login.example/jwks"]}, "metadata-endpoint"),
    ],
)
async def test_a_provider_that_cannot_be_trusted_is_not_used(
    provider: FakeProvider, said: Any, reason: str
) -> None:
    provider.says = metadata(**said)
    assert await refused(provider) == reason


async def test_what_the_provider_says_of_itself_is_held_for_an_hour(
    provider: FakeProvider,
) -> None:
    time = [0.0]
    egress = Egress(transport=provider.transport())
    ours = RelyingParty(OURS, egress, lambda: NOW, lambda: time[0])
    for time[0] in (0.0, METADATA_SECONDS - 1, METADATA_SECONDS):
        await ours.sign_in_url(Begun.anew())
    assert len(provider.fetched) == 2


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://evil.example"}, "id-token-iss"),
        ({"iss": None}, "id-token-iss"),
        ({"aud": "another"}, "id-token-aud"),
        ({"aud": ["another"]}, "id-token-aud"),
        ({"aud": []}, "id-token-aud"),
        ({"aud": None}, "id-token-aud"),
        ({"aud": [CLIENT, "another"]}, "id-token-azp"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "id-token-azp"),
        ({"azp": "another"}, "id-token-azp"),
        ({"nonce": None}, "id-token-nonce"),
        ({"nonce": "of another sign-in"}, "id-token-nonce"),
        ({"nonce": ""}, "id-token-nonce"),
        ({"exp": None}, "id-token-exp"),
        ({"exp": int((NOW - 2 * MINUTE).timestamp())}, "id-token-exp"),
        ({"exp": "tomorrow"}, "id-token-exp"),
        ({"iat": None}, "id-token-iat"),
        ({"iat": int((NOW + 2 * MINUTE).timestamp())}, "id-token-iat"),
        ({"nbf": int((NOW + 2 * MINUTE).timestamp())}, "id-token-nbf"),
        ({"sub": None}, "id-token-sub"),
        ({"sub": ""}, "id-token-sub"),
        ({"sub": "s" * 256}, "id-token-sub"),
        ({"sub": 7}, "id-token-sub"),
        ({"auth_time": None}, "id-token-auth_time"),
        ({"auth_time": True}, "id-token-auth_time"),
        ({"auth_time": -1}, "id-token-auth_time"),
        ({"auth_time": "now"}, "id-token-auth_time"),
        ({"auth_time": int((NOW + 2 * MINUTE).timestamp())}, "id-token-auth_time"),
        ({"auth_time": int((NOW - timedelta(hours=9)).timestamp())}, "id-token-auth_time"),
        ({"at_hash": "AAAA"}, "id-token-at_hash"),
    ],
)
async def test_an_id_token_that_says_otherwise_signs_nobody_in(
    provider: FakeProvider, claims: Any, reason: str
) -> None:
    says(provider, **claims)
    assert await refused(provider) == reason


@pytest.mark.parametrize("aud", [CLIENT, [CLIENT], [CLIENT, "another"]])
async def test_an_id_token_for_us_may_say_so_in_more_than_one_way(
    provider: FakeProvider, aud: Any
) -> None:
    says(provider, aud=aud, azp=CLIENT)
    assert (await party(provider).identity(ANSWER, TAKEN)).subject == "rhoda"


async def test_an_id_token_that_nobody_signed_is_none(provider: FakeProvider) -> None:
    head, body, _ = (provider.id_token or "").split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    for token in (f"{none}.{body}.", f"{none}.{body}.AA", f"{head}.{body}.AA", None, "x"):
        provider.id_token = token
        assert (await refused(provider)).startswith("id-token-")


async def test_our_secret_signs_no_id_token(provider: FakeProvider) -> None:
    claims = id_claims(NOW, TAKEN.nonce)
    provider.id_token = signed(claims, OctKey.import_key((OURS.secret or "") * 3), "HS256")
    assert await refused(provider) == "id-token-algorithm"


async def test_the_public_key_is_no_secret_to_sign_with(provider: FakeProvider) -> None:
    head = {"alg": "HS256", "typ": "JWT", "kid": key().thumbprint()}
    text = f"{segment(head)}.{segment(id_claims(NOW, TAKEN.nonce))}"
    mac = hmac.digest(key().as_pem(private=False), text.encode(), "sha256")
    provider.id_token = f"{text}.{base64url(mac)}"
    assert await refused(provider) == "id-token-algorithm"


async def test_a_foreign_key_is_not_taken_under_the_providers_name(
    provider: FakeProvider,
) -> None:
    other = ECKey.generate_key("P-384")
    claims = id_claims(NOW, TAKEN.nonce)
    provider.id_token = signed(claims, other, "ES384")
    assert await refused(provider) == "id-token-signature"
    provider.id_token = signed(claims, other, "ES384", jwk=other.as_dict(private=False))
    assert await refused(provider) == "id-token-signature"
    provider.id_token = signed(claims, other, "ES384", kid=other.thumbprint())
    assert await refused(provider) == "id-token-key"


async def test_a_code_that_the_provider_refuses_signs_nobody_in(provider: FakeProvider) -> None:
    provider.token_status = 400
    assert await refused(provider) == "code-refused"


@pytest.mark.parametrize("status", [500, 503])
async def test_a_provider_that_is_away_is_no_fault_of_the_persons(
    provider: FakeProvider, status: int
) -> None:
    provider.token_status = status
    with pytest.raises(SignInFailed) as failed:
        await party(provider).identity(ANSWER, TAKEN)
    assert (failed.value.reason, failed.value.away) == ("provider-away", True)


async def test_so_is_one_whose_keys_are_away(provider: FakeProvider) -> None:
    provider.keys_status = 503
    with pytest.raises(SignInFailed) as failed:
        await party(provider).identity(ANSWER, TAKEN)
    assert (failed.value.reason, failed.value.away) == ("provider-away", True)


async def test_a_sign_in_is_as_old_as_the_provider_says(provider: FakeProvider) -> None:
    since, taken = NOW - 3 * MINUTE, replace(TAKEN, begun_at=NOW - 5 * MINUTE)
    says(provider, auth_time=int(since.timestamp()))
    assert (await party(provider).identity(ANSWER, taken)).signed_in_at == since


async def test_a_clock_that_is_fast_makes_nobody_sign_in_tomorrow(provider: FakeProvider) -> None:
    says(provider, auth_time=int((NOW + 30 * SECOND).timestamp()))
    assert (await party(provider).identity(ANSWER, TAKEN)).signed_in_at == NOW


async def test_a_sign_in_from_before_it_was_begun_is_none(provider: FakeProvider) -> None:
    says(provider, auth_time=int((NOW - MINUTE - SECOND).timestamp()))
    with pytest.raises(NotAnew, match="id-token-auth_time"):
        await party(provider).identity(ANSWER, TAKEN)
    says(provider, auth_time=int((NOW - MINUTE).timestamp()))
    assert (await party(provider).identity(ANSWER, TAKEN)).signed_in_at == NOW - MINUTE


async def test_a_sign_in_is_by_a_way_that_the_operator_trusts(provider: FakeProvider) -> None:
    ours = replace(OURS, acr=("phr", "mfa"))
    for acr in (None, "pwd", ["mfa"]):
        says(provider, acr=acr)
        with pytest.raises(SignInFailed, match="id-token-acr"):
            await party(provider, ours).identity(ANSWER, TAKEN)
    says(provider, acr="mfa")
    assert (await party(provider, ours).identity(ANSWER, TAKEN)).subject == "rhoda"


def test_algorithms_are_those_of_key_pairs() -> None:
    assert not any(each == "none" or each.startswith("HS") for each in ALGORITHMS)


@pytest.mark.parametrize("status", [404, 503])
async def test_without_what_the_provider_says_of_itself_nobody_is_sent_there(status: int) -> None:
    away = Egress(transport=httpx.MockTransport(lambda _: httpx.Response(status)))
    ours = RelyingParty(OURS, away, lambda: NOW, lambda: 0.0)
    with pytest.raises(SignInFailed) as failed:
        await ours.sign_in_url(Begun.anew())
    assert (failed.value.reason, failed.value.away) == ("provider-away", True)


async def test_a_sandbox_without_key_and_secret_shows_its_name_alone(
    provider: FakeProvider,
) -> None:
    ours = Provider(ISSUER, CLIENT, BACK)
    assert (await party(provider, ours).identity(ANSWER, TAKEN)).subject == "rhoda"
    [form] = provider.asked
    assert form["client_id"] == CLIENT
    assert {"client_secret", "client_assertion"}.isdisjoint(form)
    assert provider.authorization == [None]
    assert form["code_verifier"] == TAKEN.verifier
