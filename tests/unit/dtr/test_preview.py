"""The preview pages: what stands on them, who may see them, and that nothing in a form gets out."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace
from uuid import UUID

import pytest
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient

from tests.limits import wide
from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.scopes import grants
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.dtr import preview
from wiser_fhir.dtr.forms import Forms
from wiser_fhir.errors import Unauthenticated
from wiser_fhir.fhir.codes import Line
from wiser_fhir.web.application import Look, application
from wiser_fhir.web.session_cookie import Cookies

BASES: dict[Line, str] = {
    "2.2": "https://payer.example/fhir",
    "2.0": "https://payer.example/v2.0/fhir",
}
NOBODY = UUID(int=0)


@pytest.fixture(scope="module")
def forms() -> Forms:
    return Forms.load(Catalogue.load(), BASES)


@asynccontextmanager
async def _nothing(_: FastAPI) -> AsyncIterator[None]:
    yield


class _Tokens:
    """Knows two tokens: one that may read Questionnaires, and one that may not."""

    async def principal(
        self, headers: list[str], certificate: str | None, _asking: object
    ) -> Principal:
        assert certificate is None
        scopes = {"Bearer reads": "system/Questionnaire.rs", "Bearer sends": "system/Claim.c"}
        if not headers or headers[0] not in scopes:
            raise Unauthenticated("No live token.")
        granted = grants([scopes[headers[0]]])
        return Principal(NOBODY, "made-up", NOBODY, granted, None)


class _Trail:
    async def record(self, _row: object) -> None: ...


def _app(forms: Forms, *, open_to_all: bool) -> FastAPI:
    pages = preview.router(
        lambda _: forms, lambda: datetime(2026, 3, 2, 18, tzinfo=UTC), open_to_all=open_to_all
    )
    app = application(_nothing, [("", pages)], Look(protected=()))
    for path, files in preview.static_files().items():
        app.mount(path, files)
    app.state.limits = wide()
    app.state.cookies = Cookies("http://payer")
    app.state.authenticator, app.state.recorder = _Tokens(), _Trail()
    return app


@pytest.fixture
async def sandbox(forms: Forms) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(_app(forms, open_to_all=True))
    async with AsyncClient(transport=transport, base_url="http://payer") as client:
        yield client


@pytest.fixture
async def production(forms: Forms) -> AsyncIterator[AsyncClient]:
    transport = ASGITransport(_app(forms, open_to_all=False))
    async with AsyncClient(transport=transport, base_url="http://payer") as client:
        yield client


def _questionnaire(page: str) -> dict[str, object]:
    found = re.search(r'<script id="questionnaire" type="application/json">(.*?)</script>', page)
    assert found
    questionnaire: dict[str, object] = json.loads(found[1])
    return questionnaire


async def test_the_list_names_every_active_service_on_both_lines(sandbox: AsyncClient) -> None:
    page = (await sandbox.get("/dtr/preview")).text
    links = re.findall(r'href="/dtr/preview/([a-z-]+)\?line=([0-9.]+)"', page)
    assert len(links) == 26
    assert ("pild", "2.2") not in links
    assert {("knee-arthroscopy-oa", "2.2"), ("knee-arthroscopy-oa", "2.0")} <= set(links)


@pytest.mark.parametrize(
    ("line", "url"),
    [
        ("2.2", "https://wiser-fhir.example/fhir/Questionnaire/knee-arthroscopy-oa"),
        ("2.0", "https://wiser-fhir.example/v2.0/fhir/Questionnaire/knee-arthroscopy-oa"),
    ],
)
async def test_a_page_holds_the_form_of_its_line(sandbox: AsyncClient, line: str, url: str) -> None:
    answer = await sandbox.get(f"/dtr/preview/knee-arthroscopy-oa?line={line}")
    assert answer.status_code == 200
    assert _questionnaire(answer.text)["url"] == url


async def test_a_page_may_load_its_own_files_and_reach_nothing(sandbox: AsyncClient) -> None:
    answer = await sandbox.get("/dtr/preview/knee-arthroscopy-oa")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "connect-src" not in policy  # none, by default-src
    assert "form-action 'none'" in policy
    for asset in ("pages/preview.js", "pages/preview.css"):
        assert f"/dtr/preview/{asset}" in answer.text
        assert (await sandbox.get(f"/dtr/preview/{asset}")).status_code == 200


async def test_a_question_of_judgement_is_the_clinicians_alone(sandbox: AsyncClient) -> None:
    page = (await sandbox.get("/dtr/preview/epidural-steroid-injection")).text
    row = next(r for r in re.findall("<tr>.*?</tr>", page) if "<code>esi-impact</code>" in r)
    assert row.endswith("<td>the clinician</td><td></td></tr>")


async def test_what_the_chart_answers_names_its_codes(sandbox: AsyncClient) -> None:
    page = (await sandbox.get("/dtr/preview/hypoglossal-nerve-stimulation")).text
    row = next(r for r in re.findall("<tr>.*?</tr>", page) if "<code>hgns-bmi</code>" in r)
    assert "<td>the chart, else the clinician</td>" in row
    assert "LOINC 39156-5" in row


@pytest.mark.parametrize("service", ["pild", "no-such-service", "knee-arthroscopy-oa-adaptive"])
async def test_what_has_no_form_is_not_found(sandbox: AsyncClient, service: str) -> None:
    assert (await sandbox.get(f"/dtr/preview/{service}")).status_code == 404


async def test_an_unknown_line_is_refused(sandbox: AsyncClient) -> None:
    answer = await sandbox.get("/dtr/preview/knee-arthroscopy-oa?line=3.0")
    assert answer.status_code == 422


@pytest.mark.parametrize("path", ["", "/knee-arthroscopy-oa"])
@pytest.mark.parametrize(("token", "status"), [(None, 401), ("sends", 403), ("reads", 200)])
async def test_production_shows_forms_to_whoever_may_read_them(
    production: AsyncClient, path: str, token: str | None, status: int
) -> None:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = await production.get(f"/dtr/preview{path}", headers=headers)
    assert answer.status_code == status


def test_no_text_of_a_form_can_end_the_element_it_stands_in() -> None:
    block = preview._data_block({"text": "</script><script>alert(1)</script>"})
    assert "<" not in block
    assert json.loads(block) == {"text": "</script><script>alert(1)</script>"}


def test_a_server_without_lforms_says_how_to_build_it(
    forms: Forms, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preview, "_LFORMS", SimpleNamespace(is_dir=lambda: False))
    form = forms.current("2.2", datetime(2026, 3, 2, tzinfo=UTC).date())[0]
    assert b"make pages" in preview._preview(form, readonly=False).body
