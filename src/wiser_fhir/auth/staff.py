"""Keeping the list of people who sign in, as the owner role."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import RowMapping, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth import organizations
from wiser_fhir.auth.people import CLINICIAN, OF_PROVIDERS, ROLES, STAFF
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.errors import NotFound

_LONGEST_NAME: Final = 255

_INSERT = text("""
insert into person (id, name, roles, npi, specialty, organizations, licence_state, licence_number,
    licence_expires, issuer, subject)
values (:id, :name, :roles, :npi, :specialty, :organizations, :licence_state, :licence_number,
    :licence_expires, :issuer, :subject)
""")

_HOLD = text("select id from person where name = :name for update")

_CHANGE = text("""
update person set roles = :roles, npi = :npi, specialty = :specialty,
    organizations = :organizations, licence_state = :licence_state,
    licence_number = :licence_number, licence_expires = :licence_expires, issuer = :issuer,
    subject = :subject, active = :active
where id = :id
""")

_LIST = text("""
select p.name, p.roles, p.npi, p.specialty, p.licence_state, p.licence_number, p.licence_expires,
    p.active, p.issuer, p.subject, array(select o.name from organization o
        where o.id = any (p.organizations) order by o.name) as organizations
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
class Account:
    """What an identity provider calls somebody: the subject is unique at its issuer alone."""

    issuer: str
    subject: str


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody on the list. `organizations` are the names of those the person belongs to.

    Without an `account` the person cannot sign in.
    """

    name: str
    roles: tuple[str, ...]
    licence: Licence | None = None
    npi: str | None = None
    specialty: str | None = None
    organizations: tuple[str, ...] = ()
    active: bool = True
    account: Account | None = None

    def check(self) -> None:
        """Raises PersonRefused for an unknown role, a clinician without a licence, and somebody who
        works for a provider and for us, or for a provider that is not named.
        """
        if not self.name.strip():
            raise PersonRefused("a person has a name")
        unknown = set(self.roles) - set(ROLES)
        if unknown or not self.roles:
            raise PersonRefused(f"a role is one of {', '.join(ROLES)}")
        if CLINICIAN in self.roles and self.licence is None:
            raise PersonRefused("a clinician has a licence: its state, number and last day")
        if not set(self.roles).isdisjoint(OF_PROVIDERS):
            if not set(self.roles).isdisjoint(STAFF):
                raise PersonRefused("who works for a provider has no role among those who review")
            if not self.organizations:
                raise PersonRefused("who works for a provider belongs to an organization")
        account = self.account
        if account and not (_is_a_name(account.issuer) and _is_a_name(account.subject)):
            raise PersonRefused("an account is an issuer and a subject, of 1 to 255 characters")


async def add(db: AsyncConnection, person: Person) -> UUID:
    """Put somebody on the list; the new id.

    Raises PersonRefused, and NotFound for an organization that there is not.
    """
    person.check()
    person_id = uuid4()
    try:
        await db.execute(_INSERT, {"id": person_id, **await _row(db, person)})
    except IntegrityError:
        raise PersonRefused("the name, the licence or the account is another person's") from None
    return person_id


async def change(db: AsyncConnection, name: str, to: Callable[[Person], Person]) -> UUID:
    """Change somebody; the id. Other roles, organizations or another account end the sessions.

    Whoever is put out of use loses tokens as well. Raises NotFound, PersonRefused.
    """
    person_id: UUID | None = await db.scalar(_HOLD, {"name": name})
    if person_id is None:
        raise NotFound("person")
    after = to(next(each for each in await listed(db) if each.name == name))
    after.check()
    try:
        row = {**await _row(db, after), "id": person_id, "active": after.active}
        await db.execute(_CHANGE, row)
    except IntegrityError:
        raise PersonRefused("the licence or the account is another person's") from None
    return person_id


async def listed(db: AsyncConnection) -> list[Person]:
    """Everybody, by name; those out of use too."""
    rows = (await db.execute(_LIST)).mappings()
    return [_person(row) for row in rows]


def _person(row: RowMapping) -> Person:
    licence = (row["licence_state"], row["licence_number"], row["licence_expires"])
    return Person(
        name=row["name"],
        roles=tuple(row["roles"]),
        licence=Licence(*licence) if row["licence_number"] is not None else None,
        npi=row["npi"],
        specialty=row["specialty"],
        organizations=tuple(row["organizations"]),
        active=row["active"],
        account=Account(row["issuer"], row["subject"]) if row["issuer"] is not None else None,
    )


async def _row(db: AsyncConnection, person: Person) -> dict[str, Any]:
    licence, account = person.licence, person.account
    return {
        "name": person.name,
        "roles": list(dict.fromkeys(person.roles)),
        "npi": person.npi,
        "specialty": person.specialty,
        "organizations": await _organizations(db, person.organizations),
        "licence_state": licence.state if licence else None,
        "licence_number": licence.number if licence else None,
        "licence_expires": licence.expires if licence else None,
        "issuer": account.issuer if account else None,
        "subject": account.subject if account else None,
    }


def _is_a_name(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_NAME and text.isprintable()


async def _organizations(db: AsyncConnection, names: Sequence[str]) -> list[UUID]:
    """Their ids. A name that several have cannot be meant. Raises NotFound, PersonRefused."""
    try:
        return await organizations.ids(db, names)
    except RegistrationRefused as fault:
        raise PersonRefused(str(fault)) from None
