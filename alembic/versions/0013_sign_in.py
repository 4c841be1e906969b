"""People who sign in at an identity provider: who they are there, their sessions, their roles.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0013"
down_revision: str | Sequence[str] | None = "0012"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# A person is known by issuer and subject together: two issuers may give one subject to two people.
# Who works for a provider reviews nothing, and belongs to the provider.
PEOPLE = """
alter table person add issuer text

alter table person add subject text

alter table person add constraint uq_person_identity unique (issuer, subject)

alter table person add constraint ck_person_identity check (
    (issuer is null) = (subject is null)
    and length(issuer) between 1 and 255 and length(subject) between 1 and 255)

alter table person drop constraint ck_person_roles

alter table person add constraint ck_person_roles check (
    cardinality(roles) > 0 and roles <@
        '{clinician,coordinator,auditor,operations,provider-operator,provider-admin}'::text[])

alter table person add constraint ck_person_provider_roles check (
    not roles && '{provider-operator,provider-admin}'::text[]
    or cardinality(organizations) > 0
        and not roles && '{clinician,coordinator,auditor,operations}'::text[])
"""

# Neither table belongs to an organization: both are looked up by a hash before anybody is known.
SESSIONS = """
create table sign_in_begun (
    state_hash bytea not null,
    browser_hash bytea not null,
    verifier text not null,
    nonce text not null,
    return_to text not null,
    step_up boolean not null,
    begun_at timestamptz not null,
    expires_at timestamptz not null,
    constraint pk_sign_in_begun primary key (state_hash),
    constraint ck_sign_in_begun_hashes check (
        octet_length(state_hash) = 32 and octet_length(browser_hash) = 32),
    constraint ck_sign_in_begun_times check (
        expires_at > begun_at and expires_at <= begun_at + interval '10 minutes')
)

create index ix_sign_in_begun_browser_hash on sign_in_begun (browser_hash)

create table person_session (
    session_hash bytea not null,
    person_id uuid not null,
    signed_in_at timestamptz not null,
    begun_at timestamptz not null,
    seen_at timestamptz not null,
    expires_at timestamptz not null,
    ended_at timestamptz,
    constraint pk_person_session primary key (session_hash),
    constraint fk_person_session_person_id_person foreign key (person_id) references person (id),
    constraint ck_person_session_hash check (octet_length(session_hash) = 32),
    constraint ck_person_session_times check (
        signed_in_at <= begun_at and seen_at >= begun_at
        and expires_at > begun_at and expires_at <= begun_at + interval '8 hours')
)

create index ix_person_session_person_id on person_session (person_id) where ended_at is null

create function person_session_goes_on() returns trigger language plpgsql as $$
begin
    if old.ended_at is not null and new.ended_at is distinct from old.ended_at
            or new.seen_at < old.seen_at then
        raise exception 'a session that ended stays so, and is never seen earlier'
            using errcode = 'check_violation', constraint = 'person_session_goes_on';
    end if;
    return new;
end $$

create trigger goes_on before update on person_session
    for each row execute function person_session_goes_on()

create function person_ends_sessions() returns trigger language plpgsql as $$
begin
    update public.person_session set ended_at = now()
        where person_id = new.id and ended_at is null;
    if not new.active then
        update public.person_token set revoked_at = now()
            where person_id = new.id and revoked_at is null;
    end if;
    return null;
end $$

create trigger ends_sessions after update on person
    for each row when ((old.active, old.roles, old.organizations, old.issuer, old.subject)
        is distinct from (new.active, new.roles, new.organizations, new.issuer, new.subject))
    execute function person_ends_sessions()

grant select, insert, delete on sign_in_begun to wiser_app

grant select, insert, update (seen_at, ended_at) on person_session to wiser_app
"""

# Whoever does not affirm has signed in just before. A trigger asks it and no check: older rows stay
# as they are. `mac` is of the decision, by a key that is not in the database.
DETERMINATIONS = """
alter table determination add signed_in_at timestamptz

alter table determination add mac bytea

create function determination_signed_in() returns trigger language plpgsql as $$
begin
    if new.signed_in_at is null or new.signed_in_at > new.decided_at
            or new.signed_in_at < new.decided_at - interval '15 minutes' then
        raise exception 'who does not affirm has signed in at most 15 minutes before'
            using errcode = 'check_violation', constraint = 'determination_signed_in';
    end if;
    return new;
end $$

create trigger signed_in before insert on determination
    for each row when (new.decided_by = 'clinician' and new.outcome <> 'affirmed')
    execute function determination_signed_in()

alter table determination add constraint ck_determination_mac check (octet_length(mac) = 32)
"""

# To whom the gate shows a page of the queue, and to whom a case.
SHOWN = {
    "review_queue": "'{clinician,coordinator,auditor,operations}'::text[]",
    "prepayment_queue": "'{clinician,coordinator,auditor,operations}'::text[]",
    "case_organization": "'{clinician,coordinator,auditor}'::text[]",
    "prepayment_organization": "'{clinician,coordinator,auditor}'::text[]",
}


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def reword(function: str, before: str, after: str) -> None:
    """Make a function of the gate anew with one phrase of it changed."""
    bind = op.get_bind()
    asked = f"select pg_get_functiondef('gate.{function}'::regproc)"
    source = bind.exec_driver_sql(asked).scalar_one()
    if source.count(before) != 1:
        raise RuntimeError(f"gate.{function} does not say once: {before}")
    run("grant create on schema gate to wiser_gate")
    run("set local role wiser_gate")
    bind.exec_driver_sql(source.replace(before, after))
    run("reset role")
    run("revoke create on schema gate from wiser_gate")


def upgrade() -> None:
    run(PEOPLE)
    run(SESSIONS)
    run(DETERMINATIONS)
    for function, roles in SHOWN.items():
        reword(function, " and p.active;", f" and p.active and p.roles && {roles};")


def downgrade() -> None:
    for function, roles in SHOWN.items():
        reword(function, f" and p.active and p.roles && {roles};", " and p.active;")
    run("""
drop trigger signed_in on determination

drop function determination_signed_in

alter table determination drop constraint ck_determination_mac

alter table determination drop mac

alter table determination drop signed_in_at

drop trigger ends_sessions on person

drop function person_ends_sessions

drop table person_session, sign_in_begun

drop function person_session_goes_on

alter table person drop constraint ck_person_provider_roles

alter table person drop constraint ck_person_roles

update person set active = false
    where not roles && '{clinician,coordinator,auditor}'::text[]

update person set roles = case when roles && '{clinician,coordinator,auditor}'::text[]
    then array_remove(roles, 'operations') else '{auditor}'::text[] end

alter table person add constraint ck_person_roles check (
    cardinality(roles) > 0 and roles <@ '{clinician,coordinator,auditor}'::text[])

alter table person drop constraint ck_person_identity

alter table person drop constraint uq_person_identity

alter table person drop subject

alter table person drop issuer
""")
