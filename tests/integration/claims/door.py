"""Callers of the claims door and what they send: what the tests of claims share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import orjson
from httpx import AsyncClient, Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.cases import REQUESTER_NPI, a_submission, an_item
from tests.claim_values import ESI, OFFICE
from tests.database import MakeCase
from wiser_fhir.auth import people, tokens
from wiser_fhir.priorauth.models import PriorAuthorization, Submission
from wiser_fhir.priorauth.numbers import time_ordered_uuid

# Cases of `tests.cases` are affirmed on 7 April 2026, so good until 4 August.
NOW = datetime(2026, 6, 1, 16, 0, tzinfo=UTC)
ORIGIN = "http://payer.test"
SCOPES = ("system/Claim.c", "system/ClaimResponse.rs")
OTHER_NPI = "1245319599"

Json = dict[str, Any]


@dataclass(frozen=True)
class Door:
    """A client of an organization, with a token."""

    http: AsyncClient
    token: str
    organization_id: UUID
    client_id: UUID

    async def check(self, body: Json | bytes) -> Response:
        return await self._post("/claims/check", body)

    async def record(self, body: Json | bytes) -> Response:
        return await self._post("/claims", body)

    async def get(self, path: str, **query: str) -> Response:
        return await self.http.get(path, params=query, headers=self._headers())

    async def put(self, path: str, body: Json) -> Response:
        return await self.http.put(path, json=body, headers=self._headers())

    async def _post(self, path: str, body: Json | bytes) -> Response:
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        headers = self._headers() | {"content-type": "application/json"}
        return await self.http.post(path, content=content, headers=headers)

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


MakeDoor = Callable[..., Awaitable[Door]]


async def registered(
    superuser: AsyncEngine,
    http: AsyncClient,
    *,
    kind: str = "mac",
    acts_for: str = "own",
    npis: tuple[str, ...] = (),
    scopes: tuple[str, ...] = SCOPES,
    organization_id: UUID | None = None,
) -> Door:
    """A client with a token, of a new organization unless one is named."""
    client_id, name = time_ordered_uuid(), f"client-{uuid4()}"
    async with superuser.begin() as db:
        if organization_id is None:
            organization_id = time_ordered_uuid()
            values = {"id": organization_id, "kind": kind, "acts_for": acts_for, "npis": [*npis]}
            await db.execute(_ORGANIZATION, values)
        client = {"id": client_id, "organization_id": organization_id, "name": name}
        await db.execute(_CLIENT, client | {"scopes": list(scopes)})
        issued = await tokens.issue(db, name, (), timedelta(days=365), NOW)
    return Door(http, issued.token, organization_id, client_id)


_ORGANIZATION = text(
    "insert into organization (id, name, kind, acts_for, npis)"
    " values (:id, 'Made-up organization', :kind, :acts_for, :npis)"
)
_CLIENT = text(
    "insert into client (id, organization_id, name, scopes)"
    " values (:id, :organization_id, :name, :scopes)"
)
_PERSON = text(
    "insert into person (id, name, roles, npi, organizations, licence_state, licence_number,"
    " licence_expires) values (:id, :name, :roles, :npi, :organizations, :state, :number, :expires)"
)


async def a_person(
    superuser: AsyncEngine,
    http: AsyncClient,
    *,
    role: str = "clinician",
    npi: str | None = None,
    organizations: tuple[UUID, ...] = (),
    expires: date = date(2099, 12, 31),
) -> Door:
    """Somebody who reviews, with a token; the door's `client_id` is the person's id."""
    person_id, name = time_ordered_uuid(), f"Person {uuid4()}"
    licensed = role == "clinician"
    values = {
        "id": person_id,
        "name": name,
        "roles": [role],
        "npi": npi,
        "organizations": list(organizations),
        "state": "NJ" if licensed else None,
        "number": person_id.hex if licensed else None,
        "expires": expires if licensed else None,
    }
    async with superuser.begin() as db:
        await db.execute(_PERSON, values)
        issued = await people.issue_person_token(db, name, timedelta(days=365), NOW)
    return Door(http, issued.token, UUID(int=0), person_id)


def a_request(organization_id: UUID, *codes: str, units: str = "2", **changes: Any) -> Submission:
    """A request for codes in an office, so many units of each."""
    items = []
    for sequence, code in enumerate(codes or ("62323",), start=1):
        item = an_item(sequence, code)
        service = replace(item.service, quantity=Decimal(units))
        items.append(replace(item, service=service, site=OFFICE))
    return a_submission(organization_id, items=tuple(items), **changes)


@dataclass(frozen=True)
class Affirmed:
    """An affirmed case and what a claim for it names."""

    case: PriorAuthorization
    mbi: str

    @property
    def utn(self) -> str:
        assert self.case.utn is not None
        return self.case.utn


async def affirmed(
    make_case: MakeCase, organization_id: UUID, *codes: str, units: str = "2", **changes: Any
) -> Affirmed:
    """A case affirmed by software on 7 April 2026."""
    request = a_request(organization_id, *codes, units=units)
    mbi = request.beneficiary.mbi
    assert mbi is not None
    return Affirmed(await make_case(submission=request, service=ESI, **changes), mbi)


def billed(code: str = "62323", line: int = 1, **changes: Any) -> Json:
    """One line of one unit on 20 May 2026."""
    return {"line": line, "code": code, "units": 1, "service_date": "2026-05-20", **changes}


def claim_for(found: Affirmed, *lines: Json, **changes: Any) -> Json:
    """A claim of the case's provider, in an office in New Jersey."""
    return {
        "mbi": found.mbi,
        "provider_npi": REQUESTER_NPI,
        "place_of_service": "11",
        "state": "NJ",
        "utn": found.utn,
        "lines": list(lines or (billed(),)),
        **changes,
    }


def arriving(found: Affirmed, *lines: Json, number: str | None = None, **changes: Any) -> Json:
    """The same with a claim number of its own."""
    return claim_for(found, *lines, claim_number=number or f"C-{uuid4()}", **changes)


def statuses(answer: Response) -> list[str]:
    """What was said of each line."""
    assert answer.status_code == 200, answer.text
    return [line["status"] for line in answer.json()["lines"]]


async def rows(superuser: AsyncEngine, query: str, **values: Any) -> list[Any]:
    """The rows of a query, seen by the superuser."""
    async with superuser.connect() as db:
        return list((await db.execute(text(query), values)).all())
