"""Exemptions: what they rest on, from when to when, what was told of them; and acts by their time.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0010"
down_revision: str | Sequence[str] | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# They are of a provider, whoever sends its requests: no organization's rows. Two exemptions of one
# provider never share a day; a range of one number stands for equality, which no index for ranges
# knows without an extension.
EXEMPTIONS = """
create table exemption_assessment (
    quarter date not null,
    rate numeric not null,
    min_requests integer not null,
    assessed_at timestamptz not null,
    constraint pk_exemption_assessment primary key (quarter),
    constraint ck_exemption_assessment_quarter check (
        extract(day from quarter) = 1 and extract(month from quarter) in (1, 4, 7, 10)),
    constraint ck_exemption_assessment_over check (
        (assessed_at at time zone 'America/New_York')::date >= quarter + interval '3 months'),
    constraint ck_exemption_assessment_rate check (rate > 0 and rate <= 1),
    constraint ck_exemption_assessment_min_requests check (min_requests > 0)
)

create table exemption_tally (
    quarter date not null,
    npi text not null,
    decided integer not null,
    affirmed integer not null,
    constraint pk_exemption_tally primary key (quarter, npi),
    constraint fk_exemption_tally_quarter_exemption_assessment
        foreign key (quarter) references exemption_assessment (quarter),
    constraint ck_exemption_tally_npi check (npi ~ '^[0-9]{10}$'),
    constraint ck_exemption_tally_counts check (
        decided > 0 and affirmed >= 0 and affirmed <= decided)
)

create table exemption (
    id uuid not null,
    npi text not null,
    quarter date not null,
    first_day date not null,
    last_day date,
    checked_on date not null,
    constraint pk_exemption primary key (id),
    constraint fk_exemption_exemption_tally
        foreign key (quarter, npi) references exemption_tally (quarter, npi),
    constraint ck_exemption_after_its_quarter check (first_day >= quarter + interval '3 months'),
    constraint ck_exemption_lasts_a_year check (last_day >= first_day + 364),
    constraint ck_exemption_checked check (checked_on >= first_day),
    constraint ex_exemption_days exclude using gist (
        int8range(npi::bigint, npi::bigint, '[]') with &&,
        daterange(first_day, last_day, '[]') with &&)
)

create table exemption_notice (
    exemption_id uuid not null,
    kind text not null,
    noticed_on date not null,
    effective_on date not null,
    reason text not null,
    constraint pk_exemption_notice primary key (exemption_id, kind),
    constraint fk_exemption_notice_exemption_id_exemption
        foreign key (exemption_id) references exemption (id),
    constraint ck_exemption_notice_kind check (kind in ('grant', 'loss')),
    constraint ck_exemption_notice_reason check (
        reason = case kind when 'grant' then 'rate-met' else reason end
        and reason in ('rate-met', 'rate-below', 'operator')
        and (kind = 'grant' or reason <> 'rate-met')),
    constraint ck_exemption_notice_in_time check (
        case kind when 'grant' then effective_on >= noticed_on
            else effective_on >= noticed_on + 60
                and extract(day from effective_on) = 1
                and extract(month from effective_on) in (1, 4, 7, 10) end)
)
"""

# An exemption is earned, begins and ends with its notices, and its end once told stands.
RULES = """
create function exemption_is_earned() returns trigger language plpgsql as $$
begin
    perform from public.exemption_tally t
        join public.exemption_assessment a on a.quarter = t.quarter
        where t.quarter = new.quarter and t.npi = new.npi
            and t.decided >= a.min_requests and t.affirmed >= a.rate * t.decided;
    if not found then
        raise exception 'an exemption rests on the requests of a quarter'
            using errcode = 'check_violation', constraint = 'exemption_is_earned';
    end if;
    return new;
end $$

create trigger is_earned before insert on exemption
    for each row execute function exemption_is_earned()

create function exemption_stands() returns trigger language plpgsql as $$
begin
    if (new.id, new.npi, new.quarter, new.first_day)
            is distinct from (old.id, old.npi, old.quarter, old.first_day)
            or old.last_day is not null and new.last_day is distinct from old.last_day
            or new.checked_on < old.checked_on then
        raise exception 'an exemption ends once, as was announced, and else stands'
            using errcode = 'check_violation', constraint = 'exemption_stands';
    end if;
    return new;
end $$

create trigger stands before update on exemption
    for each row execute function exemption_stands()

create function exemption_agrees_with_its_notices() returns trigger language plpgsql as $$
declare
    this uuid := coalesce(to_jsonb(new) ->> 'exemption_id', to_jsonb(new) ->> 'id');
