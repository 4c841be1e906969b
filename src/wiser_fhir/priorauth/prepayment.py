"""Reviews before payment: claims for services of the model on which nobody has decided.

Documents are asked for and may come until the end of the 45th day. With all of them there, a
licensed clinician recommends to pay or to deny within three days; without any the MAC is told that
nobody answered, which is no determination. The claim is the MAC's to pay or deny.

Source: WISeR Operational Guide 6.0, 7.2.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.clock import EASTERN
from wiser_fhir.coverage.process import Timeframes
from wiser_fhir.db.claims import prepayment_review
from wiser_fhir.db.life import letter
from wiser_fhir.priorauth.claim import UNDECIDED, LineAnswer
from wiser_fhir.priorauth.numbers import time_ordered_uuid

_DIGITS = 14
LETTER = "documentation-request"


class ReviewState(StrEnum):
    """Where a review before payment stands."""

    DOCUMENTS_ASKED = "documents-asked"
    IN_REVIEW = "in-review"
    RECOMMENDED = "recommended"
    NO_RESPONSE = "no-response"


class Recommendation(StrEnum):
    """What is recommended to the MAC."""

    PAY = "pay"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class OpenedReview:
    """A review of the lines of one service. `documents_due` is the last day for documents."""

    id: UUID
    adr_number: str
    service: str
    lines: tuple[int, ...]
    documents_due: date


def new_adr_number() -> str:
    """The number of a documentation request, which answers to it carry: unguessable."""
    return f"ADR{secrets.randbelow(10**_DIGITS):0{_DIGITS}d}"


def planned_reviews(
    answers: Sequence[LineAnswer], on: date, timeframes: Timeframes
) -> tuple[OpenedReview, ...]:
    """One review for each service that a line without any decision is for. `on` is its first day.

    Source: WISeR Operational Guide 6.0, 7.2 and quick reference (45 days).
    """
    lines: dict[str, list[int]] = {}
    for answer in answers:
        if answer.status in UNDECIDED and answer.service is not None:
            lines.setdefault(answer.service, []).append(answer.line)
    due = on + timedelta(days=timeframes.documents_days)
    return tuple(
        OpenedReview(time_ordered_uuid(), new_adr_number(), service, tuple(numbers), due)
        for service, numbers in lines.items()
    )


def recommend_by(documents_at: datetime, timeframes: Timeframes) -> datetime:
    """The instant by which a recommendation is due: the same Eastern wall time days later.

    Source: WISeR Operational Guide 6.0, 7.2.
    """
    days = timedelta(days=timeframes.prepayment_decision_days)
    return (documents_at.astimezone(EASTERN) + days).replace(fold=0).astimezone(UTC)


def end_of(day: date) -> datetime:
    """The instant at which an Eastern day ends, in UTC."""
    return datetime.combine(day + timedelta(days=1), time(), EASTERN).astimezone(UTC)


async def open_reviews(
    db: AsyncConnection,
    organization_id: UUID,
    claim_id: UUID | None,
    reviews: Sequence[OpenedReview],
    at: datetime,
) -> None:
    """Write reviews and the letters that ask for documents, in the claim's own transaction.

    The letter goes to whoever billed. Source: WISeR Operational Guide 6.0, 7.2.
    """
    for review in reviews:
        key = {"organization_id": organization_id}
        await db.execute(insert(prepayment_review).values(key | _row(claim_id, review, at)))
        sent = {"revision": 1, "kind": LETTER, "recipient": "provider", "created_at": at}
        ids = {"id": time_ordered_uuid(), "review_id": review.id}
        await db.execute(insert(letter).values(key | ids | sent))


def _row(claim_id: UUID | None, review: OpenedReview, at: datetime) -> dict[str, Any]:
    return {
        "id": review.id,
        "claim_id": claim_id,
        "service": review.service,
        "adr_number": review.adr_number,
        "asked_at": at,
        "documents_due": review.documents_due,
        "due_at": end_of(review.documents_due),
    }
