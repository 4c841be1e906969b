"""`wiser-fhir certificate`: certificates that are taken no longer, as the owner role."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.audit.recorder import Detail
from wiser_fhir.auth import revoked_certificates as store
from wiser_fhir.auth.certificates import read_thumbprint
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.auth.revoked_certificates import Revoked
from wiser_fhir.clock import utc_now
from wiser_fhir.commands.environment import acting, as_owner, done, settings_of_environment
from wiser_fhir.commands.table import Format, Listing
from wiser_fhir.db.engine import transaction

commands = typer.Typer(help="Client certificates that are taken no longer.", no_args_is_help=True)

_Thumbprint = Annotated[
    str,
    typer.Argument(help="SHA-256 of the certificate: `x5t#S256`, or as OpenSSL prints it."),
]
# One thumbprint in 64 begins with a dash and is no option all the same.
_DASHES = {"ignore_unknown_options": True}
Act = Callable[[AsyncConnection], Awaitable[Detail]]


@commands.command(context_settings=_DASHES)
def revoke(
    thumbprint: _Thumbprint,
    because: Annotated[str, typer.Option(help="Why; a few words for other operators.")],
) -> None:
    """Take a certificate no longer, whatever its issuer says, and end the tokens bound to it.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    name = _read(thumbprint)

    async def act(db: AsyncConnection) -> Detail:
        return {"tokens": await store.revoke(db, name, because, utc_now())}

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


@commands.command(context_settings=_DASHES)
def unrevoke(thumbprint: _Thumbprint) -> None:
    """Take a certificate again. Tokens that ended stay so. Needs what `revoke` needs."""
    name = _read(thumbprint)

    async def act(db: AsyncConnection) -> Detail:
        await store.unrevoke(db, name)
        return {}

    asyncio.run(_done("certificate.unrevoke", name, act))
    print("taken again")


def _read(thumbprint: str) -> str:
    """With the mark before a dash too, by which `list` keeps a formula from a spreadsheet.

    Raises RegistrationRefused.
    """
    try:
        return read_thumbprint(thumbprint.removeprefix("'"))
    except ValueError as refused:
        raise RegistrationRefused(str(refused)) from None


async def _done(action: str, thumbprint: str, act: Act) -> None:
    """An act and its audit row, in one transaction."""
    async with acting(settings_of_environment(), action.replace(".", " ")) as db:
        detail = await act(db)
        await done(db, action, object_kind="certificate", object_id=thumbprint, detail=detail)


async def _listed() -> list[Revoked]:
    settings = settings_of_environment()
    async with as_owner(settings, "certificate list") as engine, transaction(engine) as db:
        return await store.listed(db)
