"""A chain over real rows: written as the application writes, sealed, verified, tampered with."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.integration.audit.chained import MASTER, Chained
from wiser_fhir.audit.chain import Keyring
from wiser_fhir.audit.checkpoints import CheckpointFolder, SigningKeys, new_signing_key
from wiser_fhir.audit.verifying import Verifier
from wiser_fhir.clock import utc_now


@pytest.fixture(scope="session")
def signers() -> SigningKeys:
    """The key that signs checkpoints."""
    return SigningKeys.read(new_signing_key().decode())


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    """Where checkpoints go."""
    path = tmp_path / "checkpoints"
    path.mkdir()
    return CheckpointFolder(path)


@pytest.fixture
def chained(
    app_engine: AsyncEngine,
    superuser_engine: AsyncEngine,
    signers: SigningKeys,
    folder: CheckpointFolder,
    clean_database: None,
) -> Chained:
    """The trail of this test."""
    return Chained(app_engine, superuser_engine, signers, folder)


Verify = Callable[..., Verifier]


@pytest.fixture
def verifier(owner_engine: AsyncEngine, signers: SigningKeys, folder: CheckpointFolder) -> Verify:
    """Makes a verifier, as the owner role; by default with all keys, half a day from now."""

    def make(
        keys: Keyring | None = None, *, checkpoints: bool = True, later: timedelta = timedelta()
    ) -> Verifier:
        def clock() -> datetime:
            return utc_now() + later

        return Verifier(
            owner_engine,
            keys or Keyring.of(MASTER),
            clock,
            folder if checkpoints else None,
            signers if checkpoints else None,
            batch=3,
        )

    return make
