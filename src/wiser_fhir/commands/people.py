"""`wiser-fhir person`: the list of those who review, as the owner role."""

import asyncio
from datetime import datetime
from typing import Annotated
from uuid import uuid4

import typer

from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.auth import staff
from wiser_fhir.auth.people import ROLES
from wiser_fhir.auth.staff import Licence, Person, PersonRefused
from wiser_fhir.commands.environment import as_owner, settings_of_environment
from wiser_fhir.db import migrate
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.rules import is_npi
from wiser_fhir.settings import Settings

commands = typer.Typer(help="The people who review.", no_args_is_help=True)

_STATE_LETTERS = 2


@commands.command()
def add(
    name: Annotated[str, typer.Argument(help="By which the person is known; nobody else's.")],
    role: Annotated[list[str], typer.Option(help=f"May be repeated: {', '.join(ROLES)}.")],
    licence_state: Annotated[str | None, typer.Option(help="Such as TX.")] = None,
    licence_number: Annotated[str | None, typer.Option(help="As the state gave it.")] = None,
    licence_expires: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Its last day.")
    ] = None,
    npi: Annotated[str | None, typer.Option(help="Ten digits.")] = None,
    specialty: Annotated[
        str | None, typer.Option(help="A code of the NUCC provider taxonomy.")
    ] = None,
    organization: Annotated[
        list[str] | None,
        typer.Option(help="Name of one the person belongs to; may be repeated."),
    ] = None,
) -> None:
    """Put somebody on the list: a clinician with a licence, a coordinator, or an auditor.

    Nobody sees a case of an organization they belong to. Needs WISER_DATABASE_OWNER_URL, except for
    the sandbox's embedded database.
    """
    expires = None if licence_expires is None else licence_expires.date()
    given = (licence_state, licence_number, expires)
    licence = None
    if licence_state and licence_number and expires:
        licence = Licence(licence_state, licence_number, expires)
    elif any(given):
        raise PersonRefused("a licence is its state, its number and its last day together")
    person = Person(name, tuple(role), licence, npi, specialty, tuple(organization or ()))
    _check(person)
    asyncio.run(_add(settings_of_environment(), person))
    print("added")


@commands.command("list")
def list_() -> None:
    """Print everybody on the list, a line each. Needs what `add` needs."""
    for person in asyncio.run(_listed(settings_of_environment())):
        print(_line(person))


def _check(person: Person) -> None:
    """Raises PersonRefused."""
    person.check()
    state = person.licence.state if person.licence else None
    if state and not (len(state) == _STATE_LETTERS and state.isascii() and state.isupper()):
        raise PersonRefused("a state is its two letters, such as TX")
    if person.npi is not None and not is_npi(person.npi):
        raise PersonRefused("an NPI has ten digits, the last of which checks the others")


async def _add(settings: Settings, person: Person) -> None:
    async with as_owner(settings, "person add") as engine, transaction(engine) as db:
        await migrate.check_mode(db, settings.mode)
        person_id = await staff.add(db, person)
        row = AuditRow(
            request_id=uuid4(),
            action="person.add",
            outcome="done",
            object_kind="person",
            object_id=str(person_id),
            detail={"roles": "|".join(person.roles)},
        )
        await write(db, row)


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
    )
    return "  ".join(part for part in parts if part)
