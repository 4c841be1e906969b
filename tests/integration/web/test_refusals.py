"""What gets refused before a door looks at it, and what is kept of that."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from fastapi import FastAPI
from httpx import AsyncClient, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.auth import tokens
from wiser_fhir.clock import utc_now
from wiser_fhir.db.engine import transaction

FHIR_JSON = {"Content-Type": "application/fhir+json"}
SUBMIT = "/fhir/Claim/$submit"
SECRET = "Canarybird"


async def trail(engine: AsyncEngine) -> Sequence[Any]:
    async with engine.connect() as db:
        rows = (
            "select outcome, detail, organization_id, request_id from audit_event"
            " where action <> 'service.start' order by id"
        )
        return (await db.execute(text(rows))).all()


def code(response: Response) -> str:
    outcome = response.json()
    assert outcome["resourceType"] == "OperationOutcome"
    assert response.headers["content-type"] == "application/fhir+json"
    found: str = outcome["issue"][0]["code"]
    return found


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"not json", 400),
        (b"[]", 400),
        (b'{"resourceType":"Bundle","resourceType":"Bundle"}', 400),
        (b'{"resourceType":"Bundle","total":NaN}', 400),
        (b'{"a":' * 65 + b"1" + b"}" * 65, 400),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, 400),
        (b"\xff\xfe\x00", 400),
    ],
)
async def test_unreadable_bodies_are_refused_and_recorded(
    http: AsyncClient, superuser_engine: AsyncEngine, body: bytes, status: int
) -> None:
    response = await http.post(SUBMIT, content=body, headers=FHIR_JSON)
    assert response.status_code == status
    assert code(response) == "structure"
    [row] = await trail(superuser_engine)
    assert row.outcome == "structure"
    assert row.detail["status"] == status
    assert str(row.request_id) == response.headers["x-request-id"]


async def test_too_much_is_refused_by_its_declared_length(http: AsyncClient) -> None:
    headers = {**FHIR_JSON, "Content-Length": str(40 * 1024 * 1024)}
    response = await http.post(SUBMIT, content=b"{}", headers=headers)
    assert response.status_code == 413
    assert code(response) == "too-long"


async def test_xml_is_refused_unread_and_not_sent(http: AsyncClient) -> None:
    sent = await http.post(SUBMIT, content=b"<a/>", headers={"Content-Type": "application/xml"})
    assert sent.status_code == 415
    asked = await http.post(SUBMIT, content=b"{}", headers={**FHIR_JSON, "Accept": "text/xml"})
    assert asked.status_code == 406


async def test_the_trail_names_no_path_and_no_query(
    http: AsyncClient, superuser_engine: AsyncEngine
) -> None:
    await http.get(f"/fhir/ClaimResponse/{SECRET}?name={SECRET}")
    await http.get(f"/fhir/{SECRET}")
    rows = await trail(superuser_engine)
    assert [row.outcome for row in rows] == ["not-found", "not-found"]
    assert SECRET not in str(rows)


async def test_a_token_without_the_scope_is_403(
    app: FastAPI, anonymous: AsyncClient, superuser_engine: AsyncEngine
) -> None:
    async with transaction(app.state.engine) as db:
        issued = await tokens.issue(db, "sandbox-clinic-reader", (), timedelta(hours=1), utc_now())
    headers = {**FHIR_JSON, "Authorization": f"Bearer {issued.token}"}
    response = await anonymous.post(SUBMIT, content=b"{}", headers=headers)
    assert response.status_code == 403
    needed = 'Bearer error="insufficient_scope", scope="system/Claim.c"'
    assert response.headers["www-authenticate"] == needed
    [row] = await trail(superuser_engine)
    assert row.outcome == "forbidden"
    assert row.organization_id == issued.organization_id


async def test_a_made_up_token_is_recorded_for_nobody(
    anonymous: AsyncClient, superuser_engine: AsyncEngine
) -> None:
    await anonymous.post(SUBMIT, content=b"{}", headers={"Authorization": "Bearer " + "a" * 43})
    [row] = await trail(superuser_engine)
    assert (row.outcome, row.organization_id) == ("login", None)
