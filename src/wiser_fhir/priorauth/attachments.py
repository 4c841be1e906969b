"""Taking in what is attached to requests, and reading it back once it is clear.

Whatever comes is quarantined. It is matched to the sender's own request by number and member; what
finds none is held until the request comes. Nobody learns more by it than that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Recorder, write
from wiser_fhir.coverage.requested import Code
from wiser_fhir.db.attachments import attachment, attachment_delivery
from wiser_fhir.db.base import case_item
from wiser_fhir.db.blind import index_of
from wiser_fhir.db.bodies import open_body, sealed
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.sealed import DELIVERY
from wiser_fhir.db.vault import DataKey, data_key
from wiser_fhir.errors import Conflict, NotFound
from wiser_fhir.priorauth.attached import (
    AttachmentFacts,
    AttachmentKind,
    AttachmentState,
    AttachTo,
    Received,
)
from wiser_fhir.priorauth.attachment_rows import PreparedDelivery
from wiser_fhir.priorauth.held import LAPSED, check_room
from wiser_fhir.priorauth.keeping import Actor, CaseChange, note
from wiser_fhir.priorauth.models import CaseStatus, PriorAuthorization
from wiser_fhir.priorauth.repository import Cases
from wiser_fhir.priorauth.sealed_rows import number_of_delivery
from wiser_fhir.priorauth.service import Caller

RECEIVED = "attachment-received"
_MATCHED_AT_ONCE = 200

# A number matches by any trace the request and its updates came under, by our reference, or by the
# number of one thing asked for, which is the reference with a counter. A dismissed request takes
# nothing: the corrected one is a request of its own.
_MATCH = text(r"""
select d.id, found.id as case_id, d.sealed_member
from attachment_delivery d cross join lateral (
    select c.id from prior_auth_case c
    where c.organization_id = d.organization_id and c.mbi = d.member and c.status <> 'dismissed'
        and (c.reference = d.reference
            or c.reference = regexp_replace(d.tracking_value, '^(R[0-9]{14})-[0-9]{1,6}$', '\1')
            or exists (select from submission s
                where s.organization_id = c.organization_id and s.case_id = c.id
                    and s.trace_value = d.tracking_value))
    order by (c.reference = d.reference) is true desc, (c.status = 'in-review') desc,
        c.received_at desc, c.id desc
    limit 1) found
where d.organization_id = :organization_id and d.case_id is null and d.lapsed_at is null
    and d.attach_to = 'preauthorization' and (cast(:delivery_id as uuid) is null
        or d.id = :delivery_id)
order by d.received_at, d.id limit :at_most
for update of d skip locked
""")


class Standing(StrEnum):
    """What became of a delivery.

    HELD: no request of the sender's fits yet. MATCHED: it is with a request in review. CLOSED: with
    one that is decided or cancelled. FOR_CLAIM: kept for the review of a claim.
    """

    HELD = "held"
    MATCHED = "matched"
    CLOSED = "closed"
    FOR_CLAIM = "for-claim"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the sender is told of a call, the first time and again: how it stands now.

    `lines` are those of the request it is matched to, by their sequences; None without one.
    """

    standing: Standing
    states: tuple[AttachmentState, ...]
    final: bool
    lines: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class AttachmentService:
    """The way in for attachments."""

    engine: AsyncEngine
    recorder: Recorder

    async def receive(self, caller: Caller, call: PreparedDelivery) -> Receipt:
        """Keep what a call brought; the same call again changes nothing.

        Raises ProfileViolation where no more is held, Unavailable.
        Source: CDex 2.1.0, submit-attachment (before, with or after the request; CONF-022).
        """
        async with transaction(self.engine, caller.organization_id) as db:
            delivery_id = await _kept(db, call)
            outcome = "received"
            if delivery_id is None:
                outcome = "replayed"
                delivery_id = await _known(db, call)
            else:
                actor = Actor(caller.request_id, client_id=caller.principal.client_id)
                change = received_change(actor, call.delivery["received_at"])
                found = await matched(
                    db, caller.organization_id, change, self.recorder, delivery_id
                )
                if not found and call.delivery["attach_to"] == AttachTo.PREAUTHORIZATION:
                    await check_room(db, caller.organization_id)
            receipt = await _receipt(db, delivery_id, call.identities)
            audit = AuditRow(
                request_id=caller.request_id,
                action="attachment.submit",
                outcome=outcome,
                organization_id=caller.organization_id,
                client_id=caller.principal.client_id,
                object_kind="attachment-delivery",
                object_id=str(delivery_id),
                patient=self.recorder.patient(call.delivery["sealed_member"]),
                detail={"standing": receipt.standing, "attachments": len(receipt.states)},
            )
            await write(db, audit)
        return receipt


