"""`wiser-fhir notify-host`: where subscribers may be told, as the owner role."""

import asyncio
from typing import Annotated
from uuid import uuid4

import typer

from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.commands.environment import as_owner, settings_of_environment
from wiser_fhir.db import migrate
from wiser_fhir.db.engine import enter, transaction
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
    async with as_owner(settings, "notify-host") as engine, transaction(engine) as db:
        await migrate.check_mode(db, settings.mode)
        change = hosts.revoke if revoke else hosts.register
        client_id, organization_id = await change(db, name, host)
        await enter(db, organization_id)
        row = AuditRow(
            request_id=uuid4(),
            action="notify-host.revoke" if revoke else "notify-host.register",
            outcome="done",
            organization_id=organization_id,
            client_id=client_id,
            detail={"host": host},
        )
        await write(db, row)
