"""The tables of exemptions, and what finds rows by their time.

A mirror of what the migrations make, as `db.base` is.
"""

from sqlalchemy import (
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
)

from wiser_fhir.db.base import audit_event, determination
from wiser_fhir.db.columns import column, instant, maybe, metadata

exemption_assessment = Table(
    "exemption_assessment",
    metadata,
    Column("quarter", Date, primary_key=True),
    column("rate", Numeric),
    column("min_requests", Integer),
    column("assessed_at", instant),
)

exemption_tally = Table(
    "exemption_tally",
    metadata,
    Column("quarter", Date, ForeignKey("exemption_assessment.quarter"), nullable=False),
    Column("npi", Text, nullable=False),
    column("decided", Integer),
    column("affirmed", Integer),
    PrimaryKeyConstraint("quarter", "npi"),
)

exemption = Table(
    "exemption",
    metadata,
    Column("id", Uuid, primary_key=True),
    column("npi", Text),
    column("quarter", Date),
    column("first_day", Date),
    maybe("last_day", Date),
    column("checked_on", Date),
    ForeignKeyConstraint(
        ["quarter", "npi"],
        ["exemption_tally.quarter", "exemption_tally.npi"],
        name="fk_exemption_exemption_tally",
    ),
)

exemption_notice = Table(
    "exemption_notice",
    metadata,
    Column("exemption_id", Uuid, ForeignKey("exemption.id"), nullable=False),
    Column("kind", Text, nullable=False),
    column("noticed_on", Date),
    column("effective_on", Date),
    column("reason", Text),
    PrimaryKeyConstraint("exemption_id", "kind"),
)

Index("ix_determination_decided_at", determination.c.decided_at, postgresql_using="brin")
Index("ix_audit_event_at", audit_event.c.at, postgresql_using="brin")

# They belong to no organization; whoever empties a sandbox empties them too.
OF_EXEMPTIONS = tuple(
    table.name for table in (exemption_notice, exemption, exemption_tally, exemption_assessment)
)
