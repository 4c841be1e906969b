"""The made-up tenant of the sandbox: read from `tenant.toml`, written where it is missing."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Literal, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator
from sqlalchemy import Table, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth import cds_clients
from wiser_fhir.auth.cds_clients import Registration
from wiser_fhir.auth.scopes import ALL_SCOPES, grants
from wiser_fhir.coverage.frozen import Frozen, StateCode, Words
from wiser_fhir.coverage.loading import read
from wiser_fhir.db.base import client, clinician, organization
from wiser_fhir.db.migrate import check_mode
from wiser_fhir.fhir.elements import Json
from wiser_fhir.priorauth.registry import RegistryFile

# Everything that belongs to an organization. The audit trail, organizations and clients stay.
_EMPTIED = (
    "message", "prior_auth_case", "submission", "determination", "case_item", "case_party", "utn",
    "document", "notification", "hook_call", "coverage_assertion", "hook_card", "card_feedback",
    "questionnaire_error",
)  # fmt: skip


class OrganizationRecord(Frozen):
    """An organization that sends requests."""

    id: UUID = Field(strict=False)
    name: Words
    kind: Literal["provider", "clearinghouse"]
    acts_for: Literal["own", "named", "all"]
    npis: tuple[Words, ...] = ()


class ClientRecord(Frozen):
    """A system of an organization."""

    id: UUID = Field(strict=False)
    organization: UUID = Field(strict=False)
    name: Words
    scopes: tuple[str, ...] = ALL_SCOPES

    @field_validator("scopes")
    @classmethod
    def _can_be_granted(cls, scopes: tuple[str, ...]) -> tuple[str, ...]:
        grants(scopes)
        return scopes


class CdsClientRecord(Frozen):
    """A client, by its name, that calls hooks. Its keys are not in the file."""

    client: Words
    iss: Words
    fhir_servers: tuple[Words, ...]


class ClinicianRecord(Frozen):
    """A reviewing clinician and the licence that makes a determination theirs to make."""

    id: UUID = Field(strict=False)
    name: Words
    licence_number: Words
    licence_state: StateCode
    licence_expires: date


class Tenant(Frozen):
    """The tenant as the file holds it."""

    organizations: tuple[OrganizationRecord, ...]
    clients: tuple[ClientRecord, ...]
    cds_clients: tuple[CdsClientRecord, ...]
    clinicians: tuple[ClinicianRecord, ...]
    registry: RegistryFile

    @classmethod
    def load(cls, file: Path | None = None) -> "Tenant":
        """The tenant in `file`, or the one beside this module. Raises CatalogueError."""
        return read(cls, file or Path(__file__).with_name("tenant.toml"))

    @model_validator(mode="after")
    def _names_its_clients(self) -> Self:
        unknown = {each.client for each in self.cds_clients} - {each.name for each in self.clients}
        if unknown:
            raise ValueError(f"no such client: {', '.join(sorted(unknown))}")
        return self

    async def seed(self, db: AsyncConnection) -> None:
        """Write organizations, clients and clinicians, as the owner role. Again does no harm."""
        for record in self.organizations:
            await _put(db, organization, record.model_dump())
        for each in self.clients:
            row = each.model_dump(exclude={"organization"})
            await _put(db, client, {**row, "organization_id": each.organization})
        for person in self.clinicians:
            await _put(db, clinician, person.model_dump())

    async def seed_cds_clients(
        self, db: AsyncConnection, jwks: Json, origins: Sequence[str] = ()
    ) -> None:
        """Register what calls hooks with these public keys, as the owner role, after `seed`.

        Each may be called back at its own FHIR servers and anywhere at `origins`.
        """
        owners = {each.name: (each.id, each.organization) for each in self.clients}
        for record in self.cds_clients:
            servers = (*record.fhir_servers, *origins)
            registration = Registration(record.iss, jwks=jwks, fhir_servers=servers)
            await cds_clients.seed(db, *owners[record.client], registration)


async def _put(db: AsyncConnection, table: Table, row: dict[str, object]) -> None:
    row = {name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}
    changes = {name: value for name, value in row.items() if name != "id"}
    statement = insert(table).values(row).on_conflict_do_update(index_elements=["id"], set_=changes)
    await db.execute(statement)


async def empty(db: AsyncConnection) -> None:
    """Delete every case and what hangs on it, as the owner role. The sandbox alone may do that.

    Rows that are never deleted are guarded by triggers, which the owner sets aside for the
    transaction. The database itself says whether it is a sandbox's. Raises NotReady.
    """
    await check_mode(db, "sandbox")
    guarded = [f"alter table {table} {{}} trigger user" for table in _EMPTIED]
    for statement in guarded:
        await db.execute(text(statement.format("disable")))
    await db.execute(text(f"truncate {', '.join(_EMPTIED)}"))
    for statement in guarded:
        await db.execute(text(statement.format("enable")))
