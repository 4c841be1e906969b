"""The app over ASGI, clients of it, and a look behind it: what the tests of the PAS door share."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
from fastapi import FastAPI
from httpx import ASGITransport, AsyncClient, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.bundles import Json, Line
from tests.vaults import VAULT
from wiser_fhir.auth import tokens
from wiser_fhir.auth.scopes import ALL_SCOPES
from wiser_fhir.db.bodies import open_body
from wiser_fhir.db.sealed import CASE
from wiser_fhir.fhir import codes
from wiser_fhir.priorauth.numbers import time_ordered_uuid

NOW = datetime(2026, 11, 20, 16, 0, tzinfo=UTC)
ORIGIN = "http://payer.test"
PATHS: Mapping[Line, str] = {"2.2": "/fhir", "2.0": "/v2.0/fhir"}
LINES: tuple[Line, ...] = ("2.2", "2.0")
FHIR_JSON = "application/fhir+json"
TIN = "000000001"  # under which the bundles of tests name who sends them

# Criteria of an epidural injection, all met; CARE_UNMET leaves one for a clinician.
MET: Mapping[str, Any] = {
    "esi-purpose": True,
    "esi-indication": "radicular",
    "esi-impact": True,
    "esi-scale": True,
    "esi-conservative": "failed-4w",
    "esi-treatments-12m": 2,
    "esi-repeat": False,
    "esi-guidance": "fluoro-contrast",
    "esi-approach": "tfesi",
    "esi-levels": 1,
    "esi-bilateral": False,
    "esi-with-care": ["pt"],
    "esi-rehab": True,
    "esi-sedation": False,
    "esi-contra": ["none"],
}
CARE_UNMET: Mapping[str, Any] = {**MET, "esi-conservative": "none"}


_CASE_TABLES = (
    *("submission", "prior_auth_case", "case_item", "case_party", "determination"),
    *("utn", "message", "document", "letter"),
)


@dataclass(frozen=True)
class Client:
    """One system of an organization, with a token, at one line's base path."""

    http: AsyncClient
    token: str
    organization_id: UUID
    client_id: UUID
    line: Line = "2.2"

    def at(self, line: Line) -> "Client":
        """The same client at another line."""
        return Client(self.http, self.token, self.organization_id, self.client_id, line)

    async def post(self, path: str, body: Json | bytes, **headers: str) -> Response:
        """POST below the base path; `accept="..."` sets a header."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.http.post(
            f"{PATHS[self.line]}/{path}",
            content=content,
            headers={"authorization": f"Bearer {self.token}", "content-type": FHIR_JSON} | named,
        )

    async def submit(self, body: Json | bytes, **headers: str) -> Response:
        """Claim/$submit."""
        return await self.post("Claim/$submit", body, **headers)

    async def inquire(self, body: Json | bytes, **headers: str) -> Response:
        """Claim/$inquire."""
        return await self.post("Claim/$inquire", body, **headers)

    async def get(self, path: str, **headers: str) -> Response:
        """GET below the base path."""
        return await self.http.get(
            f"{PATHS[self.line]}/{path}",
            headers={"authorization": f"Bearer {self.token}"} | headers,
        )


MakeClient = Callable[..., Awaitable[Client]]


def caller(app: FastAPI) -> AsyncClient:
    """An HTTP client of the app in this process."""
    return AsyncClient(transport=ASGITransport(app), base_url=ORIGIN, timeout=60)


async def register(
    superuser: AsyncEngine,
    http: AsyncClient,
    *,
    npis: tuple[str, ...] | None = None,
    tins: tuple[str, ...] = (TIN,),
    clearinghouse: bool = False,
    scopes: tuple[str, ...] = ALL_SCOPES,
    organization_id: UUID | None = None,
    ttl: timedelta = timedelta(hours=1),
    issued_at: datetime = NOW,
) -> Client:
    """A client with a token; of a new organization unless one is named.

    Without `npis` the organization is a clearinghouse that may send for everybody; with them it is
    the provider itself, or a `clearinghouse` registered for it by name.
    """
    named = ("clearinghouse", "named") if clearinghouse else ("provider", "own")
    kind, acts_for = ("clearinghouse", "all") if npis is None else named
    client_id, name = time_ordered_uuid(), f"client-{uuid4()}"
    async with superuser.begin() as connection:
        if organization_id is None:
            organization_id = time_ordered_uuid()
            values = {
                "id": organization_id,
                "kind": kind,
                "acts_for": acts_for,
                "npis": list(npis or ()),
                "tins": list(tins),
            }
            await connection.execute(
                text(
                    "insert into organization (id, name, kind, acts_for, npis, tins)"
                    " values (:id, 'Made-up sender', :kind, :acts_for, :npis, :tins)"
                ),
                values,
            )
        await connection.execute(
            text(
                "insert into client (id, organization_id, name, scopes)"
                " values (:id, :organization_id, :name, :scopes)"
            ),
            {
                "id": client_id,
                "organization_id": organization_id,
                "name": name,
                "scopes": list(scopes),
            },
        )
        issued = await tokens.issue(connection, name, (), ttl, issued_at)
    return Client(http, issued.token, organization_id, client_id)


@dataclass(frozen=True)
class Rows:
    """What stands in the database, seen by the superuser."""

    engine: AsyncEngine

    async def all(self, query: str, **values: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        async with self.engine.connect() as connection:
            found = await connection.execute(text(query), values)
            return [dict(row) for row in found.mappings()]

    async def counts(self) -> dict[str, int]:
        """How many rows each table of cases has."""
        counted = [f"select '{t}' as name, count(*) as n from {t}" for t in _CASE_TABLES]  # noqa: S608
        return {row["name"]: row["n"] for row in await self.all(" union all ".join(counted))}

    async def audit(self) -> list[tuple[str, str]]:
        """Action and outcome of each audit row, in order."""
        rows = await self.all("select action, outcome from audit_event order by id")
        return [(row["action"], row["outcome"]) for row in rows]

    async def cases(self) -> list[dict[str, Any]]:
        """Every case, opened, the first received first; with whom it is about in the place of the
        index."""
        found = await self.all("select * from prior_auth_case order by received_at, id")
        return [await self._opened(row) for row in found]

    async def _opened(self, case: dict[str, Any]) -> dict[str, Any]:
        opened = CASE.open(await VAULT.key(self.engine, case["organization_id"]), case)
        member: dict[str, Any] = opened["sealed_member"]
        return opened | member

    async def received(self) -> list[bytes]:
        """What came in, as kept."""
        return await self.messages("select * from message where direction = 'in' order by at, id")

    async def messages(self, query: str) -> list[bytes]:
        """The bodies of messages that a query finds with all their columns."""
        return [
            await open_body(
                self.engine, row["organization_id"], row["body"], "message", "body", row["id"]
            )
            for row in await self.all(query)
        ]


def claim_response(answer: Response | Json) -> Json:
    """The ClaimResponse of a response Bundle that came with 200."""
    if isinstance(answer, Response):
        assert answer.status_code == 200, answer.text
    bundle: Json = answer.json() if isinstance(answer, Response) else answer
    found: Json = bundle["entry"][0]["resource"]
    assert found["resourceType"] == "ClaimResponse"
    return found


def found_by(answer: Response) -> list[Json]:
    """The ClaimResponses an inquiry found, whatever the line wraps them in."""
    assert answer.status_code == 200, answer.text
    body = answer.json()
    bundles = [body]
    if body["resourceType"] == "Parameters":
        bundles = [parameter["resource"] for parameter in body.get("parameter", ())]
    return [
        entry["resource"]
        for bundle in bundles
        for entry in bundle.get("entry", ())
        if entry["resource"]["resourceType"] == "ClaimResponse"
    ]


def actions(response: Json) -> dict[int, str]:
    """The review action of each item, by its sequence."""
    return {item["itemSequence"]: _action(item) for item in response.get("item", ())}


def _action(item: Json) -> str:
    (adjudication,) = item["adjudication"]
    (action,) = adjudication["extension"]
    assert action["url"] == codes.REVIEW_ACTION
    (code,) = (e for e in action["extension"] if e["url"] == codes.REVIEW_ACTION_CODE)
    (coding,) = code["valueCodeableConcept"]["coding"]
    assert coding["system"] == codes.X12_ACTION
    found: str = coding["code"]
    return found


def reference_number(response: Json) -> str:
    """Our number of a pended request, from its first pended item."""
    numbers = (
        extension["valueString"]
        for item in response["item"]
        for extension in item["extension"]
        if extension["url"] == codes.ADMINISTRATION_REFERENCE_NUMBER
    )
    found: str = next(numbers)
    return found


def outcome_of(answer: Response, status: int) -> list[Json]:
    """The issues of the one OperationOutcome that a refusal is."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].split(";")[0] == FHIR_JSON
    body = answer.json()
    assert body["resourceType"] == "OperationOutcome"
    issues: list[Json] = body["issue"]
    assert issues
    return issues
