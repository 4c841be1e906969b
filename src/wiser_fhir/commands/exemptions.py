"""`wiser-fhir exemption`: who is exempt, what they were told, and ending it, as the owner role."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import date, datetime
from typing import Annotated, Any
from uuid import uuid4

import typer

from wiser_fhir.audit.recorder import AuditRow, Detail, write
from wiser_fhir.clock import business_date, utc_now
from wiser_fhir.commands.environment import as_owner, settings_of_environment
from wiser_fhir.commands.table import Format, Listing
from wiser_fhir.coverage.catalogue import Catalogue
from wiser_fhir.db.engine import transaction
from wiser_fhir.priorauth import exemption_store as store
from wiser_fhir.priorauth.exemption_assessment import withdraw
from wiser_fhir.priorauth.exemption_store import ExemptProvider, LossReason, Notice
from wiser_fhir.priorauth.rules import is_npi
from wiser_fhir.settings import Settings

commands = typer.Typer(help="Providers who need no request.", no_args_is_help=True)

_Shape = Annotated[Format, typer.Option("--format", help="csv or jsonl.")]


@commands.command("list")
def list_(
    day: Annotated[datetime, typer.Option("--on", formats=["%Y-%m-%d"], help="The day.")],
    shape: _Shape = Format.CSV,
) -> None:
    """Print who is exempt on a day, since when, on what figures, and until when if that is known.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    found = asyncio.run(_exempt(settings_of_environment(), day.date()))
    _print(ExemptProvider, found, shape)


@commands.command()
def notices(
    first: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")],
    shape: _Shape = Format.CSV,
) -> None:
    """Print what providers were told on these days: that they are exempt, or from when no longer.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    if last < first:
        raise typer.BadParameter("--to lies before --from")
    found = asyncio.run(_notices(settings_of_environment(), first.date(), last.date()))
    _print(Notice, found, shape)


@commands.command()
def revoke(
    npi: Annotated[str, typer.Option(help="Ten digits.")],
    wished: Annotated[
        datetime,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day without it, if it may be."),
    ],
) -> None:
    """Announce today that an exemption ends. It ends with a quarter, at least 60 days from now and
    365 after it began; the day is printed.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    if not is_npi(npi):
        raise typer.BadParameter("an NPI has ten digits, the last of which checks the others")
    lost_on = asyncio.run(_revoke(settings_of_environment(), npi, wished.date()))
    print(f"exempt until the day before {lost_on}")


async def _exempt(settings: Settings, day: date) -> list[ExemptProvider]:
    async with as_owner(settings, "exemption list") as engine, transaction(engine) as db:
        found = await store.exempt_on(db, day)
        detail: Detail = {"on": day.isoformat(), "count": len(found)}
        await write(db, AuditRow(uuid4(), "exemption.list", "done", detail=detail))
        return found


async def _notices(settings: Settings, first: date, last: date) -> list[Notice]:
    async with as_owner(settings, "exemption notices") as engine, transaction(engine) as db:
        found = await store.notices(db, first, last)
        detail: Detail = {"from": first.isoformat(), "to": last.isoformat(), "count": len(found)}
        await write(db, AuditRow(uuid4(), "exemption.notices", "done", detail=detail))
        return found


async def _revoke(settings: Settings, npi: str, wished: date) -> date:
    process = Catalogue.load().process.exemption
    async with as_owner(settings, "exemption revoke") as engine, transaction(engine) as db:
        of = await store.held(db, npi)
        today = business_date(utc_now())
        lost_on = await withdraw(db, of, today, process, LossReason.OPERATOR, wished)
        row = AuditRow(
            request_id=uuid4(),
            action="exemption.revoke",
            outcome="done",
            object_kind="exemption",
            object_id=str(of.id),
            detail={"npi": npi, "from": lost_on.isoformat()},
        )
        await write(db, row)
        return lost_on


def _print(kind: Any, found: Sequence[Any], shape: Format) -> None:
    listing = Listing(sys.stdout, shape, [field.name for field in fields(kind)])
    for each in found:
        listing.add(asdict(each))
