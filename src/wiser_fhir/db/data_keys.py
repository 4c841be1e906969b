"""The keys of organizations. A mirror of what the migrations make, as `db.base` is."""

from sqlalchemy import (
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)

from wiser_fhir.db.columns import TransactionId, column, default, instant, maybe, metadata

data_key = Table(
    "data_key",
    metadata,
    Column("organization_id", Uuid, ForeignKey("organization.id"), nullable=False),
    column("id", Integer),
    maybe("wrapped", LargeBinary),
    column("wrapping_key", Text),
    default("created_at", instant, "now()"),
    default("usable_from", instant, "now()"),
    default("made_in", TransactionId(), "pg_current_xact_id()"),
    maybe("erased_at", instant),
    maybe("erased_because"),
    PrimaryKeyConstraint("organization_id", "id"),
)
