"""Who may do what to a case under review.

Of a case that they have a part in, people see nothing: the database's gate answers as if there were
none. Everybody else at the review door may look. Adding to a case is not for auditors, and what
needs clinical judgement is for clinicians with a licence.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth.people import CLINICIAN, COORDINATOR, Reviewer
from wiser_fhir.db.base import case_party, organization, person
from wiser_fhir.errors import Forbidden, NotFound, SignInTooOld

# Whoever decides against a provider has shown who it is no longer ago.
SIGNED_IN_WITHIN: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Interests:
    """Whose case it is: the organization that sent it, and the NPIs of everybody it names."""

    organization_id: UUID
    npis: frozenset[str]

    def touch(self, who: Reviewer, npis: frozenset[str]) -> bool:
        """Whether somebody belongs to those whose case it is. `npis` are of their organizations."""
        own = npis | {who.npi}
        return self.organization_id in who.organizations or not own.isdisjoint(self.npis)


def check_may_contribute(reviewer: Reviewer) -> None:
    """Whether the person may add to cases, ask, assign and arrange. Raises Forbidden."""
    if not reviewer.may(CLINICIAN, COORDINATOR):
        raise Forbidden("Only clinicians and coordinators add to cases.")


def check_may_decide(reviewer: Reviewer, on: date) -> None:
    """Whether the person may say what is medically so: a clinician, licensed on this business date.

    Whether a risk is real and a review to be expedited is such a thing too: the guide leaves it to
    the participant, and we to its clinicians. Raises Forbidden.
    Source: WISeR Operational Guide 6.0, 4.1.2 and 4.2.2.
    """
    if not reviewer.may(CLINICIAN):
        raise Forbidden("Only a clinician decides.")
    if not reviewer.licensed(on):
        raise Forbidden("The licence of this clinician is not in force.")


def check_signed_in(reviewer: Reviewer, now: datetime) -> None:
    """Whether the person has just signed in, as somebody must who decides against a provider.

    Raises SignInTooOld. Source: RFC 9470, 3.
    """
    if not reviewer.signed_in_since(now - SIGNED_IN_WITHIN):
        seconds = int(SIGNED_IN_WITHIN.total_seconds())
        raise SignInTooOld("Sign in again to decide against a request", seconds)


async def colleague(db: AsyncConnection, person_id: UUID, interests: Interests) -> Reviewer:
    """Somebody a case may be given to: a person in service who has no part in it.

    Raises NotFound, Forbidden.
    """
    query = select(person).where(person.c.id == person_id, person.c.active)
    row = (await db.execute(query)).mappings().one_or_none()
    if row is None:
        raise NotFound("person")
    who = Reviewer(
        person_id=row["id"],
        name=row["name"],
        roles=frozenset(row["roles"]),
        npi=row["npi"],
        specialty=row["specialty"],
        organizations=frozenset(row["organizations"]),
        licence_expires=row["licence_expires"],
    )
    if interests.touch(who, await _npis_of(db, who)):
        raise Forbidden("Nobody reviews a case of an organization they belong to.")
    return who


async def interests_of(db: AsyncConnection, organization_id: UUID, case_id: UUID) -> Interests:
    """Whose case it is, read in a transaction of its organization."""
    query = select(case_party.c.npi).where(
        case_party.c.organization_id == organization_id,
        case_party.c.case_id == case_id,
        case_party.c.npi.is_not(None),
    )
    return Interests(organization_id, frozenset((await db.execute(query)).scalars()))


async def _npis_of(db: AsyncConnection, who: Reviewer) -> frozenset[str]:
    query = select(func.unnest(organization.c.npis)).where(organization.c.id.in_(who.organizations))
    return frozenset((await db.execute(query)).scalars())
