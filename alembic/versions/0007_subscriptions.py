"""Who is told of answers, what is to be told, and how far each has heard.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0007"
down_revision: str | Sequence[str] | None = "0006"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# `sealed` is the resource with its secret headers, encrypted; gone once deleted. `due_at` is when a
# sender has something to do next, null where nothing is. A lease is in the database's own time.
TABLES = """
alter table client add notify_hosts text[] not null default '{}'

create table subscription (
    organization_id uuid not null,
    id uuid not null,
    client_id uuid not null,
    line text not null,
    status text not null,
    content text not null,
    sealed bytea,
    host text not null,
    base_url text not null,
    heartbeat integer,
    ends_at timestamptz,
    warnings text[] not null default '{}',
    revision integer not null default 1,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    deleted_at timestamptz,
    last_number bigint not null default 0,
    delivered_number bigint not null default 0,
    attempts integer not null default 0,
    failing_since timestamptz,
    last_error text,
    last_sent_at timestamptz,
    due_at timestamptz,
    lease uuid,
    leased_until timestamptz,
    constraint pk_subscription primary key (organization_id, id),
    constraint fk_subscription_client
        foreign key (organization_id, client_id) references client (organization_id, id),
    constraint ck_subscription_line check (line in ('2.0', '2.2')),
    constraint ck_subscription_status check (status in ('requested', 'active', 'error', 'off')),
    constraint ck_subscription_content check (content in ('id-only', 'full-resource')),
    constraint ck_subscription_heartbeat check (heartbeat > 0),
    constraint ck_subscription_revision check (revision >= 1),
    constraint ck_subscription_numbers check (
        delivered_number >= 0 and delivered_number <= last_number),
    constraint ck_subscription_failing check ((attempts = 0) = (failing_since is null)),
    constraint ck_subscription_last_error check (last_error ~ '^[a-z0-9 -]{1,64}$'),
    constraint ck_subscription_lease check ((lease is null) = (leased_until is null)),
    constraint ck_subscription_deleted check (
        (deleted_at is null) = (sealed is not null)
        and (deleted_at is null or status = 'off' and due_at is null))
)

create index ix_subscription_due on subscription (due_at) where due_at is not null

create index ix_subscription_client on subscription (organization_id, client_id)

create index ix_subscription_lent on subscription (organization_id) where lease is not null

create table subscription_event (
    organization_id uuid not null,
    subscription_id uuid not null,
    number bigint not null,
    case_id uuid not null,
    message_id uuid not null,
    at timestamptz not null,
    attempts integer not null default 0,
    last_error text,
    delivered_at timestamptz,
    constraint pk_subscription_event primary key (organization_id, subscription_id, number),
    constraint fk_subscription_event_subscription
        foreign key (organization_id, subscription_id)
        references subscription (organization_id, id),
    constraint fk_subscription_event_prior_auth_case
        foreign key (organization_id, case_id) references prior_auth_case (organization_id, id),
    constraint fk_subscription_event_message
        foreign key (organization_id, message_id) references message (organization_id, id),
    constraint ck_subscription_event_last_error check (last_error ~ '^[a-z0-9 -]{1,64}$')
)
"""

# Numbers come from the database: whoever adds an event gets the next one, holds the subscription
# until its transaction ends, and cannot leave a gap by rolling back. A subscription that is being
# tried again is not tried sooner because more has happened.
NUMBERS = """
create function subscription_event_takes_its_number() returns trigger language plpgsql as $$
begin
    update public.subscription s set last_number = s.last_number + 1,
        due_at = case when s.status = 'active' and s.attempts = 0
            then least(coalesce(s.due_at, new.at), new.at) else s.due_at end
        where s.organization_id = new.organization_id and s.id = new.subscription_id
            and s.deleted_at is null
        returning s.last_number into new.number;
    if not found then
        raise exception 'an event belongs to a subscription that is not deleted'
            using errcode = 'check_violation', constraint = 'subscription_event_of_nobody';
    end if;
    return new;
end $$

create trigger takes_its_number before insert on subscription_event
    for each row execute function subscription_event_takes_its_number()

create function subscription_counts_on() returns trigger language plpgsql as $$
begin
    if new.last_number not in (old.last_number, old.last_number + 1)
            or new.delivered_number not between old.delivered_number and new.last_number
            or new.revision < old.revision
            or old.deleted_at is not null and new.deleted_at is distinct from old.deleted_at then
        raise exception 'a subscription only counts on'
            using errcode = 'check_violation', constraint = 'subscription_counts_on';
    end if;
    return new;
