"""The made-up tenant of the sandbox: read from `tenant.toml`, written where it is missing."""

from collections.abc import Sequence
from datetime import date
from functools import cache
from pathlib import Path
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator
from sqlalchemy import Table, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from wiser_fhir.auth import cds_clients, client_keys, udap_registrants
from wiser_fhir.auth.cds_clients import Registration
from wiser_fhir.auth.scopes import ALL_SCOPES, grants
from wiser_fhir.coverage.frozen import Frozen, StateCode, Words
from wiser_fhir.coverage.loading import read
from wiser_fhir.db.base import client, organization, person
from wiser_fhir.db.exemptions import OF_EXEMPTIONS
from wiser_fhir.db.migrate import check_mode
from wiser_fhir.db.tables import OF_ORGANIZATIONS
from wiser_fhir.fhir.elements import Json
from wiser_fhir.priorauth.registry import RegistryFile
from wiser_fhir.sandbox.issuer import KNOWN_AS

# Who was linked to an account elsewhere keeps it.
_ACCOUNT = text("""
update person set issuer = :issuer, subject = :subject where id = :id and issuer is null
""")

Role = Literal[
    "clinician", "coordinator", "auditor", "operations", "provider-operator", "provider-admin"
]


class OrganizationRecord(Frozen):
    """An organization that sends requests."""

    id: UUID = Field(strict=False)
    name: Words
    kind: Literal["provider", "clearinghouse", "mac"]
    acts_for: Literal["own", "named", "all"]
    npis: tuple[Words, ...] = ()
    tins: tuple[Words, ...] = ()


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


class PersonRecord(Frozen):
    """Somebody who works here; for a clinician, the licence that makes a determination theirs.

    `organizations` are those the person belongs to, `specialty` a code of the NUCC taxonomy.
    """

    id: UUID = Field(strict=False)
    name: Words
    roles: tuple[Role, ...] = Field(min_length=1)
    licence_number: Words | None = None
    licence_state: StateCode | None = None
    licence_expires: date | None = None
    npi: Words | None = None
    specialty: Words | None = None
    organizations: tuple[Annotated[UUID, Field(strict=False)], ...] = ()

    @model_validator(mode="after")
    def _is_licensed(self) -> Self:
        licence = (self.licence_number, self.licence_state, self.licence_expires)
        if "clinician" in self.roles and None in licence:
            raise ValueError(f"{self.name}: a clinician has a licence")
        return self

    @property
    def subject(self) -> str:
        """What the sandbox's issuer calls the person."""
        return self.name.lower().replace(" ", "-")


class Tenant(Frozen):
    """The tenant as the file holds it. `udap_guests`: whose is who registers by UDAP."""

    udap_guests: UUID = Field(strict=False)
    organizations: tuple[OrganizationRecord, ...]
    clients: tuple[ClientRecord, ...]
    cds_clients: tuple[CdsClientRecord, ...]
    people: tuple[PersonRecord, ...]
    registry: RegistryFile

    @classmethod
    def load(cls, file: Path | None = None) -> "Tenant":
        """The tenant in `file`, or the one beside this module, which is read once.

        Raises CatalogueError.
        """
        return _ours() if file is None else read(cls, file)

    @model_validator(mode="after")
    def _names_its_clients(self) -> Self:
        unknown = {each.client for each in self.cds_clients} - {each.name for each in self.clients}
        if unknown:
            raise ValueError(f"no such client: {', '.join(sorted(unknown))}")
        return self

    async def seed(self, db: AsyncConnection) -> None:
        """Write organizations, clients and people, as the owner role. Again does no harm."""
        await _put(db, organization, [each.model_dump() for each in self.organizations])
        systems = [
            {**each.model_dump(exclude={"organization"}), "organization_id": each.organization}
            for each in self.clients
        ]
        await _put(db, client, systems)
        await _put(db, person, [each.model_dump() for each in self.people])
        known = [
            {"id": each.id, "issuer": KNOWN_AS, "subject": each.subject} for each in self.people
        ]
        await db.execute(_ACCOUNT, known)

    async def seed_client_keys(self, db: AsyncConnection, jwks: Json) -> None:
        """Give every client these public keys for its assertions, as the owner role, after `seed`.

        The sandbox has one key pair: whoever starts it is each of its clients.
        """
        for each in self.clients:
            await client_keys.seed(db, each.id, each.organization, jwks)

    async def seed_udap_guests(self, db: AsyncConnection, communities: Sequence[str]) -> None:
        """Take in every member of these communities, as the owner role, after `seed`."""
        await udap_registrants.take_in_all(db, communities, self.udap_guests, ALL_SCOPES)

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


@cache
def _ours() -> Tenant:
    return read(Tenant, Path(__file__).with_name("tenant.toml"))


async def _put(db: AsyncConnection, table: Table, rows: Sequence[dict[str, object]]) -> None:
    """Write rows of the same columns; of those that are there, make what they say true."""
    statement = insert(table)
    changes = {name: statement.excluded[name] for name in rows[0] if name != "id"}
    upsert = statement.on_conflict_do_update(index_elements=["id"], set_=changes)
    listed = [
        {name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}
        for row in rows
    ]
    await db.execute(upsert, listed)


async def empty(db: AsyncConnection) -> None:
    """Delete every case, what hangs on it and what was earned by it, as the owner role.

    The sandbox alone may do that.

    Rows that are never deleted are guarded by triggers, which the owner sets aside for the
    transaction. The database itself says whether it is a sandbox's. Raises NotReady.
    """
    await check_mode(db, "sandbox")
    # Not the keys: servers that run go on with them.
    tables = (*(table for table in OF_ORGANIZATIONS if table != "data_key"), *OF_EXEMPTIONS)
    guarded = [f"alter table {table} {{}} trigger user" for table in tables]
    for statement in guarded:
        # nosemgrep: sql-with-parameters (a table is no parameter; these names are our own)
        await db.execute(text(statement.format("disable")))
    await db.execute(text(f"truncate {', '.join(tables)}"))
    for statement in guarded:
        # nosemgrep: sql-with-parameters
        await db.execute(text(statement.format("enable")))
