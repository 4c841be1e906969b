"""`wiser-fhir notify-host`: where subscribers may be told, as the owner role."""

import asyncio
from typing import Annotated

import typer

from wiser_fhir.commands.environment import acting, done, settings_of_environment
from wiser_fhir.notify import hosts
from wiser_fhir.settings import Settings


def notify_host(
    client: Annotated[str, typer.Option(help="Name of a client that there is.")],
    host: Annotated[str, typer.Option(help="Such as https://ehr.example or with a port.")],
    revoke: Annotated[bool, typer.Option("--revoke", help="Send nothing there any more.")] = False,
) -> None:
    """Let a client be told of answers at a host, or no longer, as the owner role.

    Needs WISER_DATABASE_OWNER_URL, except for the sandbox's embedded database.
    """
    asyncio.run(_change(settings_of_environment(), client, hosts.checked(host), revoke=revoke))
    print("revoked" if revoke else "registered")


async def _change(settings: Settings, name: str, host: str, *, revoke: bool) -> None:
    action = "notify-host.revoke" if revoke else "notify-host.register"
    async with acting(settings, "notify-host") as db:
        change = hosts.revoke if revoke else hosts.register
        client_id, organization_id = await change(db, name, host)
        detail = {"host": host}
        await done(db, action, organization_id=organization_id, client_id=client_id, detail=detail)
