"""The tables of UDAP: whose members are all taken in, who may register, and who did.

A mirror of what the migrations make, as `db.base` is.
"""

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.types import Boolean

from wiser_fhir.db.columns import column, default, instant, maybe, metadata, organization_key

udap_community = Table(
    "udap_community",
    metadata,
    Column("community", Text, primary_key=True),
    Column("organization_id", Uuid, ForeignKey("organization.id"), nullable=False),
    column("scopes", ARRAY(Text)),
)

udap_registrant = Table(
    "udap_registrant",
    metadata,
    Column("community", Text, nullable=False),
    Column("iss", Text, nullable=False),
    Column("organization_id", Uuid, ForeignKey("organization.id"), nullable=False),
    column("scopes", ARRAY(Text)),
    default("active", Boolean, "true"),
    default("revision", Integer, "1"),
    PrimaryKeyConstraint("community", "iss"),
)

udap_registration = Table(
    "udap_registration",
    metadata,
    Column("client_id", Uuid, primary_key=True),
    organization_key(),
    column("community", Text),
    column("iss", Text),
    column("client_name", Text),
    column("contacts", ARRAY(Text)),
    maybe("logo_uri"),
    column("certificate", Text),
    default("registered_at", instant, "now()"),
    default("changed_at", instant, "now()"),
    maybe("cancelled_at", instant),
    ForeignKeyConstraint(
        ["organization_id", "client_id"],
        ["client.organization_id", "client.id"],
        name="fk_udap_registration_client",
    ),
    Index(
        "uq_udap_registration_live",
        "community",
        "iss",
        unique=True,
        postgresql_where=text("cancelled_at is null"),
    ),
)
