"""The whole application in this process, as a sandbox serves it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from fastapi import FastAPI
from httpx import ASGITransport

from wiser_fhir.app import create_app
from wiser_fhir.auth.oidc import RelyingParty
from wiser_fhir.clock import Clock
from wiser_fhir.egress.client import Egress
from wiser_fhir.settings import Settings
from wiser_fhir.sign_in.door import SignInDoor


@asynccontextmanager
async def sandbox_app(
    database: str, clock: Clock, folder: Path, origin: str, **more: str
) -> AsyncIterator[FastAPI]:
    """The application on a database, from its start to its stop; `more` are variables beside."""
    settings = Settings.from_env(
        {
            "WISER_MODE": "sandbox",
            "WISER_DATABASE_URL": database,
            "WISER_DATA_DIR": str(folder),
            "WISER_PUBLIC_URL": origin,
            **more,
        }
    )
    app = create_app(settings, clock)
    async with app.router.lifespan_context(app):
        yield app


def sign_in_here(app: FastAPI, origin: str) -> None:
    """Keep in the process what the application asks of its own provider, where people sign in."""
    door: SignInDoor = app.state.sign_in
    egress = Egress((origin,), transport=ASGITransport(app))
    party = RelyingParty(door.party.provider, egress, door.clock)
    app.state.sign_in = replace(door, party=party)
