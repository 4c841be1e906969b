"""Parameters and bodies of attackers at every route: promised answers, and nobody's data."""

from collections.abc import AsyncIterator
from urllib.parse import quote
from uuid import uuid4

import pytest
from fastapi import FastAPI
from httpx import Response

from tests.integration.isolation.callers import Callers
from tests.integration.isolation.rows import ROWS, Row
from tests.integration.isolation.world import World

# What is sent for the value of every parameter.
VALUES = (
    "' or '1'='1",
    "'; drop table prior_auth_case; --",
    '") union select mbi from prior_auth_case --',
    "%' or 1=1 --",
    "\\x00",
    "\x00",
    "\ud800".encode("utf-8", "surrogatepass").decode("latin-1"),
    "$(sleep 5)",
    "{{7*7}}",
    "../../../../etc/passwd",
    "1" * 5_000,
    "-1",
    "9" * 40,
    "ge2026-13-45",
    "a,b|c$d\\",
    "0001-01-01T00:00:00Z",
    "null",
)
# What is sent as a parameter that nobody promised, by name and value.
MODIFIERS = (
    ("_include", "ClaimResponse:patient"),
    ("_include", "*"),
    ("_revinclude", "Task:focus"),
    ("_include:iterate", "*"),
    ("_has:Observation:patient:code", "1"),
    ("patient.name", "Foreignham"),
    ("patient:Patient.identifier", "7MN1AM2TR"),
    ("organization:missing", "true"),
    ("_id:missing", "false"),
    ("name:missing", "' or 1=1"),
    ("status:not", "active"),
    ("_filter", "name co 'x'"),
    ("_query", "all"),
    ("_summary", "count"),
    ("_elements", "identifier,name"),
    ("_format", "text/html"),
    ("_format", "xml"),
    ("_sort", "1; select pg_sleep(5)"),
    ("_count", "-1"),
    ("_count", "99999999999999999999"),
    ("organization_id", "x"),
    ("x'] or 1=1 --", "1"),
    ("\x00", "\x00"),
)
# What a route says that it takes, beside what FHIR and the doors read by themselves.
KNOWN = (
    *("_id", "_format", "_count", "url", "version", "name", "status", "context", "filter"),
    *("eventsSinceNumber", "content", "offset", "date", "patient", "state", "code"),
)
XML = "\n".join(
    (
        '<?xml version="1.0"?>',
        '<!DOCTYPE lolz [<!ENTITY xxe SYSTEM "file:///etc/passwd"> <!ENTITY a "lol">',
        '<!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;"> <!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;">]>',
        '<Bundle xmlns="http://hl7.org/fhir"><id value="&xxe;&c;"/></Bundle>',
    )
)
XML_TYPES = ("application/fhir+xml", "application/xml", "text/xml", "application/xml+fhir")
READS = [row for row in ROWS if row.method == "GET"]
WRITES = [row for row in ROWS if row.method in ("POST", "PUT")]
IDS = [row.id for row in READS]


@pytest.fixture
def callers(world: World) -> Callers:
    return Callers(world)


@pytest.fixture(scope="module", autouse=True)
async def untouched(world: World) -> AsyncIterator[None]:
    """What the other organization has is the same when everything was tried."""
    before = await world.belongings(world.theirs)
    yield
    assert await world.belongings(world.theirs) == before


def promised(world: World, answer: Response, sent: str) -> None:
    """No failure, and nothing of the other organization."""
    assert answer.status_code < 500, f"{sent}: {answer.status_code} {answer.text}"
    if sent.startswith("/review/audit"):
        return  # an auditor sees what happened to everybody's
    said = f"{answer.text} {answer.headers}"
    assert [each for each in world.theirs.canaries if each in said and each not in sent] == []


def parameters_of(app: FastAPI, row: Row) -> set[str]:
    """What the API's description says that a route takes, and what we read without saying."""
    operation = app.openapi()["paths"].get(row.path, {}).get(row.method.lower(), {})
    described = {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}
    return described | set(KNOWN)


@pytest.mark.parametrize("row", READS, ids=IDS)
async def test_no_parameter_does_anything_but_what_is_promised(
    world: World, callers: Callers, row: Row
) -> None:
    url = row.url(world.ours.names)
    http = world.connection(None)
    shown = await callers.who_may(row, url)
    first = READS.index(row)  # so that each parameter meets each value at some route
    names = sorted(parameters_of(world.app, row))
    pairs = [(name, VALUES[(first + nth) % len(VALUES)]) for nth, name in enumerate(names)]
    for name, value in (*pairs, *MODIFIERS):
        query = f"{quote(name)}={quote(value.encode('utf-8', 'replace'))}"
        answer = await http.get(f"{url}?{query}", headers=dict(shown.headers))
        promised(world, answer, f"{url}?{name}={value}")


@pytest.mark.parametrize("value", VALUES[:10], ids=range(10))
async def test_no_part_of_a_path_does_either(world: World, callers: Callers, value: str) -> None:
    for row in ROWS:
        if "{" not in row.path or row.method in ("DELETE", "HEAD"):
            continue
        url = row.path
        for part in row.path.split("/"):
            if part.startswith("{"):
                url = url.replace(part, quote(value, safe=""))
        shown = await callers.who_may(row, url)
        answer = await world.connection(None).request(row.method, url, headers=dict(shown.headers))
        assert answer.status_code in (400, 401, 404, 405, 415, 422), f"{row.id} {value}"
        promised(world, answer, url)


@pytest.mark.parametrize("kind", XML_TYPES)
async def test_xml_is_refused_unread_by_every_route(
    world: World, callers: Callers, kind: str
) -> None:
    for row in WRITES:
        url = row.url(world.ours.names)
        shown = await callers.who_may(row, url)
        request_id = str(uuid4())
        headers = {**shown.headers, "content-type": kind, "x-request-id": request_id}
        answer = await world.connection(None).request(
            row.method, url, content=XML.encode(), headers=headers
        )
        # Where nothing is read of a body, an XML one is as none.
        unread = row.door == "session"
        assert answer.status_code in ((303, 415) if unread else (400, 401, 406, 415)), row.id
        assert "root:" not in answer.text
        assert "lollol" not in answer.text
        if row.door == "client":
            assert answer.status_code == 415


@pytest.mark.parametrize("kind", XML_TYPES)
async def test_xml_is_sent_by_none(world: World, callers: Callers, kind: str) -> None:
    for row in ROWS:
        if row.door not in ("client", "people") or row.path.startswith("/sign-in"):
            continue
        url = row.url(world.ours.names)
        shown = await callers.who_may(row, url)
        answer = await world.connection(None).request(
            row.method, url, headers={**shown.headers, "accept": kind}
        )
        assert answer.status_code in (406, 415), f"{row.id}: {answer.status_code}"
        assert "xml" not in answer.headers["content-type"]