end $$

create trigger counts_on before update on subscription
    for each row execute function subscription_counts_on()

create function subscription_has_its_event() returns trigger language plpgsql as $$
begin
    perform from public.subscription_event e
        where e.organization_id = new.organization_id and e.subscription_id = new.id
            and e.number = new.last_number;
    if not found then
        raise exception 'a number is given with its event'
            using errcode = 'check_violation', constraint = 'subscription_has_its_event';
    end if;
    return null;
end $$

create constraint trigger has_its_event after update of last_number on subscription
    deferrable initially deferred
    for each row when (new.last_number <> old.last_number)
    execute function subscription_has_its_event()

create trigger never_deleted before delete or truncate on subscription
    for each statement execute function append_only()

create trigger never_deleted before delete or truncate on subscription_event
    for each statement execute function append_only()
"""

OWN_ROWS = ("subscription", "subscription_event")

GRANTS = """
grant select, insert, update (status, content, sealed, host, base_url, heartbeat, ends_at, warnings,
    revision, updated_at, deleted_at, last_number, delivered_number, attempts, failing_since,
    last_error, last_sent_at, due_at, lease, leased_until) on subscription to wiser_app

grant select, insert, update (attempts, last_error, delivered_at) on subscription_event to wiser_app
"""

# Senders work for every organization. The gate tells them which subscriptions are due, and lends
# each to one of them for some seconds; what is in it they read as that organization. Of one
# organization no more than `of_one` are lent at a time, to all senders together, and who has fewest
# lent goes first: however slow some subscribers are, it is their own organization that waits. The
# lock makes senders ask one after the other, or each would count without the others.
CLAIM_GATE = """
grant create on schema gate to wiser_gate

grant select, update (lease, leased_until) on subscription to wiser_gate

create policy gate_reads on subscription for select to wiser_gate using (true)

create policy gate_lends on subscription for update to wiser_gate using (true)

create function gate.claim_subscriptions(
    due timestamptz, new_lease uuid, seconds double precision, at_most integer, of_one integer,
    request_id uuid)
returns table (organization_id uuid, subscription_id uuid)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    found_due integer;
begin
    perform pg_advisory_xact_lock(1937072748);
    return query
        with lent as (
            select s.organization_id, count(*) as places from public.subscription s
            where s.lease is not null and s.leased_until >= clock_timestamp()
            group by s.organization_id),
        waiting as (
            select s.organization_id, s.id, coalesce(l.places, 0) + row_number() over (
                partition by s.organization_id order by s.due_at, s.id) as place
            from public.subscription s
                left join lent l on l.organization_id = s.organization_id
            where s.due_at <= due
                and (s.leased_until is null or s.leased_until < clock_timestamp())),
        free as (
            select s.organization_id, s.id
            from waiting w join public.subscription s
                on s.organization_id = w.organization_id and s.id = w.id
            where w.place <= of_one and s.due_at <= due
                and (s.leased_until is null or s.leased_until < clock_timestamp())
            order by w.place, s.due_at limit at_most for update of s skip locked)
        update public.subscription s set lease = new_lease,
            leased_until = clock_timestamp() + make_interval(secs => seconds)
        from free where s.organization_id = free.organization_id and s.id = free.id
        returning s.organization_id, s.id;
    get diagnostics found_due = row_count;
    if found_due > 0 then
        insert into public.audit_event (request_id, action, outcome, detail)
            values (request_id, 'gate.claim-subscriptions', 'found',
                jsonb_build_object('found', found_due));
    end if;
end $$

revoke execute on function gate.claim_subscriptions from public

grant execute on function gate.claim_subscriptions to wiser_app

alter function gate.claim_subscriptions owner to wiser_gate

revoke create on schema gate from wiser_gate
"""

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
    run(NUMBERS)
    for table in OWN_ROWS:
        protect(table)
    run(GRANTS)
    run(CLAIM_GATE)


def downgrade() -> None:
    run("""
drop function gate.claim_subscriptions

drop table subscription_event, subscription

drop function subscription_event_takes_its_number, subscription_counts_on,
    subscription_has_its_event

alter table client drop column notify_hosts
""")
