"""Tables of the case, the rules the database itself enforces, row-level security and the gates.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0001"
down_revision: str | Sequence[str] | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Who may come in. Looked up before anybody's organization is known, so without row-level security.
PRINCIPALS = """
create table deployment (
    only_row boolean not null default true,
    mode text not null,
    created_at timestamptz not null default now(),
    constraint pk_deployment primary key (only_row),
    constraint ck_deployment_only_row check (only_row),
    constraint ck_deployment_mode check (mode in ('sandbox', 'production'))
)

create table organization (
    id uuid not null,
    name text not null,
    kind text not null,
    acts_for text not null,
    npis text[] not null default '{}',
    active boolean not null default true,
    created_at timestamptz not null default now(),
    constraint pk_organization primary key (id),
    constraint ck_organization_kind check (kind in ('provider', 'clearinghouse')),
    constraint ck_organization_acts_for check (acts_for in ('own', 'named', 'all')),
    constraint ck_organization_all_is_for_clearinghouses
        check (acts_for <> 'all' or kind = 'clearinghouse')
)

create table client (
    id uuid not null,
    organization_id uuid not null,
    name text not null,
    scopes text[] not null,
    active boolean not null default true,
    created_at timestamptz not null default now(),
    constraint pk_client primary key (id),
    constraint uq_client_name unique (name),
    constraint uq_client_organization_id unique (organization_id, id),
    constraint fk_client_organization_id_organization
        foreign key (organization_id) references organization (id)
)

create table access_token (
    token_hash bytea not null,
    client_id uuid not null,
    organization_id uuid not null,
    scopes text[] not null,
    issued_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    constraint pk_access_token primary key (token_hash),
    constraint ck_access_token_hash check (octet_length(token_hash) = 32),
    constraint ck_access_token_times check (expires_at > issued_at),
    constraint fk_access_token_client
        foreign key (organization_id, client_id) references client (organization_id, id)
)

create table clinician (
    id uuid not null,
    name text not null,
    licence_number text not null,
    licence_state text not null,
    licence_expires date not null,
    active boolean not null default true,
    constraint pk_clinician primary key (id),
    constraint uq_clinician_licence unique (licence_state, licence_number)
)
"""

CASES = """
create table message (
    organization_id uuid not null,
    id uuid not null,
    case_id uuid,
    direction text not null,
    kind text not null,
    media_type text not null,
    body bytea not null,
    sha256 bytea not null,
    length integer not null,
    at timestamptz not null,
    constraint pk_message primary key (organization_id, id),
    constraint ck_message_direction check (direction in ('in', 'out')),
    constraint ck_message_sha256 check (octet_length(sha256) = 32)
)

alter table message alter column body set storage external

create table prior_auth_case (
    organization_id uuid not null,
    id uuid not null,
    line text not null,
    kind text not null,
    status text not null,
    revision integer not null default 1,
    reference text not null,
    service text,
    rules text,
    received_at timestamptz not null,
    decide_by timestamptz,
    expedite_requested boolean not null,
    expedited boolean not null,
    mbi text,
    family text,
    given text,
    birth_date date,
    state text,
    coverage text not null,
    trace_system text,
    trace_value text not null,
    previous_utn text,
    assessment jsonb,
    dismissal_reason text,
    dismissal_detail text,
    decided_at timestamptz,
    valid_from date,
    valid_until date,
    request_message_id uuid not null,
    answer_message_id uuid not null,
    constraint pk_prior_auth_case primary key (organization_id, id),
    constraint uq_prior_auth_case_reference unique (organization_id, reference),
    constraint fk_prior_auth_case_organization_id_organization
        foreign key (organization_id) references organization (id),
    constraint fk_prior_auth_case_request_message
        foreign key (organization_id, request_message_id) references message (organization_id, id),
    constraint fk_prior_auth_case_answer_message
        foreign key (organization_id, answer_message_id) references message (organization_id, id),
    constraint ck_prior_auth_case_line check (line in ('2.0', '2.2')),
    constraint ck_prior_auth_case_kind check (kind in ('initial', 'resubmission')),
    constraint ck_prior_auth_case_revision check (revision >= 1),
    constraint ck_prior_auth_case_status check (status in
        ('dismissed', 'in-review', 'affirmed', 'partially-affirmed', 'non-affirmed', 'cancelled')),
    constraint ck_prior_auth_case_decided check (
        status not in ('affirmed', 'partially-affirmed', 'non-affirmed') or decided_at is not null),
    constraint ck_prior_auth_case_in_review check (
        status <> 'in-review' or (decided_at is null and decide_by is not null)),
    constraint ck_prior_auth_case_dismissal check (
        (status = 'dismissed') = (dismissal_reason is not null)
        and (dismissal_reason is null) = (dismissal_detail is null)),
    constraint ck_prior_auth_case_dismissal_reason check (dismissal_reason in (
        'wrong-participant-or-mac', 'non-wiser-service', 'medicare-advantage-or-medicaid',
        'invalid-missing-or-deceased-mbi-or-name', 'invalid-or-missing-billing-information',
        'ineligible-provider', 'exempt-provider', 'duplicate-before-determination')),
    constraint ck_prior_auth_case_validity check (
        case when valid_from is null and valid_until is null
            then status not in ('affirmed', 'partially-affirmed')
            else coalesce(
                status in ('affirmed', 'partially-affirmed', 'cancelled')
                and valid_from = (decided_at at time zone 'America/New_York')::date
                and valid_until = valid_from + 119, false)
        end)
)

