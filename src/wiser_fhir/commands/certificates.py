"""`wiser-fhir certificate`: certificates that are taken no longer, as the owner role."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated
from uuid import uuid4

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.audit.recorder import AuditRow, Detail, write
from wiser_fhir.auth import deny_list
from wiser_fhir.auth.deny_list import Revoked, read_thumbprint
from wiser_fhir.clock import utc_now
from wiser_fhir.commands.environment import as_owner, settings_of_environment
from wiser_fhir.commands.table import Format, Listing
from wiser_fhir.db import migrate
from wiser_fhir.db.engine import transaction

commands = typer.Typer(help="Client certificates that are taken no longer.", no_args_is_help=True)

_Thumbprint = Annotated[
    str,
    typer.Argument(help="SHA-256 of the certificate: `x5t#S256`, or as OpenSSL prints it."),
]
Act = Callable[[AsyncConnection], Awaitable[Detail]]


@commands.command()
def revoke(
    thumbprint: _Thumbprint,
    because: Annotated[str, typer.Option(help="Why; a few words for other operators.")],
) -> None:
    """Take a certificate no longer, whatever its issuer says, and end the tokens bound to it.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    name = read_thumbprint(thumbprint)

    async def act(db: AsyncConnection) -> Detail:
        return {"tokens": await deny_list.revoke(db, name, because, utc_now())}

    asyncio.run(_done("certificate.revoke", name, act))
    print("revoked")


@commands.command("list")
def list_(
    shape: Annotated[Format, typer.Option("--format", help="csv or jsonl.")] = Format.CSV,
) -> None:
    """Print the certificates that are taken no longer, oldest first. Needs what `revoke` needs."""
    listing = Listing(sys.stdout, shape, ("thumbprint", "revoked_at", "reason"))
    for each in asyncio.run(_listed()):
        listing.add(asdict(each))


@commands.command()
def unrevoke(thumbprint: _Thumbprint) -> None:
    """Take a certificate again. Tokens that ended stay so. Needs what `revoke` needs."""
    name = read_thumbprint(thumbprint)

    async def act(db: AsyncConnection) -> Detail:
        await deny_list.unrevoke(db, name)
        return {}

    asyncio.run(_done("certificate.unrevoke", name, act))
    print("taken again")


async def _done(action: str, thumbprint: str, act: Act) -> None:
    """An act and its audit row, in one transaction."""
    settings = settings_of_environment()
    command = action.replace(".", " ")
    async with as_owner(settings, command) as engine, transaction(engine) as db:
        await migrate.check_mode(db, settings.mode)
        row = AuditRow(
            request_id=uuid4(),
            action=action,
            outcome="done",
            object_kind="certificate",
            object_id=thumbprint,
            detail=await act(db),
        )
        await write(db, row)


async def _listed() -> list[Revoked]:
    settings = settings_of_environment()
    async with as_owner(settings, "certificate list") as engine, transaction(engine) as db:
        return await deny_list.listed(db)
