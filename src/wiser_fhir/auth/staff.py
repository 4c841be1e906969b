"""Keeping the list of people who review, as the owner role."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID, uuid4

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth.people import CLINICIAN, ROLES
from wiser_fhir.errors import NotFound

_ORGANIZATIONS = text("select id, name from organization where name = any(:names)")

_INSERT = text("""
insert into person (id, name, roles, npi, specialty, organizations, licence_state, licence_number,
    licence_expires)
values (:id, :name, :roles, :npi, :specialty, :organizations, :licence_state, :licence_number,
    :licence_expires)
""")

_LIST = text("""
select p.name, p.roles, p.npi, p.specialty, p.licence_state, p.licence_number, p.licence_expires,
    p.active, array(select o.name from organization o where o.id = any (p.organizations)
        order by o.name) as organizations
from person p order by p.name
""")


class PersonRefused(ValueError):
    """Somebody who cannot be put on the list; the text says why."""


@dataclass(frozen=True, slots=True)
class Licence:
    """What makes a determination a clinician's to make. `expires` is its last day."""

    state: str
    number: str
    expires: date


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on the list. `organizations` are the names of those the person belongs to."""

    name: str
    roles: tuple[str, ...]
    licence: Licence | None = None
    npi: str | None = None
    specialty: str | None = None
    organizations: tuple[str, ...] = ()
    active: bool = True

    def check(self) -> None:
        """Raises PersonRefused for an unknown role, or a clinician without a licence."""
        if not self.name.strip():
            raise PersonRefused("a person has a name")
        unknown = set(self.roles) - set(ROLES)
        if unknown or not self.roles:
            raise PersonRefused(f"a role is one of {', '.join(ROLES)}")
        if CLINICIAN in self.roles and self.licence is None:
            raise PersonRefused("a clinician has a licence: its state, number and last day")


async def add(db: AsyncConnection, person: Person) -> UUID:
    """Put somebody on the list; the new id.

    Raises PersonRefused, and NotFound for an organization that there is not.
    """
    person.check()
    person_id, licence = uuid4(), person.licence
    row = {
        "id": person_id,
        "name": person.name,
        "roles": list(dict.fromkeys(person.roles)),
        "npi": person.npi,
        "specialty": person.specialty,
        "organizations": await _organizations(db, person.organizations),
        "licence_state": licence.state if licence else None,
        "licence_number": licence.number if licence else None,
        "licence_expires": licence.expires if licence else None,
    }
    try:
        await db.execute(_INSERT, row)
    except IntegrityError:
        raise PersonRefused("the name or the licence is another person's") from None
    return person_id


async def listed(db: AsyncConnection) -> list[Person]:
    """Everybody, by name; those out of use too."""
    rows = (await db.execute(_LIST)).mappings()
    return [
        Person(
            name=row["name"],
            roles=tuple(row["roles"]),
            licence=Licence(row["licence_state"], row["licence_number"], row["licence_expires"])
            if row["licence_number"] is not None
            else None,
            npi=row["npi"],
            specialty=row["specialty"],
            organizations=tuple(row["organizations"]),
            active=row["active"],
        )
        for row in rows
    ]


async def _organizations(db: AsyncConnection, names: Sequence[str]) -> list[UUID]:
    """Their ids. A name that several have cannot be meant. Raises NotFound, PersonRefused."""
    rows = (await db.execute(_ORGANIZATIONS, {"names": list(names)})).all()
    for name in names:
        count = sum(row.name == name for row in rows)
        if count == 0:
            raise NotFound(f"organization as {name}")
        if count > 1:
            raise PersonRefused(f"more than one organization is called {name}")
    return [row.id for row in rows]
