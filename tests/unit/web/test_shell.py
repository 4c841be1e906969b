"""The application around routes of a test's own: errors, headers, figures, what is logged."""

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any
from uuid import UUID, uuid4

import pytest
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from httpx import ASGITransport, AsyncClient, Response

from tests.limits import wide
from wiser_fhir.audit.recorder import AuditRow
from wiser_fhir.auth.principal import Principal
from wiser_fhir.auth.scopes import grants
from wiser_fhir.errors import (
    Conflict,
    Forbidden,
    InvalidResource,
    Malformed,
    NotFound,
    Problem,
    ProfileViolation,
    TooLarge,
    Unauthenticated,
    Unavailable,
    WiserError,
)
from wiser_fhir.web.application import Look, application
from wiser_fhir.web.body import read_json
from wiser_fhir.web.logs import described
from wiser_fhir.web.outcome import FhirResponse
from wiser_fhir.web.principal import require
from wiser_fhir.web.session_cookie import Cookies

CANARY = "Ada Canary 1EG4TE5MK73"
CALLER = Principal(
    client_id=UUID(int=1),
    client_name="test",
    organization_id=UUID(int=2),
    grants=grants(["system/ClaimResponse.rs"]),
    npis=None,
)
FAILURES: dict[str, Exception] = {
    "400": Malformed("m"),
    "400-base": InvalidResource(
        "i", [Problem("error", "invalid", "a"), Problem("error", "x", "b")]
    ),
    "403": Forbidden("f"),
    "404": NotFound("ClaimResponse"),
    "409": Conflict("c"),
    "413": TooLarge("t"),
    "422": ProfileViolation("p"),
    "500": WiserError(CANARY),
    "500-unexpected": RuntimeError(CANARY),
    "500-key": KeyError(CANARY),
    "503": Unavailable(CANARY),
    "503-database": ConnectionRefusedError(CANARY),
}


class Doorkeeper:
    """Knows one token. Stands where the authenticator does."""

    async def principal(
        self, authorization: list[str], certificate: str | None, _asking: object
    ) -> Principal:
        assert certificate is None
        if authorization != ["Bearer good"]:
            raise Unauthenticated("A live bearer token is needed.")
        return CALLER


class Away:
    """Stands where the authenticator does, while the database is away."""

    async def principal(self, *_asked: object) -> Principal:
        raise Unavailable("away")


class Trail:
    """Stands where the recorder does."""

    def __init__(self) -> None:
        self.rows: list[AuditRow] = []
        self.broken = False

    async def record(self, row: AuditRow) -> None:
        if self.broken:
            raise Unavailable("away")
        self.rows.append(row)


Reader = Annotated[Principal, Depends(require("system/ClaimResponse.rs"))]
Writer = Annotated[Principal, Depends(require("system/Claim.c"))]


def router() -> APIRouter:
    routes = APIRouter()

    @routes.get("/fail/{name}")
    async def fail(name: str, caller: Reader) -> None:
        raise FAILURES[name]

    @routes.post("/echo")
    async def echo(request: Request, caller: Reader) -> FhirResponse:
        _, resource = await read_json(request)
        return FhirResponse(resource)

    @routes.post("/write")
    async def write(caller: Writer) -> None: ...

    @routes.get("/number")
    async def number(n: Annotated[int, Query(ge=0, le=9)]) -> int:
        return n

    @routes.put("/fail/{name}")
    async def put(name: str, caller: Reader) -> None: ...

    return routes


@pytest.fixture
def trail() -> Trail:
    return Trail()


@pytest.fixture
def app(trail: Trail) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield

    app = application(lifespan, [("/fhir", router())], Look(protected=("/fhir/",), docs=True))
    app.state.limits = wide()
    app.state.cookies = Cookies("http://test")
    app.state.authenticator = Doorkeeper()
    app.state.recorder = trail
    return app


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(
        transport=ASGITransport(app),
        base_url="http://test",
        headers={"Authorization": "Bearer good"},
    ) as client:
        yield client


def issues(response: Response) -> list[dict[str, Any]]:
    assert response.headers["content-type"] == "application/fhir+json"
    outcome = response.json()
    assert outcome["resourceType"] == "OperationOutcome"
    found: list[dict[str, Any]] = outcome["issue"]
    return found


@pytest.mark.parametrize("name", FAILURES)
async def test_errors_become_answers(http: AsyncClient, name: str) -> None:
    response = await http.get(f"/fhir/fail/{name}")
    assert response.status_code == int(name[:3])
    assert CANARY not in response.text
    if response.status_code < 500:
        assert len(issues(response)) == len(FAILURES[name].problems)  # type: ignore[attr-defined]
    else:
        assert response.content == b""
    assert ("retry-after" in response.headers) == (response.status_code == 503)