create index ix_prior_auth_case_member
    on prior_auth_case (organization_id, mbi, received_at desc)

create index ix_prior_auth_case_deadline on prior_auth_case (decide_by) where status = 'in-review'

create index ix_prior_auth_case_open on prior_auth_case (mbi, service)
    where status = 'in-review'

create index ix_prior_auth_case_member_anywhere on prior_auth_case (mbi, received_at desc)

alter table message add constraint fk_message_prior_auth_case
    foreign key (organization_id, case_id) references prior_auth_case (organization_id, id)
    deferrable initially deferred

create table submission (
    organization_id uuid not null,
    identifier_system text not null,
    identifier_value text not null,
    request_sha256 bytea not null,
    line text not null,
    operation text not null,
    case_id uuid not null,
    answer_message_id uuid not null,
    received_at timestamptz not null,
    constraint pk_submission primary key (organization_id, identifier_system, identifier_value),
    constraint fk_submission_prior_auth_case
        foreign key (organization_id, case_id) references prior_auth_case (organization_id, id)
        deferrable initially deferred,
    constraint fk_submission_answer_message
        foreign key (organization_id, answer_message_id) references message (organization_id, id)
        deferrable initially deferred,
    constraint ck_submission_sha256 check (octet_length(request_sha256) = 32),
    constraint ck_submission_line check (line in ('2.0', '2.2')),
    constraint ck_submission_operation check (operation in ('submit'))
)

create table determination (
    organization_id uuid not null,
    case_id uuid not null,
    sequence integer not null,
    revision integer not null,
    outcome text not null,
    decided_at timestamptz not null,
    decided_by text not null,
    clinician_id uuid,
    rationale text,
    resubmission_steps text,
    rules text,
    findings jsonb,
    input_sha256 bytea not null,
    constraint pk_determination primary key (organization_id, case_id, sequence, revision),
    constraint uq_determination_outcome
        unique (organization_id, case_id, sequence, revision, outcome),
    constraint fk_determination_clinician_id_clinician
        foreign key (clinician_id) references clinician (id),
    constraint ck_determination_outcome check (outcome in ('affirmed', 'non-affirmed')),
    constraint ck_determination_decided_by check (decided_by in ('software', 'clinician')),
    constraint ck_determination_clinician check (
        (decided_by = 'clinician') = (clinician_id is not null)),
    constraint ck_determination_software_only_affirms check (
        decided_by = 'clinician' or outcome = 'affirmed'),
    constraint ck_determination_reasons check (
        outcome = 'affirmed' or coalesce(rationale ~ '[[:alnum:]]'
            and resubmission_steps ~ '[[:alnum:]]', false)),
    constraint ck_determination_input_sha256 check (octet_length(input_sha256) = 32)
)