def received_change(actor: Actor, at: datetime) -> CaseChange:
    """What the history says of attachments that have come. Their provider is told nothing new."""
    return CaseChange(
        at=at,
        actor=actor,
        event=RECEIVED,
        action="attachment.match",
        outcome="matched",
        told=False,
    )


async def matched(
    db: AsyncConnection,
    organization_id: UUID,
    change: CaseChange,
    recorder: Recorder,
    delivery_id: UUID | None = None,
) -> int:
    """Bring deliveries to the requests that they are for: one, or whatever is held. How many."""
    values = {
        "organization_id": organization_id,
        "delivery_id": delivery_id,
        "at_most": _MATCHED_AT_ONCE,
    }
    found = (await db.execute(_MATCH, values)).mappings().all()
    key = await data_key(db, organization_id)
    for row in found:
        await db.execute(
            attachment_delivery.update()
            .where(attachment_delivery.c.id == row["id"])
            .values(case_id=row["case_id"], matched_at=change.at)
        )
        (stored,) = await Cases(db).load([row["case_id"]])
        patient = recorder.patient(number_of_delivery(row, key))
        await note(db, stored.case, replace(change, patient=patient))
    return len(found)


@dataclass(frozen=True, slots=True)
class Content:
    """A clear attachment: its bytes, and what they are."""

    media_type: str
    body: bytes
    facts: AttachmentFacts


@dataclass(frozen=True, slots=True)
class Attachments:
    """Attachments read inside a transaction of one organization. Never commits."""

    connection: AsyncConnection

    async def of_case(self, case_id: UUID) -> list[AttachmentFacts]:
        """Everything attached to a case, the first received first."""
        query = _FACTS.where(attachment_delivery.c.case_id == case_id)
        rows = (await self.connection.execute(query)).mappings()
        return [_facts(row) for row in rows]

    async def content(self, attachment_id: UUID, *, case_id: UUID | None) -> Content:
        """A clear attachment of a case; without `case_id` one that came for a claim.

        Raises NotFound, and Conflict while it is quarantined or once it was refused.
        """
        mine = (
            attachment_delivery.c.case_id == case_id
            if case_id is not None
            else attachment_delivery.c.attach_to == AttachTo.CLAIM
        )
        query = _FACTS.add_columns(attachment.c.organization_id, attachment.c.content).where(
            attachment.c.id == attachment_id, mine
        )
        row = (await self.connection.execute(query)).mappings().one_or_none()
        if row is None:
            raise NotFound("attachment")
        facts = _facts(row)
        if facts.state is AttachmentState.QUARANTINED:
            raise Conflict("The attachment is quarantined: no scanner has cleared it yet.")
        if facts.state is AttachmentState.REFUSED:
            raise Conflict("The attachment was refused by the scanner and is not kept.")
        place = ("attachment", "content", attachment_id)
        body = await open_body(self.connection, row["organization_id"], row["content"], *place)
        return Content(facts.media_type, body, facts)

    async def received(self, case_id: UUID) -> tuple[list[Received], datetime | None]:
        """What came for a case, and when its sender said that nothing more will follow.

        Only the last call can say that: whoever sends more after a final call has taken it back.
        """
        of_case = attachment_delivery.c.case_id == case_id
        last = (await self.connection.execute(_LAST.where(of_case))).one_or_none()
        query = select(case_item.c.sequence).where(case_item.c.case_id == case_id)
        lines = [str(each) for each in (await self.connection.execute(query)).scalars()]
        facts = await self.connection.execute(_FACTS.where(of_case))
        received = [
            Received(
                kind=AttachmentKind(row["kind"]),
                state=AttachmentState(row["state"]),
                checked_at=row["checked_at"],
                code=row["code"],
                lines=tuple(row["lines"]),
                questionnaire=row["questionnaire"],
                response_status=row["response_status"],
            ).among(lines)
            for row in facts.mappings()
        ]
        return received, last.received_at if last is not None and last.final else None


