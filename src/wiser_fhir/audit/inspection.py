"""Looking at the audit trail once a day, and leaving a row that says what was found."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from wiser_fhir.audit.chain import Fault
from wiser_fhir.audit.recorder import AuditRow, Detail, write
from wiser_fhir.audit.verifying import Report, Verifier
from wiser_fhir.db.engine import transaction
from wiser_fhir.errors import Unavailable

log = logging.getLogger(__name__)

ACTION: Final = "audit.verify"
EVERY: Final = timedelta(days=1)

# The worker's own, to the end: what an operator asks for may be a part of it.
_DONE_SINCE = text("""
select exists (select from audit_event where at >= :since and action = :action
    and detail @> '{"daily": true}' and detail ->> 'decisions' is not null)
""")

# Which decisions are not as they were made, in words.
ChangedDecisions = Callable[[], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What an inspection found. `decisions` is None where they could not be looked at."""

    report: Report
    decisions: tuple[str, ...] | None

    @property
    def sound(self) -> bool:
        """Whether everything is as it was written."""
        return self.report.fault is None and self.decisions == ()

    @property
    def outcome(self) -> str:
        """The audit trail's word for it."""
        if self.report.fault is not None:
            return self.report.fault.kind
        if self.decisions is None:
            return "decisions-unchecked"
        return "changed-decisions" if self.decisions else "sound"

    def detail(self) -> Detail:
        """What the row about it says."""
        fault = self.report.fault or Fault("", None, None, "")
        return {
            "sequence": self.report.sequence,
            "sealed": self.report.sealed,
            "checkpoints": self.report.checkpoints,
            "fault-sequence": fault.sequence,
            "fault-id": fault.audit_id,
            "decisions": None if self.decisions is None else len(self.decisions),
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """Verifies the trail and the decisions as the owner role, and records what came of it."""

    verifier: Verifier
    changed_decisions: ChangedDecisions

    async def once(self, start: Path | None = None, *, daily: bool = False) -> Finding:
        """What is found now. Raises Unavailable, ValueError for a `start` that is no checkpoint.

        A fault is told at once: whoever made it may see to it that nothing more comes of this.
        """
        report = await self.verifier.verify(start)
        if report.fault is not None:
            _tell(report.fault.kind, report.sequence)
        finding = Finding(report, await self._decisions())
        if finding.decisions:
            _tell("changed-decisions", len(finding.decisions))
        detail = {**finding.detail(), "daily": daily}
        async with transaction(self.verifier.engine) as db:
            await write(db, AuditRow(uuid4(), ACTION, finding.outcome, detail=detail))
        return finding

    async def _decisions(self) -> tuple[str, ...] | None:
        """Those that were changed, None where the database does not show them."""
        try:
            return tuple(await self.changed_decisions())
        except (Unavailable, SQLAlchemyError, asyncpg.PostgresError) as failure:
            log.error("decisions are not checked", extra={"error": type(failure).__name__})
            return None

    async def daily(self) -> int:
        """An inspection as a job: once a day, whichever worker comes first.

        Always 0: there is nothing more to do at once. Raises Unavailable.
        """
        async with transaction(self.verifier.engine) as db:
            asked = {"since": self.verifier.clock() - EVERY, "action": ACTION}
            if await db.scalar(_DONE_SINCE, asked):
                return 0
        await self.once(daily=True)
        return 0


def _tell(what: str, count: int) -> None:
    """An error in the log, for somebody to be called by."""
    log.error("audit trail is not as it was written", extra={"error": what, "count": count})
