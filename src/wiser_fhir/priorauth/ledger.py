"""The ledger of CRD: what was asked, what was answered, and what became of it. Never changed.

Source: CRD 2.2.1 §found-11, §found-37, §found-38, §resp-32, §resp-46.
"""

from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Detail, write
from wiser_fhir.db.base import card_feedback, hook_call, hook_card, message
from wiser_fhir.db.bodies import seal_body, sealed
from wiser_fhir.db.engine import raw_connection, raw_transaction, transaction
from wiser_fhir.db.sealed import ASSERTION
from wiser_fhir.db.vault import DataKey, data_key
from wiser_fhir.errors import NotFound
from wiser_fhir.priorauth.numbers import time_ordered_uuid

_RECORD = (
    "select record_hook_call($1, $2::text::jsonb, $3, $4, $5, $6, $7::text::jsonb,"
    " $8::text::jsonb, $9, $10::text::jsonb)"
)
_ASSERTIONS = """
select id, order_reference, coverage_reference, situation, service, rules, codes, made_at,
    expires_on, told
from coverage_assertion where organization_id = $1 and id = any($2::text[])
"""
_BODIES = ("request", "request_sha256", "response")


@dataclass(frozen=True, slots=True)
class AssertionRecord:
    """One answer about one order, by its coverage-assertion-id.

    `order` and `coverage` are references on the EHR's side. `asked` are the facts it rests on
    (`facts_of`), `answer` what was told. It holds to `expires_on`, where a day is known.
    """

    id: str
    order: str
    coverage: str
    mbi: str | None
    situation: str
    service: str | None
    rules: str | None
    codes: tuple[str, ...]
    asked: Mapping[str, Any]
    answer: Mapping[str, Any]
    made_at: datetime
    expires_on: date | None


@dataclass(frozen=True, slots=True)
class CardRecord:
    """A card as sent, with the ids of its suggestions."""

    uuid: UUID
    type: str
    topic: str
    suggestions: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class HookCall:
    """A hook call and its answer. `request` without the EHR's token, its hash of the true bytes.

    `fetched` counts what was read from the EHR; `token_use` is used, not-used or rejected.
    Source: CRD 2.2.1, CRDMetricData.
    """

    id: UUID
    client_id: UUID
    request_id: UUID
    service_id: str
    hook: str
    hook_instance: UUID | None
    line: str
    received_at: datetime
    answered_at: datetime
    status: int
    request: bytes
    request_sha256: bytes
    response: bytes
    fetched: int
    token_use: str


@dataclass(frozen=True, slots=True)
class Feedback:
    """What became of a card: `accepted` (with the suggestions taken) or `overridden`."""

    card: UUID
    outcome: str
    accepted: tuple[UUID, ...]
    override_code: str | None
    override_system: str | None
    at: datetime

    def digest(self) -> bytes:
        """The same for the same feedback, in whatever order its suggestions stand."""
        told = asdict(self) | {"accepted": sorted(map(str, set(self.accepted)))}
        told["at"] = self.at.astimezone(UTC).isoformat()
        return sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).digest()


@dataclass(frozen=True, slots=True)
class Ledger:
    """Keeps and finds what CRD answered. Each method is one transaction."""

    engine: AsyncEngine

    async def record(
        self,
        organization_id: UUID,
        call: HookCall,
        assertions: Iterable[AssertionRecord],
        cards: Iterable[CardRecord],
        audit: AuditRow,
    ) -> None:
        """Keep a call with its answer, assertions, cards and audit row: all or nothing, one trip.

        Raises Unavailable. Source: CRD 2.2.1 §found-37.
        """
        told = {name: each for name, each in asdict(call).items() if name not in _BODIES}
        answered = sha256(call.response)
        hashes: Detail = {
            "call": str(call.id),
            "fetched": call.fetched,
            "request-sha256": call.request_sha256.hex(),
            "response-sha256": answered.hexdigest(),
        }
        audit = replace(audit, detail={**audit.detail, **hashes})
        key = await data_key(self.engine, organization_id)
        request = await sealed(key, call.request, "hook_call", "request", call.id)
        response = await sealed(key, call.response, "hook_call", "response", call.id)
        async with raw_connection(self.engine) as connection:
            await connection.execute(
                _RECORD,
                organization_id,
                _json(told),
                request,
                call.request_sha256,
                response,
                answered.digest(),
                _json([_assertion_row(each, key) for each in assertions]),
                _json([_card_row(each) for each in cards]),
                audit.patient,
                _json(_audited(audit)),
            )

    async def assertions(
        self, organization_id: UUID, ids: Sequence[str]
    ) -> Mapping[str, AssertionRecord]:
        """Those of the organization's assertions that have these ids. Raises Unavailable."""
        if not ids:
            return {}
        key = await data_key(self.engine, organization_id)
        async with raw_transaction(self.engine, organization_id) as connection:
            rows = await connection.fetch(_ASSERTIONS, organization_id, list(ids))
        return {row["id"]: _assertion(ASSERTION.open(key, row)) for row in rows}

    async def feedback(
        self,
        organization_id: UUID,
        service_id: str,
        body: bytes,
        entries: Sequence[Feedback],
        audit: AuditRow,
    ) -> None:
        """Keep what became of cards that the service showed the organization, and the body once.

        What was told before is no error and changes nothing. A comment stands in the body alone.
        Raises NotFound, Unavailable. Source: CDS Hooks, "Feedback".
        """
        async with transaction(self.engine, organization_id) as connection:
            known = await _suggestions(connection, organization_id, service_id, entries)
            for entry in entries:
                if entry.card not in known:
                    raise NotFound("card")
                if not known[entry.card].issuperset(entry.accepted):
                    raise NotFound("suggestion")
            fresh = await _keep(connection, organization_id, body, entries)
            await write(connection, audit if fresh else replace(audit, outcome="repeated"))