create table case_item (
    organization_id uuid not null,
    case_id uuid not null,
    sequence integer not null,
    revision integer not null default 1,
    code_system text not null,
    code text not null,
    role text not null,
    status text not null,
    service_date date,
    service_end date,
    quantity numeric,
    note text,
    outcome text generated always as
        (case when status in ('affirmed', 'non-affirmed') then status end) stored,
    constraint pk_case_item primary key (organization_id, case_id, sequence),
    constraint fk_case_item_prior_auth_case
        foreign key (organization_id, case_id) references prior_auth_case (organization_id, id),
    constraint fk_case_item_determination
        foreign key (organization_id, case_id, sequence, revision, outcome)
        references determination (organization_id, case_id, sequence, revision, outcome),
    constraint ck_case_item_sequence check (sequence >= 1),
    constraint ck_case_item_role check (role in
        ('primary', 'add-on', 'associated', 'not-wiser')),
    constraint ck_case_item_status check (status in
        ('pended', 'affirmed', 'non-affirmed', 'not-applicable', 'cancelled'))
)

alter table determination add constraint fk_determination_case_item
    foreign key (organization_id, case_id, sequence)
    references case_item (organization_id, case_id, sequence)

create table case_party (
    organization_id uuid not null,
    case_id uuid not null,
    position integer not null,
    role text not null,
    npi text,
    tin text,
    ccn text,
    ptan text,
    name text,
    state text,
    constraint pk_case_party primary key (organization_id, case_id, position),
    constraint fk_case_party_prior_auth_case
        foreign key (organization_id, case_id) references prior_auth_case (organization_id, id),
    constraint ck_case_party_role check (role in
        ('requester', 'ordering', 'rendering', 'facility'))
)

create table utn (
    utn text not null,
    organization_id uuid not null,
    case_id uuid not null,
    revision integer not null,
    source text not null,
    state text not null,
    assigned_at timestamptz not null,
    valid_from date,
    valid_until date,
    ended_at timestamptz,
    constraint pk_utn primary key (utn),
    constraint uq_utn_case_revision unique (organization_id, case_id, revision),
    constraint fk_utn_prior_auth_case
        foreign key (organization_id, case_id) references prior_auth_case (organization_id, id),
    constraint ck_utn_format check (utn ~ '^[A-Z0-9]{2}[ABH][0-9]{11}$'),
    constraint ck_utn_source check (source in ('local', 'esmd')),
    constraint ck_utn_state check (state in ('assigned', 'superseded', 'expired')),
    constraint ck_utn_ended check ((state = 'assigned') = (ended_at is null)),
    constraint ck_utn_validity check (
        (valid_from is null and valid_until is null)
        or coalesce(valid_until = valid_from + 119, false))
)

create unique index uq_utn_live on utn (organization_id, case_id) where state = 'assigned'

create table document (
    organization_id uuid not null,
    case_id uuid not null,
    position integer not null,
    kind text not null,
    title text,
    content_type text,
    size integer,
    sha256 bytea,
    constraint pk_document primary key (organization_id, case_id, position),
    constraint fk_document_prior_auth_case
        foreign key (organization_id, case_id) references prior_auth_case (organization_id, id),
    constraint ck_document_sha256 check (octet_length(sha256) = 32)
)

create table notification (
    organization_id uuid not null,
    id uuid not null,
    case_id uuid not null,
    kind text not null,
    created_at timestamptz not null,
    state text not null default 'queued',
    attempts integer not null default 0,
    last_error text,
    ended_at timestamptz,
    constraint pk_notification primary key (organization_id, id),
    constraint fk_notification_prior_auth_case
        foreign key (organization_id, case_id) references prior_auth_case (organization_id, id),
    constraint ck_notification_state check (state in ('queued', 'sent', 'failed'))
)

create index ix_notification_queued on notification (created_at) where state = 'queued'

