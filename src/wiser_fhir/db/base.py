"""The tables, as SQLAlchemy Core sees them.

A mirror of what the migrations make, for queries and for tests. Checks, triggers, policies and
grants live in the migrations only; a test compares the rest.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import TypeEngine, UserDefinedType

NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}

metadata = MetaData(naming_convention=NAMING_CONVENTION)


class TransactionId(UserDefinedType[int]):
    """Postgres' xid8: which transaction wrote a row."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The name of the type in DDL."""
        return "xid8"


ischema_names["xid8"] = TransactionId


def _column(
    name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]], *rest: Any, null: bool = False
) -> Column[Any]:
    return Column(name, kind, *rest, nullable=null)


def _maybe(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]] = Text) -> Column[Any]:
    return Column(name, kind, nullable=True)


def _default(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]], default: str) -> Column[Any]:
    return Column(name, kind, nullable=False, server_default=text(default))


def _organization() -> Column[Any]:
    return Column("organization_id", Uuid, nullable=False)


def _of_case(table: str, **options: Any) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["organization_id", "case_id"],
        ["prior_auth_case.organization_id", "prior_auth_case.id"],
        name=f"fk_{table}_prior_auth_case",
        **options,
    )


def _of_hook_call(table: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["organization_id", "hook_call_id"],
        ["hook_call.organization_id", "hook_call.id"],
        name=f"fk_{table}_hook_call",
    )


def _message(table: str, column: str, name: str, **options: Any) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["organization_id", column],
        ["message.organization_id", "message.id"],
        name=f"fk_{table}_{name}",
        **options,
    )


_AT_COMMIT = {"deferrable": True, "initially": "DEFERRED"}
_instant = DateTime(timezone=True)

deployment = Table(
    "deployment",
    metadata,
    Column("only_row", Boolean, nullable=False, server_default=text("true")),
    _column("mode", Text),
    _default("created_at", _instant, "now()"),
    PrimaryKeyConstraint("only_row"),
)

organization = Table(
    "organization",
    metadata,
    Column("id", Uuid, primary_key=True),
    _column("name", Text),
    _column("kind", Text),
    _column("acts_for", Text),
    _default("npis", ARRAY(Text), "'{}'"),
    _default("active", Boolean, "true"),
    _default("created_at", _instant, "now()"),
)

client = Table(
    "client",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("organization_id", Uuid, ForeignKey("organization.id"), nullable=False),
    Column("name", Text, nullable=False, unique=True),
    _column("scopes", ARRAY(Text)),
    _default("active", Boolean, "true"),
    _default("created_at", _instant, "now()"),
    UniqueConstraint("organization_id", "id"),
)

access_token = Table(
    "access_token",
    metadata,
    Column("token_hash", LargeBinary, primary_key=True),
    _column("client_id", Uuid),
    _organization(),
    _column("scopes", ARRAY(Text)),
    _column("issued_at", _instant),
    _column("expires_at", _instant),
    _maybe("revoked_at", _instant),
    ForeignKeyConstraint(
        ["organization_id", "client_id"],
        ["client.organization_id", "client.id"],
        name="fk_access_token_client",
    ),
)

cds_client = Table(
    "cds_client",
    metadata,
    Column("client_id", Uuid, primary_key=True),
    _organization(),
    Column("iss", Text, nullable=False, unique=True),
    _maybe("jwks_url"),
    _maybe("jwks", JSONB),
    _default("fhir_servers", ARRAY(Text), "'{}'"),
    _default("active", Boolean, "true"),
    _default("revision", Integer, "1"),
    ForeignKeyConstraint(
        ["organization_id", "client_id"],
        ["client.organization_id", "client.id"],
        name="fk_cds_client_client",
    ),
)

