"""What every test may ask for: a real Postgres, an organization, a case in it.

One embedded server per test run, shared by the workers of a parallel one; a template database
migrated once; a database per worker cloned from it. `db` is a connection whose changes are rolled
back; what is committed through an engine is emptied after the test by `clean_database`.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, async_sessionmaker
from sqlalchemy.ext.asyncio import AsyncSession as Session

from tests.cases import a_case, a_submission, a_write
from tests.database import (
    MakeCase,
    MakeOrganization,
    empty_tables,
    forget_starts,
    insert_organization,
    run_sql,
)
from tests.vaults import INDEX, VAULT
from wiser_fhir.db import migrate
from wiser_fhir.db.embedded import Embedded, EmbeddedError, Urls
from wiser_fhir.db.engine import create_engine
from wiser_fhir.priorauth.models import CaseStatus, PriorAuthorization, Submission
from wiser_fhir.priorauth.numbers import time_ordered_uuid
from wiser_fhir.priorauth.repository import PriorAuthRepository, SubmitResult

pytest_plugins = ["tests.requirements_plugin"]

TEMPLATE = "wiser_template"
DATA = "PYTEST_WISER_DATA"
FOLDER = "wiser-fhir-tests-"
OWNER = "PYTEST_WISER_DATA_OWNER"


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """One event loop for all async tests and fixtures of a worker."""
    return "asyncio"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process sets up logging; that ends with the test."""
    root = logging.getLogger()
    handlers = list(root.handlers)
    levels = {logger: logger.level for logger in _loggers()}
    yield
    root.handlers = [each for each in root.handlers if each in handlers]
    for logger in _loggers():
        logger.setLevel(levels.get(logger, logging.NOTSET))


def _loggers() -> list[logging.Logger]:
    named = logging.root.manager.loggerDict.values()
    return [logging.root, *(each for each in named if isinstance(each, logging.Logger))]


def pytest_configure() -> None:
    """Name one folder for the servers of this run; workers inherit it."""
    if DATA not in os.environ:
        remove_what_killed_runs_left()
        os.environ[DATA] = tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-")
        os.environ[OWNER] = str(os.getpid())


def remove_what_killed_runs_left() -> None:
    """Stop the servers, and remove the folders, of runs whose process is gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{FOLDER}*-*"):
        owner = folder.name.removeprefix(FOLDER).split("-")[0]
        try:
            ours = folder.stat().st_uid == os.geteuid()
        except FileNotFoundError:
            continue  # its own run has just removed it
        if not (owner.isdigit() and ours) or alive(int(owner)):
            continue
        if (folder / "postgres" / "postgres").exists():
            # Killed while it was being made, or being removed by another run at this moment.
            with suppress(EmbeddedError, OSError):
                Embedded.start(folder / "postgres").stop()
        shutil.rmtree(folder, ignore_errors=True)


def alive(process: int) -> bool:
    """Whether there is a process of this number."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def pytest_unconfigure() -> None:
    """Remove it where it was named, after the last worker has gone."""
    if os.environ.get(OWNER) == str(os.getpid()):
        del os.environ[OWNER]
        shutil.rmtree(os.environ.pop(DATA), ignore_errors=True)


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """A folder that the workers of this run share."""
    return Path(os.environ[DATA])