create table audit_event (
    id bigint generated always as identity,
    at timestamptz not null default clock_timestamp(),
    xact_id xid8 not null default pg_current_xact_id(),
    organization_id uuid,
    client_id uuid,
    request_id uuid not null,
    action text not null,
    outcome text not null,
    object_kind text,
    object_id text,
    patient bytea,
    detail jsonb not null default '{}',
    constraint pk_audit_event primary key (id),
    constraint ck_audit_event_patient check (octet_length(patient) = 32),
    constraint ck_audit_event_words check (
        action ~ '^[a-z0-9.-]{1,64}$' and outcome ~ '^[a-z0-9.-]{1,64}$'),
    constraint ck_audit_event_detail check (
        jsonb_typeof(detail) = 'object' and octet_length(detail::text) <= 4096
        and not jsonb_path_exists(detail,
            '$.** ? (@.type() == "string" && !(@ like_regex "^[A-Za-z0-9._:/|@+-]{0,200}$"))'))
)
"""

RULES = """
create function append_only() returns trigger language plpgsql as $$
begin
    raise exception '% rows are never changed, deleted or truncated', tg_table_name
        using errcode = 'restrict_violation', table = tg_table_name;
end $$

create trigger append_only before update or delete or truncate on determination
    for each statement execute function append_only()

create trigger append_only before update or delete or truncate on audit_event
    for each statement execute function append_only()

create trigger append_only before update or delete or truncate on message
    for each statement execute function append_only()

create trigger never_deleted before delete or truncate on utn
    for each statement execute function append_only()

create function determination_needs_a_live_licence() returns trigger language plpgsql as $$
declare
    day date := greatest(new.decided_at, now()) at time zone 'America/New_York';
begin
    perform from public.clinician c
        where c.id = new.clinician_id and c.active and c.licence_expires >= day;
    if not found then
        raise exception 'a determination names a clinician with a live licence'
            using errcode = 'check_violation', constraint = 'determination_live_licence';
    end if;
    return new;
end $$

create trigger live_licence before insert on determination
    for each row when (new.decided_by = 'clinician')
    execute function determination_needs_a_live_licence()

create function utn_keeps_its_number() returns trigger language plpgsql as $$
begin
    if old.state <> 'assigned' or (new.utn, new.organization_id, new.case_id, new.revision)
            is distinct from (old.utn, old.organization_id, old.case_id, old.revision) then
        raise exception 'a UTN is never given again'
            using errcode = 'check_violation', constraint = 'utn_given_once';
    end if;
    return new;
end $$

create trigger keeps_its_number before update on utn
    for each row execute function utn_keeps_its_number()

create function utn_agrees_with_its_case() returns trigger language plpgsql as $$
begin
    perform from public.prior_auth_case c
        where c.organization_id = new.organization_id and c.id = new.case_id
            and c.revision = new.revision
            and c.status in ('affirmed', 'partially-affirmed', 'non-affirmed')
            and c.valid_from is not distinct from new.valid_from
            and c.valid_until is not distinct from new.valid_until
            and c.decided_at <= new.assigned_at;
    if not found then
        raise exception 'a UTN belongs to a decided case and carries its days'
            using errcode = 'check_violation', constraint = 'utn_agrees_with_its_case';
    end if;
    return null;
end $$

create constraint trigger agrees_with_its_case after insert on utn
    deferrable initially deferred
    for each row execute function utn_agrees_with_its_case()

create function case_moves_forward() returns trigger language plpgsql as $$
begin
    if new.revision < old.revision or old.status = 'dismissed' and new.status <> 'dismissed'
            or old.status in ('affirmed', 'partially-affirmed', 'non-affirmed')
            and new.status in ('in-review', 'dismissed') and new.revision = old.revision then
        raise exception 'a decided case is changed by a new revision or cancelled'
            using errcode = 'check_violation', constraint = 'case_moves_forward';
    end if;
    return new;
end $$

create trigger moves_forward before update of status, revision on prior_auth_case
    for each row execute function case_moves_forward()

create function case_agrees_with_its_items() returns trigger language plpgsql as $$
declare
    org uuid := new.organization_id;
    this uuid := coalesce(to_jsonb(new) ->> 'case_id', to_jsonb(new) ->> 'id');
    found_case public.prior_auth_case;
    affirmed integer;
    non_affirmed integer;
    pended integer;
    last_decided timestamptz;
