"""What clients report of our forms and of their population logic.

Each paragraph of the SQL below is one statement.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0004"
down_revision: str | Sequence[str] | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# A report is never kept as it came: no text a sender wrote has a column here. Every word stems from
# a closed list of ours or of FHIR's, and none of the checks lets a blank through, so no sentence
# about a person can be written here. What is told again on the same day is one row.
TABLE = r"""
create table questionnaire_error (
    organization_id uuid not null,
    reported_on date not null,
    sha256 bytea not null,
    client_id uuid not null,
    at timestamptz not null,
    line text not null,
    form text,
    version text,
    severity text not null,
    code text not null,
    paths text[] not null,
    details text[] not null,
    mentions text[] not null,
    constraint pk_questionnaire_error primary key (organization_id, reported_on, sha256),
    constraint fk_questionnaire_error_client
        foreign key (organization_id, client_id) references client (organization_id, id),
    constraint ck_questionnaire_error_sha256 check (octet_length(sha256) = 32),
    constraint ck_questionnaire_error_reported_on check (
        reported_on = (at at time zone 'America/New_York')::date),
    constraint ck_questionnaire_error_line check (line in ('2.0', '2.2')),
    constraint ck_questionnaire_error_form check (form ~ '^[a-z0-9-]{1,100}$'),
    constraint ck_questionnaire_error_version check (
        version is null
        or (form is not null and version ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$')),
    constraint ck_questionnaire_error_severity check (
        severity in ('fatal', 'error', 'warning', 'information')),
    constraint ck_questionnaire_error_code check (code ~ '^[a-z-]{1,20}$'),
    constraint ck_questionnaire_error_paths check (
        array_position(paths, null) is null and cardinality(paths) <= 20
        and array_to_string(paths, '') ~ '^[A-Za-z.]*$'
        and length(array_to_string(paths, '')) <= 8000),
    constraint ck_questionnaire_error_details check (
        array_position(details, null) is null and cardinality(details) <= 20
        and array_to_string(details, '') ~ '^[A-Z_]*$'
        and length(array_to_string(details, '')) <= 8000),
    constraint ck_questionnaire_error_mentions check (
        array_position(mentions, null) is null and cardinality(mentions) <= 20
        and array_to_string(mentions, '') ~ '^[A-Za-z0-9-]*$'
        and length(array_to_string(mentions, '')) <= 8000)
)

grant select, insert on questionnaire_error to wiser_app
"""

# A setting once set stays as an empty string for the rest of the session, hence nullif. The
# sub-select makes Postgres evaluate it once per statement, not once per row.
CURRENT_ORGANIZATION = "(select nullif(current_setting('app.organization', true), '')::uuid)"

# Rows of one organization, seen by it alone, never changed.
PROTECTION = f"""
alter table questionnaire_error enable row level security

alter table questionnaire_error force row level security

create policy own_rows on questionnaire_error
    using (organization_id = {CURRENT_ORGANIZATION})
    with check (organization_id = {CURRENT_ORGANIZATION})

create trigger append_only before update or delete or truncate on questionnaire_error
    for each statement execute function append_only()
"""


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def upgrade() -> None:
    run(TABLE)
    run(PROTECTION)


def downgrade() -> None:
    run("drop table questionnaire_error")
