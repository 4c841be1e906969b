"""What tokens there are in production, whoever puts them down.

The application puts down what it issues, so whoever takes it over can put down a token for any
client. It lives for an hour at most all the same, by the clock of the database too, and goes
without a certificate only where the operator said so. Tokens of people are a sandbox's: in
production people sign in, and have sessions.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0018"
down_revision: str | Sequence[str] | None = "0017"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

RULES = """
create function access_token_is_as_the_operator_said() returns trigger language plpgsql as $$
begin
    perform from public.deployment where mode = 'production';
    if not found then
        return new;
    end if;
    if new.expires_at > least(new.issued_at, now()) + interval '1 hour' then
        raise exception 'a token lives for an hour at most'
            using errcode = 'check_violation', constraint = 'access_token_lives_an_hour';
    end if;
    if new.certificate is null then
        perform from public.client c
            where c.id = new.client_id and c.unbound_until > new.issued_at;
        if not found then
            raise exception 'a token is bound to a certificate unless the operator said otherwise'
                using errcode = 'check_violation', constraint = 'access_token_is_bound';
        end if;
    end if;
    return new;
end $$

create trigger is_as_the_operator_said before insert on access_token
    for each row execute function access_token_is_as_the_operator_said()

create function person_token_is_a_sandbox_s() returns trigger language plpgsql as $$
begin
    perform from public.deployment where mode = 'sandbox';
    if not found then
        raise exception 'only a sandbox has tokens of people'
            using errcode = 'check_violation', constraint = 'person_token_is_a_sandbox_s';
    end if;
    return new;
end $$

create trigger is_a_sandbox_s before insert on person_token
    for each row execute function person_token_is_a_sandbox_s()
"""

# What could be put down until now.
BEFORE = """
delete from person_token where exists (select from deployment where mode = 'production')

delete from access_token where expires_at > issued_at + interval '1 hour'
    and exists (select from deployment where mode = 'production')
"""


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def upgrade() -> None:
    run(RULES)
    run(BEFORE)


def downgrade() -> None:
    run("""
drop trigger is_as_the_operator_said on access_token

drop trigger is_a_sandbox_s on person_token

drop function access_token_is_as_the_operator_said, person_token_is_a_sandbox_s
""")
