"""Clients' keys and certificates, their assertions, and tokens bound to a certificate.

All of it is looked up before anybody's organization is known, so without row-level security.

Each paragraph of the SQL below is one statement, so a function's body has no blank line.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0011"
down_revision: str | Sequence[str] | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# What a certificate must name for a client to be known by it, and until when one may go without.
COLUMNS = """
alter table client
    add column certificate_uri text,
    add column unbound_until timestamptz,
    add column unbound_because text,
    add constraint uq_client_certificate_uri unique (certificate_uri),
    add constraint ck_client_certificate_uri check (
        certificate_uri collate "C" ~ '^[a-z][a-z0-9+.-]*:[!-~]+$'
        and length(certificate_uri) <= 2048),
    add constraint ck_client_unbound check (
        (unbound_until is null) = (unbound_because is null)
        and coalesce(unbound_because ~ '[[:alnum:]]', true))

alter table organization add column tins text[] not null default '{}'

alter table access_token
    add column certificate text,
    add constraint ck_access_token_certificate check (
        certificate collate "C" ~ '^[A-Za-z0-9_-]{43}$')
"""

TABLES = """
create table client_key (
    client_id uuid not null,
    organization_id uuid not null,
    jwks_url text,
    jwks jsonb,
    active boolean not null default true,
    revision integer not null default 1,
    constraint pk_client_key primary key (client_id),
    constraint fk_client_key_client
        foreign key (organization_id, client_id) references client (organization_id, id),
    constraint ck_client_key_keys check (num_nonnulls(jwks_url, jwks) = 1),
    constraint ck_client_key_jwks check (
        jwks is null or coalesce(jsonb_typeof(jwks -> 'keys') = 'array', false))
)

create table client_assertion (
    iss text not null,
    jti text not null,
    expires_at timestamptz not null,
    constraint pk_client_assertion primary key (iss, jti),
    constraint ck_client_assertion_iss check (length(iss) between 1 and 2048),
    constraint ck_client_assertion_jti check (
        jti collate "C" ~ '^[!-~]+$' and length(jti) between 8 and 256)
)

create index ix_client_assertion_expires_at on client_assertion (expires_at)

create table external_client (
    issuer text not null,
    subject text not null,
    client_id uuid not null,
    organization_id uuid not null,
    active boolean not null default true,
    constraint pk_external_client primary key (issuer, subject),
    constraint fk_external_client_client
        foreign key (organization_id, client_id) references client (organization_id, id),
    constraint ck_external_client_issuer check (length(issuer) between 1 and 2048),
    constraint ck_external_client_subject check (length(subject) between 1 and 256)
)

create table revoked_certificate (
    thumbprint text not null,
    revoked_at timestamptz not null,
    reason text not null,
    constraint pk_revoked_certificate primary key (thumbprint),
    constraint ck_revoked_certificate_thumbprint check (
        thumbprint collate "C" ~ '^[A-Za-z0-9_-]{43}$'),
    constraint ck_revoked_certificate_reason check (reason ~ '[[:alnum:]]')
)
"""

# An assertion that was used stays so: the application may neither change nor take back a row.
GRANTS = """
grant select on client_key, external_client, revoked_certificate to wiser_app

grant select, insert on client_assertion to wiser_app
"""


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def upgrade() -> None:
    run(COLUMNS)
    run(TABLES)
    run(GRANTS)


def downgrade() -> None:
    run("""
drop table revoked_certificate, external_client, client_assertion, client_key

alter table access_token drop column certificate

alter table organization drop column tins

alter table client
    drop constraint ck_client_unbound,
    drop column certificate_uri,
    drop column unbound_until,
    drop column unbound_because
""")
