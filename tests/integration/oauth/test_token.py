"""The token endpoint: who gets one, for what, and what is told to whoever gets none."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.clocks import Time
from tests.hand_made_jwt import ec_pair, header_for, rsa_pair
from tests.oauth_door import (
    ISSUER,
    JWT_BEARER,
    KEY,
    MTLS,
    NAME,
    NOW,
    TOKEN,
    Place,
    Registry,
    Servers,
)
from wiser_fhir.auth import assertion
from wiser_fhir.auth.bearer import token_hash
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import create_engine
from wiser_fhir.errors import Unauthenticated
from wiser_fhir.oauth.endpoints import Endpoints

pytestmark = pytest.mark.usefixtures("client")

JWKS_URL = "https://ehr.example/jwks.json"


async def test_a_client_that_signs_gets_a_token_that_opens(place: Place, client: UUID) -> None:
    answer = await place.ask(scope="system/Claim.c system/ClaimResponse.rs")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"
    body = answer.json()
    assert body == {
        "access_token": body["access_token"],
        "token_type": "Bearer",
        "expires_in": 300,
        "scope": "system/Claim.c system/ClaimResponse.rs",
    }
    caller = await place.app.state.authenticator.principal([f"Bearer {body['access_token']}"])
    assert caller.client_id == client
    assert caller.grants == {"Claim": {"c"}, "ClaimResponse": {"r", "s"}}


async def test_a_token_is_over_after_five_minutes(place: Place, time: Time) -> None:
    header = [f"Bearer {await place.token()}"]
    time.passed = 299
    await place.app.state.authenticator.principal(header)
    time.passed = 300
    with pytest.raises(Unauthenticated):
        await place.app.state.authenticator.principal(header)


async def test_rsa_and_ec_keys_are_taken_by_value_and_by_url(
    place: Place, registry: Registry, servers: Servers
) -> None:
    await registry.client("by-value", (rsa_pair("r"), ec_pair("e")))
    await registry.client("by-url", jwks_url=JWKS_URL)
    servers.documents[JWKS_URL] = {"keys": [rsa_pair("r").jwk(), ec_pair("e").jwk()]}
    for name in ("by-value", "by-url"):
        for pair in (rsa_pair("r"), ec_pair("e")):
            assert (await place.ask(pair, iss=name, sub=name)).status_code == 200
    named = header_for(ec_pair("e"), jku=JWKS_URL)
    assert (await place.ask(ec_pair("e"), named, iss="by-url", sub="by-url")).status_code == 200
    assert servers.asked == [JWKS_URL]


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, "system/Claim.c system/Questionnaire.rs"),
        ("system/Claim.cu", "system/Claim.c"),
        ("system/Claim.c system/Task.rs", "system/Claim.c"),
        ("system/Claim.c system/Patient.rs", "system/Claim.c"),
        ("system/questionnaire.rs", "system/Questionnaire.rs"),
        ("system/questionnaire.r", "system/Questionnaire.r"),
        ("system/Questionnaire.read", "system/Questionnaire.rs"),
        ("system/Claim.write system/Claim.c", "system/Claim.c"),
        ("", "system/Claim.c system/Questionnaire.rs"),
    ],
)
async def test_what_is_granted_was_asked_for_and_is_registered(
    place: Place, registry: Registry, asked: str | None, granted: str
) -> None:
    await registry.client("few", scopes=("system/Claim.c", "system/Questionnaire.rs"))
    answer = await place.ask(scope=asked, iss="few", sub="few")
    assert answer.json()["scope"] == granted


@pytest.mark.parametrize(
    "scope",
    [
        "system/Task.rs",
        "system/Claim.d",
        "system/*.rs",
        "system/*.cruds",
        "system/Claim.*",
        "system/Claim.c system/*.rs",
        "system/ClaimResponse.rs?status=active",
        "patient/Claim.c",
        "user/Claim.c",
        "openid",
        "system/Claim.c openid",
        "system/Claim.c\tsystem/Claim.u",
        "system/AuditEvent.rs",
        "\0",
    ],
)
async def test_what_leaves_nothing_or_cannot_be_read_is_no_scope(
    place: Place, registry: Registry, scope: str
) -> None:
    await registry.client("few", scopes=("system/Claim.c", "system/ClaimResponse.rs"))
    answer = await place.ask(scope=scope, iss="few", sub="few")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_scope")
    assert await registry.rows("select count(*) from access_token") == [(0,)]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "authorization_code"}, "unsupported_grant_type"),
        ({"grant_type": "CLIENT_CREDENTIALS"}, "unsupported_grant_type"),
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": ""}, "invalid_request"),
        ({"grant_type": ["client_credentials"] * 2}, "invalid_request"),
        ({"scope": ["system/Claim.c", "system/Claim.c"]}, "invalid_request"),
        ({"client_assertion_type": [JWT_BEARER, JWT_BEARER]}, "invalid_request"),
        ({"unheard_of": ["1", "2"]}, "invalid_request"),
        ({"client_secret": "secret"}, "invalid_request"),
    ],
)
async def test_a_form_that_is_not_as_it_should_be(
    place: Place, changes: Mapping[str, Any], error: str
) -> None:
    form = {**place.token_form(), **changes}
    sent = {name: value for name, value in form.items() if value is not None}
    answer = await place.post("/oauth/token", sent)
    assert (answer.status_code, answer.json()["error"]) == (400, error)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["pragma"] == "no-cache"


async def test_an_unknown_grant_is_refused_before_it_is_asked_who_calls(place: Place) -> None:
    answer = await place.post("/oauth/token", {"grant_type": "password", "client_id": "nobody"})
    assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")


async def test_a_client_shows_itself_in_one_way_only(place: Place) -> None:
    headers = {"Authorization": "Basic YTpi"}
    answer = await place.post("/oauth/token", place.token_form(), headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("authorization", "challenge"),
    [
        ("Basic YTpi", 'Basic realm="wiser-fhir"'),
        ("basic YTpi", 'Basic realm="wiser-fhir"'),
        ("Basic", 'Basic realm="wiser-fhir"'),
        ("Bearer " + "a" * 43, 'Bearer error="invalid_client"'),
        ("Digest username=a", 'Bearer error="invalid_client"'),
        ("", 'Bearer error="invalid_client"'),
    ],
)
async def test_in_no_other_way_does_a_client_show_itself(
    place: Place, registry: Registry, authorization: str, challenge: str
) -> None:
    headers = {"Authorization": authorization}
    asked = {"grant_type": "client_credentials"}
    answer = await place.post("/oauth/token", asked, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.headers["www-authenticate"] == challenge
    assert await registry.audited() == [("token.issue", "refused", "authentication")]
    other = await place.post("/oauth/token", {"grant_type": "password"}, headers=headers)
    assert (other.status_code, other.json()["error"]) == (400, "unsupported_grant_type")
    assert "www-authenticate" not in other.headers
    twice = {**asked, "client_secret": "secret"}
    both = await place.post("/oauth/token", twice, headers=headers)
    assert (both.status_code, both.json()["error"]) == (400, "invalid_request")


async def test_a_secret_is_no_proof(place: Place) -> None:
    form = {"grant_type": "client_credentials", "client_id": NAME, "client_secret": "secret"}
    answer = await place.post("/oauth/token", form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{}", {"Content-Type": "application/json"}, 400),
        (b"grant_type=client_credentials", {}, 400),
        (b"grant_type=%ff\xff", {"Content-Type": "application/x-www-form-urlencoded"}, 400),
        (
            b"a=1&" * 201,
            {"Content-Type": "application/x-www-form-urlencoded"},
            413,
        ),
        (
            b"scope=" + b"x" * 65_536,
            {"Content-Type": "application/x-www-form-urlencoded"},
            413,
        ),
        (
            b"x",
            {"Content-Type": "application/x-www-form-urlencoded", "Content-Encoding": "gzip"},
            400,
        ),
    ],
)
async def test_what_is_no_form_or_too_large(
    place: Place, content: bytes, headers: dict[str, str], status: int
) -> None:
    async with place.http() as client:
        answer = await client.post("/oauth/token", content=content, headers=headers)
    assert (answer.status_code, answer.json()["error"]) == (status, "invalid_request")
    assert answer.headers["pragma"] == "no-cache"


async def test_one_answer_for_whoever_is_no_client(place: Place, registry: Registry) -> None:
    await registry.client("revoked", active=False)
    await registry.client("keyless")
    await registry.run(
        "update client_key set active = false where client_id ="
        " (select id from client where name = 'keyless')"
    )
    await registry.client("orphan")
    await registry.run("update organization set active = false where name = 'Of orphan'")
    used = place.token_form()
    assert (await place.post("/oauth/token", used)).status_code == 200
    refused = [
        await place.post("/oauth/token", used),
        await place.ask(iss="nobody", sub="nobody"),
        await place.ask(iss="revoked", sub="revoked"),
        await place.ask(iss="keyless", sub="keyless"),
        await place.ask(iss="orphan", sub="orphan"),
        await place.ask(ec_pair("foreign"), header_for(KEY)),
        await place.ask(header=header_for(KEY, kid="another")),
        await place.ask(aud="https://other.example/oauth/token"),
        await place.post("/oauth/token", {"grant_type": "client_credentials"}),
        await place.post("/oauth/token", {**place.token_form(), "client_assertion": "x"}),
        await place.post("/oauth/token", {**place.token_form(), "client_assertion_type": "x"}),
    ]
    assert {each.status_code for each in refused} == {401}
    assert len({each.content for each in refused}) == 1
    assert refused[0].json()["error"] == "invalid_client"
    assert {each.headers["www-authenticate"] for each in refused} == {
        'Bearer error="invalid_client"'
    }
    ours = {"x-request-id", "content-length"}
    assert {tuple(sorted(set(each.headers) - ours)) for each in refused} == {
        tuple(sorted(set(refused[0].headers) - ours))
    }


async def test_a_client_id_that_is_sent_agrees(place: Place) -> None:
    agreeing = {**place.token_form(), "client_id": NAME}
    assert (await place.post("/oauth/token", agreeing)).status_code == 200
    other = {**place.token_form(), "client_id": "another"}
    assert (await place.post("/oauth/token", other)).status_code == 401


async def test_of_fifty_replays_at_once_in_two_processes_one_gets_a_token(
    place: Place, registry: Registry, database: Urls, time: Time, servers: Servers
) -> None:
    other_engine = create_engine(database.app, pool_size=10)
    try:
        other = Place(other_engine, time, servers)
        form = place.token_form()
        answers = await asyncio.gather(
            *(each.post("/oauth/token", form) for each in (place, other) for _ in range(25))
        )
    finally:
        await other_engine.dispose()
    assert sorted(each.status_code for each in answers) == [200] + [401] * 49
    assert await registry.rows("select count(*) from access_token") == [(1,)]
    audited = await registry.audited()
    assert audited.count(("token.issue", "issued", None)) == 1
    assert audited.count(("token.issue", "refused", "replay")) == 49


async def test_a_replay_after_a_restart_is_refused(
    place: Place, app_engine: AsyncEngine, time: Time, servers: Servers
) -> None:
    form = place.token_form()
    assert (await place.post("/oauth/token", form)).status_code == 200
    restarted = Place(app_engine, time, servers)
    assert (await restarted.post("/oauth/token", form)).status_code == 401


async def test_two_clients_may_have_the_same_jti(place: Place, registry: Registry) -> None:
    await registry.client("another")
    assert (await place.ask(jti="the-same-jti")).status_code == 200
    assert (await place.ask(jti="the-same-jti", iss="another", sub="another")).status_code == 200
    assert (await place.ask(jti="the-same-jti")).status_code == 401


async def test_a_refused_jwt_is_not_used_up(place: Place) -> None:
    signed = place.shown_by_jwt()
    form = {"grant_type": "client_credentials", **signed}
    refused = await place.post("/oauth/token", {**form, "scope": "system/*.rs"})
    assert refused.status_code == 400
    assert (await place.post("/oauth/token", form)).status_code == 200


@pytest.mark.parametrize(
    "change",
    [
        "update client set active = false",
        "update organization set active = false",
        "update client_key set active = false",
        "update client_key set revision = revision + 1",
        "update client set scopes = '{system/Task.rs}'",
        "update client set certificate_uri = 'urn:example:another' where name = 'slow'",
        "update client set unbound_until = now(), unbound_because = 'no more'",
    ],
)
async def test_whose_registration_is_changed_meanwhile_gets_no_token(
    place: Place, registry: Registry, servers: Servers, change: str
) -> None:
    await registry.client("slow", jwks_url=JWKS_URL)
    servers.documents[JWKS_URL] = {"keys": [KEY.jwk()]}
    fetched = servers.get_document

    async def changed_meanwhile(*args: Any, **more: Any) -> Any:
        await registry.run(change)
        return await fetched(*args, **more)

    servers.get_document = changed_meanwhile  # type: ignore[method-assign]
    assert (await place.ask(iss="slow", sub="slow")).status_code == 401
    assert await registry.rows("select count(*) from access_token") == [(0,)]
    assert await registry.rows("select count(*) from client_assertion") == [(0,)]


async def test_a_token_is_on_the_trail_with_what_it_is_for(
    place: Place, registry: Registry, client: UUID
) -> None:
    token = await place.token(scope="system/Claim.c")
    [(organization,)] = await registry.rows("select organization_id from client")
    assert await registry.rows(
        "select action, outcome, client_id, organization_id, object_kind, object_id,"
        " detail ->> 'scopes' from audit_event"
    ) == [
        (
            "token.issue",
            "issued",
            client,
            organization,
            "access-token",
            token_hash(token).hex(),
            "system/Claim.c",
        )
    ]
    assert token not in str(await registry.rows("select audit_event::text from audit_event"))


async def test_a_refusal_is_on_the_trail_and_of_a_stranger_without_what_it_said(
    place: Place, registry: Registry, client: UUID
) -> None:
    await place.ask(iss="canary-name", sub="canary-name", jti="canary-jti")
    await place.ask(aud="https://canary.example")
    await place.post("/oauth/token", {**place.token_form(), "grant_type": "canary"})
    await place.post("/oauth/token", {"grant_type": "client_credentials"})
    rows = await registry.rows(
        "select action, outcome, client_id, detail ->> 'reason' from audit_event order by id"
    )
    assert rows == [
        ("token.issue", "refused", None, "client"),
        ("token.issue", "refused", client, "audience"),
        ("token.issue", "refused", None, "grant-type"),
    ]
    assert "canary" not in str(await registry.rows("select audit_event::text from audit_event"))


async def test_without_an_audit_row_there_is_no_token(place: Place, registry: Registry) -> None:
    await registry.run("alter table audit_event rename to audit_event_away")
    try:
        answer = await place.ask()
        assert answer.status_code >= 500
        assert answer.content == b""
    finally:
        await registry.run("alter table audit_event_away rename to audit_event")
    assert await registry.rows("select count(*) from access_token") == [(0,)]
    assert await registry.rows("select count(*) from client_assertion") == [(0,)]


async def test_what_is_forgotten_is_over(place: Place, registry: Registry, time: Time) -> None:

    await place.token()
    async with registry.engine.begin() as db:
        assert await assertion.purge(db, NOW + timedelta(seconds=360)) == 0
        assert await assertion.purge(db, NOW + timedelta(seconds=361)) == 1


async def test_the_mtls_listener_s_token_endpoint_is_an_audience_too(
    app_engine: AsyncEngine, time: Time, servers: Servers
) -> None:

    place = Place(app_engine, time, servers, Endpoints(ISSUER, MTLS))
    for aud in (f"{MTLS}/oauth/token", TOKEN, ISSUER):
        assert (await place.ask(aud=aud)).status_code == 200
    assert (await place.ask(aud=MTLS)).status_code == 401


async def test_a_token_waits_for_a_change_of_its_client_and_goes_by_what_came_of_it(
    place: Place, registry: Registry, client: UUID
) -> None:
    async with registry.engine.connect() as operator:
        held = text("select from client where id = :id for update")
        await operator.execute(held, {"id": client})
        asked = asyncio.create_task(place.ask())
        waiting = text(
            "select count(*) from pg_stat_activity"
            " where wait_event_type = 'Lock' and datname = current_database()"
        )
        async with asyncio.timeout(30), registry.engine.connect() as db:
            while not await db.scalar(waiting):
                await db.rollback()
                await asyncio.sleep(0.01)
        narrowed = text("update client set scopes = '{system/Task.rs}' where id = :id")
        await operator.execute(narrowed, {"id": client})
        await operator.commit()
    assert (await asked).status_code == 401
    assert await registry.rows("select count(*) from access_token") == [(0,)]
    assert (await place.ask()).json()["scope"] == "system/Task.rs"
