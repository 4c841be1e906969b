"""What an operator's tools ask: is the process there, can it work. Open, and silent on details."""

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from sqlalchemy import text

from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Unavailable

_SECONDS = 2.0

router = APIRouter(tags=["operations"])


@router.get("/healthz", response_class=JSONResponse)
async def healthz() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@router.get("/readyz", response_class=JSONResponse, responses={503: {"description": "Not now."}})
async def readyz(request: Request) -> dict[str, str]:
    """Whether the database answers too; else 503."""
    try:
        async with asyncio.timeout(_SECONDS), transaction(request.app.state.engine) as db:
            await db.execute(text("select 1"))
    except TimeoutError:
        raise Unavailable("The database does not answer.") from None
    return {"status": "ready"}
