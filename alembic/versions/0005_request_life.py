"""People who review, and all that can happen to a case after its first answer.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0005"
down_revision: str | Sequence[str] | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# Not every person is a clinician: the table of those with a licence becomes that of all.
PEOPLE = """
alter table clinician rename to person

alter table person rename constraint pk_clinician to pk_person

alter table person rename constraint uq_clinician_licence to uq_person_licence

alter table person alter licence_number drop not null

alter table person alter licence_state drop not null

alter table person alter licence_expires drop not null

alter table person add roles text[] not null default '{clinician}'

alter table person add npi text

alter table person add specialty text

alter table person add organizations uuid[] not null default '{}'

alter table person add constraint uq_person_name unique (name)

alter table person add constraint ck_person_roles check (
    cardinality(roles) > 0 and roles <@ '{clinician,coordinator,auditor}'::text[])

alter table person add constraint ck_person_npi check (npi ~ '^[0-9]{10}$')

alter table person add constraint ck_person_licence check (
    num_nulls(licence_number, licence_state, licence_expires) = 0
    or num_nonnulls(licence_number, licence_state, licence_expires) = 0
        and not 'clinician' = any (roles))

alter table determination rename constraint fk_determination_clinician_id_clinician
    to fk_determination_clinician_id_person

create table person_token (
    token_hash bytea not null,
    person_id uuid not null,
    issued_at timestamptz not null,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    constraint pk_person_token primary key (token_hash),
    constraint ck_person_token_hash check (octet_length(token_hash) = 32),
    constraint ck_person_token_times check (expires_at > issued_at),
    constraint fk_person_token_person_id_person foreign key (person_id) references person (id)
)

alter table audit_event add person_id uuid
"""

CASES = """
alter table prior_auth_case add assigned_to uuid

alter table prior_auth_case add assigned_at timestamptz

alter table prior_auth_case add escalation text

alter table prior_auth_case add expedite_confirmed boolean

alter table prior_auth_case add answer jsonb

alter table prior_auth_case add constraint fk_prior_auth_case_assigned_to_person
    foreign key (assigned_to) references person (id)

alter table prior_auth_case add constraint ck_prior_auth_case_assigned check (
    (assigned_to is null) = (assigned_at is null))

alter table prior_auth_case add constraint ck_prior_auth_case_escalation check (
    escalation in ('near', 'past'))

alter table prior_auth_case add constraint ck_prior_auth_case_expedited check (
    not expedited or expedite_requested)

alter table determination add code_system text

alter table determination add code text

alter table determination add quantity numeric

alter table determination add first_day date

alter table determination add last_day date

alter table determination add reasons text[] not null default '{}'

alter table determination add answer jsonb

alter table determination add constraint ck_determination_days check (first_day <= last_day)

alter table determination add constraint ck_determination_quantity check (quantity > 0)

alter table submission add trace_system text

alter table submission add trace_value text

alter table submission add revision integer not null default 1

alter table submission no force row level security

update submission s set trace_system = c.trace_system, trace_value = c.trace_value
    from prior_auth_case c where c.organization_id = s.organization_id and c.id = s.case_id

alter table submission force row level security

alter table submission drop constraint ck_submission_operation

alter table submission add constraint ck_submission_operation check (
    operation in ('submit', 'update', 'cancel'))

alter table submission alter case_id drop not null

alter table submission add constraint ck_submission_case check (
    case_id is not null or operation <> 'submit')

alter table document add revision integer not null default 1

create index ix_submission_trace on submission (organization_id, trace_value)

create index ix_submission_case on submission (organization_id, case_id)

create index ix_message_case on message (organization_id, case_id)

create index ix_prior_auth_case_previous_utn on prior_auth_case (organization_id, previous_utn)
    where previous_utn is not null
"""

# A decided case has a row from the decision on; the number may come later. What was the number's
# row becomes the order for one.
UTNS = """
drop trigger agrees_with_its_case on utn

drop trigger keeps_its_number on utn

drop index uq_utn_live

alter table utn drop constraint pk_utn

alter table utn drop constraint uq_utn_case_revision

alter table utn drop constraint ck_utn_state

alter table utn drop constraint ck_utn_ended

alter table utn alter utn drop not null

