"""The tables of claims: what arrived, what it used up, and reviews before payment.

A mirror of what the migrations make, as `db.base` is.
"""

from sqlalchemy import (
    Boolean,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import ARRAY

from wiser_fhir.db.blind import Indexed
from wiser_fhir.db.columns import column, default, instant, maybe, metadata, organization_key

claim = Table(
    "claim",
    metadata,
    Column("organization_id", Uuid, ForeignKey("organization.id"), nullable=False),
    Column("id", Uuid, nullable=False),
    column("claim_number", Text),
    column("client_id", Uuid),
    column("mbi", Indexed),
    column("provider_npi", Text),
    maybe("state"),
    column("received_at", instant),
    column("request", LargeBinary),
    column("request_sha256", LargeBinary),
    column("answer", LargeBinary),
    column("sealed_member", LargeBinary),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "claim_number", name="uq_claim_number"),
    ForeignKeyConstraint(
        ["organization_id", "client_id"],
        ["client.organization_id", "client.id"],
        name="fk_claim_client",
    ),
)

claim_line = Table(
    "claim_line",
    metadata,
    organization_key(),
    Column("claim_id", Uuid, nullable=False),
    Column("number", Integer, nullable=False),
    column("code", Text),
    column("modifiers", ARRAY(Text)),
    maybe("revenue_code"),
    column("units", Numeric),
    column("first_day", Date),
    column("last_day", Date),
    column("site_kind", Text),
    column("site_code", Text),
    maybe("utn"),
    column("status", Text),
    maybe("service"),
    PrimaryKeyConstraint("organization_id", "claim_id", "number"),
    ForeignKeyConstraint(
        ["organization_id", "claim_id"],
        ["claim.organization_id", "claim.id"],
        name="fk_claim_line_claim",
    ),
)

utn_use = Table(
    "utn_use",
    metadata,
    organization_key(),
    Column("case_id", Uuid, nullable=False),
    Column("sequence", Integer, nullable=False),
    column("revision", Integer),
    Column("claim_organization_id", Uuid, nullable=False),
    Column("claim_id", Uuid, nullable=False),
    Column("line", Integer, nullable=False),
    column("units", Numeric),
    column("at", instant),
    PrimaryKeyConstraint(
        *("organization_id", "case_id", "sequence", "claim_organization_id", "claim_id", "line")
    ),
    ForeignKeyConstraint(
        ["organization_id", "case_id", "sequence", "revision"],
        [
            *("determination.organization_id", "determination.case_id"),
            *("determination.sequence", "determination.revision"),
        ],
        name="fk_utn_use_determination",
    ),
    ForeignKeyConstraint(
        ["claim_organization_id", "claim_id", "line"],
        ["claim_line.organization_id", "claim_line.claim_id", "claim_line.number"],
        name="fk_utn_use_claim_line",
    ),
)

prepayment_review = Table(
    "prepayment_review",
    metadata,
    organization_key(),
    Column("id", Uuid, nullable=False),
    column("claim_id", Uuid),
    column("service", Text),
    Column("adr_number", Text, nullable=False, unique=True),
    default("state", Text, "'documents-asked'"),
    column("asked_at", instant),
    column("documents_due", Date),
    column("due_at", instant),
    maybe("documents_at", instant),
    maybe("decide_by", instant),
    maybe("recommendation"),
    maybe("rationale", LargeBinary),
    default("reasons", ARRAY(Text), "'{}'"),
    Column("clinician_id", Uuid, ForeignKey("person.id"), nullable=True),
    maybe("ended_at", instant),
    maybe("reported_at", instant),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint(
        *("organization_id", "claim_id", "service"), name="uq_prepayment_review_service"
    ),
    ForeignKeyConstraint(
        ["organization_id", "claim_id"],
        ["claim.organization_id", "claim.id"],
        name="fk_prepayment_review_claim",
    ),
    Index("ix_prepayment_review_queue", "state", "due_at", "id"),
)

prepayment_document = Table(
    "prepayment_document",
    metadata,
    organization_key(),
    Column("review_id", Uuid, nullable=False),
    Column("sender_id", Uuid, nullable=False),
    Column("delivery_id", Uuid, nullable=False),
    column("received_at", instant),
    column("final", Boolean),
    PrimaryKeyConstraint("organization_id", "review_id", "sender_id", "delivery_id"),
    ForeignKeyConstraint(
        ["organization_id", "review_id"],
        ["prepayment_review.organization_id", "prepayment_review.id"],
        name="fk_prepayment_document_review",
    ),
    ForeignKeyConstraint(
        ["sender_id", "delivery_id"],
        ["attachment_delivery.organization_id", "attachment_delivery.id"],
        name="fk_prepayment_document_attachment_delivery",
    ),
)
