"""Claims that arrived, the units they use up, and reviews of those that came without a number.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0009"
down_revision: str | Sequence[str] | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

ORGANIZATIONS = """
alter table organization drop constraint ck_organization_kind

alter table organization add constraint ck_organization_kind check (
    kind in ('provider', 'clearinghouse', 'mac'))

alter table organization add constraint ck_organization_mac_sends_nothing check (
    kind <> 'mac' or (acts_for = 'own' and npis = '{}'))
"""

# Where a line is to be delivered, which a claim is held against; and when a number that is still
# to come was last asked for.
CASES = """
alter table case_item add site_kind text

alter table case_item add site_code text

alter table case_item add constraint ck_case_item_site check (
    (site_kind is null) = (site_code is null)
    and site_kind in ('place-of-service', 'bill-type', 'other'))

create function item_keeps_its_site() returns trigger language plpgsql as $$
begin
    raise exception 'a decided line is delivered where it was decided for'
        using errcode = 'check_violation', constraint = 'item_keeps_its_site';
end $$

create trigger keeps_its_site before update of site_kind, site_code on case_item
    for each row when (old.outcome is not null and new.revision = old.revision
        and (new.site_kind, new.site_code) is distinct from (old.site_kind, old.site_code))
    execute function item_keeps_its_site()

alter table utn add tried_at timestamptz
"""

CLAIMS = """
create table claim (
    organization_id uuid not null,
    id uuid not null,
    claim_number text not null,
    client_id uuid not null,
    mbi text not null,
    provider_npi text not null,
    state text,
    received_at timestamptz not null,
    request bytea not null,
    request_sha256 bytea not null,
    answer bytea not null,
    constraint pk_claim primary key (organization_id, id),
    constraint uq_claim_number unique (organization_id, claim_number),
    constraint fk_claim_organization_id_organization
        foreign key (organization_id) references organization (id),
    constraint fk_claim_client
        foreign key (organization_id, client_id) references client (organization_id, id),
    constraint ck_claim_number check (claim_number ~ '^[!-~]{1,40}$'),
    constraint ck_claim_sha256 check (octet_length(request_sha256) = 32)
)

alter table claim alter column request set storage external,
    alter column answer set storage external

create table claim_line (
    organization_id uuid not null,
    claim_id uuid not null,
    number integer not null,
    code text not null,
    modifiers text[] not null,
    revenue_code text,
    units numeric not null,
    first_day date not null,
    last_day date not null,
    site_kind text not null,
    site_code text not null,
    utn text,
    status text not null,
    service text,
    constraint pk_claim_line primary key (organization_id, claim_id, number),
    constraint fk_claim_line_claim
        foreign key (organization_id, claim_id) references claim (organization_id, id),
    constraint ck_claim_line_number check (number >= 1),
    constraint ck_claim_line_units check (units > 0),
    constraint ck_claim_line_days check (first_day <= last_day),
    constraint ck_claim_line_status check (status ~ '^[a-z][a-z-]{1,63}$')
)

