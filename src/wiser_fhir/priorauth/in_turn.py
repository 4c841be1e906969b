"""What is done for one organization after the other, and keeps none of them from its turn."""

import logging
from collections.abc import Awaitable, Callable
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.db.engine import enter, transaction
from wiser_fhir.db.vault import is_erased
from wiser_fhir.priorauth.retelling import organizations

log = logging.getLogger(__name__)


async def readable(engine: AsyncEngine) -> list[UUID]:
    """Every organization but those whose keys were destroyed: what they have opens for nobody.

    Raises Unavailable.
    """
    everybody, erased = await organizations(engine), set()
    async with transaction(engine) as db:
        for each in everybody:
            await enter(db, each)
            if await is_erased(db, each):
                erased.add(each)
    return [each for each in everybody if each not in erased]


async def in_turn(engine: AsyncEngine, work: Callable[[UUID], Awaitable[int]]) -> int:
    """Do it for each that can be read. How much was done.

    Where it fails for one the next has its turn all the same, unless the database is away for all
    of them. Raises what failed first.
    """
    done, failed = 0, None
    for organization_id in await readable(engine):
        try:
            done += await work(organization_id)
        except Exception as error:  # its type alone: the text may tell of a person
            facts = {"organization": str(organization_id), "error": type(error).__qualname__}
            log.error("organization passed over", extra=facts)
            failed = failed or error
            await organizations(engine)
    if failed is not None:
        raise failed
    return done
