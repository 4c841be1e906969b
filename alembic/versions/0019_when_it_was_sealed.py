"""When a row of the trail was sealed is for the database to say, not for whoever seals it.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0019"
down_revision: str | Sequence[str] | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# The MAC of a row covers the instant, so the sealer asks for it first: `now()` is one and the same
# for as long as a transaction lasts. `{argument}` and `{instant}` are all that changes.
SEAL = """
create function gate.audit_seal(
    after bigint, ids bigint[], macs bytea[]{argument}, key_id text)
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
        select after + n, ids[n], macs[n], {instant}, audit_seal.key_id
        from generate_subscripts(ids, 1) n;
end $$

revoke execute on function gate.audit_seal from public

grant execute on function gate.audit_seal to wiser_app
"""


def change(*, argument: str, instant: str) -> None:
    """The function anew, as its owner: nobody else may drop it."""
    run = op.get_bind().exec_driver_sql
    run("grant create on schema gate to wiser_gate")
    run("set local role wiser_gate")
    run("drop function gate.audit_seal")
    for statement in SEAL.strip().split("\n\n"):
        run(statement.replace("{argument}", argument).replace("{instant}", instant))
    run("set local role none")
    run("revoke create on schema gate from wiser_gate")


def upgrade() -> None:
    change(argument="", instant="now()")


def downgrade() -> None:
    change(argument=", sealed_at timestamptz", instant="audit_seal.sealed_at")
