"""The seals over the audit trail, and what finds rows of it.

A mirror of what the migration makes, as `db.base` is.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, LargeBinary, Table, Text

from wiser_fhir.db.base import audit_event
from wiser_fhir.db.columns import column, instant, metadata

audit_seal = Table(
    "audit_seal",
    metadata,
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("audit_id", BigInteger, ForeignKey("audit_event.id"), nullable=False, unique=True),
    column("mac", LargeBinary),
    column("sealed_at", instant),
    column("key_id", Text),
)

Index("ix_audit_event_order", audit_event.c.xact_id, audit_event.c.id)
Index(
    "ix_audit_event_patient",
    audit_event.c.patient,
    postgresql_using="brin",
    postgresql_ops={"patient": "bytea_bloom_ops"},
)