alter table utn alter assigned_at drop not null

alter table utn add constraint pk_utn primary key (organization_id, case_id, revision)

alter table utn add constraint uq_utn_utn unique (utn)

alter table utn add requested_at timestamptz

alter table utn add delivered_at timestamptz

alter table utn add resent_at timestamptz

alter table utn add attempts integer not null default 0

alter table utn add last_error text

alter table utn no force row level security

update utn set requested_at = assigned_at, delivered_at = assigned_at

alter table utn force row level security

alter table utn alter requested_at set not null

alter table utn add constraint ck_utn_state check (
    state in ('pending', 'assigned', 'failed', 'expired', 'superseded'))

alter table utn add constraint ck_utn_numbered check (
    (utn is null) = (assigned_at is null)
    and case state when 'pending' then utn is null when 'failed' then utn is null
        when 'superseded' then true else utn is not null end)

alter table utn add constraint ck_utn_ended check (
    (state in ('expired', 'superseded')) = (ended_at is not null))

alter table utn add constraint ck_utn_delivered check (
    delivered_at is null or utn is not null)

alter table utn add constraint ck_utn_resent check (
    resent_at is null or delivered_at is not null)

create unique index uq_utn_live on utn (organization_id, case_id)
    where state in ('pending', 'assigned', 'failed')

create index ix_utn_waiting on utn (requested_at) where state in ('pending', 'failed')

create index ix_utn_ending on utn (valid_until) where state = 'assigned'

create or replace function utn_keeps_its_number() returns trigger language plpgsql as $$
begin
    if old.state in ('expired', 'superseded')
            or (new.organization_id, new.case_id, new.revision, new.valid_from, new.valid_until)
            is distinct from
            (old.organization_id, old.case_id, old.revision, old.valid_from, old.valid_until)
            or old.utn is not null and (new.utn, new.assigned_at)
            is distinct from (old.utn, old.assigned_at)
            or old.state = 'assigned' and new.state in ('pending', 'failed') then
        raise exception 'a UTN is never given again'
            using errcode = 'check_violation', constraint = 'utn_given_once';
    end if;
    return new;
end $$

create trigger keeps_its_number before update on utn
    for each row execute function utn_keeps_its_number()

create or replace function utn_agrees_with_its_case() returns trigger language plpgsql as $$
begin
    perform from public.prior_auth_case c
        where c.organization_id = new.organization_id and c.id = new.case_id
            and c.revision = new.revision
            and c.status in ('affirmed', 'partially-affirmed', 'non-affirmed')
            and c.valid_from is not distinct from new.valid_from
            and c.valid_until is not distinct from new.valid_until
            and c.decided_at <= new.requested_at
            and new.requested_at <= coalesce(new.assigned_at, new.requested_at);
    if not found then
        raise exception 'a UTN belongs to a decided case and carries its days'
            using errcode = 'check_violation', constraint = 'utn_agrees_with_its_case';
    end if;
    return null;
end $$

create constraint trigger agrees_with_its_case after insert on utn
    deferrable initially deferred
    for each row execute function utn_agrees_with_its_case()
"""

LIFE = """
create table information_request (
    organization_id uuid not null,
    id uuid not null,
    case_id uuid not null,
    revision integer not null,
    kind text not null,
    asked_at timestamptz not null,
    asked_by uuid,
    due_at timestamptz not null,
    wanted jsonb not null,
    note text,
    state text not null default 'open',
    answered_at timestamptz,
    constraint pk_information_request primary key (organization_id, id),
    constraint fk_information_request_prior_auth_case
        foreign key (organization_id, case_id) references prior_auth_case (organization_id, id),
    constraint fk_information_request_asked_by_person
        foreign key (asked_by) references person (id),
    constraint ck_information_request_kind check (kind in ('documents', 'questionnaire')),
    constraint ck_information_request_state check (
        state in ('open', 'answered', 'withdrawn', 'lapsed')),
    constraint ck_information_request_answered check (
        (state = 'answered') = (answered_at is not null)),
    constraint ck_information_request_wanted check (
        jsonb_typeof(wanted) = 'array' and jsonb_array_length(wanted) > 0)
)

create index ix_information_request_case on information_request (organization_id, case_id)

