"""Resubmissions: cases that follow one another by their tracking numbers.

A non-affirmed request is asked again as a new case that names its number, as often as wanted, so
the chain of a case may branch. Source: WISeR Operational Guide 6.0, 4.4.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, case, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.audit.recorder import AuditRow
from wiser_fhir.db.base import determination, prior_auth_case, utn
from wiser_fhir.db.blind import index_of
from wiser_fhir.priorauth.determination import Outcome
from wiser_fhir.priorauth.inquiry import Inquiry
from wiser_fhir.priorauth.models import CaseStatus, Previous, Submission
from wiser_fhir.priorauth.repository import Cases

_LONGEST = 100
_STANDINGS = {
    CaseStatus.AFFIRMED: Previous.AFFIRMED,
    CaseStatus.PARTIALLY_AFFIRMED: Previous.NON_AFFIRMED,
    CaseStatus.NON_AFFIRMED: Previous.NON_AFFIRMED,
}


@dataclass(frozen=True, slots=True)
class Link:
    """One case of a chain. `follows` is the case it was resubmitted after, `steps` how far it is
    from where the walk began: earlier cases have a negative number."""

    case_id: UUID
    follows: UUID | None
    steps: int
    status: CaseStatus
    reference: str
    utn: str | None
    received_at: datetime
    decided_at: datetime | None


# A number leads to one case, a case to all that name one of its numbers. `union` ends a circle.
_WALK = text("""
with recursive back (case_id, steps) as (
    select cast(:case_id as uuid), 0
    union
    select u.case_id, b.steps - 1
    from back b
    join prior_auth_case c on c.organization_id = :organization and c.id = b.case_id
    join utn u on u.organization_id = :organization and u.utn = c.previous_utn
    join prior_auth_case e on e.organization_id = :organization and e.id = u.case_id
        and e.mbi = c.mbi
    where b.steps > - cast(:longest as integer)
),
forth (case_id, steps) as (
    select cast(:case_id as uuid), 0
    union
    select c.id, f.steps + 1
    from forth f
    join prior_auth_case e on e.organization_id = :organization and e.id = f.case_id
    join utn u on u.organization_id = :organization and u.case_id = f.case_id
    join prior_auth_case c on c.organization_id = :organization and c.previous_utn = u.utn
        and c.mbi = e.mbi
    where f.steps < cast(:longest as integer)
),
walked as (select * from back union select * from forth)
select w.case_id, w.steps, c.status, c.reference, c.received_at, c.decided_at,
    (select u.utn from utn u where u.organization_id = :organization and u.case_id = c.id
        and u.revision = c.revision) as utn,
    (select u.case_id from utn u where u.organization_id = :organization
        and u.utn = c.previous_utn) as follows
from walked w join prior_auth_case c on c.organization_id = :organization and c.id = w.case_id
order by w.steps, c.received_at, c.id
""")


async def chain_of(db: AsyncConnection, organization_id: UUID, case_id: UUID) -> list[Link]:
    """The cases before and after a case of the organization, and itself; the first one first.

    Alone where it neither follows another nor was followed; empty where there is no such case.
    """
    asked = {"organization": organization_id, "case_id": case_id, "longest": _LONGEST}
    rows = (await db.execute(_WALK, asked)).mappings()
    return [_link(row) for row in rows]


async def followed(
    db: AsyncConnection, submission: Submission, audit: AuditRow | None
) -> Submission:
    """A resubmission with what its number turns out to be; any other submission as it is.

    A number that is not the organization's own may be that of a request which another sent and a
    provider of this one orders or renders. With `audit`, the row that such a look leaves, that is
    found too; without, only the organization's own.
    """
    number, mbi = submission.previous_utn, submission.beneficiary.mbi
    if number is None:
        return submission
    found = await _own(db, submission.organization_id, mbi, number)
    if found is Previous.UNKNOWN and audit is not None:
        npis = tuple(dict.fromkeys(party.npi for party in submission.parties if party.npi))
        asked = Inquiry(mbi=mbi, provider_npis=npis, requester_npi=None, utns=(number,))
        others = await Cases(db).inquire_by_others(asked, audit)
        found = next((_STANDINGS.get(each.case.status, found) for each in others), found)
    return replace(submission, previous=found)


async def _own(
    db: AsyncConnection, organization_id: UUID, mbi: str | None, number: str
) -> Previous:
    """What one of the organization's own numbers is to a beneficiary.

    One that is superseded or expired still tells what was decided with it.
    """
    not_affirmed = (
        select(determination.c.case_id)
        .where(
            determination.c.organization_id == utn.c.organization_id,
            determination.c.case_id == utn.c.case_id,
            determination.c.revision == utn.c.revision,
            determination.c.outcome == Outcome.NON_AFFIRMED,
        )
        .exists()
    )
    member = index_of(db).of_told(mbi)
    found = case((not_affirmed, Previous.NON_AFFIRMED.value), else_=Previous.AFFIRMED.value)
    query = (
        select(case((prior_auth_case.c.mbi == member, found), else_=Previous.ANOTHERS.value))
        .select_from(utn)
        .join(
            prior_auth_case,
            (prior_auth_case.c.organization_id == utn.c.organization_id)
            & (prior_auth_case.c.id == utn.c.case_id),
        )
        .where(utn.c.organization_id == organization_id, utn.c.utn == number)
    )
    row: str | None = (await db.execute(query)).scalar_one_or_none()
    return Previous(row) if row else Previous.UNKNOWN


def _link(row: RowMapping) -> Link:
    return Link(
        case_id=row["case_id"],
        follows=row["follows"],
        steps=row["steps"],
        status=CaseStatus(row["status"]),
        reference=row["reference"],
        utn=row["utn"],
        received_at=row["received_at"],
        decided_at=row["decided_at"],
    )
