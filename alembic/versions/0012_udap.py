"""Who may register by UDAP, and who did.

All of it is looked up before anybody's organization is known, so without row-level security.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0012"
down_revision: str | Sequence[str] | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# A community is the URI that it goes by, or nothing for the one that goes by none. Members of a
# `udap_community` are all taken in, into one organization; for others there is a `udap_registrant`.
TABLES = """
create table udap_community (
    community text not null,
    organization_id uuid not null,
    scopes text[] not null,
    constraint pk_udap_community primary key (community),
    constraint fk_udap_community_organization_id_organization
        foreign key (organization_id) references organization (id),
    constraint ck_udap_community_uri check (
        community collate "C" ~ '^[!-~]*$' and length(community) <= 2048)
)

create table udap_registrant (
    community text not null,
    iss text not null,
    organization_id uuid not null,
    scopes text[] not null,
    active boolean not null default true,
    revision integer not null default 1,
    constraint pk_udap_registrant primary key (community, iss),
    constraint fk_udap_registrant_organization_id_organization
        foreign key (organization_id) references organization (id),
    constraint ck_udap_registrant_community check (
        community collate "C" ~ '^[!-~]*$' and length(community) <= 2048),
    constraint ck_udap_registrant_iss check (
        iss collate "C" ~ '^[a-z][a-z0-9+.-]*:[!-~]+$' and length(iss) <= 2048),
    constraint ck_udap_registrant_scopes check (cardinality(scopes) > 0)
)

create table udap_registration (
    client_id uuid not null,
    organization_id uuid not null,
    community text not null,
    iss text not null,
    client_name text not null,
    contacts text[] not null,
    logo_uri text,
    certificate text not null,
    registered_at timestamptz not null default now(),
    changed_at timestamptz not null default now(),
    cancelled_at timestamptz,
    constraint pk_udap_registration primary key (client_id),
    constraint fk_udap_registration_client
        foreign key (organization_id, client_id) references client (organization_id, id),
    constraint ck_udap_registration_client_name check (
        client_name ~ '[[:alnum:]]' and length(client_name) <= 200),
    constraint ck_udap_registration_contacts check (cardinality(contacts) between 1 and 10),
    constraint ck_udap_registration_certificate check (
        certificate collate "C" ~ '^[A-Za-z0-9_-]{43}$')
)

create unique index uq_udap_registration_live on udap_registration (community, iss)
    where cancelled_at is null
"""

RULES = """
create function udap_guests_are_a_sandbox_s() returns trigger language plpgsql as $$
begin
    perform from public.deployment where mode = 'sandbox';
    if not found then
        raise exception 'only a sandbox takes in everybody of a community'
            using errcode = 'check_violation', constraint = 'udap_guests_are_a_sandbox_s';
    end if;
    return new;
end $$

create trigger are_a_sandbox_s before insert or update on udap_community
    for each row execute function udap_guests_are_a_sandbox_s()

create function udap_registration_ends_once() returns trigger language plpgsql as $$
begin
    if (new.client_id, new.organization_id, new.community, new.iss, new.registered_at)
            is distinct from
            (old.client_id, old.organization_id, old.community, old.iss, old.registered_at)
            or old.cancelled_at is not null and new is distinct from old then
        raise exception 'a registration stays whose it is, and ends once'
            using errcode = 'check_violation', constraint = 'udap_registration_ends_once';
    end if;
    return new;
end $$

create trigger ends_once before update on udap_registration
    for each row execute function udap_registration_ends_once()

create trigger never_deleted before delete or truncate on udap_registration
    for each statement execute function append_only()
"""

GRANTS = """
grant select on udap_registration to wiser_app

grant select on client, udap_community, udap_registrant, udap_registration to wiser_gate

grant insert, update (scopes, active, certificate_uri) on client to wiser_gate

grant insert, update (client_name, contacts, logo_uri, certificate, changed_at, cancelled_at)
    on udap_registration to wiser_gate
"""

# The only ways for the application to make a client. What it hands in decides neither whose the
# client is nor what it may: that is the registrant's row, which only the owner writes. Two at once
# for the same registrant come one after the other.
GATE = """
grant create on schema gate to wiser_gate

create function gate.udap_audit(
    action text, outcome text, community text, iss text, certificate text,
    organization_id uuid, client_id uuid, request_id uuid)
returns void language plpgsql volatile
set search_path = pg_catalog, pg_temp as $$
begin
    perform set_config('app.organization', organization_id::text, true);
    insert into public.audit_event
            (organization_id, client_id, request_id, action, outcome, object_kind, object_id,
            detail)
        values (organization_id, client_id, request_id, action, outcome, 'client',
            client_id::text, jsonb_build_object(
                'community', regexp_replace(left(community, 200), '[^A-Za-z0-9._:/|@+-]', '-', 'g'),
                'iss', regexp_replace(left(iss, 200), '[^A-Za-z0-9._:/|@+-]', '-', 'g'),
                'certificate', certificate));
end $$

create function gate.udap_register(
    community text, iss text, certificate text, client_name text, contacts text[], logo_uri text,
    wanted text[], request_id uuid)
