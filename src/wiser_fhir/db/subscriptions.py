"""The tables of who is told of answers and of what.

A mirror of what the migrations make, as `db.base` is.
"""

from sqlalchemy import (
    BigInteger,
    Column,
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
from sqlalchemy.dialects.postgresql import ARRAY

from wiser_fhir.db.columns import (
    column,
    default,
    instant,
    maybe,
    metadata,
    of_case,
    of_message,
    organization_key,
)

subscription = Table(
    "subscription",
    metadata,
    organization_key(),
    Column("id", Uuid, nullable=False),
    column("client_id", Uuid),
    column("line", Text),
    column("status", Text),
    column("content", Text),
    maybe("sealed", LargeBinary),
    column("host", Text),
    column("base_url", Text),
    maybe("heartbeat", Integer),
    maybe("ends_at", instant),
    default("warnings", ARRAY(Text), "'{}'"),
    default("revision", Integer, "1"),
    column("created_at", instant),
    column("updated_at", instant),
    maybe("deleted_at", instant),
    default("last_number", BigInteger, "0"),
    default("delivered_number", BigInteger, "0"),
    default("attempts", Integer, "0"),
    maybe("failing_since", instant),
    maybe("last_error"),
    maybe("last_sent_at", instant),
    maybe("due_at", instant),
    maybe("lease", Uuid),
    maybe("leased_until", instant),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(
        ["organization_id", "client_id"],
        ["client.organization_id", "client.id"],
        name="fk_subscription_client",
    ),
    Index("ix_subscription_due", "due_at", postgresql_where=text("due_at is not null")),
    Index("ix_subscription_client", "organization_id", "client_id"),
    Index("ix_subscription_lent", "organization_id", postgresql_where=text("lease is not null")),
)

subscription_event = Table(
    "subscription_event",
    metadata,
    organization_key(),
    Column("subscription_id", Uuid, nullable=False),
    Column("number", BigInteger, nullable=False),
    column("case_id", Uuid),
    column("message_id", Uuid),
    column("at", instant),
    default("attempts", Integer, "0"),
    maybe("last_error"),
    maybe("delivered_at", instant),
    PrimaryKeyConstraint("organization_id", "subscription_id", "number"),
    ForeignKeyConstraint(
        ["organization_id", "subscription_id"],
        ["subscription.organization_id", "subscription.id"],
        name="fk_subscription_event_subscription",
    ),
    of_case("subscription_event"),
    of_message("subscription_event", "message_id", "message"),
)
