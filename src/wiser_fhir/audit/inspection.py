"""Looking at the audit trail once a day, and leaving a row that says what was found."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import uuid4

from sqlalchemy import text

from wiser_fhir.audit.chain import Fault
from wiser_fhir.audit.recorder import AuditRow, Detail, write
from wiser_fhir.audit.verifying import Report, Verifier
from wiser_fhir.db.engine import transaction

log = logging.getLogger(__name__)

ACTION: Final = "audit.verify"
EVERY: Final = timedelta(days=1)

_DONE_SINCE = text(
    "select exists (select from audit_event where at >= :since and action = :action)"
)

# Which decisions do not bear the mac they were made with, in words.
ChangedDecisions = Callable[[], Awaitable[Sequence[str]]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What an inspection found."""

    report: Report
    decisions: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether everything is as it was written."""
        return self.report.fault is None and not self.decisions

    @property
    def outcome(self) -> str:
        """The audit trail's word for it."""
        if self.report.fault is not None:
            return self.report.fault.kind
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
            "decisions": len(self.decisions),
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """Verifies the trail and the decisions as the owner role, and records what came of it."""

    verifier: Verifier
    changed_decisions: ChangedDecisions | None = None

    async def once(self, start: Path | None = None) -> Finding:
        """What is found now. Raises Unavailable, ValueError for a `start` that is no checkpoint."""
        report = await self.verifier.verify(start)
        decisions = () if self.changed_decisions is None else await self.changed_decisions()
        finding = Finding(report, tuple(decisions))
        row = AuditRow(uuid4(), ACTION, finding.outcome, detail=finding.detail())
        async with transaction(self.verifier.engine) as db:
            await write(db, row)
        return finding

    async def daily(self) -> int:
        """An inspection as a job: once a day, whichever worker comes first.

        Always 0: there is nothing more to do at once. Raises Unavailable.
        """
        async with transaction(self.verifier.engine) as db:
            asked = {"since": self.verifier.clock() - EVERY, "action": ACTION}
            if await db.scalar(_DONE_SINCE, asked):
                return 0
        finding = await self.once()
        if not finding.sound:
            facts = {"error": finding.outcome, "count": finding.report.sequence}
            log.error("audit trail is not as it was written", extra=facts)
        return 0