create table peer_to_peer (
    organization_id uuid not null,
    id uuid not null,
    case_id uuid not null,
    asked_at timestamptz not null,
    slots timestamptz[] not null,
    contact text not null,
    specialty text not null,
    clinician_id uuid,
    scheduled_at timestamptz,
    state text not null default 'asked',
    outcome text,
    closed_at timestamptz,
    constraint pk_peer_to_peer primary key (organization_id, id),
    constraint fk_peer_to_peer_prior_auth_case
        foreign key (organization_id, case_id) references prior_auth_case (organization_id, id),
    constraint fk_peer_to_peer_clinician_id_person
        foreign key (clinician_id) references person (id),
    constraint ck_peer_to_peer_slots check (coalesce(cardinality(slots) = 3
        and slots[1] <> slots[2] and slots[1] <> slots[3] and slots[2] <> slots[3], false)),
    constraint ck_peer_to_peer_state check (
        state in ('asked', 'scheduled', 'held', 'declined', 'missed')),
    constraint ck_peer_to_peer_scheduled check (
        state <> 'scheduled'
        or coalesce(clinician_id is not null and scheduled_at = any (slots), false)),
    constraint ck_peer_to_peer_closed check (
        (state in ('held', 'declined', 'missed')) = (closed_at is not null)),
    constraint ck_peer_to_peer_outcome check (
        state <> 'held' or coalesce(outcome ~ '[[:alnum:]]', false))
)

create unique index uq_peer_to_peer_open on peer_to_peer (organization_id, case_id)
    where state in ('asked', 'scheduled')

create function peer_to_peer_is_with_a_peer() returns trigger language plpgsql as $$
begin
    if tg_op = 'UPDATE' and old.state in ('held', 'declined', 'missed') then
        raise exception 'a conversation that is over is not changed'
            using errcode = 'check_violation', constraint = 'peer_to_peer_closed_once';
    end if;
    perform from public.prior_auth_case c
        where c.organization_id = new.organization_id and c.id = new.case_id
            and c.kind = 'resubmission' and (tg_op = 'UPDATE' or c.status = 'in-review');
    if not found then
        raise exception 'a conversation is about a resubmission that is undecided'
            using errcode = 'check_violation', constraint = 'peer_to_peer_with_a_resubmission';
    end if;
    if new.clinician_id is not null and new.clinician_id is distinct from old.clinician_id then
        perform from public.person p
            where p.id = new.clinician_id and p.active and 'clinician' = any (p.roles)
                and p.specialty = new.specialty and p.licence_expires
                    >= (coalesce(new.scheduled_at, now()) at time zone 'America/New_York')::date;
        if not found then
            raise exception 'a peer is a clinician of the specialty with a live licence'
                using errcode = 'check_violation', constraint = 'peer_to_peer_with_a_peer';
        end if;
    end if;
    return new;
end $$

create trigger is_with_a_peer before insert or update on peer_to_peer
    for each row execute function peer_to_peer_is_with_a_peer()

create table case_event (
    organization_id uuid not null,
    id uuid not null,
    case_id uuid not null,
    revision integer not null,
    at timestamptz not null,
    kind text not null,
    person_id uuid,
    text text,
    detail jsonb not null default '{}',
    constraint pk_case_event primary key (organization_id, id),
    constraint fk_case_event_prior_auth_case
        foreign key (organization_id, case_id) references prior_auth_case (organization_id, id),
    constraint fk_case_event_person_id_person foreign key (person_id) references person (id),
    constraint ck_case_event_kind check (kind ~ '^[a-z][a-z0-9-]{1,63}$'),
    constraint ck_case_event_detail check (jsonb_typeof(detail) = 'object')
)

create index ix_case_event_case on case_event (organization_id, case_id)

create trigger append_only before update or delete or truncate on case_event
    for each statement execute function append_only()

