"""A case by the number its sender traces it by."""

from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.db.base import prior_auth_case
from wiser_fhir.priorauth.models import CaseStatus
from wiser_fhir.priorauth.repository import Cases, StoredCase


async def traced(
    connection: AsyncConnection, organization_id: UUID, mbi: str, trace: str
) -> StoredCase | None:
    """The organization's own case of a beneficiary with this trace number (X12 TRN), or with this
    reference of ours.

    Where several have it, one in review goes first, then the latest received.
    """
    column = prior_auth_case.c
    query = (
        select(column.id)
        .where(
            column.organization_id == organization_id,
            column.mbi == mbi,
            or_(column.trace_value == trace, column.reference == trace),
        )
        .order_by(
            (column.status == CaseStatus.IN_REVIEW).desc(),
            column.received_at.desc(),
            column.id.desc(),
        )
        .limit(1)
    )
    found = (await connection.execute(query)).scalars().all()
    return next(iter(await Cases(connection).load(found)), None)
