"""What the application cannot say: a decision that nothing binds, a finding about the trail.

Every decision bears a MAC: 0016 begins without cases, and all that writes one since makes it.

Whoever looks at the trail leaves a row that says what was found, as the owner role; that somebody
read it is written down by the gate. So the application's own role has no word that begins so: else
it could say that all is sound, and nobody would look that day.

Each paragraph of the SQL below is one statement.
"""

from collections.abc import Sequence

from alembic import op

revision: str = "0020"
down_revision: str | Sequence[str] | None = "0019"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

RULES = """
alter table determination alter mac set not null

create policy nothing_about_the_trail on audit_event as restrictive for insert to wiser_app
    with check (action not like 'audit.%')
"""


def run(paragraphs: str) -> None:
    for statement in paragraphs.strip().split("\n\n"):
        op.get_bind().exec_driver_sql(statement)


def upgrade() -> None:
    run(RULES)


def downgrade() -> None:
    run("""
drop policy nothing_about_the_trail on audit_event

alter table determination alter mac drop not null
""")