create table letter (
    organization_id uuid not null,
    id uuid not null,
    case_id uuid not null,
    revision integer not null,
    kind text not null,
    recipient text not null,
    created_at timestamptz not null,
    state text not null default 'queued',
    ended_at timestamptz,
    constraint pk_letter primary key (organization_id, id),
    constraint uq_letter_once unique (organization_id, case_id, revision, kind, recipient),
    constraint fk_letter_prior_auth_case
        foreign key (organization_id, case_id) references prior_auth_case (organization_id, id),
    constraint ck_letter_kind check (kind ~ '^[a-z][a-z0-9-]{1,63}$'),
    constraint ck_letter_recipient check (recipient in ('beneficiary', 'provider')),
    constraint ck_letter_state check (state in ('queued', 'sent', 'failed')),
    constraint ck_letter_ended check ((state = 'queued') = (ended_at is null))
)

create index ix_letter_queued on letter (created_at) where state = 'queued'

drop table notification
"""

RULES = """
create or replace function determination_needs_a_live_licence() returns trigger
language plpgsql as $$
declare
    day date := greatest(new.decided_at, now()) at time zone 'America/New_York';
begin
    perform from public.person p
        where p.id = new.clinician_id and p.active and 'clinician' = any (p.roles)
            and p.licence_expires >= day;
    if not found then
        raise exception 'a determination names a clinician with a live licence'
            using errcode = 'check_violation', constraint = 'determination_live_licence';
    end if;
    return new;
end $$

create function determination_respects_a_clinicians() returns trigger language plpgsql as $$
begin
    perform from public.determination d
        where d.organization_id = new.organization_id and d.case_id = new.case_id
            and d.sequence = new.sequence and d.outcome = 'non-affirmed';
    if found then
        raise exception 'software does not affirm what a clinician has not'
            using errcode = 'check_violation', constraint = 'determination_over_a_clinicians';
    end if;
    return new;
end $$

create trigger respects_a_clinicians before insert on determination
    for each row when (new.decided_by = 'software' and new.revision > 1)
    execute function determination_respects_a_clinicians()

create function determination_is_of_an_open_item() returns trigger language plpgsql as $$
begin
    perform from public.prior_auth_case c
        where c.organization_id = new.organization_id and c.id = new.case_id
            and c.revision = new.revision;
    if not found then
        raise exception 'a determination is of the present revision'
            using errcode = 'check_violation', constraint = 'determination_of_this_revision';
    end if;
    return null;
end $$

create constraint trigger of_this_revision after insert on determination
    deferrable initially deferred
    for each row when (new.decided_by = 'clinician' or new.revision > 1)
    execute function determination_is_of_an_open_item()

create or replace function case_moves_forward() returns trigger language plpgsql as $$
begin
    if new.revision not in (old.revision, old.revision + 1)
            or old.status in ('dismissed', 'cancelled')
                and (new.status <> old.status or new.revision <> old.revision)
            or old.status in ('affirmed', 'partially-affirmed', 'non-affirmed')
                and new.status <> old.status and new.revision = old.revision
            or old.status = 'non-affirmed' and new.revision <> old.revision
            or new.status = 'cancelled' and old.status <> 'cancelled'
                and new.revision = old.revision
            or new.status = 'dismissed' and old.status <> 'dismissed' then
        raise exception 'a decided case is changed by a new revision, an ended one by nothing'
            using errcode = 'check_violation', constraint = 'case_moves_forward';
    end if;
    return new;
end $$

create function item_keeps_its_decision() returns trigger language plpgsql as $$
begin
    if old.status = 'cancelled' and new.status <> 'cancelled'
            or old.outcome is not null and new.revision = old.revision
                and (new.status, new.code_system, new.code, new.role, new.quantity,
                    new.service_date, new.service_end)
                is distinct from (old.status, old.code_system, old.code, old.role, old.quantity,
                    old.service_date, old.service_end)
            or new.revision < old.revision then
        raise exception 'a decided line is changed by a new revision, a cancelled one by nothing'
            using errcode = 'check_violation', constraint = 'item_keeps_its_decision';
    end if;
    return new;
end $$

create trigger keeps_its_decision before update on case_item
    for each row execute function item_keeps_its_decision()

create or replace function case_agrees_with_its_items() returns trigger language plpgsql as $$
declare
    org uuid := new.organization_id;
    this uuid := coalesce(to_jsonb(new) ->> 'case_id', to_jsonb(new) ->> 'id');
    found_case public.prior_auth_case;
    affirmed integer;
    non_affirmed integer;
    pended integer;
    elsewhere integer;
    orphaned boolean;
    last_decided timestamptz;
