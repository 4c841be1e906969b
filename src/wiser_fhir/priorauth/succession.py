"""The requests that a case came by, one after the other, as stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from hashlib import sha256
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, insert, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth.people import CLINICIAN
from wiser_fhir.db.base import determination, message, person, prior_auth_case, submission
from wiser_fhir.db.blind import index_of
from wiser_fhir.db.bodies import seal_body
from wiser_fhir.db.vault import data_key
from wiser_fhir.priorauth.determination import Outcome
from wiser_fhir.priorauth.keeping import NewRequest
from wiser_fhir.priorauth.models import Identifier, PriorAuthorization
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.repository import StoredAnswer, stored_answer
from wiser_fhir.priorauth.rows import identifier_key

_ANSWERED = text("select * from submission_answer(:organization, :system, :value)")


async def answered(
    db: AsyncConnection, organization_id: UUID, identifier: Identifier
) -> StoredAnswer | None:
    """What was answered when this identifier came before."""
    asked = {
        "organization": organization_id,
        "system": identifier_key(identifier.system),
        "value": identifier_key(identifier.value),
    }
    row = (await db.execute(_ANSWERED, asked)).mappings().one_or_none()
    return None if row is None else await stored_answer(await data_key(db, organization_id), row)


async def named_case(
    db: AsyncConnection, organization_id: UUID, mbi: str | None, traces: Sequence[Identifier]
) -> UUID | None:
    """The organization's own case of a beneficiary that came by a request with one of these trace
    numbers; None for no such.

    Where several did, one whose last request it was goes first, then the latest received.
    """
    if mbi is None or not traces:
        return None
    last = submission.c.revision == prior_auth_case.c.revision
    query = (
        select(submission.c.case_id)
        .join(prior_auth_case, _same_case())
        .where(
            submission.c.organization_id == organization_id,
            prior_auth_case.c.mbi == index_of(db).of(mbi),
            _traced_by(traces),
        )
        .order_by(last.desc(), prior_auth_case.c.received_at.desc(), prior_auth_case.c.id.desc())
        .limit(1)
    )
    found: UUID | None = (await db.execute(query)).scalar_one_or_none()
    return found


async def names_the_last(
    db: AsyncConnection, case: PriorAuthorization, traces: Sequence[Identifier]
) -> bool:
    """Whether one of these trace numbers is that of the request the case now stands by."""
    query = select(func.count()).where(
        submission.c.organization_id == case.organization_id,
        submission.c.case_id == case.id,
        submission.c.revision == case.revision,
        _traced_by(traces),
    )
    return (await db.execute(query)).scalar_one() > 0


async def non_affirmed_lines(db: AsyncConnection, case: PriorAuthorization) -> frozenset[int]:
    """The lines that a clinician, in any revision, has not affirmed."""
    query = select(determination.c.sequence).where(
        determination.c.organization_id == case.organization_id,
        determination.c.case_id == case.id,
        determination.c.outcome == Outcome.NON_AFFIRMED,
    )
    return frozenset((await db.execute(query)).scalars())


@dataclass(frozen=True, slots=True)
class Signature:
    """A clinician's under a determination. `may_sign` is whether they still may.

    `signed_in_at` is when they had signed in to decide; None of a decision from before it was kept.
    """

    person_id: UUID
    may_sign: bool
    signed_in_at: datetime | None


async def signed_by(db: AsyncConnection, case: PriorAuthorization, on: date) -> Signature | None:
    """Who decided the present revision; None for software.

    What was not affirmed without a sign-in that is known of is signed by nobody again.
    """
    may_sign = and_(
        or_(determination.c.outcome == "affirmed", determination.c.signed_in_at.is_not(None)),
        person.c.active,
        person.c.licence_expires >= on,
        person.c.roles.contains([CLINICIAN]),
    )
    query = (
        select(person.c.id, may_sign, determination.c.signed_in_at)
        .join(determination, determination.c.clinician_id == person.c.id)
        .where(
            determination.c.organization_id == case.organization_id,
            determination.c.case_id == case.id,
            determination.c.revision == case.revision,
        )
        .order_by(determination.c.outcome.desc())  # what is not affirmed comes first
        .limit(1)
    )
    row = (await db.execute(query)).one_or_none()
    return Signature(*row) if row else None


async def keep_refused(
    db: AsyncConnection, organization_id: UUID, request: NewRequest, answer: bytes
) -> None:
    """Keep an update that changes nothing, with its answer: sent again it gets the same.

    It belongs to no case, so that no later update follows it.
    Raises IntegrityError where the identifier is known.
    """
    asked = request.submission
    at = asked.received_at
    kept = [
        await _keep(db, organization_id, "in", f"claim-{request.operation}", request.body, at),
        await _keep(db, organization_id, "out", "claim-response", answer, at),
    ]
    await db.execute(
        insert(submission).values(
            organization_id=organization_id,
            identifier_system=identifier_key(asked.identifier.system),
            identifier_value=identifier_key(asked.identifier.value),
            request_sha256=sha256(request.body).digest(),
            line=request.line,
            operation=request.operation,
            answer_message_id=kept[1],
            received_at=at,
            trace_system=asked.trace.system,
            trace_value=identifier_key(asked.trace.value),
        )
    )


async def _keep(
    db: AsyncConnection,
    organization_id: UUID,
    direction: str,
    kind: str,
    body: bytes,
    at: datetime,
) -> UUID:
    message_id = time_ordered_uuid()
    stored = await seal_body(db, organization_id, body, "message", "body", message_id)
    await db.execute(
        insert(message).values(
            organization_id=organization_id,
            id=message_id,
            direction=direction,
            kind=kind,
            media_type="application/fhir+json",
            body=stored,
            sha256=sha256(body).digest(),
            length=len(body),
            at=at,
        )
    )
    return message_id


def _same_case() -> ColumnElement[bool]:
    return and_(
        prior_auth_case.c.organization_id == submission.c.organization_id,
        prior_auth_case.c.id == submission.c.case_id,
    )


def _traced_by(traces: Sequence[Identifier]) -> ColumnElement[bool]:
    """One of these trace numbers; a system that one side does not tell is not held against it."""
    return or_(
        *(
            and_(
                submission.c.trace_value == identifier_key(each.value),
                or_(
                    submission.c.trace_system.is_(None),
                    submission.c.trace_system == (each.system or submission.c.trace_system),
                ),
            )
            for each in traces
        )
    )
