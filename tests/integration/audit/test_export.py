"""The trail for somebody else: whole or not at all, without a gap, however long it takes."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.integration.audit.chained import Chained
from wiser_fhir.audit import export
from wiser_fhir.audit.export import Export
from wiser_fhir.audit.review import WeeklyReview
from wiser_fhir.clock import utc_now
from wiser_fhir.db.embedded import Urls
from wiser_fhir.db.engine import asyncpg_url

ORIGIN = "https://payer.example"
DAY = timedelta(days=1)


@pytest.fixture
async def impatient(database: Urls) -> AsyncIterator[AsyncEngine]:
    """The owner role, to whom a request's limits come early."""
    limits = {"statement_timeout": "200ms", "timezone": "UTC"}
    engine = create_async_engine(
        asyncpg_url(database.owner),
        connect_args={"server_settings": limits, "command_timeout": 0.2},
    )
    yield engine
    await engine.dispose()


async def busy(superuser: AsyncEngine, table: str, ready: asyncio.Event) -> None:
    """Have everybody who reads a table wait for longer than those limits."""
    async with superuser.begin() as db:
        await db.execute(text(f"lock table {table} in access exclusive mode"))
        ready.set()
        await asyncio.sleep(0.6)


def today() -> datetime:
    """Its first instant."""
    now = utc_now()
    return datetime.combine(now.date(), time(), now.tzinfo)


async def exported(engine: AsyncEngine, out: Path) -> list[int]:
    """The sequences of what an export of today has."""
    count = await Export(engine, ORIGIN).write(today(), today() + DAY, out, fhir=False)
    lines = (await asyncio.to_thread(out.read_text)).splitlines()
    assert count == len(lines)
    return [json.loads(line)["sequence"] for line in lines]


async def test_sequences_have_no_gap_whatever_the_time_of_a_row(
    chained: Chained, owner_engine: AsyncEngine, tmp_path: Path
) -> None:
    await chained.write(6)
    await chained.seal()
    ids = await chained.ids()
    for audit_id in (ids[0], ids[2], ids[5]):
        later = f"at = at + interval '2 days' where id = {audit_id}"
        await chained.tamper(f"update audit_event set {later}")  # noqa: S608
    assert await exported(owner_engine, tmp_path / "out.ndjson") == [2, 3, 4, 5]


async def test_days_without_a_row_are_an_empty_file(
    chained: Chained, owner_engine: AsyncEngine, tmp_path: Path
) -> None:
    assert await exported(owner_engine, tmp_path / "out.ndjson") == []


async def test_an_export_takes_its_time(
    chained: Chained,
    impatient: AsyncEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(export, "BATCH", 2)
    await chained.write(5)
    await chained.seal()
    ready = asyncio.Event()
    lock = asyncio.create_task(busy(chained.superuser, "audit_seal", ready))
    await ready.wait()
    assert await exported(impatient, tmp_path / "out.ndjson") == [1, 2, 3, 4, 5]
    await lock


async def test_nothing_stays_of_an_export_that_fails(
    chained: Chained,
    owner_engine: AsyncEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await chained.write(3)
    await chained.seal()
    folder = tmp_path / "exports"
    folder.mkdir()

    def full(_: object) -> bytes:
        [part] = folder.iterdir()
        assert part.suffix == ".part"
        raise OSError("no space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="no space"):
        patched.setattr(export, "_sealed", full)
        await exported(owner_engine, folder / "out.ndjson")
    assert list(folder.iterdir()) == []
    assert await exported(owner_engine, folder / "out.ndjson") == [1, 2, 3]
    assert [each.name for each in folder.iterdir()] == ["out.ndjson"]


def written(folder: Path) -> dict[str, str]:
    return {each.name: each.read_text() for each in folder.iterdir()}


async def test_what_somebody_else_wrote_meanwhile_stays(
    chained: Chained,
    owner_engine: AsyncEngine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await chained.write(1)
    await chained.seal()
    folder = tmp_path / "exports"
    folder.mkdir()
    out = folder / "out.ndjson"

    def meanwhile(_: object) -> bytes:
        out.write_text("another's")
        return b"{}"

    monkeypatch.setattr(export, "_sealed", meanwhile)
    with pytest.raises(FileExistsError):
        await Export(owner_engine, "https://payer.example").write(
            today(), today() + DAY, out, fhir=False
        )
    assert written(folder) == {"out.ndjson": "another's"}


async def test_a_report_takes_its_time(chained: Chained, impatient: AsyncEngine) -> None:
    await chained.write(5)
    ready = asyncio.Event()
    lock = asyncio.create_task(busy(chained.superuser, "audit_event", ready))
    await ready.wait()
    assert "  5 claim.submit affirmed" in await WeeklyReview(impatient).lines(today() + DAY)
    await lock
