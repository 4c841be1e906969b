"""Forgetting what ended: so much at a time that a statement keeps its few seconds."""

from typing import Final

from sqlalchemy import TextClause, text

AT_ONCE: Final = 5_000


def delete_ended(table: str) -> TextClause:
    """Deletes AT_ONCE rows at most whose `expires_at` is before `:before`; the owner role may."""
    return text(f"""
        delete from {table} where ctid = any (array(
            select ctid from {table} where expires_at < :before limit {AT_ONCE}))
    """)  # noqa: S608 - our own words
