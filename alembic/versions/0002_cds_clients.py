"""EHRs that call CDS Hooks, and the use that was made of each of their JWTs.

Both are looked up before anybody's organization is known, so without row-level security.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0002"
down_revision: str | Sequence[str] | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

TABLES = """
create table cds_client (
    client_id uuid not null,
    organization_id uuid not null,
    iss text not null,
    jwks_url text,
    jwks jsonb,
    fhir_servers text[] not null default '{}',
    active boolean not null default true,
    revision integer not null default 1,
    constraint pk_cds_client primary key (client_id),
    constraint uq_cds_client_iss unique (iss),
    constraint fk_cds_client_client
        foreign key (organization_id, client_id) references client (organization_id, id),
    constraint ck_cds_client_iss check (
        iss collate "C" ~ '^[!-~]+$' and length(iss) <= 2048),
    constraint ck_cds_client_keys check (num_nonnulls(jwks_url, jwks) = 1),
    constraint ck_cds_client_jwks check (
        jwks is null or coalesce(jsonb_typeof(jwks -> 'keys') = 'array', false))
)

create table cds_jwt (
    iss text not null,
    jti text not null,
    aud text not null,
    key_thumbprint text not null,
    certificate text,
    expires_at timestamptz not null,
    uses integer not null,
    constraint pk_cds_jwt primary key (iss, jti),
    constraint ck_cds_jwt_jti check (
        jti collate "C" ~ '^[!-~]+$' and length(jti) <= 256),
    constraint ck_cds_jwt_uses check (uses between 1 and 50)
)
"""

# Whoever may count uses may not take one back: a JWT that was used up stays so.
RULES = """
create function cds_jwt_is_used_up() returns trigger language plpgsql as $$
begin
    if new.uses <= old.uses then
        raise exception 'uses of a JWT only grow'
            using errcode = 'check_violation', constraint = 'cds_jwt_uses_grow';
    end if;
    return new;
end $$

create trigger uses_grow before update on cds_jwt
    for each row execute function cds_jwt_is_used_up()
"""

GRANTS = """
grant select on cds_client to wiser_app

grant select, insert, update (uses) on cds_jwt to wiser_app
"""


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def upgrade() -> None:
    run(TABLES)
    run(RULES)
    run(GRANTS)


def downgrade() -> None:
    run("""
drop table cds_jwt, cds_client

drop function cds_jwt_is_used_up
""")
