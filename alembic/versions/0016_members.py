"""Beneficiaries: found by a keyed index, named only sealed, as is whatever is said about them.

`mbi` of a case and a claim and `member` of a delivery hold the index of `db.blind`; the number, the
name and the day of birth stand beside it, sealed with the organization's key. Sealed too are the
words of people, and what was found, answered and granted of a patient. What queries ask about it
(whether a form was answered, whether a grant has a detail) stands in columns of its own.

A sealed value begins with its format and is longer than the envelope alone: nothing plain is stored
in its place. Where a text had to have a letter or a digit it has to be there now; what it says is
looked at before it is sealed.

A migration knows no keys, so it cannot seal what is there: it refuses to run, up or down, where
anything is stored about a beneficiary. A sandbox begins anew (remove its data directory); nothing
but a sandbox has run without sealing.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Mapping, Sequence

from alembic import op

revision: str = "0016"
down_revision: str | Sequence[str] | None = "0015"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# All else that is said about a beneficiary hangs on one of these.
ABOUT_MEMBERS = ("prior_auth_case", "coverage_assertion", "attachment_delivery", "claim")

INDEX = "'^1[.][A-Za-z0-9_-]{22}$'"

CASES = f"""
alter table prior_auth_case drop family, drop given, drop birth_date

alter table prior_auth_case add sealed_member bytea not null

alter table prior_auth_case add with_form boolean not null default false

alter table prior_auth_case alter assessment type bytea using null

alter table prior_auth_case alter answer type bytea using null

alter table prior_auth_case add constraint ck_prior_auth_case_mbi check (mbi ~ {INDEX})

grant update (with_form) on prior_auth_case to wiser_app

alter table determination drop constraint ck_determination_reasons

alter table determination alter rationale type bytea using null

alter table determination alter resubmission_steps type bytea using null

alter table determination alter findings type bytea using null

alter table determination alter answer type bytea using null

alter table determination add with_detail boolean not null default false

alter table determination add constraint ck_determination_reasons check (
    outcome = 'affirmed' or num_nulls(rationale, resubmission_steps) = 0)

alter table determination add constraint ck_determination_detail check (
    not with_detail or answer is not null)
"""

LIFE = """
alter table information_request drop constraint ck_information_request_wanted

alter table information_request alter wanted type bytea using null

alter table information_request alter note type bytea using null

alter table peer_to_peer drop constraint ck_peer_to_peer_outcome

alter table peer_to_peer alter contact type bytea using null

alter table peer_to_peer alter outcome type bytea using null

alter table peer_to_peer add constraint ck_peer_to_peer_outcome check (
    state <> 'held' or outcome is not null)

alter table case_event alter text type bytea using null
"""

ATTACHMENTS = f"""
alter table attachment_delivery add sealed_member bytea not null

alter table attachment_delivery add constraint ck_attachment_delivery_member check (
    member ~ {INDEX})
"""

CLAIMS = f"""
alter table claim add sealed_member bytea not null

alter table claim add constraint ck_claim_mbi check (mbi ~ {INDEX})

alter table prepayment_review drop constraint ck_prepayment_review_recommended

alter table prepayment_review alter rationale type bytea using null

alter table prepayment_review add constraint ck_prepayment_review_recommended check (
    case when state = 'recommended'
        then coalesce(recommendation in ('pay', 'deny'), false)
            and num_nulls(rationale, clinician_id) = 0
        else recommendation is null and rationale is null and clinician_id is null
            and reasons = '{{}}'
    end)
"""

# What an answer of CRD was about and what it said is one value, read whole or not at all.
LEDGER = """
drop function record_hook_call

alter table coverage_assertion drop constraint ck_coverage_assertion_facts

alter table coverage_assertion drop mbi, drop asked, drop answer

alter table coverage_assertion add told bytea not null
"""

SEALED = {
    "prior_auth_case": ("sealed_member", "assessment", "answer"),
    "determination": ("rationale", "resubmission_steps", "findings", "answer"),
    "information_request": ("wanted", "note"),
    "peer_to_peer": ("contact", "outcome"),
    "case_event": ("text",),
    "coverage_assertion": ("told",),
    "attachment_delivery": ("sealed_member",),
    "claim": ("sealed_member",),
    "prepayment_review": ("rationale",),
}

RECORD = """
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
            coverage_reference, {columns})
        select organization, a.id, (record_hook_call.told ->> 'id')::uuid, a.order_reference,
            a.coverage_reference, {values}
        from jsonb_to_recordset(assertions) a (id text, order_reference text,
            coverage_reference text, situation text, service text, rules text,
            codes text[], made_at timestamptz, expires_on date, {parts});
    insert into public.hook_card (organization_id, id, hook_call_id, type, topic, suggestions)
        select organization, c.id, (record_hook_call.told ->> 'id')::uuid, c.type, c.topic,
            c.suggestions
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

# The sealed columns of tables with an index, those of 0015 among them, and the index.
MEMBERS = {
    "prior_auth_case": SEALED["prior_auth_case"],
    "claim": ("request", "answer", *SEALED["claim"]),
    "attachment_delivery": SEALED["attachment_delivery"],
}
INDEXED = {"prior_auth_case": ("mbi",), "claim": ("mbi",), "attachment_delivery": ("member",)}

