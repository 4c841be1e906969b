"""Keys of organizations, by which what is stored about people is sealed.

A migration knows no keys, so it cannot seal what is there, nor open it: it refuses to run, up or
down, where bodies are stored. A sandbox begins anew (remove its data directory); nothing but a
sandbox has run without sealing.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0015"
down_revision: str | Sequence[str] | None = "0014"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

CURRENT_ORGANIZATION = "nullif(current_setting('app.organization', true), '')::uuid"

# A key is announced before it is used; the newest in use seals. What is erased keeps its row, so
# that a value nobody can open any more says why.
KEYS = """
create table data_key (
    organization_id uuid not null,
    id integer not null,
    wrapped bytea,
    wrapping_key text not null,
    created_at timestamptz not null default now(),
    usable_from timestamptz not null default now(),
    made_in xid8 not null default pg_current_xact_id(),
    erased_at timestamptz,
    erased_because text,
    constraint pk_data_key primary key (organization_id, id),
    constraint fk_data_key_organization_id_organization
        foreign key (organization_id) references organization (id),
    constraint ck_data_key_id check (id >= 1),
    constraint ck_data_key_wrapped check (octet_length(wrapped) = 60),
    constraint ck_data_key_wrapping_key check (wrapping_key ~ '^[0-9a-f]{12}$'),
    constraint ck_data_key_usable check (usable_from >= created_at),
    constraint ck_data_key_erased check (
        (wrapped is null) = (erased_at is not null)
        and (erased_at is null) = (erased_because is null))
)

alter table data_key enable row level security

alter table data_key force row level security
"""

RULES = """
create function data_key_stands() returns trigger language plpgsql as $$
begin
    if (new.organization_id, new.id, new.created_at, new.usable_from, new.made_in)
            is distinct from
            (old.organization_id, old.id, old.created_at, old.usable_from, old.made_in)
            or old.erased_at is not null then
        raise exception 'a data key is wrapped anew or erased, and else stands'
            using errcode = 'check_violation', constraint = 'data_key_stands';
    end if;
    return new;
end $$

create trigger stands before update on data_key
    for each row execute function data_key_stands()

create trigger never_deleted before delete or truncate on data_key
    for each statement execute function append_only()
"""

# The application makes an organization's first key; the owner rotates.
GRANTS = f"""
create policy own_rows on data_key
    using (organization_id = {CURRENT_ORGANIZATION})
    with check (organization_id = {CURRENT_ORGANIZATION})

create policy first_key on data_key as restrictive for insert to wiser_app with check (id = 1)

grant select, insert on data_key to wiser_app
"""


# What is sealed begins with its format, and is longer than the envelope alone.
BODIES = {
    "message": ("body",),
    "hook_call": ("request", "response"),
    "attachment": ("resource", "content"),
    "claim": ("request", "answer"),
    "subscription": ("sealed",),
}

# What never changes may still be sealed anew, with another key, by the owner, who says so for the
# transaction. The same words stand then in the same row: only its sealed columns may differ.
SEALED_ANEW = """
create function resealing() returns boolean language sql stable as $$
    select current_user = 'wiser_owner'
        and coalesce(current_setting('app.resealing', true), '') = 'on'
$$

create function sealed_anew() returns trigger language plpgsql as $$
begin
    if to_jsonb(new) - tg_argv is distinct from to_jsonb(old) - tg_argv then
        raise exception 'whoever seals anew changes nothing else'
            using errcode = 'restrict_violation', table = tg_table_name;
    end if;
    return new;
