"""Reviews before payment as the MAC and those who review see them, and the recommendation.

A review is a row of the MAC whose claim it is. People look across all of them through the gate,
and then as that MAC.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import RowMapping, Select, Update, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Recorder, write
from wiser_fhir.auth.people import CLINICIAN, Reviewer
from wiser_fhir.clock import Clock, business_date
from wiser_fhir.db.attachments import attachment
from wiser_fhir.db.claims import claim, claim_line, prepayment_document, prepayment_review
from wiser_fhir.db.engine import enter, transaction
from wiser_fhir.db.sealed import REVIEW
from wiser_fhir.db.vault import data_key
from wiser_fhir.errors import Conflict, Forbidden, NotFound
from wiser_fhir.priorauth.attachments import Attachments, Content
from wiser_fhir.priorauth.claims import Asking, require_mac
from wiser_fhir.priorauth.deciders import check_signed_in
from wiser_fhir.priorauth.desk import Reviewing
from wiser_fhir.priorauth.prepayment import Recommendation, ReviewState
from wiser_fhir.priorauth.rows import Row
from wiser_fhir.priorauth.sealed_rows import number_of_claim

MOST = 100
_KIND = "prepayment review"

_WHOSE = text("select gate.prepayment_organization(:review, :request_id, :person_id)")

_QUEUE = text("""
select * from gate.prepayment_queue(:state, :after_at, :after_id, :at_most, :request_id,
    :person_id)
""")


@dataclass(frozen=True, slots=True)
class Review:
    """One review. `documents_due` is the last day for documents, `due_at` what it waits for next.

    `reported_at` is when the MAC first read how it ended.
    """

    id: UUID
    organization_id: UUID
    claim_id: UUID
    claim_number: str
    service: str
    adr_number: str
    state: ReviewState
    asked_at: datetime
    documents_due: date
    due_at: datetime
    documents_at: datetime | None
    recommendation: Recommendation | None
    rationale: str | None
    reasons: tuple[str, ...]
    ended_at: datetime | None
    reported_at: datetime | None


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A line of the claim under review."""

    number: int
    code: str
    modifiers: tuple[str, ...]
    units: Decimal
    first_day: date
    last_day: date
    site: str
    status: str


@dataclass(frozen=True, slots=True)
class ReviewDocument:
    """A file that answered the documentation request. `sender_id` is the organization it is of."""

    id: UUID
    sender_id: UUID
    received_at: datetime
    media_type: str
    size: int
    code: str | None
    state: str


@dataclass(frozen=True, slots=True)
class ReviewFile:
    """A review with all that is to be looked at. `lines` are those of its service."""

    review: Review
    mbi: str
    provider_npi: str
    lines: tuple[BilledLine, ...]
    documents: tuple[ReviewDocument, ...]


@dataclass(frozen=True, slots=True)
class QueuedReview:
    """A review as a queue shows it: nothing about the beneficiary."""

    organization_id: UUID
    id: UUID
    claim_number: str
    service: str
    adr_number: str
    state: ReviewState
    asked_at: datetime
    documents_due: date
    due_at: datetime


@dataclass(frozen=True, slots=True)
class After:
    """Where the page before ended, in the order of `due_at` and `id`."""

    due_at: datetime
    id: UUID


