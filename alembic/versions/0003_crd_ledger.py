"""What CRD answered and what became of it, and how cases stand for one who asks before a request.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0003"
down_revision: str | Sequence[str] | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Bodies are the wire's bytes, compressed, but for the EHR's token, which the door blanks; the hash
# is that of the bytes as they came. Source: CRD 2.2.1 §found-37, §found-38, CRDMetricData.
LEDGER = """
create table hook_call (
    organization_id uuid not null,
    id uuid not null,
    client_id uuid not null,
    request_id uuid not null,
    service_id text not null,
    hook text not null,
    hook_instance uuid,
    line text not null,
    received_at timestamptz not null,
    answered_at timestamptz not null,
    status integer not null,
    request bytea not null,
    request_sha256 bytea not null,
    response bytea not null,
    response_sha256 bytea not null,
    fetched integer not null,
    token_use text not null,
    constraint pk_hook_call primary key (organization_id, id),
    constraint fk_hook_call_client
        foreign key (organization_id, client_id) references client (organization_id, id),
    constraint ck_hook_call_service_id check (service_id ~ '^[A-Za-z0-9._-]{1,100}$'),
    constraint ck_hook_call_hook check (hook in ('order-sign', 'order-select', 'order-dispatch',
        'appointment-book', 'encounter-start', 'encounter-discharge')),
    constraint ck_hook_call_line check (line in ('2.0', '2.2')),
    constraint ck_hook_call_times check (answered_at >= received_at),
    constraint ck_hook_call_status check (status between 200 and 599),
    constraint ck_hook_call_sha256 check (
        octet_length(request_sha256) = 32 and octet_length(response_sha256) = 32),
    constraint ck_hook_call_fetched check (fetched >= 0),
    constraint ck_hook_call_token_use check (token_use in ('used', 'not-used', 'rejected'))
)

alter table hook_call alter column request set storage external,
    alter column response set storage external

create table coverage_assertion (
    organization_id uuid not null,
    id text not null,
    hook_call_id uuid not null,
    order_reference text not null,
    coverage_reference text not null,
    mbi text,
    situation text not null,
    service text,
    rules text,
    codes text[] not null,
    asked jsonb not null,
    answer jsonb not null,
    made_at timestamptz not null,
    expires_on date,
    constraint pk_coverage_assertion primary key (organization_id, id),
    constraint fk_coverage_assertion_hook_call
        foreign key (organization_id, hook_call_id) references hook_call (organization_id, id),
    constraint ck_coverage_assertion_id check (id collate "C" ~ '^[!-~]{1,200}$'),
    constraint ck_coverage_assertion_situation check (situation in ('needs-authorization',
        'satisfied', 'pended', 'non-affirmed', 'exempt', 'not-wiser', 'other-model-state',
        'state-outside', 'date-outside', 'site-outside', 'diagnosis-outside', 'medicare-advantage',
        'railroad', 'delayed', 'excluded', 'add-on-alone', 'missing', 'member-not-found',
        'member-ended', 'coverage-ended', 'ineligible-provider', 'technical')),
    constraint ck_coverage_assertion_rules check (rules is null or service is not null),
    constraint ck_coverage_assertion_codes check (array_position(codes, null) is null),
    constraint ck_coverage_assertion_facts check (
        jsonb_typeof(asked) = 'object' and jsonb_typeof(answer) = 'object')
)

create table hook_card (
    organization_id uuid not null,
    id uuid not null,
    hook_call_id uuid not null,
    type text not null,
    topic text not null,
    suggestions uuid[] not null,
    constraint pk_hook_card primary key (organization_id, id),
    constraint fk_hook_card_hook_call
        foreign key (organization_id, hook_call_id) references hook_call (organization_id, id),
    constraint ck_hook_card_words check (
        type ~ '^[A-Za-z0-9.-]{1,64}$' and topic ~ '^[A-Za-z0-9.-]{1,64}$'),
    constraint ck_hook_card_suggestions check (array_position(suggestions, null) is null)
)

create table card_feedback (
    organization_id uuid not null,
    card_id uuid not null,
    sha256 bytea not null,
    message_id uuid not null,
    outcome text not null,
    accepted uuid[] not null,
    override_code text,
    override_system text,
    at timestamptz not null,
    constraint pk_card_feedback primary key (organization_id, card_id, sha256),
    constraint fk_card_feedback_hook_card
        foreign key (organization_id, card_id) references hook_card (organization_id, id),
    constraint fk_card_feedback_message
        foreign key (organization_id, message_id) references message (organization_id, id)
        deferrable initially deferred,
    constraint ck_card_feedback_sha256 check (octet_length(sha256) = 32),
    constraint ck_card_feedback_outcome check (outcome in ('accepted', 'overridden')),
    constraint ck_card_feedback_accepted check (
        array_position(accepted, null) is null and (outcome = 'accepted' or accepted = '{}')),
    constraint ck_card_feedback_override check (
        outcome = 'overridden' or (override_code is null and override_system is null))
)
"""

# What a request came with: the answers of CRD it names, and where its own departs from them.
CASES = """
alter table prior_auth_case
    add column assertions text[] not null default '{}',
    add column remarks text[] not null default '{}'
