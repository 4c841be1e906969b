"""Tables of the authorization server: clients' keys, their assertions, certificates taken back."""

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import Boolean

from wiser_fhir.db.columns import column, default, instant, maybe, metadata, organization_key


def _of_client(table: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["organization_id", "client_id"],
        ["client.organization_id", "client.id"],
        name=f"fk_{table}_client",
    )


client_key = Table(
    "client_key",
    metadata,
    Column("client_id", Uuid, primary_key=True),
    organization_key(),
    maybe("jwks_url"),
    maybe("jwks", JSONB),
    default("active", Boolean, "true"),
    default("revision", Integer, "1"),
    _of_client("client_key"),
)

client_assertion = Table(
    "client_assertion",
    metadata,
    Column("iss", Text, nullable=False),
    Column("jti", Text, nullable=False),
    column("expires_at", instant),
    PrimaryKeyConstraint("iss", "jti"),
    Index("ix_client_assertion_expires_at", "expires_at"),
)

external_client = Table(
    "external_client",
    metadata,
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    column("client_id", Uuid),
    organization_key(),
    default("active", Boolean, "true"),
    PrimaryKeyConstraint("issuer", "subject"),
    _of_client("external_client"),
)

revoked_certificate = Table(
    "revoked_certificate",
    metadata,
    Column("thumbprint", Text, primary_key=True),
    column("revoked_at", instant),
    column("reason", Text),
)
