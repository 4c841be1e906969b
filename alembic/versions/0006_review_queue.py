"""What reviewers see of all organizations' cases: the queue, and whose a case is.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0006"
down_revision: str | Sequence[str] | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# A page is read off the end of an index, whatever it is filtered by, however many cases there are.
# Those in review are few beside those that ended, and each has its index; a case that ended is
# looked for by what became of it. `id` makes every order total.
INDEXES = """
create index ix_prior_auth_case_id on prior_auth_case (id)

drop index ix_prior_auth_case_deadline

create index ix_prior_auth_case_deadline on prior_auth_case (decide_by, id)
    where status = 'in-review'

create index ix_prior_auth_case_received on prior_auth_case (received_at, id)
    where status = 'in-review'

create index ix_prior_auth_case_urgency
    on prior_auth_case ((1 - expedited::int), decide_by, id)
    where status = 'in-review'

create index ix_prior_auth_case_service on prior_auth_case (service, decide_by, id)
    where status = 'in-review'

create index ix_prior_auth_case_state on prior_auth_case (state, decide_by, id)
    where status = 'in-review'

create index ix_prior_auth_case_assigned on prior_auth_case (assigned_to, decide_by, id)
    where status = 'in-review' and assigned_to is not null

create index ix_prior_auth_case_unassigned on prior_auth_case (decide_by, id)
    where status = 'in-review' and assigned_to is null

create index ix_prior_auth_case_escalated on prior_auth_case (escalation, decide_by, id)
    where status = 'in-review' and escalation is not null

create index ix_prior_auth_case_ended on prior_auth_case (status, received_at, id)
    where status <> 'in-review'

create index ix_prior_auth_case_ended_service on prior_auth_case (status, service, received_at, id)
    where status <> 'in-review'

create index ix_prior_auth_case_ended_state on prior_auth_case (status, state, received_at, id)
    where status <> 'in-review'
"""

# A person sees the cases of every organization but those it has a part in. The query is put
# together of the pieces below and nothing else; what was asked for is bound, so that the planner
# knows the values and picks the index. `offset 0` keeps the look at the parties a look per case
# shown: as a join it would read the parties of all cases. Only a resubmission costs the walk to the
# cases that it follows.
GATE = """
grant create on schema gate to wiser_gate

grant select on information_request to wiser_gate

create policy gate_reads on information_request for select to wiser_gate using (true)

create function gate.review_queue(
    person_id uuid, request_id uuid, status text, service text, state text, expedited boolean,
    escalation text, assignee uuid, unassigned boolean, received_from timestamptz,
    received_before timestamptz, decide_before timestamptz, sort text, after_urgency integer,
    after_at timestamptz, after_id uuid, at_most integer)
returns table (id uuid, reference text, revision integer, kind text, status_now text,
    service_asked text, state_of text, received_at timestamptz, decide_by timestamptz,
    expedite_requested boolean, is_expedited boolean, expedite_confirmed boolean, nearness text,
    assigned_to uuid, assigned_name text, assigned_at timestamptz, codes text[], asked boolean)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    who public.person;
    own text[];
    found_cases integer;
    of_status constant text := case when review_queue.status = 'in-review'
        then 'c.status = ''in-review''' else 'c.status <> ''in-review'' and c.status = $1' end;
    page text := 'select c.* from public.prior_auth_case c where ' || of_status;
    ordered constant text := ' order by ' || case sort
        when 'deadline' then 'c.decide_by, c.id'
        when 'priority' then '1 - c.expedited::int, c.decide_by, c.id'
        when 'age' then 'c.received_at, c.id'
        when 'newest' then 'c.received_at desc, c.id desc'
    end;
