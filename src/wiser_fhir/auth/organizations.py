"""Which organizations send requests, and for which providers: kept by an operator, as the owner
role.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID, uuid4

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth.principal import tin_digits
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.auth.tokens import end_of_organization
from wiser_fhir.db.engine import enter
from wiser_fhir.db.vault import is_erased
from wiser_fhir.errors import NotFound

# Who may send for whom; the first is what is meant where nothing is said.
KINDS: Final = {"provider": ("own",), "clearinghouse": ("named", "all"), "mac": ("own",)}

_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f]*[^\W_][^\x00-\x1f\x7f]*")
_LONGEST_NAME = 200

# Names are unique by this lock alone: of two that add the same one at once, the second waits.
_ALONE = text("lock table organization in share row exclusive mode")

_NAMED = text("""
select id, name, kind, acts_for, npis, tins, active from organization
where name = :name order by id for update
""")

_IDS = text("select id, name from organization where name = any(:names)")

_LIST = text("""
select o.id, o.name, o.kind, o.acts_for, o.npis, o.tins, o.active,
    coalesce(array_agg(c.name order by c.name) filter (where c.active), '{}') as clients
from organization o left join client c on c.organization_id = o.id
group by o.id order by o.name, o.id
""")

_INSERT = text("""
insert into organization (id, name, kind, acts_for, npis, tins)
values (:id, :name, :kind, :acts_for, :npis, :tins)
""")

_UPDATE = text("""
update organization set name = :name, acts_for = :acts_for, npis = :npis, tins = :tins,
    active = :active
