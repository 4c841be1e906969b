"""People at the review door over ASGI, and the cases they find there."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from httpx import AsyncClient, Response
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.pas.door import NOW
from tests.reviewing import insert_person
from wiser_fhir.auth.people import Reviewer, issue_person_token

Json = dict[str, Any]


@dataclass(frozen=True)
class Person:
    """Somebody with a token at the review door."""

    http: AsyncClient
    token: str
    reviewer: Reviewer

    @property
    def id(self) -> UUID:
        """The person's id."""
        return self.reviewer.person_id

    async def get(self, path: str, **parameters: Any) -> Response:
        """GET below /review."""
        return await self._send("GET", path, params=parameters)

    async def put(self, path: str, body: Json) -> Response:
        """PUT below /review."""
        return await self._send("PUT", path, json=body)

    async def post(self, path: str, body: Json) -> Response:
        """POST below /review."""
        return await self._send("POST", path, json=body)

    async def delete(self, path: str) -> Response:
        """DELETE below /review."""
        return await self._send("DELETE", path)

    async def queue(self, **parameters: Any) -> Json:
        """A page of the queue."""
        answer = await self.get("cases", **parameters)
        assert answer.status_code == 200, answer.text
        page: Json = answer.json()
        return page

    async def case(self, case_id: str) -> Json:
        """A case as shown."""
        answer = await self.get(f"cases/{case_id}")
        assert answer.status_code == 200, answer.text
        shown: Json = answer.json()
        return shown

    async def _send(self, method: str, path: str, **content: Any) -> Response:
        headers = {"authorization": f"Bearer {self.token}"}
        return await self.http.request(method, f"/review/{path}", headers=headers, **content)


MakePerson = Callable[..., Awaitable[Person]]


async def arrive(superuser: AsyncEngine, http: AsyncClient, **facts: Any) -> Person:
    """Somebody on the list, with a token for a week: a clinician unless told otherwise."""
    async with superuser.begin() as db:
        reviewer = await insert_person(db, **facts)
        issued = await issue_person_token(db, reviewer.name, timedelta(days=7), NOW)
    return Person(http, issued.token, reviewer)


AFFIRM: Json = {"sequence": 1, "outcome": "affirmed"}
NON_AFFIRM: Json = {
    "sequence": 1,
    "outcome": "non-affirmed",
    "rationale": "Four weeks of conservative care are not documented.",
    "resubmission_steps": "Send the notes of the physical therapy.",
    "reasons": ["0M"],
}
