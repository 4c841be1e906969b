"""Attachments that come after a request, before one, or for a claim; quarantined until checked.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0008"
down_revision: str | Sequence[str] | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# A call of $submit-attachment, what it brought, and the verdicts on documents inside requests: one
# without a row is in quarantine. The bytes of what is attached are kept whole,
# the envelope as what it says: kept as it came it would hold the same bytes once more, unchecked.
# What no request comes for lapses: its bytes go, and it is as if it had never come.
TABLES = """
create table attachment_delivery (
    organization_id uuid not null,
    id uuid not null,
    fingerprint bytea not null,
    client_id uuid not null,
    line text not null,
    received_at timestamptz not null,
    attach_to text not null,
    tracking_system text,
    tracking_value text not null,
    reference text,
    member text not null,
    named jsonb not null,
    service_date date,
    final boolean not null,
    case_id uuid,
    matched_at timestamptz,
    lapsed_at timestamptz,
    constraint pk_attachment_delivery primary key (organization_id, id),
    constraint fk_attachment_delivery_client
        foreign key (organization_id, client_id) references client (organization_id, id),
    constraint fk_attachment_delivery_prior_auth_case
        foreign key (organization_id, case_id) references prior_auth_case (organization_id, id),
    constraint ck_attachment_delivery_fingerprint check (octet_length(fingerprint) = 32),
    constraint ck_attachment_delivery_line check (line in ('2.0', '2.2')),
    constraint ck_attachment_delivery_attach_to check (
        attach_to in ('claim', 'preauthorization')),
    constraint ck_attachment_delivery_claim check (
        attach_to = 'preauthorization' or service_date is not null and case_id is null),
    constraint ck_attachment_delivery_named check (jsonb_typeof(named) = 'object'),
    constraint ck_attachment_delivery_matched check ((case_id is null) = (matched_at is null)),
    constraint ck_attachment_delivery_lapsed check (
        lapsed_at is null or case_id is null and attach_to = 'preauthorization')
)

create unique index uq_attachment_delivery_fingerprint
    on attachment_delivery (organization_id, fingerprint) where lapsed_at is null

create index ix_attachment_delivery_tracking
    on attachment_delivery (organization_id, attach_to, tracking_value)

create index ix_attachment_delivery_claim on attachment_delivery (tracking_value)
    where attach_to = 'claim'

create index ix_attachment_delivery_case on attachment_delivery (organization_id, case_id)

create index ix_attachment_delivery_held on attachment_delivery (organization_id, received_at)
    where case_id is null and lapsed_at is null and attach_to = 'preauthorization'

create table attachment (
    organization_id uuid not null,
    id uuid not null,
    delivery_id uuid not null,
    identity bytea not null,
    lines text[] not null,
    code_system text,
    code text,
    kind text not null,
    resource_type text not null,
    questionnaire text,
    response_status text,
    media_type text not null,
    size integer not null,
    sha256 bytea not null,
    resource bytea,
    content bytea,
    claimed_until timestamptz,
    state text not null default 'quarantined',
    checked_at timestamptz,
    scanner text,
    finding text,
    constraint pk_attachment primary key (organization_id, id),
    constraint fk_attachment_attachment_delivery
        foreign key (organization_id, delivery_id)
        references attachment_delivery (organization_id, id),
    constraint ck_attachment_kind check (kind in ('file', 'questionnaire-response', 'resource')),
    constraint ck_attachment_size check (size > 0),
    constraint ck_attachment_sha256 check (
        octet_length(sha256) = 32 and octet_length(identity) = 32),
    constraint ck_attachment_state check (
        state in ('quarantined', 'clear', 'refused', 'lapsed')),
    constraint ck_attachment_checked check (
        (state = 'lapsed' or (state = 'quarantined') = (checked_at is null))
        and (checked_at is null) = (scanner is null)),
    constraint ck_attachment_finding check ((state = 'refused') = (finding is not null)),
    constraint ck_attachment_content check ((state in ('refused', 'lapsed')) = (content is null))
)

create unique index uq_attachment_identity on attachment (organization_id, identity)
    where state <> 'lapsed'

alter table attachment alter column content set storage external,
    alter column resource set storage external

create index ix_attachment_delivery on attachment (organization_id, delivery_id)

create index ix_attachment_quarantined on attachment (organization_id, id)
    where state = 'quarantined'

create table document_check (
    organization_id uuid not null,
    case_id uuid not null,
    position integer not null,
    state text not null,
    scanner text not null,
    finding text,
    sha256 bytea,
    checked_at timestamptz not null,
    constraint pk_document_check primary key (organization_id, case_id, position),
    constraint fk_document_check_document
        foreign key (organization_id, case_id, position)
        references document (organization_id, case_id, position),
    constraint ck_document_check_state check (state in ('clear', 'refused')),
    constraint ck_document_check_finding check ((state = 'refused') = (finding is not null)),
    constraint ck_document_check_sha256 check (
        octet_length(sha256) = 32 or sha256 is null and state = 'refused')
)

create index ix_document_check_clear on document_check (organization_id, sha256)
    where state = 'clear'
"""

RULES = """
create function attachment_is_checked_once() returns trigger language plpgsql as $$
begin
    if old.state <> 'quarantined' and (old.state <> 'clear' or new.state <> 'lapsed')
            or (new.content is distinct from old.content
                or new.resource is distinct from old.resource)
            and new.state not in ('refused', 'lapsed') then
        raise exception 'an attachment is checked once and never changed'
            using errcode = 'check_violation', constraint = 'attachment_checked_once';
    end if;
    return new;
end $$

create trigger checked_once before update on attachment
    for each row execute function attachment_is_checked_once()

create function attachment_delivery_is_matched_once() returns trigger language plpgsql as $$
begin
    if old.case_id is not null or old.lapsed_at is not null then
        raise exception 'what was attached to a request, or has lapsed, stays there'
            using errcode = 'check_violation', constraint = 'attachment_delivery_matched_once';
    end if;
    return new;
end $$

create trigger matched_once before update on attachment_delivery
    for each row execute function attachment_delivery_is_matched_once()

create trigger never_deleted before delete or truncate on attachment
    for each statement execute function append_only()

create trigger never_deleted before delete or truncate on attachment_delivery
    for each statement execute function append_only()

create trigger append_only before update or delete or truncate on document_check
    for each statement execute function append_only()
"""

GRANTS = """
grant select, insert, update (case_id, matched_at, lapsed_at) on attachment_delivery to wiser_app

grant select, insert, update (state, claimed_until, checked_at, scanner, finding, content,
    resource)
    on attachment to wiser_app

grant select, insert on document_check to wiser_app
"""

# A setting once set stays as an empty string for the rest of the session, hence nullif. The
# sub-select makes Postgres evaluate it once per statement, not once per row.
CURRENT_ORGANIZATION = "(select nullif(current_setting('app.organization', true), '')::uuid)"


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def protect(table: str) -> None:
    run(f"""
alter table {table} enable row level security

alter table {table} force row level security

create policy own_rows on {table}
    using (organization_id = {CURRENT_ORGANIZATION})
    with check (organization_id = {CURRENT_ORGANIZATION})
""")


def upgrade() -> None:
    run(TABLES)
    run(RULES)
    for table in ("attachment_delivery", "attachment", "document_check"):
        protect(table)
    run(GRANTS)


def downgrade() -> None:
    run("""
drop table document_check, attachment, attachment_delivery

drop function attachment_is_checked_once, attachment_delivery_is_matched_once
""")
