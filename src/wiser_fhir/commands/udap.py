"""`wiser-fhir udap`: who may register by UDAP, as the owner role; and a client for the sandbox."""

import asyncio
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth import organizations, udap_registrants
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.auth.scopes import ALL_SCOPES
from wiser_fhir.auth.udap_communities import by_community
from wiser_fhir.auth.udap_registrants import Ended, Listed, Registrant
from wiser_fhir.clock import utc_now
from wiser_fhir.commands.environment import (
    acting,
    as_owner,
    done,
    sandbox_only,
    settings_of_environment,
)
from wiser_fhir.commands.table import Format, Listing
from wiser_fhir.db.engine import transaction
from wiser_fhir.deployment.addresses import public_origin
from wiser_fhir.deployment.issuers import sandbox_community
from wiser_fhir.oauth.endpoints import REGISTER, TOKEN
from wiser_fhir.sandbox.udap import SandboxClient, keep
from wiser_fhir.settings import Settings

commands = typer.Typer(help="Who may register by UDAP.", no_args_is_help=True)

_COLUMNS = (
    "community", "iss", "organization", "scopes", "active", "client", "client_name", "changed_at",
)  # fmt: skip

_Iss = Annotated[str, typer.Argument(help="URI it goes by, as its certificate names it.")]
_Community = Annotated[
    str, typer.Option(help="URI of the trust community; unset: the one that goes by none.")
]
_Folder = Annotated[Path, typer.Option(help="Folder of client.pem and client.key.")]


@commands.command()
def allow(
    iss: _Iss,
    organization: Annotated[str, typer.Option(help="Name of the one it registers for.")],
    scope: Annotated[list[str], typer.Option(help=f"May be repeated: {ALL_SCOPES}.")],
    community: _Community = "",
) -> None:
    """Let a system register itself for an organization, with these scopes at most, or change what
    it may. A client that it has already loses what is no longer allowed, at once.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    settings, registrant = settings_of_environment(), Registrant(community, iss)
    if community not in by_community(settings.udap_anchors):
        raise RegistrationRefused("WISER_UDAP_ANCHORS names no such community")
    asyncio.run(_allow(settings, registrant, organization, scope))
    print("allowed")


@commands.command()
def remove(iss: _Iss, community: _Community = "") -> None:
    """Let a system register no longer; the client that it has ends with its tokens. Needs what
    `allow` needs.
    """
    asyncio.run(_remove(settings_of_environment(), Registrant(community, iss)))
    print("removed")


@commands.command("list")
def list_(
    shape: Annotated[Format, typer.Option("--format", help="csv or jsonl.")] = Format.CSV,
) -> None:
    """Print who may register, removed ones too, and the client of each that has. Needs what `allow`
    needs.
    """
    listing = Listing(sys.stdout, shape, _COLUMNS)
    for each in asyncio.run(_listed(settings_of_environment())):
        listing.add(asdict(each))


@commands.command()
def certificate(
    uri: Annotated[str, typer.Argument(help="URI for the client to go by.")],
    out: Annotated[Path, typer.Option(help="Folder to write client.pem and client.key to.")],
) -> None:
    """Make a certificate for a client, by the sandbox's own authority, which its server trusts."""
    settings = sandbox_only("udap certificate")
    Registrant("", uri).check()
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    keep(out, "client", sandbox_community(settings, utc_now).issue(uri))
    print(f"written to {out}")


@commands.command()
def statement(
    folder: _Folder,
    scope: Annotated[
        list[str] | None, typer.Option(help="May be repeated; without it all there are.")
    ] = None,
    cancel: Annotated[bool, typer.Option("--cancel", help="End the registration.")] = False,
) -> None:
    """Print a software statement that registers a client with the sandbox: good once, for five
    minutes.
    """
    url = f"{public_origin(sandbox_only('udap statement'))}{REGISTER}"
    client = SandboxClient.load(folder, utc_now)
    print(client.statement(url, scope or ALL_SCOPES, cancel=cancel))


@commands.command()
def assertion(
    folder: _Folder, client_id: Annotated[str, typer.Option(help="As registration answered.")]
) -> None:
    """Print what a client proves itself by when it asks the sandbox for a token: good once, for
    five minutes.
    """
    url = f"{public_origin(sandbox_only('udap assertion'))}{TOKEN}"
    print(SandboxClient.load(folder, utc_now).assertion(client_id, url))


async def _allow(
    settings: Settings, registrant: Registrant, organization: str, scopes: list[str]
) -> None:
    async with acting(settings, "udap allow") as db:
        organization_id = await organizations.open_named(db, organization)
        ended = await udap_registrants.allow(db, registrant, organization_id, scopes)
        await _record(db, "udap.allow", registrant, organization_id)
        await _record_end(db, registrant, ended)


async def _remove(settings: Settings, registrant: Registrant) -> None:
    async with acting(settings, "udap remove") as db:
        organization_id, ended = await udap_registrants.remove(db, registrant)
        await _record(db, "udap.remove", registrant, organization_id)
        await _record_end(db, registrant, ended)


async def _listed(settings: Settings) -> list[Listed]:
    async with as_owner(settings, "udap list") as engine, transaction(engine) as db:
        return await udap_registrants.listed(db)


async def _record_end(db: AsyncConnection, registrant: Registrant, ended: Ended | None) -> None:
    if ended is not None:
        await _record(db, "udap.cancel", registrant, ended.organization_id, ended.client_id)


async def _record(
    db: AsyncConnection,
    action: str,
    registrant: Registrant,
    organization_id: UUID,
    client_id: UUID | None = None,
) -> None:
    detail = {**registrant.key, "by": "command"}
    await done(db, action, organization_id=organization_id, client_id=client_id, detail=detail)
