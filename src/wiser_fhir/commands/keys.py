"""`wiser-fhir keys`: the keys by which what is stored about people is sealed, as the owner role.

Names of organizations and numbers are printed and audited, never a key. docs/encryption.md walks
through a change of keys and through what a restore needs.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated
from uuid import UUID, uuid4

import typer
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, Detail, write
from wiser_fhir.commands.environment import as_owner, settings_of_environment
from wiser_fhir.commands.table import Format, Listing
from wiser_fhir.db import migrate, reindexing, rotation
from wiser_fhir.db.base import organization
from wiser_fhir.db.blind import index_of
from wiser_fhir.db.engine import transaction
from wiser_fhir.db.vault import is_erased, vault_of
from wiser_fhir.errors import Conflict, NotFound
from wiser_fhir.settings import Settings

commands = typer.Typer(help="Keys of what is stored about people.", no_args_is_help=True)

_COLUMNS = ("organization", "number", "state", "wrapping_key", "created_at", "usable_from", "why")
_Only = Annotated[
    str | None, typer.Option("--organization", help="Of this one alone; without it, of all.")
]

# At once: in one transaction with its audit row. At length: between two rows.
AtOnce = Callable[[AsyncConnection, UUID, str], Awaitable[Detail]]
AtLength = Callable[[AsyncEngine, UUID, str], Awaitable[Detail]]


@commands.command("list")
def list_(
    only: _Only = None,
    shape: Annotated[Format, typer.Option("--format", help="csv or jsonl.")] = Format.CSV,
) -> None:
    """Print every data key: whose, in what state, and which key of the ring wraps it.

    Needs WISER_SECRETS_KEY and WISER_DATABASE_OWNER_URL, except for the sandbox's embedded
    database; so do the others.
    """
    asyncio.run(_list(settings_of_environment(), only, Listing(sys.stdout, shape, _COLUMNS)))


async def _list(settings: Settings, only: str | None, listing: Listing) -> None:
    async with as_owner(settings, "keys list") as engine:
        for organization_id, name in await _organizations(engine, settings, only):
            async with transaction(engine, organization_id) as db:
                for key in await rotation.keys_of(db, organization_id):
                    listing.add(
                        {
                            "organization": name,
                            "number": key.number,
                            "state": key.state,
                            "wrapping_key": key.wrapping_key,
                            "created_at": key.created_at,
                            "usable_from": key.usable_from,
                            "why": key.erased_because,
                        }
                    )


@commands.command()
def rotate(only: _Only = None) -> None:
    """Make a new data key. Every process seals with it from half a minute on; what older ones
    sealed still opens, and stays as it is until `reseal`.
    """

    async def act(db: AsyncConnection, organization_id: UUID, name: str) -> Detail:
        number = await rotation.announce(db, organization_id)
        print(f"{name}: key {number}")
        return {"key": number}

    asyncio.run(_at_once(settings_of_environment(), "rotate", only, act, erased=False))


@commands.command()
def rewrap(only: _Only = None) -> None:
    """Wrap every data key with WISER_SECRETS_KEY. Until then the key that wrapped it must stand in
    WISER_SECRETS_KEYS_BEFORE. Nothing else is read or written.
    """

    async def act(db: AsyncConnection, organization_id: UUID, name: str) -> Detail:
        ring = vault_of(db).ring
        count = await rotation.rewrap(db, ring, organization_id)
        print(f"{name}: {count} wrapped with {ring.current}")
        return {"keys": count, "wrapping_key": ring.current}

    asyncio.run(_at_once(settings_of_environment(), "rewrap", only, act))


@commands.command()
def reseal(only: _Only = None) -> None:
    """Seal with the present data key what older ones sealed, beside servers that run. May be
    stopped at any time and begun again.
    """
    asyncio.run(_at_length(settings_of_environment(), "reseal", only, _reseal, erased=False))


async def _reseal(engine: AsyncEngine, organization_id: UUID, name: str) -> Detail:
    await _announced(engine, organization_id)
    rows, total = rotation.SealedRows(engine, organization_id), 0
    for kind in rotation.EVERYTHING:
        async for done in rows.reseal(kind):
            total += done
            print(f"{name}: {kind.table}: {done} sealed anew", file=sys.stderr)
    print(f"{name}: {total} rows sealed anew")
    return {"rows": total}


async def _announced(engine: AsyncEngine, organization_id: UUID) -> None:
    """Wait for a key that is announced: before its time nobody seals with it."""
    vault = vault_of(engine)
    async with transaction(engine, organization_id) as db:
        waits = any(k.state == "announced" for k in await rotation.keys_of(db, organization_id))
    if waits:
        await asyncio.sleep(vault.announced)
    vault.forget()


@commands.command()
def reindex() -> None:
    """Make the indexes by which beneficiaries are found with WISER_INDEX_KEY. Nothing may be served
    meanwhile: a row is found by one key or the other. May be stopped and begun again.
    """
    asyncio.run(_at_length(settings_of_environment(), "reindex", None, _reindex, erased=False))


async def _reindex(engine: AsyncEngine, organization_id: UUID, name: str) -> Detail:
    count = await reindexing.reindex(engine, organization_id, index_of(engine))
    print(f"{name}: {count} rows indexed anew")
    return {"rows": count}


@commands.command()
def check(only: _Only = None) -> None:
    """Open every sealed value, as after a restore; print where one does not open, and fail.

    Organizations that were erased are left out; named by --organization, one is looked at.
    """
    failed = asyncio.run(_check(settings_of_environment(), only))
    if failed:
        raise typer.Exit(1)


async def _check(settings: Settings, only: str | None) -> int:
    counted = {"opened": 0, "failed": 0}

    async def act(engine: AsyncEngine, organization_id: UUID, name: str) -> Detail:
        here = {"opened": 0, "failed": 0}
        for kind in rotation.EVERYTHING:
            values = rotation.SealedRows(engine, organization_id).check(kind)
            async for column, row, opens in values:
                here["opened" if opens else "failed"] += 1
                if not opens:
                    told = f"{kind.table}.{column}" if column else kind.table
                    how = "closed" if column else "gone"
                    print(f"{name}: {told} {' '.join(map(str, row))}: {how}")
        for word, number in here.items():
            counted[word] += number
        return dict(here)

    await _at_length(settings, "check", only, act, erased=False)
    print(f"{counted['opened']} values open, {counted['failed']} do not")
    return counted["failed"]


@commands.command()
def erase(
    name: Annotated[str, typer.Option("--organization", help="A closed one.")],
    because: Annotated[str, typer.Option(help="Kept with the key: by whose order, say.")],
    key: Annotated[
        int | None, typer.Option(help="This retired key alone, which seals nothing any more.")
    ] = None,
    destroy: Annotated[
        bool, typer.Option("--destroy-its-data", help="Said by whoever knows what follows.")
    ] = False,
) -> None:
    """Destroy data keys, and with them whatever they sealed, in backups too that do not hold the
    keys. It cannot be undone. With --key nothing is lost: one that still seals anything is refused.
    """
    if (key is None) != destroy:
        raise typer.BadParameter("name a --key that seals nothing, or say --destroy-its-data")
    asyncio.run(_erase(settings_of_environment(), name, key, because))


async def _erase(settings: Settings, name: str, key: int | None, because: str) -> None:
    async def act(db: AsyncConnection, organization_id: UUID, name: str) -> Detail:
        there = await rotation.keys_of(db, organization_id)
        if key is None:
            await _refuse_active(db, organization_id)
            gone = [each.number for each in there if each.state != "erased"]
        else:
            await _refuse_in_use(db, organization_id, there, key)
            gone = [key]
        await rotation.erase(db, organization_id, gone, because)
        print(f"{name}: {len(gone)} erased")
        return {"keys": len(gone), "key": key}

    await _at_once(settings, "erase", name, act)


async def _refuse_active(db: AsyncConnection, organization_id: UUID) -> None:
    query = select(organization.c.active).where(organization.c.id == organization_id)
    if await db.scalar(query):
        raise Conflict("Close the organization first: its clients would meet errors.")


async def _refuse_in_use(
    db: AsyncConnection, organization_id: UUID, there: list[rotation.KeyFacts], key: int
) -> None:
    if (key, "retired") not in [(each.number, each.state) for each in there]:
        raise Conflict(f"Key {key} is no retired key of this organization.")
    await _refuse_in_flight(db, there)
    left = [
        await rotation.sealed_by(db, organization_id, kind, key) for kind in rotation.EVERYTHING
    ]
    if sum(left):
        raise Conflict(f"Key {key} still seals {sum(left)} rows: `keys reseal` first.")


async def _refuse_in_flight(db: AsyncConnection, there: list[rotation.KeyFacts]) -> None:
    """Whoever took the key while it sealed may store with it after its rows were counted."""
    present = next(each for each in there if each.state == "active")
    allowed = present.usable_from + rotation.IN_FLIGHT
    if (await db.execute(select(func.now()))).scalar_one() < allowed:
        raise Conflict(
            f"Key {present.number} has been in use for too short a time, and what an older one"
            f" seals may be on its way: erase that from {allowed:%Y-%m-%d %H:%M:%S} UTC on."
        )


async def _at_once(
    settings: Settings, command: str, only: str | None, act: AtOnce, *, erased: bool = True
) -> None:
    async with as_owner(settings, f"keys {command}") as engine:
        for organization_id, name in await _organizations(engine, settings, only, erased=erased):
            async with transaction(engine, organization_id) as db:
                detail = await act(db, organization_id, name)
                await write(db, _audit(command, "done", organization_id, detail))


async def _at_length(
    settings: Settings, command: str, only: str | None, act: AtLength, *, erased: bool = True
) -> None:
    async with as_owner(settings, f"keys {command}") as engine:
        for organization_id, name in await _organizations(engine, settings, only, erased=erased):
            async with transaction(engine, organization_id) as db:
                await write(db, _audit(command, "begun", organization_id, {}))
            detail = await act(engine, organization_id, name)
            async with transaction(engine, organization_id) as db:
                await write(db, _audit(command, "done", organization_id, detail))


def _audit(command: str, outcome: str, organization_id: UUID, detail: Detail) -> AuditRow:
    return AuditRow(
        request_id=uuid4(),
        action=f"data-key.{command}",
        outcome=outcome,
        organization_id=organization_id,
        detail=detail,
    )


async def _organizations(
    engine: AsyncEngine, settings: Settings, only: str | None, *, erased: bool = True
) -> list[tuple[UUID, str]]:
    """Every organization, without `erased` but for those whose keys were destroyed, or the one of
    this name. Raises NotFound, NotReady.
    """
    query = select(organization.c.id, organization.c.name).order_by(organization.c.name)
    if only is not None:
        query = query.where(organization.c.name == only)
    async with transaction(engine) as db:
        await migrate.check_mode(db, settings.mode)
        found = [(row.id, row.name) for row in await db.execute(query)]
    if only is not None and not found:
        raise NotFound("organization")
    if erased or only is not None:
        return found
    return [each for each in found if not await _left_out(engine, *each)]


async def _left_out(engine: AsyncEngine, organization_id: UUID, name: str) -> bool:
    async with transaction(engine, organization_id) as db:
        erased = await is_erased(db, organization_id)
    if erased:
        print(f"{name}: left out, its keys were erased", file=sys.stderr)
    return erased
