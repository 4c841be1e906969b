"""What a sandbox has sealed, opened and sealed for other rows, with the keys of its folder."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final
from uuid import UUID

from bench import database
from wiser_fhir.db.blind import BlindIndex
from wiser_fhir.db.engine import create_engine
from wiser_fhir.db.envelope import DataKey, KeyRing, about
from wiser_fhir.db.rotation import EVERYTHING
from wiser_fhir.db.vault import Vault

Keys = Mapping[UUID, DataKey]

# The sealed columns of each table. All have rows that are named by their `id`.
COLUMNS: Final = {
    table: tuple(name for kind in EVERYTHING if kind.table == table for name in kind.columns)
    for table in {kind.table for kind in EVERYTHING if kind.key == ("id",)}
}


async def keys(data_dir: Path, organizations: Iterable[UUID]) -> Keys:
    """The data key of each organization, made where there was none. The database has to run."""
    vault = Vault(KeyRing((data_dir / "secrets.key").read_bytes()))
    engine = create_engine(database.superuser_url(data_dir), pool_size=1, vault=vault)
    try:
        return {each: await vault.key(engine, each) for each in organizations}
    finally:
        await engine.dispose()


def index(data_dir: Path) -> BlindIndex:
    """What stands in the place of members' numbers."""
    return BlindIndex((data_dir / "index.key").read_bytes())


def opened(key: DataKey, table: str, row: Mapping[str, Any]) -> dict[str, bytes | None]:
    """What the sealed columns of a row hold; bodies stay compressed. Raises CannotOpen."""
    return {
        column: None
        if row[column] is None
        else key.open(row[column], about(table, column, row["id"]))
        for column in COLUMNS[table]
    }
