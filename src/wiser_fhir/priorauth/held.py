"""Attachments that no request has come for yet: how many are held, and for how long.

Whoever may send attachments may name numbers that no request will ever have; what is kept for them
has to have an end, in room and in time.
"""

from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.audit.recorder import AuditRow, Recorder, write
from wiser_fhir.db.vault import data_key
from wiser_fhir.errors import Problem, ProfileViolation
from wiser_fhir.priorauth.sealed_rows import number_of_delivery

MOST_HELD = 100
MOST_BYTES = 256 * 1024 * 1024
KEPT = timedelta(days=90)
# The state of an attachment that nobody will ever be shown.
LAPSED = "lapsed"
_LAPSED_AT_ONCE = 100

_TURN = text("select pg_advisory_xact_lock(1634034785, hashtext(:organization_id))")

# Files that were refused have no bytes here any more.
_HELD = text("""
select count(distinct d.id) as deliveries, coalesce(sum(a.size), 0) as bytes
from attachment_delivery d left join attachment a
    on a.organization_id = d.organization_id and a.delivery_id = d.id and a.content is not null
where d.organization_id = :organization_id and d.case_id is null and d.lapsed_at is null
    and d.attach_to = 'preauthorization'
""")

# The same file twice is kept with the first delivery: that one stays as long as a later one to the
# same number is held.
_LAPSE = text("""
with old as materialized (
    select d.organization_id, d.id from attachment_delivery d
    where d.organization_id = :organization_id and d.case_id is null and d.lapsed_at is null
        and d.attach_to = 'preauthorization' and d.received_at <= :until
        and not exists (select from attachment_delivery later
            where later.organization_id = d.organization_id and later.attach_to = d.attach_to
                and later.tracking_value = d.tracking_value and later.member = d.member
                and later.case_id is null and later.received_at > :until)
    order by d.received_at, d.id limit :at_most for update skip locked),
gone as (
    update attachment a set state = :lapsed, content = null, resource = null from old
    where a.organization_id = old.organization_id and a.delivery_id = old.id
        and a.state in ('quarantined', 'clear'))
update attachment_delivery d set lapsed_at = :now from old
where d.organization_id = old.organization_id and d.id = old.id
returning d.id, d.sealed_member
""")


async def check_room(db: AsyncConnection, organization_id: UUID) -> None:
    """Called with the newest already written, which is rolled back by what this raises.

    Those of one organization go one after the other from here to the end of their transactions.
    Raises ProfileViolation where an organization has more held than it may.
    """
    await db.execute(_TURN, {"organization_id": str(organization_id)})
    held = (await db.execute(_HELD, {"organization_id": organization_id})).one()
    if held.deliveries > MOST_HELD or held.bytes > MOST_BYTES:
        told = (
            f"No request of yours has this number and member yet, and no more is held: at most"
            f" {MOST_HELD} calls and {MOST_BYTES // 1024 // 1024} MiB. Send the request first."
        )
        raise ProfileViolation(told, [Problem("error", "too-costly", told)])


async def lapse(
    db: AsyncConnection, organization_id: UUID, now: datetime, recorder: Recorder
) -> int:
    """Give up what has been held for KEPT: its bytes go, the record of it stays. How many calls.

    What has lapsed is as if it had never come: the same call again is a new one.
    """
    values = {
        "organization_id": organization_id,
        "until": now - KEPT,
        "now": now,
        "lapsed": LAPSED,
        "at_most": _LAPSED_AT_ONCE,
    }
    lapsed = (await db.execute(_LAPSE, values)).mappings().all()
    key = await data_key(db, organization_id)
    for delivery in lapsed:
        row = AuditRow(
            request_id=uuid4(),
            action="attachment.lapse",
            outcome="lapsed",
            organization_id=organization_id,
            object_kind="attachment-delivery",
            object_id=str(delivery["id"]),
            patient=recorder.patient(number_of_delivery(delivery, key)),
        )
        await write(db, row)
    return len(lapsed)
