"""A hook call as it was kept: what was asked, what was answered, and what became of it.

Source: CRD 2.2.1 §found-38 (logs can be reached to settle what was said).
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, RowMapping, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.db.base import card_feedback, coverage_assertion, hook_call, hook_card, organization
from wiser_fhir.db.bodies import opened
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.vault import data_key


async def organizations(engine: AsyncEngine) -> list[UUID]:
    """Every organization there is."""
    async with transaction(engine) as connection:
        return list((await connection.execute(select(organization.c.id))).scalars())


async def retold(connection: AsyncConnection, name: str) -> Mapping[str, Any] | None:
    """The call with this id, or that gave the assertion or card with this id; None for no such.

    Inside a transaction of one organization, whose calls alone are found. Bodies as JSON, hashes in
    hexadecimal.
    """
    found = await connection.execute(select(hook_call).where(_is(name)))
    row = found.mappings().one_or_none()
    if row is None:
        return None
    key = await data_key(connection, row["organization_id"])
    request = await opened(key, row["request"], "hook_call", "request", row["id"])
    response = await opened(key, row["response"], "hook_call", "response", row["id"])
    of_call = hook_card.c.hook_call_id == row["id"]
    assertions = select(coverage_assertion).where(coverage_assertion.c.hook_call_id == row["id"])
    feedback = select(card_feedback).join(
        hook_card, (hook_card.c.id == card_feedback.c.card_id) & of_call
    )
    return {
        **_plain(row),
        "request": _json(request),
        "response": _json(response),
        "assertions": [_plain(each) for each in (await connection.execute(assertions)).mappings()],
        "feedback": [_plain(each) for each in (await connection.execute(feedback)).mappings()],
    }


def _plain(row: RowMapping) -> dict[str, Any]:
    """A row with plain names, its hashes in hexadecimal."""
    return {
        str(name): value.hex() if isinstance(value, bytes) else value for name, value in row.items()
    }


def _is(name: str) -> ColumnElement[bool]:
    by_assertion = select(coverage_assertion.c.hook_call_id).where(coverage_assertion.c.id == name)
    conditions: list[ColumnElement[bool]] = [hook_call.c.id.in_(by_assertion)]
    number = _uuid(name)
    if number is not None:
        by_card = select(hook_card.c.hook_call_id).where(hook_card.c.id == number)
        conditions += [hook_call.c.id == number, hook_call.c.id.in_(by_card)]
    return or_(*conditions)


def _uuid(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None


def _json(body: bytes) -> Any:
    """A body to be printed inside the record; bytes that are no JSON as text."""
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        return body.decode(errors="replace")
    return orjson.Fragment(body)
