"""Reviews before payment at the review door: the queue, a review, and the recommendation."""

import base64
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal, Self, cast
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, model_validator

from wiser_fhir.auth.people import CLINICIAN, STAFF, VIEWERS
from wiser_fhir.priorauth.asked import sendable
from wiser_fhir.priorauth.desk import Reviewing
from wiser_fhir.priorauth.prepayment import Recommendation, ReviewState
from wiser_fhir.priorauth.prepayment_reviews import After, Opinion, PrepaymentReviews, QueuedReview
from wiser_fhir.review.person_route import AS_A_FILE, PersonRoute, for_people, reviewing

PATH = "/review/prepayment"
_MOST = 100

router = APIRouter(prefix=PATH, tags=["review"], route_class=PersonRoute)


async def _reviews(request: Request) -> PrepaymentReviews:
    return cast(PrepaymentReviews, request.app.state.prepayment)


Reviews = Annotated[PrepaymentReviews, Depends(_reviews)]
Staff = Annotated[Reviewing, reviewing(*STAFF)]
Viewer = Annotated[Reviewing, reviewing(*VIEWERS)]
Clinician = Annotated[Reviewing, reviewing(CLINICIAN)]


def _page_start(cursor: str) -> After:
    try:
        due, _, review_id = base64.urlsafe_b64decode(cursor.encode()).decode().partition(" ")
        at = datetime.fromisoformat(due)
        if at.tzinfo is not None:
            return After(at.astimezone(UTC), UUID(review_id))
    except (ValueError, OverflowError):
        pass
    raise ValueError("no cursor of this queue")


def _cursor(last: QueuedReview) -> str:
    return base64.urlsafe_b64encode(f"{last.due_at.isoformat()} {last.id}".encode()).decode()


def _can_be_read(cursor: str) -> str:
    _page_start(cursor)
    return cursor


Cursor = Annotated[str, StringConstraints(max_length=200), AfterValidator(_can_be_read)]


class Shown(BaseModel):
    """Something that is sent."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class QueuedOut(Shown):
    """A review in the queue. `due_at` is what it waits for: documents, or the recommendation."""

    id: UUID
    claim_number: str
    service: str
    adr_number: str
    state: ReviewState
    asked_at: datetime
    documents_due: date
    due_at: datetime


class QueueOut(Shown):
    """A page, what is due first first. `next` asks for the page after it; null on the last."""

    reviews: tuple[QueuedOut, ...]
    next: str | None


class BilledOut(Shown):
    """A line of the claim, and what was said of it when it arrived."""

    number: int
    code: str
    modifiers: tuple[str, ...]
    units: Decimal
    first_day: date
    last_day: date
    site: str
    status: str


class DocumentOut(Shown):
    """A file that answered the documentation request. `size` is in bytes."""

    id: UUID
    received_at: datetime
    media_type: str
    size: int
    code: str | None
    state: str


class OneOut(QueuedOut):
    """A review. `recommendation` to `ended_at` are null until it has ended."""

    documents_at: datetime | None
    recommendation: Recommendation | None
    rationale: str | None
    reasons: tuple[str, ...]
    ended_at: datetime | None


class FileOut(Shown):
    """A review with all that is to be looked at."""

    review: OneOut
    mbi: str
    provider_npi: str
    lines: tuple[BilledOut, ...]
    documents: tuple[DocumentOut, ...]


def _printable(rationale: str) -> str:
    if not sendable(rationale):
        raise ValueError("a rationale is text that can be printed")
    return rationale


class RecommendationIn(BaseModel):
    """What a clinician recommends and why. `reasons` are codes: a denial has at least one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recommendation: Literal["pay", "deny"]
    rationale: Annotated[
        str,
        StringConstraints(pattern="[A-Za-z0-9]", max_length=4_000),
        AfterValidator(_printable),
    ]
    reasons: tuple[Annotated[str, StringConstraints(pattern="^[A-Za-z0-9-]{1,20}$")], ...] = ()

    @model_validator(mode="after")
    def _says_why(self) -> Self:
        if self.recommendation == "deny" and not self.reasons:
            raise ValueError("a denial names at least one reason")
        return self

    def opinion(self) -> Opinion:
        """The same as the core has it."""
        return Opinion(Recommendation(self.recommendation), self.rationale, self.reasons)


@router.get("", **for_people(422))
async def queue(
    by: Staff,
    reviews: Reviews,
    state: ReviewState = ReviewState.IN_REVIEW,
    cursor: Cursor | None = None,
    size: Annotated[int, Query(ge=1, le=_MOST)] = 50,
) -> QueueOut:
    """Reviews of every MAC in one state, what is due first first."""
    start = None if cursor is None else _page_start(cursor)
    found = await reviews.queue(by, state, start, size)
    return QueueOut(
        reviews=tuple(map(QueuedOut.model_validate, found)),
        next=_cursor(found[-1]) if len(found) == size else None,
    )


@router.get("/{review_id}", **for_people(404, 422))
async def one(review_id: UUID, by: Viewer, reviews: Reviews) -> FileOut:
    """A review: the lines billed and the documents that came."""
    return FileOut.model_validate(await reviews.by_id(by, review_id))


@router.get(
    "/{review_id}/documents/{attachment_id}",
    response_class=Response,
    **for_people(404, 409, 422),
)
async def document(review_id: UUID, attachment_id: UUID, by: Viewer, reviews: Reviews) -> Response:
    """A file that answered the documentation request, once a scanner has cleared it."""
    found = await reviews.document(by, review_id, attachment_id)
    return Response(found.body, media_type=found.media_type, headers=AS_A_FILE)


@router.put("/{review_id}/recommendation", **for_people(404, 409, 413, 415, 422))
async def recommend(
    review_id: UUID, body: RecommendationIn, by: Clinician, reviews: Reviews
) -> OneOut:
    """End a review: recommend to the MAC to pay the claim or to deny it."""
    return OneOut.model_validate(await reviews.recommend(by, review_id, body.opinion()))