begin
    select * into found_case from public.prior_auth_case where organization_id = org and id = this;
    select count(*) filter (where i.status = 'affirmed'),
            count(*) filter (where i.status = 'non-affirmed'),
            count(*) filter (where i.status = 'pended'),
            max(d.decided_at)
        into affirmed, non_affirmed, pended, last_decided
        from public.case_item i left join public.determination d
            on d.organization_id = i.organization_id and d.case_id = i.case_id
            and d.sequence = i.sequence and d.revision = i.revision
        where i.organization_id = org and i.case_id = this;
    if not coalesce(case found_case.status
        when 'affirmed' then affirmed > 0 and non_affirmed = 0 and pended = 0
            and last_decided = found_case.decided_at
        when 'partially-affirmed' then affirmed > 0 and non_affirmed > 0 and pended = 0
            and last_decided = found_case.decided_at
        when 'non-affirmed' then affirmed = 0 and non_affirmed > 0 and pended = 0
            and last_decided = found_case.decided_at
        when 'in-review' then pended > 0
        else affirmed = 0 and non_affirmed = 0 and pended = 0
    end, false) then
        raise exception 'a case says what its items and their determinations say'
            using errcode = 'check_violation', constraint = 'case_agrees_with_its_items';
    end if;
    return null;
end $$

create constraint trigger agrees_with_its_items
    after insert or update of status, decided_at, revision on prior_auth_case
    deferrable initially deferred
    for each row execute function case_agrees_with_its_items()

create constraint trigger agrees_with_its_case
    after insert or update of status, revision on case_item
    deferrable initially deferred
    for each row execute function case_agrees_with_its_items()
"""

# Tables whose rows belong to one organization.
ORGANIZATION_TABLES = (
    "message",
    "prior_auth_case",
    "submission",
    "determination",
    "case_item",
    "case_party",
    "utn",
    "document",
    "notification",
)

# A setting once set stays as an empty string for the rest of the session, hence nullif. The
# sub-select makes Postgres evaluate it once per statement, not once per row.
CURRENT_ORGANIZATION = "(select nullif(current_setting('app.organization', true), '')::uuid)"

AUDIT_POLICIES = f"""
alter table audit_event enable row level security

alter table audit_event force row level security

create policy recorded on audit_event for insert
    with check (organization_id is null or organization_id = {CURRENT_ORGANIZATION})

create policy owner_reads on audit_event for select to wiser_owner using (true)
"""

GRANTS = """
grant usage on schema public to wiser_app, wiser_gate

grant select on alembic_version, deployment, organization, client, clinician to wiser_app

grant select, insert, update (revoked_at) on access_token to wiser_app

grant select, insert on submission, case_party, determination, document, message to wiser_app

grant select, insert, update (status, revision, decide_by, expedited, rules, assessment,
    dismissal_reason, dismissal_detail, decided_at, valid_from, valid_until, answer_message_id)
    on prior_auth_case to wiser_app

grant select, insert, update (status, revision, note) on case_item to wiser_app

grant select, insert, update (state, ended_at) on utn to wiser_app

grant select, insert, update (state, attempts, last_error, ended_at) on notification to wiser_app

grant insert on audit_event to wiser_app
"""

# The only ways to see a row of another organization. Each asks for what only somebody who already
# holds the request can know, tells as little as it can, and writes an audit row.
GATE = """
create schema gate

grant usage on schema gate to wiser_app

grant usage, create on schema gate to wiser_gate

grant select on organization, prior_auth_case, case_item, case_party, utn to wiser_gate

grant insert on audit_event to wiser_gate

create policy gate_reads on prior_auth_case for select to wiser_gate using (true)

create policy gate_reads on case_item for select to wiser_gate using (true)

create policy gate_reads on case_party for select to wiser_gate using (true)

create policy gate_reads on utn for select to wiser_gate using (true)

create function gate.open_twin(
    member text, npis text[], service text, request_id uuid, client_id uuid, patient bytea)
returns boolean language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
    asking uuid := nullif(current_setting('app.organization', true), '')::uuid;
    twin boolean;