def _json(value: Any) -> str:
    """As JSON text. The driver's UUIDs are a class of their own, which orjson does not know."""
    return orjson.dumps(value, default=str).decode()


def _audited(audit: AuditRow) -> dict[str, Any]:
    values = audit.values()
    del values["patient"]
    return values | {"detail": orjson.Fragment(values["detail"])}


def _assertion_row(assertion: AssertionRecord, key: DataKey) -> dict[str, Any]:
    told = {
        "mbi": assertion.mbi,
        "asked": dict(assertion.asked),
        "answer": dict(assertion.answer),
    }
    sealed = ASSERTION.seal(key, {"id": assertion.id, "told": told})
    return {
        "id": assertion.id,
        "order_reference": assertion.order,
        "coverage_reference": assertion.coverage,
        "situation": assertion.situation,
        "service": assertion.service,
        "rules": assertion.rules,
        "codes": assertion.codes,
        "made_at": assertion.made_at,
        "expires_on": assertion.expires_on,
        "told": b64encode(sealed["told"]).decode(),
    }


def _card_row(card: CardRecord) -> dict[str, Any]:
    return {
        "id": card.uuid,
        "type": card.type,
        "topic": card.topic,
        "suggestions": card.suggestions,
    }


def _assertion(row: Mapping[str, Any]) -> AssertionRecord:
    return AssertionRecord(
        id=row["id"],
        order=row["order_reference"],
        coverage=row["coverage_reference"],
        mbi=row["told"]["mbi"],
        situation=row["situation"],
        service=row["service"],
        rules=row["rules"],
        codes=tuple(row["codes"]),
        asked=row["told"]["asked"],
        answer=row["told"]["answer"],
        made_at=row["made_at"],
        expires_on=row["expires_on"],
    )


async def _suggestions(
    connection: AsyncConnection,
    organization_id: UUID,
    service_id: str,
    entries: Sequence[Feedback],
) -> Mapping[UUID, frozenset[UUID]]:
    """The suggestions of those cards that the service showed the organization."""
    query = (
        select(hook_card.c.id, hook_card.c.suggestions)
        .join(
            hook_call,
            (hook_call.c.organization_id == hook_card.c.organization_id)
            & (hook_call.c.id == hook_card.c.hook_call_id),
        )
        .where(
            hook_card.c.organization_id == organization_id,
            hook_card.c.id.in_({entry.card for entry in entries}),
            hook_call.c.service_id == service_id,
        )
    )
    rows = await connection.execute(query)
    return {row.id: frozenset(row.suggestions) for row in rows}


async def _keep(
    connection: AsyncConnection, organization_id: UUID, body: bytes, entries: Sequence[Feedback]
) -> bool:
    """Write what is new, and the body beside it. Whether anything was."""
    message_id = time_ordered_uuid()
    rows = [
        {
            "organization_id": organization_id,
            "card_id": entry.card,
            "sha256": entry.digest(),
            "message_id": message_id,
            "outcome": entry.outcome,
            "accepted": list(entry.accepted),
            "override_code": entry.override_code,
            "override_system": entry.override_system,
            "at": entry.at,
        }
        for entry in entries
    ]
    written = await connection.execute(
        insert(card_feedback)
        .values(rows)
        .on_conflict_do_nothing()
        .returning(card_feedback.c.card_id)
    )
    if not written.all():
        return False
    stored = await seal_body(connection, organization_id, body, "message", "body", message_id)
    await connection.execute(
        insert(message).values(
            organization_id=organization_id,
            id=message_id,
            direction="in",
            kind="cds-feedback",
            media_type="application/json",
            body=stored,
            sha256=sha256(body).digest(),
            length=len(body),
            at=func.now(),
        )
    )
    return True