"""

TABLES = ("hook_call", "coverage_assertion", "hook_card", "card_feedback")

GRANTS = """
grant select, insert on hook_call, coverage_assertion, hook_card, card_feedback to wiser_app
"""

# How another organization's cases stand. A provider sees those in which it has a part itself; who
# may act for everybody sees what it sent and no more. Tells what an order hangs on, leaves a row.
STANDING_GATE = """
grant create on schema gate to wiser_gate

create function gate.standing_by_others(
    member text, npis text[], at_most integer, request_id uuid, client_id uuid, patient bytea)
returns table (organization_id uuid, case_id uuid, reference text, status text, utn text,
    valid_from date, valid_until date, decide_by timestamptz, service text, item_codes text[],
    item_statuses text[], item_quantities numeric[], roles_named text[], npis_named text[],
    state text, received_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    asking uuid := nullif(current_setting('app.organization', true), '')::uuid;
    own_npis text[] := array(
        select npi from public.organization o, unnest(standing_by_others.npis) npi
        where o.id = asking and o.active and o.acts_for <> 'all' and npi = any (o.npis));
    found_cases integer;
begin
    return query
        select c.organization_id, c.id, c.reference, c.status, u.utn, c.valid_from, c.valid_until,
            c.decide_by, c.service, i.codes, i.statuses, i.quantities, p.roles, p.npis, c.state,
            c.received_at
        from public.prior_auth_case c
        left join public.utn u on u.organization_id = c.organization_id and u.case_id = c.id
            and u.revision = c.revision and u.state = 'assigned'
        cross join lateral (
            select array_agg(t.code order by t.sequence) as codes,
                array_agg(t.status order by t.sequence) as statuses,
                array_agg(t.quantity order by t.sequence) as quantities
            from public.case_item t
            where t.organization_id = c.organization_id and t.case_id = c.id) i
        cross join lateral (
            select coalesce(array_agg(t.role order by t.position), '{}') as roles,
                coalesce(array_agg(t.npi order by t.position), '{}') as npis
            from public.case_party t
            where t.organization_id = c.organization_id and t.case_id = c.id) p
        where c.mbi = member and c.organization_id <> asking and p.npis && own_npis
            and c.status in ('in-review', 'affirmed', 'partially-affirmed', 'non-affirmed')
        order by c.received_at desc, c.id desc limit at_most;
    get diagnostics found_cases = row_count;
    insert into public.audit_event
            (organization_id, client_id, request_id, action, outcome, patient, detail)
        values (asking, client_id, request_id, 'gate.standing-by-others',
            case when found_cases > 0 then 'found' else 'none' end, patient,
            jsonb_build_object('npis', own_npis, 'found', found_cases));
end $$

revoke execute on function gate.standing_by_others from public

grant execute on function gate.standing_by_others to wiser_app

alter function gate.standing_by_others owner to wiser_gate

revoke create on schema gate from wiser_gate
"""

# One trip for the question that comes before every answer of CRD, and one for keeping that answer.
# They can do no more than their caller: the setting lasts until the end of the transaction.
FUNCTIONS = """
create function standing_of(
    organization uuid, member text, npis text[], at_most integer, request_id uuid, client_id uuid,
    patient bytea)
returns table (case_id uuid, reference text, status text, utn text, valid_from date,
    valid_until date, decide_by timestamptz, service text, item_codes text[],
    item_statuses text[], item_quantities numeric[], roles_named text[], npis_named text[],
    state text, received_at timestamptz)
language plpgsql volatile as $$
#variable_conflict use_column
begin
    perform set_config('app.organization', organization::text, true);
    return query
        select c.id, c.reference, c.status, u.utn, c.valid_from, c.valid_until, c.decide_by,
            c.service,
            array(select t.code from public.case_item t
                where t.organization_id = organization and t.case_id = c.id order by t.sequence),
            array(select t.status from public.case_item t
                where t.organization_id = organization and t.case_id = c.id order by t.sequence),
            array(select t.quantity from public.case_item t
                where t.organization_id = organization and t.case_id = c.id order by t.sequence),
            array(select t.role from public.case_party t
                where t.organization_id = organization and t.case_id = c.id order by t.position),
            array(select t.npi from public.case_party t
                where t.organization_id = organization and t.case_id = c.id order by t.position),
            c.state, c.received_at
        from public.prior_auth_case c
        left join public.utn u on u.organization_id = organization and u.case_id = c.id
            and u.revision = c.revision and u.state = 'assigned'
        where c.organization_id = organization and c.mbi = member
            and c.status in ('in-review', 'affirmed', 'partially-affirmed', 'non-affirmed')
        order by c.received_at desc, c.id desc limit at_most;
    perform from public.organization o
        where o.id = organization and o.active and o.acts_for <> 'all'
            and o.npis && standing_of.npis;
    if found then
        return query
            select g.case_id, g.reference, g.status, g.utn, g.valid_from, g.valid_until,
                g.decide_by, g.service, g.item_codes, g.item_statuses, g.item_quantities,
                g.roles_named, g.npis_named, g.state, g.received_at
            from gate.standing_by_others(member, standing_of.npis, at_most,
                standing_of.request_id, standing_of.client_id, standing_of.patient) g;
    end if;
end $$

revoke execute on function standing_of from public

grant execute on function standing_of to wiser_app

create function record_hook_call(
    organization uuid, told jsonb, request bytea, request_sha256 bytea, response bytea,
    response_sha256 bytea, assertions jsonb, cards jsonb, patient bytea, audited jsonb)
returns void language plpgsql volatile as $$
begin
    perform set_config('app.organization', organization::text, true);
    insert into public.hook_call (organization_id, id, client_id, request_id, service_id, hook,
            hook_instance, line, received_at, answered_at, status, request, request_sha256,
            response, response_sha256, fetched, token_use)
        select organization, c.id, c.client_id, c.request_id, c.service_id, c.hook,
            c.hook_instance, c.line, c.received_at, c.answered_at, c.status,
            record_hook_call.request, record_hook_call.request_sha256,
            record_hook_call.response, record_hook_call.response_sha256, c.fetched, c.token_use
        from jsonb_to_record(told) c (id uuid, client_id uuid, request_id uuid, service_id text,
            hook text, hook_instance uuid, line text, received_at timestamptz,
            answered_at timestamptz, status integer, fetched integer, token_use text);
    insert into public.coverage_assertion (organization_id, id, hook_call_id, order_reference,
            coverage_reference, mbi, situation, service, rules, codes, asked, answer, made_at,
            expires_on)
        select organization, a.id, (told ->> 'id')::uuid, a.order_reference,
            a.coverage_reference, a.mbi, a.situation, a.service, a.rules, a.codes, a.asked,
            a.answer, a.made_at, a.expires_on
        from jsonb_to_recordset(assertions) a (id text, order_reference text,
            coverage_reference text, mbi text, situation text, service text, rules text,
            codes text[], asked jsonb, answer jsonb, made_at timestamptz, expires_on date);
    insert into public.hook_card (organization_id, id, hook_call_id, type, topic, suggestions)
        select organization, c.id, (told ->> 'id')::uuid, c.type, c.topic, c.suggestions
        from jsonb_to_recordset(cards) c (id uuid, type text, topic text, suggestions uuid[]);
    insert into public.audit_event (organization_id, client_id, request_id, action, outcome,
            object_kind, object_id, patient, detail)
        select organization, e.client_id, e.request_id, e.action, e.outcome, e.object_kind,
            e.object_id, record_hook_call.patient, e.detail
        from jsonb_to_record(audited) e (client_id uuid, request_id uuid, action text,
            outcome text, object_kind text, object_id text, detail jsonb);
end $$

revoke execute on function record_hook_call from public

grant execute on function record_hook_call to wiser_app
"""

# A setting once set stays as an empty string for the rest of the session, hence nullif. The
# sub-select makes Postgres evaluate it once per statement, not once per row.
CURRENT_ORGANIZATION = "(select nullif(current_setting('app.organization', true), '')::uuid)"


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def protect(table: str) -> None:
    """Rows of one organization, seen by it alone, never changed."""
    run(f"""
alter table {table} enable row level security

alter table {table} force row level security

create policy own_rows on {table}
    using (organization_id = {CURRENT_ORGANIZATION})
    with check (organization_id = {CURRENT_ORGANIZATION})

create trigger append_only before update or delete or truncate on {table}
    for each statement execute function append_only()
""")


def upgrade() -> None:
    run(LEDGER)
    run(CASES)
    for table in TABLES:
        protect(table)
    run(GRANTS)
    run(STANDING_GATE)
    run(FUNCTIONS)


def downgrade() -> None:
    run("""
drop function record_hook_call

drop function standing_of

drop function gate.standing_by_others

drop table card_feedback, hook_card, coverage_assertion, hook_call

alter table prior_auth_case drop column assertions, drop column remarks
""")
