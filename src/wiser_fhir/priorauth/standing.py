"""What is decided or in review for a beneficiary: what foreseeing has to know of cases."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncEngine

from wiser_fhir.audit.recorder import AuditRow
from wiser_fhir.db.engine import raw_connection
from wiser_fhir.priorauth.models import CaseStatus, ItemStatus

MOST_FOUND = 50

_ASK = "select * from standing_of($1, $2, $3, $4, $5, $6, $7)"


@dataclass(frozen=True, slots=True)
class Standing:
    """A case that is in review or decided, as far as another request hangs on it.

    `utn` is a number that is assigned: None while there is none, and once it ended. `codes` are the
    lines' procedure codes with how each stands, `npis` everybody's who has a part in the case.
    """

    case_id: UUID
    reference: str
    status: CaseStatus
    utn: str | None
    valid_from: date | None
    valid_until: date | None
    decide_by: datetime | None
    service: str | None
    codes: tuple[tuple[str, ItemStatus], ...]
    npis: tuple[str, ...]
    received_at: datetime

    def is_live(self, on: date) -> bool:
        """Whether a number is assigned, and its last day has not passed."""
        return self.utn is not None and self.valid_until is not None and on <= self.valid_until

    def covers(self, day: date) -> bool:
        """Whether the days of the affirmation hold a date of service."""
        return (
            self.valid_from is not None
            and self.valid_until is not None
            and self.valid_from <= day <= self.valid_until
        )

    def of_code(self, code: str) -> frozenset[ItemStatus]:
        """How the lines for a procedure code stand. Empty where it was not asked for."""
        return frozenset(status for each, status in self.codes if each == code)


async def standing(
    engine: AsyncEngine,
    organization_id: UUID,
    mbi: str | None,
    npis: Sequence[str],
    audit: AuditRow,
    at_most: int = MOST_FOUND,
) -> tuple[Standing, ...]:
    """Cases of a beneficiary, the latest received first. Without a number there are none.

    The organization's own; and through a gate that leaves an audit row, those that others sent in
    which a provider has a part whom `npis` names and the organization acts for. A clearinghouse
    for everybody sees only what it sent. `audit` tells who asks, under which request.

    Raises Unavailable.
    """
    if mbi is None:
        return ()
    asked = (organization_id, mbi, sorted(set(npis)), at_most)
    async with raw_connection(engine) as connection:
        found = await connection.fetch(
            _ASK, *asked, audit.request_id, audit.client_id, audit.patient
        )
    return tuple(map(_standing, found))


def _standing(row: Any) -> Standing:
    statuses = map(ItemStatus, row["item_statuses"])
    return Standing(
        case_id=row["case_id"],
        reference=row["reference"],
        status=CaseStatus(row["status"]),
        utn=row["utn"],
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
        decide_by=row["decide_by"],
        service=row["service"],
        codes=tuple(zip(row["item_codes"], statuses, strict=True)),
        npis=tuple(row["npis_named"]),
        received_at=row["received_at"],
    )