end $$
"""

# The sealed columns of every table that has some.
SEALED = {
    **BODIES,
    "claim": ("request", "answer", "sealed_member"),
    "prior_auth_case": ("sealed_member", "assessment", "answer"),
    "determination": ("rationale", "resubmission_steps", "findings", "answer"),
    "information_request": ("wanted", "note"),
    "peer_to_peer": ("contact", "outcome"),
    "case_event": ("text",),
    "coverage_assertion": ("told",),
    "attachment_delivery": ("sealed_member",),
    "prepayment_review": ("rationale",),
}

# The triggers that would not let them be written: of whole statements, and of rows.
APPEND_ONLY = ("message", "hook_call", "claim", "determination", "case_event", "coverage_assertion")
OF_ROWS = {
    "attachment": ("checked_once before update", "attachment_is_checked_once"),
    "attachment_delivery": ("matched_once before update", "attachment_delivery_is_matched_once"),
    "information_request": ("ends_once before update", "information_request_ends_once"),
    "peer_to_peer": ("is_with_a_peer before insert or update", "peer_to_peer_is_with_a_peer"),
    "prepayment_review": ("is_kept before insert or update", "review_is_kept"),
}

KEEPS = """
drop trigger keeps_what_was_decided on prior_auth_case

create trigger keeps_what_was_decided after update on prior_auth_case
    for each row when ({but} old.status in ('affirmed', 'partially-affirmed', 'non-affirmed')
        and new.revision = old.revision)
    execute function case_keeps_what_was_decided()
"""

# It names the message that it found, for which alone the body opens.
SUBMISSION_ANSWER = """
drop function submission_answer

create function submission_answer(organization uuid, system text, value text)
returns table (request_sha256 bytea, case_id uuid, {named} body bytea, line text)
language plpgsql volatile as $$
begin
    perform set_config('app.organization', organization::text, true);
    return query select s.request_sha256, s.case_id, {name} m.body, s.line
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


def refuse_where_bodies_are_stored(direction: str) -> None:
    """The owner sees no organization's rows while row-level security binds it."""
    for table in BODIES:
        run(f"""
alter table {table} no force row level security

do $$ begin
    if exists (select from {table}) then
        raise exception '{table} has rows: they cannot be {direction} by a migration, which knows'
            ' no keys'
            using hint = 'In a sandbox remove the data directory and begin anew.';
    end if;
end $$

alter table {table} force row level security
""")


def only_sealed() -> None:
    for table, columns in BODIES.items():
        for column in columns:
            run(f"""
alter table {table} add constraint ck_{table}_{column}_sealed check (
    substring({column} from 1 for 1) = '\\x02' and octet_length({column}) > 33)
""")


def let_seal_anew() -> None:
    for table in APPEND_ONLY:
        run(f"""
drop trigger append_only on {table}

create trigger append_only before delete or truncate on {table}
    for each statement execute function append_only()

create trigger never_changed before update on {table}
    for each statement when (not resealing()) execute function append_only()
""")
    for table, (trigger, function) in OF_ROWS.items():
        run(f"""
drop trigger {trigger.split()[0]} on {table}

create trigger {trigger} on {table}
    for each row when (not resealing()) execute function {function}()
""")
    run(KEEPS.format(but="not resealing() and"))
    for table, columns in SEALED.items():
        run(f"""
create trigger sealed_anew before update on {table}
    for each row when (resealing()) execute function sealed_anew('{"', '".join(columns)}')
""")


def let_nothing_change() -> None:
    for table in SEALED:
        run(f"drop trigger sealed_anew on {table}")
    for table in APPEND_ONLY:
        run(f"""
drop trigger never_changed on {table}

drop trigger append_only on {table}

create trigger append_only before update or delete or truncate on {table}
    for each statement execute function append_only()
""")
    for table, (trigger, function) in OF_ROWS.items():
        run(f"""
drop trigger {trigger.split()[0]} on {table}

create trigger {trigger} on {table}
    for each row execute function {function}()
""")
    run(KEEPS.format(but=""))


def upgrade() -> None:
    refuse_where_bodies_are_stored("sealed")
    run(KEYS)
    run(RULES)
    run(GRANTS)
    only_sealed()
    run(SEALED_ANEW)
    let_seal_anew()
    run(SUBMISSION_ANSWER.format(named="message_id uuid,", name="m.id,"))


def downgrade() -> None:
    refuse_where_bodies_are_stored("opened")
    run(SUBMISSION_ANSWER.format(named="", name=""))
    let_nothing_change()
    for table, columns in BODIES.items():
        for column in columns:
            run(f"alter table {table} drop constraint ck_{table}_{column}_sealed")
    run("""
drop function resealing, sealed_anew

drop table data_key

drop function data_key_stands
""")