cds_jwt = Table(
    "cds_jwt",
    metadata,
    Column("iss", Text, nullable=False),
    Column("jti", Text, nullable=False),
    _column("aud", Text),
    _column("key_thumbprint", Text),
    _maybe("certificate"),
    _column("expires_at", _instant),
    _column("uses", Integer),
    PrimaryKeyConstraint("iss", "jti"),
)

clinician = Table(
    "clinician",
    metadata,
    Column("id", Uuid, primary_key=True),
    _column("name", Text),
    _column("licence_number", Text),
    _column("licence_state", Text),
    _column("licence_expires", Date),
    _default("active", Boolean, "true"),
    UniqueConstraint("licence_state", "licence_number", name="uq_clinician_licence"),
)

message = Table(
    "message",
    metadata,
    _organization(),
    Column("id", Uuid, nullable=False),
    _maybe("case_id", Uuid),
    _column("direction", Text),
    _column("kind", Text),
    _column("media_type", Text),
    _column("body", LargeBinary),
    _column("sha256", LargeBinary),
    _column("length", Integer),
    _column("at", _instant),
    PrimaryKeyConstraint("organization_id", "id"),
    _of_case("message", use_alter=True, **_AT_COMMIT),
)

prior_auth_case = Table(
    "prior_auth_case",
    metadata,
    Column("organization_id", Uuid, ForeignKey("organization.id"), nullable=False),
    Column("id", Uuid, nullable=False),
    _column("line", Text),
    _column("kind", Text),
    _column("status", Text),
    _default("revision", Integer, "1"),
    _column("reference", Text),
    _maybe("service"),
    _maybe("rules"),
    _column("received_at", _instant),
    _maybe("decide_by", _instant),
    _column("expedite_requested", Boolean),
    _column("expedited", Boolean),
    _maybe("mbi"),
    _maybe("family"),
    _maybe("given"),
    _maybe("birth_date", Date),
    _maybe("state"),
    _column("coverage", Text),
    _maybe("trace_system"),
    _column("trace_value", Text),
    _maybe("previous_utn"),
    _maybe("assessment", JSONB),
    _maybe("dismissal_reason"),
    _maybe("dismissal_detail"),
    _maybe("decided_at", _instant),
    _maybe("valid_from", Date),
    _maybe("valid_until", Date),
    _column("request_message_id", Uuid),
    _column("answer_message_id", Uuid),
    _default("assertions", ARRAY(Text), "'{}'"),
    _default("remarks", ARRAY(Text), "'{}'"),
    PrimaryKeyConstraint("organization_id", "id"),
    UniqueConstraint("organization_id", "reference", name="uq_prior_auth_case_reference"),
    _message("prior_auth_case", "request_message_id", "request_message"),
    _message("prior_auth_case", "answer_message_id", "answer_message"),
    Index("ix_prior_auth_case_member", "organization_id", "mbi", text("received_at DESC")),
    Index("ix_prior_auth_case_member_anywhere", "mbi", text("received_at DESC")),
    Index(
        "ix_prior_auth_case_deadline", "decide_by", postgresql_where=text("status = 'in-review'")
    ),
    Index(
        "ix_prior_auth_case_open", "mbi", "service", postgresql_where=text("status = 'in-review'")
    ),
)

submission = Table(
    "submission",
    metadata,
    _organization(),
    Column("identifier_system", Text, nullable=False),
    Column("identifier_value", Text, nullable=False),
    _column("request_sha256", LargeBinary),
    _column("line", Text),
    _column("operation", Text),
    _column("case_id", Uuid),
    _column("answer_message_id", Uuid),
    _column("received_at", _instant),
    PrimaryKeyConstraint("organization_id", "identifier_system", "identifier_value"),
    _of_case("submission", **_AT_COMMIT),
    _message("submission", "answer_message_id", "answer_message", **_AT_COMMIT),
)

