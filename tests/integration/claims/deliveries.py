"""Documents that came for a claim, as the attachment door keeps them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.claims.door import NOW
from tests.vaults import A_SEALED, INDEX
from wiser_fhir.db.attachments import attachment, attachment_delivery
from wiser_fhir.db.base import client
from wiser_fhir.db.bodies import seal_body
from wiser_fhir.priorauth.numbers import time_ordered_uuid

MBI = "1EG4TE5MK73"
_SCANNED = {"checked_at": NOW, "scanner": "test"}
_STATES: dict[str, dict[str, Any]] = {
    "quarantined": {},
    "clear": _SCANNED,
    "refused": {"finding": "a virus", **_SCANNED},
}


async def deliver(
    superuser: AsyncEngine,
    organization_id: UUID,
    adr_number: str,
    *states: str,
    at: datetime = NOW,
    final: bool = True,
    member: str = MBI,
    **changes: Any,
) -> None:
    """One delivery of files, each in its state: one that is clear unless told otherwise."""
    sender, delivery_id = time_ordered_uuid(), time_ordered_uuid()
    key = {"organization_id": organization_id}
    delivery = {
        "id": delivery_id,
        "fingerprint": delivery_id.bytes * 2,
        "client_id": sender,
        "line": "2.2",
        "received_at": at,
        "attach_to": "claim",
        "tracking_value": adr_number,
        "member": INDEX.of(member),
        "sealed_member": A_SEALED,
        "named": {},
        "service_date": at.date(),
        "final": final,
    }
    async with superuser.begin() as db:
        registered = {"id": sender, "name": str(sender), "scopes": []}
        await db.execute(insert(client).values(key | registered))
        await db.execute(insert(attachment_delivery).values(key | delivery | changes))
        for state in states or ("clear",):
            file = _file(delivery_id, state)
            if state != "refused":
                place = ("attachment", "content", file["id"])
                file["content"] = await seal_body(db, organization_id, b"%PDF", *place)
            await db.execute(insert(attachment).values(key | file))


def _file(delivery_id: UUID, state: str) -> dict[str, Any]:
    file_id = time_ordered_uuid()
    return {
        "id": file_id,
        "delivery_id": delivery_id,
        "identity": file_id.bytes * 2,
        "lines": [],
        "kind": "file",
        "resource_type": "DocumentReference",
        "media_type": "application/pdf",
        "size": 4,
        "sha256": bytes(32),
        "state": state,
        **_STATES[state],
    }