create table utn_use (
    organization_id uuid not null,
    case_id uuid not null,
    sequence integer not null,
    revision integer not null,
    claim_organization_id uuid not null,
    claim_id uuid not null,
    line integer not null,
    units numeric not null,
    at timestamptz not null,
    constraint pk_utn_use primary key
        (organization_id, case_id, sequence, claim_organization_id, claim_id, line),
    constraint fk_utn_use_determination
        foreign key (organization_id, case_id, sequence, revision)
        references determination (organization_id, case_id, sequence, revision),
    constraint fk_utn_use_claim_line
        foreign key (claim_organization_id, claim_id, line)
        references claim_line (organization_id, claim_id, number),
    constraint ck_utn_use_units check (units > 0)
)
"""

REVIEWS = """
create table prepayment_review (
    organization_id uuid not null,
    id uuid not null,
    claim_id uuid not null,
    service text not null,
    adr_number text not null,
    state text not null default 'documents-asked',
    asked_at timestamptz not null,
    documents_due date not null,
    due_at timestamptz not null,
    documents_at timestamptz,
    decide_by timestamptz,
    recommendation text,
    rationale text,
    reasons text[] not null default '{}',
    clinician_id uuid,
    ended_at timestamptz,
    reported_at timestamptz,
    constraint pk_prepayment_review primary key (organization_id, id),
    constraint uq_prepayment_review_adr_number unique (adr_number),
    constraint uq_prepayment_review_service unique (organization_id, claim_id, service),
    constraint fk_prepayment_review_claim
        foreign key (organization_id, claim_id) references claim (organization_id, id),
    constraint fk_prepayment_review_clinician_id_person
        foreign key (clinician_id) references person (id),
    constraint ck_prepayment_review_adr_number check (adr_number ~ '^ADR[0-9]{14}$'),
    constraint ck_prepayment_review_state check (
        state in ('documents-asked', 'in-review', 'recommended', 'no-response')),
    constraint ck_prepayment_review_documents check (
        (documents_at is not null) = (state in ('in-review', 'recommended'))
        and (documents_at is null) = (decide_by is null)
        and due_at = coalesce(decide_by,
            (documents_due + 1)::timestamp at time zone 'America/New_York')),
    constraint ck_prepayment_review_recommended check (
        case when state = 'recommended'
            then coalesce(recommendation in ('pay', 'deny') and rationale ~ '[[:alnum:]]', false)
                and clinician_id is not null
            else recommendation is null and rationale is null and clinician_id is null
                and reasons = '{}'
        end),
    constraint ck_prepayment_review_reasons check (
        recommendation <> 'deny' or cardinality(reasons) > 0),
    constraint ck_prepayment_review_ended check (
        (ended_at is not null) = (state in ('recommended', 'no-response'))),
    constraint ck_prepayment_review_reported check (
        reported_at is null or ended_at is not null)
)

create index ix_prepayment_review_queue on prepayment_review (state, due_at, id)

create table prepayment_document (
    organization_id uuid not null,
    review_id uuid not null,
    sender_id uuid not null,
    delivery_id uuid not null,
    received_at timestamptz not null,
    final boolean not null,
    constraint pk_prepayment_document primary key
        (organization_id, review_id, sender_id, delivery_id),
    constraint fk_prepayment_document_review
        foreign key (organization_id, review_id)
        references prepayment_review (organization_id, id),
    constraint fk_prepayment_document_attachment_delivery
        foreign key (sender_id, delivery_id) references attachment_delivery (organization_id, id)
)

alter table letter alter case_id drop not null

alter table letter add review_id uuid

alter table letter add constraint fk_letter_prepayment_review
    foreign key (organization_id, review_id) references prepayment_review (organization_id, id)

alter table letter add constraint ck_letter_about check (num_nonnulls(case_id, review_id) = 1)

create unique index uq_letter_review on letter (organization_id, review_id, kind, recipient)
    where review_id is not null
"""

# A use of units takes its turn behind every other use of the same case, then counts: what two
# claims use at once can never exceed what was authorized, whoever writes the rows.
RULES = """
create trigger append_only before update or delete or truncate on claim
    for each statement execute function append_only()

create trigger append_only before update or delete or truncate on claim_line
    for each statement execute function append_only()

create trigger append_only before update or delete or truncate on utn_use
    for each statement execute function append_only()

create trigger append_only before update or delete or truncate on prepayment_document
    for each statement execute function append_only()

create function units_are_authorized() returns trigger language plpgsql as $$
declare
    billed public.claim_line;
    authorized numeric;
    used numeric;