determination = Table(
    "determination",
    metadata,
    _organization(),
    Column("case_id", Uuid, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("revision", Integer, nullable=False),
    _column("outcome", Text),
    _column("decided_at", _instant),
    _column("decided_by", Text),
    Column("clinician_id", Uuid, ForeignKey("clinician.id"), nullable=True),
    _maybe("rationale"),
    _maybe("resubmission_steps"),
    _maybe("rules"),
    _maybe("findings", JSONB),
    _column("input_sha256", LargeBinary),
    PrimaryKeyConstraint("organization_id", "case_id", "sequence", "revision"),
    UniqueConstraint(
        *("organization_id", "case_id", "sequence", "revision", "outcome"),
        name="uq_determination_outcome",
    ),
    ForeignKeyConstraint(
        ["organization_id", "case_id", "sequence"],
        ["case_item.organization_id", "case_item.case_id", "case_item.sequence"],
        name="fk_determination_case_item",
        use_alter=True,
    ),
)

case_item = Table(
    "case_item",
    metadata,
    _organization(),
    Column("case_id", Uuid, nullable=False),
    Column("sequence", Integer, nullable=False),
    _default("revision", Integer, "1"),
    _column("code_system", Text),
    _column("code", Text),
    _column("role", Text),
    _column("status", Text),
    _maybe("service_date", Date),
    _maybe("service_end", Date),
    _maybe("quantity", Numeric),
    _maybe("note"),
    Column(
        "outcome",
        Text,
        Computed(
            "CASE WHEN (status = ANY (ARRAY['affirmed'::text, 'non-affirmed'::text]))"
            " THEN status ELSE NULL::text END",
            persisted=True,
        ),
        nullable=True,
    ),
    PrimaryKeyConstraint("organization_id", "case_id", "sequence"),
    _of_case("case_item"),
    ForeignKeyConstraint(
        ["organization_id", "case_id", "sequence", "revision", "outcome"],
        [
            f"determination.{c}"
            for c in ("organization_id", "case_id", "sequence", "revision", "outcome")
        ],
        name="fk_case_item_determination",
    ),
)

case_party = Table(
    "case_party",
    metadata,
    _organization(),
    Column("case_id", Uuid, nullable=False),
    Column("position", Integer, nullable=False),
    _column("role", Text),
    _maybe("npi"),
    _maybe("tin"),
    _maybe("ccn"),
    _maybe("ptan"),
    _maybe("name"),
    _maybe("state"),
    PrimaryKeyConstraint("organization_id", "case_id", "position"),
    _of_case("case_party"),
)

utn = Table(
    "utn",
    metadata,
    Column("utn", Text, primary_key=True),
    _organization(),
    _column("case_id", Uuid),
    _column("revision", Integer),
    _column("source", Text),
    _column("state", Text),
    _column("assigned_at", _instant),
    _maybe("valid_from", Date),
    _maybe("valid_until", Date),
    _maybe("ended_at", _instant),
    UniqueConstraint("organization_id", "case_id", "revision", name="uq_utn_case_revision"),
    _of_case("utn"),
    Index(
        *("uq_utn_live", "organization_id", "case_id"),
        unique=True,
        postgresql_where=text("state = 'assigned'"),
    ),
)

document = Table(
    "document",
    metadata,
    _organization(),
    Column("case_id", Uuid, nullable=False),
    Column("position", Integer, nullable=False),
    _column("kind", Text),
    _maybe("title"),
    _maybe("content_type"),
    _maybe("size", Integer),
    _maybe("sha256", LargeBinary),
    PrimaryKeyConstraint("organization_id", "case_id", "position"),
    _of_case("document"),
)

notification = Table(
    "notification",
    metadata,
    _organization(),
    Column("id", Uuid, nullable=False),
    _column("case_id", Uuid),
    _column("kind", Text),
    _column("created_at", _instant),
    _default("state", Text, "'queued'"),
    _default("attempts", Integer, "0"),
    _maybe("last_error"),
    _maybe("ended_at", _instant),
    PrimaryKeyConstraint("organization_id", "id"),
    _of_case("notification"),
    Index("ix_notification_queued", "created_at", postgresql_where=text("state = 'queued'")),
)

hook_call = Table(
    "hook_call",
    metadata,
    _organization(),
    Column("id", Uuid, nullable=False),
    _column("client_id", Uuid),
    _column("request_id", Uuid),
    _column("service_id", Text),
    _column("hook", Text),
    _maybe("hook_instance", Uuid),
    _column("line", Text),
    _column("received_at", _instant),
    _column("answered_at", _instant),
    _column("status", Integer),
    _column("request", LargeBinary),
    _column("request_sha256", LargeBinary),
    _column("response", LargeBinary),
    _column("response_sha256", LargeBinary),
    _column("fetched", Integer),
    _column("token_use", Text),
    PrimaryKeyConstraint("organization_id", "id"),
    ForeignKeyConstraint(
        ["organization_id", "client_id"],
        ["client.organization_id", "client.id"],
        name="fk_hook_call_client",
    ),
)

coverage_assertion = Table(
    "coverage_assertion",
    metadata,
    _organization(),
    Column("id", Text, nullable=False),
    _column("hook_call_id", Uuid),
    _column("order_reference", Text),
    _column("coverage_reference", Text),
    _maybe("mbi"),
    _column("situation", Text),
    _maybe("service"),
    _maybe("rules"),
    _column("codes", ARRAY(Text)),
    _column("asked", JSONB),
    _column("answer", JSONB),
    _column("made_at", _instant),
    _maybe("expires_on", Date),
    PrimaryKeyConstraint("organization_id", "id"),
    _of_hook_call("coverage_assertion"),
)

hook_card = Table(
    "hook_card",
    metadata,
    _organization(),
    Column("id", Uuid, nullable=False),
    _column("hook_call_id", Uuid),
    _column("type", Text),
    _column("topic", Text),
    _column("suggestions", ARRAY(Uuid)),
    PrimaryKeyConstraint("organization_id", "id"),
    _of_hook_call("hook_card"),
)

card_feedback = Table(
    "card_feedback",
    metadata,
    _organization(),
    Column("card_id", Uuid, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    _column("message_id", Uuid),
    _column("outcome", Text),
    _column("accepted", ARRAY(Uuid)),
    _maybe("override_code"),
    _maybe("override_system"),
    _column("at", _instant),
    PrimaryKeyConstraint("organization_id", "card_id", "sha256"),
    ForeignKeyConstraint(
        ["organization_id", "card_id"],
        ["hook_card.organization_id", "hook_card.id"],
        name="fk_card_feedback_hook_card",
    ),
    _message("card_feedback", "message_id", "message", **_AT_COMMIT),
)

questionnaire_error = Table(
    "questionnaire_error",
    metadata,
    _organization(),
    Column("reported_on", Date, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    _column("client_id", Uuid),
    _column("at", _instant),
    _column("line", Text),
    _maybe("form"),
    _maybe("version"),
    _column("severity", Text),
    _column("code", Text),
    _column("paths", ARRAY(Text)),
    _column("details", ARRAY(Text)),
    _column("mentions", ARRAY(Text)),
    PrimaryKeyConstraint("organization_id", "reported_on", "sha256"),
    ForeignKeyConstraint(
        ["organization_id", "client_id"],
        ["client.organization_id", "client.id"],
        name="fk_questionnaire_error_client",
    ),
)

audit_event = Table(
    "audit_event",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    _default("at", _instant, "clock_timestamp()"),
    _default("xact_id", TransactionId, "pg_current_xact_id()"),
    _maybe("organization_id", Uuid),
    _maybe("client_id", Uuid),
    _column("request_id", Uuid),
    _column("action", Text),
    _column("outcome", Text),
    _maybe("object_kind"),
    _maybe("object_id"),
    _maybe("patient", LargeBinary),
    _default("detail", JSONB, "'{}'"),
)
