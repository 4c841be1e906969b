"""`wiser-fhir keys` on a database of its own settings."""

import asyncio
import csv
import io
from base64 import b64encode
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from tests.database import MakeCase, MakeOrganization
from tests.vaults import ENVIRONMENT, SECRET
from wiser_fhir.auth import organizations
from wiser_fhir.auth.registration import RegistrationRefused
from wiser_fhir.cli import cli
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.envelope import CannotOpen, KeyRing
from wiser_fhir.errors import Conflict, NotFound

Run = Callable[..., Awaitable[Result]]
# As if the keys that there are had been made ten minutes earlier.
TEN = "interval '10 minutes'"
LONG_USED = f"created_at = created_at - {TEN}, usable_from = usable_from - {TEN}"
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
    await change_keys(superuser, organization, "usable_from = created_at")


async def change_keys(superuser: AsyncEngine, organization: UUID, words: str) -> None:
    """Past the rule that a key stands."""
    async with superuser.begin() as db:
        await db.execute(text("set local session_replication_role = replica"))
        change = f"update data_key set {words} where organization_id = :id"  # noqa: S608
        await db.execute(text(change), {"id": organization})


@pytest.fixture
async def erased(
    run: Run,
    make_organization: MakeOrganization,
    make_case: MakeCase,
    superuser_engine: AsyncEngine,
) -> UUID:
    """One with two keys and what they sealed, all of it destroyed. By name it is before `Ours`."""
    organization_id = await make_organization("Closed")
    await make_case(organization_id=organization_id)
    await run("rotate", "--organization", "Closed")
    await usable_at_once(superuser_engine, organization_id)
    async with superuser_engine.begin() as db:
        await db.execute(text("update organization set active = false where name = 'Closed'"))
    erase = ("erase", "--organization", "Closed", "--because", "its contract ended")
    done = await run(*erase, "--destroy-its-data")
    assert done.stdout == "Closed: 2 erased\n"
    return organization_id


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
    await change_keys(superuser_engine, organization, LONG_USED)
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


async def test_a_key_is_erased_once_nobody_can_be_storing_with_it(
    run: Run, organization: UUID, superuser_engine: AsyncEngine
) -> None:
    erase = ("erase", "--organization", "Ours", "--because", "yearly", "--key", "1")
    await run("rotate", "--organization", "Ours")
    await usable_at_once(superuser_engine, organization)
    await run("reseal", "--organization", "Ours")
    [_, present] = await listed(run)
    allowed = datetime.fromisoformat(present["usable_from"]) + timedelta(minutes=10)
    refused = await run(*erase)
    assert isinstance(refused.exception, Conflict)
    assert f"from {allowed:%Y-%m-%d %H:%M:%S} UTC on" in str(refused.exception)
    await change_keys(superuser_engine, organization, LONG_USED)
    assert (await run(*erase)).stdout == "Ours: 1 erased\n"


async def test_the_erased_keep_nobody_from_a_new_key(
    run: Run, erased: UUID, organization: UUID, superuser_engine: AsyncEngine
) -> None:
    rotated = await run("rotate")
    assert rotated.exit_code == 0, rotated.output
    assert "Ours: key 2" in rotated.stdout.splitlines()
    assert "Closed: left out, its keys were erased" in rotated.stderr.splitlines()
    assert "Closed" not in rotated.stdout
    await usable_at_once(superuser_engine, organization)
    resealed = await run("reseal")
    assert resealed.exit_code == 0, resealed.output
    [told] = [line for line in resealed.stdout.splitlines() if line.startswith("Ours: ")]
    assert told != "Ours: 0 rows sealed anew"
    checked = await run("check")
    assert checked.exit_code == 0, checked.output
    assert checked.stdout.splitlines()[-1].endswith(" values open, 0 do not")
    assert "Closed: left out, its keys were erased" in checked.stderr.splitlines()
    assert isinstance((await run("rotate", "--organization", "Closed")).exception, Conflict)


async def test_the_erased_stay_closed(erased: UUID, superuser_engine: AsyncEngine) -> None:
    async with superuser_engine.begin() as db:
        with pytest.raises(RegistrationRefused, match="erased"):
            await organizations.reopen(db, "Closed")


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
