"""Empties a sandbox: its cases and all that hangs on them. A production database refuses."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from wiser_fhir.db.engine import asyncpg_url, unavailable
from wiser_fhir.db.migrate import check_mode

_CASES = (
    *("submission", "prior_auth_case", "case_item", "case_party", "determination", "utn"),
    *("document", "message", "notification"),
)
_HOOKS = ("hook_call", "coverage_assertion", "hook_card", "card_feedback")
_REPORTS = ("questionnaire_error",)
_EMPTIED = (*_CASES, *_HOOKS, *_REPORTS)
_GUARDED = ("determination", "message", "utn", *_HOOKS, *_REPORTS)


async def empty_sandbox(owner_url: str) -> None:
    """Forget every case, hook call and report of an error. Who may come in stays, and so does the
    audit trail.

    The triggers that forbid it are lifted inside one transaction, which only the owner can do.
    Raises ModeMismatch, NotReady, Unavailable.
    """
    engine = create_async_engine(asyncpg_url(owner_url), poolclass=NullPool)
    try:
        with unavailable():
            async with engine.begin() as connection:
                await check_mode(connection, "sandbox")
                for verb in ("disable", "enable"):
                    for table in _GUARDED:
                        await connection.execute(text(f"alter table {table} {verb} trigger user"))
                    if verb == "disable":
                        await connection.execute(text(f"truncate {', '.join(_EMPTIED)}"))
    finally:
        await engine.dispose()