where id = :id
""")


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization that sends requests. `npis` and `tins` are those it may send for.

    `acts_for`: a provider's are its own, a clearinghouse's those it is registered for by name, or
    all there are. `clients` are the names of its clients in use.
    """

    name: str
    kind: str
    acts_for: str
    npis: tuple[str, ...] = ()
    tins: tuple[str, ...] = ()
    active: bool = True
    clients: tuple[str, ...] = ()

    def check(self) -> None:
        """Refuse what would let nobody in, or more than is said. Raises RegistrationRefused."""
        if len(self.name) > _LONGEST_NAME or not _PRINTABLE.fullmatch(self.name):
            raise RegistrationRefused(f"a name has letters, and at most {_LONGEST_NAME}")
        allowed = KINDS.get(self.kind)
        if allowed is None:
            raise RegistrationRefused(f"a kind is one of {', '.join(KINDS)}")
        if self.acts_for not in allowed:
            raise RegistrationRefused(f"a {self.kind} acts for {' or '.join(allowed)}")
        named = bool(self.npis or self.tins)
        if named and (self.acts_for == "all" or self.kind == "mac"):
            whom = "nobody" if self.kind == "mac" else "all"
            raise RegistrationRefused(f"who acts for {whom} names no provider")
        if not self.npis and self.acts_for != "all" and self.kind != "mac":
            raise RegistrationRefused(f"a {self.kind} that does not act for all names an NPI")


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be otherwise. None leaves it; numbers are added and dropped one by one."""

    name: str | None = None
    acts_for: str | None = None
    add_npis: tuple[str, ...] = ()
    drop_npis: tuple[str, ...] = ()
    add_tins: tuple[str, ...] = ()
    drop_tins: tuple[str, ...] = ()

    def of(self, before: Organization) -> Organization:
        """The organization after it. Raises RegistrationRefused."""
        after = replace(
            before,
            name=self.name or before.name,
            acts_for=self.acts_for or before.acts_for,
            npis=_changed(before.npis, self.add_npis, self.drop_npis),
            tins=_changed(before.tins, self.add_tins, self.drop_tins),
        )
        if after == before:
            raise RegistrationRefused("nothing would change")
        after.check()
        return after


def _changed(
    before: Collection[str], added: Collection[str], dropped: Collection[str]
) -> tuple[str, ...]:
    missing = sorted(set(dropped).difference(before))
    if missing:
        raise RegistrationRefused(f"{missing[0]} is not the organization's")
    return tuple(dict.fromkeys(n for n in (*before, *added) if n not in dropped))


def read_tin(value: str) -> str:
    """A TIN as it is kept: nine digits. `12-3456789` is read too. Raises RegistrationRefused."""
    digits = tin_digits(value)
    if digits is None:
        raise RegistrationRefused("a TIN has nine digits")
    return digits


async def add(db: AsyncConnection, new: Organization) -> UUID:
    """Register an organization; its id. Raises RegistrationRefused."""
    new.check()
    await _free(db, new.name)
    organization_id = uuid4()
    await db.execute(_INSERT, {"id": organization_id, "kind": new.kind, **_row(new)})
    return organization_id


async def change(db: AsyncConnection, name: str, wanted: Change) -> UUID:
    """Change an organization; its id. What its tokens may do follows within ten seconds.

    Raises NotFound, RegistrationRefused.
    """
    organization_id, before = await named(db, name)
    after = wanted.of(before)
    if after.name != before.name:
        await _free(db, after.name)
    await _update(db, organization_id, after)
    return organization_id


async def close(db: AsyncConnection, name: str, now: datetime) -> tuple[UUID, int]:
    """Let nobody of an organization in, and end its tokens; its id, and how many those were.

    What it sent stays. Raises NotFound, RegistrationRefused.
    """
    organization_id, before = await named(db, name)
    if not before.active:
        raise RegistrationRefused("it is closed already")
    await _update(db, organization_id, replace(before, active=False))
    return organization_id, await end_of_organization(db, organization_id, now)


async def reopen(db: AsyncConnection, name: str) -> UUID:
    """Let a closed organization in again; its id.

    Raises NotFound, RegistrationRefused, also for one whose keys were destroyed.
    """
    organization_id, before = await named(db, name)
    if before.active:
        raise RegistrationRefused("it is open")
    await enter(db, organization_id)
    if await is_erased(db, organization_id):
        raise RegistrationRefused("it was erased: register it anew under another name")
    await _update(db, organization_id, replace(before, active=True))
    return organization_id


async def listed(db: AsyncConnection) -> list[Organization]:
    """Every organization, by name; closed ones too."""
    return [_organization(row, tuple(row.clients)) for row in await db.execute(_LIST)]


async def named(db: AsyncConnection, name: str) -> tuple[UUID, Organization]:
    """The organization of this name and its id, held until the transaction ends.

    Raises NotFound, and RegistrationRefused for a name that several have.
    """
    rows = (await db.execute(_NAMED, {"name": name})).all()
    _check_one(name, len(rows))
    return rows[0].id, _organization(rows[0])


async def open_named(db: AsyncConnection, name: str) -> UUID:
    """The id of one that is open, held as well. Raises NotFound, RegistrationRefused."""
    organization_id, organization = await named(db, name)
    if not organization.active:
        raise RegistrationRefused(f"{name} is closed")
    return organization_id


async def ids(db: AsyncConnection, names: Sequence[str]) -> list[UUID]:
    """The ids of several, closed ones too, each once, in the order of the table; none is held.

    Raises NotFound, RegistrationRefused.
    """
    rows = (await db.execute(_IDS, {"names": list(names)})).all()
    for name in names:
        _check_one(name, sum(row.name == name for row in rows))
    return [row.id for row in rows]


def _check_one(name: str, count: int) -> None:
    if count == 0:
        raise NotFound(f"organization as {name}")
    if count > 1:
        raise RegistrationRefused(f"more than one organization is called {name}")


def _organization(row: Row[Any], clients: tuple[str, ...] = ()) -> Organization:
    return Organization(
        name=row.name,
        kind=row.kind,
        acts_for=row.acts_for,
        npis=tuple(row.npis),
        tins=tuple(row.tins),
        active=row.active,
        clients=clients,
    )


async def _free(db: AsyncConnection, name: str) -> None:
    await db.execute(_ALONE)
    if (await db.execute(_NAMED, {"name": name})).first() is not None:
        raise RegistrationRefused(f"there is an organization called {name}")


async def _update(db: AsyncConnection, organization_id: UUID, after: Organization) -> None:
    await db.execute(_UPDATE, {"id": organization_id, "active": after.active, **_row(after)})


def _row(of: Organization) -> dict[str, object]:
    return {
        "name": of.name,
        "acts_for": of.acts_for,
        "npis": list(of.npis),
        "tins": list(of.tins),
    }
