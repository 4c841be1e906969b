"""Hook calls and what hangs on them, with every field filled; a test names what it is about."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.recorder import AuditRow
from wiser_fhir.priorauth.ledger import AssertionRecord, CardRecord, Feedback, HookCall
from wiser_fhir.priorauth.numbers import time_ordered_uuid

CALLED = datetime(2026, 4, 7, 15, 30, tzinfo=UTC)
SERVICE_ID = "order-sign-crd"
REQUEST = b'{"hook": "order-sign", "hookInstance": "d1577c69-dfbe-44ad-ba6d-3e05e953b2ea"}'
RESPONSE = b'{"cards":[],"systemActions":[]}'


def a_call(client_id: UUID, **changes: Any) -> HookCall:
    """An order-sign call, answered in 20 ms."""
    call = HookCall(
        id=time_ordered_uuid(),
        client_id=client_id,
        request_id=time_ordered_uuid(),
        service_id=SERVICE_ID,
        hook="order-sign",
        hook_instance=uuid4(),
        line="2.2",
        received_at=CALLED,
        answered_at=CALLED + timedelta(milliseconds=20),
        status=200,
        request=REQUEST,
        request_sha256=sha256(REQUEST + b"with its token").digest(),
        response=RESPONSE,
        fetched=2,
        token_use="used",
    )
    return replace(call, **changes)


def an_assertion(**changes: Any) -> AssertionRecord:
    """An order that needs authorization."""
    assertion = AssertionRecord(
        id=str(uuid4()),
        order="ServiceRequest/sr-1",
        coverage="Coverage/c-1",
        mbi="1EG4TE5MK73",
        situation="needs-authorization",
        service="epidural-steroid-injection",
        rules="2026-01-15",
        codes=("64483",),
        asked={"date": "2026-04-20", "state": "NJ", "performers": ["1234567893"]},
        answer={"covered": "covered", "paNeeded": "auth-needed"},
        made_at=CALLED,
        expires_on=date(2026, 7, 6),
    )
    return replace(assertion, **changes)


def a_card(**changes: Any) -> CardRecord:
    """A card with two suggestions."""
    card = CardRecord(uuid4(), "external-reference", "guideline", (uuid4(), uuid4()))
    return replace(card, **changes)


def a_feedback(card: CardRecord, **changes: Any) -> Feedback:
    """The first suggestion was taken."""
    feedback = Feedback(card.uuid, "accepted", card.suggestions[:1], None, None, CALLED)
    return replace(feedback, **changes)


def an_audit(organization_id: UUID, **changes: Any) -> AuditRow:
    """The audit row of a hook call."""
    row = AuditRow(
        request_id=time_ordered_uuid(),
        action="hook.order-sign",
        outcome="answered",
        organization_id=organization_id,
        patient=b"\1" * 32,
        detail={"orders": 1},
    )
    return replace(row, **changes)


async def insert_client(superuser: AsyncEngine, organization_id: UUID) -> UUID:
    """A client of the organization, committed; its id."""
    client_id = time_ordered_uuid()
    async with superuser.begin() as connection:
        await connection.execute(
            text(
                "insert into client (id, organization_id, name, scopes)"
                " values (:id, :organization_id, :name, '{}')"
            ),
            {"id": client_id, "organization_id": organization_id, "name": f"client-{client_id}"},
        )
    return client_id
