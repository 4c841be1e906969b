"""`wiser-fhir assertion`: what a client of the sandbox sends for a token."""

import asyncio
from typing import Annotated
from uuid import uuid4

import typer

from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.auth.clients import client_named
from wiser_fhir.clock import utc_now
from wiser_fhir.commands.environment import as_app, sandbox_only
from wiser_fhir.db.engine import enter, transaction
from wiser_fhir.deployment.addresses import public_origin
from wiser_fhir.deployment.keys import ehr_key
from wiser_fhir.oauth.endpoints import TOKEN
from wiser_fhir.sandbox import ehr
from wiser_fhir.settings import Settings


def assertion(
    client: Annotated[str, typer.Option(help="The client, for instance sandbox-ehr.")],
    audience: Annotated[
        str | None,
        typer.Option(help="Token endpoint, as clients see it; without it the sandbox's own."),
    ] = None,
) -> None:
    """Print a signed client assertion of a client of the sandbox, for one token within five
    minutes. Its key is the one every client of the sandbox has.
    """
    settings = sandbox_only("assertion")
    url = audience or f"{public_origin(settings)}{TOKEN}"
    print(asyncio.run(_assertion(settings, client, url)))


async def _assertion(settings: Settings, client: str, url: str) -> str:
    async with as_app(settings) as engine, transaction(engine) as db:
        client_id, organization_id = await client_named(db, client)
        await enter(db, organization_id)
        row = AuditRow(
            request_id=uuid4(),
            action="assertion.issue",
            outcome="done",
            organization_id=organization_id,
            client_id=client_id,
            detail={"by": "command"},
        )
        await write(db, row)
    return ehr.client_assertion(ehr_key(settings), client, url, utc_now())
