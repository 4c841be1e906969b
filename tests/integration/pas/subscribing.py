"""A client that may be told somewhere, and what it does with its Subscriptions."""

from typing import Any
from uuid import UUID

import orjson
from httpx import Response
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from tests.bundle_values import Json
from tests.integration.pas.door import FHIR_JSON, PATHS, Client, Rows
from wiser_fhir.db.engine import transaction
from wiser_fhir.notify import outbox

HOST = "https://ehr.example"


async def may_be_told(superuser: AsyncEngine, client: Client, *hosts: str) -> None:
    """Register hosts for a client, as an operator does."""
    async with superuser.begin() as db:
        await db.execute(
            text("update client set notify_hosts = :hosts where id = :id"),
            {"hosts": list(hosts), "id": client.client_id},
        )


async def ask(client: Client, method: str, path: str, body: Json | None = None) -> Response:
    """Any request below the base path."""
    headers = {"authorization": f"Bearer {client.token}", "content-type": FHIR_JSON}
    content = None if body is None else orjson.dumps(body)
    url = f"{PATHS[client.line]}/{path}"
    return await client.http.request(method, url, content=content, headers=headers)


async def subscribed(client: Client, body: Json) -> Json:
    """A Subscription that was taken."""
    answer = await ask(client, "POST", "Subscription", body)
    assert answer.status_code == 201, answer.text
    kept: Json = answer.json()
    return kept


async def tell(
    engine: AsyncEngine, rows: Rows, client: Client, only: UUID | None = None, case: int = -1
) -> dict[str, Any]:
    """Queue the latest answer about one of the client's cases, the newest unless told otherwise."""
    found = (await rows.cases())[case]
    async with transaction(engine, client.organization_id) as db:
        await put(db, found, only)
    return found


async def put(db: AsyncConnection, case: dict[str, Any], only: UUID | None = None) -> None:
    """The same inside a transaction."""
    await outbox.put(
        db,
        case["organization_id"],
        case["id"],
        case["answer_message_id"],
        case["received_at"],
        only=only,
    )
