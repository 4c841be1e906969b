"""The queue on the wire: what may be asked for, and a page of it."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Self
from uuid import UUID

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from wiser_fhir.auth.people import Reviewer
from wiser_fhir.priorauth.clocks import Nearness
from wiser_fhir.priorauth.models import CaseStatus, RequestKind
from wiser_fhir.priorauth.queue import LARGEST_PAGE, QueueFilter, QueueOrder

_WRITTEN = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ]")


def _written_out(value: object) -> object:
    """A number, though it stands in quotes, is no instant."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _WRITTEN.match(value):
        raise ValueError("an instant is written as 2026-05-20T09:00:00Z")
    return datetime.fromisoformat(value)


# Instants that Postgres and everybody's calendar know.
Instant = Annotated[
    AwareDatetime,
    BeforeValidator(_written_out),
    Field(ge=datetime(2000, 1, 1, tzinfo=UTC), lt=datetime(2200, 1, 1, tzinfo=UTC)),
]


class Priority(StrEnum):
    """Which clock a case is on."""

    EXPEDITED = "expedited"
    STANDARD = "standard"


class Somebody(StrEnum):
    """Assignees who need no id."""

    ME = "me"
    NOBODY = "nobody"


class QueueIn(BaseModel):
    """Filters, order and place of a page of the queue."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: CaseStatus = CaseStatus.IN_REVIEW
    service: Annotated[str | None, Field(pattern="^[a-z0-9][a-z0-9-]{0,99}$")] = None
    state: Annotated[str | None, Field(pattern="^[A-Z]{2}$")] = None
    priority: Priority | None = None
    escalation: Nearness | None = None
    assignee: Annotated[Somebody | UUID | None, Field(union_mode="left_to_right")] = None
    received_from: Instant | None = None
    received_before: Instant | None = None
    decide_before: Instant | None = None
    order: QueueOrder | None = None
    size: Annotated[int, Field(ge=1, le=LARGEST_PAGE)] = 50
    cursor: Annotated[str | None, Field(pattern="^[A-Za-z0-9_-]{1,400}$")] = None

    @model_validator(mode="after")
    def _begins_before_it_ends(self) -> Self:
        first, end = self.received_from, self.received_before
        if first is not None and end is not None and end <= first:
            raise ValueError("received_before comes after received_from")
        return self

    def wanted(self, reviewer: Reviewer) -> QueueFilter:
        """The filters, as asked by this person."""
        return QueueFilter(
            status=self.status,
            service=self.service,
            state=self.state,
            expedited=None if self.priority is None else self.priority is Priority.EXPEDITED,
            escalation=self.escalation,
            assignee=_assignee(self.assignee, reviewer),
            unassigned=self.assignee is Somebody.NOBODY,
            received_from=self.received_from,
            received_before=self.received_before,
            decide_before=self.decide_before,
        )

    @property
    def in_order(self) -> QueueOrder:
        """The order asked for; else by deadline, and of cases that ended the newest first."""
        if self.order is not None:
            return self.order
        in_review = self.status is CaseStatus.IN_REVIEW
        return QueueOrder.DEADLINE if in_review else QueueOrder.NEWEST


def _assignee(asked: Somebody | UUID | None, reviewer: Reviewer) -> UUID | None:
    if asked is Somebody.ME:
        return reviewer.person_id
    return asked if isinstance(asked, UUID) else None


class QueuedCaseOut(BaseModel):
    """A line of the queue. `asked`: something was asked for and has not come yet."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    reference: str
    revision: int
    kind: RequestKind
    status: CaseStatus
    service: str | None
    state: str | None
    codes: tuple[str, ...]
    received_at: datetime
    decide_by: datetime | None
    expedite_requested: bool
    expedited: bool
    expedite_confirmed: bool | None
    escalation: Nearness | None
    assigned_to: UUID | None
    assigned_name: str | None
    assigned_at: datetime | None
    asked: bool


class QueueOut(BaseModel):
    """A page. `next` is the cursor of the page behind it, null on the last."""

    model_config = ConfigDict(from_attributes=True)

    cases: tuple[QueuedCaseOut, ...]
    next: str | None