begin
    select * into found_case from public.prior_auth_case where organization_id = org and id = this;
    select count(*) filter (where i.status = 'affirmed'),
            count(*) filter (where i.status = 'non-affirmed'),
            count(*) filter (where i.status = 'pended'),
            count(*) filter (where i.outcome is not null and i.revision <> found_case.revision),
            coalesce(bool_or(i.status = 'affirmed' and i.role = 'add-on')
                and not bool_or(i.status = 'affirmed' and i.role = 'primary'), false),
            max(d.decided_at)
        into affirmed, non_affirmed, pended, elsewhere, orphaned, last_decided
        from public.case_item i left join public.determination d
            on d.organization_id = i.organization_id and d.case_id = i.case_id
            and d.sequence = i.sequence and d.revision = i.revision
        where i.organization_id = org and i.case_id = this;
    if elsewhere > 0 or orphaned or not coalesce(case found_case.status
        when 'affirmed' then affirmed > 0 and non_affirmed = 0 and pended = 0
            and last_decided = found_case.decided_at
        when 'partially-affirmed' then affirmed > 0 and non_affirmed > 0 and pended = 0
            and last_decided = found_case.decided_at
        when 'non-affirmed' then affirmed = 0 and non_affirmed > 0 and pended = 0
            and last_decided = found_case.decided_at
        when 'in-review' then affirmed = 0 and non_affirmed = 0 and pended > 0
        else affirmed = 0 and non_affirmed = 0 and pended = 0
    end, false) then
        raise exception 'a case says what its items and their determinations say'
            using errcode = 'check_violation', constraint = 'case_agrees_with_its_items';
    end if;
    if not (case when found_case.status in ('affirmed', 'partially-affirmed', 'non-affirmed')
            then exists (select from public.utn u where u.organization_id = org
                and u.case_id = this and u.revision = found_case.revision)
            else found_case.status = 'in-review' or not exists (select from public.utn u
                where u.organization_id = org and u.case_id = this
                    and u.state in ('pending', 'assigned', 'failed'))
        end) then
        raise exception 'a decided case has a number, an ended one no live one'
            using errcode = 'check_violation', constraint = 'case_agrees_with_its_utn';
    end if;
    return null;
end $$
"""

# A person has a part in a case that their organizations sent or are named in, or they themselves;
# and in what follows such a case, for whoever decides a resubmission is shown what came before it.
# A number leads to a case of the same beneficiary, whoever sent it; where numbers lead in a circle
# the count of steps ends it. Only the gate's own functions may ask, and triggers cannot be called.
PARTS = """
grant create on schema gate to wiser_gate

grant select on person to wiser_gate

create function gate.own_npis(who person) returns text[] language sql stable
set search_path = pg_catalog, pg_temp as $$
    select array(select unnest(o.npis) from public.organization o
        where o.id = any ((who).organizations)
        union select (who).npi where (who).npi is not null)
$$

create function gate.has_a_part(
    organizations uuid[], npis text[], sender uuid, wanted uuid)
returns boolean language sql stable security definer
set search_path = pg_catalog, pg_temp as $$
    with recursive chain (organization_id, id, mbi, previous_utn, steps) as (
        select c.organization_id, c.id, c.mbi, c.previous_utn, 0
            from public.prior_auth_case c
            where c.organization_id = has_a_part.sender and c.id = has_a_part.wanted
        union
        select e.organization_id, e.id, e.mbi, e.previous_utn, h.steps + 1
            from chain h
            join public.utn u on u.utn = h.previous_utn
            join public.prior_auth_case e
                on e.organization_id = u.organization_id and e.id = u.case_id and e.mbi = h.mbi
            where h.steps < 100)
    select exists (select from chain h
        where h.organization_id = any (has_a_part.organizations)
            or exists (select from public.case_party p
                where p.organization_id = h.organization_id and p.case_id = h.id
                    and p.npi = any (has_a_part.npis)))
$$

create function gate.determination_is_an_outsiders() returns trigger
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
    who public.person;
begin
    select p.* into who from public.person p where p.id = new.clinician_id;
    if gate.has_a_part(who.organizations, gate.own_npis(who), new.organization_id, new.case_id) then
        raise exception 'nobody decides a case of an organization they belong to'
            using errcode = 'check_violation', constraint = 'determination_by_an_outsider';
    end if;
    return new;
