"""Which determinations are not as they were made: looked at as the owner role, all of them."""

import hmac
from collections.abc import AsyncIterator, Sequence

from sqlalchemy import RowMapping, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.decision_mac import FIELDS, decision_mac
from wiser_fhir.db.base import determination
from wiser_fhir.db.engine import transaction

_ORGANIZATIONS = text("select id from organization order by id")
_CHUNK = 1_000


async def changed_decisions(owner: AsyncEngine, keys: Sequence[bytes]) -> AsyncIterator[str]:
    """Each determination that bears no MAC of these keys, as `case line revision`.

    One without any is among them: every decision is made with one. The owner role sees the rows of
    one organization at a time, like anybody. Raises Unavailable.
    """
    async with transaction(owner) as db:
        organizations = (await db.execute(_ORGANIZATIONS)).scalars().all()
    for organization_id in organizations:
        async with transaction(owner, organization_id) as db:
            async for row in _changed(db, keys):
                yield f"{row['case_id']} {row['sequence']} {row['revision']}"


async def _changed(db: AsyncConnection, keys: Sequence[bytes]) -> AsyncIterator[RowMapping]:
    """Those of one organization."""
    columns = [determination.c[name] for name in (*FIELDS, "mac")]
    query = select(*columns).order_by(
        determination.c.case_id, determination.c.sequence, determination.c.revision
    )
    found = await db.stream(query, execution_options={"yield_per": _CHUNK})
    async for row in found.mappings():
        if not any(_bears(row, key) for key in keys):
            yield row


def _bears(row: RowMapping, key: bytes) -> bool:
    """Whether a row bears its MAC. Who is above the database's rules can take it away."""
    told = {name: row[name] for name in FIELDS}
    return hmac.compare_digest(row["mac"] or b"", decision_mac(key, told))


async def all_changed(owner: AsyncEngine, keys: Sequence[bytes]) -> list[str]:
    """The same at once, as a verifier of the trail asks for them. Raises Unavailable."""
    return [each async for each in changed_decisions(owner, keys)]
