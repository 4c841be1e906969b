"""The seal over the audit trail, and who may read it.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0014"
down_revision: str | Sequence[str] | None = "0013"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

SEALS = """
create table audit_seal (
    sequence bigint not null,
    audit_id bigint not null,
    mac bytea not null,
    sealed_at timestamptz not null,
    key_id text not null,
    constraint pk_audit_seal primary key (sequence),
    constraint uq_audit_seal_audit_id unique (audit_id),
    constraint fk_audit_seal_audit_id_audit_event
        foreign key (audit_id) references audit_event (id),
    constraint ck_audit_seal_sequence check (sequence > 0),
    constraint ck_audit_seal_mac check (octet_length(mac) = 32),
    constraint ck_audit_seal_key_id check (key_id ~ '^[0-9a-f]{16}$')
)

create trigger append_only before update or delete or truncate on audit_seal
    for each statement execute function append_only()

alter table audit_seal enable row level security

alter table audit_seal force row level security

create policy owner_reads on audit_seal for select to wiser_owner using (true)

create policy gate_reads on audit_seal for select to wiser_gate using (true)

create policy gate_seals on audit_seal for insert to wiser_gate with check (true)

create policy gate_reads on audit_event for select to wiser_gate using (true)
"""

# The order of sealing is read off the end of an index. A beneficiary's rows are found by a bloom
# filter over ranges of blocks, which costs a write next to nothing.
INDEXES = """
create index ix_audit_event_order on audit_event (xact_id, id)

create index ix_audit_event_patient on audit_event using brin (patient bytea_bloom_ops)
"""

# Nobody who writes a row says when, in which place, or in which transaction that was.
_WRITTEN = (
    "organization_id, client_id, request_id, action, outcome, object_kind, object_id, patient,"
    " detail, person_id"
)
GRANTS = f"""
revoke insert on audit_event from wiser_app, wiser_gate

grant insert ({_WRITTEN}) on audit_event to wiser_app, wiser_gate

grant select on audit_event to wiser_gate

grant select, insert on audit_seal to wiser_gate
"""

# Sealing needs the words of the rows and a key that the database never sees, so it is done outside:
# `audit_unsealed` hands out what is not sealed yet and no longer can have anything before it,
# `audit_seal` takes nothing but the next rows in their order. Neither leaves a row of its own,
# which would be there to be sealed in turn: the seal is the record.
SEALING = """
grant create on schema gate to wiser_gate

create function gate.audit_unsealed(at_most integer)
returns table (id bigint, at timestamptz, xact_id text, organization_id uuid, client_id uuid,
    request_id uuid, action text, outcome text, object_kind text, object_id text, patient bytea,
    detail text, person_id uuid)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    last_xact xid8 := '0';
    last_id bigint := 0;
begin
    select a.xact_id, a.id into last_xact, last_id
        from public.audit_seal s join public.audit_event a on a.id = s.audit_id
        order by s.sequence desc limit 1;
    return query
        select a.id, a.at, a.xact_id::text, a.organization_id, a.client_id, a.request_id, a.action,
            a.outcome, a.object_kind, a.object_id, a.patient, a.detail::text, a.person_id
        from public.audit_event a
        where (a.xact_id, a.id) > (coalesce(last_xact, '0'), coalesce(last_id, 0))
            and a.xact_id < pg_snapshot_xmin(pg_current_snapshot())
        order by a.xact_id, a.id limit at_most;
end $$

create function gate.audit_seal(
    after bigint, ids bigint[], macs bytea[], sealed_at timestamptz, key_id text)
returns void language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    last bigint;
    next_ids bigint[];
begin
    perform pg_advisory_xact_lock(1463898948);
    last := coalesce((select max(s.sequence) from public.audit_seal s), 0);
    if last <> after then
        raise exception 'somebody else has sealed' using errcode = 'serialization_failure';
    end if;
    next_ids := array(select u.id from gate.audit_unsealed(cardinality(ids))
        with ordinality u order by u.ordinality);
    if next_ids <> ids or cardinality(macs) <> cardinality(ids) then
        raise exception 'rows are sealed in their order, none left out'
            using errcode = 'check_violation', constraint = 'audit_seal_in_order';
    end if;
    insert into public.audit_seal (sequence, audit_id, mac, sealed_at, key_id)
        select after + n, ids[n], macs[n], audit_seal.sealed_at, audit_seal.key_id
        from generate_subscripts(ids, 1) n;
end $$