begin
    perform from public.utn u
        where u.organization_id = new.organization_id and u.case_id = new.case_id
        order by u.revision for update;
    select l.* into billed from public.claim_line l
        where l.organization_id = new.claim_organization_id and l.claim_id = new.claim_id
            and l.number = new.line;
    select coalesce(d.quantity, 1) into authorized
        from public.utn u
        join public.prior_auth_case c
            on c.organization_id = u.organization_id and c.id = u.case_id
        join public.determination d
            on d.organization_id = u.organization_id and d.case_id = u.case_id
            and d.revision = u.revision and d.sequence = new.sequence
        join public.case_item i
            on i.organization_id = d.organization_id and i.case_id = d.case_id
            and i.sequence = d.sequence
        join public.claim m
            on m.organization_id = new.claim_organization_id and m.id = new.claim_id
        where u.organization_id = new.organization_id and u.case_id = new.case_id
            and u.revision = new.revision and u.utn = billed.utn
            and u.state in ('assigned', 'expired') and c.status <> 'cancelled'
            and c.mbi = m.mbi and d.outcome = 'affirmed'
            and coalesce(d.code, i.code) = billed.code
            and billed.first_day >= greatest(d.first_day, u.valid_from)
            and billed.last_day <= least(d.last_day, u.valid_until)
            and exists (select from public.case_party p
                where p.organization_id = c.organization_id and p.case_id = c.id
                    and p.npi = m.provider_npi);
    if not found then
        raise exception 'units are used of an affirmed line of a live number'
            using errcode = 'check_violation', constraint = 'units_are_authorized';
    end if;
    select coalesce(sum(o.units), 0) into used from public.utn_use o
        where o.organization_id = new.organization_id and o.case_id = new.case_id
            and o.sequence = new.sequence;
    if used + new.units > authorized then
        raise exception 'no more units are used than were authorized'
            using errcode = 'check_violation', constraint = 'units_never_oversold';
    end if;
    select coalesce(sum(o.units), 0) into used from public.utn_use o
        where o.claim_organization_id = new.claim_organization_id
            and o.claim_id = new.claim_id and o.line = new.line
            and o.organization_id = new.organization_id and o.case_id = new.case_id;
    if used + new.units > billed.units then
        raise exception 'a line uses no more units than it bills'
            using errcode = 'check_violation', constraint = 'units_of_the_line';
    end if;
    return new;
end $$

create trigger are_authorized before insert on utn_use
    for each row execute function units_are_authorized()

create function review_is_kept() returns trigger language plpgsql as $$
declare
    day date := greatest(new.ended_at, now()) at time zone 'America/New_York';
    who public.person;
    billing text;
begin
    if tg_op = 'INSERT' then
        if new.state <> 'documents-asked' then
            raise exception 'a review begins by asking for documents'
                using errcode = 'check_violation', constraint = 'review_begins_with_a_request';
        end if;
        return new;
    end if;
    if (new.organization_id, new.id, new.claim_id, new.service, new.adr_number, new.asked_at,
            new.documents_due)
        is distinct from (old.organization_id, old.id, old.claim_id, old.service, old.adr_number,
            old.asked_at, old.documents_due)
        or old.ended_at is not null
            and to_jsonb(new) - 'reported_at' is distinct from to_jsonb(old) - 'reported_at'
        or old.reported_at is not null and new.reported_at is distinct from old.reported_at
        or old.state = 'in-review' and new.state in ('documents-asked', 'no-response')
        or old.state = 'documents-asked' and new.state = 'recommended'
        or old.documents_at is not null and (new.documents_at, new.decide_by)
            is distinct from (old.documents_at, old.decide_by) then
        raise exception 'a review goes from documents asked to in review to its end'
            using errcode = 'check_violation', constraint = 'review_moves_forward';
    end if;
    if old.state = 'documents-asked' and new.state = 'no-response'
            and (new.ended_at at time zone 'America/New_York')::date <= new.documents_due then
        raise exception 'documents may come until the end of the last day'
            using errcode = 'check_violation', constraint = 'review_waits_for_documents';
    end if;
    if old.state = 'recommended' or new.state <> 'recommended' then
        return new;
    end if;
    select * into who from public.person p
        where p.id = new.clinician_id and p.active and 'clinician' = any (p.roles)
            and p.licence_expires >= day;
    if not found then
        raise exception 'a recommendation names a clinician with a live licence'
            using errcode = 'check_violation', constraint = 'recommendation_live_licence';
    end if;
    select c.provider_npi into billing from public.claim c
        where c.organization_id = new.organization_id and c.id = new.claim_id;
    perform from public.organization o
        where o.id = any (who.organizations) and billing = any (o.npis);
    if found or billing = who.npi or new.organization_id = any (who.organizations) then
        raise exception 'nobody recommends on a claim of an organization they belong to'
            using errcode = 'check_violation', constraint = 'recommendation_by_an_outsider';
    end if;
    return new;
end $$

create trigger is_kept before insert or update on prepayment_review
    for each row execute function review_is_kept()

create trigger never_deleted before delete or truncate on prepayment_review
    for each statement execute function append_only()
"""

ORGANIZATION_TABLES = (
    "claim",
    "claim_line",
    "utn_use",
    "prepayment_review",
    "prepayment_document",
)

# A setting once set stays as an empty string for the rest of the session, hence nullif. The
# sub-select makes Postgres evaluate it once per statement, not once per row.
CURRENT_ORGANIZATION = "(select nullif(current_setting('app.organization', true), '')::uuid)"

GRANTS = """
grant select, insert on claim, claim_line to wiser_app

