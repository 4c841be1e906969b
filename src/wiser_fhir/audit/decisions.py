"""Which determinations are not as they were made: looked at as the owner role, all of them."""

import hmac
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.decision_mac import FIELDS, decision_mac
from wiser_fhir.db.base import determination
from wiser_fhir.db.engine import transaction

_ORGANIZATIONS = text("select id from organization order by id")
_CHUNK = 1_000


async def changed_decisions(owner: AsyncEngine, keys: Sequence[bytes]) -> AsyncIterator[str]:
    """Each determination that bears no MAC of these keys, as `case line revision`.

    One without any was made before there were such, so none older than it has one. The owner role
    sees the rows of one organization at a time, like anybody. Raises Unavailable.
    """
    async with transaction(owner) as db:
        organizations = (await db.execute(_ORGANIZATIONS)).scalars().all()
    firsts = [await _first(owner, each) for each in organizations]
    since = min((each for each in firsts if each is not None), default=None)
    for organization_id in organizations:
        async with transaction(owner, organization_id) as db:
            async for row in _changed(db, keys, since):
                yield f"{row['case_id']} {row['sequence']} {row['revision']}"


async def _first(owner: AsyncEngine, organization_id: UUID) -> datetime | None:
    """When the first determination of an organization's that bears a MAC was made."""
    query = select(func.min(determination.c.decided_at)).where(determination.c.mac.is_not(None))
    async with transaction(owner, organization_id) as db:
        found: datetime | None = await db.scalar(query)
    return found


async def _changed(
    db: AsyncConnection, keys: Sequence[bytes], since: datetime | None
) -> AsyncIterator[RowMapping]:
    """Those of one organization; `since` is when the first of all with a MAC was made."""
    columns = [determination.c[name] for name in (*FIELDS, "mac")]
    query = select(*columns).order_by(
        determination.c.case_id, determination.c.sequence, determination.c.revision
    )
    found = await db.stream(query, execution_options={"yield_per": _CHUNK})
    async for row in found.mappings():
        if row["mac"] is None:
            if since is not None and row["decided_at"] >= since:
                yield row
        elif not any(_bears(row, key) for key in keys):
            yield row


def _bears(row: RowMapping, key: bytes) -> bool:
    told = {name: row[name] for name in FIELDS}
    return hmac.compare_digest(row["mac"], decision_mac(key, told))


async def all_changed(owner: AsyncEngine, keys: Sequence[bytes]) -> list[str]:
    """The same at once, as a verifier of the trail asks for them. Raises Unavailable."""
    return [each async for each in changed_decisions(owner, keys)]
