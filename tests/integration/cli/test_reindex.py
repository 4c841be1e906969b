"""`wiser-fhir keys reindex` on a database of its own settings."""

import asyncio
from base64 import b64encode
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncEngine
from typer.testing import CliRunner, Result

from tests.cases import a_submission, an_mbi
from tests.database import MakeCase, MakeOrganization
from tests.vaults import ENVIRONMENT, destroy
from wiser_fhir.cli import cli
from wiser_fhir.db.base import prior_auth_case
from wiser_fhir.db.blind import BlindIndex
from wiser_fhir.db.embedded import Urls
from wiser_fhir.priorauth.models import Beneficiary

ANOTHER = b"another secret of 32 bytes or so"


async def reindexed(database: Urls, folder: Path) -> Result:
    environment = {
        "WISER_MODE": "sandbox",
        "WISER_DATABASE_URL": database.app,
        "WISER_DATABASE_OWNER_URL": database.owner,
        "WISER_DATA_DIR": str(folder),
        **ENVIRONMENT,
        "WISER_INDEX_KEY": b64encode(ANOTHER).decode(),
    }
    return await asyncio.to_thread(CliRunner().invoke, cli, ["keys", "reindex"], env=environment)


async def test_a_beneficiary_is_found_by_the_new_key(
    database: Urls,
    tmp_path: Path,
    make_organization: MakeOrganization,
    make_case: MakeCase,
    superuser_engine: AsyncEngine,
) -> None:
    number, organization = an_mbi(), await make_organization("Ours")
    person = Beneficiary(number, "Doe", "Jane", None)
    await make_case(submission=a_submission(organization, beneficiary=person))
    done = await reindexed(database, tmp_path)
    assert "Ours: 1 rows indexed anew" in done.stdout
    async with superuser_engine.connect() as db:
        found = (await db.execute(select(prior_auth_case.c.mbi))).scalars().all()
    assert found == [BlindIndex(ANOTHER).of(number)]
    assert "Ours: 0 rows indexed anew" in (await reindexed(database, tmp_path)).stdout


async def test_the_erased_keep_nobody_from_being_found(
    database: Urls,
    tmp_path: Path,
    make_organization: MakeOrganization,
    make_case: MakeCase,
    owner_engine: AsyncEngine,
) -> None:
    for name in ("Closed", "Ours"):
        organization = await make_organization(name)
        person = Beneficiary(an_mbi(), "Doe", "Jane", None)
        await make_case(submission=a_submission(organization, beneficiary=person))
        if name == "Closed":
            await destroy(owner_engine, organization)
    done = await reindexed(database, tmp_path)
    assert done.exit_code == 0, done.output
    assert "Ours: 1 rows indexed anew" in done.stdout.splitlines()
    assert "Closed" not in done.stdout
