"""The certificate that a connection showed counts for hooks too, whatever stands in headers."""

from dataclasses import replace

import pytest
from fastapi import FastAPI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.crd_bodies import usual_call
from tests.integration.crd.door import HookClient, service
from tests.integration.pas.door import Rows, caller
from tests.pki import issued, showing
from wiser_fhir.auth.certificates import thumbprint_of
from wiser_fhir.auth.revoked_certificates import RevokedCertificates
from wiser_fhir.sandbox.authority import Issued
from wiser_fhir.web.connection import Trust

HOOK = "order-sign"


def shown(app: FastAPI, hooks: HookClient, certificate: Issued | None) -> HookClient:
    """The same EHR over a connection that showed a certificate, or none."""
    return replace(hooks, http=caller(showing(app, certificate)))  # type: ignore[arg-type]


async def test_a_jwt_stays_with_the_certificate_of_its_first_connection(
    app: FastAPI, hooks: HookClient, rows: Rows
) -> None:
    one, other, none = (shown(app, hooks, each) for each in (issued(), issued(number=2), None))
    token = hooks.token(service(HOOK))
    statuses = [
        (await each.post(service(HOOK), usual_call("2.2"), token)).status_code
        for each in (one, one, other, none)
    ]
    assert statuses == [200, 200, 401, 401]
    counted = await rows.all("select certificate, uses from cds_jwt")
    assert counted == [{"certificate": thumbprint_of(issued().der), "uses": 2}]


async def test_a_header_shows_no_certificate(app: FastAPI, hooks: HookClient, rows: Rows) -> None:
    forged = {"x_client_cert": "x", "x_client_verify": "SUCCESS", "x5t": "x"}
    answer = await shown(app, hooks, None).post(service(HOOK), usual_call("2.2"), **forged)
    assert answer.status_code == 200
    assert await rows.all("select certificate from cds_jwt") == [{"certificate": None}]


async def test_one_on_the_list_of_those_revoked_calls_no_hook(
    app: FastAPI,
    hooks: HookClient,
    rows: Rows,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    revoked = RevokedCertificates(app_engine)
    async with superuser_engine.begin() as db:
        statement = "insert into revoked_certificate values (:thumbprint, now(), 'key lost')"
        await db.execute(text(statement), {"thumbprint": thumbprint_of(issued().der)})
    await revoked.refresh()
    monkeypatch.setattr(app.state, "trust", Trust(revoked))
    answer = await shown(app, hooks, issued()).post(service(HOOK), usual_call("2.2"))
    assert answer.status_code == 401
    assert await rows.all("select 1 from cds_jwt") == []
    other = await shown(app, hooks, issued(number=2)).post(service(HOOK), usual_call("2.2"))
    assert other.status_code == 200