@pytest.mark.parametrize("name", FAILURES)
async def test_refusals_of_a_caller_are_recorded(
    http: AsyncClient, trail: Trail, name: str
) -> None:
    response = await http.get(f"/fhir/fail/{name}")
    if response.status_code == 503:
        assert trail.rows == []
        return
    [row] = trail.rows
    assert row.organization_id == CALLER.organization_id
    assert str(row.request_id) == response.headers["x-request-id"]
    assert row.detail["route"] == "/fhir/fail/{name}"
    if response.status_code == 500:
        assert (row.action, row.outcome) == ("request.failed", "exception")
        assert CANARY not in repr(row)
        return
    assert row.detail["status"] == response.status_code


async def test_a_failure_that_cannot_be_recorded_is_answered_the_same(
    http: AsyncClient, trail: Trail, caplog: pytest.LogCaptureFixture
) -> None:
    trail.broken = True
    response = await http.get("/fhir/fail/500-unexpected")
    assert (response.status_code, response.content) == (500, b"")
    assert "failure not recorded" in [each.message for each in caplog.records]


async def test_a_refusal_that_cannot_be_recorded_is_not_told(
    http: AsyncClient, trail: Trail
) -> None:
    trail.broken = True
    response = await http.get("/fhir/fail/404")
    assert response.status_code == 503
    assert response.content == b""


@pytest.mark.parametrize("path", ["/fhir/fail/404", "/fhir/nothing", "/fhir/Claim/$what"])
async def test_strangers_get_401_whatever_they_ask(
    http: AsyncClient, trail: Trail, path: str
) -> None:
    for method in ("GET", "POST", "DELETE"):
        response = await http.request(method, path, headers={"Authorization": ""})
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert issues(response)[0]["code"] == "login"


async def test_a_bad_token_is_recorded_and_a_missing_one_is_not(
    http: AsyncClient, trail: Trail
) -> None:
    bad = await http.get("/fhir/fail/404", headers={"Authorization": "Bearer bad"})
    assert [row.outcome for row in trail.rows] == ["login"]
    assert trail.rows[0].organization_id is None
    del http.headers["Authorization"]
    missing = await http.get("/fhir/fail/404")
    assert len(trail.rows) == 1
    assert bad.content == missing.content


async def test_scopes_decide(http: AsyncClient, trail: Trail) -> None:
    response = await http.post("/fhir/write")
    assert response.status_code == 403
    assert trail.rows[0].outcome == "forbidden"


async def test_an_unknown_operation_is_404_and_a_wrong_method_405(http: AsyncClient) -> None:
    unknown = await http.post("/fhir/Claim/$unknown")
    assert unknown.status_code == 404
    assert issues(unknown)[0]["code"] == "not-found"
    wrong = await http.delete("/fhir/fail/404")
    assert wrong.status_code == 405
    assert wrong.headers["allow"] == "GET, PUT"
    assert issues(wrong)[0]["code"] == "not-supported"


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/fhir/nothing"), ("DELETE", "/fhir/fail/404"), ("GET", "/fhir/fail/404")],
)
async def test_while_nobody_can_be_known_every_path_is_worth_asking_again(
    app: FastAPI, http: AsyncClient, trail: Trail, method: str, path: str
) -> None:
    app.state.authenticator = Away()
    response = await http.request(method, path)
    assert (response.status_code, response.content) == (503, b"")
    assert response.headers["retry-after"] == "2"
    assert trail.rows == []


@pytest.mark.parametrize(
    "path", ["/fhir/number?n=7", "/metrics", "/fhir/fail/404", "/fhir/fail/500-key", "/fhir/echo"]
)
async def test_a_head_is_a_get_without_the_body(http: AsyncClient, path: str) -> None:
    got, headed = await http.get(path), await http.head(path)
    assert (headed.status_code, headed.content) == (got.status_code, b"")
    assert headed.headers["cache-control"] == "no-store"
    assert headed.headers.get("content-type") == got.headers.get("content-type")


async def test_a_head_needs_what_a_get_needs(http: AsyncClient, trail: Trail) -> None:
    bad = {"Authorization": "Bearer bad"}
    assert (await http.head("/fhir/fail/404", headers=bad)).status_code == 401
    assert (await http.head("/fhir/fail/404")).status_code == 404
    assert [(row.outcome, row.client_id) for row in trail.rows] == [
        ("login", None),
        ("not-found", CALLER.client_id),
    ]


async def test_figures_tell_a_head_from_a_get(http: AsyncClient) -> None:
    await http.head("/fhir/number?n=7")
    text = (await http.get("/metrics")).text
    assert 'wiser_requests_total{method="HEAD",route="/fhir/number",status="200"} 1.0' in text


async def test_a_trailing_slash_is_another_path_and_no_redirect(http: AsyncClient) -> None:
    assert (await http.get("/fhir/number/?n=1")).status_code == 404


async def test_a_bad_parameter_is_named_without_its_value(http: AsyncClient) -> None:
    response = await http.get("/fhir/number", params={"n": CANARY})
    assert response.status_code == 422
    assert "n" in issues(response)[0]["details"]["text"]
    assert CANARY not in response.text


