"""Claims asked about and claims that arrived, against what was decided before.

A claim that arrives is one transaction: what its numbers stand for is held, every line answered,
the units it uses are counted, and reviews are opened for what nobody has decided on. The database
counts again, so that no two claims together use more than was authorized.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import RowMapping, bindparam, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Recorder, write
from wiser_fhir.auth.principal import Principal
from wiser_fhir.clock import Clock, business_date
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.db.base import organization
from wiser_fhir.db.blind import Indexed, index_of
from wiser_fhir.db.bodies import open_body, sealed
from wiser_fhir.db.claims import claim as claim_table
from wiser_fhir.db.claims import claim_line
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.sealed import CLAIM
from wiser_fhir.db.vault import data_key
from wiser_fhir.errors import Conflict, Forbidden
from wiser_fhir.priorauth.claim import (
    Authorization,
    AuthorizedItem,
    Claim,
    LineAnswer,
    LineStatus,
)
from wiser_fhir.priorauth.claim_check import check_claim
from wiser_fhir.priorauth.models import (
    CaseStatus,
    ItemStatus,
    Party,
    PartyRole,
    Site,
    SiteKind,
    UtnState,
)
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.prepayment import OpenedReview, open_reviews, planned_reviews
from wiser_fhir.priorauth.registry import Registry
from wiser_fhir.priorauth.rules import can_be_utn

_MAC = "mac"

_AUTHORIZATIONS = text("""
select cast(gate.claim_authorizations(:member, :provider, cast(:numbers as text[]), :hold,
    :request_id, :client_id, :patient) as text)
""").bindparams(bindparam("member", type_=Indexed()))

_USE_UNITS = text("""
select gate.use_units(:number, :sequence, :claim_id, :line, :units, :at, :request_id, :client_id,
    :patient)
""")

_TURN = text("select pg_advisory_xact_lock(:turn)")


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks, and the id of the request in log and audit."""

    principal: Principal
    request_id: UUID

    @property
    def organization_id(self) -> UUID:
        """The organization that it speaks for."""
        return self.principal.organization_id


@dataclass(frozen=True, slots=True)
class ArrivedClaim:
    """A claim as a MAC sends it. `number` is the MAC's own, `body` the bytes received."""

    number: str
    body: bytes
    claim: Claim


@dataclass(frozen=True, slots=True)
class ClaimAnswer:
    """What is said of a claim. `id` is None of one that was only asked about."""

    id: UUID | None
    lines: tuple[LineAnswer, ...]
    reviews: tuple[OpenedReview, ...] = ()


Render = Callable[[ClaimAnswer], bytes]


@dataclass(frozen=True)
class ClaimService:
    """What can be asked about claims, and what becomes of one that arrived."""

    engine: AsyncEngine
    catalogue: Catalogue
    registry: Registry
    recorder: Recorder
    clock: Clock

    async def check(self, asking: Asking, claim: Claim) -> ClaimAnswer:
        """What would be said of a claim. Nothing is recorded but that it was asked.

        Raises Unavailable.
        """
        now = self.clock()
        async with transaction(self.engine, asking.organization_id) as db:
            found = await self._authorizations(db, asking, claim, hold=False)
            answer = ClaimAnswer(None, self._checked(claim, found, now))
            await write(db, self._audit(asking, "claim.check", _outcome(answer), claim, None))
        return answer

    async def record(self, asking: Asking, arrived: ArrivedClaim, render: Render) -> bytes:
        """Keep a claim that arrived at a MAC and answer it; the same bytes again change nothing.

        Raises Forbidden for anybody but a MAC, Conflict where the number came with other bytes,
        Unavailable.
        """
        now = self.clock()
        async with transaction(self.engine, asking.organization_id) as db:
            await require_mac(db, asking.organization_id)
            await db.execute(_TURN, {"turn": _turn(asking.organization_id, arrived.number)})
            earlier = await _answered(db, arrived.number)
            if earlier is not None:
                return await self._replayed(db, asking, arrived, earlier)
            found = await self._authorizations(db, asking, arrived.claim, hold=True)
            lines = self._checked(arrived.claim, found, now)
            timeframes = self.catalogue.process.timeframes
            reviews = planned_reviews(lines, business_date(now), timeframes)
            answer = ClaimAnswer(time_ordered_uuid(), lines, reviews)
            body = render(answer)
            await self._keep(db, asking, arrived, answer, body, now)
            await open_reviews(db, asking.organization_id, answer.id, reviews, now)
        return body

    def _checked(
        self, claim: Claim, found: Sequence[Authorization], now: datetime
    ) -> tuple[LineAnswer, ...]:
        return check_claim(claim, found, self.catalogue, self.registry, business_date(now))

    async def _authorizations(
        self, db: AsyncConnection, asking: Asking, claim: Claim, *, hold: bool
    ) -> list[Authorization]:
        shape = self.catalogue.process.utn
        values = {
            "member": index_of(db).of(claim.mbi),
            "provider": claim.provider_npi,
            "numbers": [number for number in claim.numbers if can_be_utn(number, shape)],
            "hold": hold,
            **self._known_by(asking, claim),
        }
        told: str = (await db.execute(_AUTHORIZATIONS, values)).scalar_one()
        return [_authorization(each) for each in orjson.loads(told)]

    def _known_by(self, asking: Asking, claim: Claim) -> dict[str, Any]:
        return {
            "request_id": asking.request_id,
            "client_id": asking.principal.client_id,
            "patient": self.recorder.patient(claim.mbi),
        }

    async def _replayed(
        self, db: AsyncConnection, asking: Asking, arrived: ArrivedClaim, earlier: RowMapping
    ) -> bytes:
        if earlier["request_sha256"] != sha256(arrived.body).digest():
            raise Conflict("A claim of this number came before with other content.")
        row = self._audit(asking, "claim.record", "replayed", arrived.claim, earlier["id"])
        await write(db, row)
        place = ("claim", "answer", earlier["id"])
        return await open_body(db, asking.organization_id, earlier["answer"], *place)

    async def _keep(
        self,
        db: AsyncConnection,
        asking: Asking,
        arrived: ArrivedClaim,
        answer: ClaimAnswer,
        body: bytes,
        now: datetime,
    ) -> None:
        key = await data_key(db, asking.organization_id)
        row = {
            "organization_id": asking.organization_id,
            "id": answer.id,
            "claim_number": arrived.number,
            "client_id": asking.principal.client_id,
            "mbi": index_of(db).of(arrived.claim.mbi),
            "sealed_member": arrived.claim.mbi,
            "provider_npi": arrived.claim.provider_npi,
            "state": arrived.claim.state,
            "received_at": now,
            "request": await sealed(key, arrived.body, "claim", "request", answer.id),
            "request_sha256": sha256(arrived.body).digest(),
            "answer": await sealed(key, body, "claim", "answer", answer.id),
        }
        await db.execute(insert(claim_table).values(CLAIM.seal(key, row)))
        await db.execute(insert(claim_line), _lines(asking, arrived.claim, answer))
        uses = list(self._uses(asking, arrived.claim, answer, now))
        if uses:
            await db.execute(_USE_UNITS, uses)
        outcome = _outcome(answer)
        await write(db, self._audit(asking, "claim.record", outcome, arrived.claim, answer.id))

    def _uses(
        self, asking: Asking, claim: Claim, answer: ClaimAnswer, now: datetime
    ) -> Iterable[dict[str, Any]]:
        for line in answer.lines:
            for use in line.uses:
                yield {
                    "number": use.number,
                    "sequence": use.sequence,
                    "claim_id": answer.id,
                    "line": line.line,
                    "units": use.units,
                    "at": now,
                    **self._known_by(asking, claim),
                }

    def _audit(
        self, asking: Asking, action: str, outcome: str, claim: Claim, claim_id: UUID | None
    ) -> AuditRow:
        return AuditRow(
            request_id=asking.request_id,
            action=action,
            outcome=outcome,
            organization_id=asking.organization_id,
            client_id=asking.principal.client_id,
            object_kind=None if claim_id is None else "claim",
            object_id=None if claim_id is None else str(claim_id),
            patient=self.recorder.patient(claim.mbi),
            detail={"lines": len(claim.lines)},
        )


