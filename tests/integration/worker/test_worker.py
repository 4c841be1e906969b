"""The jobs of a deployment: which there are, and the clean-up that only the owner may do."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.database import MakeCase
from tests.vaults import IN_BASE64, INDEX, VAULT
from wiser_fhir.auth.ended import AT_ONCE
from wiser_fhir.db.embedded import Urls
from wiser_fhir.deployment.database import Database
from wiser_fhir.settings import Settings
from wiser_fhir.work import Purge, work_of

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)

OF_CASES = {
    *("assess-exemptions", "assign-utns", "clear-attachments", "escalate", "expire-utns"),
    *("check-documents", "match-claim-documents", "notify", "prepayment", "seal-audit"),
}


def purge(owner: AsyncEngine, now: datetime) -> Purge:
    return Purge(owner, lambda: now)


@pytest.mark.parametrize(
    ("owner", "mode", "more"),
    [
        (
            True,
            "sandbox",
            {
                *("purge-tokens", "renew-sandbox-crl", "scripted-answers", "verify-audit"),
                "write-checkpoint",
            },
        ),
        (False, "production", set()),
    ],
)
async def test_a_deployment_has_these_jobs(
    database: Urls, tmp_path: Path, owner: bool, mode: str, more: set[str]
) -> None:
    settings = Settings.from_env(
        {
            "WISER_MODE": mode,
            "WISER_DATA_DIR": str(tmp_path),
            "WISER_PUBLIC_URL": "https://payer.example",
            "WISER_AUDIT_KEY": IN_BASE64,
        }
    )
    reached = Database(database.app, database.owner if owner else None, VAULT, INDEX)
    async with work_of(settings, reached, lambda: LONG_AGO) as jobs:
        assert {job.name for job in jobs} == OF_CASES | more


async def test_jobs_that_find_nothing_do_nothing(
    database: Urls, tmp_path: Path, clean_database: None
) -> None:
    settings = Settings.from_env({"WISER_MODE": "sandbox", "WISER_DATA_DIR": str(tmp_path)})
    reached = Database(database.app, None, VAULT, INDEX)
    async with work_of(settings, reached, lambda: LONG_AGO) as jobs:
        assert {job.name: done for job in jobs if (done := await job.work())} == {}


async def test_ended_tokens_are_forgotten_after_a_day(
    owner_engine: AsyncEngine, superuser_engine: AsyncEngine, make_case: MakeCase
) -> None:
    case = await make_case()
    async with superuser_engine.begin() as db:
        client = uuid4()
        await db.execute(
            text(
                "insert into client (id, organization_id, name, scopes) values (:c, :o, 'c', '{}')"
            ),
            {"c": client, "o": case.organization_id},
        )
        await db.execute(
            text("insert into access_token values (:h, :c, :o, '{}', :i, :e)"),
            {
                "h": bytes(32),
                "c": client,
                "o": case.organization_id,
                "i": LONG_AGO,
                "e": LONG_AGO + timedelta(hours=1),
            },
        )
    assert await purge(owner_engine, LONG_AGO + timedelta(hours=24))() == 0
    late = LONG_AGO + timedelta(hours=26)
    assert await purge(owner_engine, late)() == 1
    assert await purge(owner_engine, late)() == 0


A_HASH = "decode(lpad(to_hex(n), 64, '0'), 'hex')"
ENDED = {
    "access_token": f"{A_HASH}, :id, :id, '{{}}', :begun, :ended",
    "person_token": f"{A_HASH}, :id, :begun, :ended",
    "sign_in_begun": f"{A_HASH}, {A_HASH}, 'v', 'n', '/', false, :begun, :ended",
    "person_session": f"{A_HASH}, :id, :begun, :begun, :begun, :ended",
    "client_assertion": "'an-ehr', 'a-jti-of-' || n, :ended",
    "cds_jwt": "'iss', 'jti-' || n, 'aud', 'key', null, :ended, 1",
}


async def test_what_has_piled_up_is_forgotten_some_thousand_at_a_time(
    owner_engine: AsyncEngine, superuser_engine: AsyncEngine, clean_database: None
) -> None:
    async with superuser_engine.begin() as db:
        await db.execute(text("set local session_replication_role = replica"))
        for table, values in ENDED.items():
            rows = f"insert into {table} select {values} from generate_series(1, :count) n"  # noqa: S608
            given = {"id": uuid4(), "begun": LONG_AGO, "ended": LONG_AGO + timedelta(minutes=5)}
            known = {name: value for name, value in given.items() if f":{name}" in rows}
            await db.execute(text(rows), {**known, "count": AT_ONCE + 1})
    turns = purge(owner_engine, LONG_AGO + timedelta(days=2))
    assert [await turns() for _ in range(3)] == [AT_ONCE * len(ENDED), len(ENDED), 0]


async def test_ended_hook_jwts_are_forgotten_after_an_hour(
    owner_engine: AsyncEngine, superuser_engine: AsyncEngine, clean_database: None
) -> None:
    async with superuser_engine.begin() as db:
        await db.execute(
            text("insert into cds_jwt values ('iss', 'jti', 'aud', 'key', null, :end, 1)"),
            {"end": LONG_AGO},
        )
    early = LONG_AGO + timedelta(hours=1)
    assert await purge(owner_engine, early)() == 0
    assert await purge(owner_engine, early + timedelta(seconds=1))() == 1


async def test_ended_jwts_of_clients_are_forgotten_after_an_hour(
    owner_engine: AsyncEngine, superuser_engine: AsyncEngine, clean_database: None
) -> None:
    async with superuser_engine.begin() as db:
        await db.execute(
            text("insert into client_assertion values ('an-ehr', 'a-jti-of-it', :end)"),
            {"end": LONG_AGO},
        )
    early = LONG_AGO + timedelta(hours=1)
    assert await purge(owner_engine, early)() == 0
    assert await purge(owner_engine, early + timedelta(seconds=1))() == 1