grant select on utn_use, prepayment_document to wiser_app

grant select, insert, update (state, documents_at, decide_by, recommendation, rationale, reasons,
    clinician_id, ended_at, reported_at, due_at) on prepayment_review to wiser_app

grant update (site_kind, site_code) on case_item to wiser_app

grant update (tried_at) on utn to wiser_app
"""

# The gate may hold a number's row while units are counted; the check lets nothing be changed.
GATE_RIGHTS = """
grant create on schema gate to wiser_gate

grant select on determination, claim, claim_line, prepayment_review, attachment_delivery, attachment
    to wiser_gate

grant select, insert on utn_use, prepayment_document to wiser_gate

grant update (tried_at) on utn to wiser_gate

create policy claims_gate_reads on determination for select to wiser_gate using (true)

create policy claims_gate_reads on claim for select to wiser_gate using (true)

create policy claims_gate_reads on claim_line for select to wiser_gate using (true)

create policy claims_gate_reads on prepayment_review for select to wiser_gate using (true)

create policy claims_gate_reads on attachment_delivery for select to wiser_gate using (true)

create policy claims_gate_reads on attachment for select to wiser_gate using (true)

create policy gate_matches on prepayment_document to wiser_gate using (true) with check (true)

create policy gate_counts on utn_use to wiser_gate using (true) with check (true)

create policy gate_holds on utn for update to wiser_gate using (true) with check (false)
"""

# What a number stands for, told to the organization that asked for it, to a provider that has a
# part in the case, and to a MAC; to nobody for another member than the number's. Without a number
# it is the member's decided cases whose number is still to come.
AUTHORIZATION_GATE = """
create function gate.claim_authorizations(
    member text, provider text, numbers text[], hold boolean, request_id uuid, client_id uuid,
    patient bytea)
returns jsonb language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
    asking uuid := nullif(current_setting('app.organization', true), '')::uuid;
    a_mac boolean := exists (select from public.organization o
        where o.id = asking and o.active and o.kind = 'mac');
    its_provider boolean := exists (select from public.organization o
        where o.id = asking and o.active and o.acts_for <> 'all' and provider = any (o.npis));
    told jsonb;
begin
    if hold and a_mac then
        perform from public.utn u
            where (u.organization_id, u.case_id) in (select t.organization_id, t.case_id
                from public.utn t join public.prior_auth_case c
                    on c.organization_id = t.organization_id and c.id = t.case_id
                where t.utn = any (numbers) and c.mbi = member)
            order by u.organization_id, u.case_id, u.revision for update;
    end if;
    select coalesce(jsonb_agg(jsonb_build_object(
            'organization_id', u.organization_id, 'case_id', u.case_id, 'revision', u.revision,
            'number', u.utn, 'state', u.state, 'case_status', c.status, 'service', c.service,
            'valid_from', u.valid_from, 'valid_until', u.valid_until,
            'newer', (select n.utn from public.utn n
                where n.organization_id = u.organization_id and n.case_id = u.case_id
                    and n.revision > u.revision order by n.revision desc limit 1),
            'parties', (select coalesce(jsonb_agg(jsonb_build_object(
                    'role', p.role, 'npi', p.npi) order by p.position), '[]')
                from public.case_party p
                where p.organization_id = u.organization_id and p.case_id = u.case_id),
            'items', (select coalesce(jsonb_agg(jsonb_build_object(
                    'sequence', i.sequence, 'code', coalesce(d.code, i.code), 'status', i.status,
                    'outcome', d.outcome, 'quantity', d.quantity::text,
                    'first_day', d.first_day, 'last_day', d.last_day,
                    'site_kind', i.site_kind, 'site_code', i.site_code,
                    'used', (select coalesce(sum(o.units), 0)::text from public.utn_use o
                        where o.organization_id = i.organization_id and o.case_id = i.case_id
                            and o.sequence = i.sequence)) order by i.sequence), '[]')
                from public.case_item i left join public.determination d
                    on d.organization_id = i.organization_id and d.case_id = i.case_id
                    and d.sequence = i.sequence and d.revision = u.revision
                where i.organization_id = u.organization_id and i.case_id = u.case_id))
            order by u.organization_id, u.case_id, u.revision), '[]')
        into told
        from public.utn u join public.prior_auth_case c
            on c.organization_id = u.organization_id and c.id = u.case_id
        where c.mbi = member
            and (u.utn = any (numbers) or u.state in ('pending', 'failed'))
            and (c.organization_id = asking or a_mac or its_provider and exists (
                select from public.case_party p
                where p.organization_id = c.organization_id and p.case_id = c.id
                    and p.npi = provider));
    insert into public.audit_event
            (organization_id, client_id, request_id, action, outcome, patient, detail)
        values (asking, client_id, request_id, 'gate.claim-authorizations',
            case when told = '[]' then 'none' else 'found' end, patient,
            jsonb_build_object('asked', cardinality(numbers), 'found', jsonb_array_length(told)));
    return told;
