"""Which determinations are not as they were made: looked at as the owner role, all of them.

A MAC tells that one was changed, and not that one is gone. So each act tells the audit trail how
many it made, in its own transaction, and every case has to have as many as its acts tell of.
"""

import hmac
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Final
from uuid import UUID

import asyncpg
from sqlalchemy import RowMapping, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.decision_mac import FIELDS, decision_mac
from wiser_fhir.db.base import determination
from wiser_fhir.db.engine import raw_connection, transaction

DETERMINATIONS: Final = "determinations"
"""What the row of an act calls the number of determinations it made."""

_ORGANIZATIONS = "select id from organization order by id"
_CHUNK = 1_000
_PATIENCE = 3_600.0  # seconds for one statement: a scan of all rows may take what requests may not

# Whoever puts a row on the trail may take nothing away by it: no number is less than none, and only
# a sandbox is ever emptied.
_TOLD = f"""
select organization_id, object_id as case_id,
    sum(greatest((detail ->> '{DETERMINATIONS}')::numeric, 0)) as count
from audit_event
where jsonb_typeof(detail -> '{DETERMINATIONS}') = 'number'
    and organization_id is not null and object_id is not null
    and (not $1 or id > (
        select coalesce(max(id), 0) from audit_event where action = 'sandbox.reset'))
group by organization_id, object_id order by organization_id, object_id collate "C"
"""  # noqa: S608 - our own word
_THERE = """
select organization_id, case_id, count(*) from determination
group by organization_id, case_id order by organization_id, case_id
"""
_ENTER = "select set_config('app.organization', $1, true)"

_Count = tuple[tuple[UUID, str], int | Decimal]
"""A case of an organization, and how many determinations it has."""


async def changed_decisions(
    owner: AsyncEngine, keys: Sequence[bytes], sandbox: bool = False
) -> AsyncIterator[str]:
    """Each determination that bears no MAC of these keys, as `case line revision`; then each case
    that has fewer or more of them than its acts tell of.

    One without any MAC is among them: every decision is made with one. The owner role sees the
    rows of one organization at a time, like anybody. In a `sandbox` the trail counts from where it
    was last emptied. Raises Unavailable.
    """
    async with transaction(owner) as db:
        organizations = (await db.execute(text(_ORGANIZATIONS))).scalars().all()
    for organization_id in organizations:
        async with transaction(owner, organization_id) as db:
            async for row in _changed(db, keys):
                yield f"{row['case_id']} {row['sequence']} {row['revision']}"
    async for case in _miscounted(owner, sandbox):
        yield case


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


async def _miscounted(owner: AsyncEngine, sandbox: bool) -> AsyncIterator[str]:
    """Cases whose determinations are not as many as was told, as `case ID: 2 decisions of 3`.

    One snapshot shows both, so that no act comes between. It takes no number of its own, for which
    the sealer would wait.
    """
    async with (
        raw_connection(owner) as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        await connection.execute("set local statement_timeout = 0")
        told, there = _told(connection, sandbox), _there(connection)
        one, other = await anext(told, None), await anext(there, None)
        while one is not None or other is not None:
            case = min(each[0] for each in (one, other) if each is not None)
            wanted, found = Decimal(0), Decimal(0)
            if one is not None and one[0] == case:
                wanted, one = Decimal(one[1]), await anext(told, None)
            if other is not None and other[0] == case:
                found, other = Decimal(other[1]), await anext(there, None)
            if wanted != found:
                yield f"case {case[1]}: {found} decisions of {wanted}"


async def _told(connection: asyncpg.Connection, sandbox: bool) -> AsyncIterator[_Count]:
    """What the trail tells, in the order of organizations and cases."""
    rows = connection.cursor(_TOLD, sandbox, prefetch=_CHUNK, timeout=_PATIENCE)
    async for row in rows:
        yield (row["organization_id"], row["case_id"]), row["count"]


async def _there(connection: asyncpg.Connection) -> AsyncIterator[_Count]:
    """What there is, in the same order."""
    for organization in await connection.fetch(_ORGANIZATIONS):
        await connection.execute(_ENTER, str(organization["id"]))
        async for row in connection.cursor(_THERE, prefetch=_CHUNK, timeout=_PATIENCE):
            yield (row["organization_id"], str(row["case_id"])), row["count"]


async def all_changed(
    owner: AsyncEngine, keys: Sequence[bytes], sandbox: bool = False
) -> list[str]:
    """The same at once, as a verifier of the trail asks for them. Raises Unavailable."""
    return [each async for each in changed_decisions(owner, keys, sandbox)]
