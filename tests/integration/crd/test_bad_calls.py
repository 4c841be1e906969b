"""Calls that are no calls: no JSON, no JWT, no hook of ours, or not what a hook has to be."""

from collections.abc import Callable

import pytest
from httpx import AsyncClient
from orjson import loads
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundle_values import Json, Line
from tests.crd_bodies import HOOKS, TOKEN, usual_call
from tests.hand_made_jwt import ec_pair
from tests.integration.crd.door import (
    CLEARINGHOUSE,
    ISSUER,
    HookClient,
    answered,
    service,
    told,
)
from tests.integration.pas.door import NOW, Rows, outcome_of
from tests.vaults import opened_call

Change = Callable[[Json], object]

# CRD 2.2.1 §hook-13: what breaks FHIR or CDS Hooks is 400. CRD 2.0.1, "CRD Hooks": 400 is for what
# is no JSON, 422 for JSON that breaks the rules.
RULES_BROKEN: dict[Line, int] = {"2.2": 400, "2.0": 422}


# HTTP and JSON


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b'"text"', b"1", b"\xff\xfe", b'{"hook": NaN}'),
        b'{"hook": "order-sign", "hook": "order-sign"}',
        b'{"hook":"order-sign","context":' + b"[" * 90 + b"]" * 90 + b"}",
        b'{"hook": "order-sign\\u0000"}',
        b'{"hook": "\\ud800"}',
    ],
    ids=lambda body: body[:32].decode(errors="replace"),
)
async def test_what_is_no_json_object_is_400(body: bytes, hooks: HookClient) -> None:
    assert outcome_of(await hooks.call(body), 400)


async def test_an_empty_object_is_told_all_that_it_lacks(hooks: HookClient) -> None:
    issues = outcome_of(await hooks.call(b"{}"), 422)  # without a version it speaks 2.0
    named = {expression for issue in issues for expression in issue["expression"]}
    assert named >= {"hook", "hookInstance", "context"}


@pytest.mark.parametrize("name", ["no-such-crd", "order-sign", "order-sign-crd/x", "%20"])
async def test_a_service_that_nobody_offers_is_404(
    name: str, hooks: HookClient, line: Line
) -> None:
    path = f"/cds-services/{name}"
    assert (await hooks.post(path, usual_call(line))).status_code == 404
    assert (await hooks.post(f"{path}/feedback", {"feedback": []})).status_code == 404