end $$

create function gate.use_units(
    used_number text, used_sequence integer, used_by uuid, used_line integer,
    used_units numeric, used_at timestamptz, request_id uuid, client_id uuid, patient bytea)
returns void language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
    asking uuid := nullif(current_setting('app.organization', true), '')::uuid;
begin
    perform from public.organization o where o.id = asking and o.active and o.kind = 'mac';
    if not found then
        raise exception 'units are used by claims of a MAC'
            using errcode = 'insufficient_privilege';
    end if;
    insert into public.utn_use (organization_id, case_id, sequence, revision,
            claim_organization_id, claim_id, line, units, at)
        select u.organization_id, u.case_id, used_sequence, u.revision, asking, used_by,
            used_line, used_units, used_at
        from public.utn u where u.utn = used_number;
    if not found then
        raise exception 'units are used of an affirmed line of a live number'
            using errcode = 'check_violation', constraint = 'units_are_authorized';
    end if;
    insert into public.audit_event
            (organization_id, client_id, request_id, action, outcome, object_kind, object_id,
            patient, detail)
        values (asking, client_id, request_id, 'gate.use-units', 'done', 'utn', used_number,
            patient, jsonb_build_object('line', used_line, 'sequence', used_sequence));
end $$
"""

# Reviews hang on the MAC whose claim it is; whoever reviews looks across all of them, but for those
# of a claim that their own organization recorded or bills.
REVIEW_GATE = """
create function gate.prepayment_queue(
    wanted text, after_at timestamptz, after_id uuid, at_most integer,
    request_id uuid, person_id uuid)
