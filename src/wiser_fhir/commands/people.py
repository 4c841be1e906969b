"""`wiser-fhir person`: the list of those who sign in, as the owner role."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

import typer

from wiser_fhir.auth import staff
from wiser_fhir.auth.people import ROLES
from wiser_fhir.auth.staff import Account, Licence, Person, PersonRefused
from wiser_fhir.commands.environment import acting, as_owner, done, settings_of_environment
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.rules import is_npi
from wiser_fhir.settings import Settings

commands = typer.Typer(help="The people who sign in.", no_args_is_help=True)

_STATE_LETTERS = 2

_Name = Annotated[str, typer.Argument(help="By which the person is known; nobody else's.")]
_Issuer = Annotated[
    str | None, typer.Option(help="Identity provider of the person's account; with --subject.")
]
_Subject = Annotated[str | None, typer.Option(help="The account there: its `sub`.")]
_LicenceState = Annotated[str | None, typer.Option(help="Such as TX.")]
_LicenceNumber = Annotated[str | None, typer.Option(help="As the state gave it.")]
_LicenceExpires = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Its last day.")
]
_Npi = Annotated[str | None, typer.Option(help="Ten digits.")]
_Specialty = Annotated[str | None, typer.Option(help="A code of the NUCC provider taxonomy.")]
_Organization = Annotated[
    list[str] | None, typer.Option(help="Name of one the person belongs to; may be repeated.")
]


@commands.command()
def add(
    name: _Name,
    role: Annotated[list[str], typer.Option(help=f"May be repeated: {', '.join(ROLES)}.")],
    licence_state: _LicenceState = None,
    licence_number: _LicenceNumber = None,
    licence_expires: _LicenceExpires = None,
    npi: _Npi = None,
    specialty: _Specialty = None,
    organization: _Organization = None,
    issuer: _Issuer = None,
    subject: _Subject = None,
) -> None:
    """Put somebody on the list: a clinician with a licence, a coordinator, an auditor, somebody of
    operations, or of a provider.

    Nobody sees a case of an organization they belong to. Needs WISER_DATABASE_OWNER_URL, except for
    the sandbox's embedded database.
    """
    person = Person(
        name,
        tuple(role),
        _licence(licence_state, licence_number, licence_expires),
        npi,
        specialty,
        tuple(organization or ()),
        account=_account(issuer, subject),
    )
    _check(person)
    asyncio.run(_add(settings_of_environment(), person))
    print("added")


@commands.command()
def link(
    name: _Name,
    issuer: Annotated[str, typer.Option(help="Identity provider of the account.")],
    subject: Annotated[str, typer.Option(help="The account there: its `sub`.")],
) -> None:
    """Let somebody sign in by an account at an identity provider, in place of one before.

    Who is signed in by the one before is signed out. Needs what `add` needs.
    """
    account = _account(issuer, subject)
    asyncio.run(_change(name, "person.link", lambda person: replace(person, account=account)))
    print("linked")


@commands.command()
def change(
    name: _Name,
    role: Annotated[
        list[str] | None, typer.Option(help="In place of those before; may be repeated.")
    ] = None,
    licence_state: _LicenceState = None,
    licence_number: _LicenceNumber = None,
    licence_expires: _LicenceExpires = None,
    npi: _Npi = None,
    specialty: _Specialty = None,
    organization: _Organization = None,
) -> None:
    """Change what is given of somebody; other roles or organizations sign them out.

    Needs what `add` needs.
    """
    licence = _licence(licence_state, licence_number, licence_expires)
    given = {
        "roles": tuple(role) if role else None,
        "licence": licence,
        "npi": npi,
        "specialty": specialty,
        "organizations": tuple(organization) if organization else None,
    }
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if not changes:
        raise PersonRefused("say what changes")
    asyncio.run(_change(name, "person.change", lambda person: replace(person, **changes)))
    print("changed")


@commands.command()
def close(name: _Name) -> None:
    """Put somebody out of use: every session and token of theirs ends. Needs what `add` needs."""
    asyncio.run(_change(name, "person.close", lambda person: replace(person, active=False)))
    print("closed")


@commands.command("list")
def list_() -> None:
    """Print everybody on the list, a line each. Needs what `add` needs."""
    for person in asyncio.run(_listed(settings_of_environment())):
        print(_line(person))


def _licence(state: str | None, number: str | None, expires: datetime | None) -> Licence | None:
    """Raises PersonRefused for a part of one."""
    if state and number and expires:
        return Licence(state, number, expires.date())
    if state or number or expires:
        raise PersonRefused("a licence is its state, its number and its last day together")
    return None


def _account(issuer: str | None, subject: str | None) -> Account | None:
    """Raises PersonRefused for a part of one."""
    if (issuer is None) != (subject is None):
        raise PersonRefused("an account is its issuer and its subject together")
    return Account(issuer, subject) if issuer is not None and subject is not None else None


def _check(person: Person) -> None:
    """Raises PersonRefused."""
    person.check()
    state = person.licence.state if person.licence else None
    if state and not (len(state) == _STATE_LETTERS and state.isascii() and state.isupper()):
        raise PersonRefused("a state is its two letters, such as TX")
    if person.npi is not None and not is_npi(person.npi):
        raise PersonRefused("an NPI has ten digits, the last of which checks the others")


async def _add(settings: Settings, person: Person) -> None:
    async with acting(settings, "person add") as db:
        person_id = str(await staff.add(db, person))
        roles = "|".join(person.roles)
        await done(
            db, "person.add", object_kind="person", object_id=person_id, detail={"roles": roles}
        )


async def _change(name: str, action: str, to: Callable[[Person], Person]) -> None:
    """Change somebody, checked as a newcomer is, and have it on the audit trail."""

    def checked(person: Person) -> Person:
        after = to(person)
        _check(after)
        return after

    async with acting(settings_of_environment(), action.replace(".", " ")) as db:
        person_id = await staff.change(db, name, checked)
        await done(db, action, object_kind="person", object_id=str(person_id))


async def _listed(settings: Settings) -> list[Person]:
    async with as_owner(settings, "person list") as engine, transaction(engine) as db:
        return await staff.listed(db)


def _line(person: Person) -> str:
    licence = person.licence
    parts = (
        person.name if person.active else f"{person.name} (out of use)",
        ", ".join(person.roles),
        f"licence {licence.state} {licence.number} to {licence.expires}" if licence else "",
        f"NPI {person.npi}" if person.npi else "",
        person.specialty or "",
        ", ".join(person.organizations),
        f"{person.account.subject} at {person.account.issuer}" if person.account else "",
    )
    return "  ".join(part for part in parts if part)