end $$

create trigger of_an_outsider before insert on determination
    for each row when (new.decided_by = 'clinician')
    execute function gate.determination_is_an_outsiders()

revoke execute on function gate.own_npis, gate.has_a_part, gate.determination_is_an_outsiders
    from public

alter function gate.own_npis owner to wiser_gate

alter function gate.has_a_part owner to wiser_gate

alter function gate.determination_is_an_outsiders owner to wiser_gate

revoke create on schema gate from wiser_gate
"""

# What the application would refuse is refused here as well, whatever asks.
HARDENING = """
create function token_stays_revoked() returns trigger language plpgsql as $$
begin
    if old.revoked_at is not null and new.revoked_at is distinct from old.revoked_at then
        raise exception 'a token that was revoked stays so'
            using errcode = 'check_violation', constraint = 'token_stays_revoked';
    end if;
    return new;
end $$

create trigger stays_revoked before update on access_token
    for each row execute function token_stays_revoked()

create trigger stays_revoked before update on person_token
    for each row execute function token_stays_revoked()

alter table determination add constraint ck_determination_within_its_days check (
    coalesce(first_day >= (decided_at at time zone 'America/New_York')::date, true)
    and coalesce(last_day <= (decided_at at time zone 'America/New_York')::date + 119, true))

create function determination_grants_what_was_asked() returns trigger language plpgsql as $$
declare
    item public.case_item;
    decided_on date := (new.decided_at at time zone 'America/New_York')::date;
begin
    select * into item from public.case_item i where i.organization_id = new.organization_id
        and i.case_id = new.case_id and i.sequence = new.sequence;
    if item.revision = new.revision and item.outcome is distinct from new.outcome
            or item.revision < new.revision then
        raise exception 'a determination is what its line says'
            using errcode = 'check_violation', constraint = 'determination_of_a_decided_line';
    end if;
    if new.quantity > item.quantity
            or new.first_day <> decided_on and (new.first_day < item.service_date
                or new.first_day > coalesce(item.service_end, item.service_date))
            or new.last_day <> decided_on + 119 and (new.last_day < item.service_date
                or new.last_day > coalesce(item.service_end, item.service_date)) then
        raise exception 'what is granted was asked for'
            using errcode = 'check_violation', constraint = 'determination_grants_what_was_asked';
    end if;
    return null;
end $$

create constraint trigger says_what_its_line_says after insert on determination
    deferrable initially deferred
    for each row when (new.decided_by = 'clinician' or new.revision > 1)
    execute function determination_grants_what_was_asked()

alter table prior_auth_case add constraint ck_prior_auth_case_partial check (
    status <> 'partially-affirmed'
    or received_at >= timestamptz '2026-04-01 00:00 America/New_York')

create function utn_gives_way_to_a_later() returns trigger language plpgsql as $$
begin
    perform from public.prior_auth_case c where c.organization_id = new.organization_id
        and c.id = new.case_id and (c.status = 'cancelled' or exists (
            select from public.utn later where later.organization_id = new.organization_id
                and later.case_id = new.case_id and later.revision > new.revision));
    if not found then
        raise exception 'a UTN is superseded by a later one'
            using errcode = 'check_violation', constraint = 'utn_gives_way_to_a_later';
    end if;
    return null;
end $$

create constraint trigger gives_way_to_a_later after update of state on utn
    deferrable initially deferred for each row when (new.state = 'superseded')
    execute function utn_gives_way_to_a_later()

alter table utn add constraint ck_utn_expired check (
    state <> 'expired'
    or coalesce((ended_at at time zone 'America/New_York')::date > valid_until, false))

create function case_in_review_is_a_clinicians() returns trigger language plpgsql as $$
begin
    perform from public.determination d where d.organization_id = new.organization_id
        and d.case_id = new.id and d.revision = new.revision and d.decided_by = 'software';
    if found then
        raise exception 'what is in review is decided by a clinician'
            using errcode = 'check_violation', constraint = 'case_in_review_is_a_clinicians';
    end if;
    return null;
end $$

