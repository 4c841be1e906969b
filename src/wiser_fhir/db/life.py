"""The tables of what happens to a case after its first answer.

A mirror of what the migrations make, as `db.base` is.
"""

from sqlalchemy import (
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from wiser_fhir.db.columns import (
    column,
    default,
    instant,
    maybe,
    metadata,
    of_case,
    organization_key,
)

information_request = Table(
    "information_request",
    metadata,
    organization_key(),
    Column("id", Uuid, nullable=False),
    column("case_id", Uuid),
    column("revision", Integer),
    column("kind", Text),
    column("asked_at", instant),
    Column("asked_by", Uuid, ForeignKey("person.id"), nullable=True),
    column("due_at", instant),
    column("wanted", LargeBinary),
    maybe("note", LargeBinary),
    default("state", Text, "'open'"),
    maybe("answered_at", instant),
    PrimaryKeyConstraint("organization_id", "id"),
    of_case("information_request"),
    Index("ix_information_request_case", "organization_id", "case_id"),
)

peer_to_peer = Table(
    "peer_to_peer",
    metadata,
    organization_key(),
    Column("id", Uuid, nullable=False),
    column("case_id", Uuid),
    column("asked_at", instant),
    column("slots", ARRAY(instant)),
    column("contact", LargeBinary),
    column("specialty", Text),
    Column("clinician_id", Uuid, ForeignKey("person.id"), nullable=True),
    maybe("scheduled_at", instant),
    default("state", Text, "'asked'"),
    maybe("outcome", LargeBinary),
    maybe("closed_at", instant),
    PrimaryKeyConstraint("organization_id", "id"),
    of_case("peer_to_peer"),
    Index(
        *("uq_peer_to_peer_open", "organization_id", "case_id"),
        unique=True,
        postgresql_where=text("state in ('asked', 'scheduled')"),
    ),
)

case_event = Table(
    "case_event",
    metadata,
    organization_key(),
    Column("id", Uuid, nullable=False),
    column("case_id", Uuid),
    column("revision", Integer),
    column("at", instant),
    column("kind", Text),
    Column("person_id", Uuid, ForeignKey("person.id"), nullable=True),
    maybe("text", LargeBinary),
    default("detail", JSONB, "'{}'"),
    PrimaryKeyConstraint("organization_id", "id"),
    of_case("case_event"),
    Index("ix_case_event_case", "organization_id", "case_id"),
)

letter = Table(
    "letter",
    metadata,
    organization_key(),
    Column("id", Uuid, nullable=False),
    maybe("case_id", Uuid),
    maybe("review_id", Uuid),
    column("revision", Integer),
    column("kind", Text),
    column("recipient", Text),
    column("created_at", instant),
    default("state", Text, "'queued'"),
    maybe("ended_at", instant),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint(
        *("organization_id", "case_id", "revision", "kind", "recipient"), name="uq_letter_once"
    ),
    of_case("letter"),
    ForeignKeyConstraint(
        ["organization_id", "review_id"],
        ["prepayment_review.organization_id", "prepayment_review.id"],
        name="fk_letter_prepayment_review",
    ),
    Index(
        *("uq_letter_review", "organization_id", "review_id", "kind", "recipient"),
        unique=True,
        postgresql_where=text("review_id is not null"),
    ),
    Index("ix_letter_queued", "created_at", postgresql_where=text("state = 'queued'")),
)
