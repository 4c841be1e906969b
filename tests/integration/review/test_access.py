"""Who gets through the review door, and what strangers are told."""

import pytest
from fastapi import FastAPI
from httpx import AsyncClient

from tests.integration.pas.door import Client, Rows
from tests.integration.review.door import MakePerson, Person
from wiser_fhir.auth.bearer import CACHE_SECONDS
from wiser_fhir.review.person_route import LARGEST_BODY

JSON = {"Content-Type": "application/json"}


async def test_one_is_told_who_one_is(clinician: Person, coordinator: Person) -> None:
    said = (await clinician.get("me")).json()
    assert said == {
        "id": str(clinician.id),
        "name": clinician.reviewer.name,
        "roles": ["clinician"],
        "npi": None,
        "specialty": "208100000X",
        "licence_expires": "2099-12-31",
        "licensed": True,
    }
    other = (await coordinator.get("me")).json()
    assert (other["roles"], other["licensed"]) == (["coordinator"], False)


async def test_every_route_is_for_people_alone(
    app: FastAPI, stranger: AsyncClient, sender: Client
) -> None:
    routes = {p: m for p, m in app.state.routes.paths().items() if p.startswith("/review/")}
    assert len(routes) >= 14
    client = {"Authorization": f"Bearer {sender.token}"}
    for path, methods in routes.items():
        url = path.replace("{", "").replace("}", "")
        for method in methods:
            for headers in ({}, client):
                answer = await stranger.request(method, url, headers=headers, content=b"{")
                assert answer.status_code == 401, (method, path)
                expected = 'Bearer error="invalid_token"' if headers else "Bearer"
                assert answer.headers["www-authenticate"] == expected


@pytest.mark.parametrize("path", ["/review/nothing", "/review/cases/1/nothing", "/review/"])
async def test_what_there_is_not_is_told_to_people_alone(
    stranger: AsyncClient, clinician: Person, path: str
) -> None:
    assert (await stranger.get(path)).status_code == 401
    assert (await clinician.get(path.removeprefix("/review/"))).status_code == 404


async def test_a_person_is_no_client(stranger: AsyncClient, clinician: Person) -> None:
    headers = {"Authorization": f"Bearer {clinician.token}"}
    answer = await stranger.get("/fhir/ClaimResponse/1", headers=headers)
    assert answer.status_code == 401


async def test_a_method_that_is_not_there_is_named(clinician: Person, pended: str) -> None:
    answer = await clinician.delete(f"cases/{pended}/determination")
    assert (answer.status_code, answer.headers["allow"]) == (405, "PUT")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", JSON, 400),
        (b"{", JSON, 400),
        (b"[]", JSON, 400),
        (b'{"text": "a", "text": "b"}', JSON, 400),
        (b'{"text": "\\u0000"}', JSON, 400),
        (b'{"text": "a"}', {}, 415),
        (b'{"text": "a"}', {"Content-Type": "text/plain"}, 415),
        (b'{"text": "a"}', {**JSON, "Accept": "text/html"}, 406),
        (b'{"text": "%s"}' % (b"a" * LARGEST_BODY), JSON, 413),
        (b'{"text": "%s"}' % (b"a" * 10_001), JSON, 422),
        (b'{"text": " "}', JSON, 422),
        (b'{"text": 7}', JSON, 422),
    ],
)
async def test_a_body_that_cannot_be_taken_is_refused(
    stranger: AsyncClient,
    clinician: Person,
    pended: str,
    body: bytes,
    headers: dict[str, str],
    status: int,
) -> None:
    sent = {"Authorization": f"Bearer {clinician.token}", **headers}
    url = f"/review/cases/{pended}/notes"
    answer = await stranger.post(url, content=body, headers=sent)
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["cases/1", "cases/x/documents/1", "cases/{}/documents/0"])
async def test_an_id_that_is_none_is_refused(clinician: Person, pended: str, path: str) -> None:
    assert (await clinician.get(path.format(pended))).status_code == 422


async def test_a_role_taken_away_is_gone_within_ten_seconds(
    app: FastAPI,
    make_person: MakePerson,
    pended: str,
    rows: Rows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person = await make_person(roles=("coordinator",))
    url = f"cases/{pended}/notes"
    assert (await person.post(url, {"text": "Seen."})).status_code == 204
    async with rows.engine.begin() as db:
        await db.exec_driver_sql("update person set roles = '{auditor}'")
    known = app.state.people._holders._known
    now = known._monotonic
    monkeypatch.setattr(known, "_monotonic", lambda: now() + CACHE_SECONDS)
    assert (await person.post(url, {"text": "Seen."})).status_code == 403
