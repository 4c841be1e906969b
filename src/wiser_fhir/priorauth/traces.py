"""A case by a number that its sender traces it or one of its lines by."""

from collections.abc import Callable, Sequence
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.db.base import message, prior_auth_case
from wiser_fhir.db.blind import index_of
from wiser_fhir.db.bodies import open_body
from wiser_fhir.priorauth.models import CaseStatus
from wiser_fhir.priorauth.repository import Cases, StoredCase

NamesItem = Callable[[bytes, str], bool]
"""Whether a line of a request, given as it came, is traced by a number."""

MOST_READ = 20
"""How many requests of one beneficiary are read for the number of a line."""


async def traced(
    connection: AsyncConnection,
    organization_id: UUID,
    mbi: str,
    trace: str,
    names_item: NamesItem,
) -> StoredCase | None:
    """The organization's own case of a beneficiary with this trace number (X12 TRN), or with this
    reference of ours, else one with a line that has this trace number.

    Where several have it, one in review goes first, then the latest received. The numbers of lines
    are in the requests alone: they are looked for in the newest request of each of the first
    MOST_READ cases, one after the other.
    Source: PAS 2.2.1, Task (questionnaire-context: the trace number of the request or of a line).
    """
    mine = (
        prior_auth_case.c.organization_id == organization_id,
        prior_auth_case.c.mbi == index_of(connection).of(mbi),
    )
    numbered = or_(prior_auth_case.c.trace_value == trace, prior_auth_case.c.reference == trace)
    found = await _first(connection, (*mine, numbered), 1)
    if not found:
        for case_id in await _first(connection, mine, MOST_READ):
            if names_item(await _request(connection, case_id), trace):
                found = [case_id]
                break
    return next(iter(await Cases(connection).load(found)), None)


async def _first(
    connection: AsyncConnection, conditions: Sequence[ColumnElement[bool]], at_most: int
) -> Sequence[UUID]:
    """Cases by their ids, those in review first, then the latest received."""
    column = prior_auth_case.c
    query = (
        select(column.id)
        .where(*conditions)
        .order_by(
            (column.status == CaseStatus.IN_REVIEW).desc(),
            column.received_at.desc(),
            column.id.desc(),
        )
        .limit(at_most)
    )
    return (await connection.execute(query)).scalars().all()


async def _request(connection: AsyncConnection, case_id: UUID) -> bytes:
    """The newest request of a case, byte for byte."""
    query = (
        select(message.c.organization_id, message.c.id, message.c.body)
        .join(
            prior_auth_case,
            (prior_auth_case.c.organization_id == message.c.organization_id)
            & (prior_auth_case.c.request_message_id == message.c.id),
        )
        .where(prior_auth_case.c.id == case_id)
    )
    row = (await connection.execute(query)).one()
    return await open_body(connection, row.organization_id, row.body, "message", "body", row.id)