begin
    select p.* into who from public.person p where p.id = review_queue.person_id and p.active;
    if not found then
        return;
    end if;
    own := gate.own_npis(who);
    if review_queue.service is not null then
        page := page || ' and c.service = $2';
    end if;
    if review_queue.state is not null then
        page := page || ' and c.state = $3';
    end if;
    if review_queue.expedited is not null then
        page := page || ' and 1 - c.expedited::int = $4';
    end if;
    if review_queue.escalation is not null then
        page := page || ' and c.escalation = $5';
    end if;
    if review_queue.assignee is not null then
        page := page || ' and c.assigned_to = $6';
    elsif unassigned then
        page := page || ' and c.assigned_to is null';
    end if;
    if review_queue.received_from is not null then
        page := page || ' and c.received_at >= $7';
    end if;
    if review_queue.received_before is not null then
        page := page || ' and c.received_at < $8';
    end if;
    if review_queue.decide_before is not null then
        page := page || ' and c.decide_by < $9';
    end if;
    if cardinality(who.organizations) > 0 then
        page := page || ' and c.organization_id <> all ($10)';
    end if;
    if cardinality(own) > 0 then
        page := page || ' and not exists (select from public.case_party p'
            || ' where p.organization_id = c.organization_id and p.case_id = c.id'
            || ' and p.npi = any ($11) offset 0)';
    end if;
    if cardinality(who.organizations) + cardinality(own) > 0 then
        page := page || ' and (c.previous_utn is null'
            || ' or not gate.has_a_part($10, $11, c.organization_id, c.id))';
    end if;
    if review_queue.after_id is not null then
        page := page || case sort
            when 'deadline' then ' and (c.decide_by, c.id) > ($13, $14)'
            when 'priority' then ' and (1 - c.expedited::int, c.decide_by, c.id) > ($12, $13, $14)'
            when 'age' then ' and (c.received_at, c.id) > ($13, $14)'
            when 'newest' then ' and (c.received_at, c.id) < ($13, $14)'
        end;
    end if;
    return query execute
        'select c.id, c.reference, c.revision, c.kind, c.status, c.service, c.state,'
        || ' c.received_at, c.decide_by, c.expedite_requested, c.expedited, c.expedite_confirmed,'
        || ' c.escalation, c.assigned_to, a.name, c.assigned_at,'
        || ' array(select i.code from public.case_item i'
        || '     where i.organization_id = c.organization_id and i.case_id = c.id'
        || '     order by i.sequence),'
        || ' exists (select from public.information_request r'
        || '     where r.organization_id = c.organization_id and r.case_id = c.id'
        || '         and r.state = ''open'' offset 0)'
        || ' from (' || page || ordered || ' limit $15) c'
        || ' left join public.person a on a.id = c.assigned_to' || ordered
        using review_queue.status, review_queue.service, review_queue.state,
            1 - review_queue.expedited::int, review_queue.escalation,
            review_queue.assignee, review_queue.received_from, review_queue.received_before,
            review_queue.decide_before, who.organizations, own, after_urgency, after_at,
            review_queue.after_id, at_most;
    get diagnostics found_cases = row_count;
    insert into public.audit_event (person_id, request_id, action, outcome, detail)
        values (review_queue.person_id, review_queue.request_id, 'gate.review-queue',
            case when found_cases > 0 then 'found' else 'none' end,
            jsonb_build_object('found', found_cases));
end $$

create function gate.case_organization(person_id uuid, request_id uuid, wanted uuid)
returns uuid language plpgsql volatile security definer
set search_path = pg_catalog, pg_temp as $$
declare
    who public.person;
    organization uuid;
    own boolean := false;
begin
    select p.* into who from public.person p
        where p.id = case_organization.person_id and p.active;
    if not found then
        return null;
    end if;
    select c.organization_id into organization from public.prior_auth_case c where c.id = wanted;
    own := gate.has_a_part(who.organizations, gate.own_npis(who), organization, wanted);
    insert into public.audit_event
            (person_id, request_id, action, outcome, object_kind, object_id)
        values (case_organization.person_id, case_organization.request_id,
            'gate.case-organization',
            case when organization is null then 'none' when own then 'own' else 'found' end,
            'prior-auth-case', wanted::text);
    return case when not own then organization end;
end $$

revoke execute on function gate.review_queue, gate.case_organization from public

grant execute on function gate.review_queue, gate.case_organization to wiser_app

alter function gate.review_queue owner to wiser_gate

alter function gate.case_organization owner to wiser_gate

revoke create on schema gate from wiser_gate
"""


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def upgrade() -> None:
    run(INDEXES)
    run(GATE)


def downgrade() -> None:
    run("""
drop function gate.review_queue, gate.case_organization

drop policy gate_reads on information_request

revoke select on information_request from wiser_gate

drop index ix_prior_auth_case_id, ix_prior_auth_case_deadline, ix_prior_auth_case_received,
    ix_prior_auth_case_urgency, ix_prior_auth_case_service, ix_prior_auth_case_state,
    ix_prior_auth_case_assigned, ix_prior_auth_case_unassigned, ix_prior_auth_case_escalated,
    ix_prior_auth_case_ended, ix_prior_auth_case_ended_service, ix_prior_auth_case_ended_state

create index ix_prior_auth_case_deadline on prior_auth_case (decide_by) where status = 'in-review'
""")
