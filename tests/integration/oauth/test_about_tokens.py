"""Introspection and revocation: each client of its own tokens, and of nobody else's."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from httpx import Response
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import Time
from tests.oauth_door import ISSUER, MTLS, NAME, NOW, TOKEN, Place, Registry, Servers
from tests.pki import issued
from wiser_fhir.auth.bearer import CACHE_SECONDS, token_hash
from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.errors import Unauthenticated
from wiser_fhir.oauth.endpoints import Endpoints

pytestmark = pytest.mark.usefixtures("client")

INTROSPECT = "/oauth/introspect"
REVOKE = "/oauth/revoke"
OTHER = "another-ehr"
INACTIVE = {"active": False}


@pytest.fixture
async def other(registry: Registry) -> UUID:
    """A client of another organization."""
    return await registry.client(OTHER)


async def about(place: Place, path: str, token: str, **claims: Any) -> Response:
    """What a client that signs is told."""
    return await place.post(path, {"token": token, **place.shown_by_jwt(**claims)})


async def by_bearer(place: Place, path: str, token: str, own: str) -> Response:
    """What a client with a token is told."""
    return await place.post(path, {"token": token}, headers={"Authorization": f"Bearer {own}"})


async def is_live(place: Place, token: str) -> bool:
    """Whether a token opens."""
    try:
        await place.app.state.authenticator.principal([f"Bearer {token}"])
    except Unauthenticated:
        return False
    return True


async def test_a_client_is_told_of_its_own_token(place: Place) -> None:
    token = await place.token(scope="system/Claim.c system/Task.r")
    expected = {
        "active": True,
        "scope": "system/Claim.c system/Task.r",
        "client_id": NAME,
        "token_type": "Bearer",
        "iat": int(NOW.timestamp()),
        "exp": int(NOW.timestamp()) + 300,
        "sub": NAME,
        "iss": ISSUER,
    }
    for answer in (
        await about(place, INTROSPECT, token),
        await by_bearer(place, INTROSPECT, token, own=token),
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json() == expected


async def test_of_a_bound_token_it_is_told_to_what(place: Place) -> None:
    certificate = issued()
    token = await place.token(certificate)
    said = (await about(place, INTROSPECT, token)).json()
    assert said["cnf"] == {"x5t#S256": thumbprint_of(certificate.der)}
    header = {"Authorization": f"Bearer {token}"}
    unshown = await place.post(INTROSPECT, {"token": token}, headers=header)
    shown = await place.post(INTROSPECT, {"token": token}, certificate, header)
    assert (unshown.status_code, shown.status_code) == (401, 200)


@pytest.mark.usefixtures("other")
async def test_of_any_other_token_all_are_told_the_same(
    place: Place, registry: Registry, time: Time
) -> None:
    ended = await place.token()
    time.passed = 300
    foreign = await place.token(iss=OTHER, sub=OTHER)
    revoked = await place.token()
    await about(place, REVOKE, revoked)
    answers = [
        await about(place, INTROSPECT, token)
        for token in (foreign, revoked, ended, "a" * 43, "invalid_token_value", "é\0", "x" * 9_999)
    ]
    assert {each.status_code for each in answers} == {200}
    assert {each.content for each in answers} == {b'{"active":false}'}
    outcomes = [row[1] for row in await registry.audited() if row[0] == "token.introspect"]
    assert outcomes == ["inactive"] * 7


@pytest.mark.usefixtures("other")
async def test_a_client_ends_its_own_token_at_once_and_nobody_else_s(place: Place) -> None:
    token = await place.token()
    others = await place.token(iss=OTHER, sub=OTHER)
    assert await is_live(place, token)
    for answer in (
        await about(place, REVOKE, others),
        await about(place, REVOKE, "a" * 43),
        await about(place, REVOKE, token),
        await about(place, REVOKE, token),
    ):
        assert (answer.status_code, answer.content) == (200, b"{}")
    assert not await is_live(place, token)
    assert await is_live(place, others)
    own = await place.token()
    assert (await by_bearer(place, REVOKE, own, own=own)).status_code == 200
    assert not await is_live(place, own)


async def test_elsewhere_a_revocation_takes_hold_within_the_cache_s_ten_seconds(
    place: Place, app_engine: AsyncEngine, time: Time, servers: Servers
) -> None:
    elsewhere = Place(app_engine, time, servers)
    token = await place.token()
    assert await is_live(elsewhere, token)
    await about(place, REVOKE, token)
    assert not await is_live(place, token)
    time.passed = CACHE_SECONDS
    assert not await is_live(elsewhere, token)


async def test_a_host_whose_clock_is_slow_takes_and_ends_what_a_fast_one_issued(
    place: Place, app_engine: AsyncEngine, servers: Servers, registry: Registry
) -> None:
    ahead = Time(NOW)
    ahead.passed = 30
    fast = Place(app_engine, ahead, servers)
    token = await fast.token()
    assert (await about(place, INTROSPECT, token)).json()["active"] is True
    assert await is_live(place, token)
    await about(place, REVOKE, token)
    assert not await is_live(place, token)
    assert not await is_live(fast, token)
    assert (await about(place, INTROSPECT, token)).json() == INACTIVE
    assert ("token.revoke", "revoked", None) in await registry.audited()


async def test_a_host_whose_clock_is_fast_ends_what_has_not_ended_for_a_slow_one(
    place: Place, app_engine: AsyncEngine, time: Time, servers: Servers
) -> None:
    token = await place.token()
    time.passed, ahead = 290, Time(NOW)
    ahead.passed = 320
    await about(Place(app_engine, ahead, servers), REVOKE, token)
    assert not await is_live(place, token)


async def test_what_was_looked_up_before_a_revocation_is_not_remembered_after_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = await place.token()
    authenticator = place.app.state.authenticator
    holders = authenticator.embedded._holders
    look_up, looked, go_on = holders._look_up, asyncio.Event(), asyncio.Event()

    async def slow(*asked: Any) -> Any:
        found = await look_up(*asked)
        looked.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(holders, "_look_up", slow)
    waiting = asyncio.create_task(authenticator.principal([f"Bearer {token}"]))
    await looked.wait()
    await about(place, REVOKE, token)
    go_on.set()
    await waiting
    assert not await is_live(place, token)


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
async def test_nobody_is_told_anything_who_does_not_show_itself(place: Place, path: str) -> None:
    token = await place.token()
    silent = await place.post(path, {"token": token})
    assert (silent.status_code, silent.json()["error"]) == (401, "invalid_client")
    for value in (
        "Bearer",
        "Bearer " + "a" * 43,
        "Digest YTpi",
        f"Bearer {token} ",
        "Bearer " * 2_000,
    ):
        answer = await place.post(path, {"token": token}, headers={"Authorization": value})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert answer.headers["cache-control"] == "no-store"
    assert await is_live(place, token)


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
async def test_a_secret_is_no_proof(place: Place, path: str) -> None:
    token = await place.token()
    answer = await place.post(path, {"token": token}, headers={"Authorization": "Basic YTpi"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"] == 'Basic realm="wiser-fhir"'
    by_form = await place.post(path, {"token": token, "client_secret": token})
    assert (by_form.status_code, by_form.json()["error"]) == (401, "invalid_client")
    assert by_form.headers["www-authenticate"] == 'Bearer error="invalid_client"'
    assert await is_live(place, token)


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
async def test_a_request_about_no_token_or_shown_in_two_ways(place: Place, path: str) -> None:
    token = await place.token()
    own = {"Authorization": f"Bearer {token}"}
    for answer in (
        await place.post(path, {}, headers=own),
        await place.post(path, place.shown_by_jwt()),
        await place.post(path, {"token": token, **place.shown_by_jwt()}, headers=own),
        await place.post(path, {"token": token, "client_secret": token}, headers=own),
        await place.post(path, {"token": [token, token]}, headers=own),
    ):
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    hinted = {"token": token, "token_type_hint": "unheard_of"}
    assert (await place.post(path, hinted, headers=own)).status_code == 200


@pytest.mark.parametrize("path", [INTROSPECT, REVOKE])
async def test_a_jwt_is_used_up_wherever_it_was_used(place: Place, path: str) -> None:
    token, shown = await place.token(), place.shown_by_jwt()
    form = {"token": token, **shown}
    assert (await place.post(path, form)).status_code == 200
    assert (await place.post(path, form)).status_code == 401
    asked = {"grant_type": "client_credentials", **shown}
    assert (await place.post("/oauth/token", asked)).status_code == 401


async def test_who_may_be_meant_by_the_jwt_of_each_endpoint(
    app_engine: AsyncEngine, time: Time, servers: Servers
) -> None:
    place = Place(app_engine, time, servers, Endpoints(ISSUER, MTLS))
    for path in (INTROSPECT, REVOKE):
        for aud in (ISSUER, TOKEN, f"{ISSUER}{path}", f"{MTLS}{path}", f"{MTLS}/oauth/token"):
            assert (await about(place, path, "x", aud=aud)).status_code == 200
        other = REVOKE if path == INTROSPECT else INTROSPECT
        assert (await about(place, path, "x", aud=f"{ISSUER}{other}")).status_code == 401


async def test_what_was_done_is_on_the_trail_by_the_token_s_hash(
    place: Place, registry: Registry, client: UUID
) -> None:
    token = await place.token()
    await about(place, INTROSPECT, token)
    await about(place, REVOKE, token)
    await about(place, REVOKE, token)
    await place.post(REVOKE, {"token": token}, headers={"Authorization": "Bearer x"})
    rows = await registry.rows(
        "select action, outcome, client_id, object_id from audit_event order by id"
    )
    name = token_hash(token).hex()
    assert rows == [
        ("token.issue", "issued", client, name),
        ("token.introspect", "active", client, name),
        ("token.revoke", "revoked", client, name),
        ("token.revoke", "none", client, name),
        ("token.revoke", "refused", None, None),
    ]


async def test_without_an_audit_row_nothing_is_revoked(place: Place, registry: Registry) -> None:
    token = await place.token()
    await registry.run("alter table audit_event rename to audit_event_away")
    try:
        assert (await about(place, REVOKE, token)).status_code >= 500
    finally:
        await registry.run("alter table audit_event_away rename to audit_event")
    assert await is_live(place, token)