begin
    perform from public.exemption e
        where e.id = this
            and exists (select from public.exemption_notice n
                where n.exemption_id = e.id and n.kind = 'grant'
                    and n.effective_on = e.first_day)
            and not exists (select from public.exemption_notice n
                where n.exemption_id = e.id and n.kind = 'loss'
                    and n.effective_on is distinct from e.last_day + 1)
            and (e.last_day is null or exists (select from public.exemption_notice n
                where n.exemption_id = e.id and n.kind = 'loss'));
    if not found then
        raise exception 'an exemption begins and ends on the days of its notices'
            using errcode = 'check_violation', constraint = 'exemption_agrees_with_its_notices';
    end if;
    return null;
end $$

create constraint trigger agrees_with_its_notices after insert or update on exemption
    deferrable initially deferred
    for each row execute function exemption_agrees_with_its_notices()

create constraint trigger agrees_with_its_exemption after insert on exemption_notice
    deferrable initially deferred
    for each row execute function exemption_agrees_with_its_notices()

create trigger never_deleted before delete or truncate on exemption
    for each statement execute function append_only()

create trigger append_only before update or delete or truncate on exemption_assessment
    for each statement execute function append_only()

create trigger append_only before update or delete or truncate on exemption_tally
    for each statement execute function append_only()

create trigger append_only before update or delete or truncate on exemption_notice
    for each statement execute function append_only()
"""

# Rows are written in the order of their time and never moved, so a block range tells all: it costs
# a write next to nothing, where a tree would cost every submission an entry.
INDEXES = """
create index ix_determination_decided_at on determination using brin (decided_at)

create index ix_audit_event_at on audit_event using brin (at)
"""

GRANTS = """
grant select, insert on exemption_assessment, exemption_tally, exemption_notice to wiser_app

grant select, insert, update (last_day, checked_on) on exemption to wiser_app
"""

# A provider's requests come from whoever sends for it, so they are counted over all organizations.
# What comes out is figures by provider, and nothing of any request.
GATE = """
grant create on schema gate to wiser_gate

create function gate.exemption_tallies(from_at timestamptz, to_at timestamptz, request_id uuid)
returns table (npi text, decided integer, affirmed integer)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    counted integer;
begin
    return query
        select r.npi, count(*)::integer, (count(*) filter (where f.affirmed))::integer
        from (select d.organization_id, d.case_id, bool_and(d.outcome = 'affirmed') as affirmed
            from public.determination d
            where d.decided_at >= from_at and d.decided_at < to_at
                and not exists (select from public.determination e
                    where e.organization_id = d.organization_id and e.case_id = d.case_id
                        and e.revision < d.revision)
            group by d.organization_id, d.case_id) f
        join public.prior_auth_case c
            on c.organization_id = f.organization_id and c.id = f.case_id and c.kind = 'initial'
        cross join lateral (select p.npi from public.case_party p
            where p.organization_id = c.organization_id and p.case_id = c.id
                and p.role = 'requester' and p.npi ~ '^[0-9]{10}$'
            order by p.position limit 1) r
        group by r.npi;
    get diagnostics counted = row_count;
    insert into public.audit_event (request_id, action, outcome, detail)
        values (exemption_tallies.request_id, 'gate.exemption-tallies', 'done',
            jsonb_build_object('found', counted));
end $$

create function gate.exemption_reviews(
    npis text[], from_at timestamptz, to_at timestamptz, request_id uuid)
returns table (npi text, reviewed integer, payable integer)
language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
declare
    counted integer;
begin
    return query
        select c.provider_npi, count(*)::integer,
            (count(*) filter (where r.recommendation = 'pay'))::integer
        from public.prepayment_review r
        join public.claim c on c.organization_id = r.organization_id and c.id = r.claim_id
        where c.provider_npi = any (npis) and r.ended_at >= from_at and r.ended_at < to_at
        group by c.provider_npi;
    get diagnostics counted = row_count;
    insert into public.audit_event (request_id, action, outcome, detail)
        values (exemption_reviews.request_id, 'gate.exemption-reviews', 'done',
            jsonb_build_object('found', counted));
end $$

revoke execute on function gate.exemption_tallies, gate.exemption_reviews from public

grant execute on function gate.exemption_tallies, gate.exemption_reviews to wiser_app

alter function gate.exemption_tallies owner to wiser_gate

alter function gate.exemption_reviews owner to wiser_gate

revoke create on schema gate from wiser_gate
"""


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def upgrade() -> None:
    run(EXEMPTIONS)
    run(RULES)
    run(INDEXES)
    run(GRANTS)
    run(GATE)


def downgrade() -> None:
    run("""
drop function gate.exemption_tallies, gate.exemption_reviews

drop index ix_determination_decided_at, ix_audit_event_at

drop table exemption_notice, exemption, exemption_tally, exemption_assessment

drop function exemption_is_earned, exemption_stands, exemption_agrees_with_its_notices
""")