_LAST = (
    select(attachment_delivery.c.received_at, attachment_delivery.c.final)
    .order_by(attachment_delivery.c.received_at.desc(), attachment_delivery.c.id.desc())
    .limit(1)
)
_FACTS = (
    select(
        attachment_delivery.c.received_at,
        *(
            attachment.c[name]
            for name in (
                *("id", "kind", "state", "resource_type", "media_type", "size", "sha256", "lines"),
                *("code_system", "code", "questionnaire", "response_status", "finding"),
                "checked_at",
            )
        ),
    )
    .join(
        attachment_delivery,
        (attachment_delivery.c.organization_id == attachment.c.organization_id)
        & (attachment_delivery.c.id == attachment.c.delivery_id),
    )
    .order_by(attachment_delivery.c.received_at, attachment.c.id)
)


def _facts(row: RowMapping) -> AttachmentFacts:
    return AttachmentFacts(
        id=row["id"],
        received_at=row["received_at"],
        kind=AttachmentKind(row["kind"]),
        state=AttachmentState(row["state"]),
        resource_type=row["resource_type"],
        media_type=row["media_type"],
        size=row["size"],
        sha256=row["sha256"],
        code=Code(row["code_system"], row["code"]) if row["code"] else None,
        lines=tuple(row["lines"]),
        questionnaire=row["questionnaire"],
        finding=row["finding"],
    )


async def _kept(db: AsyncConnection, call: PreparedDelivery) -> UUID | None:
    """Write a delivery and what of it is new. None where the same call came before."""
    key = await data_key(db, call.delivery["organization_id"])
    row = DELIVERY.seal(key, call.delivery)
    row["member"] = index_of(db).of(call.delivery["sealed_member"])
    statement = insert(attachment_delivery).values(row).on_conflict_do_nothing()
    result = await db.execute(statement.returning(attachment_delivery.c.id))
    fresh: UUID | None = result.scalar_one_or_none()
    if fresh is not None:
        rows = [await _sealed_row(key, row) for row in call.attachments]
        await db.execute(insert(attachment).on_conflict_do_nothing(), rows)
    return fresh


async def _sealed_row(key: DataKey, row: Mapping[str, Any]) -> dict[str, Any]:
    files = {
        name: await sealed(key, row[name], "attachment", name, row["id"])
        for name in ("resource", "content")
        if row[name] is not None
    }
    return {**row, **files}


async def _known(db: AsyncConnection, call: PreparedDelivery) -> UUID:
    table = attachment_delivery.c
    same = (table.fingerprint == call.delivery["fingerprint"]) & table.lapsed_at.is_(None)
    known: UUID = (await db.execute(select(attachment_delivery.c.id).where(same))).scalar_one()
    return known


async def _receipt(db: AsyncConnection, delivery_id: UUID, identities: Sequence[bytes]) -> Receipt:
    query = select(attachment_delivery).where(attachment_delivery.c.id == delivery_id)
    row = (await db.execute(query)).mappings().one()
    states = select(attachment.c.state).where(
        attachment.c.identity.in_(identities), attachment.c.state != LAPSED
    )
    found = (await db.execute(states.order_by(attachment.c.id))).scalars()
    case = None
    if row["case_id"] is not None:
        (stored,) = await Cases(db).load([row["case_id"]])
        case = stored.case
    return Receipt(
        standing=_standing(AttachTo(row["attach_to"]), case),
        states=tuple(AttachmentState(state) for state in found),
        final=row["final"],
        lines=None if case is None else frozenset(str(item.sequence) for item in case.items),
    )


def _standing(attach_to: AttachTo, case: PriorAuthorization | None) -> Standing:
    if attach_to is AttachTo.CLAIM:
        return Standing.FOR_CLAIM
    if case is None:
        return Standing.HELD
    return Standing.MATCHED if case.status is CaseStatus.IN_REVIEW else Standing.CLOSED