create function gate.audit_head()
returns table (sequence bigint, mac bytea, key_id text, unsealed_since timestamptz)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    last_xact xid8 := '0';
    last_id bigint := 0;
begin
    select a.xact_id, a.id into last_xact, last_id
        from public.audit_seal s join public.audit_event a on a.id = s.audit_id
        order by s.sequence desc limit 1;
    return query
        select coalesce(s.sequence, 0), s.mac, s.key_id,
            (select a.at from public.audit_event a
                where (a.xact_id, a.id) > (coalesce(last_xact, '0'), coalesce(last_id, 0))
                order by a.xact_id, a.id limit 1)
        from (values (0)) always (one)
        left join lateral (select * from public.audit_seal order by sequence desc limit 1) s
            on true;
end $$
"""

# The only way for the application to read the trail: for somebody whom the list of people calls an
# auditor, and with a row about it in the same call.
READING = """
create view gate.trail as
    select a.id, a.at, a.xact_id, a.organization_id, a.client_id, a.request_id, a.action,
        a.outcome, a.object_kind, a.object_id, a.patient, a.detail, a.person_id,
        case when a.action like 'notify.%' then 'read'
            else substring(a.action from '[^.]*$') end as verb
    from public.audit_event a

create function gate.audit_trail(
    reader uuid, request_id uuid, wanted_id bigint, from_at timestamptz, before_at timestamptz,
    patients bytea[], agent uuid, wanted_action text, verbs text[], but_verbs text[], ended text,
    failing text, entity text, before_id bigint, at_most integer)
returns table (id bigint, at timestamptz, organization_id uuid, client_id uuid, request uuid,
    action text, outcome text, object_kind text, object_id text, patient bytea, detail text,
    person_id uuid)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    counted integer;
begin
    perform from public.person p
        where p.id = reader and p.active and 'auditor' = any (p.roles);
    if not found then
        raise exception 'the trail is for auditors' using errcode = 'insufficient_privilege';
    end if;
    return query
        select t.id, t.at, t.organization_id, t.client_id, t.request_id, t.action, t.outcome,
            t.object_kind, t.object_id, t.patient, t.detail::text, t.person_id
        from gate.trail t
        where (wanted_id is null or t.id = wanted_id)
            and (before_id is null or t.id < before_id)
            and (from_at is null or t.at >= from_at)
            and (before_at is null or t.at < before_at)
            and (patients is null or t.patient = any (patients))
            and (agent is null or t.client_id = agent or t.person_id = agent)
            and (wanted_action is null or t.action = wanted_action)
            and (verbs is null or t.verb = any (verbs))
            and (but_verbs is null or t.verb <> all (but_verbs))
            and (ended is null or ended = case when t.action = 'request.failed' then '8'
                when (t.action || ' ' || t.outcome) ~ failing then '4' else '0' end)
            and (entity is null or t.object_id = entity)
        order by t.id desc limit at_most;
    get diagnostics counted = row_count;
    insert into public.audit_event
            (request_id, person_id, action, outcome, object_kind, object_id, patient, detail)
        values (audit_trail.request_id, reader,
            case when wanted_id is null then 'audit.search' else 'audit.read' end,
            case when counted > 0 then 'found' else 'none' end, 'audit-event', wanted_id::text,
            patients[1], jsonb_build_object('found', counted));
end $$

revoke execute on function gate.audit_unsealed, gate.audit_seal, gate.audit_head,
    gate.audit_trail from public

grant execute on function gate.audit_unsealed, gate.audit_seal, gate.audit_head,
    gate.audit_trail to wiser_app

alter view gate.trail owner to wiser_gate

alter function gate.audit_unsealed owner to wiser_gate

alter function gate.audit_seal owner to wiser_gate

alter function gate.audit_head owner to wiser_gate

alter function gate.audit_trail owner to wiser_gate

revoke create on schema gate from wiser_gate
"""


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def upgrade() -> None:
    run(SEALS)
    run(INDEXES)
    run(GRANTS)
    run(SEALING)
    run(READING)


def downgrade() -> None:
    run("""
drop function gate.audit_unsealed, gate.audit_seal, gate.audit_head, gate.audit_trail

drop view gate.trail

drop policy gate_reads on audit_event

drop table audit_seal

drop index ix_audit_event_order, ix_audit_event_patient

revoke insert, select on audit_event from wiser_app, wiser_gate

grant insert on audit_event to wiser_app, wiser_gate
""")