begin
    twin := exists (
        select from public.prior_auth_case c
        join public.case_party p on p.organization_id = c.organization_id and p.case_id = c.id
        where c.mbi = member and c.service = open_twin.service and c.status = 'in-review'
            and p.npi = any (npis) and p.role = 'requester');
    insert into public.audit_event
            (organization_id, client_id, request_id, action, outcome, patient)
        values (asking, client_id, request_id, 'gate.open-twin',
            case when twin then 'found' else 'none' end, patient);
    return twin;
end $$

create function gate.inquire_by_others(
    member text, npis text[], numbers text[], examples jsonb, at_most integer,
    request_id uuid, client_id uuid, patient bytea)
returns table (organization_id uuid, case_id uuid) language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    asking uuid := nullif(current_setting('app.organization', true), '')::uuid;
    own_npis text[] := array(
        select npi from public.organization o, unnest(inquire_by_others.npis) npi
        where o.id = asking and o.active and (o.acts_for = 'all' or npi = any (o.npis)));
    found_cases integer;
begin
    return query
        select c.organization_id, c.id from public.prior_auth_case c
        where c.mbi = member and c.organization_id <> asking
            and exists (select from public.case_party p
                where p.organization_id = c.organization_id and p.case_id = c.id
                    and p.npi = any (own_npis) and p.role in ('ordering', 'rendering'))
            and (numbers is null or c.reference = any (numbers)
                or exists (select from public.utn u
                    where u.utn = any (numbers) and u.organization_id = c.organization_id
                        and u.case_id = c.id))
            and (examples is null or exists (select from public.case_item i,
                jsonb_to_recordset(examples)
                    as x (codes text[], starts date, ends date, status text)
                where i.organization_id = c.organization_id and i.case_id = c.id
                    and (x.codes is null or i.code = any (x.codes))
                    and (x.status is null or i.status = x.status)
                    and (i.service_date is null or (coalesce(i.service_date >= x.starts, true)
                        and coalesce(i.service_date <= x.ends, true)))))
        order by c.received_at desc, c.id desc limit at_most;
    get diagnostics found_cases = row_count;
    insert into public.audit_event
            (organization_id, client_id, request_id, action, outcome, patient, detail)
        values (asking, client_id, request_id, 'gate.inquire-by-others',
            case when found_cases > 0 then 'found' else 'none' end, patient,
            jsonb_build_object('npis', own_npis, 'found', found_cases));
end $$

revoke execute on all functions in schema gate from public

grant execute on all functions in schema gate to wiser_app

alter function gate.open_twin owner to wiser_gate

alter function gate.inquire_by_others owner to wiser_gate

revoke create on schema gate from wiser_gate
"""

# One trip instead of three, for the question that precedes every submission. It can do no more
# than its caller: the setting lasts until the end of the statement's transaction.
SUBMISSION_ANSWER = """
create function submission_answer(organization uuid, system text, value text)
returns table (request_sha256 bytea, case_id uuid, body bytea, line text)
language plpgsql volatile as $$
begin
    perform set_config('app.organization', organization::text, true);
    return query select s.request_sha256, s.case_id, m.body, s.line
        from public.submission s join public.message m
            on m.organization_id = s.organization_id and m.id = s.answer_message_id
        where s.organization_id = organization
            and s.identifier_system = system and s.identifier_value = value;
end $$

revoke execute on function submission_answer from public

grant execute on function submission_answer to wiser_app
"""


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
    run(PRINCIPALS)
    run(CASES)
    run(RULES)
    for table in ORGANIZATION_TABLES:
        protect(table)
    run(AUDIT_POLICIES)
    run(GRANTS)
    run(GATE)
    run(SUBMISSION_ANSWER)


def downgrade() -> None:
    run("""
drop schema gate cascade

drop function submission_answer

drop table audit_event, notification, document, utn, case_party, case_item, determination,
    submission, message, prior_auth_case, clinician, access_token, client, organization, deployment
    cascade

drop function append_only, determination_needs_a_live_licence, utn_keeps_its_number,
    utn_agrees_with_its_case, case_moves_forward, case_agrees_with_its_items

revoke all on schema public from wiser_app, wiser_gate
""")
