"""`wiser-fhir cds-client`: which clients may call CDS Hooks, as the owner role."""

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from wiser_fhir.audit.recorder import Detail
from wiser_fhir.auth import cds_clients
from wiser_fhir.auth.cds_clients import Registration
from wiser_fhir.auth.clients import client_named
from wiser_fhir.auth.registration import RegistrationRefused, read_key_file
from wiser_fhir.commands.environment import acting, done, extra_origins, settings_of_environment
from wiser_fhir.settings import Settings


def cds_client(
    client: Annotated[str, typer.Option(help="Name of a client that there is.")],
    iss: Annotated[str | None, typer.Option(help="The `iss` of its JWTs.")] = None,
    jwks_url: Annotated[
        str | None, typer.Option(help="Where it keeps its public keys; the only `jku` taken.")
    ] = None,
    jwks: Annotated[Path | None, typer.Option(help="File of its public keys.")] = None,
    fhir_server: Annotated[
        list[str] | None,
        typer.Option(help="Base URL at which it may be asked for more; may be repeated."),
    ] = None,
    revoke: Annotated[bool, typer.Option("--revoke", help="Take none of its JWTs any more.")] = (
        False
    ),
) -> None:
    """Register a client as an EHR that calls CDS Hooks, or change or revoke it, as the owner role.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    settings = settings_of_environment()
    registration = None
    if not revoke:
        keys = None if jwks is None else read_key_file(jwks.read_bytes())
        registration = Registration(iss or "", jwks_url, keys, tuple(fhir_server or ()))
        registration.check(extra_origins(settings))
    elif iss or jwks_url or jwks or fhir_server:
        raise RegistrationRefused("--revoke goes with --client alone")
    asyncio.run(_change(settings, client, registration))
    print("revoked" if registration is None else "registered")


async def _change(settings: Settings, client: str, registration: Registration | None) -> None:
    """Register, or revoke where there is nothing to register."""
    async with acting(settings, "cds-client") as db:
        client_id, organization_id = await client_named(db, client)
        detail: Detail = {}
        if registration is None:
            await cds_clients.revoke(db, client_id)
        else:
            await cds_clients.register(db, client_id, organization_id, registration)
            keys = "value" if registration.jwks_url is None else registration.jwks_url
            detail = {"iss": registration.iss, "keys": keys}
        action = "cds-client.revoke" if registration is None else "cds-client.register"
        await done(db, action, organization_id=organization_id, client_id=client_id, detail=detail)
