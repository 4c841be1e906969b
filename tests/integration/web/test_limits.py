"""What one caller may take of a running application, and that others notice nothing of it."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient
from joserfc.jwk import ECKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.unit.auth.test_issuer import ASK, NAME, Outside
from wiser_fhir.auth import clients, tokens
from wiser_fhir.auth.authenticators import Authenticators
from wiser_fhir.auth.clients import External
from wiser_fhir.auth.external import ExternalAuthenticator, IntrospectedTokens
from wiser_fhir.auth.issuer import Introspection, Issuer
from wiser_fhir.auth.own_key import OwnKey
from wiser_fhir.clock import utc_now
from wiser_fhir.db.engine import transaction
from wiser_fhir.web.limits import MISSES, CallerLimits, Limits, MissBudget, StrangerLimits

KEY = ECKey.generate_key("P-384")
READ = f"/fhir/ClaimResponse/{UUID(int=7)}"
CHECK: dict[str, Any] = {
    "mbi": "1EG4TE5MK73",
    "provider_npi": "1999000015",
    "state": "TX",
    "lines": [
        {
            "line": 1,
            "code": "62323",
            "units": 1,
            "service_date": "2026-03-02",
            "place_of_service": "11",
        }
    ],
}


def bounded(
    app: FastAPI, *, at_once: int = 1_000, rate: float = 1e6, strangers: float = 1e6
) -> None:
    callers = CallerLimits(at_once, rate)
    app.state.limits = Limits(callers, StrangerLimits(strangers), MissBudget())


async def refusals(engine: AsyncEngine) -> list[Any]:
    query = "select outcome from audit_event where action = 'request.refused'"
    async with engine.connect() as db:
        return list((await db.execute(text(query))).scalars())


@pytest.fixture
async def clinic(app: FastAPI) -> AsyncClient:
    """A client of another organization."""
    async with transaction(app.state.engine) as db:
        issued = await tokens.issue(db, "sandbox-clinic", (), timedelta(hours=1), utc_now())
    headers = {"Authorization": f"Bearer {issued.token}"}
    return AsyncClient(transport=ASGITransport(app), base_url="http://a", headers=headers)


async def test_beyond_its_rate_a_caller_waits_and_another_does_not(
    app: FastAPI, http: AsyncClient, clinic: AsyncClient, superuser_engine: AsyncEngine
) -> None:
    bounded(app, rate=0.2)
    seen = [(await http.get(READ)).status_code for _ in range(5)]
    assert seen == [404, 404, 429, 429, 429]
    refused = await http.get(READ)
    assert refused.json()["issue"][0]["code"] == "throttled"
    assert int(refused.headers["retry-after"]) in range(1, 6)
    assert (await clinic.get(READ)).status_code == 404
    # A flood costs the database nothing.
    assert await refusals(superuser_engine) == ["not-found"] * 3


async def test_requests_at_once_are_counted_down_whatever_becomes_of_them(
    app: FastAPI, http: AsyncClient
) -> None:
    bounded(app, at_once=3)
    first = await asyncio.gather(*(http.get(READ) for _ in range(30)))
    statuses = {each.status_code for each in first}
    assert statuses <= {404, 429}
    assert 404 in statuses
    for _ in range(10):
        assert (await http.get(READ)).status_code == 404
    assert (await http.post("/fhir/Claim/$submit", content=b"{")).status_code in {400, 415}
    assert (await http.get(READ)).status_code == 404


async def test_an_address_that_tries_tokens_gets_a_cheap_answer_and_who_has_one_its_own(
    app: FastAPI, anonymous: AsyncClient, clinic: AsyncClient, superuser_engine: AsyncEngine
) -> None:
    bounded(app, strangers=0.3)
    wrong = {"Authorization": f"Bearer {'A' * 43}"}
    seen = [(await anonymous.get(READ, headers=wrong)).status_code for _ in range(6)]
    assert seen == [401, 401, 401, 429, 429, 429]
    assert (await clinic.get(READ)).status_code == 404
    assert await refusals(superuser_engine) == ["login"] * 3 + ["not-found"]
    began = await anonymous.get("/sign-in", params={"return_to": "/sign-in/welcome"})
    assert began.status_code in {404, 429}


async def test_an_issuer_is_asked_about_no_more_tokens_of_strangers_than_they_may_try(
    app: FastAPI, anonymous: AsyncClient, owner_engine: AsyncEngine
) -> None:
    async with transaction(owner_engine) as db:
        client = await clients.held(db, "sandbox-ehr")
        await clients.know_elsewhere(db, client, External(NAME, "ehr"))
    outside = Outside(**{ASK: live("ehr")})
    issuer = Introspection(Issuer(NAME, outside), ASK, "us", OwnKey(KEY), utc_now)
    external = ExternalAuthenticator(
        app.state.engine, utc_now, NAME, "us", IntrospectedTokens(issuer), unbound=True
    )
    app.state.authenticator = Authenticators(None, external)
    strangers = StrangerLimits(0.3, lambda: 0.0)
    app.state.limits = Limits(CallerLimits(1_000, 1e6), strangers, MissBudget())

    async def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return (await anonymous.get(READ, headers=headers)).status_code

    assert await status("known") == 404
    outside.answers[ASK] = {"active": False}
    flood = await asyncio.gather(*(status(f"random-{n}") for n in range(50)))
    assert sorted(flood) == [401] * 3 + [429] * 47
    assert await status("one-more") == 429
    assert outside.asked == [ASK] * 4
    assert await status("known") == 404


def live(name: str) -> dict[str, Any]:
    """What an issuer tells of a token of this client."""
    now = int(utc_now().timestamp())
    scope = "system/ClaimResponse.rs"
    told = {"aud": "us", "client_id": name, "scope": scope, "iat": now, "exp": now + 300}
    return {"active": True, **told}


async def test_guessing_numbers_ends_after_twenty(
    app: FastAPI, clinic: AsyncClient, http: AsyncClient, superuser_engine: AsyncEngine
) -> None:
    bounded(app)
    body = {**CHECK, "lines": [{**CHECK["lines"][0], "utn": "ZZB00000000001"}]}
    seen = []
    for _ in range(MISSES + 2):
        answer = await clinic.post("/claims/check", json=body)
        seen.append(answer.status_code)
    assert seen == [200] * MISSES + [429] * 2
    assert 0 < int(answer.headers["retry-after"]) <= 60
    assert await refusals(superuser_engine) == ["throttled"] * 2
    assert (await http.post("/claims/check", json=body)).status_code == 200