async def test_media_types_are_settled_before_the_body_is_read(http: AsyncClient) -> None:
    as_json = {"Content-Type": "application/fhir+json"}
    good = await http.post("/fhir/echo", content=b'{"a":1}', headers=as_json)
    assert good.json() == {"a": 1}
    xml = {"Content-Type": "application/fhir+xml"}
    assert (await http.post("/fhir/echo", content=b"<a/>", headers=xml)).status_code == 415
    picky = {**as_json, "Accept": "application/fhir+xml"}
    assert (await http.post("/fhir/echo", content=b"{}", headers=picky)).status_code == 406
    twice = await http.post("/fhir/echo", content=b'{"a":1,"a":2}', headers=as_json)
    assert twice.status_code == 400


async def test_a_uuid_of_the_caller_is_kept_as_request_id_and_other_text_is_not(
    http: AsyncClient,
) -> None:
    sent = str(uuid4())
    for given, kept in ((sent, True), (sent.replace("-", ""), True), (CANARY, False), ("", False)):
        response = await http.get("/fhir/number?n=1", headers={"X-Request-Id": given})
        assert (response.headers["x-request-id"] == sent) is kept
        UUID(response.headers["x-request-id"])


async def test_every_answer_forbids_caches_frames_and_guesses(http: AsyncClient) -> None:
    for path in ("/fhir/number?n=1", "/fhir/fail/404", "/fhir/fail/500-key", "/docs"):
        headers = (await http.get(path)).headers
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "server" not in headers


async def test_figures_name_templates_and_nothing_that_was_asked(http: AsyncClient) -> None:
    await http.get("/fhir/fail/404")
    await http.get(f"/fhir/{CANARY}")
    await http.request("BREW", "/fhir/number")
    text = (await http.get("/metrics", headers={"Authorization": ""})).text
    assert 'wiser_requests_total{method="GET",route="/fhir/fail/{name}",status="404"} 1.0' in text
    assert 'route="unknown",status="404"' in text
    assert 'method="other"' in text
    assert "Canary" not in text


async def test_logs_hold_ids_and_no_text_of_an_error(
    http: AsyncClient, caplog: pytest.LogCaptureFixture, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    with caplog.at_level(logging.DEBUG, "wiser_fhir"):
        await http.get(f"/fhir/fail/500-unexpected?name={CANARY}")
    [record] = [each for each in caplog.records if each.getMessage() == "request failed"]
    facts = vars(record)
    assert facts["error"] == "builtins.RuntimeError"
    assert any("test_shell" in frame for frame in facts["frames"])
    assert "Canary" not in caplog.text + str(facts)


async def test_the_docs_page_loads_nothing(http: AsyncClient) -> None:
    page = await http.get("/docs")
    assert "POST /fhir/echo" in page.text
    assert "<script" not in page.text
    assert "//" not in page.text.replace("http://", "")
    schema = (await http.get("/openapi.json")).json()
    assert schema["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


async def test_production_shows_no_docs(trail: Trail) -> None:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield

    closed = application(lifespan, [], Look(protected=("/fhir/",), https=True))
    closed.state.cookies = Cookies("https://test")
    async with AsyncClient(transport=ASGITransport(closed), base_url="http://test") as client:
        for path in ("/docs", "/openapi.json", "/redoc"):
            answer = await client.get(path)
            assert answer.status_code == 404
        assert "max-age" in answer.headers["strict-transport-security"]


def test_what_is_told_of_a_database_error_is_its_code_and_constraint() -> None:
    class Refused(Exception):
        sqlstate = "23505"
        constraint_name = "uq_client_name"

    assert described(Refused(CANARY)) == {
        "error": f"{__name__}.{Refused.__qualname__}",
        "sqlstate": "23505",
        "constraint": "uq_client_name",
    }


def test_json_lines_keep_only_known_fields(capsys: pytest.CaptureFixture[str]) -> None:
    from wiser_fhir.web.logs import configure

    root = logging.getLogger()
    before, level = root.handlers, root.level
    try:
        configure("info")
        log = logging.getLogger("wiser_fhir.test")
        log.info("determination recorded", extra={"case": "c-1", "family": CANARY})
        try:
            raise ValueError(CANARY)
        except ValueError:
            log.exception("failed")
    finally:
        root.handlers = before
        root.setLevel(level)
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first["event"] == "determination recorded"
    assert first["case"] == "c-1"
    assert second["error"] == "builtins.ValueError"
    assert CANARY not in json.dumps([first, second])


@pytest.mark.parametrize("path", ["//number", "//fhir//number", "///fhir///number"])
async def test_a_base_url_may_end_in_a_slash(http: AsyncClient, path: str) -> None:
    base = "http://test" if "fhir" in path else "http://test/fhir"
    answer = await http.get(f"{base}{path}?n=7")
    assert (answer.status_code, answer.json()) == (200, 7)


async def test_more_slashes_open_no_door(http: AsyncClient) -> None:
    del http.headers["Authorization"]
    assert (await http.get("http://test//fhir//nowhere")).status_code == 401
