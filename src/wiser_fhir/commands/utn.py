"""`wiser-fhir utn`: the register of tracking numbers, and telling of one again, as the owner."""

import asyncio
import sys
from dataclasses import asdict
from datetime import date, datetime
from typing import Annotated, TextIO

import typer

from wiser_fhir.clock import utc_now
from wiser_fhir.commands.environment import as_owner, settings_of_environment
from wiser_fhir.commands.table import Format, Listing
from wiser_fhir.priorauth.register import COLUMNS, entries
from wiser_fhir.priorauth.utn_life import resend as send_again
from wiser_fhir.settings import Settings

commands = typer.Typer(help="Unique tracking numbers.", no_args_is_help=True)


@commands.command()
def register(
    first: Annotated[
        datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day of order.")
    ],
    last: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")],
    shape: Annotated[Format, typer.Option("--format", help="csv or jsonl.")] = Format.CSV,
) -> None:
    """Print every number ordered on these Eastern days, and what became of it. It names no
    beneficiary; that it was read is audited.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    if last < first:
        raise typer.BadParameter("--to lies before --from")
    settings = settings_of_environment()
    asyncio.run(_register(settings, first.date(), last.date(), shape, sys.stdout))


async def _register(
    settings: Settings, first: date, last: date, shape: Format, out: TextIO
) -> None:
    listing = Listing(out, shape, COLUMNS)
    async with as_owner(settings, "utn register") as engine:
        async for entry in entries(engine, first, last):
            listing.add(asdict(entry))
    out.flush()


@commands.command()
def resend(
    number: Annotated[str, typer.Argument(help="The number, such as ZZB01234567890.")],
) -> None:
    """Tell the submitter of a number again: its latest answer goes to every live subscription.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    hearing = asyncio.run(_resend(settings_of_environment(), number.strip().upper()))
    print(f"queued for {hearing} subscription{'' if hearing == 1 else 's'}")


async def _resend(settings: Settings, number: str) -> int:
    async with as_owner(settings, "utn resend") as engine:
        return await send_again(engine, number, utc_now())
