"""No audit, no act: where the row about it cannot be written, nothing is told and nothing done.

Every route there is is asked, with everything that would be asked of it; a new one that answers
without a row fails here until it is said why it may.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import inquiry_bundle, request_bundle
from tests.integration.pas.door import CARE_UNMET, Client
from tests.integration.review.door import AFFIRM, MakePerson, Person
from tests.package_bodies import a_call
from tests.subscriptions import a_subscription
from wiser_fhir.db.tables import metadata

Json = dict[str, Any]

# What tells nothing of anybody, or only somebody of themselves.
OPEN = (
    *("/.well-known/", "/fhir/.well-known/", "/v2.0/fhir/.well-known/", "/udap/crl"),
    *("/fhir/metadata", "/v2.0/fhir/metadata", "/healthz", "/readyz", "/metrics"),
    *("/docs", "/openapi.json", "/dtr/preview", "/sandbox/issuer", "/sign-in", "/sign-out"),
    "/review/me",
)
FHIR = "application/fhir+json"
FORM = "application/x-www-form-urlencoded"


@asynccontextmanager
async def nothing_recorded(superuser: AsyncEngine) -> AsyncIterator[None]:
    """For as long as it lasts nobody may write to the audit trail."""
    roles = "wiser_app, wiser_gate"
    query = text(
        "select string_agg(distinct column_name::text, ', ')"
        " from information_schema.column_privileges where table_name = 'audit_event'"
        " and grantee = 'wiser_app' and privilege_type = 'INSERT'"
    )
    async with superuser.begin() as db:
        columns = await db.scalar(query)
        assert columns
        await db.execute(text(f"revoke insert on audit_event from {roles}"))
    try:
        yield
    finally:
        async with superuser.begin() as db:
            await db.execute(text(f"grant insert ({columns}) on audit_event to {roles}"))


async def everything(superuser: AsyncEngine) -> dict[str, tuple[int, str | None]]:
    """What stands in each table: how many rows, and a digest of them all."""
    found = {}
    async with superuser.connect() as db:
        for table in metadata.tables:
            query = (
                f"select count(*), md5(string_agg(t::text, '|' order by t::text)) from {table} t"  # noqa: S608
            )
            found[table] = tuple((await db.execute(text(query))).one())
    return found


def body_for(path: str) -> tuple[bytes | Json, str]:
    """A body that the route takes, where one is needed, and its type."""
    line: Any = "2.0" if path.startswith("/v2.0") else "2.2"
    if path.endswith("/Claim/$submit"):
        return request_bundle(line, answers=CARE_UNMET, seed="another"), FHIR
    if path.endswith("/Claim/$inquire"):
        return inquiry_bundle(line, any_service=True), FHIR
    if path.endswith("$questionnaire-package"):
        return a_call(line), FHIR
    if path.endswith("/Subscription"):
        return a_subscription(line), FHIR
    if path.endswith(("_search", "/token", "/introspect", "/revoke")):
        return b"", FORM
    if path.endswith("/determination"):
        return {"revision": 1, "items": [AFFIRM]}, FHIR
    if path.endswith("/notes"):
        return {"text": "A note."}, FHIR
    if path.endswith("/expedite"):
        return {"revision": 1, "confirmed": True}, FHIR
    return {}, FHIR


@pytest.fixture
async def everybody(make_person: MakePerson) -> Person:
    """Somebody who may do all there is to do with cases."""
    return await make_person(roles=("clinician", "coordinator", "auditor"))


async def ask(
    http: AsyncClient, token: str, path: str, method: str, names: dict[str, str]
) -> tuple[int, bytes]:
    """The status and the body of an answer."""
    body, media_type = body_for(path)
    url = path
    for name, value in names.items():
        url = url.replace(f"{{{name}}}", value)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": media_type}
    sent: dict[str, Any] = {"content": body} if isinstance(body, bytes) else {"json": body}
    if method == "GET":
        sent = {}
    answer = await http.request(method, url, headers=headers, **sent)
    return answer.status_code, answer.content


async def test_no_route_answers_what_it_cannot_record(
    app: FastAPI,
    stranger: AsyncClient,
    sender: Client,
    everybody: Person,
    pended: str,
    superuser_engine: AsyncEngine,
) -> None:
    shown = await everybody.case(pended)
    names = {
        "claim_response_id": pended,
        "case_id": pended,
        "audit_id": "1",
        "position": "1",
        "name": "epidural-steroid-injection-2026-01-15",
        "service_id": "order-sign-crd",
        "message_id": shown["messages"][-1]["id"],
    }
    names |= dict.fromkeys(
        ("attachment_id", "request_id", "peer_id", "review_id", "task_id", "own_id"), pended
    )
    before = await everything(superuser_engine)
    asked = 0
    async with nothing_recorded(superuser_engine):
        for path, methods in app.state.routes.paths().items():
            if path.startswith(OPEN) or path == "/cds-services":
                continue
            token = everybody.token if path.startswith("/review") else sender.token
            for method in sorted(methods):
                status, body = await ask(stranger, token, path, method, names)
                asked += 1
                # Who shows nothing that could be recorded is turned away, as ever.
                strangers = (400, 401) if path.startswith("/oauth/") else (401,)
                assert status in (*strangers, 500, 503), (method, path, status, body[:200])
                assert pended.encode() not in body
                assert status in strangers or body == b"", (method, path)
    assert asked > 100
    assert await everything(superuser_engine) == before


@pytest.mark.parametrize("path", ["Claim/$submit", "Claim/$inquire"])
async def test_the_same_requests_are_answered_once_it_can_be_recorded(
    path: str, stranger: AsyncClient, sender: Client, superuser_engine: AsyncEngine
) -> None:
    """Or the test above would pass for requests that are refused anyway."""
    async with nothing_recorded(superuser_engine):
        assert (await ask(stranger, sender.token, f"/fhir/{path}", "POST", {}))[0] == 500
    assert (await ask(stranger, sender.token, f"/fhir/{path}", "POST", {}))[0] == 200


async def test_people_are_answered_once_it_can_be_recorded(
    stranger: AsyncClient, everybody: Person, pended: str, superuser_engine: AsyncEngine
) -> None:
    acts = [
        ("/review/cases", "GET", 200),
        ("/review/cases/{case_id}", "GET", 200),
        ("/review/audit/AuditEvent", "GET", 200),
        ("/review/cases/{case_id}/notes", "POST", 204),
        ("/review/cases/{case_id}/determination", "PUT", 200),
    ]
    names = {"case_id": pended}
    async with nothing_recorded(superuser_engine):
        for path, method, _ in acts:
            assert (await ask(stranger, everybody.token, path, method, names))[0] == 500, path
    for path, method, status in acts:
        assert (await ask(stranger, everybody.token, path, method, names))[0] == status, path


async def test_a_failure_of_ours_is_recorded_for_a_known_caller(
    app: FastAPI,
    stranger: AsyncClient,
    sender: Client,
    everybody: Person,
    pended: str,
    superuser_engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    service = app.state.pas["2.2"].service
    monkeypatch.setattr(type(service), "inquire", broken)
    monkeypatch.setattr(type(app.state.review.queue), "page", broken)
    answer = await sender.inquire(inquiry_bundle("2.2", any_service=True))
    assert (answer.status_code, answer.content) == (500, b"")
    assert (await everybody.get("cases")).status_code == 500
    async with superuser_engine.connect() as db:
        query = text(
            "select client_id, organization_id, person_id, outcome, detail, request_id::text"
            " from audit_event where action = 'request.failed' order by id"
        )
        first, second = (await db.execute(query)).all()
    detail = {"method": "POST", "route": "/fhir/Claim/-inquire"}
    assert tuple(first) == (
        *(sender.client_id, sender.organization_id, None, "exception", detail),
        answer.headers["x-request-id"],
    )
    assert (second.client_id, second.person_id) == (None, everybody.id)