async def require_mac(db: AsyncConnection, organization_id: UUID) -> None:
    """Raises Forbidden for an organization that is no MAC."""
    kind = select(organization.c.kind).where(organization.c.id == organization_id)
    if await db.scalar(kind) != _MAC:
        raise Forbidden("This is for a Medicare administrative contractor.")


def _turn(organization_id: UUID, number: str) -> int:
    """The lock of one claim number, as a signed 64-bit number."""
    digest = sha256(organization_id.bytes + number.encode()).digest()
    return int.from_bytes(digest[:8], signed=True)


async def _answered(db: AsyncConnection, number: str) -> RowMapping | None:
    query = select(claim_table.c.id, claim_table.c.request_sha256, claim_table.c.answer).where(
        claim_table.c.claim_number == number
    )
    return (await db.execute(query)).mappings().one_or_none()


def _outcome(answer: ClaimAnswer) -> str:
    """One word for the trail: whether all lines are covered, some, or none."""
    covered = [line.status is LineStatus.COVERED for line in answer.lines]
    if all(covered):
        return "covered"
    return "covered-in-part" if any(covered) else "not-covered"


def _lines(asking: Asking, claim: Claim, answer: ClaimAnswer) -> list[dict[str, Any]]:
    return [
        {
            "organization_id": asking.organization_id,
            "claim_id": answer.id,
            "number": line.number,
            "code": line.code,
            "modifiers": list(line.modifiers),
            "revenue_code": line.revenue_code,
            "units": line.units,
            "first_day": line.first_day,
            "last_day": line.last_day,
            "site_kind": line.site.kind,
            "site_code": line.site.code,
            "utn": line.utn,
            "status": said.status,
            "service": said.service,
        }
        for line, said in zip(claim.lines, answer.lines, strict=True)
    ]


def _authorization(told: Mapping[str, Any]) -> Authorization:
    """One authorization as the gate tells it."""
    return Authorization(
        organization_id=UUID(told["organization_id"]),
        case_id=UUID(told["case_id"]),
        revision=told["revision"],
        number=told["number"],
        state=UtnState(told["state"]),
        case_status=CaseStatus(told["case_status"]),
        service=told["service"],
        valid_from=_day(told["valid_from"]),
        valid_until=_day(told["valid_until"]),
        parties=tuple(Party(PartyRole(p["role"]), npi=p["npi"]) for p in told["parties"]),
        items=tuple(_item(item) for item in told["items"]),
        newer=told["newer"],
    )


def _item(told: Mapping[str, Any]) -> AuthorizedItem:
    kind, quantity, outcome = told["site_kind"], told["quantity"], told["outcome"]
    return AuthorizedItem(
        sequence=told["sequence"],
        code=told["code"],
        status=ItemStatus(told["status"]),
        affirmed=None if outcome is None else outcome == "affirmed",
        quantity=None if quantity is None else Decimal(quantity),
        first_day=_day(told["first_day"]),
        last_day=_day(told["last_day"]),
        site=None if kind is None else Site(SiteKind(kind), told["site_code"]),
        used=Decimal(told["used"]),
    )


def _day(told: str | None) -> date | None:
    return None if told is None else date.fromisoformat(told)
