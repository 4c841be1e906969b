"""The log of errors that clients report of our forms: kept per organization, never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from wiser_fhir.audit.recorder import AuditRow, write
from wiser_fhir.auth.principal import Principal
from wiser_fhir.clock import business_date
from wiser_fhir.db.base import questionnaire_error
from wiser_fhir.db.engine import transaction
from wiser_fhir.dtr.error_report import ReportedIssue
from wiser_fhir.fhir.codes import Line

# Of one organization on one day. Whoever reports more than this reports noise.
MOST_A_DAY = 5_000

_INSERT = text("""
insert into questionnaire_error (organization_id, reported_on, sha256, client_id, at, line, form,
        version, severity, code, paths, details, mentions)
    select :organization_id, :reported_on, decode(r.sha256, 'hex'), :client_id, :at, :line, r.form,
        r.version, r.severity, r.code, r.paths, r.details, r.mentions
    from jsonb_to_recordset(cast(:issues as jsonb)) r (sha256 text, form text, version text,
        severity text, code text, paths text[], details text[], mentions text[])
    where not exists (
        select from questionnaire_error e
        where e.organization_id = :organization_id and e.reported_on = :reported_on
            and e.sha256 = decode(r.sha256, 'hex'))
    order by r.sha256
    limit :left
    on conflict do nothing
""")
# Reports of one organization are kept one after another, so that the day's room is what it is. The
# number is of the space of two-part locks, which nothing else here uses.
_WAITING = text("select set_config('lock_timeout', :wait, true)")
_TURN = text("select pg_advisory_xact_lock(1163022930, hashtext(:organization_id))")
_WAIT = "2s"


class Kept(StrEnum):
    """What became of a report."""

    KEPT = "kept"
    REPEATED = "repeated"
    FULL = "full"


@dataclass(frozen=True, slots=True)
class ErrorLog:
    """Where reports are kept."""

    engine: AsyncEngine

    async def keep(
        self,
        caller: Principal,
        line: Line,
        issues: Sequence[ReportedIssue],
        at: datetime,
        audit: AuditRow,
    ) -> Kept:
        """Keep a report with its audit row. What was told before on that day is not kept again.

        Raises Unavailable. Source: DTR 2.2.0 §oper-1.
        """
        row = {
            "organization_id": caller.organization_id,
            "reported_on": business_date(at),
            "client_id": caller.client_id,
            "at": at,
            "line": line,
            "issues": orjson.dumps([_told(issue, line) for issue in issues]).decode(),
        }
        async with transaction(self.engine, caller.organization_id) as connection:
            await _take_turn(connection, caller.organization_id)
            kept = await _insert(connection, row)
            await write(connection, replace(audit, outcome=str(kept)))
        return kept


async def _take_turn(connection: AsyncConnection, organization_id: UUID) -> None:
    """Wait for the organization's other reports, not for long."""
    await connection.execute(_WAITING, {"wait": _WAIT})
    await connection.execute(_TURN, {"organization_id": str(organization_id)})


async def _insert(connection: AsyncConnection, row: Mapping[str, Any]) -> Kept:
    counted = select(func.count()).where(
        questionnaire_error.c.organization_id == row["organization_id"],
        questionnaire_error.c.reported_on == row["reported_on"],
    )
    left = MOST_A_DAY - (await connection.execute(counted)).scalar_one()
    if left <= 0:
        return Kept.FULL
    written = await connection.execute(_INSERT, {**row, "left": left})
    return Kept.KEPT if written.rowcount else Kept.REPEATED


def _told(issue: ReportedIssue, line: Line) -> dict[str, Any]:
    return {
        "sha256": issue.digest(line).hex(),
        "form": issue.form,
        "version": issue.version,
        "severity": issue.severity,
        "code": issue.code,
        "paths": issue.paths,
        "details": issue.details,
        "mentions": issue.mentions,
    }