_START = After(datetime.min.replace(tzinfo=UTC), UUID(int=0))


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a clinician recommends and why. `reasons` are codes; a denial has at least one."""

    recommendation: Recommendation
    rationale: str
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class PrepaymentReviews:
    """What the MAC reads and people do."""

    engine: AsyncEngine
    recorder: Recorder
    clock: Clock

    async def of_mac(
        self, asking: Asking, state: ReviewState | None, after: UUID | None, at_most: int = MOST
    ) -> list[Review]:
        """A MAC's own reviews, the oldest first. Reading one that ended is its report.

        Raises Forbidden for anybody but a MAC.
        """
        query = _REVIEWS.where(claim.c.organization_id == asking.organization_id)
        if state is not None:
            query = query.where(prepayment_review.c.state == state)
        if after is not None:
            query = query.where(prepayment_review.c.id > after)
        return await self._told(asking, query.order_by(prepayment_review.c.id).limit(at_most))

    async def of_mac_by_id(self, asking: Asking, review_id: UUID) -> Review:
        """One of a MAC's own reviews. Raises NotFound, Forbidden for anybody but a MAC."""
        found = await self._told(asking, _REVIEWS.where(prepayment_review.c.id == review_id))
        if not found:
            raise NotFound(_KIND)
        return found[0]

    async def _told(self, asking: Asking, query: Select[tuple[object, ...]]) -> list[Review]:
        now = self.clock()
        async with transaction(self.engine, asking.organization_id) as db:
            await require_mac(db, asking.organization_id)
            found = [_review(row) for row in await _opened(db, query)]
            first = [each.id for each in found if each.ended_at and not each.reported_at]
            reported = (
                update(prepayment_review)
                .where(prepayment_review.c.id.in_(first), prepayment_review.c.reported_at.is_(None))
                .values(reported_at=now)
            )
            if first:
                await db.execute(reported)
            row = AuditRow(
                request_id=asking.request_id,
                action="prepayment.read",
                outcome="done",
                organization_id=asking.organization_id,
                client_id=asking.principal.client_id,
                detail={"found": len(found), "reported": len(first)},
            )
            await write(db, row)
        return found

    async def queue(
        self,
        by: Reviewing,
        state: ReviewState,
        after: After | None = None,
        at_most: int = MOST,
    ) -> list[QueuedReview]:
        """Reviews of every MAC in one state, what is due first first.

        Without those of claims that the person's own organizations recorded or bill, or they bill.
        Raises Unavailable.
        """
        start = after or _START
        values = {
            "state": state,
            "after_at": start.due_at,
            "after_id": start.id,
            "at_most": at_most,
            "request_id": by.request_id,
            "person_id": by.reviewer.person_id,
        }
        async with transaction(self.engine) as db:
            rows = (await db.execute(_QUEUE, values)).mappings().all()
        return [QueuedReview(**{**row, "state": ReviewState(row["state"])}) for row in rows]

    async def by_id(self, by: Reviewing, review_id: UUID) -> ReviewFile:
        """A review with the lines it is about and the documents that came.

        Raises NotFound, also where the person belongs to who bills.
        """
        owner = await self._whose(by, review_id)
        async with transaction(self.engine, owner) as db:
            (row,) = await _opened(db, _REVIEWS.where(prepayment_review.c.id == review_id))
            review = _review(row)
            lines = await _lines(db, review)
            documents = await _documents(db, review_id)
            await enter(db, owner)
            await write(db, self._act(by, row, "prepayment.open", "done"))
        return ReviewFile(review, row["mbi"], row["provider_npi"], lines, documents)

    async def document(self, by: Reviewing, review_id: UUID, attachment_id: UUID) -> Content:
        """A clear file that answered the documentation request of a review.

        Raises NotFound as `by_id`, and Conflict while the file is quarantined or once it was
        refused.
        """
        owner = await self._whose(by, review_id)
        async with transaction(self.engine, owner) as db:
            (row,) = await _opened(db, _REVIEWS.where(prepayment_review.c.id == review_id))
            documents = await _documents(db, review_id)
            sender = next((d.sender_id for d in documents if d.id == attachment_id), None)
            if sender is None:
                raise NotFound("document")
            await enter(db, sender)
            content = await Attachments(db).content(attachment_id, case_id=None)
            await enter(db, owner)
            await write(db, self._act(by, row, "prepayment.document", "done"))
        return content

    async def recommend(self, by: Reviewing, review_id: UUID, opinion: Opinion) -> Review:
        """End a review with a clinician's recommendation to the MAC.

        Raises NotFound, also where the person belongs to who bills; Forbidden for who is no
        clinician or has no live licence; Conflict while documents may still come, and once it has
        ended.
        Source: WISeR Operational Guide 6.0, 7.2.
        """
        now = self.clock()
        _check_clinician(by.reviewer, business_date(now))
        owner = await self._whose(by, review_id)
        held = select(prepayment_review.c.id).where(prepayment_review.c.id == review_id)
        async with transaction(self.engine, owner) as db:
            await db.execute(held.with_for_update())
            query = _REVIEWS.where(prepayment_review.c.id == review_id)
            (row,) = await _opened(db, query)
            _check_open(_review(row))
            if opinion.recommendation is Recommendation.DENY:
                check_signed_in(by.reviewer, now)
            said = {"id": review_id, "rationale": opinion.rationale}
            sealed = REVIEW.seal(await data_key(db, owner), said)["rationale"]
            await db.execute(_ended(review_id, by.reviewer, opinion, sealed, now))
            outcome = opinion.recommendation.value
            await write(db, self._act(by, row, "prepayment.recommend", outcome))
            (ended,) = await _opened(db, query)
        return _review(ended)

    async def _whose(self, by: Reviewing, review_id: UUID) -> UUID:
        values = {
            "review": review_id,
            "request_id": by.request_id,
            "person_id": by.reviewer.person_id,
        }
        async with transaction(self.engine) as db:
            owner: UUID | None = await db.scalar(_WHOSE, values)
        if owner is None:
            raise NotFound(_KIND)
        return owner

    def _act(self, by: Reviewing, row: Row, action: str, outcome: str) -> AuditRow:
        return AuditRow(
            request_id=by.request_id,
            action=action,
            outcome=outcome,
            organization_id=row["organization_id"],
            person_id=by.reviewer.person_id,
            object_kind="prepayment-review",
            object_id=str(row["id"]),
            patient=self.recorder.patient(row["mbi"]),
        )


