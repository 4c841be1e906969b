"""The tables of what is attached to a request or a claim after or before it came, and of what the
scanner says of documents that come inside requests.

A mirror of what the migrations make, as `db.base` is.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from wiser_fhir.db.blind import Indexed
from wiser_fhir.db.columns import (
    column,
    default,
    instant,
    maybe,
    metadata,
    of_case,
    organization_key,
)

attachment_delivery = Table(
    "attachment_delivery",
    metadata,
    organization_key(),
    Column("id", Uuid, nullable=False),
    column("fingerprint", LargeBinary),
    column("client_id", Uuid),
    column("line", Text),
    column("received_at", instant),
    column("attach_to", Text),
    maybe("tracking_system"),
    column("tracking_value", Text),
    maybe("reference"),
    column("member", Indexed),
    column("named", JSONB),
    maybe("service_date", Date),
    column("final", Boolean),
    maybe("case_id", Uuid),
    maybe("matched_at", instant),
    maybe("lapsed_at", instant),
    column("sealed_member", LargeBinary),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(
        ["organization_id", "client_id"],
        ["client.organization_id", "client.id"],
        name="fk_attachment_delivery_client",
    ),
    of_case("attachment_delivery"),
    Index("ix_attachment_delivery_tracking", "organization_id", "attach_to", "tracking_value"),
    Index(
        *("ix_attachment_delivery_claim", "tracking_value"),
        postgresql_where=text("attach_to = 'claim'"),
    ),
    Index("ix_attachment_delivery_case", "organization_id", "case_id"),
    Index(
        *("uq_attachment_delivery_fingerprint", "organization_id", "fingerprint"),
        unique=True,
        postgresql_where=text("lapsed_at is null"),
    ),
    Index(
        *("ix_attachment_delivery_held", "organization_id", "received_at"),
        postgresql_where=text(
            "case_id is null and lapsed_at is null and attach_to = 'preauthorization'"
        ),
    ),
)

attachment = Table(
    "attachment",
    metadata,
    organization_key(),
    Column("id", Uuid, nullable=False),
    column("delivery_id", Uuid),
    column("identity", LargeBinary),
    column("lines", ARRAY(Text)),
    maybe("code_system"),
    maybe("code"),
    column("kind", Text),
    column("resource_type", Text),
    maybe("questionnaire"),
    maybe("response_status"),
    column("media_type", Text),
    column("size", Integer),
    column("sha256", LargeBinary),
    maybe("resource", LargeBinary),
    maybe("content", LargeBinary),
    maybe("claimed_until", instant),
    default("state", Text, "'quarantined'"),
    maybe("checked_at", instant),
    maybe("scanner"),
    maybe("finding"),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(
        ["organization_id", "delivery_id"],
        ["attachment_delivery.organization_id", "attachment_delivery.id"],
        name="fk_attachment_attachment_delivery",
    ),
    Index("ix_attachment_delivery", "organization_id", "delivery_id"),
    Index(
        *("uq_attachment_identity", "organization_id", "identity"),
        unique=True,
        postgresql_where=text("state <> 'lapsed'"),
    ),
    Index(
        *("ix_attachment_quarantined", "organization_id", "id"),
        postgresql_where=text("state = 'quarantined'"),
    ),
)

document_check = Table(
    "document_check",
    metadata,
    organization_key(),
    Column("case_id", Uuid, nullable=False),
    Column("position", Integer, nullable=False),
    column("state", Text),
    column("scanner", Text),
    maybe("finding"),
    maybe("sha256", LargeBinary),
    column("checked_at", instant),
    PrimaryKeyConstraint("organization_id", "case_id", "position"),
    ForeignKeyConstraint(
        ["organization_id", "case_id", "position"],
        ["document.organization_id", "document.case_id", "document.position"],
        name="fk_document_check_document",
    ),
    Index(
        *("ix_document_check_clear", "organization_id", "sha256"),
        postgresql_where=text("state = 'clear'"),
    ),
)
