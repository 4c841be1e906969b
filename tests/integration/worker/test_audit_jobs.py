"""What a worker does about the audit trail: seals it, vouches for it, looks at it every day."""

import logging
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from joserfc.jwk import ECKey
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.audit.test_recorder import row
from tests.vaults import INDEX, VAULT
from wiser_fhir import work
from wiser_fhir.audit.checkpoints import new_signing_key
from wiser_fhir.audit.recorder import Recorder
from wiser_fhir.audit.sealing import BATCH, TrailSealer
from wiser_fhir.clock import utc_now
from wiser_fhir.db.embedded import Urls
from wiser_fhir.deployment.checks import check_worker
from wiser_fhir.deployment.database import Database
from wiser_fhir.deployment.keys import checkpoint_folder
from wiser_fhir.jobs import Job
from wiser_fhir.settings import Settings, SettingsError
from wiser_fhir.work import work_of

FOUND = "select outcome, detail ->> 'fault-sequence' from audit_event where action = 'audit.verify'"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_env({"WISER_MODE": "sandbox", "WISER_DATA_DIR": str(tmp_path)})


def named(jobs: list[Job], name: str) -> Job:
    return next(job for job in jobs if job.name == name)


async def found(superuser: AsyncEngine) -> list[tuple[str, str | None]]:
    async with superuser.connect() as db:
        return [tuple(each) for each in await db.execute(text(f"{FOUND} order by id"))]


async def test_what_a_worker_leaves_is_sealed_and_vouched_for(
    settings: Settings,
    database: Urls,
    app_engine: AsyncEngine,
    clean_database: None,
    superuser_engine: AsyncEngine,
) -> None:
    reached = Database(database.app, database.owner, VAULT, INDEX)
    async with work_of(settings, reached, utc_now):
        await Recorder(app_engine, bytes(32)).record(row())
    folder = checkpoint_folder(settings)
    assert folder is not None
    [file] = folder.files()
    async with superuser_engine.connect() as db:
        last = await db.scalar(text("select max(sequence) from audit_seal"))
    assert int(file.stem) == last >= 1


async def test_the_trail_is_looked_at_once_a_day_and_a_fault_is_an_error_in_the_log(
    settings: Settings,
    database: Urls,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    clean_database: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = utc_now()
    reached = Database(database.app, database.owner, VAULT, INDEX)
    await Recorder(app_engine, bytes(32)).record(row())
    async with work_of(settings, reached, lambda: now) as jobs:
        assert await named(jobs, "seal-audit").work() == 1
        look = named(jobs, "verify-audit")
        await look.work()
        await look.work()
        assert await found(superuser_engine) == [("sound", None)]
        async with superuser_engine.begin() as db:
            await db.execute(text("set local session_replication_role = replica"))
            await db.execute(text("update audit_event set outcome = 'x' where action like 'r%'"))
        now += timedelta(days=1, minutes=1)
        with caplog.at_level(logging.ERROR, "wiser_fhir"):
            await look.work()
    assert await found(superuser_engine) == [("sound", None), ("changed", "1")]
    errors = [each.message for each in caplog.records if each.levelno == logging.ERROR]
    assert errors == ["audit trail is not as it was written"]


@pytest.mark.parametrize(("rows", "batch"), [(1, BATCH), (3, 1)])
async def test_what_a_killed_worker_left_is_vouched_for_before_it_is_looked_at(
    settings: Settings,
    database: Urls,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    clean_database: None,
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    batch: int,
) -> None:
    monkeypatch.setattr(work, "TrailSealer", partial(TrailSealer, batch=batch))
    reached = Database(database.app, database.owner, VAULT, INDEX)
    for _ in range(rows):
        await Recorder(app_engine, bytes(32)).record(row())
    later = utc_now() + timedelta(hours=3)
    async with work_of(settings, reached, lambda: later) as jobs:
        await named(jobs, "verify-audit").work()
        assert await found(superuser_engine) == [("sound", None)]


async def test_where_nobody_seals_it_is_looked_at_all_the_same(
    settings: Settings,
    database: Urls,
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    clean_database: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(work, "_CATCHING_UP_SECONDS", 2)
    reached = Database(database.app, database.owner, VAULT, INDEX)
    await Recorder(app_engine, bytes(32)).record(row())
    later = utc_now() + timedelta(hours=3)
    async with work_of(settings, reached, lambda: later) as jobs:
        async with superuser_engine.begin() as db:
            await db.execute(text("select pg_advisory_xact_lock(1463898949)"))
            await named(jobs, "verify-audit").work()
        [(outcome, _)] = await found(superuser_engine)
        assert outcome == "unsealed"


def test_a_production_worker_needs_a_key_and_a_folder_for_checkpoints(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        check_worker(Settings.from_env({}))
    assert str(refused.value) == (
        "WISER_AUDIT_SIGNING_KEY: a production worker needs it;"
        " WISER_AUDIT_CHECKPOINTS: a production worker needs it"
    )
    missing = {"WISER_MODE": "sandbox", "WISER_AUDIT_CHECKPOINTS": str(tmp_path / "none")}
    with pytest.raises(SettingsError, match="no such folder"):
        check_worker(Settings.from_env(missing))
    check_worker(Settings.from_env({"WISER_MODE": "sandbox"}))


def test_a_worker_needs_a_key_that_signs(tmp_path: Path) -> None:
    file = tmp_path / "signing.pem"
    given = Settings.from_env(
        {
            "WISER_AUDIT_SIGNING_KEY": str(file),
            "WISER_AUDIT_CHECKPOINTS": str(tmp_path),
        }
    )
    with pytest.raises(SettingsError, match="No such file"):
        check_worker(given)
    file.write_text("no key")
    with pytest.raises(SettingsError, match="WISER_AUDIT_SIGNING_KEY: holds no key in PEM"):
        check_worker(given)
    private = new_signing_key().decode()
    public = ECKey.import_key(private).as_pem(private=False).decode()
    file.write_text(public + private)
    with pytest.raises(SettingsError, match="WISER_AUDIT_SIGNING_KEY: begins with a public key"):
        check_worker(given)
    file.write_text(private + public)
    check_worker(given)


def test_audit_keys_of_earlier_days_are_read_in_their_order() -> None:
    first, second = "YTM0NTY3ODkwMTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM=", "YWFh"
    settings = Settings.from_env({"WISER_AUDIT_KEYS_BEFORE": f"{first}, {first}"})
    assert [len(each.get_secret_value()) for each in settings.audit_keys_before] == [32, 32]
    with pytest.raises(SettingsError, match="WISER_AUDIT_KEYS_BEFORE: needs at least 32 bytes"):
        Settings.from_env({"WISER_AUDIT_KEYS_BEFORE": second})
