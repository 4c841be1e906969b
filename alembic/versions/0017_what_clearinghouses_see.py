"""A clearinghouse sees what it sent, whether it acts for all providers or for named ones.

What others sent about a provider is told to the provider itself. Until now it was told to whoever
names the provider's number and does not act for all.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from sqlalchemy import text

from alembic import op

revision: str = "0017"
down_revision: str | Sequence[str] | None = "0016"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

# By function, what stands in it and what is to stand there. The rest of each stays as it is.
_NOT_FOR_ALL = ("o.acts_for <> 'all'", "o.kind = 'provider'")
CHANGES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "gate.inquire_by_others": (
            "(o.acts_for = 'all' or npi = any (o.npis))",
            "(o.kind = 'provider' and npi = any (o.npis))",
        ),
        "gate.standing_by_others": _NOT_FOR_ALL,
        "public.standing_of": _NOT_FOR_ALL,
        "gate.claim_authorizations": _NOT_FOR_ALL,
    }
)


def replaced(function: str, before: str, after: str) -> None:
    found = text("select pg_get_functiondef(cast(:function as regproc))")
    definition = op.get_bind().execute(found, {"function": function}).scalar_one()
    if definition.count(before) != 1:
        raise RuntimeError(f"{function} is not as it was")
    op.get_bind().exec_driver_sql(definition.replace(before, after))


def change(*, back: bool = False) -> None:
    """Each function as its owner, for nobody else may replace it."""
    run = op.get_bind().exec_driver_sql
    run("grant create on schema gate to wiser_gate")
    for function, (before, after) in CHANGES.items():
        run(f"set local role {'wiser_gate' if function.startswith('gate.') else 'none'}")
        replaced(function, *((after, before) if back else (before, after)))
    run("set local role none")
    run("revoke create on schema gate from wiser_gate")


def upgrade() -> None:
    change()


def downgrade() -> None:
    change(back=True)