@pytest.fixture(scope="session")
def postgres(shared_folder: Path) -> Iterator[Embedded]:
    """The embedded server of this test run; the last worker out stops it."""
    with Embedded.start(shared_folder / "postgres") as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Embedded, shared_folder: Path) -> str:
    """A migrated, empty database to clone; the first worker makes it."""
    with (shared_folder / "template.lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        done = shared_folder / "template.done"
        if not done.exists():
            run_sql(postgres, f"create database {TEMPLATE} owner wiser_owner")
            asyncio.run(migrate.upgrade(postgres.urls(TEMPLATE).owner, "sandbox"))
            done.touch()
    return TEMPLATE


@pytest.fixture(scope="session")
def database(postgres: Embedded, template: str) -> Urls:
    """This worker's own migrated database, mode sandbox."""
    name = f"wiser_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"
    run_sql(postgres, f"create database {name} owner wiser_owner template {template}")
    asyncio.run(migrate.upgrade(postgres.urls(name).owner, "sandbox"))  # what no clone inherits
    return postgres.urls(name)


@pytest.fixture
def empty_database(postgres: Embedded) -> Iterator[Urls]:
    """A database of this test alone, not migrated."""
    name = f"wiser_{time_ordered_uuid().hex}"
    run_sql(postgres, f"create database {name} owner wiser_owner")
    yield postgres.urls(name)
    run_sql(postgres, f"drop database {name} with (force)")


@pytest.fixture(scope="session")
async def app_engine(database: Urls) -> AsyncIterator[AsyncEngine]:
    """What the server has: the application role, ten connections."""
    engine = create_engine(database.app, vault=VAULT, index=INDEX)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
async def owner_engine(database: Urls) -> AsyncIterator[AsyncEngine]:
    """The owner of the tables, bound by row-level security like anybody."""
    engine = create_engine(database.owner, pool_size=2, vault=VAULT, index=INDEX)
    yield engine
    await engine.dispose()


@pytest.fixture(scope="session")
async def superuser_engine(database: Urls) -> AsyncIterator[AsyncEngine]:
    """Sees and may do everything: to prepare and to look."""
    engine = create_engine(database.superuser, pool_size=3, vault=VAULT, index=INDEX)
    yield engine
    await engine.dispose()


@pytest.fixture
async def db(superuser_engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A superuser's connection inside a transaction that is rolled back; see `become_app`."""
    async with superuser_engine.connect() as connection:
        outer = await connection.begin()
        yield connection
        await outer.rollback()


@pytest.fixture
async def session(db: AsyncConnection) -> AsyncIterator[Session]:
    """A session that may commit, and is rolled back all the same."""
    maker = async_sessionmaker(db, join_transaction_mode="create_savepoint", expire_on_commit=False)
    async with maker() as session:
        yield session


@pytest.fixture
async def clean_database(superuser_engine: AsyncEngine) -> AsyncIterator[None]:
    """Empties every table when the test is over. For tests over committed rows.

    What the start of an application left on the audit trail goes before.
    """
    await forget_starts(superuser_engine)
    yield
    await empty_tables(superuser_engine)


@pytest.fixture
def make_organization(superuser_engine: AsyncEngine, clean_database: None) -> MakeOrganization:
    """Commits an organization, a clearinghouse for all providers unless told otherwise."""

    async def make(
        name: str = "Test clearinghouse",
        kind: str = "clearinghouse",
        acts_for: str = "all",
        npis: tuple[str, ...] = (),
    ) -> UUID:
        async with superuser_engine.begin() as connection:
            return await insert_organization(connection, name, kind, acts_for, npis)

    return make


@pytest.fixture
def make_case(app_engine: AsyncEngine, make_organization: MakeOrganization) -> MakeCase:
    """Commits a case by the hot write: `await make_case(status=..., service=...)`.

    Without `organization_id` in a new organization. `submission` may be given whole.
    """

    async def make(
        status: CaseStatus = CaseStatus.AFFIRMED,
        organization_id: UUID | None = None,
        submission: Submission | None = None,
        request_body: bytes = b'{"resourceType": "Bundle", "id": 100.10}',
        answer: bytes = b'{"resourceType": "Bundle"}',
        **changes: object,
    ) -> PriorAuthorization:
        if submission is None:
            submission = a_submission(organization_id or await make_organization())
        case = a_case(submission, status, **changes)
        written = await PriorAuthRepository(app_engine).submit(
            a_write(submission, case, request_body, answer)
        )
        assert written.result is SubmitResult.STORED
        return case

    return make