@pytest.mark.parametrize("path", ["", "/feedback"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_another_method_is_405(method: str, path: str, stranger: AsyncClient) -> None:
    answer = await stranger.request(method, service("order-sign") + path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "kind", ["application/fhir+xml", "text/xml", "text/plain", "application/xml", ""]
)
async def test_what_is_not_said_to_be_json_is_415(kind: str, hooks: HookClient, line: Line) -> None:
    assert outcome_of(await hooks.call(usual_call(line), content_type=kind), 415)


@pytest.mark.parametrize("kind", ["application/xml", "text/html", "application/json;q=0"])
async def test_who_takes_no_json_gets_406(kind: str, hooks: HookClient, line: Line) -> None:
    assert outcome_of(await hooks.call(usual_call(line), accept=kind), 406)


@pytest.mark.parametrize("kind", ["application/json", "*/*", "application/fhir+json, text/html"])
async def test_who_takes_json_is_answered(kind: str, hooks: HookClient, line: Line) -> None:
    answered(await hooks.call(usual_call(line), accept=kind))


# Who calls


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer x", "Bearer a.b.c", "Basic dXNlcjpwYXNz", "bearer  "],
)
async def test_without_a_jwt_nothing_is_answered(
    header: str, hooks: HookClient, line: Line, rows: Rows
) -> None:
    for path in (service("order-sign"), f"{service('order-sign')}/feedback"):
        answer = await hooks.post(path, usual_call(line), authorization=header)
        assert outcome_of(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert await rows.all("select * from hook_call") == []


async def test_no_header_at_all_is_401(stranger: AsyncClient, line: Line) -> None:
    answer = await stranger.post(service("order-sign"), json=usual_call(line))
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


BAD_CLAIMS: dict[str, Json] = {
    "nobody's issuer": {"iss": "https://nobody.example"},
    "no issuer": {"iss": None},
    "another service": {"aud": "http://payer.test/cds-services/order-select-crd"},
    "another server": {"aud": "https://elsewhere.example/cds-services/order-sign-crd"},
    "the base alone": {"aud": "http://payer.test"},
    "no audience": {"aud": None},
    "over": {"exp": int(NOW.timestamp()) - 1},
    "no end": {"exp": None},
    "not yet": {"iat": int(NOW.timestamp()) + 3600, "exp": int(NOW.timestamp()) + 3900},
    "too long": {"exp": int(NOW.timestamp()) + 86400},
    "no id": {"jti": None},
}


@pytest.mark.parametrize("what", BAD_CLAIMS)
async def test_a_jwt_that_claims_wrongly_is_401(what: str, hooks: HookClient, line: Line) -> None:
    path = service("order-sign")
    answer = await hooks.post(path, usual_call(line), hooks.token(path, **BAD_CLAIMS[what]))
    assert outcome_of(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_a_jwt_of_another_key_is_401(hooks: HookClient, line: Line) -> None:
    other = HookClient(hooks.http, ec_pair("foreign"), CLEARINGHOUSE, hooks.client_id, ISSUER)
    assert outcome_of(await other.call(usual_call(line)), 401)


async def test_a_client_that_is_revoked_is_401(
    hooks: HookClient, line: Line, superuser_engine: AsyncEngine
) -> None:
    answered(await hooks.call(usual_call(line)))
    async with superuser_engine.begin() as db:
        await db.execute(text("update cds_client set active = false, revision = revision + 1"))
    assert outcome_of(await hooks.call(usual_call(line)), 401)


async def test_discovery_asks_nobody_who_they_are(stranger: AsyncClient) -> None:
    """Source: CDS Hooks, "Discovery"; CRD-002."""
    assert (await stranger.get("/cds-services")).status_code == 200


# What the call lacks

CALL_FAULTS: dict[str, tuple[str, Change]] = {
    "another hook": ("hook", lambda b: b.update(hook="encounter-start")),
    "no hook": ("hook", lambda b: b.pop("hook")),
    "no instance": ("hookInstance", lambda b: b.pop("hookInstance")),
    "an instance that is no UUID": ("hookInstance", lambda b: b.update(hookInstance="1")),
    "an instance that is a number": ("hookInstance", lambda b: b.update(hookInstance=7)),
    "no context": ("context", lambda b: b.pop("context")),
    "a context that is a list": ("context", lambda b: b.update(context=[])),
    "a context that is a text": ("context", lambda b: b.update(context="x")),
    "prefetch that is a list": ("prefetch", lambda b: b.update(prefetch=[])),
    "a server that is none": ("fhirServer", lambda b: b.update(fhirServer="there")),
    "a token without a server": ("fhirServer", lambda b: b.pop("fhirServer")),
    "half a token": (
        "fhirAuthorization.access_token",
        lambda b: b["fhirAuthorization"].pop("access_token"),
    ),
    "no patient": ("context.patientId", lambda b: b["context"].pop("patientId")),
    "a patient that is a number": ("context.patientId", lambda b: b["context"].update(patientId=1)),
    "a patient of another type": (
        "context.patientId",
        lambda b: b["context"].update(patientId="Device/1"),
    ),
}
CONTEXT_FAULTS: dict[str, list[tuple[str, Change]]] = {
    "order-sign": [
        ("context.draftOrders", lambda c: c.pop("draftOrders")),
        ("context.draftOrders", lambda c: c.update(draftOrders=[])),
        ("context.draftOrders", lambda c: c["draftOrders"].update(resourceType="List")),
        ("context.userId", lambda c: c.pop("userId")),
    ],
    "order-select": [
        ("context.selections", lambda c: c.pop("selections")),
        ("context.selections", lambda c: c.update(selections="ServiceRequest/order")),
        ("context.selections[0]", lambda c: c.update(selections=[7])),
        ("context.draftOrders", lambda c: c.pop("draftOrders")),
    ],
    "order-dispatch": [
        ("context.performer", lambda c: c.pop("performer")),
        ("context.dispatchedOrders", lambda c: (c.pop("order", 0), c.pop("dispatchedOrders", 0))),
    ],
    "appointment-book": [
        ("context.appointments", lambda c: c.pop("appointments")),
        ("context.appointments.entry", lambda c: c["appointments"].update(entry={})),
    ],
    "encounter-start": [("context.encounterId", lambda c: c.pop("encounterId"))],
    "encounter-discharge": [("context.encounterId", lambda c: c.update(encounterId=""))],
}


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("fault", CALL_FAULTS)
async def test_a_call_that_breaks_cds_hooks_is_refused_by_name(
    fault: str, hook: str, hooks: HookClient, line: Line
) -> None:
    expression, change = CALL_FAULTS[fault]
    body = usual_call(line, hook)
    if fault == "another hook" and hook == "encounter-start":
        change = lambda b: b.update(hook="order-sign")  # noqa: E731
    change(body)
    issues = outcome_of(await hooks.call(body, hook), RULES_BROKEN[line])
    assert expression in {name for issue in issues for name in issue["expression"]}


@pytest.mark.parametrize(
    ("hook", "number"),
    [(hook, n) for hook, each in CONTEXT_FAULTS.items() for n in range(len(each))],
)
async def test_a_context_that_breaks_its_hook_is_refused_by_name(
    hook: str, number: int, hooks: HookClient, line: Line
) -> None:
    expression, change = CONTEXT_FAULTS[hook][number]
    body = usual_call(line, hook)
    change(body["context"])
    issues = outcome_of(await hooks.call(body, hook), RULES_BROKEN[line])
    assert expression in {name for issue in issues for name in issue["expression"]}


async def test_everything_that_is_wrong_is_said_at_once(hooks: HookClient, line: Line) -> None:
    body = usual_call(line)
    body["hookInstance"] = "x"
    body["context"] = {"draftOrders": 7}
    issues = outcome_of(await hooks.call(body), RULES_BROKEN[line])
    named = {name for issue in issues for name in issue["expression"]}
    assert named == {
        *("hookInstance", "context.userId", "context.patientId", "context.draftOrders"),
    }


@pytest.mark.parametrize("version", ["3.0", "2", "2.1", "", "latest", 2.2, ["2.2"], {}, True])
async def test_a_version_that_we_do_not_speak_is_400_and_says_which_we_do(
    version: object, hooks: HookClient
) -> None:
    body = usual_call("2.2")
    body["extension"]["davinci-crd.requestedVersion"] = version
    [issue] = outcome_of(await hooks.call(body), 400)
    assert "2.0" in issue["details"]["text"]
    assert "2.2" in issue["details"]["text"]


@pytest.mark.parametrize("version", ["2.2", "2.2.0", "2.2.1", "2.0", "2.0.1"])
async def test_a_version_that_we_speak_is_the_one_we_answer_in(
    version: str, hooks: HookClient
) -> None:
    spoken: Line = "2.2" if version.startswith("2.2") else "2.0"
    body = usual_call(spoken)
    body["extension"] = {"davinci-crd.requestedVersion": version}
    said = told(answered(await hooks.call(body)))
    assert all(("category" in detail) == (spoken == "2.2") for detail in said.details)


async def test_a_refusal_is_kept_too_without_the_token(
    hooks: HookClient, line: Line, rows: Rows
) -> None:
    body = usual_call(line) | {"hookInstance": "x"}
    answer = await hooks.call(body)
    [row] = await rows.all("select * from hook_call")
    assert (row["status"], row["hook"], row["line"]) == (answer.status_code, "order-sign", line)
    row = await opened_call(rows.engine, row)
    assert TOKEN.encode() not in row["request"]
    assert loads(row["response"]) == answer.json()
    assert ("cds-hooks.order-sign", "refused") in await rows.audit()