create constraint trigger in_review_is_a_clinicians after update of status on prior_auth_case
    deferrable initially deferred
    for each row when (old.status = 'in-review' and new.revision = old.revision
        and new.status in ('affirmed', 'partially-affirmed', 'non-affirmed'))
    execute function case_in_review_is_a_clinicians()

create function information_request_ends_once() returns trigger language plpgsql as $$
begin
    if old.state <> 'open' then
        raise exception 'a request for information ends once'
            using errcode = 'check_violation', constraint = 'information_request_ends_once';
    end if;
    return new;
end $$

create trigger ends_once before update on information_request
    for each row execute function information_request_ends_once()

create function case_keeps_what_was_decided() returns trigger language plpgsql as $$
begin
    if (new.received_at, new.decide_by, new.expedited, new.service, new.rules, new.decided_at,
            new.valid_from, new.valid_until, new.request_message_id, new.assessment)
            is distinct from (old.received_at, old.decide_by, old.expedited, old.service, old.rules,
            old.decided_at, old.valid_from, old.valid_until, old.request_message_id,
            old.assessment) then
        raise exception 'what is decided is changed by a new revision only'
            using errcode = 'check_violation', constraint = 'case_keeps_what_was_decided';
    end if;
    return null;
end $$

create trigger keeps_what_was_decided after update on prior_auth_case
    for each row when (old.status in ('affirmed', 'partially-affirmed', 'non-affirmed')
        and new.revision = old.revision)
    execute function case_keeps_what_was_decided()
"""

ORGANIZATION_TABLES = ("information_request", "peer_to_peer", "case_event", "letter")

# A setting once set stays as an empty string for the rest of the session, hence nullif. The
# sub-select makes Postgres evaluate it once per statement, not once per row.
CURRENT_ORGANIZATION = "(select nullif(current_setting('app.organization', true), '')::uuid)"

GRANTS = """
grant select, insert, update (revoked_at) on person_token to wiser_app

grant update (assigned_to, assigned_at, escalation, expedite_confirmed, answer, request_message_id,
    trace_system, trace_value, service, expedite_requested, state, line, received_at)
    on prior_auth_case to wiser_app

grant update (code_system, code, role, service_date, service_end, quantity) on case_item
    to wiser_app

grant update (utn, assigned_at, delivered_at, resent_at, attempts, last_error) on utn to wiser_app

grant select, insert, update (state, answered_at, due_at) on information_request to wiser_app

grant select, insert, update (clinician_id, scheduled_at, state, outcome, closed_at)
    on peer_to_peer to wiser_app

grant select, insert on case_event to wiser_app

grant select, insert, update (state, ended_at) on letter to wiser_app
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
    run(PEOPLE)
    run(CASES)
    run(UTNS)
    run(LIFE)
    run(RULES)
    run(PARTS)
    run(HARDENING)
    for table in ORGANIZATION_TABLES:
        protect(table)
    run(GRANTS)


# The shape of what was there before, not its content: reviews and revisions have no older form.
BACK = """
drop table letter, case_event, peer_to_peer, information_request, person_token

drop trigger of_an_outsider on determination

drop function gate.determination_is_an_outsiders, gate.has_a_part, gate.own_npis

revoke select on person from wiser_gate

drop trigger respects_a_clinicians on determination

drop trigger of_this_revision on determination

drop trigger keeps_its_decision on case_item

drop trigger says_what_its_line_says on determination

drop trigger gives_way_to_a_later on utn

drop trigger in_review_is_a_clinicians on prior_auth_case

drop trigger keeps_what_was_decided on prior_auth_case

drop trigger stays_revoked on access_token

drop function determination_grants_what_was_asked, utn_gives_way_to_a_later,
    case_in_review_is_a_clinicians, case_keeps_what_was_decided, token_stays_revoked cascade

drop function information_request_ends_once cascade

drop function determination_respects_a_clinicians, determination_is_of_an_open_item,
    item_keeps_its_decision, peer_to_peer_is_with_a_peer

alter table audit_event drop person_id

alter table prior_auth_case drop assigned_to, drop assigned_at, drop escalation,
    drop expedite_confirmed, drop answer

alter table person rename to clinician

create table notification (organization_id uuid not null, id uuid not null)
"""


def downgrade() -> None:
    run(BACK)
