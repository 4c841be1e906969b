"""The pieces that the tables are made of, and the one collection that they belong to."""

from typing import Any

from sqlalchemy import Column, DateTime, ForeignKeyConstraint, MetaData, Text, Uuid, text
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.types import TypeEngine, UserDefinedType

NAMING_CONVENTION = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ix": "ix_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
}

metadata = MetaData(naming_convention=NAMING_CONVENTION)


class TransactionId(UserDefinedType[int]):
    """Postgres' xid8: which transaction wrote a row."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The name of the type in DDL."""
        return "xid8"


ischema_names["xid8"] = TransactionId


def column(
    name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]], *rest: Any, null: bool = False
) -> Column[Any]:
    """A column that is never null, unless `null`."""
    return Column(name, kind, *rest, nullable=null)


def maybe(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]] = Text) -> Column[Any]:
    """A column that may be null."""
    return Column(name, kind, nullable=True)


def default(name: str, kind: TypeEngine[Any] | type[TypeEngine[Any]], default: str) -> Column[Any]:
    """A column that the database fills where nothing is said."""
    return Column(name, kind, nullable=False, server_default=text(default))


def organization_key() -> Column[Any]:
    """Whose row it is: the first column of every key."""
    return Column("organization_id", Uuid, nullable=False)


def of_case(table: str, **options: Any) -> ForeignKeyConstraint:
    """The row hangs on a case."""
    return ForeignKeyConstraint(
        ["organization_id", "case_id"],
        ["prior_auth_case.organization_id", "prior_auth_case.id"],
        name=f"fk_{table}_prior_auth_case",
        **options,
    )


def of_hook_call(table: str) -> ForeignKeyConstraint:
    """The row hangs on a hook call."""
    return ForeignKeyConstraint(
        ["organization_id", "hook_call_id"],
        ["hook_call.organization_id", "hook_call.id"],
        name=f"fk_{table}_hook_call",
    )


def of_message(table: str, column: str, name: str, **options: Any) -> ForeignKeyConstraint:
    """`column` names a message kept byte for byte; `name` is the constraint's."""
    return ForeignKeyConstraint(
        ["organization_id", column],
        ["message.organization_id", "message.id"],
        name=f"fk_{table}_{name}",
        **options,
    )


AT_COMMIT = {"deferrable": True, "initially": "DEFERRED"}
instant = DateTime(timezone=True)
