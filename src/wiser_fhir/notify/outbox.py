"""What subscribers are to hear, written in the transaction of what they are to hear of.

Subscriptions that carry whole answers hear of the cases of their own line, for an answer is written
in the line its request came by; those that carry the id alone hear of every case.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_LIVE = """
s.organization_id = :organization_id and s.status in ('requested', 'active', 'error')
and (s.ends_at is null or s.ends_at > :at)
and (s.content = 'id-only' or s.line = (select c.line from prior_auth_case c
    where c.organization_id = :organization_id and c.id = :case_id))
"""

# Rows are locked in the order of their ids, so that two acts of one organization cannot block each
# other; the database gives each event the next number of its subscription.
_PUT = text(f"""
with live as (
    select s.id from subscription s
    where {_LIVE} and (cast(:only as uuid) is null or s.id = cast(:only as uuid))
    order by s.id for update)
insert into subscription_event (organization_id, subscription_id, case_id, message_id, at)
select :organization_id, live.id, :case_id, :message_id, :at from live order by live.id
""")  # noqa: S608

_UNHEARD = text(f"""
select s.id from subscription s where {_LIVE} and not exists (
    select from subscription_event e
    where e.organization_id = s.organization_id and e.subscription_id = s.id
        and e.message_id = :message_id)
order by s.id
""")  # noqa: S608


async def put(
    db: AsyncConnection,
    organization_id: UUID,
    case_id: UUID,
    message_id: UUID,
    at: datetime,
    only: UUID | None = None,
) -> None:
    """Queue the answer kept as `message_id` for each live subscription of the organization.

    Live are those that are not off and have not ended. `only` queues it for one of them, also for
    one that has heard of it. The subscriptions are held until the transaction ends.
    Source: PAS 2.2.1 §spec-60 (every change of a response, partial ones too).
    """
    values = {
        "organization_id": organization_id,
        "case_id": case_id,
        "message_id": message_id,
        "at": at,
        "only": only,
    }
    await db.execute(_PUT, values)


async def unheard(
    db: AsyncConnection, organization_id: UUID, case_id: UUID, message_id: UUID, at: datetime
) -> list[UUID]:
    """The live subscriptions for which this answer was never queued: those made since."""
    values = {
        "organization_id": organization_id,
        "case_id": case_id,
        "message_id": message_id,
        "at": at,
    }
    return list((await db.execute(_UNHEARD, values)).scalars())