returns table (organization_id uuid, id uuid, claim_number text, service text, adr_number text,
    state text, asked_at timestamptz, documents_due date, due_at timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    who public.person;
    own text[];
    listed integer;
begin
    select p.* into who from public.person p where p.id = prepayment_queue.person_id and p.active;
    if not found then
        return;
    end if;
    own := gate.own_npis(who);
    return query
        select r.organization_id, r.id, c.claim_number, r.service, r.adr_number, r.state,
            r.asked_at, r.documents_due, r.due_at
        from public.prepayment_review r join public.claim c
            on c.organization_id = r.organization_id and c.id = r.claim_id
        where r.state = wanted and (r.due_at, r.id) > (after_at, after_id)
            and r.organization_id <> all (who.organizations) and c.provider_npi <> all (own)
        order by r.due_at, r.id limit at_most;
    get diagnostics listed = row_count;
    insert into public.audit_event (request_id, person_id, action, outcome, detail)
        values (prepayment_queue.request_id, prepayment_queue.person_id, 'gate.prepayment-queue',
            'done', jsonb_build_object('found', listed));
end $$

create function gate.prepayment_organization(review uuid, request_id uuid, person_id uuid)
returns uuid language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
    who public.person;
    found_organization uuid;
    own boolean;
begin
    select p.* into who from public.person p
        where p.id = prepayment_organization.person_id and p.active;
    if not found then
        return null;
    end if;
    select r.organization_id,
            r.organization_id = any (who.organizations)
            or c.provider_npi = any (gate.own_npis(who))
        into found_organization, own
        from public.prepayment_review r join public.claim c
            on c.organization_id = r.organization_id and c.id = r.claim_id
        where r.id = review;
    insert into public.audit_event
            (request_id, person_id, action, outcome, object_kind, object_id)
        values (request_id, person_id, 'gate.prepayment-organization',
            case when found_organization is null then 'none' when own then 'own' else 'found' end,
            'prepayment-review', review::text);
    return case when not own then found_organization end;
end $$
"""

# Documents come from the provider and hang on its own rows; what answers a documentation request,
# by its number and about the claim's member, is tied to the review once it may be looked at, if its
# sender acts for whoever bills: nobody else's documents begin the time that a review takes.
DOCUMENT_GATE = """
create function gate.match_claim_documents(request_id uuid) returns integer
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
declare
    matched integer;
begin
    insert into public.prepayment_document
            (organization_id, review_id, sender_id, delivery_id, received_at, final)
        select r.organization_id, r.id, a.organization_id, a.id, a.received_at, a.final
        from public.prepayment_review r
        join public.claim c on c.organization_id = r.organization_id and c.id = r.claim_id
        join public.attachment_delivery a
            on a.tracking_value = r.adr_number and a.attach_to = 'claim' and a.member = c.mbi
        join public.organization o on o.id = a.organization_id
            and (o.acts_for = 'all' or c.provider_npi = any (o.npis))
        where r.ended_at is null
            -- The same file twice is kept with the first delivery, and a later Final counts alone.
            and exists (select from public.attachment f join public.attachment_delivery d
                on d.organization_id = f.organization_id and d.id = f.delivery_id
                where d.organization_id = a.organization_id and d.attach_to = a.attach_to
                    and d.tracking_value = a.tracking_value and d.member = a.member
                    and f.state = 'clear')
            and not exists (select from public.attachment f
                where f.organization_id = a.organization_id and f.delivery_id = a.id
                    and f.state = 'quarantined')
        on conflict do nothing;
    get diagnostics matched = row_count;
    if matched > 0 then
        insert into public.audit_event (request_id, action, outcome, detail)
            values (request_id, 'gate.match-claim-documents', 'found',
                jsonb_build_object('found', matched));
    end if;
    return matched;
end $$
"""

GATE_END = """
revoke execute on function gate.claim_authorizations, gate.use_units, gate.prepayment_queue,
    gate.prepayment_organization, gate.match_claim_documents from public

grant execute on function gate.claim_authorizations, gate.use_units, gate.prepayment_queue,
    gate.prepayment_organization, gate.match_claim_documents to wiser_app

alter function gate.claim_authorizations owner to wiser_gate

alter function gate.use_units owner to wiser_gate

alter function gate.prepayment_queue owner to wiser_gate

alter function gate.prepayment_organization owner to wiser_gate

alter function gate.match_claim_documents owner to wiser_gate

revoke create on schema gate from wiser_gate
"""


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def protect(table: str) -> None:
    """Rows of one organization, seen by it alone."""
    run(f"""
alter table {table} enable row level security

alter table {table} force row level security

create policy own_rows on {table}
    using (organization_id = {CURRENT_ORGANIZATION})
    with check (organization_id = {CURRENT_ORGANIZATION})
""")


def upgrade() -> None:
    run(ORGANIZATIONS)
    run(CASES)
    run(CLAIMS)
    run(REVIEWS)
    run(RULES)
    for table in ORGANIZATION_TABLES:
        protect(table)
    run(GRANTS)
    run(GATE_RIGHTS)
    run(AUTHORIZATION_GATE)
    run(REVIEW_GATE)
    run(DOCUMENT_GATE)
    run(GATE_END)


def downgrade() -> None:
    run("""
drop function gate.claim_authorizations, gate.use_units, gate.prepayment_queue,
    gate.prepayment_organization, gate.match_claim_documents

drop policy claims_gate_reads on attachment_delivery

drop policy claims_gate_reads on attachment

drop policy gate_holds on utn

drop policy claims_gate_reads on determination

revoke update (tried_at) on utn from wiser_gate

alter table letter no force row level security

delete from letter where review_id is not null

alter table letter force row level security

alter table letter drop review_id

alter table letter alter case_id set not null

drop table prepayment_document, prepayment_review, utn_use, claim_line, claim

drop function units_are_authorized, review_is_kept

alter table utn drop tried_at

drop trigger keeps_its_site on case_item

drop function item_keeps_its_site

alter table case_item drop site_kind, drop site_code

alter table organization drop constraint ck_organization_mac_sends_nothing

alter table organization drop constraint ck_organization_kind

alter table organization add constraint ck_organization_kind check (
    kind in ('provider', 'clearinghouse'))
""")