_REVIEWS = select(
    prepayment_review, claim.c.claim_number, claim.c.sealed_member, claim.c.provider_npi
).join(
    claim,
    (claim.c.organization_id == prepayment_review.c.organization_id)
    & (claim.c.id == prepayment_review.c.claim_id),
)


async def _opened(db: AsyncConnection, query: Select[tuple[object, ...]]) -> list[Row]:
    """Reviews of one organization as rows, with the rationale and the claim's `mbi` opened."""
    rows = (await db.execute(query)).mappings().all()
    if not rows:
        return []
    key = await data_key(db, rows[0]["organization_id"])
    return [
        REVIEW.open(key, row) | {"mbi": number_of_claim(row["claim_id"], row["sealed_member"], key)}
        for row in rows
    ]


def _review(row: Row) -> Review:
    recommendation = row["recommendation"]
    return Review(
        id=row["id"],
        organization_id=row["organization_id"],
        claim_id=row["claim_id"],
        claim_number=row["claim_number"],
        service=row["service"],
        adr_number=row["adr_number"],
        state=ReviewState(row["state"]),
        asked_at=row["asked_at"],
        documents_due=row["documents_due"],
        due_at=row["due_at"],
        documents_at=row["documents_at"],
        recommendation=None if recommendation is None else Recommendation(recommendation),
        rationale=row["rationale"],
        reasons=tuple(row["reasons"]),
        ended_at=row["ended_at"],
        reported_at=row["reported_at"],
    )


async def _lines(db: AsyncConnection, review: Review) -> tuple[BilledLine, ...]:
    query = (
        select(claim_line)
        .where(claim_line.c.claim_id == review.claim_id, claim_line.c.service == review.service)
        .order_by(claim_line.c.number)
    )
    return tuple(
        BilledLine(
            number=row["number"],
            code=row["code"],
            modifiers=tuple(row["modifiers"]),
            units=row["units"],
            first_day=row["first_day"],
            last_day=row["last_day"],
            site=row["site_code"],
            status=row["status"],
        )
        for row in (await db.execute(query)).mappings()
    )


async def _documents(db: AsyncConnection, review_id: UUID) -> tuple[ReviewDocument, ...]:
    """The files of each delivery, seen as its sender sees them."""
    query = (
        select(prepayment_document)
        .where(prepayment_document.c.review_id == review_id)
        .order_by(prepayment_document.c.received_at, prepayment_document.c.delivery_id)
    )
    found: list[ReviewDocument] = []
    for delivery in (await db.execute(query)).mappings().all():
        await enter(db, delivery["sender_id"])
        files = (
            select(*(attachment.c[name] for name in _OF_A_FILE))
            .where(attachment.c.delivery_id == delivery["delivery_id"])
            .order_by(attachment.c.id)
        )
        rows = (await db.execute(files)).mappings().all()
        found += [_document(row, delivery["received_at"]) for row in rows]
    return tuple(found)


_OF_A_FILE = ("id", "organization_id", "media_type", "size", "code", "state")


def _document(row: RowMapping, received_at: datetime) -> ReviewDocument:
    return ReviewDocument(
        id=row["id"],
        sender_id=row["organization_id"],
        received_at=received_at,
        media_type=row["media_type"],
        size=row["size"],
        code=row["code"],
        state=row["state"],
    )


def _check_clinician(reviewer: Reviewer, on: date) -> None:
    if not reviewer.may(CLINICIAN):
        raise Forbidden("Only a clinician recommends.")
    if not reviewer.licensed(on):
        raise Forbidden("The licence has ended.")


def _check_open(review: Review) -> None:
    if review.ended_at is not None:
        raise Conflict("The review has ended.")
    if review.state is not ReviewState.IN_REVIEW:
        raise Conflict("Documents may still come; the review begins with the last of them.")


def _ended(
    review_id: UUID, reviewer: Reviewer, opinion: Opinion, rationale: bytes, now: datetime
) -> Update:
    return (
        update(prepayment_review)
        .where(prepayment_review.c.id == review_id)
        .values(
            state=ReviewState.RECOMMENDED,
            recommendation=opinion.recommendation,
            rationale=rationale,
            reasons=list(opinion.reasons),
            clinician_id=reviewer.person_id,
            ended_at=now,
        )
    )
