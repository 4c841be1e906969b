"""`wiser-fhir keys` on a database of its own settings."""

import asyncio
import csv
import io
from base64 import b64encode
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from tests.database import MakeCase, MakeOrganization
from tests.vaults import ENVIRONMENT, SECRET
from wiser_fhir.cli import cli
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.envelope import CannotOpen, KeyRing
from wiser_fhir.errors import Conflict, NotFound

Run = Callable[..., Awaitable[Result]]
ANOTHER = b"another secret of 32 bytes or so"
CHANGED = {
    "WISER_SECRETS_KEY": b64encode(ANOTHER).decode(),
    "WISER_SECRETS_KEYS_BEFORE": b64encode(SECRET).decode(),
}


@pytest.fixture
def run(database: Urls, tmp_path: Path) -> Run:
    """A command in a sandbox on this worker's database."""
    environment = {
        "WISER_MODE": "sandbox",
        "WISER_DATABASE_URL": database.app,
        "WISER_DATABASE_OWNER_URL": database.owner,
        "WISER_DATA_DIR": str(tmp_path),
        **ENVIRONMENT,
    }

    async def invoke(*arguments: str, **changes: str) -> Result:
        runner = CliRunner()
        env = {**environment, **changes}
        return await asyncio.to_thread(runner.invoke, cli, ["keys", *arguments], env=env)

    return invoke


@pytest.fixture
async def organization(make_organization: MakeOrganization, make_case: MakeCase) -> UUID:
    """One with a case, and so with a key."""
    organization_id = await make_organization("Ours")
    await make_case(organization_id=organization_id)
    return organization_id


async def listed(run: Run) -> list[dict[str, str]]:
    done = await run("list", "--organization", "Ours")
    assert done.exit_code == 0, done.output
    return list(csv.DictReader(io.StringIO(done.stdout)))


async def audited(superuser: AsyncEngine) -> list[Any]:
    query = "select action, outcome, detail from audit_event where action like 'data-key.%'"
    async with superuser.connect() as db:
        return [tuple(row) for row in await db.execute(text(f"{query} order by id"))]


async def usable_at_once(superuser: AsyncEngine, organization: UUID) -> None:
    """As if half a minute had gone by since a key was announced."""
    async with superuser.begin() as db:
        await db.execute(text("set local session_replication_role = replica"))
        words = "update data_key set usable_from = created_at where organization_id = :id"
        await db.execute(text(words), {"id": organization})


async def test_a_new_key_is_listed_as_announced_and_audited(
    run: Run, organization: UUID, superuser_engine: AsyncEngine
) -> None:
    done = await run("rotate", "--organization", "Ours")
    assert done.stdout == "Ours: key 2\n"
    assert [(key["number"], key["state"]) for key in await listed(run)] == [
        ("1", "active"),
        ("2", "announced"),
    ]
    assert await audited(superuser_engine) == [("data-key.rotate", "done", {"key": 2})]
    again = await run("rotate", "--organization", "Ours")
    assert isinstance(again.exception, Conflict)
    assert len(await audited(superuser_engine)) == 1


async def test_the_wrapping_key_is_changed_for_all(
    run: Run, organization: UUID, superuser_engine: AsyncEngine
) -> None:
    [before] = await listed(run)
    assert before["wrapping_key"] == KeyRing(SECRET).current
    done = await run("rewrap", "--organization", "Ours", **CHANGED)
    assert done.stdout == f"Ours: 1 wrapped with {KeyRing(ANOTHER).current}\n"
    [after] = await listed(run)
    assert after["wrapping_key"] == KeyRing(ANOTHER).current
    [(action, outcome, detail)] = await audited(superuser_engine)
    assert (action, outcome, detail["keys"]) == ("data-key.rewrap", "done", 1)
    lacking = await run("check", "--organization", "Ours")
    assert isinstance(lacking.exception, CannotOpen)
    sound = await run(
        "check", "--organization", "Ours", WISER_SECRETS_KEY=CHANGED["WISER_SECRETS_KEY"]
    )
    assert sound.exit_code == 0, sound.output
    assert " values open, 0 do not" in sound.stdout


async def test_a_value_that_was_moved_is_found_by_the_check(
    run: Run, organization: UUID, superuser_engine: AsyncEngine
) -> None:
    async with superuser_engine.begin() as db:
        await db.execute(text("set local session_replication_role = replica"))
        await db.execute(
            text(
                "update message m set body = o.body from message o"
                " where m.direction = 'in' and o.direction = 'out'"
            )
        )
    done = await run("check", "--organization", "Ours")
    assert done.exit_code == 1
    first, last = done.stdout.splitlines()
    assert first.startswith("Ours: message.body ")
    assert last.endswith(" values open, 1 do not")


async def test_a_retired_key_is_erased_once_it_seals_nothing(
    run: Run, organization: UUID, superuser_engine: AsyncEngine
) -> None:
    erase = ("erase", "--organization", "Ours", "--because", "yearly", "--key", "1")
    assert isinstance((await run(*erase)).exception, Conflict)  # the active one
    await run("rotate", "--organization", "Ours")
    await usable_at_once(superuser_engine, organization)
    refused = await run(*erase)
    assert "still seals" in str(refused.exception)
    resealed = await run("reseal", "--organization", "Ours")
    assert resealed.exit_code == 0, resealed.output
    assert (await run(*erase)).stdout == "Ours: 1 erased\n"
    assert [(key["state"], key["why"]) for key in await listed(run)] == [
        ("erased", "yearly"),
        ("active", ""),
    ]
    assert (await run("check", "--organization", "Ours")).exit_code == 0
    actions = [(action, outcome) for action, outcome, _ in await audited(superuser_engine)]
    assert actions == [
        ("data-key.rotate", "done"),
        ("data-key.reseal", "begun"),
        ("data-key.reseal", "done"),
        ("data-key.erase", "done"),
        ("data-key.check", "begun"),
        ("data-key.check", "done"),
    ]


async def test_data_is_destroyed_with_its_keys_for_a_closed_organization_alone(
    run: Run, organization: UUID, superuser_engine: AsyncEngine
) -> None:
    erase = ("erase", "--organization", "Ours", "--because", "its contract ended")
    assert (await run(*erase)).exit_code == 2
    open_still = await run(*erase, "--destroy-its-data")
    assert isinstance(open_still.exception, Conflict)
    async with superuser_engine.begin() as db:
        await db.execute(text("update organization set active = false where name = 'Ours'"))
    assert (await run(*erase, "--destroy-its-data")).exit_code == 0
    done = await run("check", "--organization", "Ours")
    assert done.exit_code == 1
    assert " 0 values open, " in f" {done.stdout.splitlines()[-1]}"


async def test_an_organization_there_is_not_is_refused(run: Run, organization: UUID) -> None:
    assert isinstance((await run("rotate", "--organization", "Nobody")).exception, NotFound)