returns table (outcome text, organization_id uuid, client_id uuid, name text, scopes text[])
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    allowed record;
    granted text[];
    found_client record;
begin
    perform pg_advisory_xact_lock(hashtextextended('udap ' || udap_register.iss, 0));
    select r.organization_id, r.scopes, r.active into allowed
        from public.udap_registrant r
        where r.community = udap_register.community and r.iss = udap_register.iss;
    if not found then
        select c.organization_id, c.scopes, true as active into allowed
            from public.udap_community c where c.community = udap_register.community;
    end if;
    if not coalesce(allowed.active, false) or not exists (select from public.organization o
            where o.id = allowed.organization_id and o.active) then
        return query select 'unapproved', null::uuid, null::uuid, null::text, null::text[];
        return;
    end if;
    granted := array(
        select w.resource || '.' || string_agg(l.letter, '' order by l.place)
        from (select split_part(s, '.', 1) as resource, string_agg(split_part(s, '.', 2), '')
            as letters from unnest(udap_register.wanted) s group by 1) w
        join (select split_part(s, '.', 1) as resource, string_agg(split_part(s, '.', 2), '')
            as letters from unnest(allowed.scopes) s group by 1) a on a.resource = w.resource
        cross join unnest(array['c', 'r', 'u', 'd', 's']) with ordinality l (letter, place)
        where strpos(w.letters, l.letter) > 0 and strpos(a.letters, l.letter) > 0
        group by w.resource order by w.resource);
    if cardinality(granted) = 0 then
        return query select 'no-scope', null::uuid, null::uuid, null::text, null::text[];
        return;
    end if;
    select g.client_id, g.organization_id, c.active, c.name into found_client
        from public.udap_registration g join public.client c on c.id = g.client_id
        where g.community = udap_register.community and g.iss = udap_register.iss
            and g.cancelled_at is null;
    if found and (not found_client.active
            or found_client.organization_id <> allowed.organization_id) then
        return query select 'unapproved', null::uuid, null::uuid, null::text, null::text[];
        return;
    end if;
    if found then
        update public.client c set scopes = granted where c.id = found_client.client_id;
        update public.udap_registration g set client_name = udap_register.client_name,
            contacts = udap_register.contacts, logo_uri = udap_register.logo_uri,
            certificate = udap_register.certificate, changed_at = now()
            where g.client_id = found_client.client_id;
        perform gate.udap_audit('udap.register', 'changed', community, iss, certificate,
            allowed.organization_id, found_client.client_id, request_id);
        return query select 'changed', allowed.organization_id, found_client.client_id,
            found_client.name, granted;
        return;
    end if;
    client_id := gen_random_uuid();
    name := 'udap-' || client_id;
    insert into public.client (id, organization_id, name, scopes, certificate_uri)
        values (client_id, allowed.organization_id, name, granted,
            case when not exists (select from public.client c
                where c.certificate_uri = udap_register.iss) then udap_register.iss end);
    insert into public.udap_registration (client_id, organization_id, community, iss, client_name,
            contacts, logo_uri, certificate)
        values (client_id, allowed.organization_id, udap_register.community, udap_register.iss,
            udap_register.client_name, udap_register.contacts, udap_register.logo_uri,
            udap_register.certificate);
    perform gate.udap_audit('udap.register', 'registered', community, iss, certificate,
        allowed.organization_id, client_id, request_id);
    return query select 'registered', allowed.organization_id, client_id, name, granted;
end $$

create function gate.udap_cancel(community text, iss text, certificate text, request_id uuid)
returns table (organization_id uuid, client_id uuid, name text)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    ended record;
begin
    perform pg_advisory_xact_lock(hashtextextended('udap ' || udap_cancel.iss, 0));
    update public.udap_registration g set cancelled_at = now(), changed_at = now()
        where g.community = udap_cancel.community and g.iss = udap_cancel.iss
            and g.cancelled_at is null
        returning g.organization_id, g.client_id into ended;
    if not found then
        return;
    end if;
    update public.client c set active = false, certificate_uri = null where c.id = ended.client_id;
    perform gate.udap_audit('udap.cancel', 'done', community, iss, certificate,
        ended.organization_id, ended.client_id, request_id);
    return query select ended.organization_id, ended.client_id, c.name
        from public.client c where c.id = ended.client_id;
end $$

revoke execute on function gate.udap_audit, gate.udap_register, gate.udap_cancel from public

grant execute on function gate.udap_register, gate.udap_cancel to wiser_app

alter function gate.udap_audit owner to wiser_gate

alter function gate.udap_register owner to wiser_gate

alter function gate.udap_cancel owner to wiser_gate

revoke create on schema gate from wiser_gate
"""


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def upgrade() -> None:
    run(TABLES)
    run(RULES)
    run(GRANTS)
    run(GATE)


def downgrade() -> None:
    run("""
drop function gate.udap_register, gate.udap_cancel, gate.udap_audit

drop table udap_registration, udap_registrant, udap_community

drop function udap_guests_are_a_sandbox_s, udap_registration_ends_once

revoke insert, update (scopes, active, certificate_uri), select on client from wiser_gate
""")
