"""Tables of people's sign-in: what was begun, and the sessions that came of it."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, LargeBinary, Table, Text, Uuid, text

from wiser_fhir.db.columns import column, instant, maybe, metadata

sign_in_begun = Table(
    "sign_in_begun",
    metadata,
    Column("state_hash", LargeBinary, primary_key=True),
    column("browser_hash", LargeBinary),
    column("verifier", Text),
    column("nonce", Text),
    column("return_to", Text),
    column("step_up", Boolean),
    column("begun_at", instant),
    column("expires_at", instant),
    Index("ix_sign_in_begun_browser_hash", "browser_hash"),
)

person_session = Table(
    "person_session",
    metadata,
    Column("session_hash", LargeBinary, primary_key=True),
    Column("person_id", Uuid, ForeignKey("person.id"), nullable=False),
    column("signed_in_at", instant),
    column("begun_at", instant),
    column("seen_at", instant),
    column("expires_at", instant),
    maybe("ended_at", instant),
    Index(
        "ix_person_session_person_id",
        "person_id",
        postgresql_where=text("ended_at is null"),
    ),
)