_PLAIN = ("situation", "service", "rules", "codes", "made_at", "expires_on")

BACK = """
drop function record_hook_call

alter table coverage_assertion drop told

alter table coverage_assertion add mbi text, add asked jsonb not null, add answer jsonb not null

alter table coverage_assertion add constraint ck_coverage_assertion_facts check (
    jsonb_typeof(asked) = 'object' and jsonb_typeof(answer) = 'object')

alter table prepayment_review drop constraint ck_prepayment_review_recommended

alter table prepayment_review alter rationale type text using null

alter table prepayment_review add constraint ck_prepayment_review_recommended check (
    case when state = 'recommended'
        then coalesce(recommendation in ('pay', 'deny') and rationale ~ '[[:alnum:]]', false)
            and clinician_id is not null
        else recommendation is null and rationale is null and clinician_id is null
            and reasons = '{}'
    end)

alter table claim drop constraint ck_claim_mbi

alter table claim drop sealed_member

alter table attachment_delivery drop constraint ck_attachment_delivery_member

alter table attachment_delivery drop sealed_member

alter table case_event alter text type text using null

alter table peer_to_peer drop constraint ck_peer_to_peer_outcome

alter table peer_to_peer alter contact type text using null

alter table peer_to_peer alter outcome type text using null

alter table peer_to_peer add constraint ck_peer_to_peer_outcome check (
    state <> 'held' or coalesce(outcome ~ '[[:alnum:]]', false))

alter table information_request alter wanted type jsonb using null

alter table information_request alter note type text using null

alter table information_request add constraint ck_information_request_wanted check (
    jsonb_typeof(wanted) = 'array' and jsonb_array_length(wanted) > 0)

alter table determination drop constraint ck_determination_detail

alter table determination drop constraint ck_determination_reasons

alter table determination drop with_detail

alter table determination alter rationale type text using null

alter table determination alter resubmission_steps type text using null

alter table determination alter findings type jsonb using null

alter table determination alter answer type jsonb using null

alter table determination add constraint ck_determination_reasons check (
    outcome = 'affirmed' or coalesce(rationale ~ '[[:alnum:]]'
        and resubmission_steps ~ '[[:alnum:]]', false))

alter table prior_auth_case drop constraint ck_prior_auth_case_mbi

alter table prior_auth_case drop sealed_member, drop with_form

alter table prior_auth_case alter assessment type jsonb using null

alter table prior_auth_case alter answer type jsonb using null

alter table prior_auth_case add family text, add given text, add birth_date date
"""


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def refuse_where_members_are_known(direction: str) -> None:
    """The owner sees no organization's rows while row-level security binds it."""
    for table in ABOUT_MEMBERS:
        run(f"""
alter table {table} no force row level security

do $$ begin
    if exists (select from {table}) then
        raise exception '{table} has rows: what they say of beneficiaries cannot be {direction} by'
            ' a migration, which knows no keys'
            using hint = 'In a sandbox remove the data directory and begin anew.';
    end if;
end $$

alter table {table} force row level security
""")


def only_sealed() -> None:
    for table, columns in SEALED.items():
        for column in columns:
            run(f"""
alter table {table} add constraint ck_{table}_{column}_sealed check (
    substring({column} from 1 for 1) = '\\x02' and octet_length({column}) > 33)
""")


def nothing_sealed() -> None:
    for table, columns in SEALED.items():
        for column in columns:
            run(f"alter table {table} drop constraint ck_{table}_{column}_sealed")


def let_index_anew(indexed: Mapping[str, Sequence[str]]) -> None:
    """What may be sealed anew with another key may be indexed anew, and nothing else changed."""
    for table, columns in MEMBERS.items():
        names = "', '".join([*columns, *indexed.get(table, ())])
        run(f"""
drop trigger sealed_anew on {table}

create trigger sealed_anew before update on {table}
    for each row when (resealing()) execute function sealed_anew('{names}')
""")


def record_hook_call(sealed: bool) -> None:
    """The function that keeps a hook call; sealed values travel through its JSON as base64."""
    values = [f"a.{name}" for name in _PLAIN]
    if sealed:
        names, values, parts = ["told"], [*values, "decode(a.told, 'base64')"], "told text"
    else:
        names, parts = ["mbi", "asked", "answer"], "mbi text, asked jsonb, answer jsonb"
        values = [*values, *(f"a.{name}" for name in names)]
    columns = ", ".join([*_PLAIN, *names])
    run(RECORD.format(columns=columns, values=", ".join(values), parts=parts))


def upgrade() -> None:
    refuse_where_members_are_known("sealed")
    run(CASES)
    run(LIFE)
    run(ATTACHMENTS)
    run(CLAIMS)
    run(LEDGER)
    only_sealed()
    let_index_anew(INDEXED)
    record_hook_call(sealed=True)


def downgrade() -> None:
    refuse_where_members_are_known("opened")
    let_index_anew({})
    nothing_sealed()
    run(BACK)
    record_hook_call(sealed=False)
