"""`wiser-fhir organization`: who sends requests, and for which providers, as the owner role."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.audit.recorder import Detail
from wiser_fhir.auth import organizations as store
from wiser_fhir.auth.organizations import KINDS, Change, Organization, read_tin
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.clock import utc_now
from wiser_fhir.commands.environment import acting, as_owner, done, settings_of_environment
from wiser_fhir.commands.table import Format, Listing
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth.rules import is_npi

commands = typer.Typer(help="Organizations that send requests.", no_args_is_help=True)

_COLUMNS = ("name", "kind", "acts_for", "npis", "tins", "active", "clients")
_Name = Annotated[str, typer.Argument(help="Name of an organization that there is.")]
_Many = list[str] | None

Act = Callable[[AsyncConnection], Awaitable[tuple[UUID, Detail]]]


@commands.command()
def add(
    name: Annotated[str, typer.Argument(help="By which it is known; no other's.")],
    kind: Annotated[str, typer.Option(help=f"One of {', '.join(KINDS)}.")],
    acts_for: Annotated[
        str | None,
        typer.Option(help="For a clearinghouse: `named`, which is meant without it, or `all`."),
    ] = None,
    npi: Annotated[_Many, typer.Option(help="It may send for this one; may be repeated.")] = None,
    tin: Annotated[
        _Many, typer.Option(help="Taxpayer's number it may send for; may be repeated.")
    ] = None,
) -> None:
    """Register an organization: a provider with its own NPIs, a clearinghouse with those of the
    providers it sends for, or the MAC. Needs WISER_DATABASE_OWNER_URL, except for the sandbox's
    embedded database.
    """
    meant = acts_for or KINDS.get(kind, ("",))[0]
    new = Organization(name, kind, meant, _npis(npi), _tins(tin))
    new.check()

    async def act(db: AsyncConnection) -> tuple[UUID, Detail]:
        return await store.add(db, new), {"kind": kind, "acts_for": meant, **_counted(new)}

    _run("organization.add", act)
    print("added")


@commands.command("list")
def list_(
    shape: Annotated[Format, typer.Option("--format", help="csv or jsonl.")] = Format.CSV,
) -> None:
    """Print every organization, closed ones too, and its clients in use. Needs what `add` needs."""
    listing = Listing(sys.stdout, shape, _COLUMNS)
    for each in asyncio.run(_listed()):
        listing.add(asdict(each))


@commands.command()
def change(
    name: _Name,
    rename: Annotated[str | None, typer.Option(help="Its new name.")] = None,
    acts_for: Annotated[
        str | None, typer.Option(help="For a clearinghouse: `named` or `all`.")
    ] = None,
    npi: Annotated[_Many, typer.Option(help="To add; may be repeated.")] = None,
    drop_npi: Annotated[_Many, typer.Option(help="To take away; may be repeated.")] = None,
    tin: Annotated[_Many, typer.Option(help="To add; may be repeated.")] = None,
    drop_tin: Annotated[_Many, typer.Option(help="To take away; may be repeated.")] = None,
) -> None:
    """Change what an organization is called or whom it may send for. Tokens it has follow within
    ten seconds. Needs what `add` needs.
    """
    wanted = Change(
        name=rename,
        acts_for=acts_for,
        add_npis=_npis(npi),
        drop_npis=tuple(drop_npi or ()),
        add_tins=_tins(tin),
        drop_tins=_tins(drop_tin),
    )

    async def act(db: AsyncConnection) -> tuple[UUID, Detail]:
        detail: dict[str, str | int | bool | None] = {"acts_for": acts_for} if acts_for else {}
        for key in ("add_npis", "drop_npis", "add_tins", "drop_tins"):
            if getattr(wanted, key):
                detail[key] = len(getattr(wanted, key))
        if rename:
            detail["renamed"] = True
        return await store.change(db, name, wanted), detail

    _run("organization.change", act)
    print("changed")


@commands.command()
def close(name: _Name) -> None:
    """Let no client of an organization in, and end their tokens. What it sent stays. Needs what
    `add` needs.
    """

    async def act(db: AsyncConnection) -> tuple[UUID, Detail]:
        organization_id, tokens = await store.close(db, name, utc_now())
        return organization_id, {"tokens": tokens}

    _run("organization.close", act)
    print("closed")


@commands.command()
def reopen(name: _Name) -> None:
    """Let the clients of a closed organization in again; those revoked stay out. Needs what `add`
    needs.
    """

    async def act(db: AsyncConnection) -> tuple[UUID, Detail]:
        return await store.reopen(db, name), {}

    _run("organization.reopen", act)
    print("reopened")


def _npis(values: _Many) -> tuple[str, ...]:
    wrong = next((each for each in values or () if not is_npi(each)), None)
    if wrong is not None:
        raise RegistrationRefused(
            f"{wrong}: an NPI has ten digits, the last of which checks the others"
        )
    return tuple(dict.fromkeys(values or ()))


def _tins(values: _Many) -> tuple[str, ...]:
    return tuple(dict.fromkeys(read_tin(each) for each in values or ()))


def _counted(of: Organization) -> Detail:
    return {"npis": len(of.npis), "tins": len(of.tins)}


def _run(action: str, act: Act) -> None:
    asyncio.run(_done(action, act))


async def _done(action: str, act: Act) -> None:
    """An act and its audit row, in one transaction."""
    async with acting(settings_of_environment(), action.replace(".", " ")) as db:
        organization_id, detail = await act(db)
        await done(
            db,
            action,
            organization_id=organization_id,
            object_kind="organization",
            object_id=str(organization_id),
            detail=detail,
        )


async def _listed() -> list[Organization]:
    settings = settings_of_environment()
    async with as_owner(settings, "organization list") as engine, transaction(engine) as db:
        return await store.listed(db)
